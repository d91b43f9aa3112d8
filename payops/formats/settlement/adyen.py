"""Adyen's settlement details report, CSV or XLSX, columns in any order (RC-3, RC-13).

From Adyen's documentation of the report and files of five readers: one file is one batch of a
merchant account (or several), amounts are major units with a point, debits and credits stand in
columns of their own, each row has its time zone, and the fee is Commission or, where that is
empty, Markup + Scheme Fees + Interchange. The payout is a row; what stays is carried into the
next batch by a row spelled Balancetransfer. So net credits less net debits are zero in a batch.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import tzinfo
from decimal import ROUND_HALF_EVEN, Decimal

from payops.core.money import exponent_of
from payops.formats.files import excerpt
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
from payops.formats.settlement.table import Columns, Row, Table, below, header
from payops.formats.settlement.values import (
    CellRefused,
    currency,
    minor,
    moment,
    rate,
    reference,
    said,
    words,
    zone,
)

NEEDED = ("type", "net currency", "net debit (nc)", "net credit (nc)", "batch number")
TYPES = {
    "settled": LineKind.CAPTURE,
    "settledreversed": LineKind.CAPTURE_REVERSAL,
    "settledinstallment": LineKind.CAPTURE,
    "refunded": LineKind.REFUND,
    "refundedreversed": LineKind.REFUND_REVERSAL,
    "refundedexternally": LineKind.REFUND,
    "chargeback": LineKind.CHARGEBACK,
    "secondchargeback": LineKind.CHARGEBACK,
    "chargebackexternally": LineKind.CHARGEBACK,
    "chargebackreversed": LineKind.CHARGEBACK_REVERSAL,
    "fee": LineKind.FEE,
    "misccosts": LineKind.FEE,
    "authorisationschemefee": LineKind.FEE,
    "invoicededuction": LineKind.FEE,
    "paymentcost": LineKind.FEE,
    "merchantpayout": LineKind.PAYOUT,
    "merchantpayin": LineKind.TRANSFER,
    "bankinstructionreturned": LineKind.PAYOUT_RETURNED,
    "internalcompanypayout": LineKind.TRANSFER,
    "balancetransfer": LineKind.CARRY_OVER,
    "depositcorrection": LineKind.CORRECTION,
    "manualcorrected": LineKind.CORRECTION,
    "matchedstatement": LineKind.CORRECTION,
    "reserveadjustment": LineKind.RESERVE_HELD,
}
REFUNDS = (LineKind.REFUND, LineKind.REFUND_REVERSAL)
DISPUTES = (LineKind.CHARGEBACK, LineKind.CHARGEBACK_REVERSAL)
CUSTOMER = (LineKind.CAPTURE, LineKind.CAPTURE_REVERSAL, *REFUNDS, *DISPUTES)
PARTS = (
    (FeeKind.MARKUP, "markup (nc)"),
    (FeeKind.SCHEME, "scheme fees (nc)"),
    (FeeKind.INTERCHANGE, "interchange (nc)"),
)
FROM_BATCH = re.compile(r"from batch ([0-9]{1,9})", re.IGNORECASE)
NUMBERS_MAX = 10_000
TYPES_KEPT_MAX = 1_000


def sniff(head: Sequence[Row]) -> Columns | None:
    return header(head, NEEDED)


def read(table: Table, columns: Columns, options: ReadOptions) -> Events:
    """Yields a line for every row, with findings about fees, types, zones and numbers."""
    reader = Reader(columns, options)
    position = 0
    for number, cells in below(table, columns):
        try:
            line = reader.line(position + 1, number, cells)
        except CellRefused as refused:
            yield Reject(number, refused.column, refused.why, refused.shown)
            continue
        position += 1
        yield line
        if reader.found:
            yield from reader.found
            reader.found = []
    yield from reader.sequence()


class Reader:
    """One row after the other; `found` collects what was noticed about the last."""

    def __init__(self, columns: Columns, options: ReadOptions) -> None:
        at, need = columns.at, columns.need
        self.type, self.net_currency = need("type"), need("net currency")
        self.net_debit, self.net_credit = need("net debit (nc)"), need("net credit (nc)")
        self.batch = need("batch number")
        self.gross_currency = at("gross currency")
        self.gross_debit, self.gross_credit = at("gross debit (gc)"), at("gross credit (gc)")
        self.rate, self.commission = at("exchange rate"), at("commission (nc)")
        self.parts = [(kind, name, at(name)) for kind, name in PARTS if at(name) >= 0]
        self.created, self.zone = at("creation date"), at("timezone", "time zone")
        self.booked = at("booking date")
        self.booked_zone = at("booking date timezone", "booking date time zone")
        self.psp, self.modification = at("psp reference"), at("modification reference")
        self.merchant = at("merchant reference")
        self.merchant_change = at("modification merchant reference")
        self.account, self.method = at("merchant account"), at("payment method")
        self.options = options
        self.found: list[Finding] = []
        self.known_zones: dict[str, tzinfo | None] = {}
        self.unknown_types: set[str] = set()
        self.types: dict[str, tuple[str, LineKind | None]] = {}
        self.numbers: dict[str, set[int]] = {}
        self.came_from: dict[tuple[str, int], int] = {}
        self.derives = self.commission < 0 and not self.parts
        self.has_derived = False
        self.last_batch = ("", "")

    def line(self, position: int, number: int, cells: list[str]) -> Line:
        known = self.types.get(cells[self.type])
        raw, kind = known if known is not None else self._type(cells[self.type])
        code = currency(cells[self.net_currency], "Net Currency")
        net = self._signed(cells, self.net_debit, self.net_credit, code, "Net")
        if net is None:
            raise CellRefused("Net Credit (NC)", "neither a debit nor a credit")
        account = reference(cells[self.account], "Merchant Account")
        batch = self._batch(cells[self.batch], account)
        if kind is None:
            kind = self._unknown(raw, number, batch)
        elif kind is LineKind.RESERVE_HELD and net > 0:
            kind = LineKind.RESERVE_RELEASED
        gross_code, gross = "", None
        if cells[self.gross_currency]:
            gross_code = currency(cells[self.gross_currency], "Gross Currency")
            gross = self._signed(cells, self.gross_debit, self.gross_credit, gross_code, "Gross")
        told = rate(cells[self.rate], "Exchange Rate")
        fees = self._fees(cells, code)
        fee = sum([each.amount_minor for each in fees])
        if gross is not None and kind in CUSTOMER:
            fees, fee = self._explained(
                fees, fee, (gross, gross_code, told, net, code), number, batch
            )
        at = self.known_zones.get(cells[self.zone]) or self._zone(cells[self.zone], number)
        booked_at = None
        if booked := cells[self.booked]:
            named = cells[self.booked_zone]
            booked_at = moment(booked, self._zone(named, number) if named else at, "Booking Date")
        change = reference(cells[self.modification], "Modification Reference")
        payment = reference(cells[self.psp], "Psp Reference")
        said_of_it = "" if payment else change
        if kind is LineKind.CARRY_OVER:
            said_of_it = words(cells[self.merchant_change]) or change
            self._carried(said_of_it, account, batch)
        return Line(
            position=position,
            line=number,
            batch=batch,
            kind=kind,
            raw_type=raw,
            currency=code,
            net_minor=net,
            gross_currency=gross_code,
            gross_minor=gross,
            fee_minor=fee,
            fees=fees,
            rate=told,
            occurred_at=moment(cells[self.created], at, "Creation Date"),
            booked_at=booked_at,
            transaction_ref=change if payment else "",
            payment_ref=payment,
            refund_ref=change if kind in REFUNDS else "",
            dispute_ref=change if kind in DISPUTES else "",
            payout_ref=change if kind is LineKind.PAYOUT else "",
            merchant_ref=words(cells[self.merchant]),
            account=account,
            method=words(cells[self.method]),
            description=said_of_it,
        )

    def sequence(self) -> Iterator[Finding]:
        """Numbers of batches that are missing between those of the file and the last import.

        Every merchant account counts its own batches, so the last import says nothing about a
        file of several.
        """
        last_import = self.options.previous_batch if len(self.numbers) == 1 else None
        for account, numbers in self.numbers.items():
            last = last_import
            for number in sorted(numbers):
                came_from = self.came_from.get((account, number))
                if last is not None and number <= last:
                    text = f"batch {number} is not after batch {last}, which was imported last"
                    yield Finding("sequence.repeated", f"batch {number}", text, str(number))
                    continue
                before = last if last is not None else came_from
                if before is not None and number > before + 1:
                    first = before + 1
                    missing = f"{first}" if number == first + 1 else f"{first} to {number - 1}"
                    text = f"batch {missing} is missing before batch {number}; fetch its report"
                    yield Finding("sequence.gap", f"batch {number}", text, str(number))
                last = number

    def _type(self, text: str) -> tuple[str, LineKind | None]:
        raw = words(text)
        if not raw:
            raise CellRefused("Type", "empty; the row says not what it is")
        found = raw, TYPES.get(raw.lower())
        if len(self.types) < TYPES_KEPT_MAX:
            self.types[text] = found
        return found

    def _signed(
        self, cells: list[str], debit: int, credit: int, code: str, name: str
    ) -> int | None:
        """Credit less debit; None when both are empty."""
        taken, given = cells[debit], cells[credit]
        if given:
            found = minor(given, code, f"{name} Credit")
            return found - minor(taken, code, f"{name} Debit") if taken else found
        return -minor(taken, code, f"{name} Debit") if taken else None

    def _fees(self, cells: list[str], code: str) -> tuple[Fee, ...]:
        """What the merchant pays is negative, whatever the row is about."""
        if text := cells[self.commission]:
            return (Fee(FeeKind.COMMISSION, -minor(text, code, "Commission (NC)")),)
        return tuple(
            [
                Fee(kind, -minor(text, code, name))
                for kind, name, place in self.parts
                if (text := cells[place])
            ]
        )

    def _explained(
        self,
        fees: tuple[Fee, ...],
        fee: int,
        row: tuple[int, str, Decimal | None, int, str],
        number: int,
        batch: str,
    ) -> tuple[tuple[Fee, ...], int]:
        """gross x rate + fees = net, as far as a rate with so many digits can tell."""
        gross, gross_code, told, net, code = row
        if gross_code == code:
            expected, slack = gross, 1 if len(fees) > 1 else 0
        elif told is None:
            return fees, fee
        else:
            expected, slack = _converted(gross, gross_code, told, code)
            slack += len(fees)
        if self.derives:
            if not self.has_derived:
                self.has_derived = True
                text = "the report has no fee columns; fees are gross x rate less net"
                self.found.append(Finding("fee.derived", "file", text))
            fee = net - expected
            return ((Fee(FeeKind.TOTAL, fee),) if fee else (), fee)
        if abs(expected + fee - net) > slack:
            text = (
                f"{said(expected, code)} with fees of {said(fee, code)} make"
                f" {said(expected + fee, code)}, the net is {said(net, code)}"
            )
            self.found.append(Finding("fee.difference", f"line {number}", text, batch))
        return fees, fee

    def _batch(self, text: str, account: str) -> str:
        if (text, account) == self.last_batch:
            return text
        value = text.strip()
        if not (value.isascii() and value.isdecimal() and len(value) < 10):
            raise CellRefused("Batch Number", "no number of a batch", text)
        numbers = self.numbers.get(account)
        if numbers is None and len(self.numbers) < NUMBERS_MAX:
            numbers = self.numbers[account] = set()
        if numbers is not None and len(numbers) < NUMBERS_MAX:
            numbers.add(int(value))
        self.last_batch = value, account
        return value

    def _carried(self, text: str, account: str, batch: str) -> None:
        if match := FROM_BATCH.search(text):
            self.came_from[account, int(batch)] = int(match[1])

    def _unknown(self, raw: str, number: int, batch: str) -> LineKind:
        if raw not in self.unknown_types and len(self.unknown_types) < 100:
            self.unknown_types.add(raw)
            text = f"the type {excerpt(raw)} is not known here; its lines are kept as other"
            self.found.append(Finding("type.unknown", f"line {number}", text, batch))
        return LineKind.OTHER

    def _zone(self, name: str, number: int) -> tzinfo | None:
        if name in self.known_zones:
            return self.known_zones[name]
        found = zone(name or self.options.time_zone)
        if found is None and name and self.options.time_zone:
            found = zone(self.options.time_zone)
        if found is None:
            text = f"the time zone {excerpt(name)} is not known here; set that of the account"
            self.found.append(Finding("zone.unknown", f"line {number}", text))
        elif not name:
            text = f"the report names no time zone; that of the account is used: {found}"
            self.found.append(Finding("zone.assumed", f"line {number}", text))
        if len(self.known_zones) < 1_000:
            self.known_zones[name] = found
        return found


def _converted(gross: int, gross_code: str, told: Decimal, code: str) -> tuple[int, int]:
    """The gross in the other currency, and by how much the last digit of the rate can move it."""
    shift = Decimal(10) ** (exponent_of(code) - exponent_of(gross_code))
    exact = Decimal(gross) * told * shift
    exponent = told.as_tuple().exponent
    half = Decimal(5).scaleb((exponent if isinstance(exponent, int) else 0) - 1)
    slack = int(abs(Decimal(gross)) * half * shift) + 1
    return int(exact.quantize(Decimal(1), rounding=ROUND_HALF_EVEN)), slack
