"""The trace id of what is going on, and where finished stretches of work are told to.

A trace id is 32 hex digits, made with the receipt, stored on delivery, event, message and journal
entry, and is the OpenTelemetry trace id as it stands. Nothing here knows OpenTelemetry: while no
sink is set (none is unless the environment names a collector), a stretch of work costs one look at
a module variable. A sink only takes note; it never waits and nothing it does can fail the work.
Serves OB-2, WH-26.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import Any, Protocol
from uuid import uuid4

from django.db import transaction

log = logging.getLogger(__name__)
_current: ContextVar[str] = ContextVar("payops_trace", default="")


@dataclass(frozen=True, slots=True)
class Stretch:
    """A piece of work that is over; times are nanoseconds since 1970."""

    began_ns: int
    ended_ns: int


class Sink(Protocol):
    """What tells a collector; `payops.monitoring.spans` has the only one."""

    def stretch(
        self, name: str, trace_id: str, times: Stretch, attributes: dict[str, Any]
    ) -> None: ...

    def batch(self, rows: Sequence[Any], times: Stretch) -> None: ...


class _Watch:
    sink: Sink | None = None


def begin() -> str:
    """A fresh trace id; it is the current one until the next."""
    trace_id = uuid4().hex
    _current.set(trace_id)
    return trace_id


def current() -> str:
    """The trace id of what this thread works on, "" when nobody said."""
    return _current.get()


def go_on(trace_id: str) -> None:
    """What this thread works on now; "" when it is done."""
    _current.set(trace_id)


def tell(sink: Sink | None) -> None:
    """Tell finished work to `sink` from now on; None stops it."""
    _Watch.sink = sink


def note(name: str, *, trace_id: str, times: Stretch, **attributes: Any) -> None:
    """One finished stretch of a trace, such as an export or a call; cheap when nobody listens."""
    if _Watch.sink is not None and trace_id:
        try:
            _Watch.sink.stretch(name, trace_id, times, attributes)
        except Exception as error:  # noqa: BLE001 - telling of work never fails it
            log.warning("a finished %s was not told: %s", name, error)


def watched(
    run: Callable[[list[Any], datetime], None],
) -> Callable[[list[Any], datetime], None]:
    """A queue's `run` whose batches are told once they are committed."""

    @wraps(run)
    def told(rows: list[Any], now: datetime) -> None:
        sink = _Watch.sink
        if sink is None:
            run(rows, now)
            return
        began = time.time_ns()
        run(rows, now)
        times = Stretch(began, time.time_ns())
        batch = list(rows)

        def tell_sink() -> None:
            sink.batch(batch, times)

        transaction.on_commit(tell_sink, robust=True)

    return told
