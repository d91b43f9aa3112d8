"""What a Stripe dispute is here: its kind, how far it has come, what it forbids, what it moved.

Owns the tables status → stage and closed status → end. A closed dispute that is still open is
refused, never guessed. Serves WH-29, RF-15, LJ-12 and D9.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from payops.psp import signing
from payops.psp.base import EventRefused, Stage
from payops.psp.strictjson import child, int_or_none, text_or_none

Subject = Mapping[str, Any]

PREFIX = "charge.dispute."
KINDS = {
    "created": "dispute.opened",
    "updated": "dispute.updated",
    "funds_withdrawn": "dispute.funds_withdrawn",
    "funds_reinstated": "dispute.funds_returned",
}
ENDS = {
    "won": "dispute.won",
    "lost": "dispute.lost",
    "warning_closed": "dispute.closed",
    "prevented": "dispute.closed",
    "charge_refunded": "dispute.closed",
}
# Status prefix → how far a dispute has come; every other status is a chargeback's.
STAGES: tuple[tuple[str, Stage], ...] = (
    ("warning_", "inquiry"),
    ("appeal_", "second_round"),
)


def is_about(event_type: str) -> bool:
    return event_type.startswith(PREFIX)


def classify(event_type: str, subject: Subject) -> tuple[str, str]:
    """(kind, why it is ignored). Raises EventRefused."""
    word = event_type.removeprefix(PREFIX)
    if word == "closed":
        end = ENDS.get(str(subject.get("status")))
        if end is None:
            raise EventRefused("status_contradicts_type", "data.object.status")
        return end, ""
    kind = KINDS.get(word)
    return (kind, "") if kind else ("ignored", "no_meaning_here")


def movement(subject: Subject, *, out: bool) -> object:
    """The newest balance transaction of a dispute that goes out, or that comes back."""
    rows = subject.get("balance_transactions")
    for row in reversed(rows if isinstance(rows, list) else []):
        moved = int_or_none(row.get("amount")) if isinstance(row, dict) else None
        if moved and (moved < 0) is out:
            return row
    return None


def due_at(event_type: str, subject: Subject) -> datetime | None:
    if not is_about(event_type):
        return None
    return signing.utc_from_unix(child(subject, "evidence_details").get("due_by"))


def refundable(event_type: str, subject: Subject) -> bool | None:
    stated = subject.get("is_charge_refundable")
    return stated if is_about(event_type) and isinstance(stated, bool) else None


def stage(event_type: str, subject: Subject) -> Stage | None:
    status = text_or_none(subject.get("status"))
    if status is None or not is_about(event_type):
        return None
    return next((found for head, found in STAGES if status.startswith(head)), "chargeback")
