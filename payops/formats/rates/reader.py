"""Files of exchange rates: one pair per line, or the wide layout of the ECB's reference rates.

Text in, rows and rejects out, line by line; no database and no clock. A line is one pair (base,
quote, rate, as_of, source), with or without a header, by comma, semicolon or tab. The ECB's files
have the day first and one column per currency; they tell units of it per euro. Whether a rate is
from the future or far from the last one is the flow's to say. Serves LJ-10, F19.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from zoneinfo import ZoneInfo

from payops.formats.rates.currencies import CURRENCIES

DECIMALS_MAX = 10
WHOLE_DIGITS_MAX = 10
SOURCE_MAX = 64
CELL_MAX = 120
LINES_MAX = 2000
FIRST_YEAR = 1990
PAIRS, ECB = "one pair per line", "ECB reference rates"
HEADERS = {
    "base": ("base", "base_currency", "from", "from_currency", "currency"),
    "quote": ("quote", "quote_currency", "to", "to_currency", "counter"),
    "rate": ("rate", "value", "exchange_rate"),
    "as_of": ("as_of", "date", "time", "valid_from"),
    "source": ("source", "provider"),
}
ORDER = ("base", "quote", "rate", "as_of", "source")
NEEDED = ("base", "quote", "rate", "as_of")
# Published around 16:00 Central European time on working days.
ECB_SOURCE, ECB_BASE, ECB_ZONE, ECB_AT = "ECB", "EUR", "Europe/Berlin", time(16)
NOT_QUOTED = frozenset({"", "-", "N/A"})
NUMBER = re.compile(r"[0-9]+(?:[.,][0-9]+)?")
DAY_FORMATS = ("%Y-%m-%d", "%d.%m.%Y", "%d %B %Y", "%d %b %Y")


@dataclass(frozen=True, slots=True)
class RateRow:
    """Units of `quote` per one `base` from `as_of` on; `line` counts from one."""

    line: int
    base: str
    quote: str
    rate: Decimal
    as_of: datetime
    source: str


@dataclass(frozen=True, slots=True)
class Reject:
    """A line that cannot be taken, and why; `line` 0 is the whole file."""

    line: int
    text: str
    why: str


@dataclass(frozen=True, slots=True)
class Reading:
    layout: str
    rows: tuple[RateRow, ...]
    rejects: tuple[Reject, ...]


class CellRefused(ValueError):
    """A value that cannot be read; the text names it and what would fit."""


def read(text: str, *, time_zone: str, source: str) -> Reading:
    """The rates of a file. A day without a time begins at midnight in `time_zone`; `source` is
    that of lines that name none."""
    lines = [(n, line) for n, line in enumerate(text.lstrip("\ufeff").splitlines(), 1)]
    filled = [(n, line) for n, line in lines if line.strip() and not line.startswith("#")]
    if not filled:
        return Reading(PAIRS, (), (Reject(0, "", "there is no line to read"),))
    if len(filled) > LINES_MAX:
        why = f"{len(filled)} lines are more than {LINES_MAX}; leave out days you do not need"
        return Reading(PAIRS, (), (Reject(0, "", why),))
    table = [(n, _cells(line, _mark(filled[0][1])), line) for n, line in filled]
    first = [cell.casefold() for cell in table[0][1]]
    if _is_wide(table[0][1]):
        found = list(_wide(table))
        return _reading(ECB, found)
    columns = _columns(first)
    if columns is None:
        columns, body = {name: place for place, name in enumerate(ORDER)}, table
    else:
        body = table[1:]
    missing = [name for name in NEEDED if name not in columns]
    if missing:
        why = f"the header has no column {', '.join(missing)}; needed are {', '.join(NEEDED)}"
        return Reading(PAIRS, (), (Reject(table[0][0], table[0][2][:CELL_MAX], why),))
    at = columns["rate"]
    marks = {mark for _, cells, _ in body if at < len(cells) for mark in ".," if mark in cells[at]}
    if len(marks) > 1 and len(body) > 1:
        why = "some rates are written with a point and others with a comma; use one of them"
        return Reading(PAIRS, (), (Reject(0, "", why),))
    return _reading(PAIRS, [_pair(each, columns, time_zone, source) for each in body])


def currency(text: str) -> str:
    """Raises CellRefused."""
    code = text.strip().upper()
    if code not in CURRENCIES:
        raise CellRefused(f"{text[:12]!r} is not a currency of ISO 4217")
    return code


def rate(text: str) -> Decimal:
    """A positive number with a point or a comma, without separators of thousands.

    Raises CellRefused.
    """
    typed = text.strip()
    if not NUMBER.fullmatch(typed):
        raise CellRefused(
            f"{text[:30]!r} is not a rate above 0; write digits and one decimal mark, without"
            " separators of thousands"
        )
    whole, _, decimals = typed.replace(",", ".").partition(".")
    if len(decimals) > DECIMALS_MAX:
        raise CellRefused(f"{typed[:30]} has {len(decimals)} decimals, more than {DECIMALS_MAX}")
    if len(whole.lstrip("0")) > WHOLE_DIGITS_MAX:
        raise CellRefused(f"{typed[:30]} has more than {WHOLE_DIGITS_MAX} digits before the mark")
    value = Decimal(f"{whole}.{decimals or 0}")
    if value <= 0:
        raise CellRefused(f"{typed[:30]} is not above 0")
    return value


def moment(text: str, *, time_zone: str) -> datetime:
    """A day or a moment, in UTC; without an offset it is told in `time_zone`.

    Raises CellRefused.
    """
    typed = text.strip()
    day = _day(typed)
    try:
        at = datetime.combine(day, time()) if day else datetime.fromisoformat(typed)
        at = at if at.tzinfo else at.replace(tzinfo=ZoneInfo(time_zone))
        at = at.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise CellRefused(f"{text[:30]!r} is no day or time such as 2026-03-31") from error
    if at.year < FIRST_YEAR:
        raise CellRefused(f"{text[:30]!r} lies before {FIRST_YEAR}")
    return at


def _day(typed: str) -> date | None:
    for form in DAY_FORMATS:
        try:
            return datetime.strptime(typed, form).replace(tzinfo=UTC).date()
        except ValueError:
            continue
    return None


def _reading(layout: str, found: Sequence[RateRow | Reject]) -> Reading:
    """A pair told twice for one moment is one row too many, unless it says the same."""
    rows: dict[tuple[str, str, datetime], RateRow] = {}
    rejects = [each for each in found if isinstance(each, Reject)]
    for row in found:
        if isinstance(row, Reject):
            continue
        first = rows.setdefault((row.base, row.quote, row.as_of), row)
        if first.rate != row.rate:
            why = f"line {first.line} tells {first.rate:f} for the same pair and moment"
            rejects.append(Reject(row.line, f"{row.base}/{row.quote} {row.rate:f}", why))
    if not rows and not rejects:
        rejects.append(Reject(0, "", "there is no rate in it"))
    ordered = tuple(sorted(rejects, key=lambda each: each.line))
    return Reading(layout, tuple(rows.values()), ordered)


def _pair(
    told: tuple[int, list[str], str], columns: dict[str, int], time_zone: str, source: str
) -> RateRow | Reject:
    line, cells, text = told
    said = {name: cells[at] if at < len(cells) else "" for name, at in columns.items()}
    try:
        if len(cells) > max(columns.values()) + 1 and any(cells[max(columns.values()) + 1 :]):
            raise CellRefused(
                f"{len(cells)} values for {len(columns)} columns; a decimal comma in a file by"
                " commas stands in quotes"
            )
        base, quote = currency(said["base"]), currency(said["quote"])
        if base == quote:
            raise CellRefused(f"{base} to itself is no exchange rate")
        named = (said.get("source") or source).strip()
        if not named.isprintable() or not 0 < len(named) <= SOURCE_MAX:
            raise CellRefused(f"the source is named in 1 to {SOURCE_MAX} characters")
        at = moment(said["as_of"], time_zone=time_zone)
        return RateRow(line, base, quote, rate(said["rate"]), at, named)
    except CellRefused as refusal:
        return Reject(line, text[:CELL_MAX], str(refusal))


# ---- the layout of the ECB -----------------------------------------------------------------


def _is_wide(header: Sequence[str]) -> bool:
    codes = [cell for cell in header[1:] if cell]
    named = header[0].casefold() == "date" and len(codes) > 0
    return named and all(re.fullmatch(r"[A-Z]{3}", code) for code in codes)


def _wide(table: Sequence[tuple[int, list[str], str]]) -> Iterator[RateRow | Reject]:
    header = table[0][1]
    for line, cells, text in table[1:]:
        day = _day(cells[0])
        if day is None or day.year < FIRST_YEAR:
            yield Reject(line, text[:CELL_MAX], f"{cells[0][:30]!r} is no day such as 2026-03-31")
            continue
        at = datetime.combine(day, ECB_AT, tzinfo=ZoneInfo(ECB_ZONE)).astimezone(UTC)
        for code, told in zip(header[1:], cells[1:], strict=False):
            if not code or told in NOT_QUOTED:
                continue
            try:
                quote = currency(code)
                yield RateRow(line, ECB_BASE, quote, rate(told), at, ECB_SOURCE)
            except CellRefused as refusal:
                yield Reject(line, f"{code} {told}"[:CELL_MAX], str(refusal))


# ---- lines and columns ---------------------------------------------------------------------


def _mark(first: str) -> str:
    return next((mark for mark in (";", "\t") if mark in first), ",")


def _cells(line: str, mark: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=mark))]
    except csv.Error:
        return [line]


def _columns(first: Sequence[str]) -> dict[str, int] | None:
    """Where each column stands by the header; None when the first line is a rate already."""
    found: dict[str, int] = {}
    for place, cell in enumerate(first):
        for name, words in HEADERS.items():
            if cell.replace(" ", "_") in words:
                found.setdefault(name, place)
    return found or None
