"""Accounting periods: which day of which month an event is booked on (D12, F15).

Owns opening a month, and which days of a calendar of months are open. What happens to an event
whose month is closed is `ledger/late.py`. Never locks or reopens a period: people do, through
`payops/flows/periods.py`. The moment the event happened is kept on the entry beside the day.
"""

from __future__ import annotations

import calendar
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db import connection

from ledger.errors import PeriodLocked
from ledger.models import AccountingPeriod
from payops.core import clock, locks, state
from payops.core.actors import Actor
from payops.core.models import Book

OPENABLE_DAYS_BACK = 731
OPEN = AccountingPeriod.State.OPEN
LOCKED = AccountingPeriod.State.LOCKED


@dataclass(frozen=True, slots=True)
class Placement:
    """The day to post on; `period` is None while that month has not been opened yet."""

    period: AccountingPeriod | None
    posting_on: date
    late: bool


def ensure_open(*, book: Book, day: date, actor: Actor, now: datetime) -> AccountingPeriod:
    """The period of the day, opened when there is none; PeriodLocked when it is locked."""
    found = AccountingPeriod.objects.filter(book=book, starts_on__lte=day, ends_on__gte=day).first()
    if found is None:
        code = clock.period_of(day)
        locks.name(f"ledger.period:{book.pk}:{code}")
        found = AccountingPeriod.objects.filter(book=book, code=code).first()
        if found is None:
            found = _month(book, day)
            state.save(found, actor=actor, now=now, action="period.opened")
    if found.state == LOCKED:
        raise PeriodLocked(f"{day} lies in the locked period {found.code} of {book.code}")
    return found


def periods_of(books: Sequence[Book]) -> dict[object, list[AccountingPeriod]]:
    """Every period of the books in order of time, by the book's key."""
    by_book: dict[object, list[AccountingPeriod]] = {book.pk: [] for book in books}
    found = AccountingPeriod.objects.filter(book__in=list(by_book)).order_by("starts_on")
    for period in found:
        by_book[period.book_id].append(period)
    return by_book


def today_of(book: Book, now: datetime) -> date:
    return clock.business_day(now, time_zone=book.time_zone)


def on_time(
    *, book: Book, periods: Sequence[AccountingPeriod], occurred_on: date, now: datetime
) -> Placement | None:
    """The event's own day while it is open; None: it is late. A day in the future is today."""
    today = today_of(book, now)
    day = min(occurred_on, today)
    own = _covering(periods, day)
    if own is not None and own.state != LOCKED:
        return Placement(own, day, late=False)
    if own is None and _may_open(periods, day, today):
        return Placement(None, day, late=False)
    return None


def place_on(
    *, book: Book, periods: Sequence[AccountingPeriod], posting_on: date, now: datetime
) -> Placement:
    """A day the caller chose and answers for; PeriodLocked when it is closed."""
    own = _covering(periods, posting_on)
    if own is not None and own.state != LOCKED:
        return Placement(own, posting_on, late=False)
    today = today_of(book, now)
    if own is None and _may_open(periods, posting_on, today):
        return Placement(None, posting_on, late=False)
    raise PeriodLocked(f"{posting_on} is closed in {book.code}")


def first_open_day(
    *, book: Book, periods: Sequence[AccountingPeriod], day: date, now: datetime
) -> Placement:
    """The first day after a closed one that takes entries; PeriodLocked when there is none.

    A month that is being closed takes its own events, no late ones of the months before it.
    """
    today = today_of(book, now)
    for period in periods:
        if period.state == OPEN and day < period.starts_on <= today:
            return Placement(period, period.starts_on, late=True)
    closed_until = max((p.ends_on for p in periods), default=today - timedelta(days=1))
    following = closed_until + timedelta(days=1)
    if following > today:
        raise PeriodLocked(f"{book.code} has no open day after {day}")
    return Placement(None, following, late=True)


def share(keys: Sequence[object]) -> dict[object, str]:
    """Hold periods against being locked until the transaction ends; answers their states.

    Shared: posters do not wait for each other, only for a close that changes the state.
    """
    assert connection.in_atomic_block, "a row lock lives in a transaction"
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, state FROM ledger_accountingperiod WHERE id = ANY(%s)"
            " ORDER BY id FOR SHARE",
            [list(keys)],
        )
        return dict(cursor.fetchall())


def _covering(periods: Sequence[AccountingPeriod], day: date) -> AccountingPeriod | None:
    return next((p for p in reversed(periods) if p.starts_on <= day <= p.ends_on), None)


def _may_open(periods: Sequence[AccountingPeriod], day: date, today: date) -> bool:
    """A month without a row opens by itself, unless a later one is locked or it is too old."""
    if day < today - timedelta(days=OPENABLE_DAYS_BACK):
        return False
    return not any(p.state == LOCKED and p.starts_on > day for p in periods)


def _month(book: Book, day: date) -> AccountingPeriod:
    last = calendar.monthrange(day.year, day.month)[1]
    return AccountingPeriod(
        book=book,
        code=clock.period_of(day),
        starts_on=day.replace(day=1),
        ends_on=day.replace(day=last),
    )
