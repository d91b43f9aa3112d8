"""The form of a file of refunds: what may be uploaded or pasted, and how much of it (F8)."""

from __future__ import annotations

from typing import Any

from django import forms

from payops.console.forms import ActForm
from payops.formats import refund_file
from payops.formats.refund_file import FileRefused

FILENAME_MAX = 120
# A form ends lines with two characters; what the file itself may have, its reader says.
TEXT_CHARS_MAX = 2 * refund_file.BYTES_MAX
HELP = (
    "The first line names the columns: payment, amount, currency, reason_code; if you like account,"
    " note and one column per evidence, such as evidence_order_reference. An amount is 30.00 or"
    " all."
)


class FileForm(ActForm):
    """A file, or its lines pasted; the preview sends the text back exactly as it was read."""

    name = "refunds"
    file = forms.FileField(
        label="File",
        required=False,
        max_length=FILENAME_MAX,
        help_text=f"CSV in UTF-8 or UTF-16, at most {refund_file.ROWS_MAX} lines and"
        f" {refund_file.BYTES_MAX // 1024} kB.",
    )
    text = forms.CharField(
        label="Or its lines",
        max_length=TEXT_CHARS_MAX,
        required=False,
        strip=False,
        help_text=HELP,
        widget=forms.Textarea(attrs={"rows": 8, "spellcheck": "false", "autocomplete": "off"}),
    )
    filename = forms.CharField(max_length=FILENAME_MAX, required=False, widget=forms.HiddenInput)

    def clean(self) -> dict[str, Any]:
        said = super().clean() or {}
        given = said.get("file")
        if given is not None:
            try:
                said["text"] = refund_file.text_of(given.read(refund_file.BYTES_MAX + 1))
            except FileRefused as refusal:
                self.add_error("file", f"Nothing was read: {refusal}.")
                return said
            said["filename"] = str(given.name)[-FILENAME_MAX:]
        if not str(said.get("text") or "").strip() and not self.errors:
            self.add_error("file", "Choose a file, or paste its lines.")
        return said
