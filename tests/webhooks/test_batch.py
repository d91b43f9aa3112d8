"""Several items in one body: good ones are kept, bad ones refused one by one (WH-2, WH-8)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from payops.core import clock
from payops.core.models import Message
from payops.psp.base import Authentication, WebhookItem
from payops.psp.stripe.adapter import StripeAdapter
from payops.webhooks.models import Delivery, Payload, ProviderEvent
from tests.webhooks.senders import send_stripe, stripe_body

pytestmark = pytest.mark.django_db(transaction=True)


def item(index: int, *, key: str, verified: bool = True, lane: str = "high") -> WebhookItem:
    return WebhookItem(
        index=index,
        provider_event_id=key,
        dedupe_key=f"{key}:obj",
        fingerprint="f" * 64,
        event_type="REFUND",
        object_id="obj",
        amount_minor=100,
        currency="EUR",
        occurred_at=clock.utc_now(),
        live=False,
        lane=lane,
        sequence=index,
        verified=verified,
        reason="" if verified else "signature_mismatch",
    )


@pytest.fixture
def deliver(monkeypatch):
    """Post one body whose adapter finds the given items in it."""

    def _deliver(*items: WebhookItem) -> int:
        verdict = Authentication(ok=True, items=items)
        monkeypatch.setattr(StripeAdapter, "authenticate", lambda self, **facts: verdict)
        return send_stripe(stripe_body()).status_code

    return _deliver


def test_all_good_items_of_a_batch_become_events_of_one_payload(deliver):
    status = deliver(item(0, key="a"), item(1, key="b"), item(2, key="c"))

    assert status == 200
    assert list(
        ProviderEvent.objects.order_by("item_index").values_list("item_index", "dedupe_key")
    ) == [(0, "a:obj"), (1, "b:obj"), (2, "c:obj")]
    assert Delivery.objects.count() == 3
    assert Payload.objects.count() == 1
    assert ProviderEvent.objects.values("payload").distinct().count() == 1


def test_mixed_batch_stores_the_good_and_records_the_bad_with_2xx(deliver):
    status = deliver(item(0, key="a"), item(1, key="b", verified=False))

    assert status == 200
    assert ProviderEvent.objects.get().dedupe_key == "a:obj"
    bad = Delivery.objects.get(signature_ok=False)
    assert (bad.item_index, bad.signature_reason, bad.payload_id) == (1, "signature_mismatch", None)
    assert (bad.dedupe_key, bad.provider_event_id, bad.duplicate) == ("", "", False)


def test_batch_without_a_single_good_item_is_refused_and_keeps_no_bytes(deliver):
    status = deliver(item(0, key="a", verified=False), item(1, key="b", verified=False))

    assert status == 401
    assert ProviderEvent.objects.count() == Payload.objects.count() == 0
    assert Delivery.objects.get().signature_reason == "signature_mismatch"


def test_same_event_twice_in_one_body_is_one_event_and_one_repetition(deliver):
    status = deliver(item(0, key="a"), replace(item(1, key="a"), index=1))

    assert status == 200
    assert ProviderEvent.objects.count() == 1
    assert sorted(Delivery.objects.values_list("duplicate", flat=True)) == [False, True]
    assert Message.objects.count() == 1
