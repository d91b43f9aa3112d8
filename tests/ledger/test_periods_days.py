"""The accounting day: midnight to midnight in the book's own zone, its end inclusive (D13, F15)."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from ledger.models import JournalEntry
from payops.core import clock
from tests.ledger.scene import Scene, capture, lock_period, make_book, public_id
from tests.periods import opened

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 5, 12, 0, tzinfo=UTC)
TICK = timedelta(microseconds=1)
# Zone, last day of a month, the UTC moment at which the next day begins.
MONTH_ENDS = [
    ("Europe/Berlin", date(2026, 2, 28), datetime(2026, 2, 28, 23, 0, tzinfo=UTC)),
    ("Europe/Berlin", date(2026, 7, 31), datetime(2026, 7, 31, 22, 0, tzinfo=UTC)),
    ("Pacific/Auckland", date(2026, 2, 28), datetime(2026, 2, 28, 11, 0, tzinfo=UTC)),
    ("Pacific/Auckland", date(2026, 7, 31), datetime(2026, 7, 31, 12, 0, tzinfo=UTC)),
    ("America/New_York", date(2026, 2, 28), datetime(2026, 3, 1, 5, 0, tzinfo=UTC)),
    ("America/New_York", date(2026, 7, 31), datetime(2026, 8, 1, 4, 0, tzinfo=UTC)),
]
# Zone, a day on which the clocks change, its length in hours.
CHANGES = [
    ("Europe/Berlin", date(2026, 3, 29), 23),
    ("Europe/Berlin", date(2025, 10, 26), 25),
    ("Pacific/Auckland", date(2025, 9, 28), 23),
    ("Pacific/Auckland", date(2026, 4, 5), 25),
    ("America/New_York", date(2026, 3, 8), 23),
    ("America/New_York", date(2026, 11, 1), 25),
]


def booked(scene: Scene, at: datetime) -> JournalEntry:
    outcome = scene.post(capture(scene, public_id("pa"), occurred_at=at), now=NOW)[0]
    return JournalEntry.objects.select_related("period").get(pk=outcome.entry_id)


@pytest.mark.parametrize(("zone", "last", "midnight"), MONTH_ENDS)
def test_the_last_microsecond_is_this_month_and_midnight_the_next(
    zone: str, last: date, midnight: datetime
) -> None:
    """F15: 23:59:59.999999 and 00:00 local time, whatever UTC says."""
    scene = Scene(make_book(time_zone=zone))
    assert (midnight - TICK).astimezone(ZoneInfo(zone)).time().isoformat() == "23:59:59.999999"

    before, after = booked(scene, midnight - TICK), booked(scene, midnight)

    assert (before.posting_on, before.period.code) == (last, f"{last:%Y-%m}")
    following = last + timedelta(days=1)
    assert (after.posting_on, after.period.code) == (following, f"{following:%Y-%m}")


@pytest.mark.parametrize(("zone", "last", "midnight"), MONTH_ENDS)
def test_a_lock_ends_with_the_day_and_not_with_utc(
    zone: str, last: date, midnight: datetime
) -> None:
    """I12: only the last microsecond of the locked month is late; midnight has its own day."""
    scene = Scene(make_book(time_zone=zone))
    following = last + timedelta(days=1)
    for day in (last, following):
        opened(scene.book, day, now=NOW)
    lock_period(scene.book, f"{last:%Y-%m}", now=NOW)

    before, after = booked(scene, midnight - TICK), booked(scene, midnight)

    assert (before.posting_on, after.posting_on) == (following, following)
    assert before.occurred_at == midnight - TICK


@pytest.mark.parametrize(("zone", "day", "hours"), CHANGES)
def test_a_day_on_which_the_clocks_change_is_one_day(zone: str, day: date, hours: int) -> None:
    """F15: 23 or 25 hours long, both ends inclusive, no moment twice and none left out."""
    scene = Scene(make_book(time_zone=zone))
    begins = clock.start_of_day(day, time_zone=zone)
    ends = clock.start_of_day(day + timedelta(days=1), time_zone=zone)
    assert ends - begins == timedelta(hours=hours)

    moments = [begins - TICK, begins, begins + (ends - begins) / 2, ends - TICK, ends]
    days = [booked(scene, moment).posting_on for moment in moments]

    before, after = day - timedelta(days=1), day + timedelta(days=1)
    assert days == [before, day, day, day, after]


def test_two_books_book_one_moment_on_their_own_days() -> None:
    """D13: the zone is the book's; the same moment is February in New York, March in Auckland."""
    at = datetime(2026, 2, 28, 23, 30, tzinfo=UTC)
    zones = ("America/New_York", "Europe/Berlin", "Pacific/Auckland")

    days = [booked(Scene(make_book(time_zone=zone)), at).posting_on for zone in zones]

    assert days == [date(2026, 2, 28), date(2026, 3, 1), date(2026, 3, 1)]
