"""What a statement is made of: rows, figures with the way to their lines, and controls (RP-1).

Plain values and the arithmetic of columns and spans. Reads nothing.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

SECTION, LINE, DETAIL, TOTAL, GRAND, ERROR = "section", "line", "detail", "total", "grand", "error"
NOT_MAPPED = "Not mapped to any line of the statements"


@dataclass(frozen=True, slots=True)
class Span:
    """Posting days, both included; a balance sheet looks at the last one."""

    from_on: date
    to_on: date

    @property
    def is_whole_months(self) -> bool:
        last = calendar.monthrange(self.to_on.year, self.to_on.month)[1]
        return self.from_on.day == 1 and self.to_on.day == last

    @property
    def day_before(self) -> date:
        return self.from_on - timedelta(days=1)

    def previous(self) -> Span:
        """As many months, or else as many days, right before."""
        if not self.is_whole_months:
            days = self.to_on - self.from_on
            return Span(self.day_before - days, self.day_before)
        months = _month_no(self.to_on) - _month_no(self.from_on) + 1
        return Span(_month_start(_month_no(self.from_on) - months), self.day_before)

    def year_before(self) -> Span:
        to_on = _same_day(self.to_on, self.to_on.year - 1)
        if self.is_whole_months:
            to_on = to_on.replace(day=calendar.monthrange(to_on.year, to_on.month)[1])
        return Span(_same_day(self.from_on, self.from_on.year - 1), to_on)


@dataclass(frozen=True, slots=True)
class Drill:
    """Which lines a figure is the sum of; `statement` names a statement that explains it instead.

    `side` keeps the parties on that side of the account alone; `from_on` None is from the start.
    """

    accounts: tuple[str, ...]
    to_on: date
    from_on: date | None = None
    currency: str = ""
    tag: str = ""
    party: str = ""
    side: str = ""
    statement: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    minor: int
    drill: Drill | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a statement; `key` is its own among the rows, `code` the account it shows."""

    kind: str
    key: str
    words: str
    figures: tuple[Figure, ...] = ()
    code: str = ""
    note: str = ""

    @property
    def is_nil(self) -> bool:
        return not any(figure.minor for figure in self.figures)


@dataclass(frozen=True, slots=True)
class Check:
    """A control with its figures; `off_minor` is what it is out by."""

    words: str
    figures: tuple[tuple[str, int], ...]
    off_minor: int
    note: str = ""

    @property
    def ok(self) -> bool:
        return self.off_minor == 0


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement ready to be shown or exported; amounts are minor units of `currency`.

    `in_reporting`: all currencies together in the book's reporting currency.
    """

    kind: str
    title: str
    span: Span
    before: Span | None
    currency: str
    in_reporting: bool
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    checks: tuple[Check, ...]

    @property
    def errors(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.kind == ERROR)

    @property
    def ok(self) -> bool:
        return not self.errors and all(check.ok for check in self.checks)

    @property
    def is_empty(self) -> bool:
        return all(row.is_nil for row in self.rows)

    def row(self, key: str) -> Row | None:
        return next((row for row in self.rows if row.key == key), None)


def fiscal_start(day: date, month: int) -> date:
    """First day of the fiscal year, beginning in `month`, that the day lies in."""
    year = day.year if day.month >= month else day.year - 1
    return date(year, month, 1)


def total(key: str, words: str, minor: int, kind: str = TOTAL) -> Row:
    return Row(kind, key, words, (Figure(minor),))


def unmapped(code: str, name: str, figure: Figure) -> Row:
    return Row(ERROR, f"error:{code}", name, (figure,), code=code, note=NOT_MAPPED)


def beside(rows: Sequence[Row], before: Sequence[Row]) -> list[Row]:
    """Each row with the last figure of the other span and the change of its own last one."""
    others = {row.key: row for row in before}
    joined = []
    for row in _in_order(rows, before):
        mine = row.figures if row in rows else ()
        was = others[row.key].figures[-1:] if row.key in others else ()
        if not row.figures:
            joined.append(row)
            continue
        mine = mine or tuple(Figure(0) for _ in row.figures)
        old = was[0] if was else Figure(0)
        change = Figure(mine[-1].minor - old.minor)
        joined.append(replace(row, figures=(*mine, old, change)))
    return joined


def without_nil(rows: Iterable[Row]) -> tuple[Row, ...]:
    """Lines that say nothing are left out, and sections that have none left."""
    kept: list[Row] = []
    for row in rows:
        if row.kind in (LINE, DETAIL) and row.is_nil:
            continue
        if row.kind == TOTAL and kept and kept[-1].kind == SECTION:
            kept.pop()
            continue
        if row.kind in (SECTION, GRAND) and kept and kept[-1].kind == SECTION:
            kept.pop()
        kept.append(row)
    if kept and kept[-1].kind == SECTION:
        kept.pop()
    return tuple(kept)


def _in_order(rows: Sequence[Row], before: Sequence[Row]) -> list[Row]:
    """Rows of both; one that only the other span has stands behind its neighbour there."""
    merged = list(rows)
    keys = [row.key for row in rows]
    place = 0
    for row in before:
        if row.key in keys:
            place = keys.index(row.key) + 1
            continue
        merged.insert(place, row)
        keys.insert(place, row.key)
        place += 1
    return merged


def _month_no(day: date) -> int:
    return day.year * 12 + day.month - 1


def _month_start(number: int) -> date:
    return date(number // 12, number % 12 + 1, 1)


def _same_day(day: date, year: int) -> date:
    last = calendar.monthrange(year, day.month)[1]
    return date(year, day.month, min(day.day, last))
