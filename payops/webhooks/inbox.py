"""The inbox as a queue: ProviderEvents in state RECEIVED, lane by lane (WH-16, WH-17, SC-4).

The flow hands in what to do with a batch; it sets a verdict on every event it was given. How often
an event is tried depends on its lane.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from payops.core.actors import service
from payops.core.queues import Queue, attempts_allowed
from payops.webhooks import services
from payops.webhooks.models import ProviderEvent

ATTEMPTS_MAX = {"high": 12, "standard": 10, "bulk": 8}
ACTOR = service("inbox")
Batch = list[ProviderEvent]


def inbox_queue(run: Callable[[Batch, datetime], None]) -> Queue:
    """`run` decides a whole batch inside one transaction."""
    return Queue(
        name="inbox",
        model=ProviderEvent,
        ready_state=ProviderEvent.State.RECEIVED,
        run=run,
        own_steps=None,
        attempts_max=_attempts_max,
        finish=_finish,
        give_up=_give_up,
    )


def _attempts_max(event: ProviderEvent) -> int:
    return attempts_allowed(event, ATTEMPTS_MAX.get(event.lane, min(ATTEMPTS_MAX.values())))


def _finish(events: Batch, now: datetime) -> None:
    services.mark_many(events, actor=ACTOR, now=now)


def _give_up(event: ProviderEvent, now: datetime) -> None:
    services.bury(event, actor=ACTOR, now=now)
