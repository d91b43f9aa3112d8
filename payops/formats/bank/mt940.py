"""MT940 and MT942 of SWIFT in the dialects of many banks (RC-13, D16).

A file holds several messages, each begins with :20: whether or not the one before was ended.
`RC` is the reversal of a credit, so money out; a third letter behind C or D is of the currency.
One field is held at a time, whatever the size of the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from payops.formats.bank import amounts, days, kinds, words
from payops.formats.bank.base import (
    STATEMENTS_MAX,
    Account,
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
    Scheme,
    Source,
    Statement,
    StatementClosed,
    StatementKind,
    StatementOpened,
)
from payops.formats.bank.findings import finding
from payops.formats.bank.lines import Lines
from payops.formats.bank.mt940_details import details

FIELD = re.compile(r":([0-9]{2}[A-Z]?|NS|94[0-9]):(.*)", re.DOTALL)
FIELD_CHARACTERS_MAX = 64 * 1024
ACCOUNT_MAX, BALANCES_MAX = 80, 50
FIELDS_WITHOUT_ENTRY_MAX = 20_000
END = re.compile(r"-(?:\}.*)?")
LINE_61 = re.compile(
    r"(?P<value>[0-9]{6})(?P<entry>[0-9]{4}| {4})?(?P<mark>R[CD]|E[CD]|[CD])(?P<funds>[A-Z])?"
    r"(?P<amount>[0-9]{1,32}(?:[,.][0-9]{0,32})?)(?:(?P<kind>[NFS].{3})(?P<rest>.*))?"
)
BALANCE = re.compile(r"([CD])([0-9]{6})([A-Z]{3})([0-9]{1,32}(?:,[0-9]{0,32})?)\s*")
FLOOR = re.compile(r"([A-Z]{3})[CD]?[0-9]")
SUM = re.compile(r"([0-9]{1,9})([A-Z]{3})([0-9]{1,32}(?:,[0-9]{0,32})?)\s*")
MOMENT = re.compile(r"([0-9]{6})([0-9]{2})([0-9]{2})(?:([+-])([0-9]{2})([0-9]{2}))?\s*")
NUMBER = re.compile(r"([0-9]{1,9})(?:/([0-9]{1,9}))?")
SIGNS = {"C": 1, "D": -1, "RC": -1, "RD": 1, "EC": 1, "ED": -1}
BALANCES = {
    "60F": BalanceKind.OPENING,
    "60M": BalanceKind.INTERIM_OPENING,
    "62F": BalanceKind.CLOSING,
    "62M": BalanceKind.INTERIM_CLOSING,
    "64": BalanceKind.CLOSING_AVAILABLE,
    "65": BalanceKind.FORWARD_AVAILABLE,
}
DETAILS = ("86", "NS")
# Marks of SWIFT's envelope, and of banks that send a file over a serial line to this day.
ENVELOPE = "\x01\x02\x03\x04\x1a\ufeff"

Told = tuple[int, str, list[str]]


def read(source: Source, options: ReadOptions) -> Events:
    """Raises FileRefused."""
    reader = _Reader(options)
    lines = Lines(source, options.encoding, options.bytes_max)
    for field in _fields(lines):
        yield from reader.take(*field)
    yield from reader.end()
    if lines.odd_bytes_seen:
        yield finding("text.encoding", "the file", "Bytes that are no UTF-8 were read as Windows.")
    if not reader.statements:
        raise FileRefused("there is no field :20:, so this is no MT940 or MT942")


def _fields(lines: Lines) -> Iterator[Told]:
    """Line number, tag, and the lines of the value; tag "" ends a message."""
    tag, began, size = "", 0, 0
    value: list[str] = []
    for number, line in lines:
        text = line.strip(ENVELOPE)
        if text.startswith("{"):
            text = text.partition("{4:")[2]
        found = FIELD.match(text) if text.startswith(":") else None
        if found is not None or END.fullmatch(text):
            if tag:
                yield began, tag, value
            tag, value, began, size = "", [], number, 0
            if found is None:
                yield number, "", []
            else:
                tag, value = found[1], [found[2]]
        elif text.strip() and tag:
            size += len(text)
            if size > FIELD_CHARACTERS_MAX:
                raise FileRefused(
                    f"line {began}: the field :{tag}: has more than {FIELD_CHARACTERS_MAX:,}"
                    " characters"
                )
            value.append(text)
    if tag:
        yield began, tag, value


class _Reader:
    def __init__(self, options: ReadOptions) -> None:
        self.options = options
        self.statements = self.entries = self.idle = 0
        self.unknown: set[str] = set()
        self.statement: Statement | None = None
        self.is_opened = self.is_after_closing = False
        self.waiting: tuple[Entry, str] | None = None

    def take(self, line: int, tag: str, value: list[str]) -> Iterator[Event]:
        self.idle = 0 if tag in ("20", "61") else self.idle + 1
        if self.idle > FIELDS_WITHOUT_ENTRY_MAX:
            raise FileRefused(
                f"line {line}: more than {FIELDS_WITHOUT_ENTRY_MAX:,} fields follow each other"
                " without an entry"
            )
        if tag in DETAILS:
            yield from self._details(tag, value)
            return
        yield from self._flush()
        if tag == "20":
            yield from self.end()
            self._begin(line, value)
            return
        if self.statement is None or tag == "":
            return
        first = value[0].strip()
        if tag in ("25", "25P"):
            self.statement = replace(self.statement, account=_account(first))
        elif tag in ("28", "28C"):
            self._number(first)
        elif tag in BALANCES:
            yield from self._balance(line, tag, first)
        elif tag == "61":
            yield from self._open()
            yield from self._entry(line, value)
        elif tag == "34F":
            self._floor(first)
        elif tag in ("13D", "13"):
            self._moment(first)
        elif tag in ("90C", "90D"):
            self._sum(tag, first)
        elif tag not in ("21", "940", "942") and tag not in self.unknown:
            self.unknown.add(tag)
            where = f"line {line}"
            yield finding("file.unknown_part", where, f"The field :{tag}: is not known.")

    def end(self) -> Iterator[Event]:
        """Closes what is open; a message without a closing balance is told as it stands."""
        yield from self._flush()
        if self.statement is not None:
            yield from self._open()
            yield StatementClosed(self.statement)
            self.statement = None

    # ---- the head and the balances ----------------------------------------------------------

    def _begin(self, line: int, value: list[str]) -> None:
        self.statements += 1
        if self.statements > STATEMENTS_MAX:
            raise FileRefused(f"the file has more than {STATEMENTS_MAX:,} statements")
        holder = words.account(self.options.account)
        self.statement = Statement(
            position=self.statements,
            kind=StatementKind.STATEMENT,
            account=holder,
            currency=self.options.currency,
            reference=words.cleaned(value[0], words.IDENTIFIER_MAX),
            time_zone=self.options.time_zone,
            line=line,
        )
        self.is_opened = self.is_after_closing = False

    def _open(self) -> Iterator[Event]:
        if not self.is_opened and self.statement is not None:
            self.is_opened = True
            yield StatementOpened(self.statement)

    def _number(self, told: str) -> None:
        assert self.statement is not None
        found = NUMBER.fullmatch(told)
        if found is None:
            self.statement = replace(self.statement, number=words.cleaned(told, 35))
            return
        page = int(found[2]) if found[2] else None
        self.statement = replace(
            self.statement, number=told, sequence=int(found[1]) or None, page=page
        )

    def _balance(self, line: int, tag: str, told: str) -> Iterator[Event]:
        assert self.statement is not None
        found = BALANCE.fullmatch(told)
        try:
            if found is None:
                raise amounts.AmountRefused(f"{words.excerpt(told)} is no balance")
            on, clamped = days.clamped(found[2])
            minor = SIGNS[found[1]] * amounts.comma(found[4], found[3])
        except (amounts.AmountRefused, days.DayRefused) as refused:
            text = f"The balance :{tag}: was left out: {refused}."
            own = self.statement.position
            yield finding("file.unknown_part", f"line {line}", text, statement=own)
            return
        if clamped:
            yield self._clamped(line)
        kind = BALANCES[tag]
        balance = Balance(kind, minor, found[3], on, tag)
        balances = (*self.statement.balances, balance)[-BALANCES_MAX:]
        self.statement = replace(self.statement, balances=balances)
        if kind in (BalanceKind.OPENING, BalanceKind.INTERIM_OPENING):
            self.statement = replace(self.statement, currency=found[3])
            yield from self._open()
        if kind in (BalanceKind.CLOSING, BalanceKind.INTERIM_CLOSING):
            last = kind == BalanceKind.CLOSING
            currency = self.statement.currency or found[3]
            self.statement = replace(self.statement, last_page=last, to_on=on, currency=currency)
            self.is_after_closing = True

    def _floor(self, told: str) -> None:
        """Only an interim report has one; it tells the currency."""
        assert self.statement is not None
        found = FLOOR.match(told)
        self.statement = replace(
            self.statement,
            kind=StatementKind.INTRADAY,
            currency=found[1] if found else self.statement.currency,
        )

    def _moment(self, told: str) -> None:
        assert self.statement is not None
        found = MOMENT.fullmatch(told)
        kept = replace(self.statement, kind=StatementKind.INTRADAY)
        if found is not None:
            zone = f"{found[4]}{found[5]}:{found[6]}" if found[4] else ""
            try:
                on = days.short(found[1])
                at = days.moment(f"{on.isoformat()}T{found[2]}:{found[3]}:00{zone}")
                kept = replace(kept, created_at=at, to_on=on, time_zone=kept.time_zone or zone)
            except days.DayRefused:
                pass
        self.statement = kept

    def _sum(self, tag: str, told: str) -> None:
        assert self.statement is not None
        found = SUM.fullmatch(told)
        if found is None:
            return
        try:
            minor = amounts.comma(found[3], found[2])
        except amounts.AmountRefused:
            return
        scope = "credits" if tag == "90C" else "debits"
        control = Control(scope, int(found[1]), minor, found[2])
        controls = (*self.statement.controls, control)[:10]
        self.statement = replace(self.statement, kind=StatementKind.INTRADAY, controls=controls)

    # ---- the entries ------------------------------------------------------------------------

    def _entry(self, line: int, value: list[str]) -> Iterator[Event]:
        assert self.statement is not None
        own = self.statement.position
        found = LINE_61.fullmatch(value[0].rstrip())
        self.entries += 1
        if self.entries > self.options.entries_max:
            raise FileRefused(f"the file has more than {self.options.entries_max:,} entries")
        try:
            if found is None:
                raise amounts.AmountRefused(
                    "the line is not of the form value date, entry date, C or D, amount, type"
                )
            value_on, clamped = days.clamped(found["value"])
            booked_on = value_on
            assumed: tuple[str, ...] = ("booked_on",)
            if found["entry"] and found["entry"].strip():
                (booked_on, _), assumed = days.near(found["entry"], value_on), ()
            told = found["amount"].replace(".", ",")
            minor = SIGNS[found["mark"]] * amounts.comma(told, self.statement.currency)
        except (amounts.AmountRefused, days.DayRefused) as refused:
            yield Reject(line, ":61:", str(refused), words.excerpt(value[0]), own)
            return
        if clamped:
            yield self._clamped(line)
        if not self.statement.currency:
            assumed = (*assumed, "currency")
        customer, _, bank = (found["rest"] or "").partition("//")
        extra = words.cleaned(" ".join(value[1:]), words.TEXT_MAX)
        kind = (found["kind"] or "").strip()
        entry = Entry(
            position=self.entries,
            statement=own,
            amount_minor=minor,
            currency=self.statement.currency,
            booked_on=booked_on,
            value_on=value_on,
            status=EntryStatus.PENDING if found["mark"][0] == "E" else EntryStatus.BOOKED,
            kind=kinds.of_swift(kind[1:]),
            raw_code=kind,
            references=References(customer=words.told(customer), bank=words.told(bank)),
            additional=extra,
            is_reversal=found["mark"][0] == "R",
            assumed=assumed,
            line=line,
        )
        self.waiting = (entry, kind[1:])

    def _details(self, tag: str, value: list[str]) -> Iterator[Event]:
        """Behind a line they are its own; behind a balance they are of the statement."""
        if self.waiting is not None:
            entry, code = self.waiting
            self.waiting = (details(entry, tag, value, code), code)
        return iter(())

    def _flush(self) -> Iterator[Event]:
        if self.waiting is not None:
            entry, self.waiting = self.waiting[0], None
            yield entry

    def _clamped(self, line: int) -> Finding:
        text = "30 February was read as the last day of that month."
        own = self.statement.position if self.statement else 0
        return finding("day.clamped", f"line {line}", text, statement=own)


def _account(told: str) -> Account:
    """ "10020030/1234567" is a bank code and an account; an IBAN may have its currency behind."""
    bank, slash, number = told[:ACCOUNT_MAX].rpartition("/")
    known = words.account(number, bank=words.cleaned(bank, words.IDENTIFIER_MAX))
    if known.scheme == Scheme.OTHER and not slash:
        shorter = words.account(re.sub(r"[A-Z]{3}$", "", told[:ACCOUNT_MAX]))
        if shorter.scheme == Scheme.IBAN:
            return shorter
    return known
