"""A mapping set in words: every account, party, field and setting, and what a change would do.

Reads only. Serves ERP-2, LJ-19 and the page of the approval that puts a set in force.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from approvals.models import ApprovalRequest, PolicyVersion
from payops.core.models import Book
from payops.flows import export_mapping
from payops.formats.journals import mapping
from payops.formats.journals.base import DOCUMENT, Field, Rule, Target

NONE = "not there"
ROWS_SHOWN_MAX = 300


@dataclass(frozen=True, slots=True)
class AccountRow:
    """One account of the chart and what it is called at the target; "" is missing."""

    code: str
    name: str
    kind: str
    theirs: str
    needed: bool


@dataclass(frozen=True, slots=True)
class FieldRow:
    """One field of the target and how it is filled."""

    field: Field
    rule: str
    fixed: bool
    level: str


@dataclass(frozen=True, slots=True)
class MappingPage:
    target: Target
    version: PolicyVersion | None
    rules: dict[str, Any]
    settings: list[tuple[str, str, str]]
    accounts: list[AccountRow]
    missing: int
    parties: list[tuple[str, str]]
    fields: list[FieldRow]
    versions: list[PolicyVersion]


@dataclass(frozen=True, slots=True)
class Change:
    """One row that differs."""

    part: str
    name: str
    before: str
    after: str

    @property
    def word(self) -> str:
        if self.before == NONE:
            return "Added"
        return "Removed" if self.after == NONE else "Changed"


@dataclass(frozen=True, slots=True)
class MappingChange:
    """A proposed set beside the active one; `more` rows are not listed."""

    target: Target
    rows: list[Change]
    more: int
    same: int


def page_of(book: Book, target: Target, now: datetime) -> MappingPage:
    version, rules = export_mapping.active_rules(book, target, now)
    chart = export_mapping.chart_of(book)
    keeps = rules["settings"].get("memo") == "keep"
    accounts = [
        AccountRow(code, name, kind, rules["accounts"].get(code, ""), kind != "memo" or keeps)
        for code, name, kind in chart
    ]
    return MappingPage(
        target=target,
        version=version,
        rules=rules,
        settings=[
            (each.label, rules["settings"].get(each.name, each.default), each.help)
            for each in target.settings
        ],
        accounts=accounts,
        missing=sum(1 for row in accounts if row.needed and not row.theirs),
        parties=sorted(rules["parties"].items())[:ROWS_SHOWN_MAX],
        fields=[_field_row(field, rules) for field in target.fields],
        versions=export_mapping.versions(book, target),
    )


def change_of(target: Target, before: Mapping[str, Any], after: Mapping[str, Any]) -> MappingChange:
    was, becomes = _flat(target, before), _flat(target, after)
    rows = [
        Change(part, name, was.get((part, name), NONE), becomes.get((part, name), NONE))
        for part, name in dict.fromkeys([*becomes, *was])
        if was.get((part, name)) != becomes.get((part, name))
    ]
    same = len(set(was) | set(becomes)) - len(rows)
    return MappingChange(target, rows[:ROWS_SHOWN_MAX], max(len(rows) - ROWS_SHOWN_MAX, 0), same)


def proposed(request: ApprovalRequest) -> MappingChange | None:
    """The set that is asked for beside the one it was asked against; None: another table."""
    target = export_mapping.target_of(str(request.facts.get("policy", "")))
    if target is None:
        return None
    older = PolicyVersion.objects.filter(
        book=request.book,
        name=request.facts["policy"],
        version=request.facts["replaces_version"],
    ).first()
    before = older.rules if older else export_mapping.seeded(request.book, target)
    return change_of(target, before, request.facts["rules"])


def _flat(target: Target, rules: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    flat = {
        ("Setting", each.label): rules["settings"].get(each.name, each.default) or "empty"
        for each in target.settings
    }
    flat |= {("Account", code): theirs for code, theirs in rules["accounts"].items() if theirs}
    flat |= {("Party", party): theirs for party, theirs in rules["parties"].items()}
    for field in target.fields:
        if not field.fixed:
            flat["Field", field.label] = _rule_words(field, rules)
    return flat


def _field_row(field: Field, rules: Mapping[str, Any]) -> FieldRow:
    words = f"{field.rule.words} (worked out)" if field.fixed else _rule_words(field, rules)
    level = "Document" if field.level == DOCUMENT else "Line"
    return FieldRow(field, words, field.fixed, level)


def _rule_words(field: Field, rules: Mapping[str, Any]) -> str:
    said = rules["fields"].get(field.name, mapping.rule_facts(field.rule))
    rule = Rule(said.get("from", ""), said.get("value", ""), said.get("default", ""))
    return rule.words
