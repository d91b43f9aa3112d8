"""The journal's SQL: one statement per table for a whole batch, whatever its size.

Owns claiming keys, and writing entries and lines. Decides nothing: `ledger/posting.py` does.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection

from ledger.models import JournalEntry, JournalLine
from payops.core import bulk

ENTRY_COLUMNS = tuple(f.attname for f in JournalEntry._meta.concrete_fields if f.name != "xid")
LINE_COLUMNS = tuple(f.attname for f in JournalLine._meta.concrete_fields if f.name != "xid")
BookKey = tuple[UUID, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the registry holds under a key."""

    fingerprint: str
    entry_id: UUID | None
    refusal: dict[str, str] | None


def claim(
    claims: Sequence[tuple[UUID, str, str, UUID]], *, now: datetime
) -> tuple[set[BookKey], dict[BookKey, Answer]]:
    """Register (book, key, fingerprint, entry) where the key is free.

    Waits for a transaction that is claiming the same key. Answers the keys that are now ours, and
    what the others were answered before.
    """
    ordered = sorted(claims, key=lambda claim: (claim[0], claim[1]))
    columns = [bulk.array(column) for column in zip(*ordered, strict=True)]
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO ledger_postingkey (book_id, key, fingerprint, entry_id, created_at)"
            " SELECT c.*, %s FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::uuid[]) AS c"
            " ON CONFLICT (book_id, key) DO NOTHING RETURNING book_id, key",
            [now, *columns],
        )
        ours = set(cursor.fetchall())
    others = [(book, key) for book, key, _, _ in ordered if (book, key) not in ours]
    return ours, answers(others)


def answers(wanted: Collection[BookKey]) -> dict[BookKey, Answer]:
    if not wanted:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT k.book_id, k.key, k.fingerprint, k.entry_id, k.refusal ->> 'error',"
            " k.refusal ->> 'words' FROM ledger_postingkey k"
            " JOIN unnest(%s::uuid[], %s::text[]) AS w(book_id, key)"
            " ON k.book_id = w.book_id AND k.key = w.key",
            [bulk.array(column) for column in zip(*wanted, strict=True)],
        )
        return {
            (book, key): Answer(print_, entry, {"error": error, "words": words} if error else None)
            for book, key, print_, entry, error, words in cursor.fetchall()
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
