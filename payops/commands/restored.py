"""A database that was restored into another cluster, and how it is brought in order (RB-8).

Rows of the journal and of the audit say which transaction wrote them; balances, the audit's seal
and the monitoring's counts go by that. A fresh cluster counts from the beginning, so that what it
writes would lie behind what it was given: nothing starts until `rebase` has moved the stored ids
below everything the cluster will ever write. No amount, no key and no hash is touched.
"""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass
from datetime import datetime

from django.db import Error, connection, transaction

from ledger import folding
from payops.commands.invariants.base import Moment
from payops.commands.invariants.journal import entries_balance, trial_balance
from payops.core import audit
from payops.core.actors import Actor
from payops.core.models import Book
from payops.monitoring.models import FoldMark

log = logging.getLogger(__name__)
COMMAND = "manage.py rebase_after_restore"
# The first id a cluster ever gives out, long before a database exists in it.
DONE, WAITING = 3, 4
LOCK_TIMEOUT_S = 10
SESSIONS_NAMED = 5
REWRITTEN = ("ledger_journalentry", "ledger_journalline", "core_auditevent")
STORED = """
SELECT greatest(
  (SELECT xid FROM ledger_journalline ORDER BY xid DESC LIMIT 1),
  (SELECT xid FROM core_auditevent ORDER BY xid DESC LIMIT 1))::text::bigint,
  (SELECT cut FROM ledger_balancecut ORDER BY cut DESC LIMIT 1)::text::bigint,
  (SELECT xid FROM monitoring_foldmark WHERE name = 'audit'),
  pg_snapshot_xmax(pg_current_snapshot())::text::bigint"""


class NotRebased(Exception):
    """It cannot be done now; the text says what stands in the way."""


@dataclass(frozen=True, slots=True)
class Ahead:
    """The latest transaction the database tells of, and the next one of this cluster."""

    stored: int
    following: int

    @property
    def words(self) -> str:
        return (
            f"this database tells of transaction {self.stored}, but its cluster has only got to"
            f" {self.following}: it was restored from elsewhere, and what is written now would be"
            " missing in balances and in the audit's seal. Stop everything that uses it, then run"
            f" `{COMMAND}` (docs/runbooks/restore.md)"
        )


@dataclass(frozen=True, slots=True)
class Rebased:
    """What was done: books and lines added up anew, and how far the stored ids had been ahead."""

    ahead: Ahead
    books: int
    lines: int


def ahead() -> Ahead | None:
    """None while everything stored was written before the cluster's next transaction.

    Asked before anything is written: what an open transaction wrote itself counts as ahead.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('ledger_balancecut') IS NOT NULL")
        if not cursor.fetchone()[0]:
            return None
        cursor.execute(STORED)
        written, cut, mark, following = cursor.fetchone()
    # A bound may be the next transaction's own number; a row's may not.
    stored = max(written or 0, (cut or 0) - 1, (mark or 0) - 1)
    return Ahead(stored, following) if stored >= following else None


def refuse_start() -> None:
    """Ends the process with words when the database was restored; for web and workers.

    A database that is away is not a reason: it is waited for, as ever.
    """
    try:
        found = ahead()
    except Error as error:
        log.warning("the database does not answer at the start: %s", type(error).__name__)
        return
    finally:
        connection.close()
    if found is not None:
        sys.exit(f"not started: {found.words}")


def rebase(*, actor: Actor, now: datetime) -> Rebased | None:
    """Bring the ids below the cluster's, add up every balance anew and hold it against the lines.

    As the owner, alone on the database; None when nothing lies ahead.
    """
    assert connection.in_atomic_block, "all of it, or nothing"
    found = ahead()
    if found is None:
        return None
    _alone()
    mark = FoldMark.objects.filter(name="audit").values_list("xid", flat=True).first() or 0
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_S}s'")
        # The table is written anew as a whole: no row is updated, append-only stays as it is.
        for table in REWRITTEN:
            xid = f"CASE WHEN xid < '{mark}'::xid8 THEN '{DONE}' ELSE '{WAITING}' END::xid8"
            used = xid if table == "core_auditevent" else f"'{DONE}'::xid8"
            cursor.execute(f"ALTER TABLE {table} ALTER COLUMN xid TYPE xid8 USING {used}")
            cursor.execute(f"ANALYZE {table}")
    FoldMark.objects.filter(name="audit").update(xid=WAITING)
    books, lines = add_up(now=now)
    told = Rebased(found, books, lines)
    audit.record([_row(told, actor, now)])
    _sound(now)
    return told


def add_up(*, now: datetime) -> tuple[int, int]:
    """Throw the totals of every book away and add up its lines again; (books, lines)."""
    books = list(Book.objects.filter(is_system=False).order_by("code"))
    return len(books), sum(folding.fold_anew(book=book, now=now).lines for book in books)


def _alone() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid, usename FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND usename IS NOT NULL ORDER BY pid"
        )
        others = cursor.fetchall()
    if others:
        named = ", ".join(f"{user} (process {pid})" for pid, user in others[:SESSIONS_NAMED])
        raise NotRebased(
            f"{len(others)} other sessions use this database: {named}. Stop web, workers and"
            " scheduler, close open psql sessions, and run it again"
        )


def _row(told: Rebased, actor: Actor, now: datetime) -> audit.AuditRow:
    return audit.event(
        book=Book.objects.get(is_system=True),
        actor=actor,
        action="books.rebased",
        subject_id="cluster",
        now=now,
        reason="the database was restored into another cluster",
        evidence={
            "stored_transaction": told.ahead.stored,
            "next_transaction": told.ahead.following,
            "books": told.books,
            "lines": told.lines,
        },
    )


def _sound(now: datetime) -> None:
    moment = Moment(now=now)
    breaks = [*trial_balance(moment).breaks, *entries_balance(moment).breaks]
    if breaks:
        transaction.set_rollback(True)
        raise NotRebased(
            "the balances are not the sum of their lines, so nothing was changed; the dump is"
            f" damaged or incomplete: {'; '.join(breaks[:SESSIONS_NAMED])}"
        )
