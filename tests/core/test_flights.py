"""Calls in flight: many at once on one connection, each row by itself (D14, WH-21, WH-22, SC-3)."""

from __future__ import annotations

import threading
import time
from collections import Counter
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.db import OperationalError, connection, connections

from payops.core import claims, clock, flights, queues
from payops.core.callers import Begun, Landed, NotSent, Room
from payops.core.models import Book, Message
from payops.core.outbox import outbox_queue
from payops.core.queues import Postpone, Tally
from payops.core.topics import Run, Topic, topic_table
from tests.core.sky import ANSWER_S, Asked, Teller

pytestmark = pytest.mark.django_db(transaction=True)
LANE = "calls"


TELLER = Teller()


def handle(messages: list[Message], now: datetime) -> None:
    """A question that is asked by its own steps in the same lane."""
    TELLER.outcomes.update({message.key: "asked" for message in messages})


class _Door:
    """The table of topics is loaded once; each test brings its own teller."""

    def __getattr__(self, name: str) -> Any:
        return getattr(TELLER, name)


TOPICS = [
    Topic("fly", _Door(), LANE, 3, Run.CALL, "a call"),
    Topic("ask", handle, LANE, 3, Run.OWN_STEPS, "a question"),
]


@pytest.fixture(autouse=True)
def teller(settings: Any):
    global TELLER
    settings.PAYOPS_TOPICS = "tests.core.test_flights.TOPICS"
    topic_table.cache_clear()
    TELLER = Teller()
    yield TELLER
    topic_table.cache_clear()


def send(*keys: str, turn: str = "stripe", topic: str = "fly") -> None:
    due_at = clock.utc_now() - timedelta(seconds=5)
    book = Book.objects.get(code="meridian")
    Message.objects.bulk_create(
        Message(book=book, topic=topic, key=key, lane=LANE, turn=turn, due_at=due_at)
        for key in keys
    )


def fly(*, budget_s: float = 20.0, at_once: int = flights.AT_ONCE) -> Tally:
    return flights.fly(outbox_queue(), lane=LANE, budget_s=budget_s, at_once=at_once)


def states() -> dict[str, str]:
    return dict(Message.objects.values_list("key", "state"))


def sessions() -> int:
    """Connections of this database's clients, as the server counts them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND backend_type = 'client backend'"
        )
        return int(cursor.fetchone()[0])


def test_many_calls_fly_at_once_and_none_opens_a_connection(teller: Teller) -> None:
    """D14: while they are in the air there is one connection, the worker's own."""
    send(*(f"k{n:03d}" for n in range(300)))
    before, seen = sessions(), []
    opened: list[str] = []

    def answer(key: str) -> str:
        opened.extend(c.alias for c in connections.all(initialized_only=True) if c.connection)
        return "taken"

    def look(landed: Landed) -> None:
        if len(seen) < 20:
            seen.append(sessions())

    teller.sky.answer, teller.on_record = answer, look

    tally = fly()

    assert (tally.claimed, tally.finished, tally.failed) == (300, 300, 0)
    assert teller.sky.most >= 64
    assert opened == []
    assert set(seen) == {before}
    assert all(name.startswith("call") for name in teller.sky.threads)
    assert set(states().values()) == {"DONE"}
    assert set(Message.objects.values_list("attempts", "leased_until")) == {(1, None)}


def test_a_free_place_is_filled_while_others_are_in_the_air(teller: Teller) -> None:
    """Not in waves: one slow call holds its own place and no other."""
    send("slow", *(f"k{n:02d}" for n in range(40)))
    slow = threading.Event()
    teller.sky.answer = lambda key: slow.wait(10) if key == "slow" else "taken"

    def release(landed: Landed) -> None:
        if len(teller.sky.left) == 41:
            slow.set()

    teller.on_record = release

    tally = fly(at_once=8)

    assert tally.finished == 41
    assert teller.outcomes["slow"] is True, "the others were all sent while it was in the air"
    assert teller.sky.most <= 8


def test_each_row_ends_by_itself(teller: Teller) -> None:
    """WH-21: finished without a call, postponed, charged, refused by its record; one batch."""
    send("fly", "done", "later", "broken", "lost", "unrecorded")
    in_an_hour = clock.utc_now() + timedelta(hours=1)

    def begin(row: Message) -> Begun:
        if row.key == "broken":
            raise OperationalError("busy")
        if row.key == "later":
            return Postpone("not yet", in_an_hour)
        return None if row.key == "done" else Asked(teller.sky, row)

    def answer(key: str) -> str:
        if key == "lost":
            raise TimeoutError("nobody answered")
        return "taken"

    def record(landed: Landed) -> Postpone | None:
        if landed.row.key == "unrecorded":
            raise OperationalError("away")
        return None

    teller.on_begin, teller.sky.answer, teller.on_record = begin, answer, record

    tally = fly()

    assert (tally.claimed, tally.finished, tally.failed, tally.dead) == (6, 2, 3, 0)
    rows = {row.key: row for row in Message.objects.all()}
    assert {key for key, row in rows.items() if row.state == "DONE"} == {"fly", "done"}
    assert (rows["later"].due_at, rows["later"].attempts) == (in_an_hour, 0)
    assert rows["later"].last_error == "not yet"
    errors = {key: rows[key].last_error for key in ("broken", "lost", "unrecorded")}
    assert errors == {
        "broken": "OperationalError: busy",
        "lost": "TimeoutError: nobody answered",
        "unrecorded": "OperationalError: away",
    }
    assert {rows[key].attempts for key in errors} == {1}
    assert teller.sky.keys() == ["fly", "lost", "unrecorded"], "each left once"


def test_a_turn_at_its_cap_keeps_its_rate_and_holds_up_nobody_else(teller: Teller) -> None:
    """WH-22: the cap is kept where the calls leave, and the other provider does not notice it."""
    send(*(f"slow{n:02d}" for n in range(12)), turn="capped")
    send(*(f"free{n:02d}" for n in range(60)), turn="free")
    granted: list[float] = []
    lock = threading.Lock()

    def rooms(turn: str, wanted: int, take: bool, now: datetime) -> Room:
        if turn == "free":
            return Room(wanted)
        with lock:
            ready = not granted or time.monotonic() - granted[-1] >= 0.1
            if take and ready:
                granted.append(time.monotonic())
        last = granted[-1] if granted else time.monotonic() - 1
        wait_s = max(0.1 - (time.monotonic() - last), 0.0)
        if ready and wanted == 1:
            return Room(1)
        return Room(int(ready), now + timedelta(seconds=0.1 if ready else wait_s))

    teller.rooms = rooms
    start = time.monotonic()

    tally = fly()

    spent = time.monotonic() - start
    assert tally.finished == 72
    left = {key: at - start for key, at in teller.sky.left}
    assert max(at for key, at in left.items() if key.startswith("free")) < 0.6
    capped = sorted(at for key, at in left.items() if key.startswith("slow"))
    assert len(capped) == 12 and 1.1 <= spent < 3.0
    assert min(b - a for a, b in pairwise(capped)) > 0.05
    assert set(Message.objects.values_list("attempts", flat=True)) == {1}


def test_an_open_breaker_postpones_uncharged_and_spread(teller: Teller) -> None:
    send(*(f"k{n:02d}" for n in range(50)))
    probe_at = clock.utc_now() + timedelta(seconds=30)
    teller.rooms = lambda turn, wanted, take, now: Room(
        0, probe_at, "stripe/demo does not answer", timedelta(seconds=20)
    )

    tally = fly()

    assert (tally.claimed, tally.finished, teller.begun) == (50, 0, [])
    due = list(Message.objects.order_by("due_at").values_list("due_at", flat=True))
    assert probe_at <= due[0] and due[-1] <= probe_at + timedelta(seconds=20)
    assert due[-1] - due[0] > timedelta(seconds=10)
    assert set(Message.objects.values_list("attempts", "last_error")) == {
        (0, "stripe/demo does not answer")
    }


def test_a_call_whose_valve_closes_after_it_was_begun_never_leaves(teller: Teller) -> None:
    """The valve is asked last; what it holds back is recorded as not sent."""
    send("a", "b")
    probe_at = clock.utc_now() + timedelta(seconds=30)
    teller.rooms = lambda turn, wanted, take, now: (
        Room(0, probe_at, "does not answer") if take else Room(wanted)
    )
    teller.on_record = lambda landed: Postpone(landed.outcome.words, landed.outcome.again_at)

    tally = fly()

    assert (tally.finished, teller.sky.left) == (0, [])
    assert teller.outcomes == dict.fromkeys(("a", "b"), NotSent("does not answer", probe_at))
    assert set(Message.objects.values_list("due_at", "attempts")) == {(probe_at, 0)}


def test_a_silent_provider_never_has_all_the_places(teller: Teller) -> None:
    """SC-3: whoever has the longer backlog, a quarter of the places is left to others."""
    send(*(f"silent{n:02d}" for n in range(40)), turn="silent")
    silent = threading.Event()
    teller.sky.answer = lambda key: silent.wait(10) if key.startswith("silent") else "taken"
    came: list[str] = []

    def record(landed: Landed) -> None:
        came.append(landed.row.key)
        if landed.row.key == "other":
            silent.set()

    teller.on_record = record
    threading.Timer(0.3, lambda: (send("other", turn="other"), connections.close_all())).start()

    fly(at_once=8)

    assert came[0] == "other"
    assert len(came) == 41


def test_at_the_end_of_its_budget_it_hands_back_and_waits_for_what_is_in_the_air(
    teller: Teller,
) -> None:
    send(*(f"k{n:03d}" for n in range(100)))

    tally = fly(budget_s=0.02, at_once=4)

    assert 0 < tally.finished == len(teller.sky.left) < 100
    assert teller.sky.aloft == 0
    rest = Message.objects.filter(state="PENDING")
    assert set(rest.values_list("attempts", "leased_until", "interruptions")) == {(0, None, 0)}
    assert queues.ready_count(outbox_queue(), lane=LANE, now=clock.utc_now()) == rest.count()


def test_one_heartbeat_keeps_all_leases(teller: Teller, monkeypatch: pytest.MonkeyPatch) -> None:
    """WH-16: what is in the air longer than a lease is not taken away."""
    monkeypatch.setattr(queues, "BEAT_S", 0.02)
    send("a", "b", "c")
    beats: Counter[str] = Counter()
    past = clock.utc_now() - timedelta(seconds=1)

    def answer(key: str) -> str:
        until = time.monotonic() + 5
        names = [t.name for t in threading.enumerate() if t.name.startswith("lease ")]
        beats.update(names)
        while time.monotonic() < until and not renewed.is_set():
            time.sleep(0.01)
        return "taken"

    renewed = threading.Event()

    def watch() -> None:
        Message.objects.exclude(leased_until=None).update(leased_until=past)
        until = time.monotonic() + 5
        while Message.objects.filter(leased_until=past).exists() and time.monotonic() < until:
            time.sleep(0.01)
        renewed.set()
        connections.close_all()

    teller.sky.answer = answer
    watcher = threading.Timer(0.2, watch)
    watcher.start()

    tally = fly()
    watcher.join()

    assert (tally.finished, len(beats)) == (3, 1)
    assert not Message.objects.filter(leased_until=past).exists()
    assert [t.name for t in threading.enumerate() if t.name.startswith("lease ")] == []


def test_calls_of_a_dead_worker_fly_again_one_suspect_at_a_time(teller: Teller) -> None:
    """WH-17: what killed its worker must not take all its neighbours with it, for ever."""
    send("a", "b", "c")
    claims.free(outbox_queue(), LANE, queues.uuid4(), 500)
    past = clock.utc_now() - timedelta(seconds=1)
    Message.objects.update(leased_until=past)
    Message.objects.filter(key="c").update(attempts=3)
    send("fresh")

    tally = fly()

    assert (tally.finished, tally.dead) == (3, 1)
    assert states() == {"a": "DONE", "b": "DONE", "c": "DEAD", "fresh": "DONE"}
    suspects = [key for key, _ in teller.sky.left if key != "fresh"]
    assert sorted(suspects) == ["a", "b"]
    times = dict(teller.sky.left)
    assert abs(times["a"] - times["b"]) >= ANSWER_S
    assert Message.objects.get(key="c").failure_kind == "interrupted"


def test_a_worker_that_lost_its_lease_records_and_finishes_nothing_of_others(
    teller: Teller,
) -> None:
    """The outcome is told to the flow, whose fence decides; the row belongs to its new holder."""
    send("a")

    def answer(key: str) -> str:
        stolen.start()
        stolen.join()
        return "taken"

    def steal() -> None:
        past = clock.utc_now() - timedelta(seconds=1)
        Message.objects.update(leased_until=past)
        claims.interrupted(outbox_queue(), LANE, queues.uuid4(), None)
        connections.close_all()

    stolen = threading.Thread(target=steal)
    teller.sky.answer = answer

    tally = fly()

    assert (tally.finished, teller.outcomes) == (0, {"a": "taken"})
    row = Message.objects.get()
    assert (row.state, row.interruptions) == ("PENDING", 1)


def test_questions_of_the_lane_are_left_to_the_engine_that_runs_them(teller: Teller) -> None:
    send("q", topic="ask")
    send("a")

    flown = fly()
    asked = queues.drain_once(outbox_queue(), lane=LANE)

    assert (flown.claimed, asked.claimed) == (1, 1)
    assert teller.outcomes == {"a": "taken", "q": "asked"}
    assert states() == {"a": "DONE", "q": "DONE"}


def test_a_batch_is_begun_and_recorded_together_and_in_bounds(teller: Teller) -> None:
    send(*(f"k{n:02d}" for n in range(20)))

    fly()

    assert sorted(key for batch in teller.begun for key in batch) == sorted(states())
    assert [len(batch) for batch in teller.begun] == [8, 8, 4]
    assert max(len(batch) for batch in teller.recorded) <= 8
