"""OFX 1 (SGML) and 2 (XML), and QFX, which is OFX with a label (RC-13, D16).

Read as marks and texts, not as XML: files that call themselves XML leave their elements open.
A document type or entity declaration is refused. OFX tells a balance at the end and none at the
beginning, so its sums cannot be checked. One transaction is held at a time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime
from html import unescape

from payops.formats.bank import amounts, days, kinds, words
from payops.formats.bank.base import (
    STATEMENTS_MAX,
    Account,
    Balance,
    BalanceKind,
    Counterparty,
    Entry,
    EntryStatus,
    Event,
    Events,
    Exchange,
    FileRefused,
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

PIECE_MAX = 64 * 1024
DEPTH_MAX = 32
FIELDS_MAX = 200
MARKS_PER_LINE_MAX = 20_000
VALUE_MAX = 4000
STATEMENTS = ("STMTRS", "CCSTMTRS")
TRANSACTIONS = ("STMTTRN", "STMTTRNP")
HOLDERS = ("BANKACCTFROM", "CCACCTFROM")
OTHERS = ("BANKACCTTO", "CCACCTTO")
BALANCES = {
    "LEDGERBAL": BalanceKind.CLOSING,
    "AVAILBAL": BalanceKind.CLOSING_AVAILABLE,
}
CURRENCIES = ("CURRENCY", "ORIGCURRENCY")
UNREAD = ("INVSTMTRS", "LOANSTMTRS")
KEPT = (*HOLDERS, *OTHERS, *BALANCES, *CURRENCIES, *TRANSACTIONS, "PAYEE", "BANKTRANLIST")
AGGREGATES = frozenset((*STATEMENTS, *KEPT, *UNREAD))
MOMENT = re.compile(
    r"([0-9]{8})(?:([0-9]{2})([0-9]{2})([0-9]{2})?)?(?:\.[0-9]{1,6})?"
    r"\s*(?:\[([+-]?[0-9]{1,2})(?:\.([0-9]{1,2}))?(?::[A-Za-z0-9]{0,10})?\])?"
)
CDATA, CDATA_END = "![CDATA[", "]]>"

Fields = dict[str, str]
Mark = tuple[int, str, str]


def read(source: Source, options: ReadOptions) -> Events:
    """Raises FileRefused."""
    reader = _Reader(options)
    lines = Lines(source, options.encoding, options.bytes_max)
    for line, name, value in _marks(lines):
        yield from reader.take(line, name, value)
    yield from reader.end()
    if lines.odd_bytes_seen:
        yield finding("text.encoding", "the file", "Bytes that are no UTF-8 were read as Windows.")


def _pieces(lines: Lines) -> Iterator[tuple[int, str]]:
    """What stands between one "<" and the next, with its line; the first is the header."""
    waiting, line = "", 1
    for chunk in lines.chunks():
        *found, waiting = (waiting + chunk).split("<")
        for piece in found:
            yield line, piece
            line += piece.count("\n")
        if len(waiting) > PIECE_MAX:
            raise FileRefused(
                f"line {line}: one text is longer than {PIECE_MAX:,} characters; this is no OFX"
            )
    yield line, waiting


def _marks(lines: Lines) -> Iterator[Mark]:
    """(line, name in capitals or "/NAME", the text behind it)."""
    held: Mark | None = None
    verbatim = ""
    pieces = _pieces(lines)
    next(pieces, None)
    for line, piece in pieces:
        if verbatim or piece.startswith(CDATA):
            verbatim += f"<{piece}" if verbatim else piece
            if len(verbatim) > PIECE_MAX:
                raise FileRefused(f"line {line}: a text is never ended")
            text, end, after = verbatim.removeprefix(CDATA).partition(CDATA_END)
            if end and held is not None:
                held = (held[0], held[1], held[2] + text + after)
            verbatim = "" if end else verbatim
            continue
        if piece.startswith("!") and not piece.startswith("!--"):
            raise FileRefused(
                f"line {line}: the file declares a document type or entities, which no bank file"
                " needs and an attack does; it was not read"
            )
        name, end, value = piece.partition(">")
        if not end or name[:1] in ("?", "!"):
            continue
        if held is not None:
            yield held
        name = name.split(None, 1)[0].upper() if name.strip() else ""
        held = (line, name.rstrip("/"), unescape(value) if "&" in value else value)
    if held is not None:
        yield held


class _Reader:
    def __init__(self, options: ReadOptions) -> None:
        self.options = options
        self.stack: list[tuple[str, Fields]] = []
        self.statement: Statement | None = None
        self.head: Fields = {}
        self.zone = options.time_zone
        self.created_at: datetime | None = None
        self.is_opened = self.is_ofx = False
        self.statements = self.entries = self.idle = 0
        self.unread: set[str] = set()

    def take(self, line: int, name: str, value: str) -> Iterator[Event]:
        self.idle = 0 if name in TRANSACTIONS or name in STATEMENTS else self.idle + 1
        if self.idle > MARKS_PER_LINE_MAX:
            raise FileRefused(
                f"line {line}: more than {MARKS_PER_LINE_MAX:,} elements follow each other without"
                " a transaction"
            )
        if not self.is_ofx:
            self.is_ofx = name == "OFX"
            if not self.is_ofx:
                raise FileRefused(
                    f"line {line}: it begins with {words.excerpt(name)} instead of OFX"
                )
            return
        if name.startswith("/"):
            yield from self._leave(line, name[1:])
        elif name in AGGREGATES:
            yield from self._enter(line, name)
        elif name == "DTSERVER" and not self.stack:
            self.created_at = self._moment(value)[1]
        elif self.statement is not None:
            fields = self.stack[-1][1] if self.stack else self.head
            if len(fields) < FIELDS_MAX:
                fields.setdefault(name[:32], value.strip()[:VALUE_MAX])

    def end(self) -> Iterator[Event]:
        if not self.is_ofx:
            raise FileRefused("there is no <OFX> in it")
        if self.statement is not None:
            own, words_of = self.statement.position, "The file ends within a statement."
            yield from self._close()
            yield finding("file.unfinished", "the file", words_of, statement=own)
        elif not self.statements:
            words_of = "The file holds no statement of a bank or card account."
            yield finding("file.empty", "the file", words_of)

    def _enter(self, line: int, name: str) -> Iterator[Event]:
        if name in UNREAD:
            if name not in self.unread:
                self.unread.add(name)
                words_of = f"Statements of the kind {name} are not read."
                yield finding("file.unknown_part", f"line {line}", words_of)
            return
        if name in STATEMENTS:
            yield from self._close()
            self._begin(line, name)
            return
        if self.statement is None:
            return
        while self.stack and self.stack[-1][0] == name:
            yield from self._done(line, *self.stack.pop())
        if len(self.stack) >= DEPTH_MAX:
            raise FileRefused(f"line {line}: elements are nested more than {DEPTH_MAX} deep")
        if name == "BANKTRANLIST":
            yield from self._open()
        self.stack.append((name, {}))

    def _leave(self, line: int, name: str) -> Iterator[Event]:
        """An end closes what was left open inside."""
        if name in STATEMENTS:
            yield from self._close(line)
            return
        if not any(name == each for each, _ in self.stack):
            return
        while self.stack:
            last, fields = self.stack.pop()
            yield from self._done(line, last, fields)
            if last == name:
                return

    def _done(self, line: int, name: str, fields: Fields) -> Iterator[Event]:
        assert self.statement is not None
        if name in HOLDERS:
            self.statement = replace(self.statement, account=_account(fields, name))
        elif name in BALANCES:
            yield from self._balance(line, name, fields)
        elif name == "BANKTRANLIST":
            self.statement = replace(
                self.statement,
                from_on=self._moment(fields.get("DTSTART", ""))[0],
                to_on=self._moment(fields.get("DTEND", ""))[0],
            )
        elif name in TRANSACTIONS:
            yield from self._entry(line, name, fields)
        elif self.stack:
            outer = self.stack[-1][1]
            for key, value in fields.items():
                if len(outer) < FIELDS_MAX:
                    outer[f"{name}.{key}"] = value

    # ---- statements and balances ------------------------------------------------------------

    def _begin(self, line: int, name: str) -> None:
        self.statements += 1
        if self.statements > STATEMENTS_MAX:
            raise FileRefused(f"the file has more than {STATEMENTS_MAX:,} statements")
        self.head, self.stack, self.is_opened = {}, [], False
        self.statement = Statement(
            position=self.statements,
            kind=StatementKind.STATEMENT,
            account=Account(Scheme.OTHER, ""),
            currency=self.options.currency,
            created_at=self.created_at,
            time_zone=self.zone,
            line=line,
        )

    def _open(self) -> Iterator[Event]:
        if self.statement is not None and not self.is_opened:
            self.is_opened = True
            self._settle()
            yield StatementOpened(self.statement)

    def _settle(self) -> None:
        assert self.statement is not None
        told = words.cleaned(self.head.get("CURDEF", ""), 3)
        holder = self.statement.account
        if not holder.identifier and self.options.account:
            holder = words.account(self.options.account)
        self.statement = replace(
            self.statement,
            currency=told or self.options.currency,
            account=holder,
            time_zone=self.zone,
        )

    def _close(self, line: int = 0) -> Iterator[Event]:
        while self.stack:
            yield from self._done(line, *self.stack.pop())
        if self.statement is not None:
            yield from self._open()
            self._settle()
            yield StatementClosed(self.statement)
            self.statement = None

    def _balance(self, line: int, name: str, fields: Fields) -> Iterator[Event]:
        assert self.statement is not None
        self._settle()
        currency = self.statement.currency
        try:
            minor = _amount(fields.get("BALAMT", ""), currency)
        except amounts.AmountRefused as refused:
            words_of = f"The balance {name} was left out: {refused}."
            own = self.statement.position
            yield finding("file.unknown_part", f"line {line}", words_of, statement=own)
            return
        on, _ = self._moment(fields.get("DTASOF", ""))
        balance = Balance(BALANCES[name], minor, currency, on, name)
        self.statement = replace(self.statement, balances=(*self.statement.balances, balance)[:20])

    # ---- transactions -----------------------------------------------------------------------

    def _entry(self, line: int, name: str, fields: Fields) -> Iterator[Event]:
        assert self.statement is not None
        yield from self._open()
        own, currency = self.statement.position, self.statement.currency
        currency = words.cleaned(fields.get("CURRENCY.CURSYM", ""), 3) or currency
        self.entries += 1
        if self.entries > self.options.entries_max:
            raise FileRefused(f"the file has more than {self.options.entries_max:,} entries")
        told = fields.get("DTPOSTED") or fields.get("DTTRAN", "")
        on, at = self._moment(told)
        if on is None:
            why = f"{words.excerpt(told)} is no day such as 20260331"
            yield Reject(line, "DTPOSTED", why, words.excerpt(fields.get("NAME", "")), own)
            return
        try:
            minor = _amount(fields.get("TRNAMT", ""), currency)
        except amounts.AmountRefused as refused:
            excerpt = words.excerpt(fields.get("NAME", ""))
            yield Reject(line, "TRNAMT", str(refused), excerpt, own)
            return
        available, _ = self._moment(fields.get("DTAVAIL", ""))
        code = words.cleaned(fields.get("TRNTYPE", ""), 32).upper()
        corrected = fields.get("CORRECTFITID", "")
        yield Entry(
            position=self.entries,
            statement=own,
            amount_minor=minor,
            currency=currency,
            booked_on=on,
            value_on=available or on,
            status=EntryStatus.PENDING if name == "STMTTRNP" else EntryStatus.BOOKED,
            kind=kinds.of_ofx(code),
            raw_code=code,
            references=References(
                bank=words.told(fields.get("FITID", "")),
                customer=words.told(fields.get("REFNUM", "")),
                cheque=words.told(fields.get("CHECKNUM", "")).strip("0"),
                transaction=words.told(fields.get("SRVRTID", "")),
            ),
            counterparty=_party(fields),
            remittance=words.cleaned(fields.get("MEMO", "")),
            additional=words.cleaned(f"corrects {corrected}") if corrected else "",
            is_reversal=fields.get("CORRECTACTION", "").upper() in ("DELETE", "REPLACE"),
            booked_at=at,
            exchange=_exchange(fields, self.statement.currency),
            assumed=() if available else ("value_on",),
            line=line,
        )

    def _moment(self, told: str) -> tuple[date | None, datetime | None]:
        """The day as told, and the moment where the file tells its offset."""
        found = MOMENT.fullmatch(told.strip())
        if found is None:
            return None, None
        try:
            on = days.compact(found[1])
        except days.DayRefused:
            return None, None
        if found[5] is None:
            return on, None
        sign = "-" if found[5].startswith("-") else "+"
        minutes = int((found[6] or "0").ljust(2, "0")) * 60 // 100
        zone = f"{sign}{int(found[5].lstrip('+-')):02}:{minutes:02}"
        self.zone = self.zone or zone
        if found[2] is None:
            return on, None
        try:
            clock = f"{found[2]}:{found[3]}:{found[4] or '00'}"
            return on, days.moment(f"{on.isoformat()}T{clock}{zone}")
        except days.DayRefused:
            return on, None


def _amount(told: str, currency: str) -> int:
    """OFX knows no separator of thousands, so a comma alone is the decimal mark."""
    if "," in told and "." not in told:
        return amounts.comma(told, currency)
    return amounts.localised(told, currency, mark=".")


def _account(fields: Fields, name: str) -> Account:
    bank = words.cleaned(fields.get("BANKID", ""), 35)
    return words.account(fields.get("ACCTID", ""), bank=bank, card=name.startswith("CC"))


def _party(fields: Fields) -> Counterparty:
    other = next((each for each in OTHERS if f"{each}.ACCTID" in fields), "")
    inner = {key.partition(".")[2]: each for key, each in fields.items() if key.startswith(other)}
    name = fields.get("NAME") or fields.get("PAYEE.NAME", "")
    account = _account(inner, other) if other else None
    return Counterparty(words.cleaned(name, 140), account, account.bank if account else "")


def _exchange(fields: Fields, own: str) -> Exchange | None:
    for name in CURRENCIES:
        symbol = words.cleaned(fields.get(f"{name}.CURSYM", ""), 3)
        if symbol:
            rate = words.cleaned(fields.get(f"{name}.CURRATE", ""), 24)
            return Exchange(None, symbol, symbol, own, rate)
    return None
