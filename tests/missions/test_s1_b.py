"""Story S1-b: the agent asks again while the provider's answer is lost; it is refunded once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ledger.models import JournalEntry
from payops.cases.models import LocalMessage
from payops.core.models import AuditEvent
from payops.flows import tasks
from payops.payments.models import Intent, Payment, ProviderCall, Refund
from payops.webhooks.models import Delivery
from tests.builders import drain
from tests.connectors.http_server import serving
from tests.desk import desk, event_of, record, submit
from tests.flows.provider import Provider, later
from tests.flows.refunding import calls, charges, exactly_once, fault, movements, settle
from tests.flows.test_refund_tickets import Desk

pytestmark = pytest.mark.django_db(transaction=True)
HEARING = ("high", "standard", "bulk", "outside")
BOTH = pytest.mark.parametrize("name", ["standard", "stripe"])


@pytest.fixture
def servicenow(provider: Provider, settings: Any) -> Iterator[Desk]:
    """The ticket system the agent works in, beside the provider."""
    desk()
    system = Desk()
    with serving(system):
        settings.HTTP_ALLOW = frozenset({*settings.HTTP_ALLOW, system.netloc})
        settings.SERVICENOW_URL = system.url
        yield system


def work(*lanes: str) -> None:
    """Workers of these lanes; whoever asks the provider what became of the refund comes later."""
    while sum(tasks.drain(lane, budget_s=30).claimed for lane in lanes):
        pass


@BOTH
def test_s1_b_the_agent_submits_again_and_the_customer_is_refunded_once(
    provider: Provider, servicenow: Desk, name: str
) -> None:
    """RF-5, RF-6, RF-8, RF-11, D14: one request, one key, a question before any new attempt."""
    (payment,) = charges(provider, name)
    asked = record(payment.merchant_ref, amount="30.00")
    ticket = servicenow.holds(asked["number"])
    fault(provider, "reset_after_success")

    assert submit(asked) == 200
    work(*HEARING)
    assert tasks.drain("calls", budget_s=1).claimed == 1
    work(*HEARING)

    refund = Refund.objects.get()
    assert (refund.state, refund.source, refund.ticket_ref) == (
        "UNKNOWN",
        "ticket",
        asked["number"],
    )
    key = Intent.objects.get(kind="refund").idempotency_key
    assert "provider's answer was lost" in ticket["work_notes"]
    assert Payment.objects.get(pk=payment.pk).reserved_minor == 3_000

    assert submit(asked) == 200
    work(*HEARING)

    assert Refund.objects.get().pk == refund.pk
    assert event_of(asked).subject_id == refund.public_id
    assert Delivery.objects.filter(provider_event_id=event_of(asked).provider_event_id).count() == 2
    again = AuditEvent.objects.get(action="refund.repeated")
    assert (again.subject_id, again.reason) == (
        refund.public_id,
        "asked again through ticket; it is UNKNOWN",
    )
    assert "not done twice" in ticket["work_notes"] and refund.public_id in ticket["work_notes"]
    assert calls(refund) == [("submit", "unknown")]

    settle()
    if name == "standard":
        provider.process.control("POST", f"/refunds/{refund.public_id}/succeed")
        provider.deliver()
        drain()
    later()
    drain()

    assert calls(refund) == [("submit", "unknown"), ("find", "succeeded")]
    assert Intent.objects.get(kind="refund").idempotency_key == key
    assert ProviderCall.objects.filter(operation="submit").count() == 1
    assert movements(provider) == exactly_once([refund])
    refund.refresh_from_db()
    assert refund.state == "SUCCEEDED"
    paid = Payment.objects.get(pk=payment.pk)
    assert (paid.captured_minor, paid.reserved_minor, paid.refunded_minor) == (10_000, 0, 3_000)
    classes = JournalEntry.objects.filter(subject_id=refund.public_id)
    assert sorted(classes.values_list("event_class", flat=True)) == [
        "refund.accepted",
        "refund.succeeded",
    ]
    done = LocalMessage.objects.get(correlation_id=f"{refund.public_id}:SUCCEEDED")
    assert ticket["work_notes"].startswith(f"Refund {refund.public_id} of 30.00 EUR: done ")
    assert refund.provider_ref in done.body


def test_s1_b_never_more_than_was_captured(provider: Provider, servicenow: Desk) -> None:
    """RF-10: with the answer lost, the rest of the charge is what other tickets may still ask."""
    (payment,) = charges(provider, "standard")
    fault(provider, "reset_after_success")
    submit(record(payment, amount="30.00"))
    work(*HEARING)
    assert tasks.drain("calls", budget_s=1).claimed == 1
    rest, beyond = record(payment, amount="70.00"), record(payment, amount="0.01")

    submit(rest)
    submit(beyond)
    work(*HEARING)

    states = dict(Refund.objects.values_list("amount_minor", "state"))
    assert states == {3_000: "UNKNOWN", 7_000: "AWAITING_APPROVAL", 1: "REFUSED"}
    refused = Refund.objects.get(state="REFUSED")
    assert "0.01 EUR asked, 0.00 EUR left of 100.00 EUR captured" in refused.refusal
    assert Payment.objects.get(pk=payment.pk).reserved_minor == 10_000
