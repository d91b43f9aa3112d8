"""Bank lines out of a CSV with a saved mapping, row by row (F18, D16).

A row that cannot be read is rejected with its line, column and reason; the others go on. Where
the file tells a balance behind each line, every step is checked, whichever way it is sorted.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date

from payops.formats.bank import amounts, days, kinds, words
from payops.formats.bank.base import (
    NO_COUNTERPARTY,
    NO_REFERENCES,
    STATEMENTS_MAX,
    Balance,
    BalanceKind,
    Counterparty,
    Entry,
    EntryStatus,
    Event,
    Events,
    FileRefused,
    Finding,
    ReadOptions,
    References,
    Reject,
    Source,
    Statement,
    StatementClosed,
    StatementKind,
    StatementOpened,
)
from payops.formats.bank.findings import figure, finding
from payops.formats.bank.lines import Lines
from payops.formats.bank.mappings import ROLES, Column, Mapping, SignStyle, mapping_of

CELLS_MAX = 512
LINES_PER_ROW_MAX = 500
EMPTY_ROWS_MAX = 10_000
NAMES_SHOWN = 12
REFERENCES = ("end_to_end", "customer_reference", "bank_reference")
COUNTERPARTY = ("counterparty", "counterparty_account", "counterparty_bank")

Row = list[str]


class _Cell(ValueError):
    """A cell that cannot be read: its role and why."""

    def __init__(self, role: str, why: str) -> None:
        super().__init__(why)
        self.role = role


def read(source: Source, options: ReadOptions) -> Events:
    """Raises FileRefused."""
    if options.mapping is None:
        raise FileRefused("a CSV file needs a mapping of its columns; make one from its preview")
    mapping = mapping_of(options.mapping)
    lines = Lines(source, options.encoding or mapping.encoding, options.bytes_max)
    yield from _Reader(mapping, options).read(lines)
    if lines.odd_bytes_seen:
        yield finding("text.encoding", "the file", "Bytes that are no UTF-8 were read as Windows.")


def rows_of(lines: Lines, mapping: Mapping) -> Iterator[tuple[int, Row]]:
    """Line and cells of every row that has any, below the skipped lines, above the trailer."""
    raw = lines.raw()
    for _ in range(mapping.skip_lines):
        next(raw, None)
    within = _Within(raw)
    found = csv.reader(within, delimiter=mapping.delimiter, quotechar=mapping.quote)
    waiting: deque[tuple[int, Row]] = deque()
    line, empty = mapping.skip_lines + 1, 0
    try:
        for row in found:
            within.lines = 0
            if not any(row):
                empty += 1
                if empty > EMPTY_ROWS_MAX:
                    raise FileRefused(f"the file has more than {EMPTY_ROWS_MAX:,} empty rows")
            else:
                if mapping.trailer_rows:
                    waiting.append((line, row))
                    if len(waiting) > mapping.trailer_rows:
                        yield waiting.popleft()
                else:
                    yield line, row
            line = mapping.skip_lines + found.line_num + 1
    except csv.Error:
        raise FileRefused(
            f"line {line}: a cell is longer than any bank writes; a quote is never closed, or"
            " the quote mark of the mapping is not that of the file"
        ) from None


class _Within:
    """Lines handed to the csv module; a row of quoted ends of line may not go on for ever."""

    def __init__(self, raw: Iterator[str]) -> None:
        self.raw, self.lines = raw, 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        self.lines += 1
        if self.lines > LINES_PER_ROW_MAX:
            raise FileRefused(
                f"one row goes on for more than {LINES_PER_ROW_MAX} lines; a quote is never closed"
            )
        return next(self.raw)


class _Reader:
    def __init__(self, mapping: Mapping, options: ReadOptions) -> None:
        self.mapping, self.options = mapping, options
        self.places: dict[str, tuple[int, ...]] = {}
        self.width = 0
        self.credit = frozenset(mapping.credit_words)
        self.debit = frozenset(mapping.debit_words)
        self.statement: Statement | None = None
        self.statements = 0
        self.running = _Running()
        self.unclear = 0
        self.amount: Callable[[Row, str], int] = {
            SignStyle.SIGNED: self._signed,
            SignStyle.REVERSED: lambda row, currency: -self._signed(row, currency),
            SignStyle.DEBIT_CREDIT: self._two_columns,
            SignStyle.INDICATOR: self._indicated,
        }[mapping.sign_style]

    def read(self, lines: Lines) -> Iterator[Event]:
        rows = rows_of(lines, self.mapping)
        if self.mapping.has_header:
            _, header = next(rows, (0, []))
            if not header:
                raise FileRefused("the file has no row at all")
            self._find(header)
        else:
            self._place({})
        most = self.options.entries_max
        for position, (line, row) in enumerate(rows, 1):
            if position > most:
                raise FileRefused(f"the file has more than {most:,} entries")
            yield from self._row(line, row, position)
        if self.statement is None:
            yield finding("file.empty", "the file", "There is no row below the header.")
            return
        yield from self._close()

    # ---- columns ----------------------------------------------------------------------------

    def _find(self, header: Row) -> None:
        names: dict[str, int] = {}
        for place, name in enumerate(header[:CELLS_MAX]):
            names.setdefault(_name(name), place)
        self.width = len(header)
        self._place(names)

    def _place(self, names: dict[str, int]) -> None:
        missing: list[str] = []
        for role, columns in self.mapping.columns.items():
            found = [_at(column, names) for column in columns]
            if None in found:
                missing.append(f"{columns[found.index(None)]!r} for {ROLES[role]}")
            self.places[role] = tuple(place for place in found if place is not None)
        if missing:
            shown = ", ".join(words.excerpt(name) for name in list(names)[:NAMES_SHOWN])
            raise FileRefused(
                f"the header has no column {', '.join(missing)[:300]}; it has {shown}. The bank may"
                " have changed its file: look at the preview and change the mapping"
            )
        self.least = 1 + max(place for places in self.places.values() for place in places)
        self.one = {role: places[0] for role, places in self.places.items()}
        self.has_references = any(role in self.one for role in REFERENCES)
        self.has_counterparty = any(role in self.one for role in COUNTERPARTY)

    def _text(self, row: Row, role: str) -> str:
        place = self.one.get(role)
        return row[place].strip() if place is not None else ""

    # ---- one row ----------------------------------------------------------------------------

    def _row(self, line: int, row: Row, position: int) -> Iterator[Event]:
        try:
            if len(row) < self.least or (self.width and any(row[self.width :])):
                raise _Cell("", f"it has {len(row)} cells; {self.width or self.least} are needed")
            currency = (self._text(row, "currency") or self.mapping.currency).upper()
            minor = self.amount(row, currency)
            booked_on = self._day(row, "booked_on")
            told = self._text(row, "value_on")
            value_on = self._day(row, "value_on") if told else booked_on
            balance = self._balance(row, currency)
        except _Cell as refused:
            if self.statement is None:
                yield from self._open(line, row, self.mapping.currency)
            column, excerpt = self._column(refused.role), self._excerpt(row, refused.role)
            own = self.statement.position if self.statement else 0
            yield Reject(line, column, str(refused), excerpt, own)
            return
        if self.statement is None or "account" in self.places:
            yield from self._open(line, row, currency)
        assert self.statement is not None
        code = words.cleaned(self._text(row, "code"), words.IDENTIFIER_MAX)
        yield Entry(
            position=position,
            statement=self.statement.position,
            amount_minor=minor,
            currency=currency,
            booked_on=booked_on,
            value_on=value_on,
            status=EntryStatus.BOOKED,
            kind=kinds.OTHER,
            raw_code=code,
            references=self._references(row) if self.has_references else NO_REFERENCES,
            counterparty=self._counterparty(row) if self.has_counterparty else NO_COUNTERPARTY,
            remittance=self._remittance(row),
            balance_minor=balance,
            assumed=() if told else ("value_on",),
            line=line,
        )
        if balance is not None and currency == self.statement.currency:
            self.running.add(line, minor, balance)

    def _day(self, row: Row, role: str) -> date:
        try:
            told, order = row[self.one[role]], self.mapping.date_order
            return days.ordered(told, order, is_value_date=role == "value_on")
        except days.DayRefused as refused:
            raise _Cell(role, str(refused)) from None

    def _minor(self, row: Row, role: str, currency: str) -> int:
        try:
            text = row[self.one[role]]
            return amounts.localised(text, currency, mark=self.mapping.decimal_mark)
        except amounts.AmountRefused as refused:
            raise _Cell(role, str(refused)) from None

    def _signed(self, row: Row, currency: str) -> int:
        return self._minor(row, "amount", currency)

    def _two_columns(self, row: Row, currency: str) -> int:
        """One of the two is filled; a zero beside an amount is as good as nothing."""
        out = abs(self._minor(row, "debit", currency)) if self._text(row, "debit") else None
        into = self._minor(row, "credit", currency) if self._text(row, "credit") else None
        if out is None and into is None:
            raise _Cell("credit", "neither money in nor money out is told")
        if out and into:
            raise _Cell("credit", "both money in and money out are told")
        return (into or 0) - (out or 0)

    def _indicated(self, row: Row, currency: str) -> int:
        minor, word = self._minor(row, "amount", currency), self._text(row, "indicator").upper()
        if word in self.credit or word in self.debit:
            self.unclear += minor < 0
            return abs(minor) if word in self.credit else -abs(minor)
        raise _Cell("indicator", f"{words.excerpt(word)} says neither credit nor debit")

    def _balance(self, row: Row, currency: str) -> int | None:
        return self._minor(row, "balance", currency) if self._text(row, "balance") else None

    def _references(self, row: Row) -> References:
        end_to_end, customer = self._text(row, "end_to_end"), self._text(row, "customer_reference")
        bank = self._text(row, "bank_reference")
        if not (end_to_end or customer or bank):
            return NO_REFERENCES
        return References(
            end_to_end=words.told(end_to_end), customer=words.told(customer), bank=words.told(bank)
        )

    def _counterparty(self, row: Row) -> Counterparty:
        name, number = self._text(row, "counterparty"), self._text(row, "counterparty_account")
        bank = words.cleaned(self._text(row, "counterparty_bank"), 35)
        if not (name or number or bank):
            return NO_COUNTERPARTY
        account = words.account(number, bank=bank) if number else None
        return Counterparty(words.cleaned(name, 140), account, bank)

    def _remittance(self, row: Row) -> str:
        places = self.places.get("remittance")
        if not places:
            return ""
        if len(places) == 1:
            return words.cleaned(row[places[0]])
        return words.cleaned(" ".join(row[place].strip() for place in places if row[place]))

    def _column(self, role: str) -> str:
        columns = self.mapping.columns.get(role)
        if not columns:
            return ROLES.get(role, "the row")
        return columns[0] if isinstance(columns[0], str) else f"column {columns[0] + 1}"

    def _excerpt(self, row: Row, role: str) -> str:
        places = self.places.get(role)
        if places and places[0] < len(row):
            return words.excerpt(row[places[0]])
        return words.excerpt(" ".join(row[:6]))

    # ---- statements -------------------------------------------------------------------------

    def _open(self, line: int, row: Row, currency: str) -> Iterator[Event]:
        """One per file; where a column names the own account, one per stretch of it."""
        told = self._text(row, "account") if self.least <= len(row) else ""
        holder = words.account(told or self.mapping.account or self.options.account)
        if self.statement is not None:
            if self.statement.account == holder:
                return
            yield from self._close()
        self.statements += 1
        if self.statements > STATEMENTS_MAX:
            raise FileRefused(
                f"the own account changes more than {STATEMENTS_MAX:,} times; sort the file by it"
            )
        self.running = _Running()
        self.statement = Statement(
            position=self.statements,
            kind=StatementKind.STATEMENT,
            account=holder,
            currency=currency or self.options.currency,
            time_zone=self.options.time_zone,
            line=line,
        )
        yield StatementOpened(self.statement)

    def _close(self) -> Iterator[Event]:
        assert self.statement is not None
        balances, found = self.running.close(self.statement)
        self.statement = replace(self.statement, balances=balances)
        yield from found
        if self.unclear:
            text = f"{self.unclear:,} amounts carry a minus beside their debit or credit."
            own = self.statement.position
            yield finding("sign.unclear", "the file", text, statement=own)
        yield StatementClosed(self.statement)


class _Running:
    """The balance behind each line, checked for both orders; the one with fewer breaks holds."""

    def __init__(self) -> None:
        self.first: tuple[int, int, int] | None = None
        self.last: tuple[int, int, int] | None = None
        self.rising = self.falling = 0
        self.rising_at = self.falling_at = 0

    def add(self, line: int, minor: int, balance: int) -> None:
        before, now = self.last, (line, minor, balance)
        self.last = now
        if before is None:
            self.first = now
            return
        if before[2] + minor != balance:
            self.rising += 1
            self.rising_at = self.rising_at or line
        if balance + before[1] != before[2]:
            self.falling += 1
            self.falling_at = self.falling_at or line

    def close(self, statement: Statement) -> tuple[tuple[Balance, ...], list[Finding]]:
        if self.first is None or self.last is None:
            return (), []
        is_rising = self.rising <= self.falling
        oldest, newest = (self.first, self.last) if is_rising else (self.last, self.first)
        currency = statement.currency
        opening = Balance(BalanceKind.OPENING, oldest[2] - oldest[1], currency, raw_code="derived")
        closing = Balance(BalanceKind.CLOSING, newest[2], currency, raw_code="told")
        breaks = self.rising if is_rising else self.falling
        if not breaks:
            return (opening, closing), []
        at = self.rising_at if is_rising else self.falling_at
        text = (
            f"The balance behind the line does not follow from the one beside it {breaks:,} times,"
            f" first at line {at}; the last balance is {figure(newest[2], currency)}."
        )
        own = statement.position
        found = finding("balance.running", f"line {at}", text, statement=own)
        return (opening, closing), [found]


def _name(text: str) -> str:
    return " ".join(text.replace("\ufeff", "").split()).casefold()


def _at(column: Column, names: dict[str, int]) -> int | None:
    return column if isinstance(column, int) else names.get(_name(column))
