"""What a journal is on its way out, and what an ERP that takes one looks like (ERP-1, ERP-2).

Plain values: a `Journal` is what the ledger says, a `Document` is the same in the words of one
target, a `Target` is that target's documented shape. Nothing here reads a table or a clock.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

ENTERED, REPORTING = "entered", "reporting"
DOCUMENT, LINE = "document", "line"
# What stands for a character that a target cannot hold, in text that people wrote.
CLEANED = " "
CUT = "…"
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]+")
# Characters nobody sees that turn a text around: what is read would not be what is kept.
TURNING = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]+")
LONE_SURROGATE = re.compile("[\ud800-\udfff]+")


class Line(NamedTuple):
    """One line of the ledger, or the sum of many: debit positive, minor units.

    `reporting_only`: the line moves the reporting currency alone (a revaluation).
    """

    account: str
    account_name: str
    kind: str
    party: str
    currency: str
    amount_minor: int
    reporting_minor: int

    @property
    def reporting_only(self) -> bool:
        return self.amount_minor == 0


@dataclass(frozen=True, slots=True)
class Journal:
    """One entry, or the summary of a day; `said` are its texts by the name of their source."""

    number: str
    posting_on: date
    reporting_currency: str
    lines: tuple[Line, ...]
    said: Mapping[str, str]
    entry_id: str = ""

    @property
    def label(self) -> str:
        """What a person looks it up by."""
        return self.entry_id or f"summary of {self.posting_on}"


@dataclass(frozen=True, slots=True)
class Rule:
    """Where the value of a field comes from: a source of the ledger, or one fixed text."""

    source: str = ""
    value: str = ""
    default: str = ""

    @property
    def words(self) -> str:
        if not self.source:
            return f"always “{self.value}”" if self.value else "left empty"
        return SOURCES[self.source] + (f", else “{self.default}”" if self.default else "")


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a target, as its documents describe it.

    `fixed`: the value is worked out here and no mapping changes it. `written`: text that people
    wrote, which may be cut and cleaned; any other value that does not fit is a problem.
    """

    name: str
    label: str
    rule: Rule
    level: str = LINE
    required: bool = False
    chars_max: int = 0
    fixed: bool = False
    written: bool = False
    one_of: tuple[str, ...] = ()
    forbidden: str = ""
    legal: str = ""

    @property
    def shape(self) -> str:
        """What may stand in it, in words."""
        words = [f"at most {self.chars_max} characters"] if self.chars_max else []
        words += [f"one of {', '.join(self.one_of)}"] if self.one_of else []
        words += [f"none of {' '.join(self.forbidden)}"] if self.forbidden else []
        return ", ".join(words)


@dataclass(frozen=True, slots=True)
class Setting:
    """One value that holds for the whole export."""

    name: str
    label: str
    default: str = ""
    required: bool = False
    one_of: tuple[str, ...] = ()
    chars_max: int = 80
    help: str = ""
    legal: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """How fast a target takes documents over its interface; for pushing, not for files (ERP-4)."""

    source: str
    requests_per_minute: int = 0
    requests_per_second: int = 0
    concurrent: int = 0
    batches_per_minute: int = 0
    documents_per_batch: int = 0
    words: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """One ERP or ledger that takes journals by file.

    `per_currency`: a document of it has one currency, so an entry in two becomes two documents.
    `bases`: in which amounts it takes them, the usual first. `reporting_balances`: it holds both
    amounts of a line and wants each currency to balance in both. `spreadsheet`: people open the
    file in one, so no text may begin like a formula. `digits_max` and `decimals_max` bound an
    amount; 0 digits is no bound. `write` gives the file, `fragment` one document of it.
    """

    key: str
    code: str
    name: str
    extension: str
    media_type: str
    fields: tuple[Field, ...]
    settings: tuple[Setting, ...]
    limits: Limits
    write: Callable[[Iterable[Document], MappingSet], Iterator[bytes]]
    fragment: Callable[[Document, MappingSet], str]
    inside: str = ""
    per_currency: bool = False
    reporting_balances: bool = False
    bases: tuple[str, ...] = (ENTERED, REPORTING)
    spreadsheet: bool = False
    decimals_max: int = 9
    digits_max: int = 0
    number_max: int = 40
    account_words: str = ""
    usual_account: Callable[[str, str, str], str] = lambda code, name, kind: code
    usual_party: Callable[[str], str] = lambda party: party

    def field(self, name: str) -> Field:
        return next(each for each in self.fields if each.name == name)


@dataclass(frozen=True, slots=True)
class MappingSet:
    """An approved table for one target, read: see `mapping.parse`."""

    target: str
    version: int
    settings: Mapping[str, str]
    accounts: Mapping[str, str]
    parties: Mapping[str, str]
    rules: Mapping[str, Rule]

    @property
    def basis(self) -> str:
        return self.settings["amounts"]

    @property
    def currencies(self) -> frozenset[str]:
        return frozenset(self.settings["currencies"].split())

    @property
    def first_day(self) -> date | None:
        text = self.settings["first_day"]
        return date.fromisoformat(text) if text else None

    @property
    def keeps_memo(self) -> bool:
        return self.settings["memo"] == "keep"

    @property
    def by_party(self) -> bool:
        return self.settings["summary"] == "by party"

    @property
    def cleans(self) -> bool:
        return self.settings["texts"] == "clean"


class Cell(NamedTuple):
    """One value on its way: where it was, by which rule, and what it is there (ERP-3)."""

    field: Field
    value: str
    source: str
    given: str
    how: str


class Row(NamedTuple):
    """One line of a document: its cells by name, and the amounts behind them."""

    line: Line
    cells: Mapping[str, Cell]

    def of(self, name: str) -> str:
        return self.cells[name].value


@dataclass(frozen=True, slots=True)
class Document:
    """One journal in the words of the target; `currency` is "" where its lines have their own."""

    number: str
    journal: Journal
    currency: str
    cells: Mapping[str, Cell]
    rows: tuple[Row, ...] = field(default=())

    def of(self, name: str) -> str:
        return self.cells[name].value


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a value cannot leave: which journal, which field, which value, and what to do."""

    where: str
    field: str
    value: str
    wrong: str
    to_do: str
    entry_id: str = ""


# The closed table of what a field may be filled from, in words.
SOURCES: Mapping[str, str] = {
    "document.number": "number of the document",
    "document.date": "posting day",
    "document.currency": "currency of the document",
    "document.rate": "reporting units per unit, worked out from the lines",
    "export.reference": "reference of the export",
    "book.code": "code of the book",
    "book.name": "name of the book",
    "book.currency": "reporting currency of the book",
    "entry.id": "id of the entry",
    "entry.description": "description of the entry",
    "entry.event_class": "event class",
    "entry.subject_id": "subject of the entry",
    "entry.period": "period",
    "entry.occurred_on": "day it happened",
    "entry.merchant_reference": "merchant reference",
    "entry.psp_reference": "provider's reference",
    "entry.case_id": "case",
    "entry.approval_id": "approval",
    "line.no": "number of the line",
    "line.account": "account, by the table of accounts",
    "line.account_code": "our account code",
    "line.account_name": "our account name",
    "line.party": "party as we know it",
    "line.entity": "party, by the table of parties",
    "line.side": "Debit or Credit",
    "line.currency": "currency of the line",
    "line.amount": "amount without sign",
    "line.signed": "amount, credits negative",
    "line.debit": "amount of a debit",
    "line.credit": "amount of a credit",
    "line.reporting_signed": "reporting amount, credits negative",
    "line.reporting_debit": "reporting amount of a debit",
    "line.reporting_credit": "reporting amount of a credit",
}
ENTRY_TEXTS = tuple(name for name in SOURCES if name.startswith("entry."))


def printable(text: str) -> str:
    """The text without characters that a file or a reader would trip over."""
    if text.isascii() and text.isprintable():
        return " ".join(text.split()) if "  " in text or text != text.strip() else text
    cleaned = CONTROL.sub(CLEANED, LONE_SURROGATE.sub(CLEANED, TURNING.sub("", text)))
    return " ".join(cleaned.split())


def shortened(text: str, chars_max: int) -> str:
    if not chars_max or len(text) <= chars_max:
        return text
    return text[: chars_max - len(CUT)] + CUT
