"""Reading a reference pack: the figures of a fixed period that finance signed, as CSV (RP-2, RP-3).

Bytes in, plain rows out. Every refusal names the line of the file, what was wrong and what is
expected; a file with one bad line gives no row at all. Knows no ledger: whether a line of a
statement or an account exists is looked up later.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass

from payops.core.money import Money, MoneyError, check_currency, exponent_of

BYTES_MAX = 10 * 1024 * 1024
ROWS_MAX = 5000
PROBLEMS_MAX = 50
CELL_MAX = 255
ENTRIES = "entries"
TRIAL_BALANCE = "trial_balance"
FIGURES = (TRIAL_BALANCE, "balance_sheet", "income_statement", "cash_flow", "cash_position")
REPORTING = "reporting"
NEEDED = ("statement", "currency", "amount")
COLUMNS = (
    *("statement", "line", "account", "party", "currency", "amount", "period"),
    *("reference", "event_class", "count", "reversals"),
)
DELIMITERS = ",;\t"
AMOUNT = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,6})?")
WHOLE = re.compile(r"[0-9]{1,9}")
PERIOD = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")
ACCOUNT = re.compile(r"[0-9A-Za-z.]{1,8}")
FORMULA = re.compile(r"[=+@|%\t\r\uff1d\uff0b\uff0d\uff20]|-(?![0-9])")
UNSEEN = re.compile("[\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True)
class PackRow:
    """One line of the pack, `row` its number in the file; amounts are minor units.

    A figure has statement, line or account, currency and amount. An expectation of entries has the
    statement "entries" and an event class with a count, or a reference to one entry.
    `currency` is an ISO code for its own amounts, or "reporting" for all currencies together.
    """

    row: int
    statement: str
    line: str = ""
    account: str = ""
    party: str = ""
    currency: str = ""
    amount_minor: int | None = None
    period: str = ""
    reference: str = ""
    event_class: str = ""
    count: int | None = None
    reversals: int | None = None

    @property
    def identity(self) -> tuple[str, ...]:
        """Two lines of a pack about the same thing contradict or repeat each other."""
        place = (self.line.lower(), self.account, self.party, self.currency)
        return (self.statement, *place, self.reference, self.event_class)


@dataclass(frozen=True, slots=True)
class Reading:
    """Rows, or problems; never both. `problems` are sentences that begin with the line."""

    rows: tuple[PackRow, ...]
    problems: tuple[str, ...]


class _Refused(ValueError):
    """What is wrong with one line."""


def read(content: bytes, *, reporting_currency: str, period: str) -> Reading:
    """The rows of the file; `period` is the one the pack is about, "2026-03"."""
    try:
        table = _table(content)
        names = _head(table[0][1])
    except _Refused as refusal:
        return Reading((), (str(refusal),))
    if len(table) == 1:
        return Reading((), ("Line 1: the file has a head and no row below it.",))
    if len(table) - 1 > ROWS_MAX:
        return Reading((), (f"The file has {len(table) - 1} rows; {ROWS_MAX} are accepted.",))
    rows: list[PackRow] = []
    problems: list[str] = []
    first: dict[tuple[str, ...], int] = {}
    for number, cells in table[1:]:
        try:
            row = _row(number, _named(names, cells), reporting_currency, period)
            if (known := first.setdefault(row.identity, number)) != number:
                raise _Refused(f"says the same thing as line {known}; keep one of them")
        except _Refused as refusal:
            problems.append(f"Line {number}: {refusal}.")
            continue
        rows.append(row)
    if len(problems) > PROBLEMS_MAX:
        more = f"and {len(problems) - PROBLEMS_MAX} more lines that cannot be read"
        problems = [*problems[:PROBLEMS_MAX], more]
    return Reading((), tuple(problems)) if problems else Reading(tuple(rows), ())


def _table(content: bytes) -> list[tuple[int, list[str]]]:
    """Lines that have something in them, each with its number."""
    if not content.strip():
        raise _Refused("The file is empty.")
    if len(content) > BYTES_MAX:
        raise _Refused(f"The file has {len(content)} bytes; {BYTES_MAX} are accepted.")
    if b"\x00" in content:
        line = content[: content.index(b"\x00")].count(b"\n") + 1
        raise _Refused(f"Line {line}: a NUL character; save the sheet as CSV in UTF-8.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise _Refused(f"Line {line}: not UTF-8; save the sheet as CSV in UTF-8.") from error
    head = text.split("\n", 1)[0]
    delimiter = max(DELIMITERS, key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    return list(_numbered(reader))


def _numbered(reader: Iterator[list[str]]) -> Iterator[tuple[int, list[str]]]:
    number = 1
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise _Refused(f"Line {number}: not CSV ({error}).") from error
        if any(cell.strip() for cell in cells):
            yield number, cells
        number = getattr(reader, "line_num", number) + 1


def _head(cells: list[str]) -> list[str]:
    names = [cell.strip().lower().replace(" ", "_") for cell in cells]
    while names and not names[-1]:
        names.pop()
    if unknown := [name[:40] for name in names if name not in COLUMNS]:
        raise _Refused(f"Line 1: unknown columns {unknown}; known are {', '.join(COLUMNS)}.")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise _Refused(f"Line 1: the columns {twice} stand there twice.")
    if missing := [name for name in NEEDED if name not in names]:
        raise _Refused(f"Line 1: the columns {missing} are missing.")
    if not {"line", "account"} & set(names):
        raise _Refused("Line 1: a column line or account is needed.")
    return names


def _named(names: list[str], cells: list[str]) -> dict[str, str]:
    if extra := [cell for cell in cells[len(names) :] if cell.strip()]:
        raise _Refused(f"{len(extra)} cells more than the head has columns")
    found = {}
    for name, cell in zip(names, cells, strict=False):
        text = cell.strip()
        if len(text) > CELL_MAX:
            raise _Refused(f"{name} has {len(text)} characters; {CELL_MAX} are accepted")
        if UNSEEN.search(text) or "\n" in text:
            raise _Refused(f"{name} contains characters nobody sees")
        if FORMULA.match(text):
            raise _Refused(f"{name} is a formula ({text[:30]}); paste its value")
        found[name] = text
    return found


def _row(number: int, said: dict[str, str], reporting_currency: str, period: str) -> PackRow:
    statement = said.get("statement", "").lower().replace(" ", "_").replace("-", "_")
    if statement == ENTRIES:
        return _entries(number, said, reporting_currency, period)
    if statement not in FIGURES:
        known = ", ".join((*FIGURES, ENTRIES))
        raise _Refused(f"statement {said.get('statement', '')!r} is none of {known}")
    for name in ("reference", "event_class", "count", "reversals"):
        if said.get(name):
            raise _Refused(f"{name} belongs to rows whose statement is {ENTRIES}")
    line, account = said.get("line", ""), said.get("account", "")
    if statement == TRIAL_BALANCE and (line or not account):
        raise _Refused("a row of the trial balance names an account, and no line")
    if statement != TRIAL_BALANCE and (account or said.get("party") or not line):
        raise _Refused(
            f"a row of {statement} names a line; accounts and parties are compared in"
            f" {TRIAL_BALANCE}"
        )
    if said.get("period") not in (None, "", period):
        raise _Refused(f"it is about {said['period'][:20]}, the pack about {period}")
    currency = _currency(said)
    return PackRow(
        row=number,
        statement=statement,
        line=line,
        account=_account(account),
        party=said.get("party", ""),
        currency=currency,
        amount_minor=_amount(said, currency, reporting_currency),
        period=period,
    )


def _entries(number: int, said: dict[str, str], reporting_currency: str, period: str) -> PackRow:
    reference, event_class = said.get("reference", ""), said.get("event_class", "")
    count, reversals = _whole(said, "count"), _whole(said, "reversals")
    for name in ("line", "party"):
        if said.get(name):
            raise _Refused(f"{name} does not belong to a row of {ENTRIES}")
    if not reference:
        if not event_class or count is None:
            raise _Refused("it names neither a reference nor an event class with its count")
        if said.get("account") or said.get("amount") or said.get("currency"):
            raise _Refused("account, currency and amount belong to rows with a reference")
        if said.get("period") not in (None, "", period):
            raise _Refused(f"it is about {said['period'][:20]}, the pack about {period}")
        return PackRow(
            number, ENTRIES, period=period, event_class=event_class, count=count,
            reversals=reversals,
        )  # fmt: skip
    if count is not None:
        raise _Refused("count belongs to rows of an event class without a reference")
    if reversals not in (None, 0, 1):
        raise _Refused(f"reversals is {reversals}; one entry is reversed 0 times or once")
    expected = said.get("period", "") or period
    if not PERIOD.fullmatch(expected):
        raise _Refused(f"period {expected[:20]!r} is not a month such as 2026-03")
    given = [name for name in ("account", "currency", "amount") if said.get(name)]
    if given and len(given) < 3:
        raise _Refused(f"{' and '.join(given)} alone: account, currency and amount go together")
    currency = _currency(said) if given else ""
    return PackRow(
        row=number,
        statement=ENTRIES,
        account=_account(said.get("account", "")),
        currency=currency,
        amount_minor=_amount(said, currency, reporting_currency) if given else None,
        period=expected,
        reference=reference,
        event_class=event_class,
        reversals=reversals,
    )


def _account(text: str) -> str:
    if text and not ACCOUNT.fullmatch(text):
        raise _Refused(f"account {text[:30]!r} is not the code of an account")
    return text


def _currency(said: dict[str, str]) -> str:
    text = said.get("currency", "")
    if text.lower() == REPORTING:
        return REPORTING
    try:
        return check_currency(text)
    except MoneyError as error:
        raise _Refused(str(error)) from error


def _amount(said: dict[str, str], currency: str, reporting_currency: str) -> int:
    text = said.get("amount", "")
    if not AMOUNT.fullmatch(text):
        raise _Refused(
            f"amount {text[:30]!r} is not read: digits, a point before the decimals, a minus sign"
            " in front, such as -12400.00"
        )
    money = reporting_currency if currency == REPORTING else currency
    decimals = len(text.partition(".")[2])
    if decimals > exponent_of(money):
        raise _Refused(f"amount {text} has {decimals} decimals, {money} has {exponent_of(money)}")
    try:
        return Money.from_decimal(text, money).minor
    except MoneyError as error:
        raise _Refused(str(error)) from error


def _whole(said: dict[str, str], name: str) -> int | None:
    text = said.get(name, "")
    if not text:
        return None
    if not WHOLE.fullmatch(text):
        raise _Refused(f"{name} {text[:20]!r} is not a whole number of at most nine digits")
    return int(text)
