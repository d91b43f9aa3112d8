"""What stands behind a figure of a statement: exactly its lines, or its balances by party (RP-1).

Reads only; the sums come from the folded totals and are those of the statement.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from django.db.models import QuerySet

from ledger import balances
from ledger.cash_flow import BY_KEY
from ledger.models import JournalLine
from ledger.statement_figures import Figures, Position, snapshot
from ledger.statement_parts import Drill
from payops.console.filters import Control, Filters, choices
from payops.console.reads.statements import address
from payops.core.models import Book

UNTAGGED = "none"


def line_controls() -> list[Control]:
    tags = [(UNTAGGED, "No tag"), *((tag.key, tag.words) for tag in BY_KEY.values())]
    return [
        Control("account", "Accounts", placeholder="1000,1010"),
        Control("party", "Party", placeholder="Seller or account"),
        Control("tag", "Cash-flow tag", "select", choices(tags)),
        Control("currency", "Currency"),
        Control("from", "From", "date"),
        Control("to", "To", "date"),
    ]


@dataclass(frozen=True, slots=True)
class Sum:
    """All lines in one currency: what they come to, also in reporting currency."""

    currency: str
    debit: int
    credit: int
    reporting: int
    lines: int

    @property
    def minor(self) -> int:
        return self.debit - self.credit


@dataclass(frozen=True, slots=True)
class LineShown:
    """One line; `debit` and `credit` are None on the side it does not stand on."""

    line: JournalLine
    debit: int | None
    credit: int | None


def shown_lines(rows: list[JournalLine]) -> list[LineShown]:
    return [
        LineShown(
            line,
            line.amount_minor if line.amount_minor > 0 else None,
            -line.amount_minor if line.amount_minor < 0 else None,
        )
        for line in rows
    ]


def lines(book: Book, wanted: Filters) -> QuerySet[JournalLine]:
    rows = JournalLine.objects.filter(book=book).select_related("account", "entry")
    if codes := _codes(wanted):
        rows = rows.filter(account__book=book, account__code__in=codes)
    for name, column in (("party", "party"), ("currency", "currency")):
        if wanted[name]:
            rows = rows.filter(**{column: wanted[name]})
    if wanted["tag"]:
        rows = rows.filter(cash_flow_tag="" if wanted["tag"] == UNTAGGED else wanted["tag"])
    if wanted.day("from"):
        rows = rows.filter(posting_on__gte=wanted.day("from"))
    if wanted.day("to"):
        rows = rows.filter(posting_on__lte=wanted.day("to"))
    return rows


def sums(book: Book, wanted: Filters) -> list[Sum]:
    """Of every line the filters mean, by currency, from the folded totals."""
    from_on, to_on, codes = wanted.day("from"), wanted.day("to"), _codes(wanted)
    totals = balances.period_totals(book=book, from_on=from_on, to_on=to_on)
    tag = {"": None, UNTAGGED: ""}.get(wanted["tag"], wanted["tag"])
    found: dict[str, Sum] = {}
    pairs = {(row.account, row.currency) for row in totals}
    if wanted["party"]:
        for account, currency in sorted(pairs):
            if (not codes or account in codes) and wanted["currency"] in ("", currency):
                moved = balances.movements(
                    book=book,
                    account=account,
                    currency=currency,
                    party=wanted["party"],
                    from_on=from_on,
                    to_on=to_on,
                )
                _add(found, currency, moved)
        return [each for each in found.values() if each.lines]
    for row in totals:
        if codes and row.account not in codes:
            continue
        if wanted["currency"] not in ("", row.currency) or tag not in (None, row.cash_flow_tag):
            continue
        _add(found, row.currency, row)
    return list(found.values())


def _add(
    found: dict[str, Sum], currency: str, row: balances.PeriodTotal | balances.Movement
) -> None:
    was = found.get(currency, Sum(currency, 0, 0, 0, 0))
    found[currency] = Sum(
        currency,
        was.debit + row.debit_minor,
        was.credit + row.credit_minor,
        was.reporting + row.reporting_debit_minor - row.reporting_credit_minor,
        was.lines + row.lines,
    )


def _codes(wanted: Filters) -> list[str]:
    return [code.strip() for code in wanted["account"].split(",") if code.strip()]


def position_controls() -> list[Control]:
    sides = [("debit", "In debit"), ("credit", "In credit")]
    return [
        Control("account", "Account"),
        Control("side", "Side", "select", choices(sides, any_label="Both")),
        Control("currency", "Currency"),
        Control("to", "Up to and including", "date"),
    ]


@dataclass(frozen=True, slots=True)
class Positions:
    """The largest balances by party; `count` of them there are in all, `minor` they come to."""

    rows: list[tuple[Position, str]]
    count: int
    minor: int
    currency: str


def positions(book: Book, wanted: Filters, today: date) -> Positions:
    figures = Figures(book=book, currency=wanted["currency"])
    account, side, to_on = wanted["account"], wanted["side"], wanted.day("to") or today
    with snapshot():
        found, count = figures.positions(account, to_on, side=side)
        both = figures.sides(account, to_on)
    shown = []
    for each in found:
        drill = Drill((account,), to_on, currency=each.currency, party=each.party)
        shown.append((each, address(drill)))
    minor = {"debit": both.debit, "credit": -both.credit}.get(side, both.debit - both.credit)
    return Positions(shown, count, minor, figures.shown_currency)
