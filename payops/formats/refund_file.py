"""Files of refunds to ask for: one per line, with a header. Bytes in, rows and rejects out.

Names what cannot be read by line and column; whether there is such a charge, and what may be given
back, is the flow's to say. No database, no clock. Serves F8, RF-1, D17.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass

from payops.core.money import Money, MoneyError

BYTES_MAX = 512 * 1024
ROWS_MAX = 500
REJECTS_MAX = 200
CELL_CHARS_MAX = 400
ALL = "all"
NEEDED = ("payment", "amount", "reason_code")
OPTIONAL = ("currency", "account", "note")
EVIDENCE = "evidence_"
HEADERS = {
    "payment": ("payment", "charge", "payment_id"),
    "amount": ("amount",),
    "currency": ("currency",),
    "reason_code": ("reason_code", "reason"),
    "account": ("account", "provider_account"),
    "note": ("note", "comment"),
}
EVIDENCE_NAME = re.compile(r"evidence_[a-z0-9_]{1,48}", re.ASCII)
AMOUNT = re.compile(r"(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,4})?", re.ASCII)
CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
ACCOUNT = re.compile(r"[a-z0-9_-]{1,32}/[A-Za-z0-9_-]{1,64}", re.ASCII)
SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab"}
UTF16 = (b"\xff\xfe", b"\xfe\xff")


class FileRefused(ValueError):
    """The file as a whole cannot be read; the text says why and what would do."""


@dataclass(frozen=True, slots=True)
class Row:
    """One refund to ask for, as written; `amount` None is all that is left."""

    line: int
    payment: str
    amount: Money | None
    reason_code: str
    note: str
    account: str
    evidence: dict[str, str]


@dataclass(frozen=True, slots=True)
class Reject:
    """A cell that cannot be taken; `column` is the header's word, "" where it is the whole line."""

    line: int
    column: str
    text: str
    why: str


@dataclass(frozen=True, slots=True)
class Reading:
    """`sha256` is that of the text: the same lines saved in another encoding are the same file."""

    rows: tuple[Row, ...]
    rejects: tuple[Reject, ...]
    sha256: str
    layout: str


def text_of(raw: bytes) -> str:
    """UTF-8 with or without its mark, or UTF-16 with one. Raises FileRefused."""
    if len(raw) > BYTES_MAX:
        raise FileRefused(f"the file has more than {BYTES_MAX // 1024} kB; split it")
    try:
        text = raw.decode("utf-16" if raw.startswith(UTF16) else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileRefused(
            f"byte {error.start + 1} is not {error.encoding.upper()}; save it as CSV in UTF-8"
        ) from error
    if "\x00" in text:
        raise FileRefused("the file is not text; save it as CSV in UTF-8")
    return text


def read(text: str) -> Reading:
    """Every line, or why not. Raises FileRefused where not even the header can be read."""
    text = _plain(text)
    if len(text.encode()) > BYTES_MAX:
        raise FileRefused(f"the file has more than {BYTES_MAX // 1024} kB; split it")
    separator = _separator(text)
    lines = _lines(text, separator)
    number, header = next(lines, (0, []))
    if not number:
        raise FileRefused("the file is empty; its first line names the columns")
    places = _places(header)
    rows: list[Row] = []
    rejects: list[Reject] = []
    for number, cells in lines:
        if len(rows) + len(rejects) > ROWS_MAX:
            raise FileRefused(f"the file has more than {ROWS_MAX} lines; split it")
        found = _row(number, cells, places)
        if isinstance(found, Row):
            rows.append(found)
        else:
            rejects += found
    if not rows and not rejects:
        raise FileRefused("the file has a header and no line below it")
    if len(rows) > ROWS_MAX:
        raise FileRefused(f"the file has more than {ROWS_MAX} lines; split it")
    return Reading(
        rows=tuple(rows),
        rejects=tuple(rejects[:REJECTS_MAX]),
        sha256=hashlib.sha256(text.encode()).hexdigest(),
        layout=f"separated by {SEPARATORS[separator]}",
    )


def _plain(text: str) -> str:
    """One way to end a line, whatever program saved it or form carried it."""
    return text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n").strip("\n") + "\n"


def _separator(text: str) -> str:
    first = text.partition("\n")[0]
    return max(SEPARATORS, key=first.count)


def _lines(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """(number of the line it begins on, cells); empty lines are left out."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    begins = 1
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise FileRefused(f"line {begins}: {error}; a quotation mark may be open") from error
        if any(cell.strip() for cell in cells):
            yield begins, [cell.strip() for cell in cells]
        begins = reader.line_num + 1


def _places(header: list[str]) -> dict[str, int]:
    """Column by its own name. Raises FileRefused."""
    places: dict[str, int] = {}
    for place, told in enumerate(header):
        word = told.lower().replace(" ", "_")
        name = next((name for name, words in HEADERS.items() if word in words), "")
        if not name and EVIDENCE_NAME.fullmatch(word):
            name = word
        if not name:
            raise FileRefused(
                f"column {place + 1} is {told[:40]!r}; there are {', '.join(NEEDED + OPTIONAL)}"
                f" and {EVIDENCE}… such as evidence_order_reference"
            )
        if name in places:
            raise FileRefused(f"column {place + 1} is {name} a second time")
        places[name] = place
    if missing := [name for name in NEEDED if name not in places]:
        raise FileRefused(f"the first line names no column {' and no '.join(missing)}")
    return places


def _row(line: int, cells: list[str], places: dict[str, int]) -> Row | list[Reject]:
    if len(cells) > len(places):
        text = cells[len(places)]
        return [Reject(line, "", text[:80], f"it has {len(cells)} cells, the header {len(places)}")]
    told = {name: cells[place] if place < len(cells) else "" for name, place in places.items()}
    rejects = [
        Reject(line, name, value[:80], why)
        for name, value in told.items()
        if (why := _why(name, value))
    ]
    if rejects:
        return rejects
    amount, currency = told["amount"], told.get("currency", "")
    money = None
    if amount.lower() != ALL:
        if not currency:
            return [Reject(line, "currency", "", "an amount needs its currency")]
        try:
            money = Money.from_decimal(amount, currency)
        except MoneyError as error:
            return [Reject(line, "amount", amount, str(error))]
        if money.minor <= 0:
            return [Reject(line, "amount", amount, "a refund gives back more than nothing")]
    return Row(
        line=line,
        payment=told["payment"],
        amount=money,
        reason_code=told["reason_code"],
        note=told.get("note", ""),
        account=told.get("account", ""),
        evidence={
            name.removeprefix(EVIDENCE): value
            for name, value in told.items()
            if name.startswith(EVIDENCE) and value
        },
    )


def _why(name: str, value: str) -> str:
    """Why a cell cannot be taken, "" when it can."""
    if len(value) > CELL_CHARS_MAX:
        return f"it has {len(value)} characters; {CELL_CHARS_MAX} fit"
    if not value.replace("\n", " ").isprintable():
        return "it holds control characters"
    if name in NEEDED and not value:
        return "it is empty"
    if name == "amount" and value.lower() != ALL and not AMOUNT.fullmatch(value):
        return 'write 30.00 with a point and without separators, or "all" for all that is left'
    if name == "currency" and value and not CURRENCY.fullmatch(value):
        return "write the ISO 4217 code, such as EUR"
    if name == "account" and value and not ACCOUNT.fullmatch(value):
        return "write provider/account, such as stripe/demo"
    return ""
