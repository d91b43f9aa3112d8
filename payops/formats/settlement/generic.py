"""The settlement CSV of the product, for providers without a reader of their own.

Its columns, an example and its rules are in docs/howto/settlement-csv.md (RC-13).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo

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

NEEDED = ("batch", "type", "currency", "net")
TEXTS = (
    *("transaction_ref", "payment_ref", "refund_ref", "dispute_ref", "payout_ref"),
    *("merchant_ref", "account", "seller_ref", "method", "description"),
)
TIMES = ("occurred_at", "booked_at", "settled_at")
COLUMNS = (*NEEDED, "gross", "gross_currency", "fee", "rate", *TIMES, "time_zone", *TEXTS)
KINDS = {kind.value: kind for kind in LineKind}


def sniff(head: Sequence[Row]) -> Columns | None:
    return header(head, NEEDED)


def read(table: Table, columns: Columns, options: ReadOptions) -> Events:
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


class Reader:
    def __init__(self, columns: Columns, options: ReadOptions) -> None:
        for name in NEEDED:
            columns.need(name)
        self.at = {name: columns.at(name) for name in COLUMNS}
        self.options = options
        self.own_zone = zone(options.time_zone) if options.time_zone else None
        self.found: list[Finding] = []
        self.is_zone_told = False

    def line(self, position: int, number: int, cells: list[str]) -> Line:
        told = {name: cells[place] for name, place in self.at.items()}
        raw = told["type"].strip().lower()
        if raw not in KINDS:
            raise CellRefused("type", f"none of {', '.join(KINDS)}", told["type"])
        code = currency(told["currency"], "currency")
        net = minor(told["net"], code, "net")
        fee = minor(told["fee"], code, "fee") if told["fee"] else 0
        gross_code, gross = code, net - fee
        if told["gross"]:
            named = told["gross_currency"]
            gross_code = currency(named, "gross_currency") if named else code
            gross = minor(told["gross"], gross_code, "gross")
        if gross_code == code and gross + fee != net:
            text = (
                f"{said(gross, code)} with fees of {said(fee, code)} make"
                f" {said(gross + fee, code)}, the net is {said(net, code)}"
            )
            self.found.append(Finding("net.difference", f"line {number}", text, told["batch"]))
        clock = self._clock(told["time_zone"])
        occurred, booked, settled = (
            self._moment(told[name], clock, name, number) for name in TIMES
        )
        return Line(
            position=position,
            line=number,
            batch=reference(told["batch"], "batch"),
            kind=KINDS[raw],
            raw_type=raw,
            currency=code,
            net_minor=net,
            gross_currency=gross_code,
            gross_minor=gross,
            fee_minor=fee,
            fees=(Fee(FeeKind.TOTAL, fee),) if fee else (),
            rate=rate(told["rate"], "rate"),
            occurred_at=occurred,
            booked_at=booked,
            settled_at=settled,
            transaction_ref=reference(told["transaction_ref"], "transaction_ref"),
            payment_ref=reference(told["payment_ref"], "payment_ref"),
            refund_ref=reference(told["refund_ref"], "refund_ref"),
            dispute_ref=reference(told["dispute_ref"], "dispute_ref"),
            payout_ref=reference(told["payout_ref"], "payout_ref"),
            merchant_ref=words(told["merchant_ref"]),
            account=reference(told["account"], "account") or self.options.account,
            seller_ref=reference(told["seller_ref"], "seller_ref"),
            method=words(told["method"]),
            description=words(told["description"]),
        )

    def _clock(self, name: str) -> tzinfo | None:
        if not name:
            return self.own_zone
        found = zone(name)
        if found is None:
            raise CellRefused("time_zone", "no time zone such as Europe/Paris or +01:00", name)
        return found

    def _moment(self, text: str, clock: tzinfo | None, column: str, number: int) -> datetime | None:
        found = moment(text, clock, column)
        if found is None and text and not self.is_zone_told:
            self.is_zone_told = True
            why = f"{excerpt(text)} has no time zone, nor has the account; times are left out"
            self.found.append(Finding("zone.unknown", f"line {number}", why))
        return found
