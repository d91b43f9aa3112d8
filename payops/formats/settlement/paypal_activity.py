"""PayPal's activity download and its statement as CSV, in the languages people have (RC-13).

Such a file is day-first or month-first, with a decimal point or a comma, as the account it was
made in is set, and does not say which. Both are decided by evidence in the file, told as a
finding with the reason; where the file leaves it open, the reader asks instead of guessing. The
running balance of each currency shows whether rows are missing. Names and addresses are not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from itertools import chain, islice, pairwise

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
from payops.formats.settlement.table import Columns, Row, Table, below, plain_name
from payops.formats.settlement.values import (
    LOCAL_DAY,
    CellRefused,
    currency,
    local_moment,
    localised,
    reference,
    said,
    words,
    zone,
)

EVIDENCE_ROWS = 5_000
ORDERS = ("DMY", "MDY", "YMD")
NAMES: dict[str, tuple[str, ...]] = {
    "date": ("date", "datum", "fecha", "data"),
    "time": ("time", "uhrzeit", "heure", "hora", "ora", "orario", "tijd"),
    "zone": (
        "timezone", "time zone", "zeitzone", "fuseau horaire", "zona horaria", "huso horario",
        "fuso orario", "tijdzone", "fuso horário",
    ),
    "type": (
        "type", "description", "typ", "beschreibung", "tipo", "descripción", "descrizione",
        "omschrijving", "descrição",
    ),
    "status": ("status", "état", "etat", "estado", "stato"),
    "currency": ("currency", "währung", "devise", "divisa", "moneda", "valuta", "moeda"),
    "gross": (
        "gross", "brutto", "avant commission", "brut", "bruto", "lordo", "valor bruto",
    ),
    "fee": ("fee", "fees", "gebühr", "entgelt", "commission", "tarifa", "comisión", "tariffa",
            "kosten", "taxa"),
    "net": ("net", "netto", "neto", "líquido"),
    "balance": ("balance", "guthaben", "solde", "saldo"),
    "transaction": (
        "transaction id", "transaktionscode", "numéro de transaction", "id. de transacción",
        "identificador de transacción", "codice transazione", "transactiereferentie",
        "id da transação",
    ),
    "reference": (
        "reference txn id", "zugehöriger transaktionscode", "id. de referencia de trans.",
        "numéro de la transaction de référence", "codice transazione di riferimento",
    ),
    "invoice": (
        "invoice number", "invoice id", "rechnungsnummer", "numéro de facture",
        "número de factura", "numero fattura", "factuurnummer",
    ),
    "custom": ("custom number", "individuelle nummer", "número personalizado"),
    "impact": ("balance impact", "auswirkung auf guthaben", "impact sur le solde"),
}  # fmt: skip
NEEDED = ("date", "time", "type", "currency", "gross", "fee", "net", "transaction")
NO_IMPACT = ("memo", "mémo")
UNDONE = ("pending", "denied", "ausstehend", "abgelehnt", "en attente", "pendiente", "in sospeso")
COMMA_LAST = re.compile(r"[^,]*[0-9],[0-9]{1,2}|.*\.[0-9]{3},[0-9]+")
POINT_LAST = re.compile(r"[^.]*[0-9]\.[0-9]{1,2}|.*,[0-9]{3}\.[0-9]+")


@dataclass(frozen=True, slots=True)
class Way:
    """How the file writes days and amounts, and why that is thought."""

    order: str
    mark: str
    findings: tuple[Finding, ...]


def sniff(head: Sequence[Row]) -> Columns | None:
    for line, cells in head:
        named = {plain_name(cell) for cell in cells}
        if all(named & set(NAMES[name]) for name in NEEDED):
            return Columns(line, cells)
    return None


def read(table: Table, columns: Columns, options: ReadOptions) -> Events:
    rows = below(table, columns)
    looked_at = list(islice(rows, EVIDENCE_ROWS))
    at = {name: columns.at(*names) for name, names in NAMES.items()}
    way = _way(looked_at, at, options)
    yield from way.findings
    reader = Reader(at, way, options)
    for number, cells in chain(looked_at, rows):
        try:
            line = reader.line(number, cells)
        except CellRefused as refused:
            yield Reject(number, refused.column, refused.why, refused.shown)
            continue
        if line is not None:
            yield line
        if reader.found:
            yield from reader.found
            reader.found = []
    yield from reader.end()


class Reader:
    def __init__(self, at: dict[str, int], way: Way, options: ReadOptions) -> None:
        self.at, self.way, self.options = at, way, options
        self.position = self.undone = 0
        self.found: list[Finding] = []
        self.zones: dict[str, tzinfo | None] = {}
        self.unknown: set[str] = set()
        self.balances: dict[str, Running] = {}

    def line(self, number: int, cells: list[str]) -> Line | None:
        """None for a row that moved no money: pending, denied, a memo."""
        if self._cell(cells, "impact").casefold() in NO_IMPACT or (
            self._cell(cells, "status").casefold().startswith(UNDONE)
        ):
            self.undone += 1
            return None
        mark = self.way.mark
        code = currency(self._cell(cells, "currency"), "Currency")
        gross = localised(self._cell(cells, "gross"), code, "Gross", mark=mark)
        net = localised(self._cell(cells, "net"), code, "Net", mark=mark)
        told_fee = self._cell(cells, "fee")
        fee = localised(told_fee, code, "Fee", mark=mark) if told_fee else 0
        raw = words(self._cell(cells, "type"))
        if gross + fee != net:
            text = (
                f"{said(gross, code)} with fees of {said(fee, code)} make"
                f" {said(gross + fee, code)}, the net is {said(net, code)}"
            )
            self.found.append(Finding("net.difference", f"line {number}", text))
        occurred = local_moment(
            self._cell(cells, "date"),
            self._cell(cells, "time"),
            self._zone(self._cell(cells, "zone"), number),
            self.way.order,
            "Date",
        )
        balance = self._cell(cells, "balance")
        if balance:
            stated = localised(balance, code, "Balance", mark=mark)
            self.balances.setdefault(code, Running()).add(net, stated, number)
        kind = paypal_codes.by_words(raw, comes_in=net >= 0)
        if kind is None:
            kind = self._unknown(raw, number)
        transaction = reference(self._cell(cells, "transaction"), "Transaction ID")
        other = reference(self._cell(cells, "reference"), "Reference Txn ID")
        is_payout = kind in (LineKind.PAYOUT, LineKind.PAYOUT_RETURNED)
        is_dispute = kind in (LineKind.CHARGEBACK, LineKind.CHARGEBACK_REVERSAL)
        is_refund = kind in (LineKind.REFUND, LineKind.REFUND_REVERSAL)
        self.position += 1
        return Line(
            position=self.position,
            line=number,
            batch="",
            kind=kind,
            raw_type=raw,
            currency=code,
            net_minor=net,
            gross_currency=code,
            gross_minor=gross,
            fee_minor=fee,
            fees=(Fee(FeeKind.TOTAL, fee),) if fee else (),
            occurred_at=occurred,
            booked_at=occurred,
            transaction_ref=transaction,
            payment_ref=transaction if kind is LineKind.CAPTURE else ("" if is_payout else other),
            refund_ref=transaction if is_refund else "",
            dispute_ref=transaction if is_dispute else "",
            payout_ref=transaction if is_payout else "",
            merchant_ref=words(self._cell(cells, "invoice") or self._cell(cells, "custom")),
            account=self.options.account,
        )

    def end(self) -> Iterator[Finding]:
        if self.undone:
            text = f"{self.undone:,} rows are pending, denied or memos and moved no money"
            yield Finding("rows.pending", "file", text)
        for code, running in self.balances.items():
            yield from running.difference(code)

    def _cell(self, cells: list[str], name: str) -> str:
        return cells[self.at[name]].strip()

    def _zone(self, name: str, number: int) -> tzinfo | None:
        if name in self.zones:
            return self.zones[name]
        found = zone(name) if name else None
        if found is None and self.options.time_zone:
            found = zone(self.options.time_zone)
            text = f"the file names no zone known here; that of the account is used: {found}"
            self.found.append(Finding("zone.assumed", f"line {number}", text))
        elif found is None:
            text = f"the time zone {excerpt(name)} is not known here; set that of the account"
            self.found.append(Finding("zone.unknown", f"line {number}", text))
        if len(self.zones) < 1_000:
            self.zones[name] = found
        return found

    def _unknown(self, raw: str, number: int) -> LineKind:
        if raw not in self.unknown and len(self.unknown) < 100:
            self.unknown.add(raw)
            text = f"the description {excerpt(raw)} is not known here; its lines are kept as other"
            self.found.append(Finding("type.unknown", f"line {number}", text))
        return LineKind.OTHER


class Running:
    """The balance after each row, in a file that runs forwards or backwards in time."""

    def __init__(self) -> None:
        self.net = self.stated = self.rows = 0
        self.breaks = {"forwards": 0, "backwards": 0}
        self.first = {"forwards": 0, "backwards": 0}

    def add(self, net: int, stated: int, number: int) -> None:
        if self.rows:
            self._see("forwards", self.stated + net == stated, number)
            self._see("backwards", stated + self.net == self.stated, number)
        self.net, self.stated, self.rows = net, stated, self.rows + 1

    def difference(self, code: str) -> Iterator[Finding]:
        way = min(self.breaks, key=lambda each: self.breaks[each])
        if self.breaks[way]:
            text = (
                f"the balance in {code} does not follow from the row before it in"
                f" {self.breaks[way]:,} of {self.rows:,} rows, first in line {self.first[way]};"
                " rows are missing, or the download is not of all that moves the balance"
            )
            yield Finding("balance.difference", f"line {self.first[way]}", text)

    def _see(self, way: str, follows: bool, number: int) -> None:
        if not follows:
            self.breaks[way] += 1
            self.first[way] = self.first[way] or number


def _way(rows: Sequence[Row], at: dict[str, int], options: ReadOptions) -> Way:
    findings: list[Finding] = []
    order, why = _order([cells[at["date"]].strip() for _, cells in rows], options)
    if why:
        findings.append(Finding("days.decided", "file", why))
    amounts = [cells[at[name]].strip() for _, cells in rows for name in ("gross", "fee", "net")]
    mark, why = _mark(amounts, options)
    if why:
        findings.append(Finding("decimals.decided", "file", why))
    return Way(order, mark, tuple(findings))


def _order(days: Sequence[str], options: ReadOptions) -> tuple[str, str]:
    if options.day_order:
        if options.day_order not in ORDERS:
            raise FileRefused(f"the order of days is one of {', '.join(ORDERS)}")
        return options.day_order, ""
    parts = [match.groups() for day in days if (match := LOCAL_DAY.fullmatch(day))]
    if any(len(first) == 4 for first, _, _ in parts):
        return "YMD", ""
    if parts and all("." in day for day in days if day):
        return "DMY", "days are read day-first: they are written with points"
    first_big = sum(int(first) > 12 for first, _, _ in parts)
    second_big = sum(int(second) > 12 for _, second, _ in parts)
    if first_big and second_big:
        raise FileRefused(
            f"{first_big} days have a first number above 12 and {second_big} a second one; the"
            " file was put together from two downloads"
        )
    if first_big or second_big:
        order, name, count = ("DMY", "first", first_big) if first_big else (
            "MDY", "second", second_big)  # fmt: skip
        reading = "day-first" if first_big else "month-first"
        return order, f"days are read {reading}: {count:,} have a {name} number above 12"
    sorted_as = [order for order in ("DMY", "MDY") if _is_sorted(parts, order)]
    if len(sorted_as) == 1 and len(set(parts)) > 2:
        reading = "day-first" if sorted_as[0] == "DMY" else "month-first"
        return sorted_as[0], f"days are read {reading}: only so do the rows stand in order"
    if not parts:
        return "DMY", ""
    raise FileRefused(
        "the days of this file can be read day-first and month-first; choose which, as the"
        " language of the account it was downloaded from is set"
    )


def _is_sorted(parts: Sequence[tuple[str, ...]], order: str) -> bool:
    day, month = (0, 1) if order == "DMY" else (1, 0)
    keys = [(int(each[2]), int(each[month]), int(each[day])) for each in parts]
    return all(a <= b for a, b in pairwise(keys)) or all(a >= b for a, b in pairwise(keys))


def _mark(amounts: Sequence[str], options: ReadOptions) -> tuple[str, str]:
    if options.decimal_mark:
        if options.decimal_mark not in (".", ","):
            raise FileRefused("the decimal mark is a point or a comma")
        return options.decimal_mark, ""
    commas = sum(bool(COMMA_LAST.fullmatch(text)) for text in amounts)
    points = sum(bool(POINT_LAST.fullmatch(text)) for text in amounts)
    if commas and points:
        raise FileRefused(
            f"{commas:,} amounts have a decimal comma and {points:,} a decimal point; the file"
            " was put together from two downloads"
        )
    if commas:
        return ",", f"amounts are read with a decimal comma: {commas:,} end so"
    if points:
        return ".", f"amounts are read with a decimal point: {points:,} end so"
    if any("," in text or "." in text for text in amounts):
        raise FileRefused(
            "the amounts of this file can be read with a decimal point and with a comma; choose"
        )
    return ".", ""
