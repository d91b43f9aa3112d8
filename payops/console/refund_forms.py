"""The forms of refunds: what may be asked for, and what the acts on one refund need.

A form checks shape and size, and that the reason's required evidence is there; everything about
money, policy and permission is decided by the flow, whose refusal is shown. Serves RF-3, RF-11,
RF-14, F26, F27.
"""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.forms.boundfield import BoundField

from payops.console.forms import (
    SHORT_REASON_MAX,
    ActForm,
    Words,
    line_field,
    reason_field,
    typed_money,
)
from payops.console.refund_wording import TICKET_SYSTEMS
from payops.core import ids
from payops.core.money import Money, MoneyError
from payops.payments.refund_table import Reason, Rules

NOTE_MAX = 400
EVIDENCE_MAX = 240
TICKET_MAX, KEY_MAX = 120, 160
OTHER = "other"
# The whole rest as the page showed it, in minor units: the page sent twice means the same amount.
HOW = re.compile(r"other|rest-([0-9]{1,18})")
EVIDENCE = "evidence_"


def fresh_key() -> str:
    """Made with the page, so that the same page sent twice is one request (RF-11)."""
    return f"console:{ids.uuid7().hex}"


class RefundForm(ActForm):
    """What is asked for of one charge; the evidence fields are those of the chosen reason."""

    name = "refund"
    request_key = forms.CharField(max_length=KEY_MAX, widget=forms.HiddenInput)
    how = forms.RegexField(
        HOW, label="How much", error_messages={"required": "Choose how much is given back."}
    )
    amount = line_field("Another amount", 24, required=False)
    reason_code = forms.ChoiceField(
        label="Reason", error_messages={"required": "Choose the reason of the refund."}
    )
    note = Words(
        label="Note",
        max_length=NOTE_MAX,
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="For the people who decide and for the audit; the customer never sees it.",
    )
    ticket_system = forms.ChoiceField(
        label="Ticket in", required=False, choices=[("", "No ticket"), *TICKET_SYSTEMS.items()]
    )
    ticket_ref = line_field("Ticket number", TICKET_MAX, required=False)
    offline = forms.BooleanField(label="Paid by hand, outside the provider", required=False)
    goodwill = forms.BooleanField(
        label="A gift of the platform: the seller bears nothing", required=False
    )
    confirm = line_field("Amount once more", 24, required=False)

    def __init__(
        self, *args: Any, left: Money, captured: Money, rules: Rules, **kwargs: Any
    ) -> None:
        self.left, self.rules = left, rules
        super().__init__(*args, **kwargs)
        self.whole_words = f"All of it, {left}" if left == captured else f"The rest, {left}"
        self.whole_value = f"rest-{left.minor}"
        self.fields["how"].initial = self.whole_value
        self.fields["amount"].help_text = f"In {left.currency}, a point before the decimals."
        named = sorted(rules.reasons.values(), key=lambda row: row.label)
        reasons: Any = self.fields["reason_code"]
        reasons.choices = [("", "Choose"), *((row.code, row.label) for row in named)]
        for field, is_required in self.wanted_fields():
            label = field.replace("_", " ").capitalize()
            self.fields[EVIDENCE + field] = line_field(
                label,
                EVIDENCE_MAX,
                "" if is_required else "Without it people decide.",
                required=is_required,
                error_messages={"required": f"This reason needs it: {label.lower()}."},
            )

    @property
    def reason(self) -> Reason | None:
        """The reason chosen, in the form as it was posted or first shown."""
        said = self.data.get("reason_code") if self.is_bound else self.initial.get("reason_code")
        return self.rules.reasons.get(str(said or ""))

    def wanted_fields(self) -> list[tuple[str, bool]]:
        """(name, required) of the evidence that the chosen reason asks for."""
        reason = self.reason
        if reason is None:
            return []
        return [*((n, True) for n in reason.required), *((n, False) for n in reason.wanted)]

    def evidence_fields(self) -> list[BoundField]:
        return [self[EVIDENCE + name] for name, _ in self.wanted_fields()]

    def clean(self) -> dict[str, Any]:
        said = super().clean() or {}
        try:
            said["money"] = self._money()
        except MoneyError as error:
            self.add_error("amount", str(error))
        if said.get("ticket_ref") and not said.get("ticket_system"):
            self.add_error("ticket_system", "Say which system the ticket is in.")
        if said.get("ticket_system") and not said.get("ticket_ref"):
            self.add_error("ticket_ref", "Write the ticket's number, or choose no ticket.")
        return said

    def _typed(self, text: str) -> Money:
        if not text.strip():
            raise MoneyError("Write the amount, or choose the whole rest.")
        money = typed_money(text, self.left.currency)
        if money.minor <= 0:
            raise MoneyError(f"A refund gives back more than nothing; {money} was typed.")
        return money

    @property
    def money(self) -> Money | None:
        """The amount as far as it can be read, before anything else is right."""
        try:
            return self._money()
        except MoneyError:
            return None

    @property
    def is_whole(self) -> bool:
        """Not another amount; as it was posted or first shown."""
        return str(self["how"].value()) != OTHER

    def _money(self) -> Money:
        how = str(self.data.get("how") or "") if self.is_bound else self.whole_value
        found = HOW.fullmatch(how)
        if found and found[1]:
            if text := str(self.data.get("amount") or "").strip():
                raise MoneyError(
                    f"{text[:24]} is typed and the whole rest is chosen; choose the other amount, "
                    "or take what is typed away."
                )
            return Money(int(found[1]), self.left.currency)
        return self._typed(self.data.get("amount") or "")

    @property
    def evidence(self) -> dict[str, str]:
        """What was typed as evidence of the chosen reason; empty fields are left out."""
        typed = {name: self.told(EVIDENCE + name) for name, _ in self.wanted_fields()}
        return {name: text for name, text in typed.items() if text}

    def told(self, name: str) -> str:
        """What was typed, without what nobody sees, cut to its size; the rest may be wrong."""
        field: Any = self.fields[name]
        text = str(self.data.get(name) or "")
        return str(field.to_python(text)).strip()[: field.max_length]

    def check_shown(self, wanted: Money) -> None:
        """What the button said is what is asked for; a page that lags behind is shown again."""
        shown = str(self.data.get("shown") or wanted.minor)
        if shown != str(wanted.minor):
            said = (
                Money(int(shown), wanted.currency)
                if shown.isdecimal() and len(shown) < 19
                else "something else"
            )
            self.add_error(None, f"The button said {said} and {wanted} is typed; ask once more.")

    def check_confirmation(self, wanted: Money) -> None:
        """Above the book's limit the amount is typed once more; raises nothing, adds the error."""
        try:
            same = self._typed(self.cleaned_data.get("confirm") or "") == wanted
        except MoneyError:
            same = False
        if not same:
            self.add_error(
                "confirm", f"Type {wanted.decimal_text()} to confirm a refund of {wanted}."
            )


class SendForm(ActForm):
    """Nothing is typed: the page says what leaves, the button sends it."""

    name = "send"


class VerifyForm(ActForm):
    name = "verify"


class CancelRefundForm(ActForm):
    name = "cancel"
    reason = line_field("Reason", SHORT_REASON_MAX)


class RetryRefundForm(ActForm):
    name = "retry"
    reason = reason_field(
        help_text="Why it can arrive this time, for example a new card.", size=NOTE_MAX
    )
    offline = forms.BooleanField(label="Paid by hand this time", required=False)


class OfflineForm(ActForm):
    """The payment that was made by hand, by the bank's or the cashier's own reference."""

    name = "offline"
    offline_ref = line_field("Reference of the payment", 120, "As the bank statement shows it.")
    paid_at = forms.DateTimeField(
        label="Paid at",
        input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"],
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        error_messages={"invalid": "Write the moment as 2026-03-04 09:00."},
    )


class EndPromiseForm(ActForm):
    name = "end-promise"
    outcome = forms.ChoiceField(
        label="How it ended",
        choices=[
            ("lapsed", "Lapsed: the customer was made whole another way, or gave it up"),
            ("unclaimed", "Unclaimed: the customer cannot be reached; the money is kept for them"),
        ],
        widget=forms.RadioSelect,
    )
    evidence = line_field("Evidence", 400, "How it is known, and where that is filed.")
    reason = reason_field(help_text="The approvers and the auditors read it.")


class DeclareUnsentForm(ActForm):
    name = "declare-unsent"
    reason = line_field(
        "Evidence",
        SHORT_REASON_MAX,
        "Who at the provider confirmed that there is no such refund, when, and where it is filed.",
    )
