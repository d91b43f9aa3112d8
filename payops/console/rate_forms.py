"""The forms of the rate and revaluation screens: what may be typed, and how much of it (LJ-10).

A form checks shape and size; the reader and the flow check the rest and say why they refuse.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from payops.console.forms import SHORT_REASON_MAX, ActForm, line_field, reason_field
from payops.flows import rates
from payops.formats.rates import reader
from payops.formats.rates.reader import SOURCE_MAX, Reading

FILE_CHARS_MAX = 120_000
TYPED, FILE = "row", "file"


class FileForm(ActForm):
    """A file, or its text pasted; `reading` is what it tells."""

    name = "rates"
    text = forms.CharField(
        label="Rates",
        max_length=FILE_CHARS_MAX,
        required=False,
        help_text="One rate per line: base, quote, rate, as_of and, if you like, source, by comma,"
        " semicolon or tab. Or the ECB's eurofxref.csv as it is.",
        widget=forms.Textarea(attrs={"rows": 8, "spellcheck": "false", "autocomplete": "off"}),
    )
    file = forms.FileField(
        label="Or a file", required=False, max_length=200, help_text="CSV, read instead."
    )
    source = line_field(
        "Source", SOURCE_MAX, "Of lines that name none, such as the bank's name.", required=False
    )
    filename = forms.CharField(max_length=200, required=False, widget=forms.HiddenInput)
    reason = reason_field(help_text="Treasury and the auditors read it.")

    def clean(self) -> dict[str, Any]:
        said = super().clean() or {}
        given = said.get("file")
        if given is not None:
            raw = given.read(FILE_CHARS_MAX + 1)
            if len(raw) > FILE_CHARS_MAX:
                self.add_error("file", f"The file has more than {FILE_CHARS_MAX} bytes.")
                return said
            said["text"] = raw.decode("utf-8-sig", errors="replace")
            said["filename"] = given.name
        if not str(said.get("text") or "").strip() and "text" not in self.errors:
            self.add_error("text", "Paste rates or choose a file.")
        if "\x00" in str(said.get("text") or ""):
            self.add_error("text", "The file is not text; export it as CSV.")
        return said

    def reading(self, time_zone: str) -> Reading:
        said = self.cleaned_data
        return reader.read(said["text"], time_zone=time_zone, source=said["source"] or "file")


class RowForm(ActForm):
    """One rate, typed."""

    name = "rate"
    base = line_field("One unit of", 3, "Currency, such as USD.")
    quote = line_field("Is worth in", 3, "Currency, such as EUR.")
    rate = line_field("Rate", 24, "With a point, at most 10 decimals: 0.9212.")
    as_of = line_field("As of", 32, "A day or a moment: 2026-03-31 or 2026-03-31T16:00.")
    source = line_field("Source", SOURCE_MAX, "Where it is published.")
    reason = reason_field(help_text="Treasury and the auditors read it.")

    def clean_source(self) -> str:
        source = str(self.cleaned_data["source"]).strip()
        if ";" in source or '"' in source:
            raise ValidationError("Without semicolons and quotation marks.")
        return source

    def reading(self, time_zone: str) -> Reading:
        said = self.cleaned_data
        return rates.typed(**{name: said[name] for name in reader.ORDER}, time_zone=time_zone)


class TakeBackForm(ActForm):
    """Why a revaluation run is taken back."""

    name = "take-back"
    reason = line_field("Reason", SHORT_REASON_MAX, "Such as a wrong rate.")
