"""Verdicts, parking, dead letters and redrive of events (WH-10, WH-17 to WH-20, WH-32, I2, I10)."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, transaction

from payops.core import clock
from payops.core.actors import service
from payops.core.models import AuditEvent, Book
from payops.core.queues import StructuralMismatch, drain_once
from payops.core.state import StaleState
from payops.webhooks import selectors, services
from payops.webhooks.inbox import inbox_queue
from payops.webhooks.models import ProviderEvent
from tests.people import actor
from tests.webhooks.senders import send_standard, send_stripe, standard_body, stripe_body

pytestmark = pytest.mark.django_db(transaction=True)
FLOW = service("provider-events")


def drain(run: Any, lane: str = "high") -> None:
    while drain_once(inbox_queue(run), lane=lane).claimed:
        pass


def process(events: list[ProviderEvent], now: Any) -> None:
    for event in events:
        services.processed(event, subject_id="po_" + "0" * 32, outcome="applied")


def refuse(events: list[ProviderEvent], now: Any) -> None:
    raise StructuralMismatch("amount contradicts the payout")


def wait(events: list[ProviderEvent], now: Any) -> None:
    for event in events:
        services.park(event, waits_for="stripe:po_10492", reason="the payout is not known yet")


def redrive(event: ProviderEvent, *, by: str = "noor", note: str = "mapping fixed") -> int:
    with transaction.atomic():
        return services.redrive(
            event_ids=[event.public_id], note=note, actor=actor(by), now=clock.utc_now()
        )


def test_processed_event_is_written_with_one_audit_row_each_i10():
    for number in range(3):
        send_stripe(stripe_body(number))

    drain(process)

    assert set(ProviderEvent.objects.values_list("state", "outcome", "subject_id", "attempts")) == {
        ("PROCESSED", "applied", "po_" + "0" * 32, 1)
    }
    assert ProviderEvent.objects.filter(finished_at=None).count() == 0
    rows = AuditEvent.objects.filter(action="event.processed")
    assert rows.count() == rows.values("subject_id").distinct().count() == 3
    event = ProviderEvent.objects.first()
    row = rows.get(subject_id=event.public_id)
    assert (row.from_state, row.to_state, row.trace_id) == ("RECEIVED", "PROCESSED", event.trace_id)


def test_event_without_a_verdict_is_a_failure_never_silently_done():
    send_stripe(stripe_body())

    drain(lambda events, now: None)

    event = ProviderEvent.objects.get()
    assert (event.state, event.attempts) == ("RECEIVED", 1)
    assert event.last_error.startswith("Undecided: no verdict on ev_")


def test_verdict_on_an_event_somebody_else_decided_is_stale():
    send_stripe(stripe_body())
    mine = ProviderEvent.objects.get()
    drain(process)
    services.ignored(mine, reason="no meaning here yet", reprocessable=True)

    with pytest.raises(StaleState), transaction.atomic():
        services.mark_many([mine], actor=FLOW, now=clock.utc_now())

    assert ProviderEvent.objects.get().state == "PROCESSED"
    assert AuditEvent.objects.filter(action="event.ignored").count() == 0


def test_parked_event_is_released_by_its_key_and_is_not_charged_wh_10():
    send_stripe(stripe_body())
    drain(wait)
    parked = ProviderEvent.objects.get()
    assert (parked.state, parked.attempts, parked.finished_at) == ("PARKED", 0, None)
    book = Book.objects.get(code="meridian")

    with transaction.atomic():
        now = clock.utc_now()
        other = services.release_waiting(book=book, keys=["stripe:po_1"], actor=FLOW, now=now)
        released = services.release_waiting(
            book=book, keys=["stripe:po_10492", ""], actor=FLOW, now=now
        )
    drain(process)

    assert (other, released) == (0, 1)
    assert ProviderEvent.objects.get().state == "PROCESSED"
    assert list(
        AuditEvent.objects.filter(subject_id=parked.public_id)
        .order_by("created_at", "pk")
        .values_list("from_state", "to_state")
    ) == [("RECEIVED", "PARKED"), ("PARKED", "RECEIVED"), ("RECEIVED", "PROCESSED")]


def test_parked_event_whose_release_was_missed_is_looked_at_again_i2():
    send_stripe(stripe_body())
    drain(wait)
    now = clock.utc_now()

    with transaction.atomic():
        early = services.recheck_parked(actor=FLOW, now=now)
        later = services.recheck_parked(actor=FLOW, now=now + timedelta(seconds=31))

    assert (early, later) == (0, 1)
    assert ProviderEvent.objects.get().state == "RECEIVED"


def test_dead_letter_tells_every_field_of_wh_18():
    raw = stripe_body()
    send_stripe(raw)
    send_stripe(raw)
    drain(refuse)

    event = ProviderEvent.objects.select_related("account").get(state="DEAD")

    assert (event.provider_event_id, event.object_id) == ("evt_000001", "po_10492")
    assert (event.account.address, event.type, event.lane) == (
        "stripe/demo",
        "payout.failed",
        "high",
    )
    assert event.first_failed_at == event.last_failed_at is not None
    assert (event.failure_kind, event.attempts) == ("structural", 1)
    assert selectors.receipt_counts([event]) == {event.pk: 2}
    assert event.last_error == "StructuralMismatch: amount contradicts the payout"
    assert event.cause == "amount contradicts the payout"
    assert [entry["attempt"] for entry in event.failures] == [1]
    assert (event.operator_note, event.owner_id) == ("", None)
    row = AuditEvent.objects.get(action="event.dead")
    assert (row.from_state, row.to_state) == ("RECEIVED", "DEAD")


def test_redrive_keeps_ids_attempts_and_notes_and_runs_the_same_gates_wh_19_wh_32():
    send_stripe(stripe_body())
    drain(refuse)
    before = ProviderEvent.objects.get()

    count = redrive(before)
    drain(process)

    after = ProviderEvent.objects.get()
    assert count == 1
    assert (after.pk, after.dedupe_key, after.state) == (before.pk, before.dedupe_key, "PROCESSED")
    assert after.attempts == 2
    assert after.operator_note.endswith(" noor: mapping fixed")
    assert [entry.get("redriven_by", "failed") for entry in after.failures] == ["failed", "noor"]
    row = AuditEvent.objects.get(action="event.redriven")
    assert (row.from_state, row.to_state, row.reason, row.login) == (
        "DEAD",
        "RECEIVED",
        "mapping fixed",
        "noor",
    )


def test_redriven_body_that_is_still_unreadable_says_why_again():
    """WH-18: the reason outlives the redrive."""
    send_stripe(b"{not json")
    ProviderEvent.objects.update(state="DEAD")

    redrive(ProviderEvent.objects.get())

    event = ProviderEvent.objects.get()
    assert (event.type, event.state, event.outcome) == ("unparseable", "RECEIVED", "not_json")


def test_redriven_event_that_fails_again_gets_all_its_attempts_anew(monkeypatch):
    monkeypatch.setattr("payops.webhooks.inbox.ATTEMPTS_MAX", {"high": 2})
    send_stripe(stripe_body())

    def busy(events: list[ProviderEvent], now: Any) -> None:
        raise ConnectionError("ledger maintenance")

    for _ in range(2):
        drain(busy)
        ProviderEvent.objects.update(due_at=clock.utc_now() - timedelta(seconds=1))
    assert ProviderEvent.objects.get().state == "DEAD"
    redrive(ProviderEvent.objects.get())
    drain(busy)

    event = ProviderEvent.objects.get()
    assert (event.state, event.attempts) == ("RECEIVED", 3)


@pytest.mark.parametrize(
    ("by", "note", "words"),
    [("noor", "  ", "operator note"), ("amara", "please", "may not redrive_event")],
)
def test_redrive_needs_a_note_and_the_permission(by, note, words):
    send_stripe(stripe_body())
    drain(refuse)

    with pytest.raises(services.RedriveRefused, match=words):
        redrive(ProviderEvent.objects.get(), by=by, note=note)

    assert ProviderEvent.objects.get().state == "DEAD"
    assert AuditEvent.objects.filter(action="event.redriven").count() == 0


@pytest.mark.parametrize(("reprocessable", "state"), [(True, "RECEIVED"), (False, "IGNORED")])
def test_ignored_event_is_redriven_only_when_it_may_be_reprocessed(reprocessable, state):
    send_stripe(stripe_body())

    def ignore(events: list[ProviderEvent], now: Any) -> None:
        for event in events:
            services.ignored(event, reason="no meaning here yet", reprocessable=reprocessable)

    drain(ignore)
    event = ProviderEvent.objects.get()
    if reprocessable:
        redrive(event)
    else:
        with pytest.raises(services.RedriveRefused, match="is IGNORED"):
            redrive(event)

    assert ProviderEvent.objects.get().state == state


def test_redrive_is_all_or_none():
    send_stripe(stripe_body(1))
    drain(refuse)
    send_stripe(stripe_body(2))
    drain(process)
    dead, done = ProviderEvent.objects.order_by("pk")

    with pytest.raises(services.RedriveRefused, match="is PROCESSED"), transaction.atomic():
        services.redrive(
            event_ids=[dead.public_id, done.public_id],
            note="all",
            actor=actor("noor"),
            now=clock.utc_now(),
        )

    assert ProviderEvent.objects.get(pk=dead.pk).state == "DEAD"


def test_dead_event_is_discarded_with_its_approval_only():
    """WH-20: the service refuses without one, the database refuses one that was never granted."""
    send_stripe(stripe_body())
    drain(refuse)
    event = ProviderEvent.objects.get()

    def discard(approval_id: str) -> None:
        with transaction.atomic():
            services.discard(
                event_id=event.public_id,
                approval_id=approval_id,
                note="test noise",
                actor=actor("noor"),
                now=clock.utc_now(),
            )

    with pytest.raises(services.DiscardRefused):
        discard("")
    with pytest.raises(DatabaseError, match="only through a granted approval that names it"):
        discard("ap_" + "0" * 32)
    with pytest.raises(DatabaseError, match="only through a granted approval that names it"):
        ProviderEvent.objects.filter(pk=event.pk).update(state="DISCARDED")

    assert ProviderEvent.objects.get().state == "DEAD"
    assert AuditEvent.objects.filter(action="event.discarded").count() == 0


def test_counts_stop_at_their_limit_and_tell_the_oldest(monkeypatch):
    """The table of states costs the same at any size (OB-1)."""
    send_stripe(stripe_body(1))
    send_stripe(stripe_body(1))
    send_standard(standard_body(2))
    send_stripe(stripe_body(3, type="charge.succeeded", amount=500))
    drain(refuse)
    book = Book.objects.get(code="meridian")
    dead, waiting, none = selectors.counts_by_state(
        book=book, states=("DEAD", "RECEIVED", "PARKED")
    )

    assert (dead.count, dead.more, dead.by_lane) == (2, False, {"high": 2})
    assert dead.oldest_at == ProviderEvent.objects.earliest("pk").created_at
    assert (waiting.count, waiting.by_lane) == (1, {"standard": 1})
    assert (none.count, none.by_lane, none.oldest_at) == (0, {}, None)
    monkeypatch.setattr(selectors, "COUNT_MAX", 1)
    (dead,) = selectors.counts_by_state(book=book, states=("DEAD",))
    assert (dead.count, dead.more) == (1, True)
    later = clock.utc_now() + timedelta(seconds=5)
    (dead,) = selectors.counts_by_state(book=book, states=("DEAD",), since=later)
    assert dead.count == 0


def test_events_are_found_by_any_of_their_ids_and_types_listed_once():
    send_stripe(stripe_body(1))
    send_standard(standard_body(2))
    send_stripe(stripe_body(3, type="charge.succeeded", amount=500))
    drain(process)
    event = ProviderEvent.objects.get(provider_event_id="evt_000001")
    book = Book.objects.get(code="meridian")

    for text in ("evt_000001", event.trace_id):
        assert [found.pk for found in selectors.named(text)] == [event.pk]
    assert (
        selectors.named("po_" + "0" * 32).count()
        == ProviderEvent.objects.filter(subject_id="po_" + "0" * 32).count()
        == 2
    )
    assert selectors.named("evt_00000").count() == 0
    assert selectors.types(book=book) == sorted(
        set(ProviderEvent.objects.values_list("type", flat=True))
    )


def test_redacted_body_keeps_structure_and_amounts_and_masks_people():
    body = json.loads(stripe_body())
    body["data"]["object"] |= {
        "billing_details": {"name": "Ada L", "address": {"line1": "1 Road", "lines": ["x", 7]}},
        "receipt_email": "ada@example.org",
        "recipient_type": "person",
        "destination_ip": "203.0.113.7",
        "customer_present": True,
    }
    send_stripe(json.dumps(body).encode())

    view = selectors.redacted_body(event=ProviderEvent.objects.get())

    shown = json.loads(view.text)["data"]["object"]
    assert view.readable is True
    assert (shown["amount"], shown["id"], shown["recipient_type"]) == (
        1_240_000,
        "po_10492",
        "person",
    )
    assert shown["billing_details"] == {
        "name": selectors.MASK,
        "address": {"line1": selectors.MASK, "lines": [selectors.MASK, selectors.MASK]},
    }
    assert (shown["receipt_email"], shown["destination_ip"]) == (selectors.MASK, selectors.MASK)
    assert shown["customer_present"] is True
    assert "Ada" not in view.text and "203.0.113.7" not in view.text


def test_unreadable_body_shows_its_size_and_hash_alone():
    send_stripe(b'{"name":"Ada L",,')

    event = ProviderEvent.objects.get()
    view = selectors.redacted_body(event=event)

    assert (view.text, view.readable, view.words) == ("", False, "not readable: not_json")
    assert (view.size_bytes, view.sha256) == (17, event.payload.sha256)
    assert selectors.raw_body(event=event) == b'{"name":"Ada L",,'


def test_refused_bodies_are_listed_by_reason():
    send_stripe(stripe_body(), secret="wrong_" * 4)

    (refused,) = selectors.refused_receipts(since=clock.utc_now() - timedelta(minutes=1))

    assert (refused.signature_reason, refused.account.address) == (
        "signature_mismatch",
        "stripe/demo",
    )
