"""A batch of Adyen's at our own address: good items kept, bad ones refused alone (WH-2, WH-8)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from payops.core.models import ProviderAccount
from payops.psp.registry import adapter
from payops.webhooks.directory import directory
from payops.webhooks.models import Delivery, Payload, ProviderEvent
from payops.webhooks.throttle import throttle
from tests.accounts import with_secret
from tests.psp.adyen_signed import ACCOUNT as FACTS
from tests.psp.adyen_signed import KEY, header, item, notification, read, signed, transfer

pytestmark = pytest.mark.django_db(transaction=True)
URL = "/webhooks/adyen/demo/"


@pytest.fixture(autouse=True)
def account(settings: Any) -> Iterator[ProviderAccount]:
    settings.ROOT_URLCONF = "tests.webhooks.no_site"
    settings.MIDDLEWARE = ["payops.webhooks.edge.WebhookEdge"]
    found = ProviderAccount.objects.get(provider="adyen", slug="demo")
    with_secret("adyen", KEY)
    throttle.forget()
    yield found
    directory.forget()


def ours(account: ProviderAccount, **changes: Any) -> dict[str, Any]:
    return item(merchantAccountCode=account.settings["merchant_account"], **changes)


def post(raw: bytes, headers: dict[str, str] | None = None) -> HttpResponse:
    named = {f"HTTP_{name.upper()}": value for name, value in (headers or {}).items()}
    return Client().post(URL, raw, content_type="application/json", **named)


def test_mixed_batch_is_accepted_and_its_bad_item_refused_alone(account):
    good, other = signed(ours(account)), signed(ours(account, pspReference="K7TRCAPTURE00003"))
    forged = signed(ours(account, pspReference="K7TRCAPTURE00002")) | {"success": "false"}

    answer = post(notification(good, forged, other))

    assert (answer.status_code, answer.content) == (200, b"[accepted]")
    assert answer["Content-Type"] == "text/plain"
    events = ProviderEvent.objects.order_by("item_index")
    assert list(events.values_list("item_index", "provider_event_id")) == [
        (0, "K7TRCAPTURE00001:CAPTURE:true"),
        (2, "K7TRCAPTURE00003:CAPTURE:true"),
    ]
    assert Payload.objects.count() == 1
    bad = Delivery.objects.get(signature_ok=False)
    assert (bad.item_index, bad.signature_reason, bad.payload_id, bad.dedupe_key) == (
        1,
        "signature_mismatch",
        None,
        "",
    )


def test_repeated_batch_makes_no_second_event(account):
    raw = notification(signed(ours(account)))

    statuses = [post(raw).status_code for _ in range(3)]

    assert statuses == [200, 200, 200]
    assert ProviderEvent.objects.count() == 1
    assert Delivery.objects.filter(duplicate=True).count() == 2


def test_batch_of_forged_items_keeps_no_bytes(account):
    answer = post(notification(ours(account), ours(account)))

    assert (answer.status_code, answer.content) == (401, b"")
    assert ProviderEvent.objects.count() == Payload.objects.count() == 0
    assert Delivery.objects.get().signature_reason == "signature_missing"


def test_signed_item_that_cannot_be_read_does_not_spoil_its_batch(account):
    odd = signed(ours(account, pspReference="", merchantReference="Größe" * 2000))

    answer = post(notification(odd, signed(ours(account))))

    assert answer.status_code == 200
    assert ProviderEvent.objects.count() == 2
    assert ProviderEvent.objects.get(item_index=0).dedupe_key.startswith("unreadable:")


def test_transfer_comes_to_the_same_address_with_its_sequence():
    raw = transfer()

    assert post(raw, {"hmacsignature": "AAAA"}).status_code == 401
    assert post(raw).status_code == 401
    assert post(raw, header(raw)).status_code == 200
    event = ProviderEvent.objects.get()
    assert (event.provider_event_id, event.sequence) == ("3JKQ7T2XLOT47J7R:3", 3)
    assert adapter("adyen").parse(raw, event.item_index).kind == "payout.paid"


def test_two_hundred_items_fit_one_body_and_one_statement(account):
    told = [signed(ours(account, pspReference=f"K7TR{number:012}")) for number in range(200)]
    facts = replace(FACTS, settings={})
    assert len(read(notification(*told), account=facts).items) == 200

    answer = post(notification(*told))

    assert answer.status_code == 200
    assert ProviderEvent.objects.count() == 200
