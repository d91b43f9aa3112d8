"""Cells of a settlement file as amounts, rates and moments; no float comes near (D13, D17, F19).

What cannot be read raises `CellRefused` with the column, the reason and a bounded excerpt, which
makes one row a reject. Exponents are those of core.money: decimals beyond them must be zeros.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from payops.core.money import MINOR_MAX, Money, MoneyError, check_currency, exponent_of
from payops.formats.files import Formula, excerpt

FIRST_YEAR, LAST_YEAR = 1990, 2100
TEXT_MAX = 255
RATE = re.compile(r"[0-9]{1,12}(\.[0-9]{1,24})?")
PLAIN = re.compile(r"([+-]?)([0-9]{1,20})(?:\.([0-9]{0,20}))?")
GROUPED = re.compile(
    r"[0-9]{1,3}(?:(?P<mark>[.,' \u00a0\u202f\u2019])[0-9]{3})(?:(?P=mark)[0-9]{3})*"
)
LOCAL_DAY = re.compile(r"([0-9]{1,4})[-./ ]([0-9]{1,2})[-./ ]([0-9]{1,4})\.?")
CLOCK = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?(?: ?([AaPp])\.?[Mm]\.?)?")
OFFSET = re.compile(r"(?:UTC|GMT)?([+-])([0-9]{1,2}):?([0-9]{2})?")
ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+/-]{1,40}")
OF_THE_MACHINE = ("localtime", "posixrules", "factory")
UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff]+"
)
# Names providers write. The summer names are fixed, the winter names are the clock of the place,
# because reports write "CET" in July as well.
ABBREVIATIONS = {
    "CET": "Europe/Brussels",
    "MET": "Europe/Brussels",
    "WET": "Europe/Lisbon",
    "EET": "Europe/Helsinki",
    "EST": "America/New_York",
    "PST": "America/Los_Angeles",
    "MST": "America/Denver",
    "PT": "America/Los_Angeles",
    "SGT": "Asia/Singapore",
    "HKT": "Asia/Hong_Kong",
    "JST": "Asia/Tokyo",
    "AEST": "Australia/Sydney",
    "BRT": "America/Sao_Paulo",
    "NZST": "Pacific/Auckland",
}
FIXED_HOURS = {
    "UTC": 0, "GMT": 0, "Z": 0, "BST": 1, "CEST": 2, "MEST": 2, "WEST": 1, "EEST": 3,
    "EDT": -4, "CDT": -5, "MDT": -6, "PDT": -7, "AEDT": 11, "NZDT": 13,
}  # fmt: skip


class CellRefused(ValueError):
    """Why a row cannot be taken; `column` names the cell, `shown` is at most 32 characters."""

    def __init__(self, column: str, why: str, shown: str = "") -> None:
        super().__init__(why)
        self.column, self.why, self.shown = column, why, excerpt(shown) if shown else ""


@lru_cache(maxsize=512)
def places_of(currency: str) -> int:
    """The decimals of a currency by its code. Raises MoneyError."""
    return exponent_of(check_currency(currency))


@lru_cache(maxsize=512)
def currency(text: str, column: str) -> str:
    """A code as it stands, upper case. Raises CellRefused."""
    code = text.strip().upper()
    try:
        places_of(code)
    except MoneyError:
        raise CellRefused(column, "no currency code such as EUR", text) from None
    return code


def minor(text: str, code: str, column: str) -> int:
    """Major units with a point: "-12.30" EUR is -1230, "12" JPY is 12. Raises CellRefused."""
    places = places_of(code)
    whole, _, decimals = text.partition(".")
    if len(decimals) == places and len(whole) < 14 and text.isascii():
        digits = whole[1:] if whole[:1] == "-" else whole
        if digits.isdecimal() and (not places or decimals.isdecimal()):
            return int(whole + decimals)
    return _minor(text, places, code, column)


def _minor(text: str, places: int, code: str, column: str) -> int:
    if isinstance(text, Formula):
        raise CellRefused(column, "a formula; paste its value", text)
    match = PLAIN.fullmatch(text.strip())
    if match is None:
        raise CellRefused(column, "no amount such as 1234.56", text)
    sign, whole, decimals = match[1], match[2], match[3] or ""
    if decimals[places:].strip("0"):
        raise CellRefused(column, f"more decimals than the {places} of {code}", text)
    found = int(whole + decimals[:places].ljust(places, "0"))
    if found > MINOR_MAX:
        raise CellRefused(column, f"beyond the limit of {MINOR_MAX} minor units", text)
    return -found if sign == "-" else found


def localised(text: str, code: str, column: str, *, mark: str) -> int:
    """As a person reads it: "1.234,50-", "(1,234.50)", "-12". `mark` is the decimal mark."""
    if isinstance(text, Formula):
        raise CellRefused(column, "a formula; paste its value", text)
    value, negative = text.strip().replace("\u2212", "-"), False
    if value.startswith("(") and value.endswith(")"):
        negative, value = True, value[1:-1].strip()
    elif value.endswith("-"):
        negative, value = True, value[:-1].strip()
    elif value.startswith(("-", "+")):
        negative, value = value[0] == "-", value[1:].strip()
    whole, _, decimals = value.partition(mark)
    if not whole.isdecimal():
        match = GROUPED.fullmatch(whole)
        if match is None or match["mark"] == mark:
            such = "1,234.56" if mark == "." else "1.234,56"
            raise CellRefused(column, f"no amount such as {such}", text)
        whole = whole.replace(match["mark"], "")
    found = _minor(f"{whole}.{decimals}" if decimals else whole, places_of(code), code, column)
    return -found if negative else found


@lru_cache(maxsize=4096)
def rate(text: str, column: str) -> Decimal | None:
    """An exchange rate as told; nothing where the cell is empty. Raises CellRefused."""
    value = text.strip()
    if not value:
        return None
    if isinstance(text, Formula) or not RATE.fullmatch(value):
        raise CellRefused(column, "no exchange rate such as 1.0954", text)
    found = Decimal(value)
    if not found:
        raise CellRefused(column, "an exchange rate of zero", text)
    return found


@lru_cache(maxsize=512)
def zone(name: str) -> tzinfo | None:
    """A zone by its name, an abbreviation or "+02:00"; None when it is not known here."""
    wanted = name.strip()
    if wanted.upper() in FIXED_HOURS:
        hours = FIXED_HOURS[wanted.upper()]
        return timezone(timedelta(hours=hours), wanted.upper()) if hours else UTC
    match = OFFSET.fullmatch(wanted)
    if match:
        span = timedelta(hours=int(match[2]), minutes=int(match[3] or 0))
        if span <= timedelta(hours=14):
            return timezone(span if match[1] == "+" else -span)
        return None
    if not ZONE.fullmatch(wanted) or wanted.lower() in OF_THE_MACHINE:
        return None
    try:
        return ZoneInfo(ABBREVIATIONS.get(wanted.upper(), wanted))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def moment(text: str, at: tzinfo | None, column: str) -> datetime | None:
    """2026-03-31 23:30:00 on the clock of `at`; None when empty or when no zone is known.

    In the hour that is there twice, the first is taken. Raises CellRefused.
    """
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = _odd_moment(text, column)
    if not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise CellRefused(column, f"a year outside {FIRST_YEAR} to {LAST_YEAR}", text)
    if found.tzinfo is None:
        return None if at is None else found.replace(tzinfo=at)
    return found


def _odd_moment(text: str, column: str) -> datetime:
    """2011/10/01 00:00:00 -0700, and the days of a workbook."""
    parts = text.strip().replace("/", "-").split(" ")
    joined = "T".join(parts[:2]) + (parts[2] if len(parts) == 3 else "")
    try:
        return datetime.fromisoformat(joined)
    except ValueError:
        raise CellRefused(column, "no time such as 2026-03-31 23:30:00", text) from None


def local_moment(
    day: str, clock: str, at: tzinfo | None, order: str, column: str
) -> datetime | None:
    """A day as people write it in `order` ("DMY", "MDY", "YMD") with a clock of 12 or 24 hours."""
    match = LOCAL_DAY.fullmatch(day.strip())
    if match is None:
        raise CellRefused(column, "no day such as 31/03/2026", day)
    numbers = dict(zip(order, (int(match[1]), int(match[2]), int(match[3])), strict=True))
    year = numbers["Y"] + 2000 if numbers["Y"] < 100 else numbers["Y"]
    hour, minute, second = _clock(clock, column)
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise CellRefused(column, f"a year outside {FIRST_YEAR} to {LAST_YEAR}", day)
    try:
        found = datetime(year, numbers["M"], numbers["D"], hour, minute, second)  # noqa: DTZ001
    except ValueError:
        raise CellRefused(column, f"no day of the calendar, read as {order}", day) from None
    return None if at is None else found.replace(tzinfo=at)


def _clock(text: str, column: str) -> tuple[int, int, int]:
    if not text.strip():
        return 0, 0, 0
    match = CLOCK.fullmatch(text.strip())
    if match is None:
        raise CellRefused(column, "no time such as 23:30:00", text)
    hour = int(match[1])
    if match[4]:
        hour = hour % 12 + (12 if match[4] in "pP" else 0)
    return hour, int(match[2]), int(match[3] or 0)


def words(text: str, most: int = TEXT_MAX) -> str:
    """A text to keep: single blanks, nothing unseen, cut to `most`."""
    if len(text) <= most and text.isascii() and text.isprintable():
        return text.strip()
    return " ".join(UNSEEN.sub(" ", text).split())[:most]


def reference(text: str, column: str) -> str:
    """A name the provider gave, whole: half of one finds nothing. Raises CellRefused."""
    if len(text) <= TEXT_MAX and text.isascii() and text.isprintable():
        return text.strip()
    found = words(text, len(text))
    if len(found) > TEXT_MAX:
        raise CellRefused(column, f"more than {TEXT_MAX} characters, as no reference has", text)
    return found


def said(amount_minor: int, code: str) -> str:
    """An amount for a sentence, also where it is beyond what money may be."""
    if abs(amount_minor) > MINOR_MAX:
        return f"{amount_minor:,} minor units of {code}"
    return str(Money(amount_minor, code))
