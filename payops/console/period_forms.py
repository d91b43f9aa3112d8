"""The forms of the period and book screens: what may be typed, and how much of it (D12, F14).

A form checks shape and size; the flow that is called checks the rest and says why it refuses.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from payops.console.forms import ActForm, reason_field, typed_money
from payops.core.models import Book
from payops.core.money import Money, MoneyError
from payops.flows.book_settings import SETTINGS, Setting

AMOUNT_CHARS_MAX = 30


def day_field(label: str, help_text: str = "", **extra: Any) -> forms.DateField:
    return forms.DateField(
        label=label,
        help_text=help_text,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        input_formats=["%Y-%m-%d"],
        error_messages={"invalid": "Write the day as 2026-03-01."},
        **extra,
    )


class ReasonForm(ActForm):
    name = "period"
    reason = reason_field()


class LateForm(ActForm):
    """Which waiting postings are booked on which open day; the rows are ticked in the list."""

    name = "late"
    posting_on = day_field("Book them on", "An open day, today at the latest.")
    reason = reason_field()


class BookForm(ActForm):
    """Every setting of the table, as it is now; `wanted` is what was typed, in columns."""

    name = "book"

    def __init__(self, *args: Any, book: Book, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.currency = book.reporting_currency
        for setting in SETTINGS:
            field = _field(setting, self.currency)
            value = getattr(book, setting.column)
            if setting.kind == "money":
                value = Money(value, self.currency).decimal_text()
            field.initial = value
            self.fields[setting.column] = field
        self.fields["reason"] = reason_field()

    def clean(self) -> dict[str, Any]:
        said = super().clean() or {}
        for setting in SETTINGS:
            if setting.kind == "money" and setting.column in said:
                try:
                    said[setting.column] = typed_money(said[setting.column], self.currency).minor
                except MoneyError as error:
                    self.add_error(setting.column, ValidationError(str(error)))
        return said

    @property
    def wanted(self) -> dict[str, Any]:
        return {setting.column: self.cleaned_data[setting.column] for setting in SETTINGS}


def _field(setting: Setting, currency: str) -> forms.Field:
    told: dict[str, Any] = {"label": setting.label, "help_text": setting.help}
    if setting.kind == "choice":
        return forms.ChoiceField(choices=setting.choices, **told)
    if setting.kind == "flag":
        return forms.BooleanField(required=False, **told)
    if setting.kind == "day":
        return day_field(setting.label, setting.help, required=False)
    if setting.kind == "money":
        told["label"] = f"{setting.label}, {currency}"
        attrs = {"inputmode": "decimal", "autocomplete": "off"}
        widget = forms.TextInput(attrs=attrs)
        return forms.CharField(max_length=AMOUNT_CHARS_MAX, widget=widget, **told)
    return forms.IntegerField(**told)
