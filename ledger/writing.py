"""The journal's SQL: one statement per table for a whole batch, whatever its size.

Owns looking at what a batch needs, claiming its keys and undoing a refused one. Decides nothing:
`ledger/posting.py` does.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import DatabaseError, connection, transaction

from ledger.checks import Chart, ChartAccount
from payops.core import bulk

BookKey = tuple[UUID, str]
# (key, book, fingerprint, entry) as texts; sorted, so that posters claim in one order.
Claim = tuple[str, str, str, str]
KEY_ONCE = "posting_key_once"
RELEASE = "RELEASE SAVEPOINT ledger_batch"
MONTHS = "SELECT book_id, id, code, starts_on, ends_on, state FROM ledger_accountingperiod"
ANSWERS = (
    "SELECT w.*, k.fingerprint, k.entry_id, k.refusal ->> 'error', k.refusal ->> 'words'"
    " FROM unnest(%(key_books)s::uuid[], %(keys)s::text[]) AS w(book_id, key)"
    # By its index whatever the statistics say: the registry is read once per key.
    " CROSS JOIN LATERAL (SELECT * FROM ledger_postingkey"
    " WHERE book_id = w.book_id AND key = w.key OFFSET 0) AS k"
)
ACCOUNTS = (
    "SELECT book_id, code, id::text, party_kind FROM ledger_account"
    " WHERE book_id = ANY(%(books)s::uuid[]) AND code = ANY(%(codes)s::text[])"
)


class Month(NamedTuple):
    """A period as placing reads it, without the weight of a model instance."""

    pk: UUID
    code: str
    starts_on: date
    ends_on: date
    state: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What the registry holds under a key."""

    fingerprint: str
    entry_id: UUID | None
    refusal: dict[str, str] | None


@dataclass(frozen=True, slots=True)
class Seen:
    """What a batch finds: months that cannot be locked before it ends, accounts, answered keys."""

    months: dict[UUID, list[Month]]
    charts: dict[UUID, Chart]
    answered: dict[BookKey, Answer]

    @property
    def held(self) -> set[UUID]:
        return {month.pk for months in self.months.values() for month in months}


class Savepoint:
    """Set with the first statement that needs it, in the same message.

    By hand, because a single posting is mostly waiting for messages to come back.
    """

    is_set = False

    def set_now(self) -> str:
        """The statement that sets it, to be sent first; "" when it is set."""
        if self.is_set:
            return ""
        self.is_set = True
        return "SAVEPOINT ledger_batch"


@contextmanager
def undone_when_refused() -> Iterator[Savepoint]:
    """Nothing of a batch stays when it raises."""
    savepoint = Savepoint()
    try:
        yield savepoint
    except BaseException:
        if not savepoint.is_set:
            raise
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"ROLLBACK TO SAVEPOINT ledger_batch; {RELEASE}")
        except DatabaseError:
            transaction.set_rollback(True)
        raise


def look(
    days: Collection[tuple[UUID, date]],
    *,
    codes: Collection[str],
    keys: Collection[BookKey],
    savepoint: Savepoint,
) -> Seen:
    """Set the savepoint; hold the open periods of the days; read them, accounts and answers.

    One message, in this order: whatever is read is read after a close that had to be waited for.
    """
    books = list(dict.fromkeys(book for book, _ in days))
    covering = " OR ".join(
        f"(book_id = '{book}' AND starts_on <= '{day}' AND ends_on >= '{day}')"
        for book, day in days
    )
    statements = (
        savepoint.set_now(),
        f"{MONTHS} WHERE state <> 'LOCKED' AND ({covering}) ORDER BY id FOR SHARE",
        ACCOUNTS,
        ANSWERS,
    )
    values = {"books": bulk.array(books), "codes": bulk.text_array(list(codes)), **_wanted(keys)}
    charts: dict[UUID, dict[str, ChartAccount]] = defaultdict(dict)
    with connection.cursor() as cursor:
        cursor.execute("; ".join(statements), values)
        cursor.nextset()
        months = _by_book(books, cursor.fetchall())
        cursor.nextset()
        for book, code, *account in cursor.fetchall():
            charts[book][code] = ChartAccount(*account)
        cursor.nextset()
        answered = _answered(cursor.fetchall())
    return Seen(months, dict(charts), answered)


def months_of(books: Collection[UUID]) -> dict[UUID, list[Month]]:
    """Every period of the books in order of time."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"{MONTHS} WHERE book_id = ANY(%s::uuid[]) ORDER BY starts_on", [bulk.array(books)]
        )
        return _by_book(books, cursor.fetchall())


def _by_book(books: Collection[UUID], rows: Sequence[tuple[Any, ...]]) -> dict[UUID, list[Month]]:
    months: dict[UUID, list[Month]] = {book: [] for book in books}
    for book, *month in rows:
        months[book].append(Month(*month))
    return months


def claim(drafts: Collection[Claim], *, now: datetime) -> dict[BookKey, Answer]:
    """Register the keys that are free, waiting for whoever is claiming one of them.

    Answers what the others were answered before; every other key is now ours.
    """
    ordered = sorted(drafts)
    keys, books, fingerprints, entries = zip(*ordered, strict=True)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO ledger_postingkey (key, book_id, fingerprint, entry_id, created_at)"
            " SELECT c.*, %s FROM unnest(%s::text[], %s::uuid[], %s::text[], %s::uuid[]) AS c"
            " ON CONFLICT (book_id, key) DO NOTHING",
            [
                now,
                bulk.text_array(keys),
                bulk.text_array(books),
                bulk.text_array(fingerprints),
                bulk.text_array(entries),
            ],
        )
        if cursor.rowcount == len(ordered):
            return {}
    ours = {(UUID(book), key): entry for key, book, _, entry in ordered}
    return {
        own: answer
        for own, answer in answers(list(ours)).items()
        if answer.entry_id is None or answer.entry_id.hex != ours[own]
    }


def claimed(drafts: Collection[Claim], *, now: datetime) -> bulk.Texts:
    """The same keys to be written beside their entries; refused by KEY_ONCE if one is taken."""
    at = bulk.time_text(now)
    columns = ("key", "book_id", "fingerprint", "entry_id", "created_at")
    return bulk.Texts("ledger_postingkey", columns, [(*own, at) for own in sorted(drafts)])


def release() -> None:
    with connection.cursor() as cursor:
        cursor.execute(RELEASE)


def answers(wanted: Collection[BookKey]) -> dict[BookKey, Answer]:
    if not wanted:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(ANSWERS, _wanted(wanted))
        return _answered(cursor.fetchall())


def _wanted(keys: Collection[BookKey]) -> dict[str, str]:
    books = [book.hex for book, _ in keys]
    return {"key_books": bulk.text_array(books), "keys": bulk.text_array([k for _, k in keys])}


def _answered(rows: Sequence[tuple[Any, ...]]) -> dict[BookKey, Answer]:
    return {
        (book, key): Answer(print_, entry, {"error": error, "words": words} if error else None)
        for book, key, print_, entry, error, words in rows
    }


def standing(subjects: Collection[tuple[UUID, str]]) -> set[tuple[UUID, str, str]]:
    """(book, subject, event class) of the subjects' entries that are not reversed."""
    if not subjects:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT e.book_id, e.subject_id, e.event_class FROM ledger_journalentry e"
            " WHERE e.subject_id = ANY(%s) AND e.book_id = ANY(%s) AND NOT EXISTS"
            " (SELECT 1 FROM ledger_journalentry r WHERE r.reverses_id = e.id)",
            [sorted({subject for _, subject in subjects}), list({book for book, _ in subjects})],
        )
        return set(cursor.fetchall())


def store_refusal(
    *, book_id: UUID, key: str, fingerprint: str, refusal: dict[str, str], now: datetime
) -> bool:
    """Keep a refusal where the key is free; False when it was answered before."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO ledger_postingkey (book_id, key, fingerprint, refusal, created_at)"
            " VALUES (%s, %s, %s, %s::jsonb, %s) ON CONFLICT (book_id, key) DO NOTHING",
            [book_id, key, fingerprint, json.dumps(refusal), now],
        )
        return bool(cursor.rowcount)


def reversed_or_reversal(entries: Sequence[UUID]) -> set[UUID]:
    """Which of the entries cannot be reversed: they have been, or they are reversals."""
    if not entries:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT e.id FROM ledger_journalentry e WHERE e.id = ANY(%s) AND (e.reverses_id IS NOT"
            " NULL OR EXISTS (SELECT 1 FROM ledger_journalentry r WHERE r.reverses_id = e.id))",
            [list(entries)],
        )
        return {row[0] for row in cursor.fetchall()}
