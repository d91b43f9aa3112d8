"""PayPal's settlement report (STL) of one or several accounts (RC-3, RC-13).

From PayPal's specification of the report: the first cell says what a record is. RH report, FH
file, SH section (account), CH column names, SB one movement, SF totals of the section in one
currency, SC rows of the section, FC rows of the file, RC rows of the report, FF and RF the ends.
Amounts are unsigned integers without separator, the sign stands beside them as CR or DR, and
every currency has two decimals there, yen too. Names of columns are read as they come, with the
two blanks of the real header. A batch here is the section: one account over one period. What the
totals, the counts and the balances say is compared with what was read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from payops.core.money import MINOR_MAX
from payops.formats.files import FileRefused, excerpt
from payops.formats.settlement import paypal_codes
from payops.formats.settlement.base import (
    Events,
    Fee,
    FeeKind,
    Finding,
    Line,
    LineKind,
    ReadOptions,
    Reject,
)
from payops.formats.settlement.table import Columns, Row, Table
from payops.formats.settlement.values import (
    CellRefused,
    currency,
    moment,
    places_of,
    reference,
    words,
)

BEGINNINGS = ("RH", "FH", "SH")
ENDS = ("FF", "RF")
SIGNS = {"CR": 1, "DR": -1}
DECIMALS = 2
DIGITS_MAX = 15
NOT_PAYMENTS = (LineKind.PAYOUT, LineKind.PAYOUT_RETURNED)


@dataclass(slots=True)
class Section:
    """What was read of one account; amounts as PayPal writes them."""

    line: int
    account: str = ""
    batch: str = ""
    rows: int = 0
    rejects: int = 0
    sums: dict[str, list[int]] = field(default_factory=dict)

    def add(self, code: str, gross: int, fee: int) -> None:
        found = self.sums.setdefault(code, [0, 0, 0, 0])
        found[0 if gross >= 0 else 1] += abs(gross)
        found[2 if fee >= 0 else 3] += abs(fee)


def sniff(head: Sequence[Row]) -> Columns | None:
    """The report begins with one of its records; the columns come later."""
    if not head or head[0][1][0].strip().strip('"') not in BEGINNINGS:
        return None
    seen = {cells[0].strip() for _, cells in head}
    return Columns(head[0][0], head[0][1]) if seen & {"CH", "SH", "FH"} else None


def read(table: Table, columns: Columns, options: ReadOptions) -> Events:
    report = Report(options)
    for number, cells in table.rows():
        record = cells[0].strip().upper()
        if record == "SB":
            report.rows += 1
            try:
                line = report.line(number, cells)
            except CellRefused as refused:
                report.reject()
                yield Reject(number, refused.column, refused.why, refused.shown)
                continue
            yield line
        else:
            report.record(record, number, cells)
        if report.found:
            yield from report.found
            report.found = []
    yield from report.end()


class Report:
    def __init__(self, options: ReadOptions) -> None:
        self.options = options
        self.section: Section | None = None
        self.at: dict[str, int] = {}
        self.count = self.position = self.rows = self.rejects = self.last_line = 0
        self.file_number = 1
        self.ended = False
        self.unknown: set[str] = set()
        self.found: list[Finding] = []

    def record(self, record: str, number: int, cells: list[str]) -> None:
        self.last_line = number
        if record == "SH":
            self._close(number)
            self.section = self._section(number, cells)
        elif record == "CH":
            self._columns(number, cells)
        elif record == "SF":
            self._totals(number, cells)
        elif record == "SC":
            section = self.section or Section(number)
            self._counted(number, cells, section.rows, section.rejects, "section")
            self.section = None
        elif record == "FC":
            self._counted(number, cells, self.rows, self.rejects, "file")
        elif record == "RC":
            self._report_count(number, cells)
        elif record == "FH":
            told = cells[1].strip() if len(cells) > 1 else ""
            self.file_number = int(told) if told.isdecimal() and len(told) < 6 else 1
        elif record in ENDS:
            self.ended = True
        elif record != "RH":
            text = f"a record {excerpt(record)} is not known here; it was passed over"
            self.found.append(Finding("type.unknown", f"line {number}", text))

    def line(self, number: int, cells: list[str]) -> Line:
        section = self.section
        if section is None or not self.at:
            raise FileRefused(
                f"line {number}: a movement stands outside a section with column names; the"
                " report is cut or was put together by hand"
            )
        section.rows += 1
        if len(cells) < self.count:
            cells.extend([""] * (self.count - len(cells)))
        at = self.at
        code = currency(cells[at["gross transaction currency"]], "Gross Transaction Currency")
        raw_gross = self._signed(cells, "transaction debit or credit", "gross transaction amount")
        raw_fee, fee_code = 0, code
        if cells[at["fee amount"]].strip():
            raw_fee = self._signed(cells, "fee debit or credit", "fee amount")
            named = self._cell(cells, "fee currency")
            fee_code = currency(named, "Fee Currency") if named and raw_fee else code
        if fee_code != code:
            raise CellRefused("Fee Currency", f"a fee in {fee_code} of a payment in {code}")
        gross, fee = self._minor(raw_gross, code), self._minor(raw_fee, code)
        event = self._cell(cells, "transaction event code").upper()
        transaction = reference(self._cell(cells, "transaction id"), "transaction id")
        other = reference(self._cell(cells, "paypal reference id"), "paypal reference id")
        is_payment = self._cell(cells, "paypal reference id type") in ("TXN", "")
        kind = paypal_codes.by_code(event, comes_in=gross >= 0)
        occurred = self._time(cells, "transaction initiation date")
        booked = self._time(cells, "transaction completion date")
        if kind is None:
            kind = self._unknown(event, number)
        section.add(code, raw_gross, raw_fee)
        self.position += 1
        is_refund = kind in (LineKind.REFUND, LineKind.REFUND_REVERSAL)
        is_dispute = kind in (LineKind.CHARGEBACK, LineKind.CHARGEBACK_REVERSAL)
        return Line(
            position=self.position,
            line=number,
            batch=section.batch,
            kind=kind,
            raw_type=words(event),
            currency=code,
            net_minor=gross + fee,
            gross_currency=code,
            gross_minor=gross,
            fee_minor=fee,
            fees=(Fee(FeeKind.TOTAL, fee),) if fee else (),
            occurred_at=occurred,
            booked_at=booked,
            transaction_ref=transaction,
            payment_ref=transaction
            if kind is LineKind.CAPTURE
            else (other if is_payment and kind not in NOT_PAYMENTS else ""),
            refund_ref=transaction if is_refund else "",
            dispute_ref=transaction if is_dispute else "",
            payout_ref=transaction if kind in NOT_PAYMENTS else "",
            merchant_ref=words(
                self._cell(cells, "invoice id") or self._cell(cells, "custom field")
            ),
            account=section.account,
        )

    def reject(self) -> None:
        self.rejects += 1
        if self.section is not None:
            self.section.rejects += 1

    def end(self) -> Iterator[Finding]:
        self._close(self.last_line)
        if not self.ended:
            text = "the report has no end (FF or RF): it is cut off; fetch it again"
            self.found.append(Finding("file.truncated", f"line {self.last_line}", text))
        yield from self.found

    def _close(self, number: int) -> None:
        """A section ends by its count; the next header or the end of the file comes too early."""
        if self.section is not None:
            text = f"the section of line {self.section.line} has no count (SC): rows may be missing"
            self.found.append(Finding("file.truncated", f"line {number}", text))
            self.section = None

    def _section(self, number: int, cells: list[str]) -> Section:
        account = words(cells[3]) if len(cells) > 3 else ""
        until = words(cells[2])[:10].replace("/", "-") if len(cells) > 2 else ""
        return Section(number, account, f"{account} {until}".strip())

    def _columns(self, number: int, cells: list[str]) -> None:
        columns = Columns(number, cells)
        wanted = (
            *("transaction id", "transaction event code", "transaction debit or credit"),
            *("gross transaction amount", "gross transaction currency"),
            *("fee debit or credit", "fee amount"),
        )
        for name in wanted:
            columns.need(name)
        self.at, self.count = columns.places, columns.count

    def _cell(self, cells: list[str], name: str) -> str:
        place = self.at.get(name)
        return "" if place is None else cells[place].strip()

    def _time(self, cells: list[str], name: str) -> datetime | None:
        return moment(self._cell(cells, name), None, name)

    def _signed(self, cells: list[str], sign_name: str, name: str) -> int:
        sign, text = cells[self.at[sign_name]].strip().upper(), cells[self.at[name]].strip()
        if not (text.isascii() and text.isdecimal() and len(text) <= DIGITS_MAX):
            raise CellRefused(name, "no unsigned whole number such as 10000", text)
        amount = int(text)
        if sign not in SIGNS:
            if amount:
                raise CellRefused(sign_name, "neither CR nor DR", sign)
            return 0
        return SIGNS[sign] * amount

    def _minor(self, raw: int, code: str) -> int:
        """Hundredths of a unit into ISO minor units, where the account has yen so."""
        places = places_of(code)
        if places == DECIMALS or (not places and not self.options.zero_decimals_by_hundred):
            return raw
        if places > DECIMALS:
            return raw * 10 ** (places - DECIMALS)
        size = 10 ** (DECIMALS - places)
        if raw % size:
            raise CellRefused(
                "Gross Transaction Amount",
                f"no whole {code} in hundredths; this account may write {code} without decimals,"
                " which its settings can say",
                str(raw),
            )
        return raw // size

    def _totals(self, number: int, cells: list[str]) -> None:
        """Currency, gross credits and debits, fee credits and debits, then CR or DR with the
        available balance before and after."""
        section = self.section
        told = [text.strip() for text in cells]
        figures = [_whole(text) for text in told[2:6]]
        if section is None or len(figures) < 4 or None in figures:
            return
        code = told[1].upper()
        read = section.sums.get(code, [0, 0, 0, 0])
        pairs = (("gross", figures[:2], read[:2]), ("fees", figures[2:], read[2:]))
        for name, stated, found in pairs:
            if sorted(stated, key=str) != sorted(found, key=str):
                text = (
                    f"{name} in {excerpt(code)}: the report states {stated[0]} and {stated[1]},"
                    f" its rows add up to {found[0]} and {found[1]}"
                )
                self._differs("control.total", number, text, section.rejects, section.batch)
        before, after = _balance(told[6:8]), _balance(told[8:10])
        moved = read[0] - read[1] + read[2] - read[3]
        if before is not None and after is not None and after - before != moved:
            text = (
                f"the available balance moved by {after - before}, the rows by {moved}"
                f" (hundredths of {excerpt(code)})"
            )
            place = f"line {number}"
            self.found.append(Finding("balance.difference", place, text, section.batch))

    def _counted(self, number: int, cells: list[str], rows: int, rejects: int, scope: str) -> None:
        told = _whole(cells[1].strip()) if len(cells) > 1 else None
        if told is not None and told != rows:
            text = f"the {scope} states {told:,} rows, {rows:,} were read; fetch it again"
            self._differs("control.count", number, text, 0, "")

    def _report_count(self, number: int, cells: list[str]) -> None:
        told = _whole(cells[1].strip()) if len(cells) > 1 else None
        if told is None or told == self.rows:
            return
        if self.file_number > 1 and told > self.rows:
            text = f"the report has {told:,} rows in several files, {self.rows:,} are in this one"
            self.found.append(Finding("control.several_files", f"line {number}", text))
        else:
            self._counted(number, cells, self.rows, 0, "report")

    def _differs(self, code: str, number: int, text: str, rejects: int, batch: str) -> None:
        if rejects:
            code, text = "control.after_rejects", f"{text}; {rejects} rows were rejected"
        self.found.append(Finding(code, f"line {number}", text, batch))

    def _unknown(self, event: str, number: int) -> LineKind:
        if event not in self.unknown and len(self.unknown) < 100:
            self.unknown.add(event)
            text = f"the event code {excerpt(event)} is not known here; kept as other"
            self.found.append(Finding("type.unknown", f"line {number}", text))
        return LineKind.OTHER


def _whole(text: str) -> int | None:
    fits = text.isascii() and text.isdecimal() and len(text) <= DIGITS_MAX
    return int(text) if fits and int(text) <= MINOR_MAX else None


def _balance(cells: list[str]) -> int | None:
    if len(cells) < 2 or cells[0].upper() not in SIGNS:
        return None
    amount = _whole(cells[1])
    return None if amount is None else SIGNS[cells[0].upper()] * amount
