"""What a CSV looks like before it is imported: first rows, a guessed mapping, and why (F18).

A guess is for a person to look at. Where two readings fit equally, that is a doubt and not a
choice: 03/04/2026 is left for the person to decide.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from dataclasses import dataclass, replace

from payops.formats.bank import days, words
from payops.formats.bank.base import Entry, FileRefused, ReadOptions, Reject, Source
from payops.formats.bank.csv_rows import read
from payops.formats.bank.lines import FALLBACK, HEAD, encoding_of
from payops.formats.bank.mappings import (
    COLUMN_MAX,
    CREDIT_WORDS,
    DEBIT_WORDS,
    DELIMITERS,
    Mapping,
    MappingRefused,
    SignStyle,
    mapping_of,
)

ROWS_SHOWN = 20
ROWS_LOOKED_AT = 400
CELL_SHOWN = 60
DELIMITER_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
# Header words of banks in eight languages; the first role that fits wins, in this order.
HEADERS: tuple[tuple[str, str], ...] = (
    (
        "value_on",
        r"value ?date|valuta.*|wert(stellung|datum).*|date (de )?valeur|fecha valor|"
        r"rentedatum|data valuta|data waluty|interest date|val\.? ?date",
    ),
    (
        "booked_on",
        r"date|datum|buchung(stag|sdatum)?|booking ?date|posting ?date|posted|"
        r"transaction ?date|completed date|date (d.)?op.ration|date comptable|fecha.*|"
        r"boekdatum|boekingsdatum|data( operacji| contabile| ksi.gowania)?|bokf.*",
    ),
    (
        "indicator",
        r"d/?c|c/?d|s/?h|dr/?cr|cr/?dr|debit/credit|credit/debit|soll/haben|af ?bij|"
        r"debit or credit|dc|sign|credit debit indicator",
    ),
    (
        "debit",
        r"debit( amount)?|d.bit|withdrawals?|paid out|money out|soll|cargo|uitgaven|"
        r"belastung|dare|addebiti|out",
    ),
    (
        "credit",
        r"credit( amount)?|cr.dit|deposits?|paid in|money in|haben|abono|inkomsten|"
        r"gutschrift|avere|accrediti|in",
    ),
    ("balance", r"(running |account |closing )?balance|saldo.*|solde|kontostand"),
    ("currency", r"currency|ccy|w.hrung|devise|divisa|moneda|valuta|munt|waluta|cur"),
    ("amount", r"amount|betrag|montant|importe|bedrag|importo|kwota|umsatz|value|net|belopp"),
    (
        "counterparty_account",
        r".*(iban|account).*(partner|counter.*|other|beneficiary|payee).*|"
        r"(partner|counter.*|other|beneficiary|payee).*(iban|account).*|"
        r"tegenrekening|kontonummer|bank account|iban",
    ),
    ("counterparty_bank", r".*\b(bic|swift|blz)\b.*"),
    (
        "counterparty",
        r".*(partner|counterparty|payee|payer|beg.nstigter|zahlungspfl.*|empf.nger|"
        r"auftraggeber|beneficiary|naam|name|contrepartie|nadawca).*",
    ),
    ("end_to_end", r".*end.?to.?end.*"),
    ("customer_reference", r"(customer|own|your|kunden).*ref.*"),
    ("bank_reference", r"(bank|transaction|unique)?.*(ref(erence|erenz)?|transaction id|id)"),
    ("code", r"(transaction )?(type|code)|buchungstext|transaktionstyp"),
    (
        "remittance",
        r"desc.*|label|memo|details?|purpose|verwendungszweck|libell.|narrative|"
        r"concepto|omschrijving|causale|descrizione|tytu.*|communication|text|notes?",
    ),
)
AMOUNT = re.compile(r"\(?[+-]?[0-9][0-9.,' \u00a0\u202f]*[+-]?\)?")
DAY = re.compile(r"[0-9]{1,4}[-./][0-9]{1,2}[-./][0-9]{1,4}([ T].*)?|[0-9]{8}")


@dataclass(frozen=True, slots=True)
class Preview:
    """`mapping` is as good as the guess; `reasons` say why, `doubts` what a person must decide.

    `rows` are raw cells of the first lines, each cut; `entries` and `rejects` what the mapping
    makes of them, empty while it cannot be used.
    """

    mapping: Mapping
    reasons: tuple[str, ...]
    doubts: tuple[str, ...]
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    entries: tuple[Entry, ...] = ()
    rejects: tuple[Reject, ...] = ()


def preview(
    source: Source,
    *,
    mapping: Mapping | None = None,
    currency: str = "",
    rows_shown: int = ROWS_SHOWN,
) -> Preview:
    """Of the first 64 KB. With a mapping it is taken as it is; `currency` is that of the account,
    for files without a column of it. Raises FileRefused."""
    head = source.read(HEAD)
    is_whole = len(head) < HEAD
    if not head.strip():
        raise FileRefused("the file is empty")
    guess = _Guess(head, is_whole)
    if mapping is not None:
        seen = Preview(mapping, ("The saved mapping is used.",), (), (), ())
    else:
        seen = guess.preview(currency)
    cut = head if is_whole else head[: head.rfind(b"\n") + 1]
    shown = guess.rows[:rows_shown]
    seen = replace(
        seen,
        header=seen.header or tuple(words.cleaned(each, CELL_SHOWN) for each in guess.header),
        rows=tuple(tuple(words.cleaned(each, CELL_SHOWN) for each in row[:64]) for row in shown),
    )
    try:
        usable = mapping_of(seen.mapping.values())
    except MappingRefused as refused:
        return replace(seen, doubts=(*seen.doubts, str(refused)))
    if not is_whole:
        usable = replace(usable, trailer_rows=0)
    entries: list[Entry] = []
    rejects: list[Reject] = []
    for event in read(io.BytesIO(cut), ReadOptions(mapping=usable.values())):
        if isinstance(event, Entry):
            entries.append(event)
        elif isinstance(event, Reject):
            rejects.append(event)
        if len(entries) + len(rejects) >= rows_shown:
            break
    return replace(seen, entries=tuple(entries), rejects=tuple(rejects))


class _Guess:
    def __init__(self, head: bytes, is_whole: bool) -> None:
        self.reasons: list[str] = []
        self.doubts: list[str] = []
        self.is_whole = is_whole
        self.encoding = encoding_of(head)
        if self.encoding == "utf-8" and not _is_utf8(head):
            self.encoding = "windows-1252"
            self.reasons.append("The bytes are no UTF-8, so it is read as windows-1252.")
        else:
            self.reasons.append(f"The bytes are {self.encoding}.")
        text = head.decode(self.encoding, FALLBACK if "utf-8" in self.encoding else "ignore")
        lines = text.lstrip("\ufeff").splitlines()
        self.lines = lines[:ROWS_LOOKED_AT] if is_whole else lines[:-1][:ROWS_LOOKED_AT]
        self.delimiter = self._delimiter()
        self.table = list(_parsed(self.lines, self.delimiter))
        self.header_at = self._header()
        self.header: list[str] = []
        self.rows: list[list[str]] = []
        if self.header_at is None:
            self.rows = [row for row in self.table if any(row)]
        else:
            self.header = self.table[self.header_at]
            self.rows = [row for row in self.table[self.header_at + 1 :] if any(row)]

    def preview(self, currency: str) -> Preview:
        columns = self._columns()
        trailer = self._trailer()
        if trailer:
            self.rows = self.rows[:-trailer]
        style = self._style(columns)
        mark, order = self._mark(columns), self._order(columns)
        mapping = Mapping(
            columns={role: (name,) for role, name in columns.items()},
            delimiter=self.delimiter,
            encoding=self.encoding,
            has_header=self.header_at is not None,
            skip_lines=self.header_at or 0,
            trailer_rows=trailer,
            decimal_mark=mark,
            date_order=order,
            sign_style=style,
            currency="" if "currency" in columns else currency,
        )
        return Preview(mapping, tuple(self.reasons), tuple(self.doubts), (), ())

    def _delimiter(self) -> str:
        """The one that cuts most lines into the same number of cells, the more the better."""
        scores: dict[str, tuple[int, int]] = {}
        for mark in DELIMITERS:
            widths = Counter(len(row) for row in _parsed(self.lines, mark) if len(row) > 1)
            width, count = max(widths.items(), key=lambda each: each[0] * each[1], default=(0, 0))
            scores[mark] = (count * width, width)
        best = max(scores, key=lambda mark: scores[mark])
        if not scores[best][0]:
            self.doubts.append("No delimiter cuts the lines into columns.")
            return ","
        self.reasons.append(
            f"A {DELIMITER_NAMES[best]} cuts most lines into {scores[best][1]} cells."
        )
        return best

    def _header(self) -> int | None:
        widths = Counter(len(row) for row in self.table if len(row) > 1)
        usual = widths.most_common(1)[0][0] if widths else 0
        for place, row in enumerate(self.table[:60]):
            known = sum(_role(each) is not None for each in row)
            if known >= 2 and len(row) >= min(usual, 2) and not any(_is_data(e) for e in row):
                above = f"; {place} lines stand above it" if place else ""
                self.reasons.append(
                    f"Line {place + 1} names {known} columns a bank statement has{above}."
                )
                return place
        self.doubts.append("No line looks like a header; choose the columns by their place.")
        return None

    def _columns(self) -> dict[str, str]:
        columns: dict[str, str] = {}
        for name in self.header:
            role = _role(name)
            if role == "booked_on" and "booked_on" in columns and "value_on" not in columns:
                role = "value_on"
            if role is not None and role not in columns:
                columns[role] = name.strip()
        if "debit" in columns and "credit" in columns and "amount" in columns:
            columns.pop("amount")
        for role, name in columns.items():
            self.reasons.append(f'Column "{words.cleaned(name, 40)}" is read as {role}.')
        return columns

    def _cells(self, columns: dict[str, str], *roles: str) -> list[str]:
        places = [self.header.index(each) for each in self.header if self._is(each, columns, roles)]
        return [
            row[place].strip()
            for row in self.rows
            for place in places
            if place < len(row) and row[place].strip()
        ]

    def _is(self, name: str, columns: dict[str, str], roles: tuple[str, ...]) -> bool:
        return any(columns.get(role) == name.strip() for role in roles)

    def _style(self, columns: dict[str, str]) -> SignStyle:
        if "debit" in columns and "credit" in columns:
            self.reasons.append("Money in and money out have a column each.")
            return SignStyle.DEBIT_CREDIT
        said = {each.upper() for each in self._cells(columns, "indicator")}
        if said and said <= {*CREDIT_WORDS, *DEBIT_WORDS}:
            self.reasons.append(f"A column says {' or '.join(sorted(said))[:40]}.")
            return SignStyle.INDICATOR
        amounts = self._cells(columns, "amount")
        if amounts and not any("-" in each or "(" in each for each in amounts):
            self.doubts.append("No amount has a sign; say whether plus is money in or money out.")
        return SignStyle.SIGNED

    def _mark(self, columns: dict[str, str]) -> str:
        """The last mark before one or two digits, or the one behind another."""
        votes: Counter[str] = Counter()
        for cell in self._cells(columns, "amount", "debit", "credit", "balance"):
            digits = cell.strip("()+- ")
            last = max(digits.rfind("."), digits.rfind(","))
            if last < 0:
                continue
            mark, behind = digits[last], len(digits) - last - 1
            other = "," if mark == "." else "."
            if digits.count(mark) > 1:
                votes[other] += 1
            elif other in digits or behind != 3:
                votes[mark] += 1
        if not votes:
            self.doubts.append("No amount shows which mark separates the decimals.")
            return "."
        (mark, count), *rest = votes.most_common()
        if rest:
            self.doubts.append("Some amounts have a decimal comma and others a decimal point.")
        self.reasons.append(f'{count} amounts have "{mark}" before their decimals.')
        return mark

    def _order(self, columns: dict[str, str]) -> str:
        cells = self._cells(columns, "booked_on", "value_on")
        fits = [order for order in days.ORDERS if cells and all(_reads(e, order) for e in cells)]
        if not fits:
            self.doubts.append("The dates do not all read in one order of day, month and year.")
            return days.YMD
        if len(fits) > 1:
            same = len({tuple(days.ordered(e, order) for e in cells) for order in fits}) == 1
            if not same:
                self.doubts.append(
                    f"The dates read as {' and as '.join(fits)}; choose which the bank means."
                )
        self.reasons.append(f"{len(cells)} dates read in the order {fits[0]}.")
        return fits[0]

    def _trailer(self) -> int:
        """Rows at the end that are no lines of the account, where the end is in sight."""
        if not self.is_whole or self.header_at is None:
            return 0
        count = 0
        for row in reversed(self.rows):
            if len(row) == len(self.header) and any(DAY.fullmatch(e.strip()) for e in row):
                break
            count += 1
        if count and count < len(self.rows):
            self.reasons.append(f"The last {count} rows hold no date and are left out.")
            return count
        return 0


def _parsed(lines: list[str], delimiter: str) -> list[list[str]]:
    found = []
    for line in lines:
        try:
            found.append(next(csv.reader([line], delimiter=delimiter), []))
        except csv.Error:
            found.append([])
    return found


def _role(name: str) -> str | None:
    said = " ".join(name.replace("\ufeff", "").replace("_", " ").split()).casefold()
    if not said or len(said) > COLUMN_MAX:
        return None
    return next((role for role, known in HEADERS if re.fullmatch(known, said)), None)


def _is_data(cell: str) -> bool:
    return bool(AMOUNT.fullmatch(cell.strip()) or DAY.fullmatch(cell.strip()))


def _reads(cell: str, order: str) -> bool:
    try:
        days.ordered(cell, order)
    except days.DayRefused:
        return False
    return True


def _is_utf8(head: bytes) -> bool:
    """A character cut at the end of the head is none of its faults."""
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start >= len(head) - 4 and len(head) == HEAD
    return True
