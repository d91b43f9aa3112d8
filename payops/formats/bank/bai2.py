"""BAI2, the cash management format of banks in America (RC-13, D16).

Records of two digits; 88 goes on where the record before it stopped. Amounts are minor units
without a mark. The type code tells what an amount is and which way it went. Totals of account,
group and file are compared with what was read, records are counted. One record is held.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date

from payops.formats.bank import amounts, days, kinds, words
from payops.formats.bank.base import (
    STATEMENTS_MAX,
    Balance,
    BalanceKind,
    Control,
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
from payops.formats.bank.findings import finding
from payops.formats.bank.lines import Lines

DEFAULT_CURRENCY = "USD"
RECORD_CHARACTERS_MAX = 256 * 1024
JOINT = "\x1e"
FILE, GROUP, ACCOUNT, ENTRY = "01", "02", "03", "16"
ACCOUNT_END, GROUP_END, FILE_END, MORE = "49", "98", "99", "88"
RECORDS = (FILE, GROUP, ACCOUNT, ENTRY, ACCOUNT_END, GROUP_END, FILE_END, MORE)
BALANCES = {
    "010": BalanceKind.OPENING,
    "015": BalanceKind.CLOSING,
    "030": BalanceKind.INTERIM_CLOSING,
    "040": BalanceKind.OPENING_AVAILABLE,
    "045": BalanceKind.CLOSING_AVAILABLE,
}
BALANCE_CODES = range(1, 100)
CONTROLS = {"100": "credits", "400": "debits"}
# What follows a funds type: V a date and a time, S three amounts, D a count and its pairs.
FOLLOWING = {"V": 2, "S": 3}
STATUSES = {"2": "a deletion", "4": "a test"}
SAME_DAY = ("3", "4")
NOT_MONEY = "890"


@dataclass(slots=True)
class _Sum:
    """What a trailer must say: the amounts, the parts and the records since its header."""

    signed: int = 0
    absolute: int = 0
    parts: int = 0
    records: int = 0

    def add(self, minor: int) -> None:
        self.signed += minor
        self.absolute += abs(minor)


@dataclass(slots=True)
class _Group:
    on: date | None = None
    currency: str = ""
    kind: StatementKind = StatementKind.STATEMENT
    total: _Sum = field(default_factory=_Sum)


def read(source: Source, options: ReadOptions) -> Events:
    """Raises FileRefused."""
    reader = _Reader(options)
    lines = Lines(source, options.encoding, options.bytes_max)
    for number, code, pieces in _records(lines):
        yield from reader.take(number, code, pieces)
    yield from reader.end()
    if lines.odd_bytes_seen:
        yield finding("text.encoding", "the file", "Bytes that are no UTF-8 were read as Windows.")


def _records(lines: Lines) -> Iterator[tuple[int, str, list[str]]]:
    """Line number, code, and the record's text with that of its continuations."""
    code, began, size = "", 0, 0
    pieces: list[str] = []
    for number, line in lines:
        text = line.rstrip()
        if not text:
            continue
        found, _, rest = text.lstrip("\ufeff").partition(",")
        if found == MORE and code:
            size += len(text)
            if size > RECORD_CHARACTERS_MAX:
                raise FileRefused(
                    f"line {began}: the record goes on for more than {RECORD_CHARACTERS_MAX:,}"
                    " characters"
                )
            pieces.append(rest)
            continue
        if found not in RECORDS:
            raise FileRefused(
                f"line {number}: {words.excerpt(text)} is no record of BAI2; records begin with"
                f" {', '.join(RECORDS)}"
            )
        if not code and found != FILE:
            raise FileRefused(f"line {number}: the first record is {found}, not 01")
        if code:
            yield began, code, pieces
        code, pieces, began, size = found, [rest], number, 0
    if not code:
        raise FileRefused("there is no record 01, so this is no BAI2 file")
    yield began, code, pieces


class _Reader:
    def __init__(self, options: ReadOptions) -> None:
        self.options = options
        self.file, self.group, self.own = _Sum(), _Group(), _Sum()
        self.statement: Statement | None = None
        self.statements = self.entries = 0
        self.open: list[str] = []

    def take(self, line: int, code: str, pieces: list[str]) -> Iterator[Event]:
        for total in (self.file, self.group.total, self.own):
            total.records += len(pieces)
        fields = _fields(pieces)
        if code == FILE:
            self.file, self.open = _Sum(records=len(pieces)), [FILE]
        elif code == GROUP:
            yield from self._group(line, fields, len(pieces))
        elif code == ACCOUNT:
            yield from self._account(line, fields, len(pieces))
        elif code == ENTRY:
            yield from self._entry(line, pieces)
        else:
            yield from self._end(line, code, fields)

    def end(self) -> Iterator[Event]:
        """A file cut off in the middle is told; what it has is kept."""
        if self.statement is not None:
            yield StatementClosed(self.statement)
        if self.open:
            ends = {FILE: FILE_END, GROUP: GROUP_END, ACCOUNT: ACCOUNT_END}
            missing = ", ".join(ends[each] for each in reversed(self.open))
            words_of = f"The file ends without the record {missing}; it may have been cut off."
            yield finding("file.unfinished", "the file", words_of)

    def _group(self, line: int, fields: list[str], records: int) -> Iterator[Event]:
        fields = [*fields, *[""] * 7]
        self.open = [FILE, GROUP]
        self.group = _Group(
            on=_day(fields[3]),
            currency=words.cleaned(fields[5], 3),
            kind=StatementKind.INTRADAY if fields[6] in SAME_DAY else StatementKind.STATEMENT,
            total=_Sum(records=records),
        )
        if fields[2] in STATUSES:
            words_of = f"The bank marks this group as {STATUSES[fields[2]]}."
            yield finding("file.status", f"line {line}", words_of)

    def _account(self, line: int, fields: list[str], records: int) -> Iterator[Event]:
        if self.statement is not None:
            yield StatementClosed(self.statement)
        self.statements += 1
        if self.statements > STATEMENTS_MAX:
            raise FileRefused(f"the file has more than {STATEMENTS_MAX:,} statements")
        self.open = [FILE, GROUP, ACCOUNT]
        self.own = _Sum(records=records)
        fields = [*fields, "", ""]
        told = words.cleaned(fields[1], 3) or self.group.currency or self.options.currency
        currency = told or DEFAULT_CURRENCY
        balances, controls, notes = self._summary(line, fields[2:], currency)
        self.statement = Statement(
            position=self.statements,
            kind=self.group.kind,
            account=words.account(fields[0] or self.options.account),
            currency=currency,
            from_on=self.group.on,
            to_on=self.group.on,
            time_zone=self.options.time_zone,
            balances=tuple(balances),
            controls=tuple(controls),
            line=line,
        )
        yield StatementOpened(self.statement)
        yield from notes

    def _summary(
        self, line: int, fields: list[str], currency: str
    ) -> tuple[list[Balance], list[Control], list[Finding]]:
        """Type, amount, count and funds type, over and over; empty ones are skipped."""
        balances: list[Balance] = []
        controls: list[Control] = []
        notes: list[Finding] = []
        place = 0
        while place < len(fields):
            code = fields[place].strip(JOINT)
            if not code:
                place += 1
                continue
            told, count = [*fields[place + 1 : place + 3], "", ""][:2]
            place = _after_funds(fields, place + 3)
            if not told.strip(JOINT):
                continue
            try:
                minor = amounts.minor(told.strip(JOINT), currency)
            except amounts.AmountRefused as refused:
                words_of = f"The amount of type {words.excerpt(code)} was left out: {refused}."
                where, own = f"line {line}", self.statements
                notes.append(finding("file.unknown_part", where, words_of, statement=own))
                continue
            self.own.add(minor)
            items = _number(count.strip(JOINT))
            if code in CONTROLS:
                controls.append(Control(CONTROLS[code], items, minor, currency))
            elif code.isdecimal() and int(code) in BALANCE_CODES:
                kind = BALANCES.get(code, BalanceKind.OTHER)
                balances.append(Balance(kind, minor, currency, self.group.on, code))
        return balances, controls, notes

    def _entry(self, line: int, pieces: list[str]) -> Iterator[Event]:
        if self.statement is None:
            yield Reject(line, "16", "there is no account 03 before it", words.excerpt(pieces[0]))
            return
        self.entries += 1
        if self.entries > self.options.entries_max:
            raise FileRefused(f"the file has more than {self.options.entries_max:,} entries")
        own, currency = self.statement.position, self.statement.currency
        whole = _joined(pieces)
        fields = [each.strip(JOINT) for each in whole.split(",")]
        code, told, funds = [*fields, "", "", ""][:3]
        try:
            if not (len(code) == 3 and code.isascii() and code.isdecimal()):
                raise amounts.AmountRefused(f"{words.excerpt(code)} is no type code")
            minor = amounts.minor(told or "0", currency)
            value_on = days.short(fields[3]) if funds == "V" and len(fields) > 3 else None
        except (amounts.AmountRefused, days.DayRefused) as refused:
            yield Reject(line, "16", str(refused), words.excerpt(pieces[0]), own)
            return
        self.own.add(minor)
        sign = kinds.bai2_sign(code)
        assumed = () if sign or not minor else ("sign",)
        if value_on is None:
            assumed = (*assumed, "value_on")
        after = _after_funds(fields, 2)
        bank, customer = [*fields[after : after + 2], "", ""][:2]
        text = whole.split(",", after + 2)[after + 2 :]
        yield Entry(
            position=self.entries,
            statement=own,
            amount_minor=minor * (sign or 1),
            currency=currency,
            booked_on=self.group.on,
            value_on=value_on or self.group.on,
            status=EntryStatus.INFO if code == NOT_MONEY else EntryStatus.BOOKED,
            kind=kinds.of_bai2(code),
            raw_code=code,
            references=References(bank=words.told(bank), customer=words.told(customer)),
            remittance=words.cleaned(text[0].replace("," + JOINT, " ")) if text else "",
            assumed=assumed,
            line=line,
        )

    def _end(self, line: int, code: str, fields: list[str]) -> Iterator[Event]:
        fields = [*fields, "", "", ""]
        own = self.statement.position if self.statement and code == ACCOUNT_END else 0
        if code == ACCOUNT_END:
            total, parts, place = self.own, None, f"line {line}, the account's total"
            self.group.total.parts += 1
        elif code == GROUP_END:
            total, parts = self.group.total, _number(fields[1])
            place = f"line {line}, the group's total"
            self.file.parts += 1
        else:
            total, parts, place = self.file, _number(fields[1]), f"line {line}, the file's total"
        records = _number(fields[1] if code == ACCOUNT_END else fields[2])
        told = _signed(fields[0])
        if told is None:
            words_of = f"{words.excerpt(fields[0])} is no total; nothing was compared with it."
            yield finding("file.unknown_part", place, words_of, statement=own)
        elif told not in (total.signed, total.absolute):
            words_of = f"The bank's total is {told:,}; the amounts read make {total.signed:,}."
            yield finding("control.amount", place, words_of, statement=own)
        if records is not None and records != total.records:
            words_of = f"The bank counts {records:,} records; {total.records:,} were read."
            yield finding("control.count", place, words_of, statement=own)
        if parts is not None and parts != total.parts:
            words_of = f"The bank counts {parts:,} parts; {total.parts:,} were read."
            yield finding("control.count", place, words_of, statement=own)
        carried = told if told is not None else total.signed
        if code == ACCOUNT_END:
            self.group.total.add(carried)
        elif code == GROUP_END:
            self.file.add(carried)
        if self.open:
            self.open.pop()
        if code == ACCOUNT_END and self.statement is not None:
            yield StatementClosed(self.statement)
            self.statement = None


def _joined(pieces: list[str]) -> str:
    """One record: each piece without its end mark; JOINT keeps where the text went on."""
    return ("," + JOINT).join(each.rstrip().removesuffix("/").rstrip() for each in pieces)


def _fields(pieces: list[str]) -> list[str]:
    return [each.strip(JOINT + " ") for each in _joined(pieces).split(",")]


def _after_funds(fields: list[str], place: int) -> int:
    """The place behind a funds type and what belongs to it."""
    funds = fields[place].strip(JOINT) if place < len(fields) else ""
    if funds == "D":
        count = _number(fields[place + 1]) if place + 1 < len(fields) else None
        return place + 2 + 2 * min(count or 0, len(fields))
    return place + 1 + FOLLOWING.get(funds, 0)


def _number(told: str) -> int | None:
    value = told.strip()
    fits = 0 < len(value) <= 12 and value.isascii() and value.isdecimal()
    return int(value) if fits else None


def _signed(told: str) -> int | None:
    value = told.strip()
    sign = -1 if value.startswith("-") else 1
    digits = value[1:] if value[:1] in ("+", "-") else value
    fits = 0 < len(digits) <= 24 and digits.isascii() and digits.isdecimal()
    return sign * int(digits) if fits else None


def _day(told: str) -> date | None:
    try:
        return days.short(told)
    except days.DayRefused:
        return None
