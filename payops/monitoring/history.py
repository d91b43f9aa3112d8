"""What a series did before: the windows a measurement is held against, and what they say.

The baseline is the same hour of the week over the last weeks; where fewer than WEEKS_MIN weeks were
seen, the last day; where even that is too short, there is none, and a rule stands on its least
count alone. Median and median deviation, so that one bad Tuesday teaches nothing wrong. Pure
reading of slots that are counted already. Serves OB-3, OB-4, AI-5.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db import connection

from payops.monitoring.signals import SLOT, SLOT_S

WEEKS = 8
WEEKS_MIN = 3
DAY_SAMPLES_MIN = 6
HOUR_SLOTS, DAY_SLOTS, WEEK_SLOTS = 12, 288, 2016
# The median deviation of a normal series is 1 / 1.4826 of its standard deviation.
DEVIATION = 1.4826
READ = """
SELECT s.scope, extract(epoch FROM s.slot_at)::bigint / %s, s.value
FROM unnest(%s::timestamptz[], %s::timestamptz[]) AS r(since, until)
JOIN monitoring_signal s ON s.name = %s AND s.slot_at >= r.since AND s.slot_at < r.until
WHERE s.book_id = %s"""
FIRST = """
SELECT w.scope, (SELECT extract(epoch FROM min(s.slot_at))::bigint / %s FROM monitoring_signal s
  WHERE s.book_id = %s AND s.name = %s AND s.scope = w.scope)
FROM unnest(%s::text[]) AS w(scope)"""


@dataclass(frozen=True, slots=True)
class Baseline:
    """What comparable windows held. `kind` is "weeks", "day" or "none"."""

    kind: str
    weeks: int
    samples: tuple[int, ...]

    @property
    def expected(self) -> int:
        return round(statistics.median(self.samples)) if self.samples else 0

    @property
    def spread(self) -> int:
        """At least what counting alone makes a series vary, and never nil."""
        if not self.samples:
            return 1
        middle = statistics.median(self.samples)
        deviation = statistics.median(abs(value - middle) for value in self.samples)
        return max(1, math.ceil(max(deviation * DEVIATION, math.sqrt(middle))))

    @property
    def usual_least(self) -> int:
        """What nine of ten comparable windows reached."""
        return sorted(self.samples)[len(self.samples) // 10] if self.samples else 0

    def words(self, window: str) -> str:
        if self.kind == "weeks":
            return (
                f"{len(self.samples)} windows of {window} in the same hour of the week "
                f"over {self.weeks} weeks"
            )
        if self.kind == "day":
            return f"{len(self.samples)} windows of {window} of the last day (younger than 3 weeks)"
        return "no windows"


@dataclass(slots=True)
class Book:
    """The slots of one series of one book that a rule looks at, by scope."""

    slots: dict[str, dict[int, int]] = field(default_factory=lambda: defaultdict(dict))
    first: dict[str, int | None] = field(default_factory=dict)

    def total(self, scope: str, until: int, length: int) -> int:
        """The count of `length` slots, the last of them being `until` - 1."""
        known = self.slots.get(scope, {})
        return sum(known.get(number, 0) for number in range(until - length, until))

    def rolling(self, scope: str, until: int, length: int, points: int) -> list[int]:
        return [self.total(scope, end, length) for end in range(until - points + 1, until + 1)]

    def baseline(self, scope: str, until: int, length: int) -> Baseline:
        first = self.first.get(scope)
        if first is None:
            return Baseline("none", 0, ())
        hour = (until - 1) // HOUR_SLOTS * HOUR_SLOTS
        starts = [hour - WEEK_SLOTS * week for week in range(1, WEEKS + 1)]
        seen = [start for start in starts if start >= first]
        if len(seen) >= WEEKS_MIN:
            ends = [
                start + length * place
                for start in seen
                for place in range(1, max(HOUR_SLOTS // length, 1) + 1)
            ]
            return Baseline("weeks", len(seen), self._totals(scope, ends, length))
        ends = list(range(until - 2 * length, until - DAY_SLOTS, -length))
        ends = [end for end in ends if end - length >= first]
        if len(ends) >= DAY_SAMPLES_MIN:
            return Baseline("day", 0, self._totals(scope, ends, length))
        return Baseline("none", 0, ())

    def _totals(self, scope: str, ends: Iterable[int], length: int) -> tuple[int, ...]:
        return tuple(self.total(scope, end, length) for end in ends)


def number_of(at: datetime) -> int:
    """The running number of the slot that holds a moment."""
    return int(at.timestamp()) // SLOT_S


def moment(number: int) -> datetime:
    return datetime.fromtimestamp(number * SLOT_S, UTC)


def read(*, book_id: UUID, name: str, until: int, scopes: Sequence[str] = ()) -> Book:
    """The slots a rule with windows of up to an hour needs; `scopes` names some more to date."""
    ranges = [(until - DAY_SLOTS - HOUR_SLOTS, until)]
    hour = (until - 1) // HOUR_SLOTS * HOUR_SLOTS
    ranges += [
        (hour - WEEK_SLOTS * week, hour - WEEK_SLOTS * week + HOUR_SLOTS)
        for week in range(1, WEEKS + 1)
    ]
    found = between(book_id=book_id, name=name, ranges=ranges)
    known = sorted({*found.slots, *scopes})
    with connection.cursor() as cursor:
        cursor.execute(FIRST, [SLOT_S, book_id, name, known])
        found.first = dict(cursor.fetchall())
    return found


def between(*, book_id: UUID, name: str, ranges: Sequence[tuple[int, int]]) -> Book:
    found = Book()
    bounds = [[moment(number) for number in column] for column in zip(*ranges, strict=True)]
    with connection.cursor() as cursor:
        cursor.execute(READ, [SLOT_S, *bounds, name, book_id])
        for scope, number, value in cursor.fetchall():
            found.slots[scope][number] = value
    return found


def length_words(slots: int) -> str:
    minutes = slots * int(SLOT / timedelta(minutes=1))
    return f"{minutes // 60} h" if minutes % 60 == 0 else f"{minutes} min"
