"""The forms of the provider-account screens: what may be typed, and how much of it (WH-3, WH-30).

A form checks shape and size; the flow that is called checks the rest and says why it refuses.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from payops.console.forms import SHORT_REASON_MAX, ActForm, line_field, reason_field
from payops.core.models import ProviderAccount
from payops.flows.account_changes import NUMBERS, VERIFY_POLICIES
from payops.webhooks import allowlist
from payops.webhooks.allowlist import NetworkRefused

LIST_CHARS_MAX = 120_000
VALUES_CHARS_MAX = 8000
PASSWORD_MAX = 200


def text_field(label: str, rows: int, size: int, help_text: str, **extra: Any) -> Any:
    attrs = {"rows": rows, "spellcheck": "false", "autocomplete": "off"}
    widget = forms.Textarea(attrs=attrs)
    return forms.CharField(
        label=label, max_length=size, help_text=help_text, widget=widget, **extra
    )


def password_field() -> forms.CharField:
    attrs = {"autocomplete": "current-password"}
    widget = forms.PasswordInput(attrs=attrs)
    return forms.CharField(label="Your password", max_length=PASSWORD_MAX, widget=widget)


class ListForm(ActForm):
    """A whole text list of one name; `networks` is what it reads as."""

    name = "list"
    label = line_field("Name of the list", 60, "Such as “provider's page, 2026-03”.")
    text = text_field(
        "Networks",
        10,
        LIST_CHARS_MAX,
        "One network or address per line, IPv4 or IPv6; # starts a comment. This is the whole list "
        "of that name: what is missing here is removed.",
        required=False,
    )
    file = forms.FileField(
        label="Or a file", required=False, max_length=200, help_text="Text, read instead."
    )
    reason = reason_field()

    def clean_label(self) -> str:
        label = self.cleaned_data["label"].strip()
        if not allowlist.LABEL.fullmatch(label):
            raise ValidationError("Letters, digits, blanks, points and dashes, at most 60.")
        return label

    def clean(self) -> dict[str, Any]:
        said = super().clean() or {}
        text = said.get("text") or ""
        if said.get("file") is not None:
            raw = said["file"].read(LIST_CHARS_MAX + 1)
            if len(raw) > LIST_CHARS_MAX:
                self.add_error("file", f"The file has more than {LIST_CHARS_MAX} bytes.")
                return said
            text = raw.decode("utf-8-sig", errors="replace")
        reading = allowlist.read_text(text)
        for problem in reading.problems[:20]:
            self.add_error("text", problem)
        if len(reading.problems) > 20:
            self.add_error("text", f"and {len(reading.problems) - 20} more lines")
        said["networks"] = reading.networks
        return said


class NameForm(ActForm):
    """A DNS name to follow."""

    name = "name"
    dns_name = line_field(
        "DNS name", 253, "Resolved every hour; what it answers is on the list for 7 days."
    )
    reason = reason_field()

    def clean_dns_name(self) -> str:
        try:
            return allowlist.read_name(self.cleaned_data["dns_name"])
        except NetworkRefused as refusal:
            raise ValidationError(str(refusal)) from refusal


class ModeForm(ActForm):
    name = "mode"
    mode = forms.ChoiceField(
        label="Allowlist", choices=[(mode, mode.capitalize()) for mode in allowlist.MODES]
    )
    reason = reason_field()


class SettingsForm(ActForm):
    """Columns of an account; `values` is provider values, one "name = value" per line."""

    name = "settings"
    verify_policy = forms.ChoiceField(
        label="Verified at the provider before acting",
        choices=[(policy, policy.replace("_", " ").capitalize()) for policy in VERIFY_POLICIES],
    )
    calls_per_s = forms.IntegerField(label="Calls a second, at most")
    listing_every_s = forms.IntegerField(
        label="Listing every, seconds", help_text="At least 60. 0: never list at the provider."
    )
    park_deadline_s = forms.IntegerField(
        label="Parked at most, seconds",
        help_text="Afterwards the state is fetched at the provider.",
    )
    values = text_field(
        "Provider values",
        4,
        VALUES_CHARS_MAX,
        "One “name = value” per line, such as merchant_account = ExampleECOM. Never a secret.",
        required=False,
    )
    reason = reason_field()

    def __init__(self, *args: Any, account: ProviderAccount, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for column in ("verify_policy", *(row[0] for row in NUMBERS)):
            self.fields[column].initial = getattr(account, column)
        pairs = sorted(account.settings.items())
        self.fields["values"].initial = "\n".join(f"{key} = {value}" for key, value in pairs)

    def clean_values(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for number, line in enumerate(self.cleaned_data["values"].splitlines(), start=1):
            if not line.strip():
                continue
            key, mark, value = line.partition("=")
            if not mark or not key.strip() or key.strip() in found:
                raise ValidationError(f"Line {number} is not one new “name = value”.")
            found[key.strip()] = value.strip()
        return found

    @property
    def wanted(self) -> dict[str, Any]:
        said = self.cleaned_data
        columns = ("verify_policy", *(row[0] for row in NUMBERS))
        return {**{column: said[column] for column in columns}, "settings": said["values"]}


class RotateForm(ActForm):
    name = "rotate"
    how = forms.ChoiceField(label="Where the new value comes from", widget=forms.RadioSelect)
    value = line_field("The provider's new secret", 512, required=False)
    reason = reason_field(size=SHORT_REASON_MAX)
    password = password_field()

    def __init__(self, *args: Any, can_generate: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        made = [("generate", "Made here, shown once")] if can_generate else []
        self.fields["how"].choices = [("paste", "Made by the provider"), *made]  # type: ignore[attr-defined]
        self.fields["how"].initial = "paste"

    def clean(self) -> dict[str, Any]:
        said = super().clean() or {}
        if said.get("how") == "paste" and not said.get("value", "").strip():
            self.add_error("value", "Paste the secret that the provider shows.")
        return said


class RetireForm(ActForm):
    name = "retire"
    reason = reason_field(size=SHORT_REASON_MAX)
    password = password_field()
    force = forms.BooleanField(label="Retire it although it is still needed", required=False)
