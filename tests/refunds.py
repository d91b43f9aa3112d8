"""Charges to refund, and refunds asked for: through the product's own doors."""

from __future__ import annotations

import itertools
import time
from typing import Any

from payops.core import clock
from payops.core.money import Money
from payops.flows.refunds import request as refund_flow
from payops.flows.refunds.request import RefundAsk
from payops.payments.models import Payment, Refund
from tests import builders
from tests.people import actor, person

_numbers = itertools.count(1)
# What the reason "order_canceled" asks for, all of it.
COMPLETE = {"order_reference": "ORDER-1"}


def charge(amount_minor: int = 10_000, *, order: str = "") -> Payment:
    """A captured payment of the Standard provider; `order` is the merchant's reference."""
    number = next(_numbers)
    said = {
        "id": f"spm_rf_{number}_{time.time_ns()}",
        "object": "payment",
        "reference": order or f"ORDER-RF-{number}",
        "amount": amount_minor,
        "currency": "EUR",
        "status": "captured",
        "fee": 0,
        "platform_fee": 0,
        "seller": "S-1001",
        "method": "card",
        "created": int(time.time()),
    }
    assert builders.post_standard(builders.standard_event("payment.captured", said)) == 200
    builders.drain()
    found = Payment.objects.select_related("book", "account", "beneficiary")
    return found.get(provider_ref=said["id"])


def fresh(payment: Payment) -> Payment:
    return Payment.objects.select_related("book", "account", "beneficiary").get(pk=payment.pk)


def asking(payment: Payment, amount: str | None = "30.00", **changes: Any) -> RefundAsk:
    """What somebody asks for; `by` is a login, `amount` None all that is left."""
    by = changes.pop("by", "amara")
    told: dict[str, Any] = {
        "payment": payment,
        "amount": Money.from_decimal(amount, payment.currency) if amount else None,
        "reason_code": "order_canceled",
        "note": "the customer canceled",
        "evidence": dict(COMPLETE),
        "request_key": f"test:{next(_numbers)}:{time.time_ns()}",
        "requested_by": person(by),
    }
    return RefundAsk(**{**told, **changes})


def ask(payment: Payment, amount: str | None = "30.00", **changes: Any) -> Refund:
    by = changes.get("by", "amara")
    wanted = asking(payment, amount, **changes)
    return refund_flow.request_refund(ask=wanted, actor=actor(by), now=clock.utc_now())


def cancel(refund_id: str, *, by: str = "lena") -> Refund:
    """Taken back before it left."""
    key = Refund.key_of(refund_id)
    return refund_flow.cancel(
        refund_id=key, reason="not meant", actor=actor(by), now=clock.utc_now()
    )
