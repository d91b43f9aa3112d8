"""Incoming payments that a person or a test lets happen at a provider.

Owns the charge (Stripe) and the payment (standard provider) with fee, movement and event. The
product never asks for these: they arrive as webhooks, and can be read back by id.
"""

from dataclasses import dataclass
from typing import Any

from payops.simulator.config import STRIPE
from payops.simulator.events import Spread, event_add
from payops.simulator.lifecycle import balance_transaction_add
from payops.simulator.store import Database, Record, movement_add, new_id, object_add
from payops.simulator.world import World

SUCCEEDED, FAILED = "succeeded", "failed"


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


def payment_open(
    world: World, db: Database, *, payment: Payment, spread: Spread
) -> tuple[Record, str]:
    """Create the payment and tell of it; the object and the id of its event."""
    now = world.clock()
    stripe = payment.provider == STRIPE
    body = (_charge if stripe else _payment)(payment, int(now))
    if stripe and payment.status == SUCCEEDED:
        body["balance_transaction"] = balance_transaction_add(
            db,
            body=body,
            type="charge",
            amount=payment.amount,
            fee=payment.fee,
            created=int(now),
        )
    kind = "charge" if stripe else "payment"
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
    good, bad = ("charge.succeeded", "charge.failed")
    if not stripe:
        good, bad = ("payment.captured", "payment.failed")
    type = good if payment.status == SUCCEEDED else bad
    return record, event_add(world, db, record=record, type=type, spread=spread)


def _charge(payment: Payment, created: int) -> dict[str, Any]:
    paid = payment.status == SUCCEEDED
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
        "payment_method_details": {"card": {"brand": "visa"}, "type": "card"},
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
        "seller": payment.seller,
        "method": "card",
        "created": created,
    }
