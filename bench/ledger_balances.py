"""The process behind `ledger.py`: balances and statements over a growing journal; prints JSON.

Lines are made on the server by INSERT … SELECT, past every guard like any other, then folded by
the product's own fold, with a tail left unfolded. Each figure is compared with a plain sum.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import django

django.setup()

from django.db import connection, transaction  # noqa: E402

from ledger import balances, folding, periods, statements  # noqa: E402
from ledger.accounts import ensure_chart  # noqa: E402
from ledger.facts import REF_NAMES  # noqa: E402
from ledger.statement_parts import Span  # noqa: E402
from payops.core import clock, ids  # noqa: E402
from payops.core.actors import service  # noqa: E402
from payops.core.models import Book  # noqa: E402

ACTOR = service("bench")
READS = 9
CHUNK = 100_000
TAIL = 500
DAYS = 330
FOLDS_WITHIN_S = 120
HOT, CURRENCY = "1100", "EUR"
# Debit, credit, how many of ten entries: every entry touches 1100, so it has half of the lines.
PAIRS = (("1100", "2000", 7), ("5000", "1100", 2), ("1000", "1100", 1))
MADE = """
CREATE TEMP TABLE made ON COMMIT DROP AS
SELECT n, ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid AS entry_id,
  ('01900000-0000-7001-8000-' || lpad(to_hex(n), 12, '0'))::uuid AS debit_id,
  ('01900000-0000-7002-8000-' || lpad(to_hex(n), 12, '0'))::uuid AS credit_id,
  %(first)s::date + (n %% %(days)s)::int AS posting_on, 1 + n %% 9973 AS amount, n %% 10 AS tenth
FROM generate_series(%(since)s::bigint, %(until)s::bigint) AS n"""
ENTRIES = f"""
INSERT INTO ledger_journalentry (id, created_at, book_id, period_id, event_class, matrix_version,
  template, idempotency_key, fingerprint, subject_id, movement_ref, description, posting_on,
  occurred_at, posted_by, first_line_id, {", ".join(REF_NAMES)})
SELECT m.entry_id, now(), %(book)s, p.id, 'payment.captured', 1, '', 'bench ' || m.n, '', '', '',
  'bench', m.posting_on, now(), 'bench', m.debit_id, {", ".join("''" for _ in REF_NAMES)}
FROM made m JOIN ledger_accountingperiod p
  ON p.book_id = %(book)s AND m.posting_on BETWEEN p.starts_on AND p.ends_on"""
LINES = """
INSERT INTO ledger_journalline (id, created_at, book_id, entry_id, position, account_id, party,
  amount_minor, currency, reporting_minor, posting_on, cash_flow_tag)
SELECT s.id, now(), %(book)s, m.entry_id, s.position, a.id,
  CASE a.code WHEN '2000' THEN 'be_' || m.n %% 1000 WHEN '1100' THEN 'stripe/demo'
    WHEN '1000' THEN 'main' ELSE '' END,
  s.amount, 'EUR', s.amount, m.posting_on, CASE a.code WHEN '1000' THEN 'settlements' ELSE '' END
FROM made m JOIN unnest(%(debits)s::text[], %(credits)s::text[]) WITH ORDINALITY
  AS c(debit, credit, nth) ON c.nth = m.tenth + 1
CROSS JOIN LATERAL (VALUES (m.debit_id, 0, c.debit, m.amount),
  (m.credit_id, 1, c.credit, -m.amount)) AS s(id, position, code, amount)
JOIN ledger_account a ON a.book_id = %(book)s AND a.code = s.code"""
SUM = """
SELECT a.code, l.currency, sum(l.amount_minor), sum(l.reporting_minor) FROM ledger_journalline l
JOIN ledger_account a ON a.id = l.account_id WHERE l.book_id = %s GROUP BY a.code, l.currency
ORDER BY 1, 2"""


def main() -> None:
    """`grow SIZE…` or `month LINES`: the answer on the last line."""
    act, *sizes = sys.argv[1:]
    print(json.dumps(ACTS[act](*(int(size) for size in sizes))))


def grow(*sizes: int) -> dict[str, Any]:
    """Balance and trial balance at each number of lines, on one book over eleven months."""
    today = clock.utc_now().date()
    book = _book(today - timedelta(days=DAYS), DAYS)
    told, made = {}, 0
    for size in sizes:
        _fill(book, made, size // 2 - TAIL, today - timedelta(days=DAYS), DAYS)
        _settle()
        _fold(book)
        _fill(book, size // 2 - TAIL, size // 2, today - timedelta(days=DAYS), DAYS)
        made = size // 2
        expected = _sums(book)
        hot = {code: amount for code, _, amount, _ in expected}[HOT]
        seen = balances.balance(book=book, account=HOT, currency=CURRENCY)
        trial = [
            (row.account, row.currency, row.balance_minor, row.reporting_minor)
            for row in balances.trial_balance(book=book)
        ]
        told[str(size)] = {
            "legs": seen.lines,
            "tail": _unfolded(book),
            "balance_ms": _median_ms(
                lambda: balances.balance(book=book, account=HOT, currency=CURRENCY)
            ),
            "trial_ms": _median_ms(lambda: balances.trial_balance(book=book)),
            "sum_ms": _median_ms(lambda: _sums(book), reads=3),
            "correct": seen.amount_minor == hot and trial == expected,
        }
    return told


def month(lines: int) -> dict[str, Any]:
    """Each kind of statement of one month with so many lines, beside the month before."""
    last = clock.utc_now().date().replace(day=1) - timedelta(days=1)
    first = last.replace(day=1)
    book = _book(first, last.day)
    _fill(book, 0, lines // 2, first, last.day, offset=10**9)
    _settle()
    _fold(book)
    span = Span(first, last)
    told: dict[str, Any] = {"correct": True}
    for kind in statements.KINDS:
        made = statements.statement(kind=kind, book=book, span=span)
        told[kind] = _median_ms(
            lambda kind=kind: statements.statement(kind=kind, book=book, span=span)  # type: ignore[misc]
        )
        told["correct"] &= bool(made.checks) and all(check.ok for check in made.checks)
    period = balances.period_totals(book=book, from_on=first, to_on=last)
    sums = {row.account: 0 for row in period}
    for row in period:
        sums[row.account] += row.balance_minor
    told["correct"] &= sums == {code: amount for code, _, amount, _ in _sums(book)}
    return told


def _book(first: date, days: int) -> Book:
    book = Book.objects.create(code=f"bench-{ids.uuid7().hex[-12:]}", name="Bench")
    ensure_chart(book)
    now = clock.utc_now()
    with transaction.atomic(durable=True):
        for day in {(first + timedelta(days=n)).replace(day=1) for n in range(days)}:
            periods.ensure_open(book=book, day=day, actor=ACTOR, now=now)
    return book


def _fill(book: Book, since: int, until: int, first: date, days: int, offset: int = 0) -> None:
    """Entries `since` to `until`, a transaction per chunk; every trigger of the journal fires."""
    sides = [(debit, credit) for debit, credit, share in PAIRS for _ in range(share)]
    for start in range(since, until, CHUNK):
        stop = min(start + CHUNK, until)
        values: dict[str, Any] = {
            "book": book.pk,
            "first": first,
            "days": days,
            "since": offset + start + 1,
            "until": offset + stop,
            "debits": [debit for debit, _ in sides],
            "credits": [credit for _, credit in sides],
        }
        with transaction.atomic(durable=True), connection.cursor() as cursor:
            for statement in (MADE, ENTRIES, LINES):
                cursor.execute(statement, values)


def _fold(book: Book) -> None:
    """Until no line is left: one that a transaction still open holds back is waited for."""
    deadline = time.monotonic() + FOLDS_WITHIN_S
    while _unfolded(book):
        assert time.monotonic() < deadline, "an open transaction holds the fold back"
        with transaction.atomic(durable=True):
            folded = folding.fold(book=book, now=clock.utc_now())
        assert folded is not None, "nobody else folds this book"
        if not folded.lines:
            time.sleep(0.1)


def _unfolded(book: Book) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM ledger_journalline WHERE book_id = %(book)s AND xid >= coalesce("
            "(SELECT cut FROM ledger_balancecut WHERE book_id = %(book)s), '0'::xid8)",
            {"book": book.pk},
        )
        return int(cursor.fetchone()[0])


def _settle() -> None:
    """What autovacuum does in a running system."""
    with connection.cursor() as cursor:
        for table in ("ledger_journalline", "ledger_journalentry"):
            cursor.execute(f"ANALYZE {table}")


def _sums(book: Book) -> list[tuple[str, str, int, int]]:
    with connection.cursor() as cursor:
        cursor.execute(SUM, [book.pk])
        return [(code, cur, int(minor), int(rep)) for code, cur, minor, rep in cursor.fetchall()]


def _median_ms(act: Callable[[], Any], reads: int = READS) -> float:
    act()
    seen = []
    for _ in range(reads):
        began = time.perf_counter()
        act()
        seen.append((time.perf_counter() - began) * 1000)
    return statistics.median(seen)


ACTS: dict[str, Callable[..., dict[str, Any]]] = {"grow": grow, "month": month}

if __name__ == "__main__":
    main()
