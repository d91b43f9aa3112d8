"""The engine under failures: leases, attempts, poison, races (WH-16, WH-17, WH-21 to WH-24)."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.db import OperationalError, connections, transaction

from payops.core import claims, clock, outbox, queues
from payops.core.models import AuditEvent, Book, Message
from payops.core.outbox import outbox_queue
from payops.core.queues import Postpone, Queue, StructuralMismatch, Tally, drain_once
from payops.core.topics import Run, Topic, topic_table
from payops.devstack.datadir import CHECKOUT
from tests.people import actor
from tests.races import race

pytestmark = pytest.mark.django_db(transaction=True)
LANE = "bulk"
handled: list[str] = []


def handle(messages: list[Message], now: datetime) -> None:
    handled.extend(message.key for message in messages)


TOPICS = [
    Topic("batch", handle, LANE, 4, Run.IN_TRANSACTION, "a batch"),
    Topic("steps", handle, LANE, 4, Run.OWN_STEPS, "one by one"),
]


@pytest.fixture(autouse=True)
def own_topics(settings: Any):
    settings.PAYOPS_TOPICS = "tests.core.test_queues.TOPICS"
    topic_table.cache_clear()
    handled.clear()
    yield
    topic_table.cache_clear()


def send(*keys: str, topic: str = "batch", due_at: datetime | None = None) -> None:
    book = Book.objects.get(code="meridian")
    Message.objects.bulk_create(
        [
            Message(
                book=book,
                topic=topic,
                key=key,
                lane=LANE,
                due_at=due_at or clock.utc_now() - timedelta(seconds=5),
            )
            for key in keys
        ]
    )


def queue(run: Any, *, own_steps: Any = None, attempts_max: int = 3) -> Queue:
    return replace(
        outbox_queue(),
        run=run,
        own_steps=own_steps,
        attempts_max=lambda row: queues.attempts_allowed(row, attempts_max),
    )


def drain(target: Queue) -> Tally:
    total = Tally()
    while (tally := drain_once(target, lane=LANE)).claimed:
        total.add(tally)
    return total


def states() -> dict[str, str]:
    return dict(Message.objects.values_list("key", "state"))


def expire_leases() -> None:
    past = clock.utc_now() - timedelta(seconds=1)
    Message.objects.exclude(leased_until=None).update(leased_until=past)


def make_due() -> None:
    Message.objects.filter(state="PENDING").update(due_at=clock.utc_now() - timedelta(seconds=1))


def ready_now() -> int:
    return queues.ready_count(outbox_queue(), lane=LANE, now=clock.utc_now())


def failing_on(*bad: str, error: Exception) -> Any:
    def run(rows: list[Message], now: datetime) -> None:
        if any(row.key in bad for row in rows):
            raise error

    return run


def test_batch_runs_in_one_transaction_in_order_of_arrival():
    send("a", "b", "c")

    tally = drain(outbox_queue())

    assert (tally.claimed, tally.finished, tally.failed) == (3, 3, 0)
    assert handled == ["a", "b", "c"]
    assert states() == {"a": "DONE", "b": "DONE", "c": "DONE"}
    assert set(Message.objects.values_list("attempts", "leased_until")) == {(1, None)}


def test_one_bad_row_never_charges_its_neighbours_wh_21():
    send(*(f"k{i:03d}" for i in range(100)))
    sizes: list[int] = []
    broken = failing_on("k042", error=OperationalError("busy"))

    def run(rows: list[Message], now: datetime) -> None:
        sizes.append(len(rows))
        broken(rows, now)

    tally = drain(queue(run))

    assert (tally.finished, tally.failed, tally.dead) == (99, 1, 0)
    assert len(sizes) <= 2 * 7 + 1
    bad = Message.objects.get(state="PENDING")
    assert (bad.key, bad.attempts, bad.failure_kind) == ("k042", 1, "transient")
    assert bad.last_error == "OperationalError: busy"
    assert list(Message.objects.exclude(key="k042").values_list("attempts").distinct()) == [(1,)]


def test_failed_batch_leaves_nothing_of_its_first_run_behind():
    send("a", "poison")

    def run(rows: list[Message], now: datetime) -> None:
        for row in rows:
            Message.objects.create(book=row.book, topic="batch", key=f"of {row.key}", lane="high")
            if row.key == "poison":
                raise StructuralMismatch("never")

    drain(queue(run))

    assert states() == {"a": "DONE", "of a": "PENDING", "poison": "DEAD"}


def test_attempt_is_committed_before_the_work_starts_wh_16():
    send("a")
    seen: list[int] = []

    def run(rows: list[Message], now: datetime) -> None:
        def look() -> None:
            seen.append(Message.objects.values_list("attempts", flat=True).get())
            connections.close_all()

        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        raise OperationalError("after looking")

    drain(queue(run))

    assert seen == [1]
    assert Message.objects.get().attempts == 1


def test_row_is_dead_after_the_limit_with_every_failure_kept_wh_17_wh_18():
    send("a")
    target = queue(failing_on("a", error=OperationalError("busy")), attempts_max=3)

    for _ in range(3):
        drain(target)
        make_due()
    drain(target)

    row = Message.objects.get()
    assert (row.state, row.attempts, row.failure_kind) == ("DEAD", 3, "transient")
    assert [entry["attempt"] for entry in row.failures] == [1, 2, 3]
    assert row.first_failed_at < row.last_failed_at
    audit = AuditEvent.objects.get(action="message.dead")
    assert (audit.from_state, audit.to_state, audit.service) == ("PENDING", "DEAD", "outbox")


def test_structural_mismatch_is_dead_at_once_wh_21():
    send("a")

    tally = drain(queue(failing_on("a", error=StructuralMismatch("unparseable"))))

    row = Message.objects.get()
    assert (tally.failed, tally.dead) == (1, 1)
    assert (row.state, row.attempts, row.failure_kind) == ("DEAD", 1, "structural")


def test_unknown_topic_is_a_structural_mismatch():
    send("a", topic="nobody listens")
    send("b")

    drain(outbox_queue())

    assert states() == {"a": "DEAD", "b": "DONE"}


def test_nul_in_an_error_text_does_not_lose_the_failure():
    send("a")

    drain(queue(failing_on("a", error=ValueError("bad \x00 byte"))))

    assert Message.objects.get().last_error == "ValueError: bad  byte"


def test_postponed_row_is_neither_charged_nor_spun_on():
    send("a")
    due_at = clock.utc_now() - timedelta(hours=1)

    tally = drain(queue(failing_on("a", error=Postpone("no rate yet", due_at))))

    row = Message.objects.get()
    assert (tally.claimed, tally.failed, row.attempts, row.state) == (1, 0, 0, "PENDING")
    assert row.due_at > clock.utc_now()
    assert row.failures == []


def test_retries_wait_a_random_time_that_grows_and_is_capped_wh_22():
    first = {queues.backoff(1).total_seconds() for _ in range(200)}
    late = [queues.backoff(40).total_seconds() for _ in range(200)]

    assert len(first) > 190
    assert min(first) >= 0.2 and max(first) <= 2.0
    assert max(late) <= queues.BACKOFF_CAP_S
    assert max(late) > 100 > min(late)


def test_failed_row_is_not_ready_before_its_backoff_is_over():
    send("a")
    target = queue(failing_on("a", error=OperationalError("busy")))
    drain(target)

    assert queues.ready_count(target, now=clock.utc_now()) == 0
    assert drain(target).claimed == 0


def test_row_not_due_and_row_of_another_lane_are_left_alone():
    send("later", due_at=clock.utc_now() + timedelta(hours=1))
    send("other")
    Message.objects.filter(key="other").update(lane="high")

    assert drain(outbox_queue()).claimed == 0


def test_leased_row_is_invisible_until_the_lease_ends_then_runs_alone():
    send("a", "b", "c")
    claimed, _ = claims.free(outbox_queue(), LANE, queues.uuid4(), 500)
    assert drain(outbox_queue()).claimed == 0
    expire_leases()
    sizes: list[int] = []

    tally = drain(queue(lambda rows, now: sizes.append(len(rows))))

    assert len(claimed) == 3
    assert sizes == [1, 1, 1]
    assert tally.finished == 3
    assert set(Message.objects.values_list("attempts", flat=True)) == {2}


def test_worker_that_lost_its_lease_writes_nothing():
    send("a")
    token = queues.uuid4()
    keys, _ = claims.free(outbox_queue(), LANE, token, 500)
    expire_leases()
    claims.interrupted(outbox_queue(), LANE, queues.uuid4(), None)
    ran: list[int] = []
    tally = Tally()

    queues._run(queue(lambda rows, now: ran.append(1)), keys, token, tally)
    steps = queue(lambda rows, now: ran.append(1), own_steps=lambda row: True)
    queues._run(steps, keys, token, tally)

    assert (ran, tally.finished, states()) == ([], 0, {"a": "PENDING"})


def worker_dies() -> None:
    worker = subprocess.run(
        [sys.executable, "-m", "tests.core.dying_worker", LANE],
        cwd=CHECKOUT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
        timeout=60,
        check=False,
    )
    assert worker.returncode == -signal.SIGKILL


def test_poison_row_kills_its_worker_a_bounded_number_of_times_and_parks_alone_wh_17():
    send("a", "poison", "b")

    for _ in range(3):
        worker_dies()
        assert Message.objects.get(key="poison").state == "PENDING"
        expire_leases()
    target = queue(lambda rows, now: handle(rows, now), attempts_max=3)
    drain(target)

    poison = Message.objects.get(key="poison")
    assert states() == {"a": "DONE", "poison": "DEAD", "b": "DONE"}
    assert "poison" not in handled
    assert (poison.failure_kind, poison.attempts) == ("interrupted", 4)
    assert max(Message.objects.exclude(key="poison").values_list("attempts", flat=True)) <= 2


def test_own_steps_run_outside_a_transaction_one_by_one():
    send("a", "b", topic="steps")
    send("c")
    inside: list[tuple[int, bool]] = []

    def run(rows: list[Message], now: datetime) -> None:
        from django.db import connection

        inside.append((len(rows), connection.in_atomic_block))

    tally = drain(replace(outbox_queue(), run=run))

    assert tally.finished == 3
    assert inside == [(1, True), (1, False), (1, False)]


def test_failing_own_step_is_charged_and_its_neighbour_is_not():
    send("a", "b", topic="steps")
    steps = queue(failing_on("a", error=TimeoutError("slow")), own_steps=lambda row: True)

    tally = drain(steps)

    assert (tally.finished, tally.failed) == (1, 1)
    assert states() == {"a": "PENDING", "b": "DONE"}


def test_steps_that_take_long_hand_the_rest_back_uncharged(monkeypatch):
    send("a", "b", "c", topic="steps")
    monkeypatch.setattr(queues, "STEPS_STARTED_WITHIN", timedelta(0))
    token = queues.uuid4()
    target = queue(handle, own_steps=lambda row: True)
    keys, _ = claims.free(target, LANE, token, 500)

    queues._run(target, keys, token, Tally())

    assert handled == []
    assert set(Message.objects.values_list("attempts", "leased_until")) == {(0, None)}
    assert queues.ready_count(target, now=clock.utc_now()) == 3


def test_row_of_a_living_worker_stays_leased_and_a_dead_ones_is_free_with_its_lease(monkeypatch):
    """WH-16, WH-24: a step that outlasts its lease is not taken away; nobody renews after it."""
    send("a", topic="steps")
    monkeypatch.setattr(queues, "BEAT_S", 0.02)
    stolen: list[Tally] = []

    def run(rows: list[Message], now: datetime) -> None:
        expire_leases()
        until = time.monotonic() + 10
        while ready_now() and time.monotonic() < until:
            time.sleep(0.01)
        stolen.append(drain_once(target, lane=LANE))

    target = queue(run, own_steps=lambda row: True)

    tally = drain_once(target, lane=LANE)

    assert (tally.finished, stolen) == (1, [Tally()])
    assert [t.name for t in threading.enumerate() if t.name.startswith("lease ")] == []
    assert states() == {"a": "DONE"}


def test_sixteen_workers_give_each_row_one_effect_wh_24():
    send(*(f"k{i:04d}" for i in range(400)))
    effects: list[str] = []

    def run(rows: list[Message], now: datetime) -> None:
        effects.extend(row.key for row in rows)

    def work(i: int) -> int:
        done = 0
        while (tally := drain_once(queue(run), lane=LANE, batch_max=25)).claimed:
            done += tally.finished
        return done

    finished = race(16, work)

    assert sum(finished) == 400
    assert sorted(effects) == [f"k{i:04d}" for i in range(400)]
    assert Message.objects.filter(state="DONE", attempts=1).count() == 400


def test_redriven_message_keeps_its_failures_and_gets_its_attempts_anew_wh_19_wh_32():
    send("a")
    target = queue(failing_on("a", error=OperationalError("busy")), attempts_max=1)
    drain(target)
    row = Message.objects.get()
    assert row.state == "DEAD"

    now = clock.utc_now()
    with transaction.atomic():
        outbox.redrive(message_ids=[row.pk], note="broker is back", actor=actor("noor"), now=now)
    drain(queue(handle, attempts_max=1))

    again = Message.objects.get()
    assert (again.pk, again.state, again.attempts) == (row.pk, "DONE", 2)
    assert [entry.get("error") or entry["redriven_by"] for entry in again.failures] == [
        "OperationalError: busy",
        "noor",
    ]
    assert again.operator_note.endswith("noor: broker is back")
    assert AuditEvent.objects.filter(action="message.redriven", login="noor").count() == 1
    with pytest.raises(outbox.MessageRefused), transaction.atomic():
        outbox.redrive(message_ids=[row.pk], note="again", actor=actor("noor"), now=now)


def test_an_interrupted_row_is_found_without_looking_through_the_backlog_sc_3():
    early = clock.utc_now() - timedelta(minutes=9)
    send("interrupted", due_at=early)
    send(*(f"later-{n}" for n in range(6)), due_at=early + timedelta(minutes=1))
    claims.free(outbox_queue(), LANE, queues.uuid4(), 1)
    expire_leases()
    ran: list[list[str]] = []
    target = queue(lambda rows, now: ran.append([row.key for row in rows]))

    drain_once(target, lane=LANE, batch_max=2)

    assert [len(keys) for keys in ran] == [2, 1]
    assert ran[1] == ["interrupted"]


def test_an_interrupted_row_behind_a_full_batch_waits_until_the_lane_gets_there():
    early = clock.utc_now() - timedelta(minutes=9)
    send("interrupted", due_at=early + timedelta(minutes=2))
    claims.free(outbox_queue(), LANE, queues.uuid4(), 1)
    send(*(f"before-{n}" for n in range(4)), due_at=early)
    expire_leases()
    ran: list[list[str]] = []
    target = queue(lambda rows, now: ran.append([row.key for row in rows]))

    for _ in range(3):
        drain_once(target, lane=LANE, batch_max=2)

    assert [len(keys) for keys in ran] == [2, 2, 1]
    assert ran[2] == ["interrupted"]


def test_retries_are_spread_over_the_whole_pause_and_never_together():
    waits = [queues.backoff(6).total_seconds() for _ in range(2000)]

    assert 0.2 <= min(waits) < 3 and 61 < max(waits) <= 64
    tenths = Counter(int((wait - 0.2) / 6.38) for wait in waits)
    assert set(tenths) == set(range(10))
    assert all(120 < count < 280 for count in tenths.values())


def test_the_pause_grows_and_is_capped():
    ceilings = [max(queues.backoff(n).total_seconds() for _ in range(400)) for n in (1, 4, 8, 60)]

    assert ceilings == sorted(ceilings)
    assert ceilings[0] <= 2 and ceilings[1] <= 16 and 200 < ceilings[3] <= queues.BACKOFF_CAP_S


def test_failed_rows_of_one_outage_come_back_at_different_moments():
    send(*(f"row-{n}" for n in range(40)))

    def away(rows: list[Message], now: datetime) -> None:
        raise OperationalError("the provider is away")

    drain_once(queue(away), lane=LANE)

    due = sorted(Message.objects.values_list("due_at", flat=True))
    assert len(set(due)) == 40
    assert max(b - a for a, b in pairwise(due)) < timedelta(seconds=1)
    assert due[-1] - due[0] > timedelta(seconds=1)


def test_a_batch_is_not_collected_in_its_middle_and_collection_goes_on_after_a_failure():
    send("a")
    seen: list[bool] = []

    def fails(rows: list[Message], now: datetime) -> None:
        seen.append(gc.isenabled())
        raise OperationalError("away")

    drain_once(queue(fails), lane=LANE)

    assert seen == [False]
    assert gc.isenabled()
