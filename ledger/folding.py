"""Folds lines into totals, in the background, each line exactly once (I17).

A fold takes the lines of the transactions from the book's cut up to the snapshot's xmin: all of
them are over, so none can appear behind the cut later. Totals and cut move in one transaction, and
the cut's row is locked first, so no two folds take the same lines. Never touches the journal.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from ledger.models import AccountTotal, PartyTotal
from payops.core.models import Book

# About a second's work. A single transaction with more lines is taken whole.
LINES_PER_FOLD = 200_000
LIMIT_MAX = 2**62


@dataclass(frozen=True, slots=True)
class Folded:
    """What one fold took, up to where, and whether lines were left for the next one."""

    lines: int
    cut: int
    more: bool


class CutAhead(Exception):
    """The cut lies ahead of the server: the database was restored into another cluster."""

    def __init__(self, *, book: str, cut: int, horizon: int) -> None:
        self.book, self.cut, self.horizon = book, cut, horizon
        super().__init__(
            f"the totals of book {book} reach up to transaction {cut}, this server has only got to"
            f" {horizon}: the database was restored from elsewhere. Run"
            " `manage.py rebase_after_restore`"
        )


def fold(*, book: Book, now: datetime, limit: int = LINES_PER_FOLD) -> Folded | None:
    """One pass over one book; None while another one folds it."""
    assert connection.in_atomic_block, "totals and cut are written together"
    held = _held(book)
    if held is None:
        return None
    # The bound is taken before the lines are read: whatever lies below it is visible by then.
    bound = _bound(held, limit)
    if held > bound.horizon:
        raise CutAhead(book=book.code, cut=held, horizon=bound.horizon)
    if not bound.waiting:
        return Folded(0, held, more=False)
    lines = _add(book, held, bound.cut)
    _move(book, bound.cut, now)
    return Folded(lines, bound.cut, bound.more)


def fold_anew(*, book: Book, now: datetime) -> Folded:
    """Throw the book's totals away and add up every line again; waits for a fold under way."""
    assert connection.in_atomic_block, "totals and cut are written together"
    _held(book, wait=True)
    for model in (AccountTotal, PartyTotal):
        model.objects.filter(book=book).delete()
    _move(book, 0, now)
    folded = fold(book=book, now=now, limit=LIMIT_MAX)
    assert folded is not None, "the cut's row is ours"
    return folded


def _held(book: Book, *, wait: bool = False) -> int | None:
    """The cut, its row locked for us; None while another transaction has it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO ledger_balancecut (book_id, cut) VALUES (%s, '0') ON CONFLICT DO NOTHING",
            [book.pk],
        )
        cursor.execute(
            "SELECT cut::text::bigint FROM ledger_balancecut WHERE book_id = %s"
            f" FOR UPDATE {'' if wait else 'SKIP LOCKED'}",
            [book.pk],
        )
        found = cursor.fetchone()
    return int(found[0]) if found else None


def _move(book: Book, cut: int, now: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE ledger_balancecut SET cut = %s::text::xid8, folded_at = %s WHERE book_id = %s",
            [cut, now, book.pk],
        )


@dataclass(frozen=True, slots=True)
class _Bound:
    """Where a fold ends, where the server is, and whether lines wait: any at all, and beyond it.

    A fold ends before the transaction of the line that is one too many. Lines of other books count,
    so that no book's tail has to step over them.
    """

    cut: int
    horizon: int
    waiting: bool
    more: bool


BOUND = """
SELECT least(h.xmin, coalesce(b.xid, h.xmin))::text::bigint, h.xmin::text::bigint,
  EXISTS (SELECT 1 FROM ledger_journalline w
    WHERE w.xid >= %(cut)s::text::xid8 AND w.xid < h.xmin),
  b.xid IS NOT NULL
FROM (SELECT pg_snapshot_xmin(pg_current_snapshot()) AS xmin) AS h
LEFT JOIN LATERAL (
  SELECT greatest(n.xid, (%(cut)s + 1)::text::xid8) AS xid FROM (
    SELECT l.xid FROM ledger_journalline l
    WHERE l.xid >= %(cut)s::text::xid8 AND l.xid < h.xmin
    ORDER BY l.xid OFFSET %(limit)s LIMIT 1) AS n) AS b ON true"""


def _bound(cut: int, limit: int) -> _Bound:
    with connection.cursor() as cursor:
        cursor.execute(BOUND, {"cut": cut, "limit": limit})
        return _Bound(*cursor.fetchone())


TAKEN = """
WITH taken AS MATERIALIZED (
  SELECT l.account_id, l.party, l.currency, l.cash_flow_tag, l.posting_on,
    sum(greatest(l.amount_minor, 0)) AS debit, sum(greatest(-l.amount_minor::numeric, 0)) AS credit,
    sum(greatest(l.reporting_minor, 0)) AS reporting_debit,
    sum(greatest(-l.reporting_minor::numeric, 0)) AS reporting_credit, count(*) AS lines
  FROM ledger_journalline l
  WHERE l.book_id = %(book)s AND l.xid >= %(since)s::text::xid8 AND l.xid < %(until)s::text::xid8
  GROUP BY 1, 2, 3, 4, 5),
by_grain AS MATERIALIZED (
  SELECT t.*, g.grain, g.starts_on FROM taken t CROSS JOIN LATERAL (VALUES
    ('day', t.posting_on), ('month', date_trunc('month', t.posting_on)::date)
  ) AS g(grain, starts_on))"""


def _upsert(table: str, column: str) -> str:
    """Adds the groups to one table; ordered, so that no two writers wait for each other crossed."""
    figures = ("debit", "credit", "reporting_debit", "reporting_credit")
    names = [f"{each}_minor" for each in figures]
    added = ", ".join(f"{name} = o.{name} + excluded.{name}" for name in (*names, "lines"))
    sums = ", ".join(f"sum({each})" for each in figures)
    return (
        f"INSERT INTO {table} AS o (book_id, account_id, currency, grain, starts_on, {column},"
        f" {', '.join(names)}, lines)"
        f" SELECT %(book)s, account_id, currency, grain, starts_on, {column}, {sums}, sum(lines)"
        f" FROM by_grain GROUP BY account_id, currency, grain, starts_on, {column}"
        f" ON CONFLICT (book_id, account_id, currency, grain, starts_on, {column})"
        f" DO UPDATE SET {added}"
    )


ADD = (
    f"{TAKEN},\naccounts AS ({_upsert('ledger_accounttotal', 'cash_flow_tag')}),\n"
    f"parties AS ({_upsert('ledger_partytotal', 'party')})\n"
    "SELECT coalesce(sum(lines), 0)::bigint FROM taken"
)


def _add(book: Book, since: int, until: int) -> int:
    with connection.cursor() as cursor:
        cursor.execute(ADD, {"book": book.pk, "since": since, "until": until})
        (lines,) = cursor.fetchone()
    return int(lines)
