"""Where an event of a closed month is booked, and who has to say so first (D12, CL-4, LJ-8).

Owns the policy for late postings: the first open day, nothing at all, or the day that people
granted to exactly this posting. A prior fiscal year, or an amount above the book's limit, needs
people under `first_open_day` too; `block` stays the stricter one. The same functions place a
posting and preview a lock. Never writes; a refusal leaves the posting's key free.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from ledger import periods, writing
from ledger.errors import LateApprovalNeeded, PeriodLocked, RateUnknown
from ledger.facts import Posting
from ledger.models import AccountingPeriod, LatePlacement
from ledger.periods import Placement
from ledger.reporting import rates_for
from payops.core import clock
from payops.core.models import Book
from payops.core.money import Money, convert

FIRST_OPEN_DAY, BLOCK, APPROVE = "first_open_day", "block", "approve"


@dataclass(frozen=True, slots=True)
class Landing:
    """Where an event would be booked: a day, a day that people grant first, or nowhere (`place`
    None). `why` is "" when nobody is asked."""

    place: Placement | None
    why: str = ""


def landing(
    *,
    book: Book,
    periods_known: Sequence[AccountingPeriod],
    occurred_on: date,
    now: datetime,
    amount_minor: int | None,
) -> Landing:
    """Where an event of that day and amount (in reporting currency, None: unknown) goes now."""
    in_time = periods.on_time(book=book, periods=periods_known, occurred_on=occurred_on, now=now)
    if in_time is not None:
        return Landing(in_time)
    try:
        proposed = first_open_day(
            book=book, periods_known=periods_known, occurred_on=occurred_on, now=now
        )
    except PeriodLocked as refusal:
        return Landing(None, refusal.words)
    return Landing(proposed, approval_reason(book, occurred_on, proposed.posting_on, amount_minor))


def placement(
    *, book: Book, occurred_on: date, now: datetime, amount_minor: int | None = 0
) -> Landing:
    """`landing` over the periods as they are."""
    return landing(
        book=book,
        periods_known=periods.periods_of([book])[book.pk],
        occurred_on=occurred_on,
        now=now,
        amount_minor=amount_minor,
    )


def first_open_day(
    *, book: Book, periods_known: Sequence[AccountingPeriod], occurred_on: date, now: datetime
) -> Placement:
    """The day proposed for a late event. Raises PeriodLocked: blocked, or no day is open."""
    if book.late_event_policy == BLOCK:
        raise PeriodLocked(
            f"{occurred_on} is closed in {book.code} and its policy for late events is"
            f" {BLOCK}: reopen the period, or change the policy"
        )
    return periods.first_open_day(book=book, periods=periods_known, day=occurred_on, now=now)


def approval_reason(
    book: Book, occurred_on: date, posting_on: date, amount_minor: int | None
) -> str:
    """Why people have to grant the day; "" when the policy places it by itself."""
    start = book.fiscal_year_start_month
    if fiscal_year(occurred_on, start) != fiscal_year(posting_on, start):
        return f"{occurred_on} lies in a prior fiscal year"
    limit = Money(book.late_approval_above_minor, book.reporting_currency)
    if amount_minor is None:
        return f"no rate says whether its amount is above the limit of {limit}"
    if abs(amount_minor) > limit.minor:
        return f"{Money(abs(amount_minor), limit.currency)} is above the limit of {limit}"
    if book.late_event_policy == APPROVE:
        return f"the policy of {book.code} for late events is {APPROVE}"
    return ""


def fiscal_year(day: date, start_month: int) -> int:
    """The calendar year in which the fiscal year of the day began."""
    return day.year if day.month >= start_month else day.year - 1


def place_posting(
    posting: Posting,
    *,
    key: str,
    fingerprint: str,
    periods_known: Sequence[AccountingPeriod],
    now: datetime,
) -> Placement:
    """The day of a posting that names none.

    Raises PeriodLocked, LateApprovalNeeded (until its day is granted), RateUnknown.
    """
    book = posting.book
    occurred_on = clock.business_day(posting.occurred_at, time_zone=book.time_zone)
    in_time = periods.on_time(book=book, periods=periods_known, occurred_on=occurred_on, now=now)
    if in_time is not None:
        return in_time
    proposed = first_open_day(
        book=book, periods_known=periods_known, occurred_on=occurred_on, now=now
    )
    amount_minor = reporting_minor(posting, key=key)
    why = approval_reason(book, occurred_on, proposed.posting_on, amount_minor)
    if not why:
        return proposed
    granted = _granted(posting, key, fingerprint, periods_known, now)
    if granted is not None:
        return granted
    raise LateApprovalNeeded(
        f"{occurred_on} is closed in {book.code} and {why}; finance proposes the day"
        f" {proposed.posting_on} or another, somebody else grants it",
        book_id=book.pk,
        key=key,
        fingerprint=fingerprint,
        event_class=posting.event_class,
        subject_id=posting.subject_id,
        event_id=posting.refs.event_id,
        occurred_on=occurred_on,
        proposed_on=proposed.posting_on,
        amount_minor=amount_minor,
        why=why,
    )


def refused(
    postings: Iterable[Posting], *, now: datetime
) -> list[tuple[Posting, LateApprovalNeeded | PeriodLocked]]:
    """The postings that have no day now, each with the reason.

    Those that do, or whose key was answered before, are left out.
    """
    found: list[tuple[Posting, LateApprovalNeeded | PeriodLocked]] = []
    listed = list(postings)
    answered = writing.answers({(posting.book.pk, posting.key) for posting in listed})
    known = periods.periods_of(list({p.book.pk: p.book for p in listed}.values()))
    for posting in listed:
        if posting.posting_on is not None or (posting.book.pk, posting.key) in answered:
            continue
        try:
            place_posting(
                posting,
                key=posting.key,
                fingerprint=posting.fingerprint,
                periods_known=known[posting.book.pk],
                now=now,
            )
        except (LateApprovalNeeded, PeriodLocked) as error:
            found.append((posting, error))
        except RateUnknown:
            continue
    return found


def reporting_minor(posting: Posting, *, key: str) -> int:
    """The debits of a posting in reporting currency. Raises RateUnknown."""
    given = [leg.reporting_minor for leg in posting.legs if leg.reporting_minor is not None]
    if given:
        return sum(amount for amount in given if amount > 0)
    debits: dict[str, int] = defaultdict(int)
    for leg in posting.legs:
        debits[leg.currency] += max(leg.amount_minor, 0)
    reporting = posting.book.reporting_currency
    total = debits.pop(reporting, 0)
    wanted = [(currency, reporting, posting.occurred_at) for currency in debits]
    known = rates_for(wanted)
    for rate_key in wanted:
        if rate_key not in known:
            raise RateUnknown(
                f"no rate from {rate_key[0]} to {reporting} is known at"
                f" {posting.occurred_at.isoformat()}",
                key=key,
            )
        amount = Money(debits[rate_key[0]], rate_key[0])
        total += convert(amount, to=reporting, rate=known[rate_key].rate).minor
    return total


def _granted(
    posting: Posting,
    key: str,
    fingerprint: str,
    periods_known: Sequence[AccountingPeriod],
    now: datetime,
) -> Placement | None:
    """The day granted last to exactly these facts, as long as it is open."""
    rows = LatePlacement.objects.filter(book=posting.book, key=key, fingerprint=fingerprint)
    row = rows.order_by("-id").first()
    if row is None:
        return None
    try:
        place = periods.place_on(
            book=posting.book, periods=periods_known, posting_on=row.posting_on, now=now
        )
    except PeriodLocked:
        return None
    return Placement(place.period, place.posting_on, late=True)
