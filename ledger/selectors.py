"""Reading the journal: trial balance, balances of a party, entries by page or by what they name.

Never writes. Balances come from `ledger/balances.py`: every figure is a sum of lines.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from django.db.models import Prefetch, Q, QuerySet

from ledger import balances
from ledger.balances import TrialRow
from ledger.models import JournalEntry, JournalLine
from payops.core import ids
from payops.core.models import Book

__all__ = [
    "EntryFilter",
    "EntryPage",
    "TrialRow",
    "balances_of",
    "entries",
    "entries_of",
    "entry_with_lines",
    "trial_balance",
]
PAGE_MAX = 200
CHAIN_MAX = 500


@dataclass(frozen=True, slots=True)
class EntryFilter:
    """What the journal page may be narrowed by; empty means any."""

    event_class: str = ""
    account: str = ""
    party: str = ""
    currency: str = ""
    subject_id: str = ""
    case_id: str = ""
    event_id: str = ""
    from_on: date | None = None
    to_on: date | None = None


@dataclass(frozen=True, slots=True)
class EntryPage:
    """`next_cursor` continues after the last entry; "" on the last page."""

    entries: Sequence[JournalEntry]
    next_cursor: str


def trial_balance(*, book: Book, as_of: date | None = None) -> list[TrialRow]:
    """Every account, party and currency with a movement up to and including `as_of`."""
    return balances.trial_balance(book=book, as_of=as_of, per_party=True)


def balances_of(*, book: Book, party: str, as_of: date | None = None) -> list[TrialRow]:
    """What we owe a seller, or what a provider holds: the trial balance of one party."""
    return balances.balances_of(book=book, party=party, as_of=as_of)


def entries(
    *, book: Book, where: EntryFilter | None = None, after: str = "", limit: int = 50
) -> EntryPage:
    """The journal, latest posting day first, one page; `after` is a cursor of the page before."""
    size = max(1, min(limit, PAGE_MAX))
    found = _filtered(JournalEntry.objects.filter(book=book), book, where or EntryFilter())
    if after:
        posting_on, entry_id = _read_cursor(after)
        found = found.filter(
            Q(posting_on__lt=posting_on) | Q(posting_on=posting_on, id__lt=entry_id)
        )
    page = list(_with_lines(found.order_by("-posting_on", "-id")[: size + 1]))
    more = len(page) > size
    page = page[:size]
    return EntryPage(page, _cursor(page[-1]) if more else "")


def entry_with_lines(public_id: str) -> JournalEntry:
    """One entry with lines, accounts and both ends of a reversal; DoesNotExist, ids.UnknownId."""
    key = JournalEntry.key_of(public_id)
    return _with_lines(JournalEntry.objects.filter(pk=key)).get()


def entries_of(*, book: Book, subject_ids: Collection[str]) -> list[JournalEntry]:
    """Entries about any of these ids, or caused by them (event, case), oldest first."""
    wanted = [text for text in subject_ids if text]
    found = JournalEntry.objects.filter(book=book).filter(
        Q(subject_id__in=wanted)
        | (Q(event_id__in=wanted) & ~Q(event_id=""))
        | (Q(case_id__in=wanted) & ~Q(case_id=""))
    )
    return list(_with_lines(found.order_by("id")[:CHAIN_MAX]))


def _filtered(
    found: QuerySet[JournalEntry], book: Book, where: EntryFilter
) -> QuerySet[JournalEntry]:
    for name in ("event_class", "subject_id", "case_id", "event_id"):
        if value := getattr(where, name):
            found = found.filter(**{name: value})
    if where.from_on is not None:
        found = found.filter(posting_on__gte=where.from_on)
    if where.to_on is not None:
        found = found.filter(posting_on__lte=where.to_on)
    by_line = {
        name: value
        for name, value in (
            ("account__code", where.account),
            ("party", where.party),
            ("currency", where.currency),
        )
        if value
    }
    if by_line:
        lines = JournalLine.objects.filter(book=book, **by_line)
        found = found.filter(pk__in=lines.values("entry_id"))
    return found


def _with_lines(found: QuerySet[JournalEntry]) -> QuerySet[JournalEntry]:
    lines = JournalLine.objects.select_related("account").order_by("position")
    return found.select_related("book", "period", "reverses", "reversed_by").prefetch_related(
        Prefetch("lines", queryset=lines)
    )


def _cursor(entry: JournalEntry) -> str:
    return f"{entry.posting_on.isoformat()}~{entry.public_id}"


def _read_cursor(text: str) -> tuple[date, UUID]:
    day, _, public_id = text.partition("~")
    try:
        return date.fromisoformat(day), ids.parse(public_id, JournalEntry.PREFIX)[1]
    except ValueError as error:
        raise ids.UnknownId(f"{text[:60]!r} is not a cursor of the journal") from error
