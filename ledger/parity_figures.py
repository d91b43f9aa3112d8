"""Parity of figures: one statement in one currency beside what the pack says of it (RP-2, RP-3).

A figure that is off is explained by the differences of entries where they come to it exactly; what
is left is looked at once more: an amount that one line has too little and others have too much is
on another line.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from ledger import balances, statements
from ledger.models import AccountingPeriod
from ledger.parity_parts import (
    AMOUNT,
    CLASSIFICATION,
    MISSING,
    UNEXPECTED,
    Difference,
    Effect,
    PackMisfit,
)
from ledger.statement_figures import Figures
from ledger.statement_parts import DETAIL, ERROR, GRAND, LINE, SECTION, TOTAL, Row, Span
from ledger.statement_rows import (
    ASSETS,
    BALANCE_SHEET_SECTIONS,
    CURRENT,
    EQUITY,
    INCOME_ACCOUNTS,
    LIABILITIES,
    LINE_OF,
    SOURCES,
)
from payops.core.models import Book
from payops.core.money import Money
from payops.formats.reference_pack import REPORTING, TRIAL_BALANCE, PackRow

STATEMENT_KINDS = {
    "trial_balance": "trial-balance",
    "balance_sheet": "balance-sheet",
    "income_statement": "income-statement",
    "cash_flow": "cash-flow",
    "cash_position": "cash-position",
}
FLOWS = frozenset({"income_statement", "cash_flow"})
FLOWS = frozenset({"income_statement", "cash_flow"})
PAIRED_MAX = 24
CREDIT_LINES = frozenset(
    line.key
    for section in BALANCE_SHEET_SECTIONS
    if section.side in (LIABILITIES, EQUITY)
    for line in section.lines
)
Effects = Sequence[tuple[int, tuple[Effect, ...]]]


@dataclass(slots=True)
class _Off:
    """A figure that is off, on its way to becoming a difference; `sign` makes it debit positive."""

    row: Row | None
    number: int
    statement: str
    place: str
    key: str
    party: str
    currency: str
    expected: int | None
    found: int
    sign: int
    kind: str = AMOUNT

    @property
    def off(self) -> int:
        return self.found - (self.expected or 0)

    @property
    def grows(self) -> bool:
        """The books have more here than the pack."""
        return abs(self.found) > abs(self.expected or 0)

    @property
    def is_total(self) -> bool:
        return self.row is not None and self.row.kind in (TOTAL, GRAND)


class Group:
    """What the books say for one statement and currency, beside what the pack says."""

    def __init__(self, book: Book, period: AccountingPeriod, statement: str, currency: str) -> None:
        self.book, self.statement, self.currency = book, statement, currency
        own = "" if currency == REPORTING else currency
        self.figures = Figures(book=book, currency=own)
        self.money = self.figures.shown_currency
        self.span = Span(period.starts_on, period.ends_on)
        kind = statements.KINDS[STATEMENT_KINDS[statement]]
        self.rows = kind.rows(self.figures, self.span)
        self.column = 3 if statement == TRIAL_BALANCE else 0

    def differences(
        self, own: Sequence[PackRow], effects: Effects, *, first_no: int
    ) -> list[Difference]:
        """Lines first: those that entries explain, those on another line, the others; totals."""
        made: list[Difference] = []
        told: dict[str, tuple[int, int]] = {}  # place → how far off, told by which difference
        offs, left = self._offs(own), []
        for off in (each for each in offs if not each.is_total):
            explained, by = self._explained(off, effects)
            if by:
                made.append(self._difference(first_no + len(made), off, explained, by))
                told[off.place] = (off.off, made[-1].no)
            else:
                left.append(off)
        for group in _groups(left):
            no = first_no + len(made)
            alone = len(group) == 1
            made.append(
                self._difference(no, group[0], 0, ()) if alone else self._misclassified(no, group)
            )
            told |= {off.place: (off.off, no) for off in group}
        for off in offs:
            if off.is_total:
                by, summed = self._told_above(off, told)
                explained, by = (summed, by) if summed == off.off else (0, ())
                made.append(self._difference(first_no + len(made), off, explained, by))
        return made

    def _offs(self, own: Sequence[PackRow]) -> list[_Off]:
        if self.statement == TRIAL_BALANCE:
            return self._account_offs(own)
        known = {row.key.lower(): row for row in self.rows if row.kind != DETAIL and row.figures}
        words = {row.words.lower(): row for row in known.values()}
        offs: list[_Off] = []
        problems: list[str] = []
        listed: set[str] = set()
        for each in own:
            row = known.get(each.line.lower()) or words.get(each.line.lower())
            if row is None:
                names = ", ".join(row.words for row in known.values() if row.kind == LINE)
                problems.append(
                    f"Line {each.row}: {self.statement} has no line {each.line!r}; it has {names}."
                )
                continue
            if row.key in listed:
                problems.append(f"Line {each.row}: the line {row.words} stands there twice.")
            listed.add(row.key)
            if row.figures[0].minor != each.amount_minor:
                offs.append(self._off(row, each.row, each.amount_minor))
        if problems:
            raise PackMisfit(problems)
        for row in self.rows:
            if row.kind in (LINE, ERROR) and row.key not in listed and not row.is_nil:
                offs.append(self._off(row, 0, None))
        return offs

    def _off(self, row: Row, number: int, expected: int | None) -> _Off:
        sign = 1
        if self.statement == "income_statement" or row.key in CREDIT_LINES:
            sign = -1
        found, kind = row.figures[0].minor, AMOUNT
        if expected is None:
            kind = UNEXPECTED
        elif not found and row.kind == LINE:
            kind = MISSING
        return _Off(
            row, number, self.statement, row.words, row.key, "", self.currency, expected, found,
            sign, kind,
        )  # fmt: skip

    def _account_offs(self, own: Sequence[PackRow]) -> list[_Off]:
        """Balances by account, and by party where the pack tells them by party."""
        closing = {row.code: row.figures[3].minor for row in self.rows if row.code}
        unknown = [
            f"Line {each.row}: {self.book.name} has no account {each.account}."
            for each in own
            if each.account not in self.figures.accounts
        ]
        if unknown:
            raise PackMisfit(unknown)
        offs: list[_Off] = []
        whole = {each.account: each for each in own if not each.party}
        parted: dict[str, dict[str, PackRow]] = defaultdict(dict)
        for each in own:
            if each.party:
                parted[each.account][each.party] = each
        for code, by_party in parted.items():
            stand = self._by_party(code)
            for party in sorted({*stand, *by_party}):
                offs += self._account_off(code, party, by_party.get(party), stand.get(party, 0))
        for code in sorted({*closing, *whole} - set(parted) | set(whole)):
            offs += self._account_off(code, "", whole.get(code), closing.get(code, 0))
        return offs

    def _account_off(self, code: str, party: str, each: PackRow | None, found: int) -> list[_Off]:
        expected = each.amount_minor if each is not None else None
        if found == (expected or 0):
            return []
        name = self.figures.accounts[code].name
        place = f"{code} {name}"
        kind = UNEXPECTED if each is None else AMOUNT if found else MISSING
        number = each.row if each is not None else 0
        return [
            _Off(
                None, number, self.statement, place, code, party, self.currency, expected, found,
                1, kind,
            )
        ]  # fmt: skip

    def _by_party(self, code: str) -> dict[str, int]:
        found: dict[str, int] = defaultdict(int)
        for row in balances.parties_of(book=self.book, account=code, as_of=self.span.to_on):
            if self.currency == REPORTING:
                found[row.party] += row.reporting_minor
            elif row.currency == self.currency:
                found[row.party] += row.balance_minor
        return {party: minor for party, minor in found.items() if minor}

    def _explained(self, off: _Off, effects: Effects) -> tuple[int, tuple[int, ...]]:
        """How much of it the differences of entries account for, and which of them."""
        total, by = 0, []
        for no, each in effects:
            own = sum(self._share(off, effect) for effect in each)
            if own:
                total += off.sign * own
                by.append(no)
        return (total, tuple(by)) if total else (0, ())

    def _share(self, off: _Off, effect: Effect) -> int:
        flow = self.statement in FLOWS
        if not (effect.in_flow if flow else effect.in_stock):
            return 0
        if self.currency not in (REPORTING, effect.currency):
            return 0
        if not self._concerns(off, effect):
            return 0
        return effect.reporting if self.currency == REPORTING else effect.minor

    def _concerns(self, off: _Off, effect: Effect) -> bool:
        if off.party:
            return False
        if self.statement == TRIAL_BALANCE:
            return effect.account == off.key
        if self.statement == "cash_flow":
            return bool(effect.tag) and effect.tag == off.key
        if self.statement == "cash_position":
            return off.row is not None and effect.account == off.row.code
        if off.key == CURRENT:
            return effect.account in INCOME_ACCOUNTS
        line = LINE_OF.get(effect.account)
        return line is not None and line.key == off.key

    def _difference(self, no: int, off: _Off, explained: int, by: tuple[int, ...]) -> Difference:
        party = f" of {off.party}" if off.party else ""
        found = f"{self._text(off.found)} in the books"
        if off.expected is None:
            words = f"{off.place}{party} is not in the pack; {found}"
        else:
            words = f"{off.place}{party}: {self._text(off.expected)} in the pack, {found}"
        if by and explained != off.off:
            rest = self._text(off.off - explained)
            words += f"; {self._text(explained)} of it explained, {rest} not"
        return Difference(
            no=no,
            kind=off.kind,
            row=off.number,
            statement=off.statement,
            place=off.place,
            party=off.party,
            money=self.money,
            expected_minor=off.expected,
            found_minor=off.found,
            words=words,
            explained_minor=explained,
            explained_by=by,
        )

    def _misclassified(self, no: int, group: Sequence[_Off]) -> Difference:
        """What one line has too little, others have too much."""
        first, others = group[0], group[1:]
        names = " and ".join(_named(each) for each in others)
        here, there = (names, _named(first)) if first.grows else (_named(first), names)
        words = f"{self._text(abs(first.off))} expected on {here} stand on {there}"
        made = self._difference(no, first, 0, ())
        return replace(made, kind=CLASSIFICATION, words=words)

    def _told_above(
        self, off: _Off, told: dict[str, tuple[int, int]]
    ) -> tuple[tuple[int, ...], int]:
        """A total is explained by the lines above it, where they come to the same."""
        inside = [told[place] for place in sorted(self._lines_above(off)) if place in told]
        return tuple(sorted({no for _, no in inside})), sum(minor for minor, _ in inside)

    def _lines_above(self, off: _Off) -> set[str]:
        inside: set[str] = set()
        for row in self.rows:
            if row.key == off.key:
                break
            if row.kind == SECTION and off.row is not None and off.row.kind == TOTAL:
                inside = set()
            if row.kind == GRAND and self.statement == "balance_sheet":
                inside = inside if off.key == SOURCES and row.key != ASSETS else set()
            if row.kind == LINE:
                inside.add(row.words)
        return inside

    def _text(self, minor: int) -> str:
        return str(Money(minor, self.money))


def _named(off: _Off) -> str:
    return f"{off.place}, {off.party}" if off.party else off.place


def _groups(offs: Sequence[_Off]) -> list[list[_Off]]:
    """What one line has more than the pack and up to three others have less; the rest alone."""
    left = list(offs)
    groups: list[list[_Off]] = []
    for size in (1, 2, 3):
        for off in list(left):
            others = [each for each in left if each is not off]
            if off not in left or len(others) > PAIRED_MAX ** (3 - min(size, 2)):
                continue
            wanted = -off.sign * off.off
            for some in combinations(others, size):
                if any(each.grows == off.grows for each in some):
                    continue
                if sum(each.sign * each.off for each in some) == wanted:
                    groups.append([off, *some])
                    left = [each for each in left if each is not off and each not in some]
                    break
    return groups + [[off] for off in left]
