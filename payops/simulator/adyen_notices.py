"""Adyen's payments and refunds: what happens to them and the notifications that tell of it.

Owns captures, refunds with their late failure, and chargebacks. One webhook body carries one item
or several. Transfers are lifecycle.py's.
"""

from dataclasses import dataclass
from typing import Any

from payops.simulator import adyen_objects
from payops.simulator.config import ADYEN
from payops.simulator.events import ONCE, Spread, event_put
from payops.simulator.store import (
    Database,
    Record,
    movement_add,
    movement_is_back,
    object_add,
    object_get,
    object_save,
    objects_select,
)
from payops.simulator.wire import Refused
from payops.simulator.world import World

# Event code -> the direction the payment's whole amount moves in with it, or None.
TOLD: dict[str, str | None] = {
    "NOTIFICATION_OF_CHARGEBACK": None,
    "REQUEST_FOR_INFORMATION": None,
    "CHARGEBACK": "out",
    "CHARGEBACK_REVERSED": "in",
    "SECOND_CHARGEBACK": "out",
    "PREARBITRATION_WON": None,
    "PREARBITRATION_LOST": None,
    "DISPUTE_DEFENSE_PERIOD_ENDED": None,
    "NOTIFICATION_OF_FRAUD": None,
    "MANUAL_REVIEW_ACCEPT": None,
    "CAPTURE_FAILED": "out",
}
# How a refund that was told as done still goes wrong.
LATE = ("REFUND_FAILED", "REFUNDED_REVERSED")


@dataclass(frozen=True)
class Notice:
    """One item about to be told; `reference` is the merchant's."""

    code: str
    psp_reference: str
    reference: str
    amount: int
    success: bool = True
    reason: str = ""


def payment_tell(
    world: World, db: Database, *, payment: Record, spread: Spread, split: bool = False
) -> str:
    """AUTHORISATION and CAPTURE, in one body or in two; the id of the last event."""
    body = payment.body
    is_paid = body["status"] == "captured"
    notices = [
        Notice(
            "AUTHORISATION",
            payment.id,
            body["reference"],
            body["amount"],
            success=is_paid,
            reason="081700:1111:03/2030" if is_paid else "Refused",
        )
    ]
    if is_paid:
        notices.append(Notice("CAPTURE", body["capture"], body["reference"], body["amount"]))
    parts = [[notice] for notice in notices] if split else [notices]
    ids = [notify(world, db, payment=payment, notices=part, spread=spread) for part in parts]
    return ids[-1]


def refund_open(
    world: World, db: Database, *, payment: Record, amount: int, reference: str, key: str | None
) -> Record:
    """A refund that was asked for: done when enough is left, else told as REFUND false."""
    body = payment.body
    left = body["amount"] - body["refunded"] if body["status"] == "captured" else 0
    is_good = amount <= left
    refund = {
        "id": adyen_objects.reference_new(),
        "amount": amount,
        "currency": body["currency"],
        "status": "succeeded" if is_good else "failed",
        "failure_code": None if is_good else "Insufficient balance on payment",
        "created": int(world.clock()),
        "reference": reference,
        "payment": payment.id,
    }
    record = Record(
        seq=0,
        id=str(refund["id"]),
        provider=ADYEN,
        kind="refund",
        reference=reference,
        merchant_reference=body["reference"],
        parent=payment.id,
        body=refund,
    )
    object_add(
        db,
        provider=ADYEN,
        kind="refund",
        body=refund,
        reference=reference,
        merchant_reference=body["reference"],
        parent=payment.id,
    )
    if is_good:
        body["refunded"] += amount
        object_save(db, body=body)
        _move(world, db, record, kind="refund", direction="out", key=key)
    notice = Notice(
        "REFUND",
        record.id,
        reference,
        amount,
        success=is_good,
        reason=str(refund["failure_code"] or ""),
    )
    notify(world, db, payment=payment, notices=[notice], spread=ONCE)
    return record


def refund_fail(world: World, db: Database, *, name: str, code: str, spread: Spread) -> str:
    """A refund told as done that goes wrong later: the money is back. Once per refund."""
    if code not in LATE:
        raise Refused(400, f"event must be one of: {', '.join(LATE)}.", param="event")
    refund = object_get(db, provider=ADYEN, kind="refund", id=name)
    if refund is None:
        found = objects_select(
            db,
            where="provider = 'adyen' AND kind = 'refund' AND reference = ?",
            values=(name,),
            limit=1,
        )
        refund = found[0] if found else None
    if refund is None:
        raise Refused(404, f"No refund {name[:80]}.", code="resource_missing")
    if refund.body["status"] != "succeeded" or movement_is_back(db, object_id=refund.id):
        raise Refused(409, f"{refund.id} has failed already.", code="already_failed")
    payment = object_get(db, provider=ADYEN, kind="payment", id=refund.body["payment"])
    assert payment is not None
    refund.body["status"] = "failed"
    object_save(db, body=refund.body)
    payment.body["refunded"] -= refund.body["amount"]
    object_save(db, body=payment.body)
    _move(world, db, refund, kind="refund_failure", direction="in")
    # Adyen tells a late failure under the pspReference of the refund itself.
    notice = Notice(
        code,
        refund.id,
        refund.reference or "",
        refund.body["amount"],
        reason="Refund was refused by the scheme",
    )
    return notify(world, db, payment=payment, notices=[notice], spread=spread)


def payment_disturb(
    world: World, db: Database, *, payment: Record, code: str, spread: Spread
) -> str:
    """A chargeback, its reversal, or news without money, about the whole payment."""
    if code not in TOLD:
        raise Refused(400, f"event must be one of: {', '.join(TOLD)}.", param="event")
    body = payment.body
    if direction := TOLD[code]:
        _move(world, db, payment, kind=code.lower(), direction=direction)
    told = Notice(code, adyen_objects.reference_new(), body["reference"], body["amount"])
    return notify(world, db, payment=payment, notices=[told], spread=spread)


def notify(
    world: World, db: Database, *, payment: Record, notices: list[Notice], spread: Spread
) -> str:
    """Store one body of these items and queue it; the id of the event."""
    config = world.config
    items: list[dict[str, Any]] = [
        adyen_objects.item(
            payment.body,
            code=notice.code,
            merchant=config.adyen_merchant,
            psp_reference=notice.psp_reference,
            reference=notice.reference,
            value=notice.amount,
            at=world.clock(),
            success=notice.success,
            reason=notice.reason,
        )
        for notice in notices
    ]
    event = adyen_objects.notification(items, secret=config.endpoints[ADYEN].secrets[0])
    return event_put(
        world,
        db,
        provider=ADYEN,
        type=",".join(notice.code for notice in notices),
        object_id=payment.id,
        event=event,
        spread=spread,
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
