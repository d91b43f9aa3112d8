"""PayPal objects as they stand now, in the product's own words (WH-15, D14).

Owns the tables status → state and status → what must have happened. Reads answers only; asks
nothing.
"""

from collections.abc import Mapping
from typing import Any

from payops.core.money import Money
from payops.psp import callkit
from payops.psp.base import NormalizedEvent
from payops.psp.calling import NoAnswer, ObjectState, PayoutState, PayoutStatus, StateLookup
from payops.psp.paypal import disputes, events
from payops.psp.paypal.amounts import money_from_paypal
from payops.psp.paypal.timestamps import utc_from_rfc3339
from payops.psp.strictjson import child, id_or_none, text_or_none

PAYOUT_STATUSES: Mapping[str, PayoutStatus] = {
    "NEW": "pending",
    "PENDING": "pending",
    "UNCLAIMED": "in_transit",
    "ONHOLD": "in_transit",
    "HELD": "in_transit",
    "SUCCESS": "paid",
    "FAILED": "failed",
    "BLOCKED": "failed",
    "DENIED": "failed",
    "RETURNED": "returned",
    "REFUNDED": "returned",
    "REVERSED": "returned",
    "CANCELED": "canceled",
    "CANCELLED": "canceled",
}
PAYOUT_REACHED: Mapping[str, frozenset[str]] = {
    "pending": frozenset(),
    "in_transit": frozenset({"payout.in_transit"}),
    "paid": frozenset({"payout.in_transit", "payout.paid"}),
    "failed": frozenset({"payout.failed"}),
    "returned": frozenset({"payout.in_transit", "payout.returned"}),
    "canceled": frozenset({"payout.canceled"}),
}
# The recipient gave it back, or it was taken back from them: they had it.
PAID_BEFORE_IT_CAME_BACK = frozenset({"REFUNDED", "REVERSED"})
CAPTURE_REACHED: Mapping[str, frozenset[str]] = {
    "PENDING": frozenset(),
    "COMPLETED": frozenset({"payment.captured"}),
    "PARTIALLY_REFUNDED": frozenset({"payment.captured", "refund.observed"}),
    "REFUNDED": frozenset({"payment.captured", "refund.observed"}),
    "DECLINED": frozenset({"payment.failed"}),
    "FAILED": frozenset({"payment.failed"}),
}
REFUND_REACHED: Mapping[str, frozenset[str]] = {
    "PENDING": frozenset({"refund.accepted"}),
    "COMPLETED": frozenset({"refund.accepted", "refund.succeeded"}),
    "FAILED": frozenset({"refund.accepted", "refund.failed", "refund.failed_late"}),
    "CANCELLED": frozenset({"refund.accepted", "refund.canceled"}),
    "CANCELED": frozenset({"refund.accepted", "refund.canceled"}),
}
UNREADABLE = NoAnswer(reason="answer_unreadable")


def payout_echo(item: Mapping[str, Any]) -> callkit.Echo:
    payout = child(item, "payout_item")
    return callkit.Echo(
        provider_ref=id_or_none(item.get("payout_item_id")),
        status=text_or_none(item.get("transaction_status")),
        amount=callkit.money_or_none(lambda: money_from_paypal(payout.get("amount"))),
        reference=id_or_none(payout.get("sender_item_id")),
    )


def payout_state(item: Mapping[str, Any]) -> PayoutState | NoAnswer:
    echo = payout_echo(item)
    status = PAYOUT_STATUSES.get(echo.status or "")
    if echo.provider_ref is None or echo.amount is None or status is None:
        return UNREADABLE
    code, message = events.failure(item)
    moved = id_or_none(item.get("transaction_id"))
    back = status == "returned"
    if back and events.unclaimed_code(code):
        status = "failed"
    ours = echo.reference if echo.reference and events.OUR_REF.fullmatch(echo.reference) else None
    return PayoutState(
        provider_ref=echo.provider_ref,
        status=status,
        raw_status=echo.status or "",
        amount=echo.amount,
        our_ref=ours,
        merchant_ref=None if ours else echo.reference,
        created_at=utc_from_rfc3339(item.get("time_processed")),
        failure_code=code,
        failure_message=message,
        failure_movement_ref=f"{moved or echo.provider_ref}:back" if back else None,
        movement_ref=moved,
        trace_ref=text_or_none(item.get("activity_id")),
    )


def payout_reached(item: Mapping[str, Any], said: NormalizedEvent) -> StateLookup:
    state = payout_state(item)
    if isinstance(state, NoAnswer):
        return state
    reached = PAYOUT_REACHED[state.status] | {"payout.initiated"}
    if state.raw_status in PAID_BEFORE_IT_CAME_BACK:
        reached |= {"payout.paid"}
    if state.raw_status == "RETURNED" and said.kind == "payout.canceled":
        # A canceled item becomes RETURNED and keeps no trace of the cancel.
        reached |= {"payout.canceled"}
    return ObjectState(
        provider_ref=state.provider_ref,
        raw_status=state.raw_status,
        reached=frozenset(reached),
        amount=state.amount,
        our_ref=state.our_ref,
        failure_code=state.failure_code,
    )


def capture_reached(body: Mapping[str, Any], said: NormalizedEvent) -> StateLookup:
    return _reached(body, CAPTURE_REACHED)


def refund_reached(body: Mapping[str, Any], said: NormalizedEvent) -> StateLookup:
    if said.kind == "dispute.funds_withdrawn":
        # A reversal is kept like a refund; that it exists is what was said.
        return _reached(body, dict.fromkeys(REFUND_REACHED, frozenset({said.kind})))
    if said.kind == "refund.succeeded" and body.get("status") == "FAILED":
        return NoAnswer(reason="failed_hides_succeeded")
    return _reached(body, REFUND_REACHED)


def dispute_reached(body: Mapping[str, Any], said: NormalizedEvent) -> StateLookup:
    status, ref = text_or_none(body.get("status")), id_or_none(body.get("dispute_id"))
    if status is None or ref is None:
        return UNREADABLE
    reached = {"dispute.opened"}
    if body.get("update_time") not in (None, body.get("create_time")):
        reached.add("dispute.updated")
    if status == "RESOLVED":
        reached.add(disputes.end_of(body))
    return ObjectState(
        provider_ref=ref,
        raw_status=status,
        reached=frozenset(reached),
        amount=callkit.money_or_none(lambda: money_from_paypal(body.get("dispute_amount"))),
        failure_code=events.failure(body)[0],
    )


def _reached(body: Mapping[str, Any], table: Mapping[str, frozenset[str]]) -> StateLookup:
    status, ref = text_or_none(body.get("status")), id_or_none(body.get("id"))
    reached = table.get(status or "")
    if status is None or ref is None or reached is None:
        return UNREADABLE
    return ObjectState(
        provider_ref=ref,
        raw_status=status,
        reached=reached,
        amount=_amount(body),
        our_ref=events.our_ref_of(body),
        failure_code=events.failure(body)[0],
    )


def _amount(body: Mapping[str, Any]) -> Money | None:
    return callkit.money_or_none(lambda: money_from_paypal(body.get("amount")))
