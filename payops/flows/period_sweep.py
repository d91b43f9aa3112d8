"""What a lock would do to whatever has not been posted yet: the preview of a close (CL-4, CL-8).

Reads alone. Every unfinished event and late posting of a period is placed by the ledger's own
function, over a calendar in which the period is locked already.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db.models import Q, QuerySet

from ledger import late, periods
from ledger.models import AccountingPeriod, JournalEntry, WaitingPosting
from payops.core import clock, rates
from payops.core.models import Book
from payops.core.money import Money
from payops.flows import late_postings
from payops.webhooks.models import ProviderEvent

UNFINISHED = (
    ProviderEvent.State.RECEIVED,
    ProviderEvent.State.PARKED,
    ProviderEvent.State.DEAD,
)
LOCKED = AccountingPeriod.State.LOCKED


@dataclass(frozen=True, slots=True)
class Lands:
    """One event or late posting, and where it would be booked; `posting_on` None: nowhere yet."""

    source_id: str
    what: str
    subject_id: str
    state: str
    occurred_on: date
    amount: Money | None
    posting_on: date | None
    period: str
    why: str


@dataclass(frozen=True, slots=True)
class Figures:
    """The numbers of a period that people lock or reopen by."""

    entries: int
    late_in: int
    unfinished: int
    waiting: int


def figures(period: AccountingPeriod) -> Figures:
    entries = JournalEntry.objects.filter(book=period.book, period=period)
    return Figures(
        entries=entries.count(),
        late_in=posted_late(period).count(),
        unfinished=unfinished(period).count(),
        waiting=waiting(period).count(),
    )


def span(period: AccountingPeriod) -> tuple[datetime, datetime]:
    """From the first moment of the first day to the first after the last, in the book's zone."""
    zone = period.book.time_zone
    after = period.ends_on + timedelta(days=1)
    return (
        clock.start_of_day(period.starts_on, time_zone=zone),
        clock.start_of_day(after, time_zone=zone),
    )


def unfinished(period: AccountingPeriod) -> QuerySet[ProviderEvent]:
    """Events of the period's days without an outcome, but for those whose postings wait."""
    begins, ends = span(period)
    told = Q(occurred_at__gte=begins, occurred_at__lt=ends)
    untold = Q(occurred_at=None, created_at__gte=begins, created_at__lt=ends)
    waited_for = [
        late_postings.waits_for(event_id)
        for event_id in waiting(period).exclude(event_id="").values_list("event_id", flat=True)
    ]
    rows = ProviderEvent.objects.filter(book=period.book, state__in=UNFINISHED)
    rows = rows.filter(told | untold).exclude(waits_for__in=waited_for)
    return rows.order_by("created_at", "id")


def waiting(period: AccountingPeriod) -> QuerySet[WaitingPosting]:
    rows = late_postings.waiting(period.book)
    return rows.filter(occurred_on__gte=period.starts_on, occurred_on__lte=period.ends_on)


def posted_late(period: AccountingPeriod) -> QuerySet[JournalEntry]:
    """Entries of the period about something that happened in another one."""
    begins, ends = span(period)
    outside = Q(occurred_at__lt=begins) | Q(occurred_at__gte=ends)
    rows = JournalEntry.objects.filter(book=period.book, period=period).filter(outside)
    return rows.order_by("posting_on", "id")


def would_land(period: AccountingPeriod, *, now: datetime, limit: int) -> Iterator[Lands]:
    """Where everything unfinished would be booked if the period were locked now; late ones first.

    At most `limit` of each kind. A parked event is shown by the postings it waits with.
    """
    book = period.book
    known = _as_if_locked(periods.periods_of([book])[book.pk], period)
    for row in waiting(period)[:limit]:
        amount = Money(row.amount_minor, book.reporting_currency)
        yield _lands(
            book,
            known,
            now,
            row.amount_minor,
            source_id=row.event_id,
            what=row.event_class,
            subject_id=row.subject_id,
            state="WAITING",
            occurred_on=row.occurred_on,
            amount=amount,
        )
    for event in unfinished(period)[:limit]:
        told = event.amount_minor is not None and event.currency
        amount_told = Money(event.amount_minor or 0, event.currency) if told else None
        at = event.occurred_at or event.created_at
        yield _lands(
            book,
            known,
            now,
            rates.reporting_minor(amount_told, book, at) if amount_told else 0,
            source_id=event.public_id,
            what=event.type,
            subject_id=event.subject_id,
            state=event.state,
            occurred_on=clock.business_day(at, time_zone=book.time_zone),
            amount=amount_told,
        )


def _lands(
    book: Book,
    known: list[AccountingPeriod],
    now: datetime,
    reporting_minor: int | None,
    *,
    source_id: str,
    what: str,
    subject_id: str,
    state: str,
    occurred_on: date,
    amount: Money | None,
) -> Lands:
    found = late.landing(
        book=book,
        periods_known=known,
        occurred_on=occurred_on,
        now=now,
        amount_minor=reporting_minor,
    )
    posting_on = found.place.posting_on if found.place else None
    period = ""
    if found.place is not None:
        own = found.place.period
        period = own.code if own else clock.period_of(found.place.posting_on)
    return Lands(
        source_id, what, subject_id, state, occurred_on, amount, posting_on, period, found.why
    )


def _as_if_locked(
    known: list[AccountingPeriod], period: AccountingPeriod
) -> list[AccountingPeriod]:
    """The same months, this one locked: made anew, never saved."""
    return [_copy(each, LOCKED) if each.pk == period.pk else each for each in known]


def _copy(period: AccountingPeriod, becomes: str) -> AccountingPeriod:
    return AccountingPeriod(
        pk=period.pk,
        book=period.book,
        code=period.code,
        starts_on=period.starts_on,
        ends_on=period.ends_on,
        state=becomes,
    )
