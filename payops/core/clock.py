"""The one clock and the one accounting day (D13, F15).

Only faces, tasks and commands read the clock; everything below them takes `now`. A business day
runs from midnight to midnight, end inclusive, in the book's time zone.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo


def utc_now() -> datetime:
    return datetime.now(UTC)


def business_day(at: datetime, *, time_zone: str) -> date:
    if at.tzinfo is None:
        raise ValueError("a naive datetime has no business day")
    return at.astimezone(ZoneInfo(time_zone)).date()


def zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def start_of_day(day: date, *, time_zone: str) -> datetime:
    return datetime.combine(day, time.min, tzinfo=ZoneInfo(time_zone)).astimezone(UTC)


def period_of(day: date) -> str:
    """The accounting period of a business day, "2026-03"."""
    return f"{day.year:04d}-{day.month:02d}"


def next_weekday(day: date) -> date:
    following = day + timedelta(days=1)
    while following.weekday() >= 5:
        following += timedelta(days=1)
    return following
