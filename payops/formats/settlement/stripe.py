"""Stripe's itemized reports (payout reconciliation, ending balance, activity, payouts) and the
balance summary (RC-3, RC-13, RC-14).

Column names are those of the Reporting API; they may stand in any order. Amounts are major units
with decimals, unlike the API. Only automatic payouts are told apart: `automatic_payout_id` is the
batch, and a line without one belongs to none. Columns about people (customer, card address,
shipping) are never read. Times in columns that end in _utc are UTC; without the ending they are
on the clock the report was asked for, which the settings of the account must name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, tzinfo

from payops.formats.files import excerpt
from payops.formats.settlement.base import (
    Balance,
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
    localised,
    minor,
    moment,
    reference,
    said,
    words,
    zone,
)

NEEDED = ("reporting_category", "currency", "gross", "net")
SUMMARY_NEEDED = ("net_amount", "currency")
CATEGORIES = {
    "charge": LineKind.CAPTURE,
    "charge_failure": LineKind.CAPTURE_REVERSAL,
    "partial_capture_reversal": LineKind.CAPTURE_REVERSAL,
    "refund": LineKind.REFUND,
    "refund_failure": LineKind.REFUND_REVERSAL,
    "dispute": LineKind.CHARGEBACK,
    "dispute_reversal": LineKind.CHARGEBACK_REVERSAL,
    "fee": LineKind.FEE,
    "network_cost": LineKind.FEE,
    "tax": LineKind.FEE,
    "payout": LineKind.PAYOUT,
    "payout_reversal": LineKind.PAYOUT_RETURNED,
    "transfer": LineKind.TRANSFER,
    "transfer_reversal": LineKind.TRANSFER,
    "topup": LineKind.TRANSFER,
    "topup_reversal": LineKind.TRANSFER,
    "platform_earning": LineKind.TRANSFER,
    "platform_earning_refund": LineKind.TRANSFER,
    "other_adjustment": LineKind.CORRECTION,
    "unreconciled_customer_funds": LineKind.OTHER,
    "risk_reserved_funds": LineKind.RESERVE_HELD,
    "connect_reserved_funds": LineKind.RESERVE_HELD,
}
REFUNDS = (LineKind.REFUND, LineKind.REFUND_REVERSAL)
DISPUTES = (LineKind.CHARGEBACK, LineKind.CHARGEBACK_REVERSAL)
PAYOUTS = (LineKind.PAYOUT, LineKind.PAYOUT_RETURNED)
KEPT_OF_CUSTOMER = ("customer_facing_amount", "customer_facing_currency")
PERSONAL = re.compile(r"customer_|card_address|shipping_|receipt_email|billing_")
MERCHANT_KEYS = ("merchant_reference", "order_id", "merchant_ref", "reference")
COMMA = re.compile(r"-?[0-9.]*[0-9],[0-9]{1,3}")
PIECES = {"starting_balance": 1, "activity": 1, "payouts": 1, "ending_balance": -1}


def sniff(head: Sequence[Row]) -> Columns | None:
    return header(head, NEEDED)


def sniff_summary(head: Sequence[Row]) -> Columns | None:
    return header(head, (*SUMMARY_NEEDED, "category")) or header(
        head, (*SUMMARY_NEEDED, "reporting_category")
    )


def read(table: Table, columns: Columns, options: ReadOptions) -> Events:
    reader = Reader(table, columns, options)
    yield from reader.begin(columns)
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


def read_summary(table: Table, columns: Columns, options: ReadOptions) -> Events:
    """Yields what Stripe says the balance was, and whether start, activity and payouts make the
    end. Names are as Stripe writes them; those not known here are passed on uncounted."""
    name = columns.need("category", "reporting_category")
    amount, code_at = columns.need("net_amount"), columns.need("currency")
    mark = _mark(table, columns, ("net_amount",), options)
    sums: dict[str, int] = {}
    seen: set[tuple[str, str]] = set()
    for number, cells in below(table, columns):
        try:
            code = currency(cells[code_at], "currency")
            if mark == ".":
                told = minor(cells[amount], code, "net_amount")
            else:
                told = localised(cells[amount], code, "net_amount", mark=mark)
        except CellRefused as refused:
            yield Reject(number, refused.column, refused.why, refused.shown)
            continue
        piece = words(cells[name])
        yield Balance(piece, told, code, number)
        if piece in PIECES and (code, piece) not in seen:
            seen.add((code, piece))
            sums[code] = sums.get(code, 0) + PIECES[piece] * told
    for code, left in sums.items():
        whole = {(code, "starting_balance"), (code, "ending_balance")} <= seen
        if whole and left:
            text = f"start, activity and payouts differ from the end by {said(left, code)}"
            yield Finding("balance.difference", "file", text)


class Reader:
    def __init__(self, table: Table, columns: Columns, options: ReadOptions) -> None:
        at, need = columns.at, columns.need
        self.category, self.currency = need("reporting_category"), need("currency")
        self.gross, self.net, self.fee = need("gross"), need("net"), at("fee")
        self.batch = at("automatic_payout_id", "payout_id")
        self.transaction, self.source = at("balance_transaction_id"), at("source_id")
        self.charge, self.intent = at("charge_id"), at("payment_intent_id")
        self.facing, self.facing_currency = (at(name) for name in KEPT_OF_CUSTOMER)
        self.merchant = at(*(f"payment_metadata[{key}]" for key in MERCHANT_KEYS))
        self.method, self.seller = at("payment_method_type"), at("connected_account_id")
        self.account = at("connected_account")
        self.description = at("description")
        self.options = options
        self.own_zone = zone(options.time_zone) if options.time_zone else None
        self.is_assumed = False
        self.created = self._time(columns, "created")
        self.available = self._time(columns, "available_on")
        self.settled = self._time(columns, "automatic_payout_effective_at", "effective_at")
        self.mark = _mark(table, columns, ("gross", "net", "fee"), options)
        self.unknown: set[str] = set()
        self.found: list[Finding] = []

    def begin(self, columns: Columns) -> Iterator[Finding]:
        dropped = [
            name for name in columns.places if PERSONAL.match(name) and name not in KEPT_OF_CUSTOMER
        ]
        if dropped:
            text = f"{len(dropped)} columns about people were not read"
            yield Finding("columns.dropped", "file", text)
        if self.is_assumed:
            if self.own_zone is None:
                text = "times are not in UTC columns; set the time zone the report was asked for"
                yield Finding("zone.unknown", "file", text)
            else:
                text = f"times are not in UTC columns; they are read as {self.own_zone}"
                yield Finding("zone.assumed", "file", text)
        if self.mark == ",":
            yield Finding("decimals.decided", "file", "amounts have a decimal comma")

    def line(self, position: int, number: int, cells: list[str]) -> Line:
        raw = cells[self.category].strip().lower()
        if not raw:
            raise CellRefused("reporting_category", "empty; the row says not what it is")
        code = currency(cells[self.currency], "currency")
        gross = self._amount(cells[self.gross], code, "gross")
        net = self._amount(cells[self.net], code, "net")
        cost = cells[self.fee]
        fee = -self._amount(cost, code, "fee") if cost else net - gross
        batch = reference(cells[self.batch], "payout_id")
        if gross + fee != net:
            text = (
                f"{said(gross, code)} with fees of {said(fee, code)} make"
                f" {said(gross + fee, code)}, the net is {said(net, code)}"
            )
            self.found.append(Finding("net.difference", f"line {number}", text, batch))
        kind = CATEGORIES.get(raw)
        if kind is None:
            kind = self._unknown(raw, number, batch)
        elif kind is LineKind.RESERVE_HELD and net > 0:
            kind = LineKind.RESERVE_RELEASED
        gross_code = code
        if other := cells[self.facing_currency].strip():
            other, told = currency(other, "customer_facing_currency"), cells[self.facing]
            if other != code and told:
                amount = abs(self._amount(told, other, "customer_facing_amount"))
                gross_code, gross = other, amount if gross >= 0 else -amount
        source = reference(cells[self.source], "source_id")
        return Line(
            position=position,
            line=number,
            batch=batch,
            kind=kind,
            raw_type=words(raw),
            currency=code,
            net_minor=net,
            gross_currency=gross_code,
            gross_minor=gross,
            fee_minor=fee,
            fees=(Fee(FeeKind.TOTAL, fee),) if fee else (),
            occurred_at=self._at(cells, self.created, "created"),
            booked_at=self._at(cells, self.available, "available_on"),
            settled_at=self._at(cells, self.settled, "effective_at"),
            transaction_ref=reference(cells[self.transaction], "balance_transaction_id"),
            payment_ref=reference(cells[self.charge], "charge_id")
            or (source if kind is LineKind.CAPTURE else "")
            or reference(cells[self.intent], "payment_intent_id"),
            refund_ref=source if kind in REFUNDS else "",
            dispute_ref=source if kind in DISPUTES else "",
            payout_ref=(source or batch) if kind in PAYOUTS else batch,
            merchant_ref=words(cells[self.merchant]),
            account=reference(cells[self.account], "connected_account") or self.options.account,
            seller_ref=reference(cells[self.seller], "connected_account_id"),
            method=words(cells[self.method]),
            description=words(cells[self.description]),
        )

    def _amount(self, text: str, code: str, column: str) -> int:
        if self.mark == ".":
            return minor(text, code, column)
        return localised(text, code, column, mark=",")

    def _time(self, columns: Columns, *names: str) -> tuple[int, tzinfo | None]:
        """The column in UTC where there is one, else that on the clock of the report."""
        if (place := columns.at(*(f"{name}_utc" for name in names))) >= 0:
            return place, UTC
        place = columns.at(*names)
        self.is_assumed |= place >= 0
        return place, self.own_zone

    @staticmethod
    def _at(cells: list[str], where: tuple[int, tzinfo | None], column: str) -> datetime | None:
        place, at = where
        return moment(cells[place], at, column)

    def _unknown(self, raw: str, number: int, batch: str) -> LineKind:
        if raw not in self.unknown and len(self.unknown) < 100:
            self.unknown.add(raw)
            text = f"the reporting category {excerpt(raw)} is not known here; kept as other"
            self.found.append(Finding("type.unknown", f"line {number}", text, batch))
        return LineKind.OTHER


def _mark(table: Table, columns: Columns, names: tuple[str, ...], options: ReadOptions) -> str:
    """The report was asked for with a decimal point or a comma; the first rows tell."""
    if options.decimal_mark:
        return options.decimal_mark
    places = [place for name in names if (place := columns.at(name)) >= 0]
    for line, cells in table.head:
        if line > columns.line and any(
            place < len(cells) and COMMA.fullmatch(cells[place]) for place in places
        ):
            return ","
    return "."
