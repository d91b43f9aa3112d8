"""Balances that do not slow down with history: folded totals and the exact tail (I17, LJ-22).

Every figure here is the sum of its lines at one moment: one statement reads the cut, the totals
below it and the lines at and above it, so they belong to the same snapshot whatever is posted or
folded meanwhile. `ledger/folding.py` writes the totals; nothing here writes, and nothing here adds
up lines below the cut.
"""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.db import connection

from payops.core.models import Book
from payops.core.money import Money

DAY, MONTH = "day", "month"
FIRST_XID = "0"
# An upper bound that holds for every line: with both ends PostgreSQL expects a short range of the
# index over xid, which the tail is, and not a third of the table.
LAST_XID = str(2**63 - 1)

SUMS = (
    "sum(t.debit_minor), sum(t.credit_minor), sum(t.reporting_debit_minor),"
    " sum(t.reporting_credit_minor), sum(t.lines)"
)
ACCOUNT = "(SELECT id FROM ledger_account WHERE book_id = %(book)s AND code = %(account)s)"
CUT = f"coalesce((SELECT cut FROM ledger_balancecut WHERE book_id = %(book)s), '{FIRST_XID}'::xid8)"
# By their transactions first, whatever else narrows them: the tail is short, an account may not be.
TAIL = (
    f"(SELECT * FROM ledger_journalline WHERE xid >= {CUT} AND xid <= '{LAST_XID}'::xid8"
    " OFFSET 0) l"
)
FIGURES = "debit_minor, credit_minor, reporting_debit_minor, reporting_credit_minor, lines"
LINE_FIGURES = (
    "greatest(l.amount_minor, 0)::numeric AS debit_minor,"
    " greatest(-l.amount_minor::numeric, 0) AS credit_minor,"
    " greatest(l.reporting_minor, 0)::numeric AS reporting_debit_minor,"
    " greatest(-l.reporting_minor::numeric, 0) AS reporting_credit_minor, 1 AS lines"
)


@dataclass(frozen=True, slots=True)
class TrialRow:
    """The balance of one account, party and currency; a debit balance is positive.

    `party` is "" where all parties are told together, and for lines kept per nobody.
    """

    account: str
    name: str
    kind: str
    party: str
    currency: str
    balance_minor: int
    reporting_minor: int

    @property
    def balance(self) -> Money:
        return Money(self.balance_minor, self.currency)


@dataclass(frozen=True, slots=True)
class Balance:
    """What one account holds in one currency; a debit balance is positive."""

    amount_minor: int
    currency: str
    reporting_minor: int
    lines: int

    @property
    def money(self) -> Money:
        return Money(self.amount_minor, self.currency)


@dataclass(frozen=True, slots=True)
class PeriodTotal:
    """What moved on one account, currency and cash-flow tag; debits and credits both positive.

    The tag is "" on accounts that are not cash, and on cash lines older than the tags.
    """

    account: str
    currency: str
    cash_flow_tag: str
    debit_minor: int
    credit_minor: int
    reporting_debit_minor: int
    reporting_credit_minor: int
    lines: int

    @property
    def balance_minor(self) -> int:
        return self.debit_minor - self.credit_minor

    @property
    def reporting_minor(self) -> int:
        return self.reporting_debit_minor - self.reporting_credit_minor


@dataclass(frozen=True, slots=True)
class Movement:
    """What moved on one account, party and currency between two days, both included."""

    debit_minor: int
    credit_minor: int
    reporting_debit_minor: int
    reporting_credit_minor: int
    lines: int


@dataclass(frozen=True, slots=True)
class Scope:
    """Which lines are meant: of a book, between two days (both included; None is the first or the
    last line), on an account, in a currency, of a party; "" is any."""

    book: Book
    from_on: date | None = None
    to_on: date | None = None
    account: str = ""
    currency: str = ""
    party: str = ""
    per_party: bool = False

    def rows(self) -> str:
        """SQL: the totals that make up the days, and the tail, as rows to be summed.

        Columns: account_id, currency, party or cash_flow_tag, then FIGURES. Goes with `values`.
        """
        by_party = self.per_party or bool(self.party)
        table = "ledger_partytotal" if by_party else "ledger_accounttotal"
        columns = f"account_id, currency, {'party' if by_party else 'cash_flow_tag'}"
        parts = [
            f"SELECT {columns}, {FIGURES} FROM {table} l"
            f" WHERE book_id = %(book)s AND grain = %(grain{n})s"
            f" AND starts_on BETWEEN %(since{n})s AND %(until{n})s{self.narrowed()}"
            for n in range(len(pieces(self.from_on, self.to_on)))
        ]
        parts.append(
            f"SELECT {columns}, {LINE_FIGURES} FROM {TAIL}"
            f" WHERE l.book_id = %(book)s{self.days()}{self.narrowed()}"
        )
        return " UNION ALL ".join(parts)

    def narrowed(self) -> str:
        """Conditions on account, currency and party, of a total or a line called l."""
        found = f" AND l.account_id = {ACCOUNT}" if self.account else ""
        found += " AND l.currency = %(currency)s" if self.currency else ""
        return found + (" AND l.party = %(party)s" if self.party else "")

    def days(self) -> str:
        """Conditions on the day of a line called l."""
        found = " AND l.posting_on >= %(from_on)s" if self.from_on else ""
        return found + (" AND l.posting_on <= %(to_on)s" if self.to_on else "")

    def values(self) -> dict[str, Any]:
        """The parameters of the statement that `rows` makes."""
        found: dict[str, Any] = {
            "book": self.book.pk,
            "from_on": self.from_on,
            "to_on": self.to_on,
            "account": self.account,
            "currency": self.currency,
            "party": self.party,
        }
        for n, (grain, since, until) in enumerate(pieces(self.from_on, self.to_on)):
            found |= {f"grain{n}": grain, f"since{n}": since, f"until{n}": until}
        return found


def balance(
    *, book: Book, account: str, currency: str, party: str = "", as_of: date | None = None
) -> Balance:
    """One account and currency up to and including `as_of`; of one party, or ("") of all."""
    found = movements(book=book, account=account, currency=currency, party=party, to_on=as_of)
    return Balance(
        amount_minor=found.debit_minor - found.credit_minor,
        currency=currency,
        reporting_minor=found.reporting_debit_minor - found.reporting_credit_minor,
        lines=found.lines,
    )


def movements(
    *,
    book: Book,
    account: str,
    currency: str,
    party: str = "",
    from_on: date | None = None,
    to_on: date | None = None,
) -> Movement:
    """What moved from `from_on` to `to_on`, both included; None is the first or the last line."""
    return moved(Scope(book, from_on, to_on, account, currency, party))


def moved(scope: Scope) -> Movement:
    """The same of any scope."""
    (row,) = _rows(f"SELECT {SUMS} FROM ({scope.rows()}) AS t", scope.values())
    return Movement(*(int(each or 0) for each in row))


def trial_balance(
    *, book: Book, as_of: date | None = None, per_party: bool = False
) -> list[TrialRow]:
    """Every account and currency (and party) with a movement up to and including `as_of`."""
    return _trial(Scope(book, to_on=as_of, per_party=per_party))


def balances_of(*, book: Book, party: str, as_of: date | None = None) -> list[TrialRow]:
    """What we owe a seller, or what a provider holds: the trial balance of one party."""
    return _trial(Scope(book, to_on=as_of, party=party, per_party=True))


def parties_of(*, book: Book, account: str, as_of: date | None = None) -> list[TrialRow]:
    """One account's balance with each of its parties."""
    return _trial(Scope(book, to_on=as_of, account=account, per_party=True))


def currencies_of(*, book: Book, account: str, as_of: date | None = None) -> list[TrialRow]:
    """One account's balance in each currency it ever moved in, all parties together."""
    return _trial(Scope(book, to_on=as_of, account=account))


def period_totals(*, book: Book, from_on: date | None, to_on: date | None) -> list[PeriodTotal]:
    """What moved on every account, currency and cash-flow tag from `from_on` to `to_on`, both
    included; None is the first or the last line. By account, currency, tag."""
    scope = Scope(book, from_on, to_on)
    rows = _rows(
        f"SELECT a.code, t.currency, t.cash_flow_tag, {SUMS} FROM ({scope.rows()}) AS t"
        " JOIN ledger_account a ON a.id = t.account_id"
        " GROUP BY a.code, t.currency, t.cash_flow_tag ORDER BY 1, 2, 3",
        scope.values(),
    )
    return [PeriodTotal(*row[:3], *(int(each) for each in row[3:])) for row in rows]


def pieces(from_on: date | None, to_on: date | None) -> list[tuple[str, date, date]]:
    """(grain, first, last): whole months, and the days before and after them."""
    start, end = from_on or date.min, to_on or date.max
    if start > end:
        return []
    first = _ordinal(start) + (start.day > 1)
    last = _ordinal(end) - (end.day < monthrange(end.year, end.month)[1])
    if first > last:
        return [(DAY, start, end)]
    since, until = _month(first), _month(last)
    closing = until.replace(day=monthrange(until.year, until.month)[1])
    found = [(DAY, start, since - timedelta(days=1))] if start < since else []
    found.append((MONTH, since, until))
    if closing < end:
        found.append((DAY, closing + timedelta(days=1), end))
    return found


def _ordinal(day: date) -> int:
    return day.year * 12 + day.month - 1


def _month(ordinal: int) -> date:
    return date(ordinal // 12, ordinal % 12 + 1, 1)


def _trial(scope: Scope) -> list[TrialRow]:
    party = "t.party" if scope.per_party else "''"
    rows = _rows(
        f"SELECT a.code, a.name, a.kind, s.party, s.currency, s.amount, s.reporting FROM ("
        f"SELECT t.account_id, {party} AS party, t.currency,"
        " sum(t.debit_minor - t.credit_minor) AS amount,"
        " sum(t.reporting_debit_minor - t.reporting_credit_minor) AS reporting"
        f" FROM ({scope.rows()}) AS t GROUP BY 1, 2, 3"
        ") AS s JOIN ledger_account a ON a.id = s.account_id ORDER BY 1, 4, 5",
        scope.values(),
    )
    return [
        TrialRow(code, name, kind, party, currency, int(amount), int(reporting))
        for code, name, kind, party, currency, amount, reporting in rows
    ]


def _rows(statement: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())
