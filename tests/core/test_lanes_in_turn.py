"""In a lane that takes turns, a thousand rows for one hold up nobody else (SC-3, WH-22)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from payops.core import clock
from payops.core.models import Book, Message
from payops.core.outbox import outbox_queue
from payops.core.queues import Queue, drain_once
from payops.core.topics import Run, Topic, topic_table
from tests.races import race

pytestmark = pytest.mark.django_db(transaction=True)
LANE = "calls"


def handle(messages: list[Message], now: datetime) -> None:
    """Each test brings its own `run`."""


TOPICS = [Topic("asked", handle, LANE, 4, Run.IN_TRANSACTION, "a question")]


@pytest.fixture(autouse=True)
def own_topics(settings: Any):
    settings.PAYOPS_TOPICS = "tests.core.test_lanes_in_turn.TOPICS"
    topic_table.cache_clear()
    yield
    topic_table.cache_clear()


def send(turn: str, count: int, *, due_s_ago: int) -> None:
    due_at = clock.utc_now() - timedelta(seconds=due_s_ago)
    Message.objects.bulk_create(
        Message(
            book=Book.objects.get(code="meridian"),
            topic="asked",
            key=f"{turn}{number:04d}",
            lane=LANE,
            turn=turn,
            due_at=due_at + timedelta(milliseconds=number),
        )
        for number in range(count)
    )


def queue(run: Any) -> Queue:
    return replace(outbox_queue(), run=run, own_steps=None)


def test_a_backlog_of_one_provider_never_stands_before_the_others():
    send("stripe", 1000, due_s_ago=600)
    send("adyen", 3, due_s_ago=5)
    send("paypal", 1, due_s_ago=2)
    batches: list[list[str]] = []

    for _ in range(3):
        drain_once(
            queue(lambda rows, now: batches.append([row.turn for row in rows])),
            lane=LANE,
            batch_max=4,
        )

    # The first of every turn by age, then the second of each.
    assert [sorted(batch) for batch in batches] == [
        ["adyen", "paypal", "stripe", "stripe"],
        ["adyen", "adyen", "stripe", "stripe"],
        ["stripe", "stripe", "stripe", "stripe"],
    ]


def test_sixteen_workers_taking_turns_give_each_row_one_effect_wh_24():
    send("stripe", 150, due_s_ago=600)
    send("adyen", 50, due_s_ago=5)
    effects: list[str] = []

    def work(i: int) -> int:
        target = queue(lambda rows, now: effects.extend(row.key for row in rows))
        done = 0
        while (tally := drain_once(target, lane=LANE, batch_max=4)).claimed:
            done += tally.finished
        return done

    finished = race(16, work)

    assert sum(finished) == 200
    assert len(effects) == len(set(effects)) == 200
    assert Message.objects.filter(state="DONE", attempts=1).count() == 200
