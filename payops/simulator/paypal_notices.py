"""PayPal's captures and refunds: what happens to them and the events that tell of it.

Owns refunds with their late failure, reversals and disputes. Payouts are lifecycle.py's.
"""

from typing import Any

from payops.simulator import paypal_objects
from payops.simulator.config import PAYPAL
from payops.simulator.events import Spread, event_add
from payops.simulator.store import (
    Database,
    Record,
    movement_add,
    new_id,
    object_add,
    object_get,
    object_save,
    objects_select,
)
from payops.simulator.wire import Refused
from payops.simulator.world import World

REFUNDED = "PAYMENT.CAPTURE.REFUNDED"
REFUND_FAILED = "PAYMENT.REFUND.FAILED"
REVERSED = "PAYMENT.CAPTURE.REVERSED"
# Event type -> the state a dispute is in when it is told.
DISPUTES = {
    "CUSTOMER.DISPUTE.CREATED": "OPEN",
    "CUSTOMER.DISPUTE.UPDATED": "UNDER_REVIEW",
    "CUSTOMER.DISPUTE.RESOLVED": "RESOLVED",
}
TOLD = (REVERSED, *DISPUTES)


def refund_open(
    world: World,
    db: Database,
    *,
    capture: Record,
    amount: int,
    invoice_id: str | None,
    custom_id: str | None,
    note: str | None,
    key: str | None,
) -> Record:
    """Give back part of a capture; never more than is left (I6)."""
    left = capture.body["amount"] - capture.body["refunded"]
    if capture.body["status"] not in ("COMPLETED", "PARTIALLY_REFUNDED") or not left:
        raise Refused(422, "The capture has nothing left to refund.", code="capture_fully_refunded")
    if amount > left:
        raise Refused(
            422,
            f"The refund of {amount} minor units exceeds the {left} left of the capture.",
            code="refund_amount_exceeded",
            param="/amount/value",
            stored=True,
        )
    record = _refund(
        world, db, capture, amount, invoice_id=invoice_id, custom_id=custom_id, note=note
    )
    capture.body["refunded"] += amount
    is_whole = capture.body["refunded"] == capture.body["amount"]
    capture.body["status"] = "REFUNDED" if is_whole else "PARTIALLY_REFUNDED"
    capture.body["updated"] = int(world.clock())
    object_save(db, body=capture.body)
    _move(world, db, record, kind="refund", direction="out", key=key)
    shown = paypal_objects.refund_shown(record.body, base=world.paypal_base)
    event_add(world, db, record=record, type=REFUNDED, resource=shown)
    return record


def refund_fail(world: World, db: Database, *, name: str, spread: Spread) -> str:
    """A completed refund that fails later: the money is back. Once per refund."""
    refund = object_get(db, provider=PAYPAL, kind="refund", id=name)
    if refund is None:
        found = objects_select(
            db,
            where="provider = 'paypal' AND kind = 'refund' AND reference = ?",
            values=(name,),
            limit=1,
        )
        refund = found[0] if found else None
    if refund is None:
        raise Refused(404, f"No refund {name[:80]}.", code="resource_missing")
    if refund.body["status"] != "COMPLETED":
        raise Refused(409, f"{refund.id} has failed already.", code="already_failed")
    capture = object_get(db, provider=PAYPAL, kind="payment", id=refund.body["capture"])
    assert capture is not None
    refund.body.update(status="FAILED", updated=int(world.clock()))
    object_save(db, body=refund.body)
    capture.body["refunded"] -= refund.body["amount"]
    has_more = capture.body["refunded"] > 0
    capture.body["status"] = "PARTIALLY_REFUNDED" if has_more else "COMPLETED"
    object_save(db, body=capture.body)
    _move(world, db, refund, kind="refund_failure", direction="in")
    shown = paypal_objects.refund_shown(refund.body, base=world.paypal_base)
    return event_add(world, db, record=refund, type=REFUND_FAILED, resource=shown, spread=spread)


def payment_disturb(
    world: World, db: Database, *, payment: Record, type: str, spread: Spread
) -> str:
    """A reversal of what is left of a capture, or a dispute about it."""
    if type not in TOLD:
        raise Refused(400, f"event must be one of: {', '.join(TOLD)}.", param="event")
    base = world.paypal_base
    if type in DISPUTES:
        shown = paypal_objects.dispute_shown(
            payment.body,
            dispute_id=f"PP-D-{payment.id}",
            status=DISPUTES[type],
            at=world.clock(),
            base=base,
        )
        return event_add(world, db, record=payment, type=type, resource=shown, spread=spread)
    body = payment.body
    left = body["amount"] - body["refunded"]
    if body["status"] not in ("COMPLETED", "PARTIALLY_REFUNDED") or not left:
        raise Refused(409, f"{payment.id} has nothing left to reverse.", code="already_reversed")
    record = _refund(world, db, payment, left, invoice_id=None, custom_id=None, note="reversal")
    body |= {"refunded": body["amount"], "status": "REFUNDED", "updated": int(world.clock())}
    object_save(db, body=body)
    _move(world, db, record, kind="payment_reversal", direction="out")
    shown = paypal_objects.refund_shown(record.body, base=base)
    return event_add(world, db, record=record, type=type, resource=shown, spread=spread)


def _refund(
    world: World,
    db: Database,
    capture: Record,
    amount: int,
    *,
    invoice_id: str | None,
    custom_id: str | None,
    note: str | None,
) -> Record:
    now = int(world.clock())
    body: dict[str, Any] = {
        "id": new_id("R", size=18).upper()[:17],
        "amount": amount,
        "currency": capture.body["currency"],
        "status": "COMPLETED",
        "capture": capture.id,
        "total": capture.body["refunded"] + amount,
        "reference": invoice_id,
        "custom_id": custom_id,
        "note": note,
        "created": now,
        "updated": now,
    }
    reference = invoice_id or custom_id
    object_add(
        db,
        provider=PAYPAL,
        kind="refund",
        body=body,
        reference=reference,
        merchant_reference=capture.reference,
        parent=capture.id,
    )
    return Record(
        seq=0,
        id=str(body["id"]),
        provider=PAYPAL,
        kind="refund",
        reference=reference,
        merchant_reference=capture.reference,
        parent=capture.id,
        body=body,
    )


def _move(
    world: World, db: Database, record: Record, *, kind: str, direction: str, key: str | None = None
) -> None:
    movement_add(
        db,
        record=record,
        kind=kind,
        direction=direction,
        amount=record.body["amount"],
        currency=record.body["currency"],
        key=key,
        at=world.clock(),
    )
