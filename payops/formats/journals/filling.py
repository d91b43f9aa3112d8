"""A journal of ours in the fields of a target, value by value, with what is wrong (ERP-2, ERP-3).

Every value keeps where it came from and by which rule, so that one journal can be followed field
by field into the file. Nothing leaves while one problem is left.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial

from payops.formats.journals import checks
from payops.formats.journals.base import (
    DOCUMENT,
    ENTERED,
    LINE,
    SOURCES,
    Cell,
    Document,
    Field,
    Journal,
    Line,
    MappingSet,
    Problem,
    Row,
    Rule,
    Target,
    printable,
    shortened,
)
from payops.formats.journals.checks import Fault
from payops.formats.journals.mapping import BEFORE_FORMULA, faults_of
from payops.formats.journals.numbers import rate_text

PROBLEMS_MAX = 500
APOSTROPHE = "'"
CURES = {
    "line.account": "give the account a row in the mapping, or correct the one it has",
    "line.entity": "give the party a row in the mapping, or correct the one it has",
}
CURE = "change the rule of this field in the mapping"
MAPPED, COMPUTED = "mapped", "computed"
# The suffix of a document that moves the reporting currency alone.
REPORTING_ONLY = "R"


Given = tuple[str, str]


class Filling:
    """Fills the documents of one export; `said` are the export's own texts by source.

    `sums` adds up, per (currency, side), the amounts of the documents in minor units.
    """

    def __init__(self, target: Target, mapping: MappingSet, said: Mapping[str, str]) -> None:
        self.target, self.mapping, self.said = target, mapping, said
        self.problems: dict[Problem, None] = {}
        self.problem_count = 0
        self.sums: Counter[tuple[str, str]] = Counter()
        self.documents = self.lines = 0
        self._named: dict[str, str] = {}
        self._legal: dict[tuple[str, str], tuple[str, ...]] = {}
        self._of_document: dict[str, Callable[[Document], Given]] = {
            "document.number": lambda document: (document.number, COMPUTED),
            "document.date": lambda document: (self._day(document.journal), COMPUTED),
            "document.currency": lambda document: (document.currency, COMPUTED),
            "document.rate": lambda document: (self._rate(document), COMPUTED),
        }
        self._of_line: dict[str, Callable[[Journal, Line, int], Given]] = {
            "line.no": lambda journal, line, place: (str(place), COMPUTED),
            "line.account": self._account,
            "line.account_code": lambda journal, line, place: (line.account, MAPPED),
            "line.account_name": lambda journal, line, place: (line.account_name, MAPPED),
            "line.party": lambda journal, line, place: (line.party, MAPPED),
            "line.entity": self._party,
            "line.side": lambda journal, line, place: (_side(line).capitalize(), COMPUTED),
            "line.currency": lambda journal, line, place: (line.currency, COMPUTED),
        }
        for form in ("amount", "signed", "debit", "credit"):
            self._of_line[f"line.{form}"] = partial(self._amount, form)
        for form in ("signed", "debit", "credit"):
            self._of_line[f"line.reporting_{form}"] = partial(self._worth, form)
        self._head = list(self._prepared(DOCUMENT))
        self._body = list(self._prepared(LINE))

    def fill(self, journals: Iterable[Journal]) -> Iterator[Document]:
        for journal in journals:
            yield from self.documents_of(journal)

    def documents_of(self, journal: Journal) -> list[Document]:
        """One document, one per currency, or none where nothing of it is for the target."""
        parts = [part for part in self._parts(journal) if part[2]]
        made = []
        for suffix, currency, lines in parts:
            number = f"{journal.number}-{suffix}" if len(parts) > 1 else journal.number
            for fault in checks.of_journal(
                journal.posting_on, journal.reporting_currency, lines, self.target, self.mapping
            ):
                self._tell(journal, fault)
            made.append(self._document(journal, number, currency, lines))
        self.documents += len(made)
        self.lines += sum(len(document.rows) for document in made)
        return made

    def _parts(self, journal: Journal) -> list[tuple[str, str, list[Line]]]:
        """(suffix of the number, currency, lines with the amounts that go out) per document."""
        reporting = journal.reporting_currency
        lines = [each for each in journal.lines if each.kind != "memo" or self.mapping.keeps_memo]
        if self.mapping.basis != ENTERED:
            return [("", reporting, _in_reporting(lines, reporting))]
        if self.target.reporting_balances:
            return [("", "", lines)]
        entered = [line for line in lines if not line.reporting_only]
        if not self.target.per_currency:
            return [("", "", entered)]
        alone = [line for line in lines if line.reporting_only]
        return [
            *(
                (currency, currency, [line for line in entered if line.currency == currency])
                for currency in sorted({line.currency for line in entered})
            ),
            (REPORTING_ONLY, reporting, _in_reporting(alone, reporting)),
        ]

    def _document(
        self, journal: Journal, number: str, currency: str, lines: list[Line]
    ) -> Document:
        bare = Document(number, journal, currency, {}, tuple(Row(line, {}) for line in lines))
        rows = []
        for place, line in enumerate(lines, 1):
            if line.amount_minor:
                self.sums[line.currency, _side(line)] += abs(line.amount_minor)
            cells = {
                field.name: self._cell(field, rule, journal, *self._given(rule, bare, line, place))
                for field, rule in self._body
            }
            rows.append(Row(line, cells))
        head = {
            field.name: self._cell(field, rule, journal, *self._given(rule, bare, None, 0))
            for field, rule in self._head
        }
        return replace(bare, cells=head, rows=tuple(rows))

    # ---- one value ---------------------------------------------------------------------------

    def _prepared(self, level: str) -> Iterator[tuple[Field, Rule]]:
        for field in self.target.fields:
            if field.level == level:
                yield field, field.rule if field.fixed else self.mapping.rules[field.name]

    def _cell(self, field: Field, rule: Rule, journal: Journal, given: str, how: str) -> Cell:
        value = given
        if field.written and value and self.mapping.cleans:
            value, how = self._cleaned(field, value, how)
        if not value and rule.default:
            value, how = rule.default, "default"
        if not value:
            if field.required:
                self._tell(journal, Fault(field.label, "", "is needed and empty", _cure(rule)))
        elif how != COMPUTED:
            for wrong in self._wrong(field, value):
                self._tell(journal, Fault(field.label, value[:120], wrong, _cure(rule)))
        elif field.chars_max and len(value) > field.chars_max:
            wrong = f"has {len(value)} characters; {self.target.name} takes {field.chars_max}"
            self._tell(journal, Fault(field.label, value[:120], wrong, _cure(rule)))
        return Cell(field, value, SOURCES.get(rule.source, ""), given, how)

    def _wrong(self, field: Field, value: str) -> tuple[str, ...]:
        """Accounts and parties come again and again; each is looked at once."""
        known = self._legal.get((field.name, value))
        if known is None:
            known = tuple(faults_of(field, value, self.target))
            if len(self._legal) < PROBLEMS_MAX * 10:
                self._legal[field.name, value] = known
        return known

    def _cleaned(self, field: Field, value: str, how: str) -> tuple[str, str]:
        """Text that people wrote, without what the target or a spreadsheet trips over."""
        cleaned = printable(value)
        for each in field.forbidden:
            cleaned = cleaned.replace(each, " ")
        cleaned = " ".join(cleaned.split())
        if self.target.spreadsheet and cleaned.startswith(BEFORE_FORMULA):
            cleaned = APOSTROPHE + cleaned
        cut = shortened(cleaned, field.chars_max)
        told = [how]
        told += ["cleaned"] if cleaned != value else []
        told += [f"cut to {field.chars_max} characters"] if cut != cleaned else []
        return cut, ", ".join(told)

    def _given(self, rule: Rule, document: Document, line: Line | None, place: int) -> Given:
        """The value the source has, and the rule in words."""
        source = rule.source
        if not source:
            return rule.value, "fixed value" if rule.value else "left empty"
        if line is not None and (of_line := self._of_line.get(source)):
            return of_line(document.journal, line, place)
        if of_document := self._of_document.get(source):
            return of_document(document)
        return self.said.get(source) or document.journal.said.get(source, ""), MAPPED

    def _amount(self, form: str, journal: Journal, line: Line, place: int) -> Given:
        return self._digits(form, _side(line), line.amount_minor, line.currency, journal)

    def _worth(self, form: str, journal: Journal, line: Line, place: int) -> Given:
        minor = line.reporting_minor
        side = _side(line) if not minor else "debit" if minor > 0 else "credit"
        return self._digits(form, side, minor, journal.reporting_currency, journal)

    def _digits(self, form: str, side: str, minor: int, currency: str, journal: Journal) -> Given:
        if form in ("debit", "credit") and form != side:
            return "", COMPUTED
        text, fault = checks.of_amount(minor, currency, self.target)
        if fault is not None:
            self._tell(journal, fault)
        return f"-{text}" if form == "signed" and minor < 0 else text, COMPUTED

    def _account(self, journal: Journal, line: Line, place: int) -> Given:
        found = self.mapping.accounts.get(line.account, "")
        if not found:
            shown = f"{line.account} {line.account_name}"
            wrong = f"has no account at {self.target.name}"
            self._tell(journal, Fault("Account", shown, wrong, CURES["line.account"]))
            # Told once; an empty field would be told a second time.
            found = self.target.usual_account(line.account, line.account_name, line.kind)
        return found, "table of accounts"

    def _party(self, journal: Journal, line: Line, place: int) -> Given:
        found = self.mapping.parties.get(line.party, "") if line.party else ""
        if found or not line.party:
            return found, "table of parties"
        rest = self.mapping.settings["unmapped_party"]
        if rest == "leave out":
            return "", "not in the table of parties, left out"
        if rest == "refuse":
            wrong = f"is not known at {self.target.name}"
            self._tell(journal, Fault("Party", line.party, wrong, CURES["line.entity"]))
        name = self.target.usual_party(line.party)
        other = self._named.setdefault(name, line.party)
        if other != line.party:
            wrong = f"would be called {name}, as {other[:60]} is"
            self._tell(journal, Fault("Party", line.party, wrong, CURES["line.entity"]))
        return name, "party as it is"

    def _day(self, journal: Journal) -> str:
        day, form = journal.posting_on, self.mapping.settings.get("date_format", "YYYY-MM-DD")
        return (
            form.replace("YYYY", f"{day.year:04d}")
            .replace("MM", f"{day.month:02d}")
            .replace("DD", f"{day.day:02d}")
        )

    def _rate(self, document: Document) -> str:
        """Over all lines of the document, so that one line's rounding does not show."""
        lines = [row.line for row in document.rows]
        reporting = sum(abs(line.reporting_minor) for line in lines)
        amount = sum(abs(line.amount_minor) for line in lines)
        currency = document.currency
        home = document.journal.reporting_currency
        return rate_text(reporting, home, amount, currency) if currency else ""

    def _tell(self, journal: Journal, fault: Fault) -> None:
        problem = Problem(journal.label, *fault, entry_id=journal.entry_id)
        if problem in self.problems:
            return
        self.problem_count += 1
        if len(self.problems) < PROBLEMS_MAX:
            self.problems[problem] = None


def _in_reporting(lines: list[Line], reporting: str) -> list[Line]:
    return [
        line._replace(currency=reporting, amount_minor=line.reporting_minor)
        for line in lines
        if line.reporting_minor
    ]


def _side(line: Line) -> str:
    """A line without an amount stands on the side of its reporting amount."""
    return "debit" if (line.amount_minor or line.reporting_minor) > 0 else "credit"


def _cure(rule: Rule) -> str:
    return CURES.get(rule.source, CURE)
