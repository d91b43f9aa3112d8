"""The contract between the engine that flies calls and the flows whose calls they are.

A caller begins a call (everything that must be true is committed), the call is made from another
thread without the database, and the caller records what came of it. Its valve says how many may
leave. Never knows who calls whom. Serves D14, WH-21, WH-22.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from payops.core.queues import Postpone


class Call(Protocol):
    """One call that was begun, with all it needs loaded: it leaves from another thread."""

    def make(self) -> Any:
        """The network alone, within the call's own deadline."""
        ...


Begun = Call | Postpone | None


@dataclass(frozen=True, slots=True)
class NotSent:
    """The outcome of a call that was begun and never left: its valve closed meanwhile."""

    words: str
    again_at: datetime


@dataclass(frozen=True, slots=True)
class Landed:
    """What came of one call."""

    row: Any
    call: Any
    outcome: Any


@dataclass(frozen=True, slots=True)
class Room:
    """How many calls of one turn may leave now.

    With `again_at` the others wait until then; with `held_back` (why) nobody is asked before it,
    and they come back spread over `spread`.
    """

    granted: int
    again_at: datetime | None = None
    held_back: str = ""
    spread: timedelta = timedelta(0)


class Caller(Protocol):
    """Carries the rows of a topic that flies; `batch_max` rows are begun or recorded at once.

    `begin` and `record` answer for each row in order: a call to make (begin only), a Postpone, or
    None for a row that is finished. Each commits its own transaction, or raises and changed
    nothing: a batch that raises is halved down to the row to blame.
    """

    @property
    def batch_max(self) -> int: ...

    def room(self, *, turn: str, wanted: int, take: bool, now: datetime) -> Room:
        """What the valve of the turn lets through; with `take` so many leave at once."""
        ...

    def begin(self, rows: Sequence[Any], now: datetime) -> Sequence[Begun]: ...

    def record(self, landed: Sequence[Landed], now: datetime) -> Sequence[Postpone | None]: ...
