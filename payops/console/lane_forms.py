"""The form of a changed table of lanes: what may be typed, and how much of it (WH-23).

A form checks shape and size; the flow that is called checks the rest and says why it refuses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.forms.boundfield import BoundField

from payops.console.forms import ActForm, line_field, reason_field, typed_money
from payops.core.money import Money, MoneyError
from payops.webhooks.lanes import LANES, NAME, ROWS_MAX

FREE_ROWS = 2
NAME_MAX = 80
LIST_MAX = 2000
AMOUNT_MAX = 24
LISTS = ("types", "currencies", "accounts")
AMOUNTS = ("from_minor", "below_minor")


@dataclass(frozen=True, slots=True)
class Group:
    """The fields of one rule; shown open where something typed was refused."""

    title: str
    fields: list[BoundField]
    is_open: bool


class LanesForm(ActForm):
    """One group of fields per rule, and two free ones; a rule without a name is taken away."""

    name = "lanes"
    reason = reason_field()

    def __init__(self, *args: Any, rules: dict[str, Any], currency: str, **kwargs: Any) -> None:
        self.rules, self.currency = rules, currency
        super().__init__(*args, **kwargs)
        self.places = min(len(rules["rows"]) + FREE_ROWS, ROWS_MAX)
        fields: dict[str, Any] = {}
        for place in range(self.places):
            rows = rules["rows"]
            fields |= self._row(place, rows[place] if place < len(rows) else {})
        self.fields = {**fields, **self.fields}

    def groups(self) -> list[Group]:
        answer = []
        for place in range(self.places):
            fields = [field for field in self if field.name.startswith(f"r{place}_")]
            rows = self.rules["rows"]
            title = rows[place]["name"] if place < len(rows) else "Another rule"
            answer.append(Group(title, fields, any(field.errors for field in fields)))
        return answer

    def clean(self) -> dict[str, Any]:
        said = super().clean() or {}
        rows = [row for place in range(self.places) if (row := self._read(place, said))]
        said["rules"] = {"kind": NAME, "rows": rows}
        if not self.errors and said["rules"] == self.rules:
            raise ValidationError("Nothing differs from the active table; change a rule first.")
        return said

    def _row(self, place: int, row: dict[str, Any]) -> dict[str, Any]:
        choices = [(lane, lane.capitalize()) for lane in LANES]
        several = "Several with blanks or commas between."
        fields = {
            "name": line_field(
                "Name", NAME_MAX, "Empty: the rule is taken away." if row else "", required=False
            ),
            "lane": forms.ChoiceField(label="Goes to the lane", choices=choices),
            "types": line_field(
                "Kinds of event",
                LIST_MAX,
                f"A * at the end stands for anything. {several}",
                required=False,
            ),
            "currencies": line_field("Currencies", LIST_MAX, several, required=False),
            "accounts": line_field(
                "Provider accounts", LIST_MAX, f"Such as stripe/demo. {several}", required=False
            ),
            "from_minor": line_field(
                f"Worth at least ({self.currency})", AMOUNT_MAX, required=False
            ),
            "below_minor": line_field(
                f"Worth less than ({self.currency})", AMOUNT_MAX, required=False
            ),
        }
        for part in ("name", "lane"):
            fields[part].initial = row.get(part, "")
        for part in LISTS:
            fields[part].initial = " ".join(row.get(part, []))
        for part in AMOUNTS:
            if row.get(part) is not None:
                fields[part].initial = Money(row[part], self.currency).decimal_text()
        return {f"r{place}_{part}": field for part, field in fields.items()}

    def _read(self, place: int, said: dict[str, Any]) -> dict[str, Any]:
        """The rule typed at that place, empty where there is none."""
        typed = {part: said.get(f"r{place}_{part}", "") for part in ("name", *LISTS, *AMOUNTS)}
        if not typed["name"].strip():
            if place >= len(self.rules["rows"]) and any(typed.values()):
                self.add_error(f"r{place}_name", "Name the rule; people read it by its name.")
            return {}
        row: dict[str, Any] = {"name": typed["name"].strip(), "lane": said.get(f"r{place}_lane")}
        for part in LISTS:
            if names := typed[part].replace(",", " ").split():
                row[part] = names
        for part in AMOUNTS:
            if not typed[part].strip():
                continue
            try:
                row[part] = typed_money(typed[part], self.currency).minor
            except MoneyError as error:
                self.add_error(f"r{place}_{part}", str(error))
        return row
