"""What one replay is about, and what each source of entries answers it (the replay proof, AU-3).

A source recomputes postings from what was received or decided, never from the journal. It owns a
family of subjects and says for each posting what it was made from and when it was known.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.db import connection

from ledger.facts import Posting
from ledger.models import AccountingPeriod
from payops.core.models import Book

LATE_WINDOW = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Scope:
    """One period of one book, and the moments its business days begin and end."""

    book: Book
    period: AccountingPeriod

    @property
    def starts_at(self) -> datetime:
        return datetime.combine(self.period.starts_on, time.min, ZoneInfo(self.book.time_zone))

    @property
    def ends_at(self) -> datetime:
        following = self.period.ends_on + timedelta(days=1)
        return datetime.combine(following, time.min, ZoneInfo(self.book.time_zone))

    def posted_subjects(self, prefix: str) -> set[str]:
        """Subjects of the period's entries: what a source has to explain."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT DISTINCT subject_id FROM ledger_journalentry"
                " WHERE period_id = %s AND starts_with(subject_id, %s)",
                [self.period.pk, prefix],
            )
            return {row[0] for row in cursor.fetchall()}

    def told_subjects(self, prefix: str) -> set[str]:
        """Subjects of the events that happened or were decided in the period."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT DISTINCT subject_id FROM webhooks_providerevent"
                " WHERE book_id = %s AND starts_with(subject_id, %s)"
                " AND ((occurred_at >= %s AND occurred_at < %s)"
                "   OR (finished_at >= %s AND finished_at < %s))",
                [self.book.pk, prefix, *[self.starts_at, self.ends_at + LATE_WINDOW] * 2],
            )
            return {row[0] for row in cursor.fetchall()}


class BookThen:
    """The book with the settings it had at a moment: its policies decide what is posted."""

    def __init__(self, book: Book) -> None:
        rows = list(Book.history.filter(id=book.pk).order_by("history_id"))
        self._moments = [row.history_date for row in rows]
        self._books = [row.instance for row in rows] or [book]

    def at(self, moment: datetime) -> Book:
        place = bisect_right(self._moments, moment)
        return self._books[max(place - 1, 0)]


@dataclass(frozen=True, slots=True)
class Expected:
    """A posting as its source says it must be; `known_at` is when the product came to know it."""

    posting: Posting
    source: str
    known_at: datetime


@dataclass(frozen=True, slots=True)
class Source:
    """A family of entries and the recomputation of it."""

    name: str
    expected: Callable[[Scope], Iterator[Expected]]
