"""Asking for what only others grant: a lock, a reopening, days for late postings, book settings.

Each request tells its consequences with numbers, as they are when it is asked for. Others decide;
`periods`, `late_postings` and `book_settings` put it in force. Serves D5, D12, CL-4, F14.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from approvals.models import ApprovalRequest
from ledger import periods as calendar
from ledger.errors import PeriodLocked
from ledger.models import AccountingPeriod, WaitingPosting
from payops.core.actors import Actor
from payops.core.models import Book
from payops.core.money import Money
from payops.flows import book_settings, governance, late_postings, period_sweep, periods
from payops.flows.late_postings import LateRefused

NOTES_MAX = 50


def request_lock(*, period_id: str, reason: str, actor: Actor, now: datetime) -> ApprovalRequest:
    """Raises PeriodRefused, ChangeRefused."""
    period = periods.period_of(period_id)
    periods.refuse_unended(period, now)
    return _about(period, periods.LOCK, "Lock", lock_notes(period, now), reason, actor, now)


def request_reopen(*, period_id: str, reason: str, actor: Actor, now: datetime) -> ApprovalRequest:
    """Raises PeriodRefused, ChangeRefused."""
    period = periods.period_of(period_id)
    return _about(period, periods.REOPEN, "Reopen", reopen_notes(period, now), reason, actor, now)


def request_late(
    *,
    book: Book,
    waiting_ids: Sequence[UUID],
    posting_on: date,
    reason: str,
    actor: Actor,
    now: datetime,
) -> ApprovalRequest:
    """Ask to book waiting postings on this open day. Raises LateRefused, ChangeRefused."""
    known = calendar.periods_of([book])[book.pk]
    try:
        calendar.place_on(book=book, periods=known, posting_on=posting_on, now=now)
    except PeriodLocked as refusal:
        raise LateRefused(f"{refusal.words}: choose a day that is open") from refusal
    today = calendar.today_of(book, now)
    if posting_on > today:
        raise LateRefused(f"{posting_on} has not come yet; {today} is the latest day")
    facts = {
        "book": book.code,
        "waiting": [str(key) for key in waiting_ids],
        "posting_on": posting_on.isoformat(),
    }
    rows = list(WaitingPosting.objects.filter(book=book, pk__in=waiting_ids).order_by("pk"))
    keys = "\n".join(sorted(row.key for row in rows))
    total = Money(sum(row.amount_minor for row in rows), book.reporting_currency)
    count = f"{len(rows)} late posting{'' if len(rows) == 1 else 's'}"
    return governance.propose(
        kind=late_postings.KIND,
        facts=facts,
        title=f"Book {count} of {total} on {posting_on}",
        reason=reason,
        actor=actor,
        now=now,
        subject_id=f"late_posting:{hashlib.sha256(keys.encode()).hexdigest()[:24]}",
        book=book,
        consequences=late_notes(rows, posting_on),
    )


def request_settings(
    *, book: Book, values: dict[str, Any], reason: str, actor: Actor, now: datetime
) -> ApprovalRequest:
    """Ask for other settings of the book. Raises BookChangeRefused, ChangeRefused."""
    facts = {"book": book.code, **values}
    settings = book_settings.changed(book_settings.check(facts))
    notes = [f"{each.label}: {each.effect}" for each in settings if each.effect]
    return governance.propose(
        kind=book_settings.KIND,
        facts=facts,
        title=f"Settings of {book.name}: {', '.join(each.label for each in settings)}",
        reason=reason,
        actor=actor,
        now=now,
        subject_id=f"book:{book.code}",
        book=book,
        consequences=notes,
    )


# ---- consequences --------------------------------------------------------------------------


def lock_notes(period: AccountingPeriod, now: datetime) -> list[str]:
    found = period_sweep.figures(period)
    return [
        f"No entry can be dated {period.starts_on} to {period.ends_on} any more; what happened "
        "then and comes later follows the book's policy for late events",
        f"{_entries(found.entries)} dated in {period.code} when this is asked for",
        f"Posted late into it, about something of another period: {found.late_in}",
        f"Events of these days without an outcome: {found.unfinished}; late postings that wait for "
        f"a day: {found.waiting}; the page of the period lists where each would be booked",
        f"Asked for on {now:%Y-%m-%d %H:%M} UTC; entries posted until the lock still count",
    ]


def reopen_notes(period: AccountingPeriod, now: datetime) -> list[str]:
    found = period_sweep.figures(period)
    locked = f"{period.locked_at:%Y-%m-%d %H:%M} UTC" if period.locked_at else "an unknown time"
    return [
        f"Entries can be dated {period.starts_on} to {period.ends_on} again; figures of "
        f"{period.code} that were reported since {locked} may change",
        f"{_entries(found.entries)} dated in {period.code}; posted late: {found.late_in}",
        f"Events of these days without an outcome: {found.unfinished}; late postings that wait: "
        f"{found.waiting}; what can be posted is booked on its own day at once",
        "Requests to lock a later month become void",
    ]


def late_notes(rows: Sequence[WaitingPosting], posting_on: date) -> list[str]:
    notes = [
        f"{late_postings.amount(row)} of {row.occurred_on} ({row.event_class} of {row.subject_id}) "
        f"is dated {posting_on}: {row.why}"
        for row in rows[:NOTES_MAX]
    ]
    if len(rows) > NOTES_MAX:
        notes.append(f"and {len(rows) - NOTES_MAX} more, listed in the facts")
    return [*notes, "The moment each happened stays on its entry beside the posting date"]


def _entries(count: int) -> str:
    return "1 entry is" if count == 1 else f"{count} entries are"


def _about(
    period: AccountingPeriod,
    kind: str,
    verb: str,
    notes: list[str],
    reason: str,
    actor: Actor,
    now: datetime,
) -> ApprovalRequest:
    return governance.propose(
        kind=kind,
        facts={"period": period.public_id},
        title=f"{verb} {period.code} of {period.book.name}",
        reason=reason,
        actor=actor,
        now=now,
        subject_id=period.public_id,
        book=period.book,
        consequences=notes,
    )
