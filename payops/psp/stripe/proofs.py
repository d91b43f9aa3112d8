"""What a Stripe object, as it stands now, proves to have happened (WH-15).

Never claims more than the object shows: a failed payout does not say whether it had been paid
before, so that question stays open.
"""

from collections.abc import Mapping
from typing import Any

from payops.core.money import Money
from payops.psp import callkit
from payops.psp.calling import NoAnswer
from payops.psp.strictjson import int_or_none, text_or_none
from payops.psp.stripe import disputes
from payops.psp.stripe.amounts import money_from_stripe

Shown = Mapping[str, Any]
Reached = frozenset[str] | NoAnswer

UNREADABLE = NoAnswer(reason="answer_unreadable")
PAYOUT_STEPS: Mapping[str, tuple[str, ...]] = {
    "pending": ("initiated",),
    "in_transit": ("initiated", "in_transit"),
    "paid": ("initiated", "in_transit", "paid"),
    "failed": ("initiated", "failed"),
    "canceled": ("initiated", "canceled"),
}
# A payout that failed may have been in transit, even paid, before; its present state hides it.
HIDDEN_BY_FAILURE = ("in_transit", "paid")
# A refund that failed is shown; that its money came back is a balance transaction's news. A wish is
# nobody's object yet.
NEVER_SHOWN = frozenset({"refund.returned", "refund.requested"})
REFUND_STEPS: Mapping[str, tuple[str, ...]] = {
    "pending": ("refund.accepted",),
    "requires_action": ("refund.accepted",),
    "succeeded": ("refund.accepted", "refund.succeeded"),
    "failed": ("refund.accepted", "refund.failed", "refund.failed_late"),
    "canceled": ("refund.accepted", "refund.canceled"),
}


def collection_of(kind: str) -> str | None:
    """Where the object of such an event is asked for; None where that is not offered."""
    if kind == "refund.observed":
        return "charges"
    if kind in NEVER_SHOWN:
        return None
    families = {
        "payout": "payouts",
        "settlement": "payouts",
        "payment": "charges",
        "refund": "refunds",
        "dispute": "disputes",
    }
    return families.get(kind.partition(".")[0])


def reached(collection: str, shown: Shown, kind: str) -> Reached:
    """The canonical kinds the object proves; `kind` is the one that is in question."""
    if collection == "payouts":
        return _payout(shown, kind)
    if collection == "charges":
        return _charge(shown)
    if collection == "refunds":
        return _refund(shown, kind)
    return _dispute(shown)


def amount(collection: str, shown: Shown, kind: str) -> Money | None:
    """The sum an event of that kind would name; None where the object does not show it."""
    if kind == "refund.observed":
        return None
    stated = shown.get("amount")
    if kind == "payment.captured" and int_or_none(shown.get("amount_captured")):
        stated = shown.get("amount_captured")
    return callkit.money_or_none(lambda: money_from_stripe(stated, shown.get("currency")))


def failure_code(collection: str, shown: Shown) -> str | None:
    """The word that an event about the object would name."""
    names = ("reason",) if collection == "disputes" else ("failure_code", "failure_reason")
    return next((word for name in names if (word := text_or_none(shown.get(name)))), None)


def _payout(shown: Shown, kind: str) -> Reached:
    family, _, step = kind.partition(".")
    status = str(shown.get("status"))
    steps = PAYOUT_STEPS.get(status)
    if steps is None:
        return UNREADABLE
    if shown.get("reversed_by"):
        steps = (*PAYOUT_STEPS["paid"], "returned")
    elif status == "failed" and step in HIDDEN_BY_FAILURE:
        return NoAnswer(reason=f"failed_hides_{step}")
    if family == "settlement" and shown.get("reconciliation_status") == "completed":
        steps = (*steps, "reconciled")
    return frozenset(f"{family}.{each}" for each in steps)


def _refund(shown: Shown, kind: str) -> Reached:
    status = str(shown.get("status"))
    steps = REFUND_STEPS.get(status)
    if steps is None:
        return UNREADABLE
    if status == "failed" and kind == "refund.succeeded":
        return NoAnswer(reason="failed_hides_succeeded")
    return frozenset(steps)


def _charge(shown: Shown) -> Reached:
    status, kinds = shown.get("status"), set()
    if status not in ("succeeded", "pending", "failed"):
        return UNREADABLE
    if status == "failed":
        kinds.add("payment.failed")
    if status == "succeeded":
        kinds.add("payment.authorized")
        if shown.get("captured") is True:
            kinds.add("payment.captured")
    if (int_or_none(shown.get("amount_refunded")) or 0) > 0:
        kinds.add("refund.observed")
    return frozenset(kinds)


def _dispute(shown: Shown) -> Reached:
    status = shown.get("status")
    if not isinstance(status, str) or not status:
        return UNREADABLE
    kinds = {"dispute.opened", "dispute.updated"}
    if status in disputes.ENDS:
        kinds.add(disputes.ENDS[status])
    movements = shown.get("balance_transactions")
    for movement in movements if isinstance(movements, list) else []:
        moved = int_or_none(movement.get("amount")) if isinstance(movement, dict) else None
        if moved:
            kinds.add("dispute.funds_withdrawn" if moved < 0 else "dispute.funds_returned")
    return frozenset(kinds)
