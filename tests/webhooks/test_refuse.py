"""What the edge refuses, and that a refusal leaves nothing behind but its receipt (WH-2, WH-9)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction
from django.test import Client

from payops.commands.bootstrap import as_owner
from payops.core import clock
from payops.core.models import ProviderAccount
from payops.webhooks import directory as directory_module
from payops.webhooks import throttle as throttle_module
from payops.webhooks.directory import directory
from payops.webhooks.models import Delivery, Payload, ProviderEvent, Secret
from payops.webhooks.secrets import SecretRefused, active_secrets, add_secret, retire_secret
from payops.webhooks.wire import remote_address
from tests.people import actor
from tests.psp.hostile import HOSTILE_BODIES
from tests.webhooks.senders import (
    STANDARD_URL,
    STRIPE_URL,
    post,
    send_stripe,
    standard_headers,
    stripe_body,
    stripe_headers,
)

pytestmark = pytest.mark.django_db(transaction=True)
NEW_SECRET = "whsec_a_second_secret_of_the_account"


def nothing_believed() -> bool:
    return ProviderEvent.objects.count() == Payload.objects.count() == 0


def test_wrong_signature_is_401_without_detail_and_leaves_hash_and_headers_wh_2_wh_9():
    answer = send_stripe(stripe_body(), secret="whsec_somebody_elses_secret")

    assert (answer.status_code, answer.content) == (401, b"")
    receipt = Delivery.objects.get()
    assert (receipt.signature_ok, receipt.signature_reason) == (False, "signature_mismatch")
    assert (receipt.payload_id, receipt.status_sent, receipt.dedupe_key) == (None, 401, "")
    assert len(receipt.sha256) == 64
    assert nothing_believed()


@pytest.mark.parametrize(
    ("age_s", "reason"), [(301, "timestamp_stale"), (-330, "timestamp_future")]
)
def test_time_outside_the_tolerance_is_401_on_either_side(age_s, reason):
    answer = send_stripe(stripe_body(), at=clock.utc_now() - timedelta(seconds=age_s))

    assert (answer.status_code, answer.content) == (401, b"")
    assert Delivery.objects.get().signature_reason == reason
    assert nothing_believed()


def test_missing_signature_is_401():
    assert post(stripe_body(), {}).status_code == 401
    assert Delivery.objects.get().signature_reason == "header_missing"


@pytest.mark.parametrize(
    "url",
    [
        "/webhooks/stripe/nobody/",
        "/webhooks/nosuch/demo/",
        "/webhooks/stripe/demo",
        "/webhooks/stripe/demo/x/",
        "/webhooks//stripe/demo/",
        "/webhooks/Stripe/demo/",
        "/webhooks/",
        "/webhooks/stripe/demo%0A/",
    ],
)
def test_unknown_address_is_404_and_leaves_nothing(url):
    raw = stripe_body()

    assert post(raw, stripe_headers(raw), url).status_code == 404
    assert Delivery.objects.count() == 0


@pytest.mark.parametrize("method", ["get", "put", "delete", "head", "options"])
def test_any_method_but_post_is_405(method):
    answer = getattr(Client(), method)(STRIPE_URL)

    assert (answer.status_code, answer["Allow"]) == (405, "POST")
    assert Delivery.objects.count() == 0


def test_body_above_256_kb_is_413_before_it_is_read():
    raw = b'{"x":"' + b"y" * (256 * 1024) + b'"}'

    assert post(raw, stripe_headers(raw)).status_code == 413
    assert Delivery.objects.count() == 0


def test_body_of_exactly_256_kb_is_read():
    frame = b'{"id":"evt_1","type":"x","data":{"object":{"id":"o","n":""}}}'
    raw = frame.replace(b'""', b'"' + b"y" * (256 * 1024 - len(frame)) + b'"')

    assert len(raw) == 256 * 1024
    assert post(raw, stripe_headers(raw)).status_code == 200
    assert Payload.objects.get().size_bytes == 256 * 1024


@pytest.mark.parametrize("length", ["-1", "1e3", "٣", "0x10", "7 ", "+7"])
def test_malformed_length_is_400(length):
    assert post(b"{}", {}, CONTENT_LENGTH=length).status_code == 400


def test_chunked_body_is_411_where_the_server_does_not_end_the_stream():
    raw = stripe_body()

    answer = post(raw, stripe_headers(raw), CONTENT_LENGTH="", HTTP_TRANSFER_ENCODING="chunked")

    assert answer.status_code == 411
    assert Delivery.objects.count() == 0


@pytest.mark.parametrize("name", sorted(HOSTILE_BODIES))
def test_signed_but_unreadable_body_is_kept_for_the_dead_letters(name):
    raw, reason = HOSTILE_BODIES[name]

    answer = post(raw, stripe_headers(raw))

    assert answer.status_code == 200
    event = ProviderEvent.objects.get()
    assert event.dedupe_key == f"unparseable:{Payload.objects.get().sha256}"
    assert (event.type, event.state, event.outcome) == ("unparseable", "RECEIVED", reason)
    assert Delivery.objects.get().signature_ok is True


@pytest.mark.parametrize("name", sorted(HOSTILE_BODIES))
def test_unsigned_hostile_body_is_401_and_leaves_no_bytes(name):
    raw, _ = HOSTILE_BODIES[name]

    assert post(raw, {"stripe-signature": "t=1,v1=00"}).status_code == 401
    assert nothing_believed()


@pytest.mark.parametrize(
    "value",
    ["t=1,v1=\x00", "\udcff", "t=1;v1=2", "x" * 9000, "t=" + "1" * 5000, "é", ",,,===", "t=٣,v1=a"],
)
def test_hostile_signature_headers_are_401(value):
    headers = {"stripe-signature": value.encode("utf-8", "surrogateescape").decode("latin-1")}

    assert post(stripe_body(), headers).status_code == 401
    assert len(Delivery.objects.get().headers["stripe-signature"]) <= 1024
    assert nothing_believed()


def test_signature_of_one_account_opens_no_other_account():
    raw = stripe_body()

    assert post(raw, stripe_headers(raw), STANDARD_URL).status_code == 401
    assert post(raw, standard_headers(raw, event_id="evt_000001"), STRIPE_URL).status_code == 401
    assert nothing_believed()


def test_event_of_the_live_mode_is_refused_on_a_test_account():
    raw = stripe_body().replace(b'"livemode": false', b'"livemode": true')

    assert send_stripe(raw).status_code == 401
    assert Delivery.objects.get().signature_reason == "mode_mismatch"
    assert nothing_believed()


def test_flood_of_refusals_keeps_a_bounded_number_of_receipts(monkeypatch):
    bucket = throttle_module.Bucket(per_s=0.0, burst=3)
    monkeypatch.setattr(throttle_module, "Bucket", lambda: bucket)

    statuses = {send_stripe(stripe_body(), secret="wrong_" * 4).status_code for _ in range(20)}
    good = send_stripe(stripe_body())

    assert statuses == {401}
    assert Delivery.objects.filter(signature_ok=False).count() == 3
    assert good.status_code == 200


def test_new_secret_verifies_at_once_beside_the_old_one_and_a_retired_one_no_longer_wh_30(
    monkeypatch,
):
    monkeypatch.setattr(directory_module, "MISS_REFRESH_S", 0.0)
    raw = stripe_body()
    assert send_stripe(raw).status_code == 200
    account = ProviderAccount.objects.get(provider="stripe")
    old = Secret.objects.get(account=account)

    with as_owner(), transaction.atomic():
        add_secret(account=account, value=NEW_SECRET, now=clock.utc_now(), actor=actor("noor"))
    both = send_stripe(raw, secret=NEW_SECRET).status_code, send_stripe(raw).status_code
    with transaction.atomic():
        retire_secret(secret=old, now=clock.utc_now(), actor=actor("noor"))
    directory.forget()

    assert both == (200, 200)
    assert send_stripe(raw).status_code == 401
    assert send_stripe(raw, secret=NEW_SECRET).status_code == 200
    assert [s.value for s in active_secrets(account=account, now=clock.utc_now())] == [NEW_SECRET]
    assert NEW_SECRET not in repr(active_secrets(account=account, now=clock.utc_now()))


def test_retirement_planned_ahead_takes_effect_without_a_refresh():
    raw = stripe_body()
    account = ProviderAccount.objects.get(provider="stripe")
    now = clock.utc_now()
    with transaction.atomic():
        retire_secret(
            secret=Secret.objects.get(account=account),
            now=now,
            actor=actor("noor"),
            retired_at=now + timedelta(seconds=30),
        )
    endpoint = directory.find(provider="stripe", slug="demo", now=now)
    assert endpoint is not None

    assert send_stripe(raw).status_code == 200
    assert len(endpoint.secrets_at(now + timedelta(seconds=29))) == 1
    assert endpoint.secrets_at(now + timedelta(seconds=30)) == ()


def test_a_secret_is_refused_when_short_and_kept_once_when_added_twice():
    account = ProviderAccount.objects.get(provider="stripe")
    now = clock.utc_now()

    with as_owner(), transaction.atomic():
        first = add_secret(account=account, value=NEW_SECRET, now=now)
        again = add_secret(account=account, value=NEW_SECRET, now=now)
        with pytest.raises(SecretRefused):
            add_secret(account=account, value="short", now=now)

    assert first.pk == again.pk
    assert Secret.objects.filter(account=account).count() == 2
    assert NEW_SECRET.encode() not in bytes(first.ciphertext)


@pytest.mark.parametrize(
    ("forwarded", "hops", "expected"),
    [
        (None, 0, "10.0.0.9"),
        ("1.1.1.1", 0, "10.0.0.9"),
        ("6.6.6.6, 203.0.113.7", 1, "203.0.113.7"),
        ("6.6.6.6, 203.0.113.7, 10.1.1.1", 2, "203.0.113.7"),
        ("203.0.113.7", 2, None),
        (None, 1, None),
        ("[2001:db8::1]:443", 1, "2001:db8::1"),
        ("203.0.113.7:5555", 1, "203.0.113.7"),
        ("<script>", 1, None),
        ("fe80::1%eth0", 1, None),
    ],
)
def test_sender_address_counts_trusted_proxies_from_the_right(forwarded, hops, expected):
    meta = {"REMOTE_ADDR": "10.0.0.9"}
    if forwarded is not None:
        meta["HTTP_X_FORWARDED_FOR"] = forwarded

    assert remote_address(meta, hops=hops) == expected
