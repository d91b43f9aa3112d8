"""What a PayPal dispute is here: its kind, how far it has come, what it forbids.

Owns the tables outcome → end and life cycle → stage. Its money moves as a reversal of the capture,
an event of its own that does not name it. Serves WH-29, RF-15, LJ-12 and D9.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from payops.psp.base import Stage
from payops.psp.paypal.timestamps import utc_from_rfc3339
from payops.psp.strictjson import child, id_or_none

Subject = Mapping[str, Any]

KINDS = {"CREATED": "dispute.opened", "UPDATED": "dispute.updated"}
OUTCOMES = {
    "RESOLVED_SELLER_FAVOUR": "dispute.won",
    "RESOLVED_SELLER_FAVOR": "dispute.won",
    "RESOLVED_BUYER_FAVOUR": "dispute.lost",
    "RESOLVED_BUYER_FAVOR": "dispute.lost",
    "ACCEPTED": "dispute.lost",
}
STAGES: Mapping[str, Stage] = {
    "INQUIRY": "inquiry",
    "CHARGEBACK": "chargeback",
    "PRE_ARBITRATION": "second_round",
    "ARBITRATION": "second_round",
}
# PayPal refuses a refund while a case is open; a lost one has taken the money already.
FREED = frozenset({"dispute.won", "dispute.closed"})


def classify(word: str, subject: Subject) -> tuple[str, str]:
    """(kind, why it is ignored)."""
    if word == "RESOLVED":
        return end_of(subject), ""
    kind = KINDS.get(word)
    return (kind, "") if kind else ("ignored", "no_meaning_here")


def end_of(subject: Subject) -> str:
    """The kind a resolved dispute ends with."""
    outcome = child(subject, "dispute_outcome").get("outcome_code")
    return OUTCOMES.get(str(outcome), "dispute.closed")


def stage(subject: Subject) -> Stage | None:
    return STAGES.get(str(subject.get("dispute_life_cycle_stage")))


def due_at(subject: Subject) -> datetime | None:
    return utc_from_rfc3339(subject.get("seller_response_due_date"))


def payment_of(subject: Subject) -> str | None:
    """The one capture that is disputed."""
    rows = subject.get("disputed_transactions")
    if isinstance(rows, list) and len(rows) == 1 and isinstance(rows[0], dict):
        return id_or_none(rows[0].get("seller_transaction_id"))
    return None
