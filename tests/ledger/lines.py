"""Entries written straight to the journal, for amounts and days that no story reaches; and sums.

`off` compares every way of reading a balance with the sum of lines, in one snapshot.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db import connection, transaction

from ledger import balances, folding
from ledger.matrix import MATRIX_VERSION
from ledger.models import Account, JournalEntry, JournalLine
from ledger.periods import ensure_open
from payops.core import clock, ids
from payops.core.models import Book
from tests.ledger.scene import LEDGER, make_book

OPEN_S = 60


@dataclass(frozen=True)
class Line:
    account: str
    amount_minor: int
    currency: str = "EUR"
    reporting_minor: int | None = None
    party: str = ""
    tag: str = ""

    @property
    def reporting(self) -> int:
        return self.amount_minor if self.reporting_minor is None else self.reporting_minor


def book_of_half_a_year() -> Book:
    """A book with every month from November 2025 to April 2026 open: opening one is a lock."""
    book = make_book()
    with transaction.atomic():
        for month in (
            date(2025, 11, 1),
            date(2025, 12, 1),
            *(date(2026, n, 1) for n in (1, 2, 3, 4)),
        ):
            ensure_open(book=book, day=month, actor=LEDGER, now=clock.utc_now())
    return book


def write(book: Book, *lines: Line, on: date) -> JournalEntry:
    """One entry with exactly these lines; the database's own guards are the only ones."""
    accounts = {a.code: a for a in Account.objects.filter(book=book)}
    keys = [ids.uuid7() for _ in lines]
    with transaction.atomic():
        period = ensure_open(book=book, day=on, actor=LEDGER, now=clock.utc_now())
        entry = JournalEntry.objects.create(
            book=book,
            period=period,
            event_class="payment.captured",
            matrix_version=MATRIX_VERSION,
            idempotency_key=f"test:{keys[0]}",
            fingerprint="0" * 64,
            subject_id=ids.render("pa", keys[0]),
            description="written by a test",
            posting_on=on,
            occurred_at=clock.utc_now(),
            posted_by="ledger-tests",
            first_line_id=keys[0],
        )
        JournalLine.objects.bulk_create(
            JournalLine(
                id=key,
                book=book,
                entry=entry,
                position=position,
                account=accounts[line.account],
                party=line.party,
                amount_minor=line.amount_minor,
                currency=line.currency,
                reporting_minor=line.reporting,
                posting_on=on,
                cash_flow_tag=line.tag,
            )
            for position, (key, line) in enumerate(zip(keys, lines, strict=True))
        )
    return entry


def fold(book: Book, **how: Any) -> folding.Folded | None:
    with transaction.atomic():
        return folding.fold(book=book, now=clock.utc_now(), **how)


def fold_all(book: Book) -> int:
    """Fold until no line is left in the tail; answers how many were taken."""
    nothing_open()
    lines = 0
    while tail(book):
        folded = fold(book)
        assert folded is not None, "somebody else folds a test's book"
        lines += folded.lines
    return lines


def nothing_open() -> None:
    """Wait for transactions older than this one: the server is shared with other tests."""
    (mine,) = _ask("SELECT pg_current_xact_id()::text::bigint")[0]
    until = time.monotonic() + OPEN_S
    while _ask("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")[0][0] <= mine:
        assert time.monotonic() < until, "a neighbour's transaction is open for too long"
        time.sleep(0.02)


def tail(book: Book) -> int:
    """How many lines are not folded yet."""
    return _ask(f"SELECT count(*) FROM {balances.TAIL} WHERE l.book_id = %(book)s", book)[0][0]


def off(book: Book, *, as_of: date | None = None, from_on: date | None = None) -> list[str]:
    """In words, every balance that is not the sum of its lines at this moment."""
    with transaction.atomic():
        if len(connection.atomic_blocks) == 1:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        wrong = [
            *_differ("per account", _told(book, as_of, False), _summed(book, as_of, "''")),
            *_differ("per party", _told(book, as_of, True), _summed(book, as_of, "l.party")),
        ]
        moved = {
            (row.account, row.currency, row.cash_flow_tag): (
                row.debit_minor,
                row.credit_minor,
                row.reporting_debit_minor,
                row.reporting_credit_minor,
                row.lines,
            )
            for row in balances.period_totals(book=book, from_on=from_on, to_on=as_of)
        }
        return [*wrong, *_differ("in the period", moved, _moved(book, from_on, as_of))]


def _differ(where: str, told: dict[Any, Any], summed: dict[Any, Any]) -> list[str]:
    return [
        f"{where} {key}: told {told.get(key)}, the lines say {summed.get(key)}"
        for key in sorted(told.keys() | summed.keys())
        if told.get(key) != summed.get(key)
    ]


def _told(book: Book, as_of: date | None, per_party: bool) -> dict[Any, tuple[int, int]]:
    rows = balances.trial_balance(book=book, as_of=as_of, per_party=per_party)
    assert len({(r.account, r.party, r.currency) for r in rows}) == len(rows)
    return {(r.account, r.party, r.currency): (r.balance_minor, r.reporting_minor) for r in rows}


def _summed(book: Book, as_of: date | None, party: str) -> dict[Any, tuple[int, int]]:
    rows = _ask(
        f"SELECT a.code, {party}, l.currency, sum(l.amount_minor), sum(l.reporting_minor)"
        " FROM ledger_journalline l JOIN ledger_account a ON a.id = l.account_id"
        " WHERE l.book_id = %(book)s AND l.posting_on <= %(until)s GROUP BY 1, 2, 3",
        book,
        until=as_of or date.max,
    )
    return {row[:3]: (int(row[3]), int(row[4])) for row in rows}


def _moved(book: Book, from_on: date | None, to_on: date | None) -> dict[Any, Any]:
    def side(column: str, sign: str) -> str:
        return f"coalesce(sum({sign}l.{column}::numeric) FILTER (WHERE {sign}l.{column} > 0), 0)"

    sides = [side(c, sign) for c in ("amount_minor", "reporting_minor") for sign in ("", "-")]
    rows = _ask(
        f"SELECT a.code, l.currency, l.cash_flow_tag, {', '.join(sides)}, count(*)"
        " FROM ledger_journalline l JOIN ledger_account a ON a.id = l.account_id"
        " WHERE l.book_id = %(book)s AND l.posting_on BETWEEN %(since)s AND %(until)s"
        " GROUP BY 1, 2, 3",
        book,
        since=from_on or date.min,
        until=to_on or date.max,
    )
    return {row[:3]: tuple(int(each) for each in row[3:]) for row in rows}


def _ask(statement: str, book: Book | None = None, **values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, {"book": book and book.pk, **values})
        return list(cursor.fetchall())
