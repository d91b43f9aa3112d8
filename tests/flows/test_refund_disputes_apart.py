"""The money of a dispute is never taken for a refund, nor a refund's failure for a dispute (RF-15).

Told with the providers' own event names, as their fixtures have them.
"""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from payops.flows.batch import EventWork
from payops.flows.refunds import events as refund_events
from payops.payments.models import Dispute, Payment, Refund
from payops.psp import registry
from payops.webhooks.models import ProviderEvent
from tests.builders import drain
from tests.flows.refund_life import adyen_item, charged, counters, keep, sent, teller_of
from tests.psp.signed import fixture

pytestmark = pytest.mark.django_db(transaction=True)


def kind_of(provider: str, name: str) -> str:
    return registry.adapter(provider).parse(fixture(provider, name)).kind


DISPUTES = [
    ("stripe", "dispute_funds_withdrawn"),
    ("stripe", "dispute_funds_reinstated"),
    ("adyen", "chargeback"),
    ("adyen", "chargeback_reversed"),
    ("adyen", "second_chargeback"),
    ("paypal", "capture_reversed"),
    ("standard", "dispute_funds_returned"),
]
REFUNDS = [
    ("stripe", "refund_failed_late"),
    ("stripe", "charge_refund_updated_failed"),
    ("adyen", "refund_failed"),
    ("adyen", "refunded_reversed"),
    ("adyen", "refund_refused"),
    ("paypal", "refund_failed"),
    ("standard", "refund_reversed"),
]


@pytest.mark.parametrize(("provider", "name"), DISPUTES)
def test_the_money_of_a_dispute_is_no_refund(provider: str, name: str) -> None:
    assert kind_of(provider, name).startswith("dispute.")


@pytest.mark.parametrize(("provider", "name"), REFUNDS)
def test_the_failure_of_a_refund_is_no_dispute(provider: str, name: str) -> None:
    assert kind_of(provider, name).startswith("refund.")


def test_no_event_is_read_by_both_flows() -> None:
    account = charged("standard").account
    for provider, name in DISPUTES + REFUNDS:
        said = registry.adapter(provider).parse(fixture(provider, name))
        work = EventWork(event=ProviderEvent(), said=said, account=account)
        assert refund_events.is_about(work) is not said.kind.startswith("dispute.")


def adyen_chargeback(payment: Payment, code: str, ref: str) -> dict[str, Any]:
    return adyen_item(code, ref, payment.provider_ref, 10_000, merchantReference="ORD-1")


def test_a_chargeback_and_its_reversal_leave_the_refunds_as_they_were() -> None:
    """F1: the money came and went; the customer's refund is another matter."""
    payment = charged("adyen")
    refund = sent(payment)
    teller = teller_of(refund)
    teller.tell("created")
    drain()
    before = counters(payment)
    ref = f"DISPUTE{time.time_ns()}"

    for code in ("CHARGEBACK", "CHARGEBACK_REVERSED"):
        keep(payment.account, adyen_chargeback(payment, code, ref))
        drain()

    assert Refund.objects.get(pk=refund.pk).state == "ACCEPTED"
    assert Refund.objects.count() == 1
    assert Dispute.objects.get().provider_ref == ref
    assert counters(payment) == before == (0, 3_000, 0)


def test_a_refund_that_comes_back_opens_no_dispute() -> None:
    payment = charged("adyen")
    refund = sent(payment)
    teller = teller_of(refund)
    for word in ("created", "returned", "failed"):
        teller.tell(word)
        drain()

    assert Refund.objects.get(pk=refund.pk).state == "RETURNED"
    assert not Dispute.objects.exists()


def test_paypal_s_reversed_capture_is_a_dispute_and_its_refunded_one_is_not() -> None:
    body = json.loads(fixture("paypal", "capture_reversed"))
    assert body["event_type"] == "PAYMENT.CAPTURE.REVERSED"
    assert kind_of("paypal", "capture_reversed") == "dispute.funds_withdrawn"
    assert kind_of("paypal", "capture_refunded") == "refund.succeeded"
