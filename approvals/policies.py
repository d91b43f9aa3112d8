"""Who decides what: the approval tables, seeded per book and kept as policy versions (D2, D5).

Finance reads these rows and changes them through an approved `policy_change` alone. A request
keeps the version it was asked under. This module interprets a table; it looks at no request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from approvals.hashing import hash_of
from approvals.models import PolicyVersion
from approvals.refusals import PolicyMissing
from payops.core.models import Book
from payops.core.money import Money
from payops.core.roles import PERMISSIONS, Act, Role

PREFIX = "approval."
EXPIRES_HOURS = 72
EXPIRES_HOURS_MAX = 24 * 31
TIERS_MAX = 10
CONDITIONS_MAX = 50
SEATS = frozenset(role.value for role, acts in PERMISSIONS.items() if Act.DECIDE in acts)

OPS_LEAD, FINANCE, COMPLIANCE, TREASURY = (
    Role.OPS_LEAD.value,
    Role.FINANCE_MANAGER.value,
    Role.COMPLIANCE.value,
    Role.TREASURY.value,
)
# key, upper edge in major units of the reporting currency ("" = no edge), edge included, seats
BY_AMOUNT: tuple[tuple[str, str, bool, tuple[str, ...]], ...] = (
    ("lower", "5000.00", False, (OPS_LEAD,)),
    ("middle", "50000.00", True, (FINANCE, COMPLIANCE)),
    ("top", "", True, (TREASURY,)),
)
REFUND_BY_AMOUNT: tuple[tuple[str, str, bool, tuple[str, ...]], ...] = (
    ("lower", "500.00", True, (OPS_LEAD,)),
    ("middle", "5000.00", True, (FINANCE,)),
    ("top", "", True, (FINANCE, TREASURY)),
)
REFUND_CONDITIONS: tuple[dict[str, Any], ...] = (
    {"name": "High-risk reason", "facts": {"high_risk": [True]}, "adds": [FINANCE]},
    {"name": "Bulk upload", "channels": ["bulk"], "adds": [FINANCE]},
)
PAYOUT_CONDITIONS: tuple[dict[str, Any], ...] = (
    {"name": "Bulk upload", "channels": ["bulk"], "adds": [COMPLIANCE]},
    {
        "name": "Watched currency",
        "currencies": ["BYN", "IRR", "KPW", "RUB", "SYP"],
        "adds": [COMPLIANCE],
    },
    {
        "name": "Counterparty on watch",
        "facts": {"counterparty_watch": [True]},
        "adds": [COMPLIANCE],
    },
)
# Kinds whose seats follow the amount; every other kind has fixed ones.
BY_AMOUNT_OF = {
    "payout_exception": (BY_AMOUNT, PAYOUT_CONDITIONS),
    "payout_release": (BY_AMOUNT, PAYOUT_CONDITIONS),
    "refund": (REFUND_BY_AMOUNT, REFUND_CONDITIONS),
}
FIXED: dict[str, tuple[str, ...]] = {
    "bank_detail_change": (FINANCE, COMPLIANCE),
    "beneficiary_create": (COMPLIANCE,),
    "role_grant": (COMPLIANCE,),
    "person_create": (COMPLIANCE,),
    "login_link": (COMPLIANCE,),
    "api_key": (COMPLIANCE, FINANCE),
    "policy_change": (FINANCE, TREASURY),
    "dead_letter_discard": (FINANCE,),
    "payout_not_sent": (FINANCE, TREASURY),
    "refund_offline": (FINANCE,),
    "refund_not_sent": (FINANCE,),
    "refund_obligation": (FINANCE,),
    "dispute_loss": (FINANCE,),
    "allowlist_change": (OPS_LEAD,),
    "account_settings": (OPS_LEAD, FINANCE),
    "webhook_secret": (OPS_LEAD, FINANCE),
    "manual_journal": (FINANCE,),
    "period_lock": (FINANCE,),
    "period_reopen": (FINANCE, TREASURY),
    "late_posting": (FINANCE,),
    "book_settings": (FINANCE, TREASURY),
    "rate_import": (TREASURY,),
    "statement_parity": (FINANCE,),
}
KIND_LABELS = {
    "payout_exception": "Payout exception",
    "payout_release": "Payout release",
    "bank_detail_change": "Bank-detail change",
    "beneficiary_create": "New beneficiary",
    "role_grant": "Role grant",
    "person_create": "New person",
    "login_link": "Login link",
    "api_key": "API key",
    "policy_change": "Policy change",
    "dead_letter_discard": "Dead-letter discard",
    "payout_not_sent": "Payout declared not sent",
    "refund": "Refund",
    "refund_offline": "Refund paid by hand",
    "refund_not_sent": "Refund declared not sent",
    "refund_obligation": "Refund still owed: its end",
    "dispute_loss": "Dispute given up",
    "allowlist_change": "Allowlist change",
    "account_settings": "Provider account settings",
    "webhook_secret": "New webhook secret",
    "manual_journal": "Manual journal",
    "period_lock": "Period lock",
    "period_reopen": "Period reopening",
    "late_posting": "Late posting",
    "book_settings": "Book settings",
    "rate_import": "Exchange rates",
    "statement_parity": "Statement parity",
}


class PolicyError(ValueError):
    """A policy table that cannot be applied; the text names the row and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Tier:
    """One row of the table. `top_minor` None has no upper edge; it is the highest tier."""

    key: str
    top_minor: int | None
    top_included: bool
    seats: tuple[str, ...]

    def covers(self, total_minor: int) -> bool:
        if self.top_minor is None:
            return True
        return total_minor < self.top_minor or (self.top_included and total_minor == self.top_minor)


@dataclass(frozen=True, slots=True)
class Condition:
    """Seats added whatever the amount, when every named attribute matches (F23)."""

    name: str
    adds: tuple[str, ...]
    channels: tuple[str, ...] = ()
    currencies: tuple[str, ...] = ()
    counterparties: tuple[str, ...] = ()
    requesters: tuple[str, ...] = ()
    facts: tuple[tuple[str, tuple[Any, ...]], ...] = ()

    def fires(
        self,
        *,
        channel: str,
        currency: str,
        counterparty: str,
        requester: str,
        facts: Mapping[str, Any],
    ) -> bool:
        named = (
            (self.channels, channel),
            (self.currencies, currency),
            (self.counterparties, counterparty),
            (self.requesters, requester),
            *((allowed, facts.get(name)) for name, allowed in self.facts),
        )
        return all(not allowed or value in allowed for allowed, value in named)


@dataclass(frozen=True, slots=True)
class Policy:
    """A parsed policy version."""

    kind: str
    version: int
    by_amount: bool
    tiers: tuple[Tier, ...]
    conditions: tuple[Condition, ...]
    expires_hours: int

    def tier(self, key: str) -> int:
        """The rank of a tier by its key; 0 when this version has no such tier."""
        return next((rank for rank, tier in enumerate(self.tiers) if tier.key == key), 0)


def rules_for(kind: str, *, currency: str) -> dict[str, Any]:
    """The seeded table of a kind, with its edges in minor units of the reporting currency."""
    if kind in FIXED:
        only = {"key": "fixed", "top_minor": None, "top_included": True, "seats": FIXED[kind]}
        return _table(kind, False, [only], ())
    by_amount, conditions = BY_AMOUNT_OF[kind]
    tiers: list[dict[str, Any]] = [
        {
            "key": key,
            "top_minor": Money.from_decimal(edge, currency).minor if edge else None,
            "top_included": included,
            "seats": seats,
        }
        for key, edge, included, seats in by_amount
    ]
    return _table(kind, True, tiers, conditions)


def seed_policies(book: Book, now: datetime) -> None:
    """Version 1 of every table of a book; run by the schema's owner, again without effect."""
    known = set(PolicyVersion.objects.filter(book=book).values_list("name", flat=True))
    for kind in KIND_LABELS:
        if PREFIX + kind in known:
            continue
        rules = rules_for(kind, currency=book.reporting_currency)
        parse(rules, version=1)
        PolicyVersion.objects.create(
            book=book,
            name=PREFIX + kind,
            version=1,
            rules=rules,
            content_hash=hash_of(rules),
            active_from=now,
            created_at=now,
        )


def active(*, book: Book, kind: str, now: datetime) -> PolicyVersion:
    """The version new requests are asked under. Raises PolicyMissing."""
    found = active_version(book=book, name=PREFIX + kind, now=now)
    if found is None:
        raise PolicyMissing(
            f"{book.name} has no active approval policy for {kind!r}; an approved policy change "
            "or the bootstrap command creates one",
            kind=kind,
        )
    return found


def active_version(*, book: Book, name: str, now: datetime) -> PolicyVersion | None:
    """The version of any table that applies now; None while the table in the code does."""
    versions = PolicyVersion.objects.filter(book=book, name=name, active_from__lte=now)
    return versions.order_by("-version").first()


def policy_of(version: PolicyVersion) -> Policy:
    """The stored table, parsed. Raises PolicyError when it is not the one that was approved."""
    if hash_of(version.rules) != version.content_hash:
        raise PolicyError(f"{version.name} v{version.version} is not the table that was approved")
    return parse(version.rules, version=version.version)


def parse(rules: Mapping[str, Any], *, version: int) -> Policy:
    """Read a stored or proposed table. Raises PolicyError before anything can rely on it."""
    try:
        tiers = tuple(
            Tier(
                key=_text(row["key"]),
                top_minor=_edge(row["top_minor"]),
                top_included=bool(row["top_included"]),
                seats=_seats(row["seats"], f"tier {row['key']!r}"),
            )
            for row in rules["tiers"]
        )
        policy = Policy(
            kind=_text(rules["kind"]),
            version=version,
            by_amount=bool(rules["by_amount"]),
            tiers=tiers,
            conditions=tuple(_condition(row) for row in rules["conditions"]),
            expires_hours=_whole(rules["expires_hours"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise PolicyError(f"the policy table is incomplete: {error!r}") from error
    _check(policy)
    return policy


def _table(
    kind: str, by_amount: bool, tiers: list[dict[str, Any]], conditions: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "kind": kind,
        "by_amount": by_amount,
        "tiers": [{**tier, "seats": list(tier["seats"])} for tier in tiers],
        "conditions": [dict(condition) for condition in conditions],
        "expires_hours": EXPIRES_HOURS,
    }


def _condition(row: Mapping[str, Any]) -> Condition:
    known = {"name", "adds", "channels", "currencies", "counterparties", "requesters", "facts"}
    if unknown := set(row) - known:
        raise PolicyError(f"condition {row.get('name')!r} has unknown parts {sorted(unknown)}")
    condition = Condition(
        name=_text(row["name"]),
        adds=_seats(row["adds"], f"condition {row['name']!r}"),
        channels=tuple(map(_text, row.get("channels", ()))),
        currencies=tuple(map(_text, row.get("currencies", ()))),
        counterparties=tuple(map(_text, row.get("counterparties", ()))),
        requesters=tuple(map(_text, row.get("requesters", ()))),
        facts=tuple((name, tuple(values)) for name, values in row.get("facts", {}).items()),
    )
    named = (condition.channels, condition.currencies, condition.counterparties)
    if not any((*named, condition.requesters, condition.facts)):
        raise PolicyError(f"condition {condition.name!r} names nothing to look at")
    return condition


def _check(policy: Policy) -> None:
    if not 1 <= len(policy.tiers) <= TIERS_MAX or len(policy.conditions) > CONDITIONS_MAX:
        raise PolicyError(
            f"{len(policy.tiers)} tiers and {len(policy.conditions)} conditions; "
            f"1 to {TIERS_MAX} tiers and at most {CONDITIONS_MAX} conditions fit"
        )
    if len({tier.key for tier in policy.tiers}) != len(policy.tiers):
        raise PolicyError("two tiers have the same key")
    edges = [tier.top_minor for tier in policy.tiers]
    if edges[-1] is not None:
        raise PolicyError("the last tier needs no upper edge, or large amounts have no tier")
    below = [edge for edge in edges[:-1] if edge is not None]
    if len(below) != len(edges) - 1 or below != sorted(set(below)) or min(below, default=1) <= 0:
        raise PolicyError(f"the upper edges {edges} do not rise from tier to tier")
    if not 1 <= policy.expires_hours <= EXPIRES_HOURS_MAX:
        raise PolicyError(f"{policy.expires_hours} hours to decide; 1 to {EXPIRES_HOURS_MAX} fit")


def _seats(value: Any, place: str) -> tuple[str, ...]:
    seats = tuple(map(_text, value))
    if not seats or len(set(seats)) != len(seats) or not set(seats) <= SEATS:
        raise PolicyError(f"{place} has seats {list(seats)}; each once, out of {sorted(SEATS)}")
    return seats


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise PolicyError(f"{value!r} is not a text")
    return value


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise PolicyError(f"{value!r} is not a whole number")
    return value


def _edge(value: Any) -> int | None:
    return None if value is None else _whole(value)
