"""What a refund looks like at each provider and by which events it is told.

Owns the bodies of new refunds and the table of their events. One failure at Stripe is told by two
events; Adyen tells of a refund under the payment's account with the refund's own reference, and
says nothing of a pending one. Never moves money.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from payops.simulator import adyen_notices, adyen_objects, paypal_objects
from payops.simulator.adyen_notices import Notice
from payops.simulator.config import ADYEN, PAYPAL, STANDARD, STRIPE
from payops.simulator.events import ONCE, Origin, Spread, event_add
from payops.simulator.money import shown_minor
from payops.simulator.refund_rules import Wish
from payops.simulator.store import Database, Record, new_id
from payops.simulator.world import World

PENDING, SUCCEEDED, FAILED = "pending", "succeeded", "failed"
REVERSED, CANCELED = "reversed", "canceled"
_CHANGED = ("refund.updated", "charge.refund.updated")
STRIPE_EVENTS: Mapping[str, tuple[str, ...]] = {
    SUCCEEDED: _CHANGED,
    CANCELED: _CHANGED,
    FAILED: ("refund.failed", "charge.refund.updated"),
}
PAYPAL_EVENTS: Mapping[str, str] = {
    PENDING: "PAYMENT.REFUND.PENDING",
    SUCCEEDED: "PAYMENT.CAPTURE.REFUNDED",
    FAILED: "PAYMENT.REFUND.FAILED",
    CANCELED: "PAYMENT.REFUND.CANCELLED",
}


@dataclass(frozen=True)
class News:
    """What became of a refund: `word` is its status now, `before` what the members were."""

    refund: Record
    payment: Record
    word: str
    is_new: bool = False
    is_late: bool = False
    before: Mapping[str, Any] = field(default_factory=dict)
    payment_before: Mapping[str, Any] = field(default_factory=dict)
    origin: Origin | None = None
    spread: Spread = ONCE


def refund_body(payment: Record, *, wish: Wish, status: str, created: int) -> dict[str, Any]:
    """A new refund as its provider stores it."""
    shown_minor(payment.provider, wish.amount, payment.body["currency"].upper())
    return _BODIES[payment.provider](payment, wish, status, created)


def refund_tell(world: World, db: Database, news: News) -> str | None:
    """Send the events of this provider; the id of the last one, None where it says nothing."""
    return _TELLERS[news.refund.provider](world, db, news)


def _tell_stripe(world: World, db: Database, news: News) -> str | None:
    def tell(record: Record, type: str, previous: Mapping[str, Any]) -> str:
        return event_add(
            world,
            db,
            record=record,
            type=type,
            previous=previous,
            origin=news.origin,
            spread=news.spread,
        )

    if news.is_new:
        tell(news.refund, "refund.created", {})
        return tell(news.payment, "charge.refunded", news.payment_before)
    told = None
    for type in STRIPE_EVENTS[news.word]:
        told = tell(news.refund, type, news.before)
    return told


def _tell_adyen(world: World, db: Database, news: News) -> str | None:
    if news.word == PENDING:
        return None
    codes = {
        SUCCEEDED: "REFUND",
        FAILED: "REFUND_FAILED" if news.is_late else "REFUND",
        REVERSED: "REFUNDED_REVERSED",
        CANCELED: "VOID_PENDING_REFUND",
    }
    notice = Notice(
        codes[news.word],
        news.refund.id,
        news.refund.reference or "",
        news.refund.body["amount"],
        success=news.word != FAILED or news.is_late,
        reason=str(news.refund.body["failure_code"] or ""),
    )
    return adyen_notices.notify(
        world,
        db,
        payment=news.payment,
        notices=[notice],
        spread=news.spread,
        about=news.refund.id,
    )


def _tell_paypal(world: World, db: Database, news: News) -> str | None:
    return event_add(
        world,
        db,
        record=news.refund,
        type=PAYPAL_EVENTS[news.word],
        resource=paypal_objects.refund_shown(news.refund.body, base=world.paypal_base),
        spread=news.spread,
    )


def _tell_standard(world: World, db: Database, news: News) -> str | None:
    words = ["created"] if news.is_new else []
    words += [news.word] if news.word != PENDING else []
    told = None
    for word in words:
        told = event_add(
            world,
            db,
            record=news.refund,
            type=f"refund.{word}",
            previous=news.before,
            origin=news.origin,
            spread=news.spread,
        )
    return told


def _stripe(payment: Record, wish: Wish, status: str, created: int) -> dict[str, Any]:
    return {
        "id": new_id("re_sim", size=20),
        "object": "refund",
        "amount": wish.amount,
        "balance_transaction": None,
        "charge": payment.id,
        "created": created,
        "currency": payment.body["currency"],
        "destination_details": {"type": "card", "card": {"type": "refund"}},
        "failure_balance_transaction": None,
        "failure_reason": None,
        "metadata": dict(wish.more.get("metadata", {})),
        "payment_intent": None,
        "pending_reason": "processing" if status == PENDING else None,
        "reason": wish.more.get("reason"),
        "status": status,
    }


def _adyen(payment: Record, wish: Wish, status: str, created: int) -> dict[str, Any]:
    return {
        "id": adyen_objects.reference_new(),
        "amount": wish.amount,
        "currency": payment.body["currency"],
        "status": status,
        "failure_code": None,
        "created": created,
        "reference": wish.reference,
        "payment": payment.id,
    }


def _paypal(payment: Record, wish: Wish, status: str, created: int) -> dict[str, Any]:
    return {
        "id": paypal_objects.paypal_id(),
        "amount": wish.amount,
        "currency": payment.body["currency"],
        "status": status,
        "failure_code": None,
        "capture": payment.id,
        "total": 0,
        "invoice_id": wish.more.get("invoice_id"),
        "custom_id": wish.more.get("custom_id"),
        "note": wish.more.get("note"),
        "created": created,
        "updated": created,
    }


def _standard(payment: Record, wish: Wish, status: str, created: int) -> dict[str, Any]:
    return {
        "id": new_id("srf_"),
        "object": "refund",
        "payment": payment.id,
        "reference": wish.reference,
        "merchant_reference": wish.merchant_reference,
        "amount": wish.amount,
        "currency": payment.body["currency"],
        "status": status,
        "failure_code": None,
        "failure_message": None,
        "created": created,
    }


_BODIES: Mapping[str, Callable[[Record, Wish, str, int], dict[str, Any]]] = {
    STRIPE: _stripe,
    ADYEN: _adyen,
    PAYPAL: _paypal,
    STANDARD: _standard,
}
_TELLERS: Mapping[str, Callable[[World, Database, News], str | None]] = {
    STRIPE: _tell_stripe,
    ADYEN: _tell_adyen,
    PAYPAL: _tell_paypal,
    STANDARD: _tell_standard,
}
