"""The forms of hand-made journals: up to forty lines, their documents, a reversal (D5, LJ-2, LJ-8).

A form checks shape and size and says what `ledger/manual.py` would refuse; the flow checks all of
it again. Lines are typed in major units, a debit or a credit each; empty lines are left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from django import forms
from django.core.exceptions import ValidationError
from django.forms.boundfield import BoundField

from ledger import manual
from ledger.accounts import CHART, PARTY_WORDS
from ledger.cash_flow import TAGS
from ledger.manual import HandMade, Line
from payops.console.forms import ActForm, line_field, reason_field, typed_money
from payops.core import ids
from payops.core.money import MINOR_MAX, Money, MoneyError
from payops.flows.manual_journal import BATCH_MAX, DESCRIPTION_MAX
from payops.flows.manual_journal_ask import DOCUMENTS_MAX, Document

FIRST_LINES = 4
MORE_LINES = 4
PARTS = ("account", "party", "debit", "credit", "currency")
AMOUNT_CHARS_MAX = 24
PARTY_CHARS_MAX = 120
KIND_WORDS = {
    "asset": "Assets",
    "liability": "Liabilities",
    "equity": "Equity",
    "revenue": "Revenue",
    "expense": "Expenses",
}
DOCUMENTS_HELP = (
    f"Required, up to {DOCUMENTS_MAX} files. PDF, image, text, CSV, JSON, XML or e-mail, up to"
    " 10 MB each. Hashed and kept as they are. Choose them last: a browser forgets them when the"
    " page is shown again."
)


class FilesInput(forms.FileInput):
    allow_multiple_selected = True

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Any:
        return files.getlist(name) if hasattr(files, "getlist") else files.get(name) or []


class FilesField(forms.FileField):
    """One or more documents, in the order they were chosen."""

    widget = FilesInput

    def clean(self, data: Any, initial: Any = None) -> list[Any]:
        given = [each for each in (data or []) if each]
        if not given:
            raise ValidationError("Attach the document that shows why; nothing is asked without.")
        if len(given) > DOCUMENTS_MAX:
            raise ValidationError(f"{len(given)} files were chosen; at most {DOCUMENTS_MAX} fit.")
        return [super(FilesField, self).clean(each, initial) for each in given]


def documents_of(uploads: list[Any]) -> tuple[Document, ...]:
    return tuple(Document(each.name, each.content_type or "", each.read()) for each in uploads)


def day_field(label: str, help_text: str = "", **extra: Any) -> forms.DateField:
    return forms.DateField(
        label=label,
        help_text=help_text,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        input_formats=["%Y-%m-%d"],
        error_messages={"invalid": "Write the day as 2026-03-31."},
        **extra,
    )


@dataclass(frozen=True, slots=True)
class Row:
    """The fields of one line, as a row of the table."""

    number: int
    account: BoundField
    party: BoundField
    debit: BoundField
    credit: BoundField
    currency: BoundField

    @property
    def fields(self) -> tuple[BoundField, ...]:
        return (self.account, self.party, self.debit, self.credit, self.currency)


@dataclass(frozen=True, slots=True)
class Sum:
    """What is typed so far in one currency; text, because half of it may not be an amount yet."""

    currency: str
    debit: str
    credit: str
    off: str


class JournalForm(ActForm):
    """`rows` lines; what was typed for them is closed up, so that line 2 is the second one."""

    name = "journal"
    key = forms.CharField(widget=forms.HiddenInput, max_length=32)
    rows_shown = forms.IntegerField(widget=forms.HiddenInput, required=False)
    event_class = forms.ChoiceField(
        label="What it is",
        widget=forms.RadioSelect,
        choices=[(row.event_class, row.label) for row in manual.CLASSES],
    )
    description = line_field("Description", DESCRIPTION_MAX, "The journal shows it.")
    posting_on = day_field("Posting day", "A day of an open period, today at the latest.")
    auto_reverse_on = day_field(
        "Taken back by itself on", "For adjustments alone, such as an accrual.", required=False
    )
    batch = line_field(
        "Batch, statement or case",
        BATCH_MAX,
        "Where the amount is found; needed as soon as a control account is used.",
        required=False,
    )
    cash_flow_tag = forms.ChoiceField(
        label="Why cash moved",
        required=False,
        choices=[("", "No cash account is used"), *((tag.key, tag.words) for tag in TAGS)],
    )
    reason = reason_field(help_text="Why it is needed; whoever decides reads it.")
    documents = FilesField(label="Documents", help_text=DOCUMENTS_HELP)

    def __init__(
        self, data: Any = None, files: Any = None, *, currency: str, rows: int, **kwargs: Any
    ) -> None:
        self.currency = currency
        self.count = max(2, min(rows, manual.LINES_MAX))
        if data is not None:
            data = closed_up(data)
        super().__init__(data, files, **kwargs)
        for place in range(self.count):
            self.fields.update(_row_fields(place, currency))

    @property
    def rows(self) -> list[Row]:
        return [
            Row(place + 1, *(self[f"r{place}_{part}"] for part in PARTS))
            for place in range(self.count)
        ]

    @property
    def may_add(self) -> bool:
        return self.count < manual.LINES_MAX

    @property
    def heads(self) -> list[BoundField]:
        """The fields beside the lines, without the hidden ones and the class."""
        names = ("description", "posting_on", "auto_reverse_on", "batch", "cash_flow_tag")
        return [self[name] for name in names]

    @property
    def sums(self) -> list[Sum]:
        """Debits and credits per currency as far as they can be read."""
        totals: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for place in range(self.count):
            said = {part: str(self[f"r{place}_{part}"].value() or "").strip() for part in PARTS}
            currency = said["currency"].upper() or self.currency
            for side, part in enumerate(("debit", "credit")):
                try:
                    amount = typed_money(said[part], currency)
                except MoneyError:
                    continue
                totals[currency][side] += amount.minor
        return [_sum(currency, *sides) for currency, sides in sorted(totals.items())]

    def clean(self) -> dict[str, Any]:
        said = super().clean() or {}
        lines = [line for place in range(self.count) if (line := self._line(place, said))]
        if self.errors:
            return said
        journal = HandMade(
            event_class=said["event_class"],
            lines=tuple(lines),
            posting_on=said["posting_on"],
            cash_flow_tag=said["cash_flow_tag"],
            batch=said["batch"].strip(),
            auto_reverse_on=said["auto_reverse_on"],
        )
        for words in manual.refusals(journal):
            self.add_error(None, f"{words[:1].upper()}{words[1:]}.")
        said["journal"] = journal
        return said

    def clean_key(self) -> UUID:
        return _key_of(self.cleaned_data["key"])

    def _line(self, place: int, said: Mapping[str, Any]) -> Line | None:
        named = {part: said.get(f"r{place}_{part}") or "" for part in PARTS}
        if not any(named[part] for part in ("account", "party", "debit", "credit")):
            return None
        number = place + 1
        currency = named["currency"].strip().upper() or self.currency
        if not named["account"]:
            self.add_error(f"r{place}_account", f"Line {number}: choose an account.")
        if bool(named["debit"]) == bool(named["credit"]):
            words = "has a debit and a credit; give one of them" if named["debit"] else "is nil"
            self.add_error(f"r{place}_debit", f"Line {number} {words}.")
            return None
        side = "debit" if named["debit"] else "credit"
        try:
            amount = typed_money(named[side], currency).minor
        except MoneyError as error:
            self.add_error(f"r{place}_{side}", f"Line {number}: {error}.")
            return None
        signed = amount if side == "debit" else -amount
        return Line(named["account"], signed, currency, named["party"].strip())


class ReversalForm(ActForm):
    """Taking one entry back; its lines are not typed, they are its mirror."""

    name = "reversal"
    key = forms.CharField(widget=forms.HiddenInput, max_length=32)
    posting_on = day_field("Posting day", "A day of an open period, today at the latest.")
    description = line_field(
        "What was wrong", DESCRIPTION_MAX, "The journal shows it beside the entry it takes back."
    )
    reason = reason_field(help_text="Why it is needed; whoever decides reads it.")
    documents = FilesField(label="Documents", help_text=DOCUMENTS_HELP)

    def clean_key(self) -> UUID:
        return _key_of(self.cleaned_data["key"])


class GiveUpForm(ActForm):
    name = "give-up"
    reason = reason_field(size=240)


def account_choices() -> list[tuple[str, Any]]:
    """The chart by kind, without what nobody posts to by hand."""
    groups: list[tuple[str, Any]] = [("", "Choose")]
    for kind, words in KIND_WORDS.items():
        rows = [
            (row.code, f"{row.code} {row.name}" + _per(row.party_kind))
            for row in CHART
            if row.kind == kind and row.code not in manual.NEVER_BY_HAND
        ]
        groups.append((words, rows))
    return groups


def closed_up(data: Any) -> dict[str, Any]:
    """What was posted, with the lines that hold something first and without gaps."""
    said = {name: data.get(name) for name in data}
    lines = []
    for place in range(manual.LINES_MAX):
        line = {part: said.pop(f"r{place}_{part}", None) or "" for part in PARTS}
        if any(line[part].strip() for part in PARTS if part != "currency"):
            lines.append(line)
    for place, line in enumerate(lines):
        said |= {f"r{place}_{part}": value for part, value in line.items()}
    return said


def fresh_key() -> str:
    return ids.uuid7().hex


def first_values(today: date) -> dict[str, Any]:
    return {
        "key": fresh_key(),
        "rows_shown": FIRST_LINES,
        "event_class": manual.ADJUSTMENT,
        "posting_on": today,
    }


def _key_of(text: str) -> UUID:
    try:
        return UUID(hex=text)
    except ValueError as error:
        raise ValidationError("The form was not made here; open it again.") from error


def _per(party_kind: str) -> str:
    return f" (per {PARTY_WORDS[party_kind]})" if party_kind else ""


def _row_fields(place: int, currency: str) -> dict[str, Any]:
    number = place + 1

    def text(label: str, size: int, **attrs: str) -> forms.CharField:
        said = {"autocomplete": "off", "spellcheck": "false", "aria-label": label, **attrs}
        return forms.CharField(
            label=label, required=False, max_length=size, widget=forms.TextInput(attrs=said)
        )

    account = forms.ChoiceField(
        label=f"Account of line {number}",
        required=False,
        choices=account_choices(),
        widget=forms.Select(attrs={"aria-label": f"Account of line {number}"}),
    )
    amount = {"inputmode": "decimal", "class": "amount"}
    return {
        f"r{place}_account": account,
        f"r{place}_party": text(f"Party of line {number}", PARTY_CHARS_MAX, list="parties"),
        f"r{place}_debit": text(f"Debit of line {number}", AMOUNT_CHARS_MAX, **amount),
        f"r{place}_credit": text(f"Credit of line {number}", AMOUNT_CHARS_MAX, **amount),
        f"r{place}_currency": text(
            f"Currency of line {number}", 3, placeholder=currency, list="currencies"
        ),
    }


def _sum(currency: str, debit: int, credit: int) -> Sum:
    return Sum(currency, *(_text(minor, currency) for minor in (debit, credit, debit - credit)))


def _text(minor: int, currency: str) -> str:
    """ "" when nil; forty lines may together exceed what one amount may be."""
    if not minor:
        return ""
    return str(Money(minor, currency)) if abs(minor) <= MINOR_MAX else f"{minor} {currency}"
