"""The part of the scripted day about money that goes back: one refund, asked twice; a dispute."""

from __future__ import annotations

import time
from collections.abc import Callable

from django.conf import settings

from payops.core.money import Money
from payops.devstack.seed import acts
from payops.devstack.seed.provider import Provider, wait_until
from payops.payments.models import Dispute, Intent, Payment, Refund

Say = Callable[[str], None]
ORDER = {"order_reference": "the shop's order page", "carrier_status": "lost in the depot"}


def lost_answer(provider: Provider, say: Say) -> None:
    """The provider refunds and drops the connection; the agent asks again (S1-b)."""
    payment = _charge(provider, "standard", 10_000)
    match = {"provider": "standard", "operation": "refund.create"}
    provider.tell("/faults", match=match, fault="reset_after_success", times=1)
    first = _ask(payment, "30.00")
    again = _ask(payment, "30.00")
    wait_until(lambda: _state(first) in ("ACCEPTED", "SUCCEEDED"), "the refund found")
    intent = Intent.objects.get(subject_id=first.public_id)
    asked = intent.calls.filter(operation="find").count()
    say(f"   the agent asked twice: {'one refund' if first.pk == again.pk else 'two refunds'}")
    learned = "the provider was asked first" if asked else "its webhook told before we had to ask"
    say(f"   one key, sent once: {learned}; the customer is refunded once")
    say(f"   {settings.PUBLIC_URL}/refunds/{first.public_id}/")


def meets_a_chargeback(provider: Provider, say: Say) -> None:
    """Refunded, and disputed all the same: told at once, before its deadline."""
    payment = _charge(provider, "stripe", 8_900)
    refund = _ask(payment, "40.00")
    wait_until(lambda: _state(refund) == "SUCCEEDED", "the refund succeeded")
    provider.tell(f"/payments/{payment.merchant_ref}/dispute", reason="product_not_received")
    wait_until(payment.disputes.exists, "the dispute")
    dispute = Dispute.objects.get(payment=payment)
    say(f"   {refund.amount} had gone back already; a case asks to answer with its proof")
    say(f"   {settings.PUBLIC_URL}/disputes/{dispute.public_id}/")


def _charge(provider: Provider, name: str, amount: int) -> Payment:
    reference = f"SHOP-{int(time.time())}"
    provider.tell(
        "/payments",
        provider=name,
        reference=reference,
        seller="S-1005",
        amount=amount,
        currency="EUR",
        fee=amount * 29 // 1000,
        platform_fee=amount // 10,
        method="card",
    )
    captured = Payment.objects.filter(merchant_ref=reference, state="CAPTURED")
    wait_until(captured.exists, f"{reference} captured")
    return captured.select_related("account", "book", "beneficiary").get()


def _ask(payment: Payment, amount: str) -> Refund:
    return acts.ask_refund(
        payment=payment,
        amount=Money.from_decimal(amount, payment.currency),
        reason_code="item_not_received",
        evidence=ORDER,
    )


def _state(refund: Refund) -> str:
    return Refund.objects.values_list("state", flat=True).get(pk=refund.pk)
