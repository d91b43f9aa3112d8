"""The refund policy in words: what a rule grants alone, what people decide, which reasons count.

Reads only; the verdicts of the outlook are those of `payops.flows.refunds.policy`. Serves AP-7,
AP-8, AP-9, RF-14, F23.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from approvals.models import ApprovalRequest, PolicyVersion
from payops.console import refund_wording
from payops.core.models import Book
from payops.core.money import Money
from payops.flows.refunds import policy as refund_policy
from payops.flows.refunds.policy import Outlook
from payops.payments import refund_table
from payops.payments.refund_table import NAME, Reason, Risk, Rules

VERSIONS_MAX = 100
NOT_THERE = "not there"
RISKS = {
    Risk.NEVER: "Never",
    Risk.WITH_PRIOR_DISPUTES: "With prior disputes",
    Risk.ALWAYS: "Always",
}
CHANNELS = {"api": "the API", "bulk": "a file", "console": "the console", "ticket": "a ticket"}


@dataclass(frozen=True, slots=True)
class RuleWords:
    """One rule as finance reads it; `name` is its column in the table."""

    name: str
    label: str
    words: str


@dataclass(frozen=True, slots=True)
class ReasonWords:
    """One reason as finance reads it."""

    code: str
    label: str
    risk: str
    required: str
    wanted: str

    @property
    def words(self) -> str:
        said = [self.label, f"high risk {self.risk.lower()}"]
        said += [f"refused without {self.required}"] if self.required else []
        said += [f"people decide without {self.wanted}"] if self.wanted else []
        return "; ".join(said)


@dataclass(frozen=True, slots=True)
class PolicyTable:
    """One version as the page shows it; no version: the table in the code, which grants nothing."""

    version: PolicyVersion | None
    rules: list[RuleWords]
    reasons: list[ReasonWords]
    is_active: bool


@dataclass(frozen=True, slots=True)
class Difference:
    """One rule or reason of a proposed table beside the active one."""

    label: str
    before: str
    after: str

    @property
    def word(self) -> str:
        if self.before == self.after:
            return ""
        if self.before == NOT_THERE:
            return "Added"
        return "Removed" if self.after == NOT_THERE else "Changed"


@dataclass(frozen=True, slots=True)
class Verdicts:
    """How many requests of the last month have this verdict by each table."""

    label: str
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """A proposed table: rule by rule, and over the last month."""

    rows: list[Difference]
    outlook: Outlook | None

    @property
    def differing(self) -> list[Difference]:
        return [row for row in self.rows if row.word]

    @property
    def same(self) -> list[Difference]:
        return [row for row in self.rows if not row.word]

    @property
    def counts(self) -> list[Verdicts]:
        if self.outlook is None:
            return []
        said = refund_wording.VERDICTS
        return [Verdicts(said.get(v, v), b, a) for v, b, a in self.outlook.counts]

    @property
    def changed(self) -> list[tuple[Any, str, str]]:
        """(the request, its verdict in words now, by the proposed table)."""
        if self.outlook is None:
            return []
        said = refund_wording.VERDICTS
        return [(row, said[row.before], said[row.after]) for row in self.outlook.changed]


def active(book: Book, now: datetime) -> PolicyTable:
    version, rules = refund_policy.active_table(book, now)
    return _table(book, version, rules, is_active=True)


def versions(book: Book) -> list[PolicyVersion]:
    """Latest first, those not active yet included."""
    rows = PolicyVersion.objects.filter(book=book, name=NAME)
    return list(rows.order_by("-version")[:VERSIONS_MAX])


def of_version(book: Book, number: int, now: datetime) -> PolicyTable | None:
    version = PolicyVersion.objects.filter(book=book, name=NAME, version=number).first()
    if version is None:
        return None
    current, _ = refund_policy.active_table(book, now)
    is_active = current is not None and current.pk == version.pk
    return _table(book, version, version.rules, is_active=is_active)


def change_of(
    *, book: Book, before: Mapping[str, Any], after: Mapping[str, Any], now: datetime | None
) -> PolicyChange:
    """`now` None: what it would have decided is history and is not worked out again."""
    old, new = (_parsed(book, rules) for rules in (before, after))
    rows = [
        Difference(was.label, was.words, then.words)
        for was, then in zip(rule_words(old), rule_words(new), strict=True)
    ]
    reasons_before = {row.code: row.words for row in reason_words(old)}
    reasons_after = {row.code: row.words for row in reason_words(new)}
    labels = {row.code: row.label for row in [*reason_words(old), *reason_words(new)]}
    for code in dict.fromkeys([*reasons_after, *reasons_before]):
        was, then = reasons_before.get(code, NOT_THERE), reasons_after.get(code, NOT_THERE)
        rows.append(Difference(f"Reason: {labels[code]}", was, then))
    outlook = None
    if now is not None:
        outlook = refund_policy.outlook(rules=after, book=book, now=now)
    return PolicyChange(rows, outlook)


def proposed(request: ApprovalRequest, now: datetime) -> PolicyChange | None:
    """The table that is asked for beside the one it was asked against; None for other requests."""
    if request.kind != "policy_change" or request.facts.get("policy") != NAME:
        return None
    older = PolicyVersion.objects.filter(
        book=request.book, name=NAME, version=request.facts["replaces_version"]
    ).first()
    seeded = refund_table.seeded(currency=request.book.reporting_currency)
    pending = request.state == ApprovalRequest.State.PENDING and now < request.expires_at
    return change_of(
        book=request.book,
        before=older.rules if older else seeded,
        after=request.facts["rules"],
        now=now if pending else None,
    )


def rule_words(rules: Rules) -> list[RuleWords]:
    by_person = rules.send_by_person_above_minor
    channels = [CHANNELS[name] for name in sorted(rules.never_auto_channels)]
    disputes = rules.seller_disputes_min
    return [
        RuleWords("auto_max_minor", "A rule grants alone up to", str(rules.auto_max)),
        RuleWords(
            "requires_settled",
            "Refunds only what the provider has settled",
            "Yes" if rules.requires_settled else "No",
        ),
        RuleWords(
            "send_by_person_above_minor",
            "A person sends what is granted",
            "never" if by_person is None else f"above {Money(by_person, rules.currency)}",
        ),
        RuleWords(
            "never_auto_channels",
            "People always decide what comes through",
            ", ".join(channels) or "no way in particular",
        ),
        RuleWords(
            "seller_disputes_min",
            "Disputes of the seller that count as prior ones",
            f"{disputes} or more in 90 days" if disputes else "none do",
        ),
        RuleWords(
            "twin_minutes",
            "Warns of the same amount and reason within",
            f"{rules.twin_minutes} minutes",
        ),
    ]


def reason_words(rules: Rules) -> list[ReasonWords]:
    """By their names: the table keeps no order."""
    return [_reason(row) for row in sorted(rules.reasons.values(), key=lambda row: row.label)]


def _reason(row: Reason) -> ReasonWords:
    required, wanted = (
        ", ".join(name.replace("_", " ") for name in names) for names in (row.required, row.wanted)
    )
    return ReasonWords(
        code=row.code,
        label=row.label,
        risk=RISKS[row.high_risk],
        required=required,
        wanted=wanted,
    )


def _table(
    book: Book, version: PolicyVersion | None, rules: Mapping[str, Any], *, is_active: bool
) -> PolicyTable:
    parsed = _parsed(book, rules)
    return PolicyTable(version, rule_words(parsed), reason_words(parsed), is_active)


def _parsed(book: Book, rules: Mapping[str, Any]) -> Rules:
    return refund_table.parse(rules, currency=book.reporting_currency, version=0)
