"""Story S1-a: the provider tells of one refund twice, and the second telling does nothing."""

from __future__ import annotations

import copy

import pytest
from django.test import Client

from ledger.models import JournalEntry
from payops.core.models import AuditEvent
from payops.payments.models import Refund
from payops.webhooks.models import Delivery, ProviderEvent
from tests import refunds
from tests.builders import drain
from tests.flows.provider import Provider
from tests.flows.refunding import charges, exactly_once, fault, movements, settle
from tests.simulator.process import Received

pytestmark = pytest.mark.django_db(transaction=True)


def post(told: Received) -> int:
    headers = {name: value for name, value in told.headers.items() if name != "host"}
    kind = headers.pop("content-type", "application/json")
    return Client().post(told.path, data=told.body, content_type=kind, headers=headers).status_code


def effects() -> tuple[object, ...]:
    """Everything one refund leaves behind that a second telling must not change."""
    refund = Refund.objects.get()
    payment = refund.payment
    return (
        refund.state,
        refund.provider_ref,
        payment.reserved_minor,
        payment.refunded_minor,
        sorted(JournalEntry.objects.values_list("idempotency_key", "fingerprint")),
        AuditEvent.objects.filter(subject_id=refund.public_id).count(),
    )


def test_s1_a_refund_created_arrives_twice_and_the_second_is_recognised(
    provider: Provider,
) -> None:
    """RF-2, WH-7: known by its id, nothing runs again, "duplicate webhook ignored" on record."""
    (payment,) = charges(provider, "stripe")
    refund = refunds.ask(payment, "30.00")
    # The call's own answer is lost, so that the webhook is the first to tell of the refund.
    fault(provider, "reset_after_success")
    drain()
    assert Refund.objects.get().state == "UNKNOWN"
    provider.process.quiet()
    (told,) = [each for each in provider.receiver.received if b'"refund.created"' in each.body]
    again = copy.deepcopy(told)

    assert post(told) == 200
    drain()
    event = ProviderEvent.objects.get(type="refund.created")
    assert (event.state, event.subject_id) == ("PROCESSED", refund.public_id)
    before = effects()
    assert before[:4] == ("SUCCEEDED", Refund.objects.get().provider_ref, 0, 3_000)

    assert post(again) == 200
    drain()

    assert ProviderEvent.objects.get(type="refund.created").pk == event.pk
    deliveries = Delivery.objects.filter(provider_event_id=event.provider_event_id)
    assert list(deliveries.order_by("created_at").values_list("duplicate", flat=True)) == [
        False,
        True,
    ]
    ignored = AuditEvent.objects.get(action="event.duplicate_ignored")
    assert (ignored.subject_id, ignored.reason) == (event.public_id, "duplicate webhook ignored")
    assert effects() == before
    settle()
    assert Refund.objects.get().state == "SUCCEEDED"
    assert movements(provider) == exactly_once([refund])
