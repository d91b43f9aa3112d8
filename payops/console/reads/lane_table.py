"""The table of lanes in words: which rule sends what where, and what a change of it would do.

Reads only. The lane is always the verdict of `payops.webhooks.lanes`. Serves WH-23, SC-3, D2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from approvals.models import ApprovalRequest, PolicyVersion
from payops.core.models import Book
from payops.core.money import Money
from payops.flows import lane_policy
from payops.flows.lane_policy import Outlook
from payops.webhooks import lanes
from payops.webhooks.lanes import Row

NOT_THERE = "not there"


@dataclass(frozen=True, slots=True)
class RuleWords:
    """One rule as finance reads it."""

    name: str
    when: str
    lane: str


@dataclass(frozen=True, slots=True)
class RuleChange:
    """One rule of a proposed table beside the active one; a rule is known by its name."""

    name: str
    when: str
    lane: str
    when_before: str
    lane_before: str

    @property
    def word(self) -> str:
        if self.when_before == NOT_THERE:
            return "Added"
        if self.when == NOT_THERE:
            return "Removed"
        same = (self.when, self.lane) == (self.when_before, self.lane_before)
        return "" if same else "Changed"


@dataclass(frozen=True, slots=True)
class LaneTable:
    """The table that applies now."""

    version: PolicyVersion | None
    rules: dict[str, Any]
    rows: list[RuleWords]


@dataclass(frozen=True, slots=True)
class LaneChange:
    """A proposed table: rule by rule, and over the last days."""

    rows: list[RuleChange]
    outlook: Outlook | None


def active(book: Book, now: datetime) -> LaneTable:
    version, rules = lane_policy.active_table(book, now)
    return LaneTable(version, rules, rule_words(rules, book.reporting_currency))


def rule_words(rules: Mapping[str, Any], currency: str) -> list[RuleWords]:
    parsed = lanes.parse(rules, currency=currency)
    return [RuleWords(row.name, _when(row, currency), row.lane) for row in parsed.rows]


def change_of(
    *, book: Book, before: Mapping[str, Any], after: Mapping[str, Any], now: datetime | None
) -> LaneChange:
    """`now` None: what it would have decided is history and is not worked out again."""
    currency = book.reporting_currency
    old = {row.name: row for row in rule_words(before, currency)}
    new = {row.name: row for row in rule_words(after, currency)}
    none = RuleWords("", NOT_THERE, NOT_THERE)
    rows = []
    for name in dict.fromkeys([*new, *old]):
        then, was = new.get(name, none), old.get(name, none)
        rows.append(RuleChange(name, then.when, then.lane, was.when, was.lane))
    outlook = None
    if now is not None:
        outlook = lane_policy.outlook(book=book, rules=after, now=now)
    return LaneChange(rows, outlook)


def proposed(request: ApprovalRequest, now: datetime) -> LaneChange:
    """The table that is asked for beside the one it was asked against."""
    older = PolicyVersion.objects.filter(
        book=request.book, name=lanes.NAME, version=request.facts["replaces_version"]
    ).first()
    seeded = lanes.seeded(currency=request.book.reporting_currency)
    pending = request.state == ApprovalRequest.State.PENDING and now < request.expires_at
    return change_of(
        book=request.book,
        before=older.rules if older else seeded,
        after=request.facts["rules"],
        now=now if pending else None,
    )


def _when(row: Row, currency: str) -> str:
    kinds = [*row.types, *(f"{prefix}*" for prefix in row.prefixes)]
    said = [
        f"{name} {' or '.join(values)}"
        for name, values in (
            ("event", kinds),
            ("in", sorted(row.currencies)),
            ("account", sorted(row.accounts)),
        )
        if values
    ]
    if row.by_amount:
        said.append(_worth(row, currency))
    return ", ".join(said)


def _worth(row: Row, currency: str) -> str:
    low = None if row.from_minor is None else Money(row.from_minor, currency)
    top = None if row.below_minor is None else Money(row.below_minor, currency)
    if top is None:
        return f"worth {low} or more"
    return f"worth less than {top}" if low is None else f"worth {low} to below {top}"
