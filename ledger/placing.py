"""The day of every draft of a batch, its period held against a close (D12, F15).

A batch looks once: at the open months of its days, the accounts and the keys. Only what is late,
or falls into a month nobody opened yet, is looked at further (`ledger/late.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date, datetime
from typing import cast
from uuid import UUID

from ledger import late, periods, writing
from ledger.checks import Chart, ChartAccount
from ledger.drafts import Draft
from ledger.errors import LateApprovalNeeded, PeriodLocked, RateUnknown
from ledger.models import AccountingPeriod
from payops.core import clock
from payops.core.actors import Actor

# What batches of this process saw, by book: open months and accounts. Never trusted: what is
# written by it is refused by the database where it is no longer so, and is looked at again.
_KNOWN: dict[UUID, tuple[list[writing.Month], dict[str, ChartAccount]]] = {}


def place_by_memory(
    drafts: dict[writing.BookKey, Draft], *, actor: Actor, now: datetime
) -> dict[UUID, Chart] | None:
    """Give each draft its day without asking the database; None when something is not known."""
    days = _days(drafts.values(), now)
    known = {book: _KNOWN.get(book, ([], {})) for book, _ in days}
    months = {book: open_months for book, (open_months, _) in known.items()}
    charts = {book: chart for book, (_, chart) in known.items()}
    if not _covers(months, days):
        return None
    for draft in drafts.values():
        if any(leg.account not in charts[draft.book_id] for leg in draft.posting.legs):
            return None
    _place_all(drafts.values(), months, actor=actor, now=now)
    return dict(charts)


def place(
    drafts: dict[writing.BookKey, Draft],
    *,
    savepoint: writing.Savepoint,
    actor: Actor,
    now: datetime,
) -> writing.Seen:
    """Give each draft its day, open months on the way, and hold the periods against a close.

    Drafts of one moment that are not late have one day; only late ones are looked at one by one.
    """
    days = _days(drafts.values(), now)
    codes = {leg.account for draft in drafts.values() for leg in draft.posting.legs}
    seen = writing.look(days, codes=codes, keys=drafts, savepoint=savepoint)
    for book, chart in seen.charts.items():
        _KNOWN[book] = (seen.months[book], {**_KNOWN.get(book, ([], {}))[1], **chart})
    held = seen.held
    months = seen.months if _covers(seen.months, days) else writing.months_of(list(seen.months))
    for _ in range(2):
        _place_all(drafts.values(), months, actor=actor, now=now)
        placed = {d.place.period.pk for d in drafts.values() if d.place and d.place.period}
        loose = list(placed - held)
        if not loose or periods.LOCKED not in periods.share(loose).values():
            return seen
        months = writing.months_of(list(seen.months))
    raise PeriodLocked("a period is being locked at this moment")


def _covers(months: Mapping[UUID, list[writing.Month]], days: set[tuple[UUID, date]]) -> bool:
    return all(
        any(month.starts_on <= day <= month.ends_on for month in months[book]) for book, day in days
    )


def _place_all(
    drafts: Collection[Draft],
    months: dict[UUID, list[writing.Month]],
    *,
    actor: Actor,
    now: datetime,
) -> None:
    calendar = cast("dict[object, list[AccountingPeriod]]", months)
    in_time: dict[tuple[UUID, date | datetime], periods.Placement] = {}
    for draft in drafts:
        moment = _moment(draft)
        draft.place, draft.late = in_time.get(moment), None
        if draft.place is None:
            _place_one(draft, calendar, actor=actor, now=now)
            if draft.place is not None and not draft.place.late:
                in_time[moment] = draft.place


def _moment(draft: Draft) -> tuple[UUID, date | datetime]:
    return draft.book_id, draft.posting.posting_on or draft.posting.occurred_at


def _days(drafts: Collection[Draft], now: datetime) -> set[tuple[UUID, date]]:
    """The days the drafts are booked on unless they are late; a day in the future is today."""
    days: dict[tuple[UUID, date | datetime], date] = {}
    for draft in drafts:
        moment = _moment(draft)
        if moment not in days:
            known = min(draft.posting.occurred_at, now)
            zone = draft.posting.book.time_zone
            days[moment] = draft.posting.posting_on or clock.business_day(known, time_zone=zone)
    return {(book, day) for (book, _), day in days.items()}


def _place_one(
    draft: Draft,
    calendar: dict[object, list[AccountingPeriod]],
    *,
    actor: Actor,
    now: datetime,
) -> None:
    book, own = draft.posting.book, calendar[draft.posting.book.pk]
    draft.place = draft.late = None
    try:
        if draft.posting.posting_on is not None:
            wanted = draft.posting.posting_on
            place = periods.place_on(book=book, periods=own, posting_on=wanted, now=now)
        else:
            place = late.place_posting(
                draft.posting,
                key=draft.key,
                fingerprint=draft.fingerprint,
                periods_known=own,
                now=now,
            )
        if place.period is None:
            opened = periods.ensure_open(book=book, day=place.posting_on, actor=actor, now=now)
            own.append(opened)
            own.sort(key=lambda period: period.starts_on)
            place = periods.Placement(opened, place.posting_on, place.late)
        draft.place = place
    except PeriodLocked as error:
        draft.late = PeriodLocked(error.words, key=draft.key)
    except (LateApprovalNeeded, RateUnknown) as error:
        draft.late = error
