"""Which work a worker takes next: before each batch, the lanes ahead of its own (SC-3, WH-23).

Owns the order of lanes per worker and how long one batch of each may last. A million bulk events
hold up a high one by one batch of the helper, never by their number. Rows that run by their own
steps wait for somebody else's answer, so a helper takes none of them; calls fly many at once,
beside the questions that are asked one by one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

from django.db import connections

from payops.core import flights, outbox, queues, tracing
from payops.core.pace import Pace
from payops.core.queues import Queue, Tally
from payops.flows import provider_event
from payops.webhooks.inbox import inbox_queue

INBOX = inbox_queue(tracing.watched(provider_event.process))
OUTBOX = outbox.outbox_queue()
QUEUES = (INBOX, OUTBOX)
BATCH_S: Mapping[str, float] = {"high": 0.1, "standard": 0.1, "bulk": 0.25}
OTHER_BATCH_S = 0.5
# Rows that wait for somebody else's answer are claimed a few at a time: one silent provider must
# not keep a worker's whole batch of others waiting.
CALLS_AT_ONCE = 4
# How often the two threads of a worker of calls look whether the other still works.
BESIDE_S = 0.5
# The longest a high event waits for a worker that helps out.
HELP_S = 0.15


@dataclass(frozen=True, slots=True)
class Turn:
    """One lane in a worker's order: which of its queues, and the pace of its batches."""

    lane: str
    queues: tuple[Queue, ...]
    pace: Pace


def order_of(lane: str) -> tuple[Turn, ...]:
    """What the worker of a lane looks at before each batch, first things first."""
    own = Turn(lane, QUEUES, Pace(batch_s=BATCH_S.get(lane, OTHER_BATCH_S)))
    if lane == "calls":
        own.pace.size = CALLS_AT_ONCE
    if lane == "high":
        return (own, Turn("bulk", (INBOX,), Pace(batch_s=HELP_S)))
    if lane == "bulk":
        return (Turn("standard", QUEUES, Pace(batch_s=BATCH_S["standard"])), own)
    return (own,)


def work(lane: str, *, budget_s: float) -> Tally:
    """Take turns until nothing is ready in any of the lanes, or the budget is used."""
    if lane == "calls":
        return _work_calls(budget_s)
    return _work(lane, time.monotonic() + budget_s)


def _work(lane: str, until: float) -> Tally:
    total, order = Tally(), order_of(lane)
    while time.monotonic() < until:
        done = take_turn(order)
        if not done.claimed:
            break
        total.add(done)
    return total


def _work_calls(budget_s: float) -> Tally:
    """Calls in flight, and beside them, from one more thread, whatever is asked step by step."""
    until, total = time.monotonic() + budget_s, Tally()
    questions = _Questions(until)
    questions.thread.start()
    try:
        while time.monotonic() < until:
            left_s = until - time.monotonic()
            seen = flights.fly(OUTBOX, lane="calls", budget_s=left_s)
            total.add(seen)
            if not seen.claimed and not questions.busy.is_set():
                break
            if not seen.claimed:
                questions.quiet.wait(BESIDE_S)
    finally:
        questions.over.set()
        questions.thread.join()
    total.add(questions.done)
    if questions.error is not None:
        raise questions.error
    return total


class _Questions:
    """Rows of the lane that run by their own steps, in a thread with a connection of its own."""

    def __init__(self, until: float) -> None:
        self.over, self.busy, self.quiet = (threading.Event() for _ in range(3))
        self.done, self._until = Tally(), until
        self.error: BaseException | None = None
        self.busy.set()
        self.thread = threading.Thread(target=self._ask, name="questions", daemon=True)

    def _ask(self) -> None:
        try:
            while not self.over.is_set() and time.monotonic() < self._until:
                seen = take_turn(order_of("calls"))
                self.done.add(seen)
                if seen.claimed:
                    self.busy.set()
                    self.quiet.clear()
                    continue
                self.busy.clear()
                self.quiet.set()
                self.over.wait(BESIDE_S)
        except BaseException as error:  # noqa: BLE001 - raised again by the worker's thread
            self.error = error
        finally:
            self.busy.clear()
            self.quiet.set()
            connections.close_all()


def take_turn(order: tuple[Turn, ...]) -> Tally:
    """One batch from each queue of the first lane that has work."""
    done = Tally()
    for turn in order:
        for queue in turn.queues:
            started = time.monotonic()
            seen = queues.drain_once(queue, lane=turn.lane, batch_max=turn.pace.size)
            if queue.own_steps is None:
                # Somebody else's slow answer says nothing about how long our own rows take.
                turn.pace.learn(claimed=seen.claimed, spent_s=time.monotonic() - started)
            done.add(seen)
        if done.claimed:
            break
    return done
