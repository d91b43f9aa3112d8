"""What changed on a record, when, by whom and why: from simple-history to a timeline (AU-7, AU-8).

Shows only columns that a table of labels names; ciphertext and hashes are in none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.utils import timezone

from payops.console.tones import word_of

CHANGES_MAX = 200
NOTHING = "nothing"

PAYOUT_LABELS = {
    "blocked_reason": "Reason",
    "provider_ref": "Provider's reference",
    "failure_code": "Failure code",
    "failure_message": "Failure",
    "expected_on": "Expected on",
    "paid_at": "Paid at",
    "failed_at": "Failed at",
    "money_back_at": "Money back at",
    "verified_terminal_at": "Verified terminal at",
    "approval_id": "Approval",
}
REFUND_LABELS = {
    "refusal": "Reason",
    "obligation": "Promise",
    "offline_ref": "Payment by hand",
    "provider_ref": "Provider's reference",
    "failure_code": "Failure code",
    "failure_message": "Failure",
    "dispatched_at": "Sent at",
    "accepted_at": "Accepted at",
    "succeeded_at": "Succeeded at",
    "failed_at": "Failed at",
    "money_back_at": "Money back at",
    "approval_id": "Approval",
}
PAYMENT_LABELS = {
    "captured_minor": "Captured (minor units)",
    "fee_minor": "Fee (minor units)",
    "failure_code": "Failure code",
    "captured_at": "Captured at",
}
BENEFICIARY_LABELS = {
    "name": "Name",
    "country": "Country",
    "currency": "Currency",
    "risk": "Risk",
    "bank_masked": "Bank details",
    "bank_change_approval_id": "Approved by",
    "payable_from": "Payable from",
    "verified_at": "Verified at",
    "verified_evidence": "Evidence",
}


@dataclass(frozen=True, slots=True)
class Change:
    """One line of `parts/timeline.html`."""

    at: datetime
    title: str
    actor: str
    state: str = ""
    text: str = ""
    evidence: tuple[str, ...] = ()
    href: str = ""
    repeat: int = 0


def changes_of(record: Any, labels: Mapping[str, str]) -> list[Change]:
    """Newest first; two queries whatever the number of changes."""
    rows = record.history.select_related("history_user__person")
    newest = list(rows.order_by("-history_date", "-history_id")[: CHANGES_MAX + 1])
    before_of = [*newest[1:], None]
    pairs = zip(newest[:CHANGES_MAX], before_of, strict=False)
    return [_change(after, before, labels) for after, before in pairs]


def _change(after: Any, before: Any, labels: Mapping[str, str]) -> Change:
    state = getattr(after, "state", "")
    old_state = getattr(before, "state", "") if before is not None else ""
    if before is None:
        title = f"Recorded as {word_of(state).lower()}" if state else "Recorded"
    elif state != old_state:
        title = f"{word_of(old_state)} → {word_of(state)}"
    else:
        title = "Changed"
    return Change(
        at=after.history_date,
        title=title,
        actor=_actor(after.history_user),
        state=state if state != old_state else "",
        text="\n".join(_lines(after, before, labels)),
    )


def _lines(after: Any, before: Any, labels: Mapping[str, str]) -> Iterable[str]:
    if after.history_change_reason:
        yield str(after.history_change_reason)
    for name, label in labels.items():
        new, old = getattr(after, name), getattr(before, name, None)
        if before is None and new not in (None, "", 0):
            yield f"{label}: {_text(new)}"
        elif before is not None and new != old:
            yield f"{label}: {_text(old)} → {_text(new)}"


def _actor(user: Any) -> str:
    if user is None:
        return "the system"
    return f"{user.person.name} ({user.username})" if user.person else user.username


def _text(value: object) -> str:
    if value in (None, ""):
        return NOTHING
    if isinstance(value, datetime):
        return f"{timezone.localtime(value):%Y-%m-%d %H:%M}"
    return value.isoformat() if isinstance(value, date) else str(value)
