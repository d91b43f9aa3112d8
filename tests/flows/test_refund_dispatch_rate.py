"""A throttled drain keeps the account's cap, below and above, however slow the worker's own steps
are (WH-22).

Time is a number here: what a step costs is told, and nothing depends on the machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from queue import Empty
from typing import Any, NamedTuple

import pytest

from payops.core import claims, clock, flights
from payops.core.callers import Begun, Landed, Room
from payops.core.models import Book, Message
from payops.core.outbox import outbox_queue
from payops.core.queues import Postpone
from payops.core.topics import Run, Topic, topic_table
from payops.flows.calls import AccountTurns
from tests.accounts import with_settings

pytestmark = pytest.mark.django_db(transaction=True)
LANE = "calls"
CAP_PER_S = 60
COUNT = 360
# A quarter of a second's calls may come at once.
BURST = CAP_PER_S // 4


class Hours:
    """The clock of the flight: it passes when somebody works, waits or sleeps."""

    def __init__(self) -> None:
        self.passed_s = 0.0
        self.start = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)

    def monotonic(self) -> float:
        return self.passed_s

    def sleep(self, seconds: float) -> None:
        self.passed_s += max(seconds, 0.001)

    def utc_now(self) -> datetime:
        return self.start + timedelta(seconds=self.passed_s)


class Landings:
    """Where calls land; to wait for none takes the time that was waited."""

    def __init__(self, hours: Hours) -> None:
        self.came: list[Any] = []
        self.hours = hours

    def put(self, landing: Any) -> None:
        self.came.append(landing)

    def get(self, timeout: float) -> Any:
        if not self.came:
            self.hours.sleep(timeout)
            raise Empty
        return self.came.pop(0)


class Costs(NamedTuple):
    """Of each row that is begun or recorded, of a claim, and of a look at the valve."""

    begin_s: float
    record_s: float
    claim_s: float
    ask_s: float


class Worker:
    """A caller behind the real valve, whose steps take their time."""

    batch_max = 16

    def __init__(self, hours: Hours, costs: Costs) -> None:
        self.hours, self.costs = hours, costs
        self.left: list[float] = []

    def room(self, *, turn: str, wanted: int, take: bool, now: datetime) -> Room:
        room = AccountTurns().room(turn=turn, wanted=wanted, take=take, now=now)
        self.hours.sleep(self.costs.ask_s)
        return room

    def begin(self, rows: Sequence[Message], now: datetime) -> list[Begun]:
        self.hours.sleep(self.costs.begin_s * len(rows))
        return [self] * len(rows)

    def make(self) -> str:
        self.left.append(self.hours.passed_s)
        return "taken"

    def record(self, landed: Sequence[Landed], now: datetime) -> list[Postpone | None]:
        assert {each.outcome for each in landed} == {"taken"}, "every call that was begun left"
        self.hours.sleep(self.costs.record_s * len(landed))
        return [None] * len(landed)


class _Door:
    def __getattr__(self, name: str) -> Any:
        return getattr(WORKERS[-1], name)


WORKERS: list[Worker] = []
TOPICS = [Topic("fly", _Door(), LANE, 3, Run.CALL, "a call")]


class AtOnce:
    """A pool whose calls are made where they are submitted."""

    def __init__(self, at_once: int) -> None:
        pass

    def __enter__(self) -> AtOnce:
        return self

    def __exit__(self, *_: Any) -> None:
        pass

    def submit(self, call: Callable[..., Any], *given: Any) -> None:
        call(*given)


@pytest.fixture
def hours(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hours]:
    settings.PAYOPS_TOPICS = "tests.flows.test_refund_dispatch_rate.TOPICS"
    topic_table.cache_clear()
    hours, ready = Hours(), flights._ready

    def landing_here(deck: Any) -> AbstractContextManager[Any]:
        deck.landed = Landings(hours)
        return ready(deck)

    monkeypatch.setattr(flights, "_ready", landing_here)
    monkeypatch.setattr(flights, "_Pool", AtOnce)
    monkeypatch.setattr(flights, "time", hours)
    monkeypatch.setattr(flights, "clock", hours)
    yield hours
    WORKERS.clear()
    topic_table.cache_clear()


@pytest.mark.parametrize(
    "costs",
    [
        Costs(begin_s=0.0005, record_s=0.001, claim_s=0.001, ask_s=0.001),
        Costs(begin_s=0.003, record_s=0.004, claim_s=0.02, ask_s=0.005),
        Costs(begin_s=0.004, record_s=0.009, claim_s=0.03, ask_s=0.008),
        Costs(begin_s=0.002, record_s=0.003, claim_s=0.08, ask_s=0.03),
    ],
)
def test_the_cap_is_kept_within_a_twentieth_however_slow_the_worker_is(
    hours: Hours, monkeypatch: pytest.MonkeyPatch, costs: Costs
) -> None:
    worker = _sends(hours, costs)
    free = claims.free

    def claimed(*given: Any) -> Any:
        hours.sleep(costs.claim_s)
        return free(*given)

    monkeypatch.setattr(claims, "free", claimed)

    tally = flights.fly(outbox_queue(), lane=LANE, budget_s=60.0)

    assert (tally.finished, len(worker.left)) == (COUNT, COUNT)
    later = worker.left[BURST:]
    rate = (len(later) - 1) / (later[-1] - later[0])
    assert 0.95 * CAP_PER_S <= rate <= 1.05 * CAP_PER_S, f"{rate:.1f} calls/s"
    for first, at in enumerate(worker.left):
        within = sum(at <= other < at + 1.0 for other in worker.left[first:])
        assert within <= CAP_PER_S + BURST, "and never more than the cap and one burst in a second"


def _sends(hours: Hours, costs: Costs) -> Worker:
    account = with_settings("stripe", calls_per_s=CAP_PER_S)
    book = Book.objects.get(code="meridian")
    due_at = clock.utc_now() - timedelta(seconds=5)
    Message.objects.bulk_create(
        Message(book=book, topic="fly", key=f"k{n}", lane=LANE, turn=str(account.pk), due_at=due_at)
        for n in range(COUNT)
    )
    WORKERS.append(Worker(hours, costs))
    return WORKERS[-1]
