"""The sums that statements are made of, each span read once, all from one snapshot (RP-1, I17).

Owns the questions to the ledger: totals of a span, balances by party, the currencies in use. Never
decides where a figure stands; that is the table in `ledger/statement_rows.py`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db import connection, transaction

from ledger import balances
from ledger.balances import Scope
from ledger.cash_flow import BY_KEY, CASH_ACCOUNTS
from ledger.matrix import MATRIX
from ledger.models import Account
from payops.core.models import Book

POSITIONS_MAX = 500


@dataclass(frozen=True, slots=True)
class Moved:
    """Debits and credits of an account in minor units, both never negative."""

    debit: int = 0
    credit: int = 0

    @property
    def balance(self) -> int:
        """Debit positive."""
        return self.debit - self.credit

    def __add__(self, other: Moved) -> Moved:
        return Moved(self.debit + other.debit, self.credit + other.credit)


@dataclass(frozen=True, slots=True)
class Position:
    """What stands on one party of an account, in one currency; debit positive."""

    account: str
    party: str
    currency: str
    minor: int


@dataclass(frozen=True, slots=True)
class Sides:
    """Parties in debit and parties in credit of one account, added up apart."""

    debit: int = 0
    credit: int = 0


NOTHING = Moved()


@contextmanager
def snapshot() -> Iterator[None]:
    """Every question inside sees the same entries; inside a transaction, that one's view."""
    if connection.in_atomic_block:
        yield
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield


class Figures:
    """Sums of one book in one currency's own amounts, or with "" all in reporting currency."""

    def __init__(self, *, book: Book, currency: str = "") -> None:
        self.book, self.currency = book, currency
        self._spans: dict[tuple[date | None, date], dict[tuple[str, str], Moved]] = {}
        self._sides: dict[tuple[str, date], Sides] = {}
        self._accounts: dict[str, Account] | None = None

    @property
    def shown_currency(self) -> str:
        return self.currency or self.book.reporting_currency

    @property
    def accounts(self) -> dict[str, Account]:
        """Every account of the book by its code, in the chart or not."""
        if self._accounts is None:
            rows = Account.objects.filter(book=self.book).order_by("code")
            self._accounts = {account.code: account for account in rows}
        return self._accounts

    def moved(self, from_on: date | None, to_on: date) -> dict[str, Moved]:
        """By account; `from_on` None is from the first entry on."""
        found: dict[str, Moved] = defaultdict(Moved)
        for (account, _), moved in self._span(from_on, to_on).items():
            found[account] += moved
        return dict(found)

    def net(self, from_on: date | None, to_on: date) -> dict[str, int]:
        return {code: moved.balance for code, moved in self.moved(from_on, to_on).items()}

    def cash(self, from_on: date | None, to_on: date) -> dict[str, int]:
        """Movements of the cash accounts by cash-flow tag; "" is cash nobody explained (RP-4)."""
        found: dict[str, int] = defaultdict(int)
        for (account, tag), moved in self._span(from_on, to_on).items():
            if account in CASH_ACCOUNTS:
                found[tag if tag in BY_KEY else ""] += moved.balance
        if found.get(""):
            for tag, minor in self._older_cash(from_on, to_on).items():
                found[""] -= minor
                found[tag] += minor
        return {tag: minor for tag, minor in found.items() if minor}

    def sides(self, account: str, as_of: date) -> Sides:
        """Parties in debit and in credit apart; a party's side is that of its own amount."""
        key = (account, as_of)
        if key not in self._sides:
            scope = self._scope(account, as_of)
            rows = _rows(
                "SELECT coalesce(sum(minor) FILTER (WHERE debit), 0),"
                " coalesce(sum(-minor) FILTER (WHERE NOT debit), 0)"
                f" FROM ({self._by_party(scope)}) AS p",
                scope.values(),
            )
            self._sides[key] = Sides(*map(int, rows[0]))
        return self._sides[key]

    def positions(self, account: str, as_of: date, *, side: str = "") -> tuple[list[Position], int]:
        """The largest balances by party, and how many there are in all."""
        scope = self._scope(account, as_of)
        only = {"": "TRUE", "debit": "debit", "credit": "NOT debit"}[side]
        rows = _rows(
            "SELECT party, currency, minor, count(*) OVER ()"
            f" FROM ({self._by_party(scope)}) AS p"
            f" WHERE {only} ORDER BY abs(minor) DESC, party, currency LIMIT {POSITIONS_MAX}",
            scope.values(),
        )
        found = [Position(account, party, money, int(minor)) for party, money, minor, _ in rows]
        return found, int(rows[0][3]) if rows else 0

    def _span(self, from_on: date | None, to_on: date) -> dict[tuple[str, str], Moved]:
        key = (from_on, to_on)
        if key not in self._spans:
            self._spans[key] = self._read_span(from_on, to_on)
        return self._spans[key]

    def _read_span(self, from_on: date | None, to_on: date) -> dict[tuple[str, str], Moved]:
        found: dict[tuple[str, str], Moved] = defaultdict(Moved)
        for row in balances.period_totals(book=self.book, from_on=from_on, to_on=to_on):
            key = (row.account, row.cash_flow_tag)
            if not self.currency:
                found[key] += Moved(row.reporting_debit_minor, row.reporting_credit_minor)
            elif row.currency == self.currency:
                found[key] += Moved(row.debit_minor, row.credit_minor)
        return dict(found)

    def _scope(self, account: str, as_of: date) -> Scope:
        return Scope(
            self.book, to_on=as_of, account=account, currency=self.currency, per_party=True
        )

    def _by_party(self, scope: Scope) -> str:
        """(party, currency, minor, debit) of what is not nil."""
        shown = "amount" if self.currency else "reporting"
        return (
            f"SELECT party, currency, {shown} AS minor,"
            " CASE WHEN amount <> 0 THEN amount > 0 ELSE reporting > 0 END AS debit"
            " FROM (SELECT t.party, t.currency, sum(t.debit_minor - t.credit_minor) AS amount,"
            " sum(t.reporting_debit_minor - t.reporting_credit_minor) AS reporting"
            f" FROM ({scope.rows()}) AS t GROUP BY 1, 2) AS s WHERE {shown} <> 0"
        )

    def _older_cash(self, from_on: date | None, to_on: date) -> dict[str, int]:
        """Lines older than the tags have that of their entry's row of the matrix."""
        shown = "l.amount_minor" if self.currency else "l.reporting_minor"
        rows = _rows(
            f"SELECT e.event_class, sum({shown}) FROM ledger_journalline l"
            " JOIN ledger_account a ON a.id = l.account_id"
            " JOIN ledger_journalentry e ON e.id = l.entry_id"
            " WHERE l.book_id = %(book)s AND a.book_id = %(book)s AND a.code = ANY(%(accounts)s)"
            " AND l.cash_flow_tag = '' AND l.posting_on <= %(as_of)s"
            " AND l.posting_on >= %(from)s AND (%(currency)s = '' OR l.currency = %(currency)s)"
            " GROUP BY 1",
            {
                "book": self.book.pk,
                "accounts": sorted(CASH_ACCOUNTS),
                "from": from_on or date.min,
                "as_of": to_on,
                "currency": self.currency,
            },
        )
        found: dict[str, int] = defaultdict(int)
        for event_class, minor in rows:
            tag = MATRIX[event_class].cash_flow_tag if event_class in MATRIX else ""
            if tag in BY_KEY:
                found[tag] += int(minor)
        return dict(found)


def currencies_of(*, book: Book, to_on: date) -> list[str]:
    """Every currency the book has lines in up to that day."""
    totals = balances.period_totals(book=book, from_on=None, to_on=to_on)
    return sorted({row.currency for row in totals})


def _rows(statement: str, asked: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, asked)
        return list(cursor.fetchall())
