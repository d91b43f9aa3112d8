"""A signed body is kept, deduplicated and acknowledged (WH-1, WH-2, WH-5 to WH-9, I1)."""

from __future__ import annotations

import hashlib
import json
import threading

import pytest
from django.db import connection

from payops.core.models import Message
from payops.psp.strictjson import fingerprint
from payops.webhooks import ingest, selectors, statement
from payops.webhooks.models import Delivery, Payload, ProviderEvent, Secret
from tests.races import race
from tests.webhooks.senders import send_standard, send_stripe, standard_body, stripe_body

pytestmark = pytest.mark.django_db(transaction=True)


def test_first_delivery_is_one_event_one_receipt_and_the_bytes_as_they_came_i1():
    raw = stripe_body()

    answer = send_stripe(raw)

    assert (answer.status_code, answer.content) == (200, b'{"received":true}')
    event, receipt = ProviderEvent.objects.get(), Delivery.objects.get()
    assert (event.provider_event_id, event.dedupe_key) == ("evt_000001", "evt_000001:po_10492")
    assert (event.type, event.object_id, event.state) == ("payout.failed", "po_10492", "RECEIVED")
    assert (event.amount_minor, event.currency, event.lane) == (1_240_000, "EUR", "high")
    assert (event.request_id, event.request_idempotency_key) == ("req_1", "key-1")
    assert (receipt.signature_ok, receipt.duplicate, receipt.status_sent) == (True, False, 200)
    assert receipt.sha256 == hashlib.sha256(raw).hexdigest()
    assert receipt.secret_id == Secret.objects.get(account__provider="stripe").pk
    assert receipt.trace_id == event.trace_id and len(event.trace_id) == 32
    assert receipt.remote_ip == "127.0.0.1"
    assert receipt.allowlist_ok is None
    assert "stripe-signature" in receipt.headers
    assert selectors.raw_body(event=event) == raw
    assert raw not in bytes(Payload.objects.get().ciphertext)
    assert Message.objects.count() == 0


def test_standard_webhooks_event_is_accepted_and_standard_webhooks_id_is_its_key_wh_4():
    answer = send_standard(standard_body())

    assert answer.status_code == 200
    assert ProviderEvent.objects.get().dedupe_key == "sev_000001:spo_1"


def test_second_delivery_leaves_a_receipt_and_a_message_but_no_event_wh_7():
    raw = stripe_body()
    send_stripe(raw)

    answer = send_stripe(raw)

    assert answer.status_code == 200
    assert ProviderEvent.objects.count() == 1
    first, second = Delivery.objects.order_by("pk")
    assert (first.duplicate, second.duplicate) == (False, True)
    message = Message.objects.get()
    assert (message.topic, message.key) == ("delivery.repeated", second.public_id)
    assert message.payload == {
        "delivery_id": second.public_id,
        "account": "stripe/demo",
        "dedupe_key": "evt_000001:po_10492",
    }
    assert (message.state, message.lane) == ("PENDING", "bulk")


def test_same_id_with_another_content_overwrites_nothing_and_keeps_its_fingerprint_i3():
    send_stripe(stripe_body(amount=100))

    answer = send_stripe(stripe_body(amount=999))

    assert answer.status_code == 200
    event = ProviderEvent.objects.get()
    first, second = Delivery.objects.order_by("pk")
    assert event.amount_minor == 100
    assert event.fingerprint == first.fingerprint != second.fingerprint
    assert second.duplicate is True
    assert json.loads(selectors.raw_body(event=event))["data"]["object"]["amount"] == 100
    assert Payload.objects.count() == 2


def test_twelve_parallel_deliveries_are_twelve_receipts_and_one_event_wh_8_wh_24():
    raw = stripe_body()

    answers = race(12, lambda i: send_stripe(raw).status_code)

    assert answers == [200] * 12
    assert ProviderEvent.objects.count() == 1
    assert Delivery.objects.count() == 12
    assert Delivery.objects.filter(duplicate=True).count() == 11
    assert Message.objects.count() == 11
    assert len(selectors.receipts(event=ProviderEvent.objects.get())) == 12


def test_sixteen_threads_with_four_events_keep_sixteen_receipts_wh_24():
    answers = race(16, lambda i: send_stripe(stripe_body(i % 4)).status_code)

    assert answers == [200] * 16
    assert ProviderEvent.objects.count() == 4
    assert Delivery.objects.filter(duplicate=False).count() == 4
    assert Delivery.objects.count() == Payload.objects.count() == 16


def test_event_is_written_by_one_statement_in_its_own_transaction_wh_5(monkeypatch):
    shapes = []
    execute = statement._execute

    def noted(link, bodies, items, values):
        assert not connection.in_atomic_block
        shapes.append((bodies, items))
        return execute(link, bodies, items, values)

    monkeypatch.setattr(statement, "_execute", noted)

    send_stripe(stripe_body())

    assert shapes == [(1, 1)]


def test_bodies_that_come_together_are_one_statement_and_keep_their_own_answers_sc_1(monkeypatch):
    """Two known, one new, one that no column can hold, while another is being written."""
    send_stripe(stripe_body(1))
    shapes, first_in, go = [], threading.Event(), threading.Event()
    execute = statement._execute

    def held(link, bodies, items, values):
        shapes.append(bodies)
        if len(shapes) == 1:
            first_in.set()
            assert go.wait(10)
        return execute(link, bodies, items, values)

    monkeypatch.setattr(statement, "_execute", held)
    monkeypatch.setattr(ingest, "TYPE_CHARS_MAX", 200)
    bodies = [stripe_body(0), stripe_body(1), stripe_body(1), stripe_body(2)]
    bodies.append(stripe_body(3, type="x" * 150))

    def send(number):
        if number:
            assert first_in.wait(10)
            with lock:
                arrived.append(number)
                if len(arrived) == 4:
                    threading.Timer(0.5, go.set).start()
        return send_stripe(bodies[number]).status_code

    arrived, lock = [], threading.Lock()
    assert race(5, send) == [200] * 5
    assert shapes[0] == 1 and max(shapes) > 1
    assert ProviderEvent.objects.count() == 4
    assert Delivery.objects.filter(duplicate=True).count() == 2
    assert Payload.objects.count() == Delivery.objects.count() == 6
    assert ProviderEvent.objects.filter(type="unparseable").count() == 1


def test_a_nul_character_is_never_cut_off_in_silence():
    with pytest.raises(statement.Unstorable):
        statement.text("evt_1\x00evt_2")


def test_event_type_longer_than_its_column_is_cut_not_refused():
    answer = send_stripe(stripe_body(type="x" * 200))

    assert answer.status_code == 200
    assert ProviderEvent.objects.get().type == "x" * 120


def test_facts_a_column_cannot_hold_are_kept_as_an_unparseable_body(monkeypatch):
    raw = stripe_body()
    monkeypatch.setattr(ingest, "TYPE_CHARS_MAX", 200)
    body = stripe_body(2, type="x" * 150)

    answer = send_stripe(body)
    after = send_stripe(raw)

    assert (answer.status_code, after.status_code) == (200, 200)
    event = ProviderEvent.objects.get(type="unparseable")
    assert event.outcome == "facts_cannot_be_stored"
    assert selectors.raw_body(event=event) == body


def test_fingerprint_of_an_unparseable_body_is_its_hash():
    raw = b"hello"

    assert send_stripe(raw).status_code == 200

    event = ProviderEvent.objects.get()
    assert event.fingerprint == hashlib.sha256(raw).hexdigest() != fingerprint({})
