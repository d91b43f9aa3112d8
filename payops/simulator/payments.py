"""Incoming payments that a person or a test lets happen at a provider.

Owns the charge (Stripe), the payment (Adyen, standard provider) and the capture (PayPal) with fee,
movement and event. The product never asks for these: they arrive as webhooks, and can be read back
by id.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from payops.simulator import adyen_notices, adyen_objects, paypal_notices, paypal_objects
from payops.simulator.config import ADYEN, PAYPAL, STANDARD, STRIPE
from payops.simulator.events import Spread, event_add
from payops.simulator.lifecycle import balance_transaction_add
from payops.simulator.money import shown_minor
from payops.simulator.store import (
    Database,
    Record,
    movement_add,
    new_id,
    object_add,
    object_find,
)
from payops.simulator.wire import Refused
from payops.simulator.world import World

SUCCEEDED, FAILED = "succeeded", "failed"
# How buyers can pay at each provider, the usual way first, and its word for it.
METHODS: Mapping[str, Mapping[str, str]] = {
    STRIPE: {name: name for name in ("card", "sepa_debit", "ideal", "paypal")},
    ADYEN: {"card": "visa", "sepa_debit": "sepadirectdebit", "ideal": "ideal", "paypal": "paypal"},
    PAYPAL: {"paypal": "paypal", "card": "card", "ideal": "ideal"},
    STANDARD: {name: name for name in ("card", "sepa_debit", "ideal", "paypal")},
}


@dataclass(frozen=True)
class Payment:
    """What a buyer paid: minor units, ISO currency, fees included in the amount."""

    provider: str
    reference: str
    seller: str
    amount: int
    currency: str
    fee: int
    platform_fee: int
    status: str = SUCCEEDED
    method: str = ""

    @property
    def told_method(self) -> str:
        """The method in its provider's word; without one it is the provider's usual."""
        words = METHODS[self.provider]
        if self.method and self.method not in words:
            text = f"method must be one of {', '.join(words)} at {self.provider}."
            raise Refused(400, text, code="parameter_invalid", param="method")
        return words[self.method] if self.method else next(iter(words.values()))


def payment_open(
    world: World, db: Database, *, payment: Payment, spread: Spread, split: bool = False
) -> tuple[Record, str]:
    """Create the payment and tell of it; the object and the id of its event.

    `split` has Adyen tell authorisation and capture in bodies of their own.
    """
    now = world.clock()
    if payment.provider not in world.config.endpoints:
        text = f"The account of {payment.provider} is not configured here."
        raise Refused(400, text, code="provider_absent", param="provider")
    body = _BODIES[payment.provider](payment, int(now))
    if payment.provider == STRIPE and payment.status == SUCCEEDED:
        body["balance_transaction"] = balance_transaction_add(
            db,
            body=body,
            type="charge",
            amount=payment.amount,
            fee=payment.fee,
            created=int(now),
        )
    kind = "charge" if payment.provider == STRIPE else "payment"
    record = Record(
        seq=0,
        id=body["id"],
        provider=payment.provider,
        kind=kind,
        reference=payment.reference,
        merchant_reference=None,
        parent=None,
        body=body,
    )
    object_add(db, provider=payment.provider, kind=kind, body=body, reference=payment.reference)
    if payment.status == SUCCEEDED:
        movement_add(
            db,
            record=record,
            kind="payment",
            direction="in",
            amount=payment.amount,
            currency=payment.currency,
            key=None,
            at=now,
        )
    return record, _tell(world, db, record, payment.status, spread, split)


def payment_named(db: Database, *, name: str) -> Record:
    """The newest payment with this id or reference."""
    return object_find(db, kinds=("payment", "charge"), name=name)


def payment_disturb(world: World, db: Database, *, name: str, event: str, spread: Spread) -> str:
    """Something happens to a payment later that is neither refund nor dispute; its event."""
    payment = payment_named(db, name=name)
    if payment.provider == ADYEN:
        return adyen_notices.payment_disturb(world, db, payment=payment, code=event, spread=spread)
    if payment.provider == PAYPAL:
        return paypal_notices.payment_disturb(world, db, payment=payment, type=event, spread=spread)
    text = f"{payment.provider} has no such events here; adyen and paypal have."
    raise Refused(400, text, code="act_unknown")


def _tell(
    world: World, db: Database, record: Record, status: str, spread: Spread, split: bool
) -> str:
    if record.provider == ADYEN:
        return adyen_notices.payment_tell(world, db, payment=record, spread=spread, split=split)
    good, bad = _EVENTS[record.provider]
    type = good if status == SUCCEEDED else bad
    resource = None
    if record.provider == PAYPAL:
        resource = paypal_objects.capture_shown(record.body, base=world.paypal_base)
    return event_add(world, db, record=record, type=type, spread=spread, resource=resource)


def _charge(payment: Payment, created: int) -> dict[str, Any]:
    paid, method = payment.status == SUCCEEDED, payment.told_method
    details = {"brand": "visa"} if method == "card" else {}
    return {
        "id": new_id("ch_sim", size=20),
        "object": "charge",
        "amount": payment.amount,
        "amount_captured": payment.amount if paid else 0,
        "amount_refunded": 0,
        "application_fee_amount": None,
        "balance_transaction": None,
        "captured": paid,
        "created": created,
        "currency": payment.currency.lower(),
        "description": None,
        "disputed": False,
        "failure_code": None if paid else "card_declined",
        "failure_message": None if paid else "Your card was declined.",
        "livemode": False,
        "metadata": {
            "payops_reference": payment.reference,
            "seller": payment.seller,
            "platform_fee": str(payment.platform_fee),
        },
        "paid": paid,
        "payment_intent": None,
        "payment_method_details": {method: details, "type": method},
        "refunded": False,
        "status": payment.status,
    }


def _payment(payment: Payment, created: int) -> dict[str, Any]:
    return {
        "id": new_id("spm_"),
        "object": "payment",
        "reference": payment.reference,
        "amount": payment.amount,
        "currency": payment.currency,
        "status": "captured" if payment.status == SUCCEEDED else "failed",
        "fee": payment.fee,
        "platform_fee": payment.platform_fee,
        "refunded": 0,
        "disputed": False,
        "seller": payment.seller,
        "method": payment.told_method,
        "created": created,
    }


def _adyen_payment(payment: Payment, created: int) -> dict[str, Any]:
    # An amount Adyen cannot express is refused before it exists.
    shown_minor(ADYEN, payment.amount, payment.currency)
    return _neutral(payment, created) | {
        "id": adyen_objects.reference_new(),
        "status": "captured" if payment.status == SUCCEEDED else "failed",
        "capture": adyen_objects.reference_new(),
    }


def _capture(payment: Payment, created: int) -> dict[str, Any]:
    shown_minor(PAYPAL, payment.amount, payment.currency)
    return _neutral(payment, created) | {
        "id": paypal_objects.paypal_id(),
        "status": "COMPLETED" if payment.status == SUCCEEDED else "DECLINED",
    }


def _neutral(payment: Payment, created: int) -> dict[str, Any]:
    return {
        "amount": payment.amount,
        "currency": payment.currency,
        "reference": payment.reference,
        "seller": payment.seller,
        "fee": payment.fee,
        "platform_fee": payment.platform_fee,
        "method": payment.told_method,
        "refunded": 0,
        "created": created,
        "updated": created,
    }


_BODIES: Mapping[str, Callable[[Payment, int], dict[str, Any]]] = {
    STRIPE: _charge,
    ADYEN: _adyen_payment,
    PAYPAL: _capture,
    STANDARD: _payment,
}
_EVENTS = {
    STRIPE: ("charge.succeeded", "charge.failed"),
    PAYPAL: ("PAYMENT.CAPTURE.COMPLETED", "PAYMENT.CAPTURE.DECLINED"),
    STANDARD: ("payment.captured", "payment.failed"),
}
