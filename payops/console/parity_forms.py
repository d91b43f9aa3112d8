"""The forms of statement parity: a reference pack before and after its preview, the verdict.

A form checks shape and size; the reader and the flow check the rest and say why they refuse.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from ledger.models import AccountingPeriod
from payops.console.forms import ActForm, line_field, reason_field
from payops.formats.reference_pack import BYTES_MAX

PACKED_MAX = 8 * 1024 * 1024
FILENAME_MAX = 200
CSV_TYPES = (".csv", ".txt", ".tsv")


class PackForm(ActForm):
    """The file once as it is chosen, then packed into the form that confirms its preview."""

    name = "pack"
    period = forms.ChoiceField(label="Period")
    title = line_field("Title", 120, "Such as “Signed close figures 2026-03, version 2”.")
    file = forms.FileField(
        label="Reference pack",
        required=False,
        max_length=FILENAME_MAX,
        help_text="CSV in UTF-8, up to 10 MB and 5,000 rows. Kept as it is.",
    )
    packed = forms.CharField(required=False, max_length=PACKED_MAX, widget=forms.HiddenInput)
    filename = forms.CharField(required=False, max_length=FILENAME_MAX, widget=forms.HiddenInput)

    def __init__(self, *args: Any, periods: list[AccountingPeriod], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.periods = {period.code: period for period in periods}
        self.fields["file"].required = not self.data.get("packed")
        words = [(p.code, f"{p.code}, {p.state.lower()}") for p in periods]
        self.fields["period"].choices = words  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        said = super().clean() or {}
        file = said.get("file")
        if file is not None:
            if not file.name.lower().endswith(CSV_TYPES):
                self.add_error("file", f"{file.name[:80]} is not a CSV file.")
                return said
            content = file.read(BYTES_MAX + 1)
            said["filename"] = file.name
        else:
            content = _unpacked(said.get("packed", ""))
        if not content:
            self.add_error("file", "Choose the file with the figures.")
        elif len(content) > BYTES_MAX:
            self.add_error("file", f"The file has more than {BYTES_MAX} bytes.")
        said["content"] = content
        said["accounting_period"] = self.periods.get(said.get("period", ""))
        return said


class VerdictForm(ActForm):
    name = "verdict"
    reason = reason_field(
        help_text="Name every unexplained difference by its number, such as D3 or D4-D6, and say"
        " why the figures may stand or what will be done."
    )


def packed(content: bytes) -> str:
    return base64.b64encode(zlib.compress(content, 9)).decode()


def _unpacked(text: str) -> bytes:
    """What `packed` made; the content is read and checked anew, whatever it is."""
    if not text:
        return b""
    try:
        return zlib.decompressobj().decompress(base64.b64decode(text, validate=True), BYTES_MAX + 1)
    except (binascii.Error, ValueError, zlib.error) as error:
        raise ValidationError("The preview was not sent whole; choose the file again.") from error
