"""What a check of an invariant is given and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

BREAKS_LISTED_MAX = 20
BOUND_IDLE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Movement:
    """One line of a provider's own log of money that left: its witness for I7."""

    provider: str
    kind: str
    object_id: str
    reference: str
    amount_minor: int
    currency: str
    idempotency_key: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Moment:
    """When is checked, how old unfinished work may be, and what the providers' logs said.

    `movements` is None when no provider answered; `movements_note` says why or from where.
    """

    now: datetime
    bound: timedelta = BOUND_IDLE
    movements: tuple[Movement, ...] | None = None
    movements_at: datetime | None = None
    movements_note: str = ""


@dataclass(slots=True)
class Finding:
    """One check's answer: how many rows were looked at, and in words what is broken."""

    checked: int = 0
    breaks: list[str] = field(default_factory=list)
    note: str = ""
    absent: list[str] = field(default_factory=list)

    def break_each(self, words: str, statement: str, params: Sequence[Any] = ()) -> None:
        """Every row the statement returns is a break, told in `words` with its columns."""
        room = BREAKS_LISTED_MAX + 1 - len(self.breaks)
        if room > 0:
            for row in select(f"{statement} LIMIT {room}", params):
                self.add(words.format(*row))

    def add(self, words: str) -> None:
        """Keep the first BREAKS_LISTED_MAX; one more line says that there are others."""
        if len(self.breaks) < BREAKS_LISTED_MAX:
            self.breaks.append(words)
        elif len(self.breaks) == BREAKS_LISTED_MAX:
            self.breaks.append("further breaks are not listed")


def select(statement: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, list(params))
        return cursor.fetchall()


def count(relation: str) -> int:
    """Rows of a table or view named in this package, never by input."""
    return int(select(f"SELECT count(*) FROM {relation}")[0][0])


def table_exists(name: str) -> bool:
    return select("SELECT to_regclass(%s) IS NOT NULL", [name])[0][0] is True
