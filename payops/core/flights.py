"""Many provider calls in flight from one worker process, none of them holding a connection.

A call is begun in a transaction of its own (everything that must be true is committed before it
leaves), made in a pool of threads that never touch the database, and recorded in a second
transaction, back on the worker's thread. Free places are filled as calls land, not in waves; one
thread keeps all leases alive. Killed at any moment, the leases run out and the flow's own protocol
verifies what was lost. Never decides what a call is about. Serves WH-21, WH-22, WH-24, SC-3, D14.
"""

from __future__ import annotations

import logging
import random
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from queue import Empty, SimpleQueue
from typing import Any
from uuid import UUID, uuid4

from django.db import DatabaseError, connections

from payops.core import claims, clock, queues
from payops.core.callers import Call, Caller, Landed, NotSent, Room
from payops.core.queues import Postpone, Queue, Tally

log = logging.getLogger(__name__)

# More than the 64 that are promised: one that has landed keeps its place until it is recorded.
AT_ONCE = 128
# A provider that is silent never has all the places, whoever has the longer backlog.
TURN_SHARE = (3, 4)
# Claimed ahead of free places, so that a landing call is followed without a look at the backlog.
AHEAD = (1, 4)
# Begun, and recorded, at one go at most: in between, calls leave and land.
STEP = 32
# A lane that had nothing is looked at again after this long while calls are in the air.
LOOK_AGAIN_S = 0.2
# Landings that come so close together are recorded together.
GATHER_S = 0.005
WAIT_MAX_S, WAIT_MIN_S = 0.5, 0.01
PACED_MIN = timedelta(milliseconds=5)
# A call that was begun leaves as soon as its valve lets it, or not at all.
LEFT_WITHIN_S = 5.0
# Calls end by their own deadlines; one that does not is left to its lease.
LANDED_WITHIN_S = 60.0


# Row, call, what came of it, or why nothing did.
Landing = tuple[Any, Any, Any, BaseException | None]


def fly(queue: Queue, *, lane: str, budget_s: float, at_once: int = AT_ONCE) -> Tally:
    """Fly what is ready in a lane until nothing is, or the budget is used.

    At its end every row that was not begun is handed back, and what is in the air has landed.
    """
    tally = Tally()
    if queue.calls is None or not queue.calls.topics():
        return tally
    until = time.monotonic() + budget_s
    with (
        _Pool(at_once) as pool,
        _ready(_Deck(queue, queue.calls, lane, at_once, tally, pool)) as deck,
    ):
        while True:
            now_s = time.monotonic()
            moved = deck.load() + deck.launch() if now_s < until else deck.unload()
            deck.depart()
            if deck.more:
                continue  # What has landed waits a little; places stay filled.
            if deck.in_the_air and now_s < until + LANDED_WITHIN_S:
                deck.land()
            elif not moved:
                pause_s = deck.paced_s()
                if now_s >= until or pause_s is None:
                    return tally
                time.sleep(min(pause_s, max(until - now_s, 0.0)))


@contextmanager
def _ready(deck: _Deck) -> Iterator[_Deck]:
    """Its rows stay leased meanwhile, and are handed back at the end."""
    with queues.kept_leased(deck.queue, deck.held, deck.token), deck.unloaded_at_last():
        yield deck


class _Pool(ThreadPoolExecutor):
    """Threads for calls; the end of a worker never waits for one that hangs."""

    def __init__(self, at_once: int) -> None:
        super().__init__(at_once, thread_name_prefix="call")

    def __exit__(self, *_: Any) -> None:
        self.shutdown(wait=False, cancel_futures=True)


@dataclass
class _Deck:
    """The rows one worker holds: waiting for a place, in the air, landed."""

    queue: Queue
    calls: queues.Calls
    lane: str
    at_once: int
    tally: Tally
    pool: ThreadPoolExecutor
    token: UUID = field(default_factory=uuid4)
    waiting: dict[UUID, Any] = field(default_factory=dict)
    in_the_air: dict[UUID, Any] = field(default_factory=dict)
    landed: SimpleQueue[Landing] = field(default_factory=SimpleQueue)
    # Begun and not yet let through, by turn, with the moment until when each may leave.
    begun: dict[str, list[tuple[Caller, Any, Call, float]]] = field(default_factory=dict)
    # Turns whose valve said when there is more, and how many of them fitted the last time.
    paced: dict[str, datetime] = field(default_factory=dict)
    fitting: dict[str, int] = field(default_factory=dict)
    # Turns whose begun calls are held by the valve until then, and the most it let through at once.
    shut: dict[str, datetime] = field(default_factory=dict)
    let_through: dict[str, int] = field(default_factory=dict)
    look_again: float = 0.0
    # Rows and places are left over that this step did not get to.
    more: bool = False

    def held(self) -> list[UUID]:
        return [*self.waiting, *self.in_the_air]

    @contextmanager
    def unloaded_at_last(self) -> Iterator[None]:
        """However the flight ends, what was never begun is not left to its lease."""
        try:
            yield
        finally:
            try:
                self.unload()
            except DatabaseError as error:
                log.warning("%s: rows wait for their leases to end: %s", self.queue.name, error)

    def load(self) -> int:
        """Claim rows for places that are or soon will be free; answers how many were given up."""
        places = _part(self.at_once, AHEAD) + self.at_once - len(self.held())
        crowded = places < self.at_once // 8
        if self.in_the_air and (crowded or time.monotonic() < self.look_again):
            return 0
        which, given_up = self._which(), 0
        keys, reached = claims.free(self.queue, self.lane, self.token, places, which)
        if not any(row.interruptions for row in self._rows()):
            until = reached if len(keys) == places else None
            for key in claims.interrupted(self.queue, self.lane, self.token, until, which):
                keys.append(key)
                given_up += queues.buried(self.queue, key, self.token, self.tally)
        self.tally.claimed += len(keys)
        mine = self.queue.model.objects.select_related("book").filter(
            lease_token=self.token, state=self.queue.ready_state
        )
        known = mine.in_bulk([key for key in keys if key not in self.in_the_air])
        self.waiting.update({key: known[key] for key in keys if key in known})
        self.look_again = time.monotonic() + (0.0 if keys else LOOK_AGAIN_S)
        return given_up

    def launch(self) -> int:
        """Begin what has a place and its valve's leave; answers how many rows moved on."""
        places = self.at_once - len(self.in_the_air)
        free, self.more = min(places, STEP), False
        flying = Counter(row.turn for row in self.in_the_air.values())
        share = _part(self.at_once, TURN_SHARE)
        groups: dict[tuple[int, str], tuple[Caller, list[Any]]] = {}
        for row in self.waiting.values():
            if not free:
                self.more = places > STEP
                break
            if flying[row.turn] >= share:
                continue
            flying[row.turn] += 1
            free -= 1
            caller: Caller = self.calls.caller_of(row)
            groups.setdefault((id(caller), row.turn), (caller, []))[1].append(row)
        return sum(
            self._launch_turn(caller, turn, rows) for (_, turn), (caller, rows) in groups.items()
        )

    def depart(self) -> None:
        """Let calls leave that were begun: the valve is asked last, so that its cap holds there.

        Asked between all other steps: what it lets through and nobody takes is lost before long.
        """
        now, now_s = clock.utc_now(), time.monotonic()
        for turn, ready in self.begun.items():
            late = ready[0][3] < now_s if ready else False
            if not ready or (turn in self.shut and self.shut[turn] > now and not late):
                continue
            room = ready[0][0].room(turn=turn, wanted=len(ready), take=True, now=now)
            for _, row, call, _ in ready[: room.granted]:
                self.pool.submit(self._make, row, call)
            self.let_through[turn] = max(self.let_through.get(turn, 0), room.granted)
            kept = ready[room.granted :]
            again_at = max(room.again_at or now, now + PACED_MIN)
            if kept and not room.held_back:
                self.shut[turn] = self.paced[turn] = again_at
            for _, row, call, left_by in kept:
                if room.held_back or left_by < now_s:
                    words = room.held_back or "its turn did not come"
                    self.landed.put((row, call, NotSent(words, again_at), None))
            ready[:] = [] if room.held_back else [each for each in kept if each[3] >= now_s]

    def unload(self) -> int:
        """Rows that were not begun are free again for others."""
        self.more = False
        if self.waiting:
            queues.hand_back(self.queue, list(self.waiting), self.token)
            self.waiting.clear()
        return 0

    def land(self) -> None:
        """Wait until calls have landed, or a while, and record what came of them."""
        came: list[Landing] = []
        pause_s = self.paced_s()
        wait_s = LOOK_AGAIN_S if pause_s is None else min(max(pause_s, WAIT_MIN_S), WAIT_MAX_S)
        gather_until = None
        while len(came) < min(len(self.in_the_air), STEP):
            try:
                came.append(self.landed.get(timeout=max(wait_s, 0.0005)))
            except Empty:
                break
            gather_until = gather_until or time.monotonic() + GATHER_S
            wait_s = gather_until - time.monotonic()
        groups: dict[int, tuple[Caller, list[Landed]]] = {}
        for row, call, outcome, error in came:
            if error is not None:
                self._charge(row, error)
                continue
            caller = self.calls.caller_of(row)
            groups.setdefault(id(caller), (caller, []))[1].append(Landed(row, call, outcome))
        for caller, landed in groups.values():
            for chunk in _chunks(landed, caller.batch_max):
                self._record(caller, chunk)
                self.depart()

    def paced_s(self) -> float | None:
        """How long until a turn may be asked again; None when none waits."""
        now = clock.utc_now()
        held = [at for turn, at in self.shut.items() if self.begun.get(turn)]
        waits = [*held, *self.paced.values()]
        return max((min(waits) - now).total_seconds(), 0.0) if waits else None

    def _which(self) -> claims.Which:
        """Of each turn no more than its share of the places, and what its valve lets through."""
        now = clock.utc_now()
        self.paced = {turn: at for turn, at in self.paced.items() if at > now}
        most = _part(self.at_once + _part(self.at_once, AHEAD), TURN_SHARE)
        held = Counter(row.turn for row in self._rows())
        turn_max = {turn: max(most - count, 0) for turn, count in held.items()}
        for turn, fits in self.fitting.items():
            turn_max[turn] = min(turn_max.get(turn, fits), fits)
        for turn in self.paced:
            known = sum(row.turn == turn for row in self.waiting.values())
            turn_max[turn] = max(self._ahead(turn) - known, 0)
        return claims.Which(self.calls.topics(), each_max=most, turn_max=turn_max)

    def _ahead(self, turn: str) -> int:
        """How many more are begun before their valve lets them through, so that none of what it
        lets through at once is left untaken."""
        return max(self.let_through.get(turn, 0) - len(self.begun.get(turn, ())), 0)

    def _rows(self) -> list[Any]:
        return [*self.waiting.values(), *self.in_the_air.values()]

    def _launch_turn(self, caller: Caller, turn: str, rows: list[Any]) -> int:
        now = clock.utc_now()
        ahead, waiting = self._ahead(turn), len(self.begun.get(turn, ()))
        if turn in self.paced and self.paced[turn] > now:
            room = Room(min(ahead, len(rows)), self.paced[turn])
        else:
            room = caller.room(turn=turn, wanted=waiting + len(rows), take=False, now=now)
            if not room.held_back:
                fits = min(max(room.granted - waiting, ahead), len(rows))
                room = Room(fits, room.again_at)
        if room.granted < len(rows):
            self._wait(room, turn, rows[room.granted :], now)
        elif turn in self.fitting:
            self.fitting[turn] *= 2
            if self.fitting[turn] >= self.at_once:
                del self.fitting[turn]
        for chunk in _chunks(rows[: room.granted], caller.batch_max):
            self._begin(caller, turn, chunk)
            self.depart()
        return len(rows) if room.held_back else room.granted

    def _wait(self, room: Room, turn: str, rows: list[Any], now: datetime) -> None:
        again_at = max(room.again_at or now, now + PACED_MIN)
        keys = [row.pk for row in rows]
        if room.held_back:
            spread_s = room.spread.total_seconds()
            laters = [again_at + timedelta(seconds=random.uniform(0.0, spread_s)) for _ in keys]
            told = [Postpone(room.held_back, later) for later in laters]
            self._postpone(list(zip(keys, told, strict=True)))
        else:
            queues.hand_back(self.queue, keys, self.token)
            self.paced[turn], self.fitting[turn] = again_at, room.granted + 1
        for key in keys:
            self.waiting.pop(key, None)

    def _begin(self, caller: Caller, turn: str, rows: list[Any]) -> None:
        """Begin a batch, or its halves."""
        try:
            begun = caller.begin(rows, clock.utc_now())
        except Exception as error:  # noqa: BLE001 - whatever a flow raises is charged to its row
            if len(rows) == 1:
                self._charge(rows[0], error)
                return
            log.info("%s: a beginning of %d is split: %s", self.queue.name, len(rows), error)
            for half in _halves(rows):
                self._begin(caller, turn, half)
            return
        done, later = [], []
        for row, answer in zip(rows, begun, strict=True):
            self.waiting.pop(row.pk, None)
            if answer is None:
                done.append(row.pk)
            elif isinstance(answer, Postpone):
                later.append((row.pk, answer))
            else:
                self.in_the_air[row.pk] = row
                left_by = time.monotonic() + LEFT_WITHIN_S
                self.begun.setdefault(turn, []).append((caller, row, answer, left_by))
        self._finish(done)
        self._postpone(later)

    def _make(self, row: Any, call: Call) -> None:
        """Runs in a thread of the pool."""
        try:
            self.landed.put((row, call, call.make(), None))
        except BaseException as error:  # noqa: BLE001 - charged to its row by the worker's thread
            self.landed.put((row, call, None, error))
        finally:
            if any(each.connection for each in connections.all(initialized_only=True)):
                log.warning("a call of %s touched the database", row.pk)
                connections.close_all()

    def _record(self, caller: Caller, landed: list[Landed]) -> None:
        try:
            answers = caller.record(landed, clock.utc_now())
        except Exception as error:  # noqa: BLE001 - whatever a flow raises is charged to its row
            if len(landed) == 1:
                self._charge(landed[0].row, error)
                return
            log.info("%s: a record of %d is split: %s", self.queue.name, len(landed), error)
            for half in _halves(landed):
                self._record(caller, half)
            return
        told = [(each.row.pk, answer) for each, answer in zip(landed, answers, strict=True)]
        self._finish([key for key, answer in told if answer is None])
        self._postpone([(key, answer) for key, answer in told if answer is not None])
        for key, _ in told:
            self.in_the_air.pop(key, None)

    def _finish(self, keys: list[UUID]) -> None:
        if keys:
            self.tally.finished += queues.finish(self.queue, keys, self.token)

    def _postpone(self, laters: list[tuple[UUID, Postpone]]) -> None:
        if laters:
            queues.postpone(self.queue, laters, self.token)

    def _charge(self, row: Any, error: BaseException) -> None:
        queues.charge(self.queue, row.pk, self.token, error, self.tally)
        self.waiting.pop(row.pk, None)
        self.in_the_air.pop(row.pk, None)


def _part(whole: int, share: tuple[int, int]) -> int:
    return max(whole * share[0] // share[1], 1)


def _chunks(items: list[Any], size: int) -> Iterator[list[Any]]:
    for first in range(0, len(items), size):
        yield items[first : first + size]


def _halves(items: list[Any]) -> tuple[list[Any], list[Any]]:
    return items[: len(items) // 2], items[len(items) // 2 :]
