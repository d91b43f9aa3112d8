"""The forms of exports to an ERP and of their mapping sets: what may be typed, and how much of it.

A form checks shape and size; what a set or a range means is checked by the flow that is called.
"""

from __future__ import annotations

import copy
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.forms.boundfield import BoundField

from ledger.exporting import DETAILED, SUMMARISED
from payops.console.forms import ActForm, Words, line_field, reason_field
from payops.flows.export import WORDS_MAX
from payops.formats.journals.base import LINE, SOURCES, Field, Target
from payops.formats.journals.mapping import rule_facts
from payops.formats.journals.registry import TARGETS

LINES_MAX = 400_000
VALUE_MAX = 400
MODES = [(DETAILED, "Each entry a journal of its own"), (SUMMARISED, "One journal a day")]
SIGNS = ("\t", "=", ";")


class ExportForm(ActForm):
    """`periods` is a list of (code, words); `ranges` has the days of each."""

    name = "export"
    target = forms.ChoiceField(
        label="To", choices=[(each.key, each.name) for each in TARGETS.values()]
    )
    period = forms.ChoiceField(label="Period", required=False)
    from_on = forms.DateField(
        label="From", required=False, widget=forms.DateInput(attrs={"type": "date"})
    )
    to_on = forms.DateField(
        label="Up to and including", required=False, widget=forms.DateInput(attrs={"type": "date"})
    )
    mode = forms.ChoiceField(label="How", choices=MODES)

    def __init__(self, *args: Any, ranges: dict[str, tuple[Any, Any]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ranges = ranges
        self.fields["period"].choices = [  # type: ignore[attr-defined]
            ("", "The days below"),
            *((code, code) for code in ranges),
        ]

    def clean(self) -> dict[str, Any]:
        said = super().clean() or {}
        if said.get("period"):
            said["from_on"], said["to_on"] = self.ranges[said["period"]]
        elif not (said.get("from_on") and said.get("to_on")):
            raise ValidationError("Choose a period, or type the first and the last day.")
        return said


class ErpWordsForm(ActForm):
    """What the ERP answered; kept with the export for ever."""

    name = "words"
    words = Words(
        label="What the ERP said",
        max_length=WORDS_MAX,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="Its journal or job number, or its error as it stands there.",
    )


class RejectForm(ErpWordsForm):
    name = "reject"


class ConfirmForm(ErpWordsForm):
    name = "confirm"


class MappingForm(ActForm):
    """A whole mapping set: settings, two tables as lines, and a rule per field."""

    name = "mapping"
    reason = reason_field()

    def __init__(self, *args: Any, target: Target, rules: dict[str, Any], **kwargs: Any) -> None:
        self.target, self.rules = target, rules
        super().__init__(*args, **kwargs)
        self.changeable = [field for field in target.fields if not field.fixed]
        fields: dict[str, Any] = {f"s_{each.name}": self._setting(each) for each in target.settings}
        fields["accounts"] = _table(
            "Accounts", "Our code = their account, one a line.", rules["accounts"]
        )
        fields["parties"] = _table(
            "Parties", "Our party = their name or number, one a line.", rules["parties"], False
        )
        for field in self.changeable:
            fields |= self._rule(field)
        self.fields = {**fields, **self.fields}

    def settings(self) -> list[BoundField]:
        return [self[f"s_{each.name}"] for each in self.target.settings]

    def rule_rows(self) -> list[tuple[Field, BoundField, BoundField]]:
        return [(each, self[f"f_{each.name}"], self[f"d_{each.name}"]) for each in self.changeable]

    def clean(self) -> dict[str, Any]:
        said = super().clean() or {}
        rules = {
            "kind": self.rules["kind"],
            "settings": {
                each.name: said.get(f"s_{each.name}", "") for each in self.target.settings
            },
            "accounts": self._lines("accounts", said.get("accounts", "")),
            "parties": self._lines("parties", said.get("parties", "")),
            "fields": {each.name: self._said(each, said) for each in self.changeable},
        }
        said["rules"] = rules
        if not self.errors and rules == self._as_now():
            raise ValidationError("Nothing differs from the active set; change a row first.")
        return said

    def _as_now(self) -> dict[str, Any]:
        """The active set with every part written out."""
        now = copy.deepcopy(self.rules)
        now["settings"] = {
            each.name: now["settings"].get(each.name, each.default) for each in self.target.settings
        }
        now["fields"] = {
            each.name: self._written(now["fields"].get(each.name, rule_facts(each.rule)))
            for each in self.changeable
        }
        return now

    @staticmethod
    def _written(rule: dict[str, str]) -> dict[str, str]:
        if rule.get("from"):
            return {"from": rule["from"], "default": rule.get("default", "")}
        return {"value": rule.get("value", "")}

    def _said(self, field: Field, said: dict[str, Any]) -> dict[str, str]:
        source, text = said.get(f"f_{field.name}", ""), said.get(f"d_{field.name}", "").strip()
        return {"from": source, "default": text} if source else {"value": text}

    def _setting(self, setting: Any) -> Any:
        value = self.rules["settings"].get(setting.name, setting.default)
        if setting.one_of:
            return forms.ChoiceField(
                label=setting.label,
                choices=[
                    (each, each.capitalize() if each[:1].islower() else each)
                    for each in setting.one_of
                ],
                help_text=setting.help,
                initial=value,
            )
        return line_field(
            setting.label, setting.chars_max, setting.help, required=setting.required, initial=value
        )

    def _rule(self, field: Field) -> dict[str, Any]:
        rule = self.rules["fields"].get(field.name, rule_facts(field.rule))
        sources = [
            (name, words.capitalize())
            for name, words in SOURCES.items()
            if field.level == LINE or not name.startswith("line.")
        ]
        source = forms.ChoiceField(
            label=f"{field.label}: from",
            choices=[("", "The text beside it"), *sources],
            required=False,
            initial=rule.get("from", ""),
        )
        text = line_field(
            f"{field.label}: text, or what stands where there is none",
            VALUE_MAX,
            required=False,
            initial=rule.get("default", "") if rule.get("from") else rule.get("value", ""),
        )
        return {f"f_{field.name}": source, f"d_{field.name}": text}

    def _lines(self, name: str, text: str) -> dict[str, str]:
        """Also as they are pasted from a spreadsheet: two columns with a tab between."""
        rows: dict[str, str] = {}
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip():
                continue
            sign = next((each for each in SIGNS if each in line), "")
            ours, _, theirs = line.partition(sign) if sign else ("", "", "")
            ours = ours.strip()
            if not ours or not theirs.strip():
                self.add_error(name, f"Line {number}: write it as ours = theirs.")
            elif ours in rows:
                self.add_error(name, f"Line {number}: {ours[:60]} has a row already.")
            else:
                rows[ours] = theirs.strip()
        return rows


def _table(label: str, help_text: str, rows: dict[str, str], required: bool = True) -> Any:
    return forms.CharField(
        label=label,
        max_length=LINES_MAX,
        help_text=help_text,
        required=required,
        strip=False,
        initial="\n".join(f"{ours} = {theirs}" for ours, theirs in rows.items() if theirs),
        widget=forms.Textarea(attrs={"rows": 14, "spellcheck": "false", "class": "mono"}),
    )
