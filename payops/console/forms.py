"""The forms of the work screens: what may be typed, and how much of it.

A form checks shape and size; every rule about money, people and states is checked by the flow that
is called, and its refusal is shown on the form (`attempt`). Serves AP-3, PX-7, F16, F27.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from approvals.refusals import ApprovalRefused
from payops.cases.services import COMMENT_MAX
from payops.core.money import Money, MoneyError
from payops.core.roles import LABELS, Act, Role
from payops.core.state import StaleState

REASON_MAX = 2000
SHORT_REASON_MAX = 240
PLAIN_AMOUNT = re.compile(r"[0-9]{1,15}(\.[0-9]{1,4})?")
GROUPED_AMOUNT = re.compile(r"[0-9]{1,3}(,[0-9]{3}){1,4}\.[0-9]{1,4}")
REFUSALS = (ValueError, ApprovalRefused, StaleState)
# Characters nobody sees that turn a text around: what is read would not be what is kept.
TURNING = dict.fromkeys(map(ord, "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"))


def attempt(form: forms.Form, call: Callable[[], Any]) -> Any:
    """The call's result, or None with the refusal's sentence on the form.

    A refusal is a named exception; a bare built-in error is a fault and is not hidden.
    """
    try:
        return call()
    except REFUSALS as refusal:
        if type(refusal).__module__ == "builtins":
            raise
        form.add_error(None, str(refusal))
        return None


class Words(forms.CharField):
    """Text for other people to read and decide by, without characters that turn it around."""

    def to_python(self, value: Any) -> str:
        return super().to_python(super().to_python(value).translate(TURNING))


def reason_field(label: str = "Reason", help_text: str = "", size: int = REASON_MAX) -> Any:
    return Words(
        label=label,
        max_length=size,
        help_text=help_text,
        widget=forms.Textarea(attrs={"rows": 3}),
        error_messages={"required": "Write why; it is kept with the act and shown in the audit."},
    )


def line_field(label: str, size: int, help_text: str = "", **extra: Any) -> Any:
    attrs = {"autocomplete": "off", "spellcheck": "false"}
    return Words(
        label=label,
        max_length=size,
        help_text=help_text,
        widget=forms.TextInput(attrs=attrs),
        **extra,
    )


def typed_money(text: str, currency: str) -> Money:
    """An amount as a person types it. Raises MoneyError.

    "12,50" is twelve and a half to one reader and 1,250 to another, so a comma is read only where
    it can mean nothing else: before three digits, with the decimals behind a point.
    """
    typed = text.strip()
    if not PLAIN_AMOUNT.fullmatch(typed) and not GROUPED_AMOUNT.fullmatch(typed):
        raise MoneyError(
            f"{text!r} is not read as an amount: write digits, and a point before the decimals, "
            "such as 12400.00"
        )
    return Money.from_decimal(typed.replace(",", ""), currency)


class ActForm(forms.Form):
    """Every form of a page has its own ids: `auto_id` is the form's name and the field's."""

    use_required_attribute = True
    name = "form"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("auto_id", f"{self.name}-%s")
        kwargs.setdefault("label_suffix", "")
        super().__init__(*args, **kwargs)


# ---- cases ---------------------------------------------------------------------------------


class AssignForm(ActForm):
    """`people` is a list of (person id, name); "none" takes the owner away."""

    name = "assign"
    owner = forms.ChoiceField(label="Owner")

    def __init__(self, *args: Any, people: list[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["owner"].choices = [("none", "Nobody"), *people]  # type: ignore[attr-defined]


class CommentForm(ActForm):
    name = "comment"
    text = Words(label="Comment", max_length=COMMENT_MAX, widget=forms.Textarea(attrs={"rows": 2}))


class SnoozeForm(ActForm):
    name = "snooze"
    until = forms.DateTimeField(
        label="Until",
        input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"],
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        error_messages={"invalid": "Write the moment as 2026-03-04 09:00."},
    )
    note = line_field("Note", SHORT_REASON_MAX, "What you wait for.")


class EvidenceForm(ActForm):
    name = "evidence"
    document = forms.FileField(
        label="Document",
        max_length=200,
        help_text="PDF, image, text, CSV, JSON, XML or e-mail, up to 10 MB. Hashed and kept as is.",
    )


class CloseForm(ActForm):
    name = "close"
    reason = reason_field()


class DismissForm(CloseForm):
    name = "dismiss"


class SplitForm(ActForm):
    name = "split"


class ProposeForm(ActForm):
    name = "propose"
    reason = reason_field(help_text="The approvers and the auditors read it.")


# ---- payouts, holds, bank details ----------------------------------------------------------


class HoldForm(ActForm):
    name = "hold"
    reason = reason_field(size=SHORT_REASON_MAX)


class ReleaseHoldForm(ActForm):
    name = "release-hold"
    reason = line_field("Reason", SHORT_REASON_MAX)


class RetryForm(ActForm):
    name = "retry"
    reason = line_field("Reason", SHORT_REASON_MAX)


class CancelForm(ActForm):
    name = "cancel"
    reason = line_field("Reason", SHORT_REASON_MAX)


class DeclareUnsentForm(ActForm):
    name = "declare-unsent"
    reason = line_field(
        "Evidence",
        SHORT_REASON_MAX,
        "Who at the provider confirmed that there is no such payout, when, and where it is filed.",
    )


class VerifyForm(ActForm):
    name = "verify"
    evidence = line_field(
        "Evidence",
        SHORT_REASON_MAX,
        "How the details were checked, for example a call back to a known number, or the file "
        "that shows it.",
    )


class BankChangeForm(ActForm):
    name = "bank"
    holder = line_field("Account holder", 120)
    account = line_field("Account number or IBAN", 64, "Stored encrypted; shown masked.")
    account_again = line_field("The same once more", 64)
    reason = reason_field(help_text="Where the new details come from and how they were checked.")

    def clean(self) -> dict[str, Any]:
        said = super().clean() or {}
        first, second = said.get("account", ""), said.get("account_again", "")
        if first and second and _packed(first) != _packed(second):
            raise ValidationError("The two account numbers differ; type the same number twice.")
        return said


def _packed(account: str) -> str:
    return "".join(account.split()).upper()


class PayoutForm(ActForm):
    """`beneficiaries` and `accounts` are lists of (public id or pk, words)."""

    name = "payout"
    beneficiary = forms.ChoiceField(label="Beneficiary")
    account = forms.ChoiceField(label="Paid through")
    amount = line_field("Amount", 24, "Major units with a point, for example 12400.00.")
    currency = line_field("Currency", 3)
    merchant_ref = line_field("Reference", 120, "Your own number, for example P-10492.")
    reason = reason_field()
    request_key = forms.CharField(max_length=160, widget=forms.HiddenInput)

    def __init__(self, *args: Any, beneficiaries: Any, accounts: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["beneficiary"].choices = beneficiaries  # type: ignore[attr-defined]
        self.fields["account"].choices = accounts  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        said = super().clean() or {}
        if "amount" in said and "currency" in said:
            try:
                said["money"] = typed_money(said["amount"], said["currency"].upper())
            except MoneyError as error:
                self.add_error("amount", str(error))
        return said


# ---- people, access, policies, dead letters ------------------------------------------------


class RoleForm(ActForm):
    name = "role"
    person = forms.ChoiceField(label="Person")
    role = forms.ChoiceField(
        label="Role", choices=[(role.value, words) for role, words in LABELS.items()]
    )
    reason = reason_field()

    def __init__(self, *args: Any, people: list[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["person"].choices = people  # type: ignore[attr-defined]

    @property
    def facts(self) -> dict[str, Any]:
        said = self.cleaned_data
        return {"person_id": said["person"], "role": Role(said["role"]).value}


class PersonForm(ActForm):
    name = "person"
    full_name = line_field("Name", 120)
    email = forms.EmailField(label="E-mail", max_length=200)
    reason = reason_field()

    @property
    def facts(self) -> dict[str, Any]:
        return {"name": self.cleaned_data["full_name"], "email": self.cleaned_data["email"]}


class LoginForm(ActForm):
    name = "login"
    person = forms.ChoiceField(label="Person")
    username = forms.RegexField(
        r"^[a-z0-9][a-z0-9._-]{1,149}$",
        label="Login name",
        max_length=150,
        error_messages={"invalid": "A login name has lower-case letters, digits, dot, _ or -."},
    )
    reason = reason_field()

    def __init__(self, *args: Any, people: list[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["person"].choices = people  # type: ignore[attr-defined]

    @property
    def facts(self) -> dict[str, Any]:
        said = self.cleaned_data
        return {"person_id": said["person"], "username": said["username"]}


API_ACTS = (Act.REQUEST_PAYOUT, Act.REQUEST_REFUND, Act.VIEW_BOOKS)


class ApiKeyForm(ActForm):
    name = "api-key"
    system = forms.SlugField(label="System", max_length=64, help_text="For example shop-backend.")
    acts = forms.MultipleChoiceField(
        label="Permissions",
        choices=[(act.value, act.value.replace("_", " ")) for act in API_ACTS],
        widget=forms.CheckboxSelectMultiple,
    )
    reason = reason_field()

    @property
    def facts(self) -> dict[str, Any]:
        return {"system": self.cleaned_data["system"], "acts": sorted(self.cleaned_data["acts"])}


class RevokeForm(ActForm):
    name = "revoke"
    reason = line_field("Reason", SHORT_REASON_MAX)


class PolicyForm(ActForm):
    """The edges of a table in major units of its currency; the last tier has none."""

    name = "policy"
    expires_hours = forms.IntegerField(label="Hours to decide", min_value=1)
    reason = reason_field()

    def __init__(self, *args: Any, rules: dict[str, Any], currency: str, **kwargs: Any) -> None:
        self.rules, self.currency = rules, currency
        super().__init__(*args, **kwargs)
        self.fields["expires_hours"].initial = rules["expires_hours"]
        fields: dict[str, Any] = {}
        for number, tier in enumerate(rules["tiers"]):
            if tier["top_minor"] is None:
                continue
            edge = line_field(f"Upper edge of “{tier['key']}” ({currency})", 24)
            edge.initial = Money(tier["top_minor"], currency).decimal_text()
            fields[f"edge_{number}"] = edge
        self.fields = {**fields, **self.fields}

    def clean(self) -> dict[str, Any]:
        said = super().clean() or {}
        tiers = [dict(tier) for tier in self.rules["tiers"]]
        for number, tier in enumerate(tiers):
            typed = said.get(f"edge_{number}")
            if typed is None:
                continue
            try:
                tier["top_minor"] = typed_money(typed, self.currency).minor
            except MoneyError as error:
                self.add_error(f"edge_{number}", str(error))
        said["rules"] = {
            **self.rules,
            "tiers": tiers,
            "expires_hours": said.get("expires_hours", self.rules["expires_hours"]),
        }
        if not self.errors and said["rules"] == self.rules:
            raise ValidationError("Nothing differs from the active table; change an edge first.")
        return said


class DiscardForm(ActForm):
    """Dead letters to give up, by public id, one per line or ticked on the list."""

    name = "discard"
    event_ids = forms.CharField(
        label="Events",
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
        help_text="One event id per line.",
    )
    note = reason_field("Note", "Why these events will never be processed.")

    def clean_event_ids(self) -> list[str]:
        return sorted(set(self.cleaned_data["event_ids"].replace(",", " ").split()))


class BulkForm(ActForm):
    """What a kind of bulk act asks for: `asks` names the fields, in their order."""

    name = "bulk"
    owner = forms.ChoiceField(label="Owner")
    until = forms.DateTimeField(
        label="Until",
        input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"],
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        error_messages={"invalid": "Write the moment as 2026-03-04 09:00."},
    )
    note = line_field("Note", SHORT_REASON_MAX, "Kept with every row.")

    def __init__(
        self, *args: Any, asks: tuple[str, ...], people: list[tuple[str, str]], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.fields["owner"].choices = [("none", "Nobody"), *people]  # type: ignore[attr-defined]
        self.fields = {name: self.fields[name] for name in asks}


# ---- decisions -----------------------------------------------------------------------------


class DecisionForm(forms.Form):
    """Reads what `parts/decision_form.html` posts; the rules are those of `approvals`."""

    verdict = forms.ChoiceField(choices=[("approve", "approve"), ("reject", "reject")])
    reason = Words(
        max_length=REASON_MAX,
        error_messages={
            "required": "Write the reason for the decision; it is kept with it for ever."
        },
    )
    password = forms.CharField(
        max_length=200,
        strip=False,
        error_messages={"required": "Type your password; a decision without it is not taken."},
    )
    confirm = forms.CharField(max_length=100, required=False)
    role = forms.CharField(max_length=32, required=False)
    content_hash = forms.CharField(max_length=64)


class TakeBackForm(ActForm):
    """Withdrawing a request, or undoing an approval before its execution."""

    name = "take-back"
    reason = line_field("Reason", REASON_MAX)
