"""Reading a mapping set: which account, party, field and setting becomes what (ERP-2, LJ-19).

A set is a JSON table that people approve. `parse` refuses what cannot be applied and names every
fault of it; what a set says about single entries is looked at in `filling`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from payops.core.money import MoneyError, check_currency
from payops.formats.journals.base import (
    CONTROL,
    ENTERED,
    LINE,
    SOURCES,
    TURNING,
    Field,
    MappingSet,
    Rule,
    Setting,
    Target,
)

PREFIX = "erp."
PARTS = frozenset({"kind", "settings", "accounts", "parties", "fields"})
ENTRIES_MAX = 5_000
TEXT_MAX = 400
FAULTS_SHOWN_MAX = 12
REFERENCE_PREFIX = re.compile(r"[A-Z0-9]{2,6}")
BEFORE_FORMULA = ("=", "+", "-", "@", "|", "%")


class MappingError(ValueError):
    """A mapping set that cannot be applied; the text names each place and what is wrong there."""


def common_settings(*, memo: str = "leave out", unmapped: str = "leave out") -> tuple[Setting, ...]:
    """The settings that every target has."""
    return (
        Setting(
            "prefix",
            "Begins every reference",
            required=True,
            legal=REFERENCE_PREFIX.pattern,
            help="2 to 6 capital letters or digits; another one for every book of one ERP.",
        ),
        Setting(
            "amounts",
            "Amounts",
            ENTERED,
            one_of=("entered", "reporting"),
            help="As entered, per currency; or everything in the reporting currency.",
        ),
        Setting(
            "currencies",
            "Currencies it takes",
            chars_max=400,
            help="ISO codes with blanks between; empty: any.",
        ),
        Setting("first_day", "First day it takes", help="Such as 2026-01-01; empty: any day."),
        Setting(
            "texts",
            "Descriptions that do not fit",
            "clean",
            one_of=("clean", "refuse"),
            help="Cut and clean them, or refuse the export.",
        ),
        Setting(
            "memo",
            "Memo accounts",
            memo,
            one_of=("leave out", "keep"),
            help="Off-balance pairs stay here, or go along.",
        ),
        Setting(
            "unmapped_party",
            "Parties without a row",
            unmapped,
            one_of=("leave out", "as is", "refuse"),
            help="Sellers and accounts that the table of parties does not name.",
        ),
        Setting(
            "summary",
            "Summaries",
            "by account",
            one_of=("by account", "by party"),
            help="Per day, account and currency; or per party too.",
        ),
    )


def seeded(
    target: Target, *, prefix: str, accounts: Iterable[tuple[str, str, str]]
) -> dict[str, Any]:
    """The set a book starts with; `accounts` are (code, name, kind) of its chart."""
    settings = {each.name: each.default for each in target.settings}
    settings["prefix"] = re.sub("[^A-Z0-9]", "", prefix.upper())[:3].ljust(2, "X")
    return {
        "kind": PREFIX + target.key,
        "settings": settings,
        "accounts": {code: target.usual_account(code, name, kind) for code, name, kind in accounts},
        "parties": {},
        "fields": {each.name: rule_facts(each.rule) for each in target.fields if not each.fixed},
    }


def rule_facts(rule: Rule) -> dict[str, str]:
    """The rule as it stands in a set."""
    if rule.source:
        return {"from": rule.source, "default": rule.default}
    return {"value": rule.value}


def parse(target: Target, rules: Mapping[str, Any], *, version: int = 0) -> MappingSet:
    """Raises MappingError with every fault of the set."""
    faults: list[str] = []
    if not isinstance(rules, Mapping) or rules.get("kind") != PREFIX + target.key:
        raise MappingError(f"the set is not one for {target.name} ({PREFIX}{target.key})")
    if unknown := sorted(set(rules) - PARTS):
        faults.append(f"there is no part {', '.join(unknown)}")
    settings = _settings(target, _texts(rules, "settings", faults), faults)
    accounts = _accounts(target, _texts(rules, "accounts", faults), faults)
    parties = _texts(rules, "parties", faults)
    for party, name in parties.items():
        faults += [f"party {party[:60]}: {wrong}" for wrong in _unfit(name, target)]
    fields = _rules(target, rules.get("fields", {}), faults)
    if faults:
        more = len(faults) - FAULTS_SHOWN_MAX
        rest = [f"and {more} more"] if more > 0 else []
        raise MappingError("; ".join(faults[:FAULTS_SHOWN_MAX] + rest))
    return MappingSet(target.key, version, settings, accounts, parties, fields)


def missing_accounts(
    mapping: MappingSet, chart: Iterable[tuple[str, str, str]]
) -> list[tuple[str, str]]:
    """Accounts of the chart the set has no row for; memo accounts only when they go along."""
    return [
        (code, name)
        for code, name, kind in chart
        if not mapping.accounts.get(code) and (kind != "memo" or mapping.keeps_memo)
    ]


def _texts(rules: Mapping[str, Any], part: str, faults: list[str]) -> dict[str, str]:
    given = rules.get(part, {})
    if not isinstance(given, Mapping) or len(given) > ENTRIES_MAX:
        faults.append(f"{part} is a table of at most {ENTRIES_MAX} rows")
        return {}
    for name, value in given.items():
        if not isinstance(name, str) or not isinstance(value, str) or len(value) > TEXT_MAX:
            faults.append(f"{part} {str(name)[:60]}: a text of at most {TEXT_MAX} characters")
    return {str(name): str(value).strip() for name, value in given.items()}


def _settings(target: Target, given: dict[str, str], faults: list[str]) -> dict[str, str]:
    known = {each.name: each for each in target.settings}
    faults += [f"there is no setting {name[:60]}" for name in sorted(set(given) - set(known))]
    answer = {}
    for name, setting in known.items():
        value = given.get(name, setting.default)
        answer[name] = value
        faults += [f"{setting.label}: {wrong}" for wrong in _setting_faults(target, setting, value)]
    return answer


def _setting_faults(target: Target, setting: Setting, value: str) -> Iterable[str]:
    if not value:
        if setting.required:
            yield "it is needed and empty"
        return
    if setting.one_of and value not in setting.one_of:
        yield f"“{value[:60]}” is none of {', '.join(setting.one_of)}"
    if setting.name == "amounts" and value in setting.one_of and value not in target.bases:
        yield f"{target.name} takes journals in {' or '.join(target.bases)} amounts only"
    if len(value) > setting.chars_max:
        yield f"{len(value)} characters; it takes {setting.chars_max}"
    if setting.legal and not re.fullmatch(setting.legal, value):
        yield f"“{value[:60]}” is not as it must be: {setting.help}"
    yield from _unfit(value, target)
    if setting.name == "first_day":
        try:
            date.fromisoformat(value)
        except ValueError:
            yield f"“{value[:60]}” is not a day such as 2026-01-01"
    if setting.name == "currencies":
        for code in value.split():
            try:
                check_currency(code)
            except MoneyError as error:
                yield str(error)


def _accounts(target: Target, given: dict[str, str], faults: list[str]) -> dict[str, str]:
    field = next(each for each in target.fields if each.rule.source == "line.account")
    for code, account in given.items():
        if account:
            faults += [
                f"account {code[:20]}: “{account[:60]}” {wrong}"
                for wrong in faults_of(field, account, target)
            ]
    return given


def _rules(target: Target, given: Any, faults: list[str]) -> dict[str, Rule]:
    answer = {field.name: field.rule for field in target.fields}
    changeable = {field.name: field for field in target.fields if not field.fixed}
    if not isinstance(given, Mapping):
        faults.append("fields is a table of rules")
        return answer
    for name, said in given.items():
        field = changeable.get(name)
        if field is None:
            faults.append(f"{target.name} has no field {str(name)[:60]} to map")
        else:
            found = [f"field {field.label}: {wrong}" for wrong in _rule_faults(field, said, target)]
            faults += found
            if not found:
                answer[name] = Rule(
                    said.get("from", ""), said.get("value", ""), said.get("default", "")
                )
    for field in target.fields:
        rule = answer[field.name]
        if field.required and not (rule.source or rule.value):
            faults.append(f"field {field.label}: it is needed; map it or give it a value")
    return answer


def _rule_faults(field: Field, said: Any, target: Target) -> Iterable[str]:
    if not isinstance(said, Mapping) or not set(said) <= {"from", "value", "default"}:
        yield "a rule names a source with a default, or one value"
        return
    if not all(isinstance(each, str) for each in said.values()):
        yield "a rule is made of texts"
        return
    source = said.get("from", "")
    if source and said.get("value"):
        yield "either a source or one value, not both"
    if source and source not in SOURCES:
        yield f"there is no source “{source[:60]}”"
    elif source.startswith("line.") and field.level != LINE:
        yield f"it stands once in a document and cannot come from {SOURCES[source]}"
    for part in ("value", "default"):
        if said.get(part):
            yield from (
                f"“{said[part][:60]}” {wrong}" for wrong in faults_of(field, said[part], target)
            )


def faults_of(field: Field, value: str, target: Target) -> Iterable[str]:
    """What keeps this value out of the field, in words that follow the value."""
    if field.chars_max and len(value) > field.chars_max:
        yield f"has {len(value)} characters; {target.name} takes {field.chars_max}"
    if field.one_of and value not in field.one_of:
        yield f"is none of {', '.join(field.one_of)}"
    if found := sorted({each for each in value if each in field.forbidden}):
        yield f"holds {' '.join(found)}, which {target.name} does not take there"
    elif field.legal and not re.fullmatch(field.legal, value):
        yield f"is not written as {target.name} needs it: {target.account_words or field.legal}"
    yield from _unfit(value, target)


def _unfit(value: str, target: Target) -> Iterable[str]:
    if CONTROL.search(value) or TURNING.search(value):
        yield "holds a character nobody sees"
    if target.spreadsheet and value.startswith(BEFORE_FORMULA):
        yield f"begins with {value[0]}, which a spreadsheet takes for a formula"
