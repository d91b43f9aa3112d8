"""Rollups: every decided event and every receipt counted once, whatever runs beside the fold."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction

from payops.cases.models import LocalMessage
from payops.core import audit, clock, ids
from payops.core.actors import service
from payops.monitoring import buckets, evaluate, folds, signals, tasks
from payops.monitoring.models import Alert, EventMinute, FoldMark, Signal
from payops.payments.models import Beneficiary
from payops.webhooks import services
from payops.webhooks.models import ProviderEvent
from tests import builders
from tests.flows.test_jobs import letters
from tests.monitoring.series import book
from tests.people import actor
from tests.races import race

pytestmark = pytest.mark.django_db(transaction=True)
LATER = timedelta(minutes=3)
WAIT_S = 30


def fold(now: datetime | None = None) -> None:
    """Fold all that is committed."""
    wait_until_all_is_over()
    with transaction.atomic(durable=True):
        folds.fold(now=now or clock.utc_now())


def wait_until_all_is_over() -> None:
    """Another database of the server may hold the snapshot's xmin back a while."""
    until = time.monotonic() + WAIT_S
    while True:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT coalesce(max(xid::text::bigint), 0) <"
                " pg_snapshot_xmin(pg_current_snapshot())::text::bigint FROM core_auditevent"
            )
            (over,) = cursor.fetchone()
        if over:
            return
        assert time.monotonic() < until, "a transaction of this server stays open for too long"
        time.sleep(0.02)


def counted(name: str) -> dict[str, int]:
    rows = Signal.objects.filter(name=name)
    return dict(rows.values_list("scope", "value"))


def failed_payment(number: int, amount_minor: int = 500) -> None:
    said = {
        "id": f"spm_f{number}_{ids.uuid7().hex[:8]}",
        "object": "payment",
        "reference": f"ORDER-F{number}",
        "amount": amount_minor,
        "currency": "EUR",
        "status": "failed",
        "seller": "S-1001",
        "method": "card",
        "failure_code": "card_declined",
        "created": 1_780_000_000,
    }
    assert builders.post_standard(builders.standard_event("payment.failed", said)) == 200


def test_each_event_is_counted_once_however_often_the_fold_runs() -> None:
    """OB-1: minutes by account, family and lane, with both latencies."""
    for _ in range(3):
        builders.capture(100_000)
    fold()
    fold()
    builders.capture(100_000)
    fold()

    rows = EventMinute.objects.all()
    assert {(row.account.address, row.family) for row in rows} == {("standard/demo", "payment")}
    assert sum(row.processed for row in rows) == 4
    assert sum(sum(row.from_receipt) for row in rows) == 4
    assert sum(sum(row.from_provider) for row in rows) == 4
    assert {len(row.from_receipt) for row in rows} == {buckets.COUNT}


def test_latency_falls_into_the_bucket_it_belongs_to() -> None:
    """OB-1: from the provider's time to the decision, and from our receipt to it."""
    builders.capture(100_000)
    event = ProviderEvent.objects.get()
    finished = event.finished_at
    assert finished is not None
    ProviderEvent.objects.update(
        created_at=finished - timedelta(milliseconds=240),
        occurred_at=finished - timedelta(seconds=90),
    )

    fold()

    row = EventMinute.objects.get()
    assert row.from_receipt.index(1) == buckets.LATENCY_MS.index(250)
    assert row.from_provider.index(1) == buckets.LATENCY_MS.index(300_000)
    assert row.minute == finished.replace(second=0, microsecond=0)


def test_a_letter_that_dies_again_is_one_and_its_wait_for_people_is_no_latency() -> None:
    """OB-1: redrives neither add dead letters nor stretch how long 99 of 100 took."""
    (dead,) = letters(1)
    fold()
    for _ in range(2):
        redriven(dead)
        fold()
    assert counted("dead") == {"standard/demo": 1}

    Beneficiary.objects.filter(reference="S-1001").update(reference="S-NOBODY")
    redriven(dead)
    fold()

    dead.refresh_from_db()
    assert dead.state == "PROCESSED"
    rows = EventMinute.objects.all()
    assert sum(row.processed for row in rows) == 1
    assert sum(sum(row.from_receipt) + sum(row.from_provider) for row in rows) == 0


def redriven(event: ProviderEvent) -> None:
    with transaction.atomic():
        services.redrive(
            event_ids=[event.public_id], note="again", actor=actor("eli"), now=clock.utc_now()
        )
    builders.drain()


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ({3: 99, 7: 1}, "100 ms"),
        ({3: 98, 7: 2}, "2.5 s"),
        ({3: 98, 16: 2}, "over 6 h"),
        ({3: 99, 16: 1}, "100 ms"),
        ({}, "–"),  # noqa: RUF001
    ],
)
def test_a_quantile_is_told_by_the_bound_it_kept(counts: dict[int, int], words: str) -> None:
    histogram = [counts.get(index, 0) for index in range(buckets.COUNT)]

    assert buckets.at_most(histogram, 990) == words


def test_what_commits_late_is_counted_when_it_commits() -> None:
    """A fold never passes over a transaction that is under way: its mark stops before it."""
    builders.capture(100_000)
    fold()
    event = ProviderEvent.objects.get()
    begun, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        try:
            with transaction.atomic():
                row = audit.event(
                    book=book(),
                    actor=service("inbox"),
                    action="event.processed",
                    subject_id=event.public_id,
                    now=clock.utc_now(),
                    from_state="RECEIVED",
                    to_state="PROCESSED",
                )
                audit.record([row])
                begun.set()
                assert go_on.wait(20)
        finally:
            connection.close()

    thread = threading.Thread(target=slow)
    thread.start()
    assert begun.wait(20)
    builders.capture(100_000)
    with transaction.atomic(durable=True):
        folds.fold(now=clock.utc_now())
    assert sum(row.processed for row in EventMinute.objects.all()) == 1
    go_on.set()
    thread.join()
    fold()

    assert sum(row.processed for row in EventMinute.objects.all()) == 3


def test_sixteen_folds_at_once_count_everything_once() -> None:
    builders.capture(100_000)
    builders.capture(100_000)

    results = race(16, lambda _: fold())
    assert results == [None] * 16

    assert sum(row.processed for row in EventMinute.objects.all()) == 2
    assert counted("payments_ok") == {"standard/demo|card": 2}


def test_receipts_are_counted_per_whole_minute_and_only_once() -> None:
    body = builders.capture(100_000)
    assert builders.post_standard(body) == 200
    now = clock.utc_now()

    fold(now)
    assert counted("receipts") == {}
    fold(now + LATER)
    fold(now + LATER)

    assert counted("receipts") == {"standard/demo": 2}


def test_payments_are_counted_by_method_and_small_ones_by_seller() -> None:
    """OB-5, AI-5: what the failure rate and the watch over card testing read."""
    builders.capture(100_000)
    failed_payment(1, 500)
    failed_payment(2, 5_000)
    builders.drain()

    fold()

    assert sum(counted("payments_failed").values()) == 2
    assert sum(counted("payments_ok").values()) == 1
    assert counted("small_failed") == {"standard/demo|S-1001": 1}
    assert counted("small_ok") == {}


def test_a_mark_ahead_of_the_server_starts_anew() -> None:
    """A restored database may know later transactions than its server has made."""
    builders.capture(100_000)
    FoldMark.objects.create(name="audit", xid=2**62)

    fold()
    builders.capture(100_000)
    fold()

    assert sum(row.processed for row in EventMinute.objects.all()) == 1


def test_two_schedulers_do_a_slot_once(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[datetime] = []
    moments = [datetime(2026, 6, 19, 14, 32, second, tzinfo=UTC) for second in (1, 4, 11)]
    times = iter(moments)
    monkeypatch.setattr(clock, "utc_now", lambda: next(times))
    monkeypatch.setattr(folds, "fold", lambda *, now: done.append(now))

    for _ in moments:
        tasks.watch()

    assert done == [moments[0], moments[2]]


def test_old_minutes_and_slots_are_forgotten() -> None:
    builders.capture(100_000)
    now = clock.utc_now()
    fold(now + LATER)

    folds.forget_old(now=now + timedelta(days=14))
    assert EventMinute.objects.count() == 1
    folds.forget_old(now=now + timedelta(weeks=10))

    assert EventMinute.objects.count() == 0
    assert not Signal.objects.exists()


def test_schedulers_looking_at_once_open_one_alert_and_tell_once() -> None:
    """F34: by the database, whoever looks and however often."""
    now = clock.utc_now()
    with transaction.atomic():
        signals.add([signals.Reading(book().pk, "refusals", "stripe/demo", now, 30)])

    def look() -> tuple[int, int]:
        with transaction.atomic(durable=True):
            return evaluate.evaluate(now=now)

    results = race(8, lambda _: look())
    assert sorted(results) == [(0, 0)] * 7 + [(1, 0)]

    assert Alert.objects.filter(rule="refusals_surge").count() == 1
    assert LocalMessage.objects.filter(correlation_id__startswith="alert:").count() == 1
