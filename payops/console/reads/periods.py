"""What the period screens show: months with their figures, one month, late postings that wait.

Reads only; where something would be booked is said by `payops/flows/period_sweep.py`, by the same
function that books it. Serves CL-4, CL-8, D12, F14, F15.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import islice
from typing import Any

from django.db import connection
from django.db.models import QuerySet

from approvals.models import ApprovalDecision, ApprovalRequest
from ledger import late, periods
from ledger.errors import PeriodLocked
from ledger.models import AccountingPeriod, JournalEntry, WaitingPosting
from payops.console.exports import Columns
from payops.console.formats import Fact, address_of
from payops.console.templatetags.payops_tags import money_text, shorten
from payops.core import clock, ids
from payops.core.models import Book
from payops.flows import late_postings, period_sweep
from payops.flows import periods as flow
from payops.flows.period_sweep import Figures, Lands

PERIODS_MAX = 36
SHOWN_MAX = 100
State = AccountingPeriod.State
CSV: Columns = (
    ("source", "source_id"),
    ("what", "what"),
    ("subject", "subject_id"),
    ("state", "state"),
    ("happened_on", "occurred_on"),
    ("amount", "amount"),
    ("currency", lambda row: row.amount.currency if row.amount else ""),
    ("booked_on", "posting_on"),
    ("period", "period"),
    ("why_not_by_itself", "why"),
)
COUNTS = """
SELECT e.period_id, count(*), count(*) FILTER (
  WHERE (e.occurred_at AT TIME ZONE %s)::date NOT BETWEEN p.starts_on AND p.ends_on)
FROM ledger_journalentry e JOIN ledger_accountingperiod p ON p.id = e.period_id
WHERE e.period_id = ANY(%s) GROUP BY e.period_id
"""
# state: (name of the act, its button).
NEXT = {
    State.OPEN: ("close", "Begin closing"),
    State.CLOSING: ("lock", "Ask to lock"),
    State.LOCKED: ("reopen", "Ask to reopen"),
}


@dataclass(frozen=True, slots=True)
class Act:
    """One act on a month: its address and what its button says, in a list and by itself."""

    name: str
    short: str
    label: str


@dataclass(frozen=True, slots=True)
class Lock:
    """The granted request behind the latest lock or reopening."""

    approval: ApprovalRequest
    deciders: str


@dataclass(frozen=True, slots=True)
class PeriodRow:
    period: AccountingPeriod
    entries: int
    late_in: int
    lock: Lock | None
    pending: ApprovalRequest | None
    act: Act


@dataclass(frozen=True, slots=True)
class PeriodPage:
    """`late_in` and `lands` are the first SHOWN_MAX of each; the file has them all."""

    row: PeriodRow
    figures: Figures
    late_in: list[tuple[JournalEntry, date]]
    lands: list[Lands]
    may_stop: bool

    @property
    def unposted(self) -> int:
        return self.figures.unfinished + self.figures.waiting

    @property
    def cut(self) -> int:
        return SHOWN_MAX


@dataclass(frozen=True, slots=True)
class LateRow:
    """A waiting posting, the day that would be proposed now, and its pending request."""

    waiting: WaitingPosting
    amount: Any
    proposed_on: date | None
    asked: ApprovalRequest | None
    event_href: str
    subject_href: str


def listed(book: Book) -> list[PeriodRow]:
    """The latest months first, and the current one even before anything is booked in it."""
    found = AccountingPeriod.objects.filter(book=book).order_by("-starts_on")
    return _rows(list(found[:PERIODS_MAX]), book)


def period_query() -> QuerySet[AccountingPeriod]:
    return AccountingPeriod.objects.select_related("book")


def page(period: AccountingPeriod, now: datetime) -> PeriodPage:
    zone = period.book.time_zone
    late_in = period_sweep.posted_late(period)[:SHOWN_MAX]
    return PeriodPage(
        row=_rows([period], period.book)[0],
        figures=period_sweep.figures(period),
        late_in=[(e, clock.business_day(e.occurred_at, time_zone=zone)) for e in late_in],
        lands=list(islice(period_sweep.would_land(period, now=now, limit=SHOWN_MAX), SHOWN_MAX)),
        may_stop=period.state == State.CLOSING,
    )


def waiting(book: Book, now: datetime) -> list[LateRow]:
    pending = late_postings.asked(book)
    known = periods.periods_of([book])[book.pk]
    rows = late_postings.waiting(book).select_related("book")
    return [_late_row(row, book, known, pending, now) for row in rows[: late_postings.POSTINGS_MAX]]


def open_day(book: Book, now: datetime) -> date:
    """What the form proposes: the first day of the current open month, or today."""
    today = periods.today_of(book, now)
    known = periods.periods_of([book])[book.pk]
    current = next((p for p in known if p.starts_on <= today <= p.ends_on), None)
    return current.starts_on if current and current.state == State.OPEN else today


def facts_of_late(request: ApprovalRequest) -> list[Fact]:
    """The postings of a request, each with what happened when and the day it is booked on."""
    currency = request.book.reporting_currency
    facts = [Fact("Booked on", request.facts["posting_on"])]
    for each in request.facts["postings"]:
        amount = money_text(each["amount_minor"], currency)
        words = f"{each['event_class']}, {amount}, happened on {each['occurred_on']}"
        href = address_of(each["event_id"]) or address_of(each["subject_id"])
        facts.append(Fact(shorten(each["subject_id"]), words, "link" if href else "text", href))
    return facts


def _late_row(
    row: WaitingPosting,
    book: Book,
    known: Sequence[AccountingPeriod],
    pending: dict[str, ApprovalRequest],
    now: datetime,
) -> LateRow:
    try:
        proposed = late.first_open_day(
            book=book, periods_known=known, occurred_on=row.occurred_on, now=now
        ).posting_on
    except PeriodLocked:
        proposed = None
    return LateRow(
        row,
        late_postings.amount(row),
        proposed,
        pending.get(row.key),
        address_of(row.event_id),
        "" if row.event_id else address_of(row.subject_id),
    )


def _rows(found: list[AccountingPeriod], book: Book) -> list[PeriodRow]:
    keys = [period.pk for period in found]
    with connection.cursor() as cursor:
        cursor.execute(COUNTS, [book.time_zone, keys])
        counts = {key: (entries, late_in) for key, entries, late_in in cursor.fetchall()}
    locks = _locks(found)
    pending = {
        row.subject_id: row
        for row in ApprovalRequest.objects.filter(
            book=book,
            kind__in=(flow.LOCK, flow.REOPEN),
            state=ApprovalRequest.State.PENDING,
            subject_id__in=[period.public_id for period in found],
        )
    }
    return [
        PeriodRow(
            period,
            *counts.get(period.pk, (0, 0)),
            locks.get(period.approval_id),
            pending.get(period.public_id),
            _next(period),
        )
        for period in found
    ]


def _next(period: AccountingPeriod) -> Act:
    name, words = NEXT[State(period.state)]
    return Act(name, f"{words}…", f"{words} {period.code}…")


def _locks(found: list[AccountingPeriod]) -> dict[str, Lock]:
    keys = [ids.parse(p.approval_id, "ap")[1] for p in found if p.approval_id]
    requests = ApprovalRequest.objects.filter(pk__in=keys).select_related("requested_by")
    decided: dict[Any, list[str]] = {}
    rows = ApprovalDecision.objects.filter(request_id__in=keys, verdict="approve")
    for row in rows.select_related("person").order_by("created_at"):
        decided.setdefault(row.request_id, []).append(row.person.name)
    return {
        request.public_id: Lock(request, ", ".join(decided.get(request.pk, [])))
        for request in requests
    }
