"""Days and moments as banks write them; the year 1990 to 2100 and nothing else (D13, F15).

A moment keeps the offset it was told with: the day of a booking is the day at the bank.
"""

from __future__ import annotations

import calendar
import re
from datetime import date, datetime
from functools import lru_cache

from payops.formats.bank.words import excerpt

FIRST_YEAR, LAST_YEAR = 1990, 2100
ISO_DAY = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})(?:Z|[+-][0-9]{2}:?[0-9]{2})?")
PARTS = re.compile(r"([0-9]{1,4})[-./ ]?([0-9]{1,2})[-./ ]?([0-9]{1,4})(?:[ T].*)?")
NAMED = re.compile(r"([0-9]{1,2})[-. /]+([A-Za-z]{3})[A-Za-z]*\.?[-, /]+([0-9]{4}|[0-9]{2})")
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
CENTURY_TURN = 80
YMD, DMY, MDY = "YMD", "DMY", "MDY"
ORDERS = (YMD, DMY, MDY)


class DayRefused(ValueError):
    """No day of the calendar; the text says what was read."""


@lru_cache(maxsize=8192)
def iso(text: str) -> date:
    """2026-03-31, or the day of 2026-03-31T23:30:00+02:00 as told there."""
    match = ISO_DAY.match(text.strip())
    if match is None:
        raise DayRefused(f"{excerpt(text)} is no day such as 2026-03-31")
    return _day(int(match[1]), int(match[2]), int(match[3]), text)


def moment(text: str) -> datetime:
    """2026-03-31T08:00:00+02:00, with or without its offset."""
    try:
        at = datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError):
        raise DayRefused(f"{excerpt(text)} is no time such as 2026-03-31T08:00:00Z") from None
    _day(at.year, at.month, at.day, text)
    return at


@lru_cache(maxsize=8192)
def short(text: str) -> date:
    """YYMMDD of SWIFT and BAI2."""
    return clamped(text)[0] if _is_digits(text, 6) and not clamped(text)[1] else _refuse(text)


@lru_cache(maxsize=8192)
def clamped(text: str) -> tuple[date, bool]:
    """YYMMDD where a value date may be 30 February, as banks with months of 30 days count.

    The last day of that month then, and True.
    """
    if not _is_digits(text, 6):
        _refuse(text)
    year, month, day = _year(int(text[:2])), int(text[2:4]), int(text[4:])
    if month == 2 and day in (29, 30) and day > calendar.monthrange(year, 2)[1]:
        return _day(year, 2, calendar.monthrange(year, 2)[1], text), True
    return _day(year, month, day, text), False


@lru_cache(maxsize=8192)
def near(text: str, close_to: date) -> tuple[date, bool]:
    """MMDD in the year that lies closest to another day; clamped like a value date."""
    if not _is_digits(text, 4):
        _refuse(text)
    found = []
    for year in (close_to.year - 1, close_to.year, close_to.year + 1):
        try:
            found.append(clamped(f"{year % 100:02}{text}"))
        except DayRefused:
            continue
    if not found:
        _refuse(text)
    return min(found, key=lambda each: abs(each[0] - close_to))


@lru_cache(maxsize=8192)
def compact(text: str) -> date:
    """YYYYMMDD, with or without more behind it."""
    return (
        _day(int(text[:4]), int(text[4:6]), int(text[6:8]), text)
        if _is_digits(text[:8], 8)
        else _refuse(text)
    )


@lru_cache(maxsize=8192)
def ordered(text: str, order: str, *, is_value_date: bool = False) -> date:
    """A day as a person writes it, in a known order: 31.03.2026, 3/31/26, 31 Mar 2026.

    A value date may be 30 February; the last day of that month then.
    """
    value = text.strip()
    named = NAMED.match(value)
    if named is not None and named[2].lower() in MONTHS:
        month = MONTHS.index(named[2].lower()) + 1
        return _day(_full_year(named[3]), month, int(named[1]), text)
    if _is_digits(value, 8):
        cuts = (4, 6) if order == YMD else (2, 4)
        parts = [value[: cuts[0]], value[cuts[0] : cuts[1]], value[cuts[1] :]]
    else:
        match = PARTS.fullmatch(value)
        if match is None:
            return _refuse(text)
        parts = list(match.groups())
    places = {YMD: (0, 1, 2), DMY: (2, 1, 0), MDY: (2, 0, 1)}[order]
    of_year, of_month, of_day = (parts[place] for place in places)
    if len(of_year) not in (2, 4) or len(of_month) > 2 or len(of_day) > 2:
        raise DayRefused(f"{excerpt(text)} is no day in the order {order}")
    year, month, day = _full_year(of_year), int(of_month), int(of_day)
    if is_value_date and month == 2 and day in (29, 30) and FIRST_YEAR <= year <= LAST_YEAR:
        day = min(day, calendar.monthrange(year, 2)[1])
    return _day(year, month, day, text)


def offset_text(at: datetime) -> str:
    """ "+02:00" of a moment that tells its offset, or nothing."""
    return at.strftime("%z")[:3] + ":" + at.strftime("%z")[3:5] if at.tzinfo else ""


def _is_digits(text: str, count: int) -> bool:
    return len(text) == count and text.isascii() and text.isdecimal()


def _full_year(text: str) -> int:
    return int(text) if len(text) == 4 else _year(int(text))


def _year(two: int) -> int:
    return 1900 + two if two >= CENTURY_TURN else 2000 + two


def _day(year: int, month: int, day: int, text: str) -> date:
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise DayRefused(f"{excerpt(text)} lies outside {FIRST_YEAR} to {LAST_YEAR}")
    try:
        return date(year, month, day)
    except ValueError:
        raise DayRefused(f"{excerpt(text)} is no day of the calendar") from None


def _refuse(text: str) -> date:
    raise DayRefused(f"{excerpt(text)} is no day of the calendar")
