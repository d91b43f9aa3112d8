"""Adyen's classic notifications: how payments, and news of them without money, are told.

One webhook body carries one item or several. Refunds and disputes are told through here by
refund_news.py and dispute_news.py; transfers are lifecycle.py's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from payops.simulator import adyen_objects
from payops.simulator.config import ADYEN
from payops.simulator.events import Spread, event_put
from payops.simulator.store import (
    Database,
    Record,
    movement_add,
)
from payops.simulator.wire import Refused
from payops.simulator.world import World

# Event code -> the direction the payment's whole amount moves in with it, or None.
TOLD: dict[str, str | None] = {
    "NOTIFICATION_OF_FRAUD": None,
    "MANUAL_REVIEW_ACCEPT": None,
    "CAPTURE_FAILED": "out",
}


@dataclass(frozen=True)
class Notice:
    """One item about to be told; `reference` is the merchant's."""

    code: str
    psp_reference: str
    reference: str
    amount: int
    success: bool = True
    reason: str = ""
    additional: Mapping[str, str] = field(default_factory=dict)


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


def payment_disturb(
    world: World, db: Database, *, payment: Record, code: str, spread: Spread
) -> str:
    """A capture that failed after all, or news without money, about the whole payment."""
    if code not in TOLD:
        raise Refused(400, f"event must be one of: {', '.join(TOLD)}.", param="event")
    body = payment.body
    if direction := TOLD[code]:
        _move(world, db, payment, kind=code.lower(), direction=direction)
    told = Notice(code, adyen_objects.reference_new(), body["reference"], body["amount"])
    return notify(world, db, payment=payment, notices=[told], spread=spread)


def notify(
    world: World,
    db: Database,
    *,
    payment: Record,
    notices: list[Notice],
    spread: Spread,
    about: str = "",
) -> str:
    """Store one body of these items and queue it; the id of the event.

    `about` is the refund or dispute the event is kept with, where it is not the payment's own.
    """
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
            additional=notice.additional,
        )
        for notice in notices
    ]
    event = adyen_objects.notification(items, secret=config.endpoints[ADYEN].secrets[0])
    return event_put(
        world,
        db,
        provider=ADYEN,
        type=",".join(notice.code for notice in notices),
        object_id=about or payment.id,
        event=event,
        spread=spread,
    )


def _move(world: World, db: Database, record: Record, *, kind: str, direction: str) -> None:
    movement_add(
        db,
        record=record,
        kind=kind,
        direction=direction,
        amount=record.body["amount"],
        currency=record.body["currency"],
        key=None,
        at=world.clock(),
    )
