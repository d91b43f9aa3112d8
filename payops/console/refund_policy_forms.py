"""The form of a changed refund policy: what may be typed, and how much of it (F23).

A form checks shape and size; `refunds.policy.check` checks the rest and says why it refuses.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from payops.console.forms import ActForm, line_field, reason_field, typed_money
from payops.console.lane_forms import Group
from payops.console.reads.refund_policy_table import CHANNELS, RISKS
from payops.core.money import Money, MoneyError
from payops.payments.refund_table import BOUNDS, LABEL_MAX, REASONS_MAX, TEXT_MAX

FREE_REASONS = 2
AMOUNT_MAX = 24
LIST_MAX = 600
SEVERAL = "Names with underscores, with blanks or commas between."
YES_NO = [("no", "No"), ("yes", "Yes")]


class RefundPolicyForm(ActForm):
    """The rules, one group of fields per reason and two free ones; no label: it is taken away."""

    name = "refund-policy"
    reason = reason_field()

    def __init__(self, *args: Any, rules: dict[str, Any], currency: str, **kwargs: Any) -> None:
        self.rules, self.currency = rules, currency
        super().__init__(*args, **kwargs)
        reasons = rules["reasons"]
        self.codes = sorted(reasons, key=lambda code: str(reasons[code]["label"]))
        self.places = min(len(self.codes) + FREE_REASONS, REASONS_MAX)
        fields = self._rule_fields()
        for place in range(self.places):
            fields |= self._reason_fields(place)
        self.fields = {**fields, **self.fields}

    @property
    def rule_fields(self) -> list[Any]:
        return [self[name] for name in self._names]

    def groups(self) -> list[Group]:
        answer = []
        for place in range(self.places):
            fields = [field for field in self if field.name.startswith(f"r{place}_")]
            title = "Another reason"
            if place < len(self.codes):
                title = self.rules["reasons"][self.codes[place]]["label"]
            answer.append(Group(title, fields, any(field.errors for field in fields)))
        return answer

    def clean(self) -> dict[str, Any]:
        said = super().clean() or {}
        reasons = {}
        for place in range(self.places):
            code, row = self._read_reason(place, said)
            if code and code in reasons:
                self.add_error(f"r{place}_code", f"There is a reason {code} already.")
            if code:
                reasons[code] = row
        above = said.get("send_by_person_above", "")
        said["rules"] = {
            "auto_max_minor": self._minor("auto_max", said.get("auto_max", "")),
            "requires_settled": said.get("requires_settled") == "yes",
            "send_by_person_above_minor": (
                self._minor("send_by_person_above", above) if above.strip() else None
            ),
            "never_auto_channels": sorted(said.get("never_auto_channels", [])),
            "seller_disputes_min": said.get("seller_disputes_min"),
            "twin_minutes": said.get("twin_minutes"),
            "reasons": reasons,
        }
        if not self.errors and said["rules"] == self.rules:
            raise ValidationError("Nothing differs from the active table; change a rule first.")
        return said

    def _rule_fields(self) -> dict[str, Any]:
        rules, money = self.rules, f"({self.currency})"
        fields: dict[str, Any] = {
            "auto_max": line_field(f"A rule grants alone up to {money}", AMOUNT_MAX),
            "send_by_person_above": line_field(
                f"A person sends what is granted above {money}",
                AMOUNT_MAX,
                "Empty: what is granted leaves by itself, whatever the amount.",
                required=False,
            ),
            "requires_settled": forms.ChoiceField(
                label="Refunds only what the provider has settled", choices=YES_NO
            ),
            "never_auto_channels": forms.MultipleChoiceField(
                label="People always decide what comes through",
                choices=[
                    (name, f"{words[:1].upper()}{words[1:]}") for name, words in CHANNELS.items()
                ],
                widget=forms.CheckboxSelectMultiple,
                required=False,
            ),
            "seller_disputes_min": forms.IntegerField(
                label="Disputes of the seller in 90 days that count as prior ones",
                help_text="0: none do.",
                min_value=0,
                max_value=BOUNDS["seller_disputes_min"],
            ),
            "twin_minutes": forms.IntegerField(
                label="Warns of the same amount and reason within (minutes)",
                min_value=0,
                max_value=BOUNDS["twin_minutes"],
            ),
        }
        fields["auto_max"].initial = Money(rules["auto_max_minor"], self.currency).decimal_text()
        above = rules["send_by_person_above_minor"]
        if above is not None:
            fields["send_by_person_above"].initial = Money(above, self.currency).decimal_text()
        fields["requires_settled"].initial = "yes" if rules["requires_settled"] else "no"
        for name in ("never_auto_channels", "seller_disputes_min", "twin_minutes"):
            fields[name].initial = rules[name]
        self._names = list(fields)
        return fields

    def _reason_fields(self, place: int) -> dict[str, Any]:
        known = place < len(self.codes)
        row = self.rules["reasons"][self.codes[place]] if known else {}
        removes = "Empty: the reason is taken away; refunds that have it keep it." if known else ""
        fields: dict[str, Any] = {
            "label": line_field("Reason", LABEL_MAX, removes, required=False),
            "high_risk": forms.ChoiceField(
                label="High risk, so that people decide",
                choices=[(risk.value, words) for risk, words in RISKS.items()],
                required=False,
            ),
            "required": line_field("Evidence it needs", LIST_MAX, SEVERAL, required=False),
            "wanted": line_field("Evidence that makes it complete", LIST_MAX, required=False),
        }
        if not known:
            code = line_field("Code", TEXT_MAX, "For example late_delivery.", required=False)
            fields = {"code": code, **fields}
        fields["label"].initial = row.get("label", "")
        fields["high_risk"].initial = row.get("high_risk", "never")
        for part in ("required", "wanted"):
            fields[part].initial = " ".join(row.get(part, []))
        return {f"r{place}_{part}": field for part, field in fields.items()}

    def _read_reason(self, place: int, said: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """The code and the row typed at that place, "" where there is none."""
        typed = {
            part: said.get(f"r{place}_{part}", "").strip()
            for part in ("code", "label", "required", "wanted")
        }
        known = place < len(self.codes)
        code = self.codes[place] if known else typed["code"]
        if not typed["label"]:
            if not known and any(typed.values()):
                self.add_error(f"r{place}_label", "Name the reason; people choose it by its name.")
            return "", {}
        if not code:
            self.add_error(f"r{place}_code", "Give the reason a code; systems ask by it.")
            return "", {}
        return code, {
            "label": typed["label"],
            "high_risk": said.get(f"r{place}_high_risk") or "never",
            "required": typed["required"].replace(",", " ").split(),
            "wanted": typed["wanted"].replace(",", " ").split(),
        }

    def _minor(self, field: str, text: str) -> int | None:
        try:
            return typed_money(text, self.currency).minor
        except MoneyError as error:
            if field not in self.errors:
                self.add_error(field, str(error))
            return None
