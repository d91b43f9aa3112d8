"""Which work a worker takes next: a backlog of bulk never stands before a high event (SC-3)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from payops.core import clock
from payops.core.pace import BATCH_MIN
from payops.core.queues import BATCH_MAX
from payops.flows import turns
from payops.webhooks import services
from payops.webhooks.models import ProviderEvent
from tests.builders import post_stripe

pytestmark = pytest.mark.django_db(transaction=True)
State = ProviderEvent.State


def store(lane: str, *numbers: int) -> None:
    for number in numbers:
        body = {
            "id": f"evt_{lane}{number}",
            "object": "event",
            "type": "customer.created",
            "created": int(clock.utc_now().timestamp()),
            "livemode": False,
            "data": {"object": {"id": f"cus_{lane}{number}", "object": "customer"}},
        }
        post_stripe(body)
    ProviderEvent.objects.filter(provider_event_id__startswith=f"evt_{lane}").update(lane=lane)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[list[str]]]:
    """Every batch the inbox was given, as the lanes of its events; each event is ignored."""
    batches: list[list[str]] = []

    def run(events: list[ProviderEvent], now: datetime) -> None:
        batches.append([event.lane for event in events])
        for event in events:
            services.ignored(event, reason="not looked at")

    inbox = replace(turns.INBOX, run=run)
    monkeypatch.setattr(turns, "INBOX", inbox)
    monkeypatch.setattr(turns, "QUEUES", (inbox, turns.OUTBOX))
    yield batches


def sized(order: tuple[turns.Turn, ...], size: int) -> tuple[turns.Turn, ...]:
    for turn in order:
        turn.pace.size = size
        turn.pace.learn = lambda **told: None  # type: ignore[method-assign]
    return order


def test_the_high_worker_helps_with_bulk_and_looks_at_its_own_lane_between_batches(
    ran: list[list[str]],
) -> None:
    store("bulk", 1, 2, 3, 4, 5)
    order = sized(turns.order_of("high"), 2)

    turns.take_turn(order)
    store("high", 1)
    turns.take_turn(order)
    turns.take_turn(order)

    assert ran == [["bulk", "bulk"], ["high"], ["bulk", "bulk"]]


def test_the_bulk_worker_takes_standard_first_and_never_high(ran: list[list[str]]) -> None:
    store("bulk", 1, 2, 3)
    store("standard", 1)
    store("high", 1)
    order = sized(turns.order_of("bulk"), 2)

    while turns.take_turn(order).claimed:
        pass

    assert ran == [["standard"], ["bulk", "bulk"], ["bulk"]]
    assert ProviderEvent.objects.get(lane="high").state == State.RECEIVED


@pytest.mark.parametrize(
    ("lane", "lanes"),
    [
        ("high", ["high", "bulk"]),
        ("standard", ["standard"]),
        ("bulk", ["standard", "bulk"]),
        ("calls", ["calls"]),
        ("housekeeping", ["housekeeping"]),
    ],
)
def test_the_order_of_each_worker(lane: str, lanes: list[str]) -> None:
    assert [turn.lane for turn in turns.order_of(lane)] == lanes


def test_a_helper_takes_no_row_that_waits_for_somebody_elses_answer() -> None:
    own, help_out = turns.order_of("high")

    assert own.queues == (turns.INBOX, turns.OUTBOX)
    assert help_out.queues == (turns.INBOX,)


def test_work_ends_when_every_lane_is_empty_and_tells_what_it_did(ran: list[list[str]]) -> None:
    store("high", 1, 2)
    store("bulk", 1)

    done = turns.work("high", budget_s=20.0)

    assert (done.claimed, done.finished) == (3, 3)
    assert ran == [["high", "high"], ["bulk"]]


def test_work_ends_with_its_budget_and_leaves_the_rest(ran: list[list[str]]) -> None:
    store("bulk", 1)

    assert turns.work("bulk", budget_s=0.0).claimed == 0
    assert ran == []


def test_a_helpers_batch_is_paced_so_that_it_ends_soon() -> None:
    help_out = turns.order_of("high")[1]

    for _ in range(6):
        help_out.pace.learn(claimed=help_out.pace.size, spent_s=help_out.pace.size * 0.001)

    assert help_out.pace.size == int(turns.HELP_S / 0.001) < BATCH_MAX


def test_a_slow_machine_gets_smaller_batches(ran: list[list[str]], monkeypatch: Any) -> None:
    store("bulk", 1, 2)
    ticks = iter(range(0, 1000, 30))
    monkeypatch.setattr(turns.time, "monotonic", lambda: float(next(ticks)))
    order = turns.order_of("high")

    turns.take_turn(order)

    assert order[1].pace.size == BATCH_MIN
