"""What the chart and an account's page show: balances now and a month ago, lines, parties (I17)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby

from ledger import account_lines, balances
from ledger.account_lines import AccountLine, LinesPage
from ledger.accounts import PARTY_WORDS
from ledger.balances import Movement, Scope, TrialRow
from ledger.models import Account
from ledger.statement_figures import snapshot
from payops.console.exports import Columns
from payops.console.filters import Control, Filters
from payops.core.models import Book

KINDS = {
    "asset": "Assets",
    "liability": "Liabilities",
    "equity": "Equity",
    "revenue": "Revenue",
    "expense": "Expenses",
    "memo": "Memo",
}
PARTIES_SHOWN = 100
CSV: Columns = (
    ("posting_on", "posting_on"),
    ("entry", "entry_public_id"),
    ("event_class", "event_class"),
    ("description", "description"),
    ("subject_id", "subject_id"),
    ("party", "party"),
    ("cash_flow_tag", "cash_flow_tag"),
    ("debit", "debit"),
    ("credit", "credit"),
    ("currency", "currency"),
    ("balance_minor", "balance_minor"),
    ("reporting_minor", "reporting_minor"),
    ("reporting_balance_minor", "reporting_balance_minor"),
)


# ---- the chart -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CurrencyRow:
    """One account in one currency; `earlier_minor` is its balance at the end of last month."""

    currency: str
    balance_minor: int
    earlier_minor: int
    reporting_minor: int

    @property
    def debit_minor(self) -> int:
        return max(self.balance_minor, 0)

    @property
    def credit_minor(self) -> int:
        return max(-self.balance_minor, 0)

    @property
    def nil(self) -> bool:
        return not (self.balance_minor or self.earlier_minor or self.reporting_minor)


@dataclass(frozen=True, slots=True)
class ChartRow:
    """One account of the chart with its currencies; without any it never moved."""

    code: str
    name: str
    kept_per: str
    currencies: tuple[CurrencyRow, ...]


@dataclass(frozen=True, slots=True)
class KindRows:
    """Accounts of one kind: those with a balance, and those that stand at nil."""

    label: str
    rows: tuple[ChartRow, ...]
    nil: tuple[ChartRow, ...]


@dataclass(frozen=True, slots=True)
class Total:
    """What all accounts hold in one currency; both sides are equal while the ledger is sound."""

    currency: str
    debit_minor: int
    credit_minor: int
    reporting_minor: int


@dataclass(frozen=True, slots=True)
class Off:
    """By how much a currency does not sum to nil."""

    minor: int
    currency: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Every account as of a day. `off` is empty while the ledger is sound (I17)."""

    kinds: tuple[KindRows, ...]
    totals: tuple[Total, ...]
    off: tuple[Off, ...]
    earlier_on: date
    empty: bool


def chart(book: Book, *, as_of: date | None, today: date) -> Chart:
    """Balances up to and including `as_of`, or of everything posted, beside last month's end."""
    earlier_on = (as_of or today).replace(day=1) - timedelta(days=1)
    with snapshot():
        found = balances.trial_balance(book=book, as_of=as_of)
        before = balances.trial_balance(book=book, as_of=earlier_on)
    earlier = {(row.account, row.currency): row.balance_minor for row in before}
    by_account: dict[str, list[TrialRow]] = {}
    for code, rows in groupby(found, key=lambda row: row.account):
        by_account[code] = list(rows)
    accounts = list(Account.objects.filter(book=book).order_by("code"))
    kinds = [
        _kind(label, [each for each in accounts if each.kind == kind], by_account, earlier)
        for kind, label in KINDS.items()
    ]
    totals = _totals(found)
    off = [
        Off(total.debit_minor - total.credit_minor, total.currency)
        for total in totals
        if total.debit_minor != total.credit_minor
    ]
    if reporting := sum(row.reporting_minor for row in found):
        off.append(Off(reporting, book.reporting_currency))
    return Chart(tuple(kinds), totals, tuple(off), earlier_on, empty=not found)


def _kind(
    label: str,
    accounts: list[Account],
    found: Mapping[str, list[TrialRow]],
    earlier: Mapping[tuple[str, str], int],
) -> KindRows:
    rows = [_chart_row(account, found.get(account.code, []), earlier) for account in accounts]
    nil = [row for row in rows if all(each.nil for each in row.currencies)]
    return KindRows(label, tuple(row for row in rows if row not in nil), tuple(nil))


def _chart_row(
    account: Account, found: list[TrialRow], earlier: Mapping[tuple[str, str], int]
) -> ChartRow:
    currencies = (
        CurrencyRow(
            currency=row.currency,
            balance_minor=row.balance_minor,
            earlier_minor=earlier.get((row.account, row.currency), 0),
            reporting_minor=row.reporting_minor,
        )
        for row in found
    )
    kept_per = PARTY_WORDS.get(account.party_kind, account.party_kind)
    moved = tuple(each for each in currencies if not each.nil)
    return ChartRow(account.code, account.name, kept_per, moved)


def _totals(rows: list[TrialRow]) -> tuple[Total, ...]:
    return tuple(
        Total(
            currency=currency,
            debit_minor=sum(max(r.balance_minor, 0) for r in rows if r.currency == currency),
            credit_minor=sum(max(-r.balance_minor, 0) for r in rows if r.currency == currency),
            reporting_minor=sum(r.reporting_minor for r in rows if r.currency == currency),
        )
        for currency in sorted({row.currency for row in rows})
    )


# ---- one account ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PartyRow:
    """One party's balance on the account, in the currency shown."""

    party: str
    balance_minor: int


@dataclass(frozen=True, slots=True)
class AccountPage:
    """An account in one currency: what it held before, what moved, what it holds, and the lines.

    `opening` and `closing` are (amount, reporting amount), debit positive.
    """

    account: Account
    kind: str
    kept_per: str
    currencies: tuple[TrialRow, ...]
    currency: str
    scope: Scope
    opening: tuple[int, int]
    moved: Movement
    lines: LinesPage
    parties: tuple[PartyRow, ...]
    parties_more: int

    @property
    def closing(self) -> tuple[int, int]:
        moved = self.moved
        return (
            self.opening[0] + moved.debit_minor - moved.credit_minor,
            self.opening[1] + moved.reporting_debit_minor - moved.reporting_credit_minor,
        )

    @property
    def parties_count(self) -> int:
        return len(self.parties) + self.parties_more

    @property
    def foreign(self) -> bool:
        return self.currency != self.scope.book.reporting_currency


def controls(account: Account, currencies: list[str]) -> list[Control]:
    kept_per = PARTY_WORDS.get(account.party_kind, "")
    party = Control("party", "Party", placeholder=kept_per.capitalize() or "Seller or account")
    return [
        Control("currency", "Currency", "select", [(each, each) for each in currencies]),
        party,
        Control("from", "From", "date"),
        Control("to", "Up to and including", "date"),
    ]


def currencies_of(account: Account) -> list[TrialRow]:
    """The account in each currency it ever moved in, reporting currency first."""
    book = account.book
    found = balances.currencies_of(book=book, account=account.code)
    return sorted(found, key=lambda row: (row.currency != book.reporting_currency, row.currency))


def account_page(
    account: Account, wanted: Filters, currencies: list[TrialRow], *, after: str, before: str
) -> AccountPage:
    """UnknownCursor when `after` or `before` is no place among the lines."""
    scope = scope_of(account, wanted, currencies)
    with snapshot():
        opening = _opening(scope)
        moved = balances.moved(scope)
        lines = account_lines.page(scope=scope, after=after, before=before)
        # Adding up thousands of parties is for the first look, not for every page of one of them.
        is_listed = not (scope.party or after or before)
        parties = _parties(scope) if is_listed else []
    rows = [
        PartyRow(row.party, row.balance_minor)
        for row in parties
        if row.party and row.currency == scope.currency and row.balance_minor
    ]
    rows.sort(key=lambda row: (-abs(row.balance_minor), row.party))
    return AccountPage(
        account=account,
        kind=KINDS[account.kind],
        kept_per=PARTY_WORDS.get(account.party_kind, ""),
        currencies=tuple(currencies),
        currency=scope.currency,
        scope=scope,
        opening=opening,
        moved=moved,
        lines=lines,
        parties=tuple(rows[:PARTIES_SHOWN]),
        parties_more=max(len(rows) - PARTIES_SHOWN, 0),
    )


def scope_of(account: Account, wanted: Filters, currencies: list[TrialRow]) -> Scope:
    first = currencies[0].currency if currencies else account.book.reporting_currency
    return Scope(
        account.book,
        wanted.day("from"),
        wanted.day("to"),
        account.code,
        wanted["currency"] or first,
        wanted["party"],
    )


def csv_lines(scope: Scope) -> Iterator[AccountLine]:
    return account_lines.every_line(scope=scope)


def _parties(scope: Scope) -> list[TrialRow]:
    return balances.parties_of(book=scope.book, account=scope.account, as_of=scope.to_on)


def _opening(scope: Scope) -> tuple[int, int]:
    if scope.from_on is None or scope.from_on == date.min:
        return 0, 0
    held = balances.balance(
        book=scope.book,
        account=scope.account,
        currency=scope.currency,
        party=scope.party,
        as_of=scope.from_on - timedelta(days=1),
    )
    return held.amount_minor, held.reporting_minor
