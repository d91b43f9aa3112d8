"""What people look at: my queue, everything open, one request's history, the policy as a table.

Reads only. The rules are those of `eligibility`; nothing is decided here (F22, F24).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet

from approvals import policies, tiers
from approvals.decisions import typed_confirmation_needed
from approvals.eligibility import (
    Eligibility,
    Standing,
    eligibility,
    eligibility_in,
    grants_of,
    standing,
    standings,
)
from approvals.models import ApprovalDecision, ApprovalRequest, PolicyVersion
from payops.core.models import AuditEvent, Book, Person
from payops.core.money import Money

__all__ = [
    "PolicyTable",
    "QueueItem",
    "all_open",
    "cumulative",
    "eligibility",
    "history_of",
    "my_queue",
    "policy_tables",
    "standing",
    "typed_confirmation_needed",
]

QUEUE_MAX = 500


@dataclass(frozen=True, slots=True)
class QueueItem:
    """A request with how it stands and what one person may do with it."""

    at: Standing
    mine: Eligibility

    @property
    def request(self) -> ApprovalRequest:
        return self.at.request


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """One row as finance reads it."""

    tier: str
    band: str
    seats: str


@dataclass(frozen=True, slots=True)
class PolicyTable:
    """The active table of one kind."""

    label: str
    version: PolicyVersion
    rows: tuple[PolicyRow, ...]
    conditions: tuple[str, ...]
    expires_hours: int


@dataclass(frozen=True, slots=True)
class Cumulative:
    """The figures behind the tier: own amount, the day's others, their total (None: unknown)."""

    own: Money | None
    others: Money
    others_count: int
    total: Money | None


@dataclass(frozen=True, slots=True)
class RequestHistory:
    """Everything that happened to a request, oldest first; refused attempts are among the acts."""

    decisions: tuple[ApprovalDecision, ...]
    acts: tuple[AuditEvent, ...]


def my_queue(person: Person, now: datetime, *, book: Book | None = None) -> list[QueueItem]:
    """What this person may decide now, the one that expires first on top."""
    return [item for item in all_open(person, now, book=book) if item.mine.seats]


def all_open(person: Person, now: datetime, *, book: Book | None = None) -> list[QueueItem]:
    """Every pending request, with the seats open to this person or the reason why none is."""
    grants = grants_of(person, now)
    return [
        QueueItem(at, eligibility_in(at, person, grants, now))
        for at in standings(_pending(now, book)[:QUEUE_MAX])
    ]


def history_of(request: ApprovalRequest) -> RequestHistory:
    decisions = request.decisions.select_related("person", "user")
    acts = AuditEvent.objects.filter(subject_id=request.public_id).select_related("person")
    return RequestHistory(
        tuple(decisions.order_by("created_at", "id")), tuple(acts.order_by("created_at", "id"))
    )


def cumulative(request: ApprovalRequest) -> Cumulative:
    exposure = tiers.exposures_of([request])[request.pk]
    total, own = exposure.total_minor, exposure.own_minor
    return Cumulative(
        own=None if own is None else Money(own, exposure.currency),
        others=Money(exposure.others_minor, exposure.currency),
        others_count=exposure.others_count,
        total=None if total is None else Money(total, exposure.currency),
    )


def policy_tables(book: Book, now: datetime) -> list[PolicyTable]:
    """The active table of every kind of a book, in the order of the kinds."""
    answer = []
    for kind, label in policies.KIND_LABELS.items():
        version = policies.active(book=book, kind=kind, now=now)
        policy = policies.policy_of(version)
        currency = book.reporting_currency
        rows = tuple(
            PolicyRow(
                tier.key, tiers.band_words(policy, tier, currency), tiers.seat_words(tier.seats)
            )
            for tier in policy.tiers
        )
        conditions = tuple(_condition_words(condition) for condition in policy.conditions)
        answer.append(PolicyTable(label, version, rows, conditions, policy.expires_hours))
    return answer


def _pending(now: datetime, book: Book | None) -> QuerySet[ApprovalRequest]:
    pending = ApprovalRequest.objects.filter(
        state=ApprovalRequest.State.PENDING, expires_at__gt=now
    )
    if book is not None:
        pending = pending.filter(book=book)
    related = pending.select_related("book", "policy_version", "requested_by")
    return related.order_by("expires_at", "id")


def _condition_words(condition: policies.Condition) -> str:
    named = [
        f"{name} is {' or '.join(values)}"
        for name, values in (
            ("asked through", condition.channels),
            ("currency", condition.currencies),
            ("counterparty", condition.counterparties),
            ("requester", condition.requesters),
        )
        if values
    ]
    named += [f"{name} is {' or '.join(map(str, values))}" for name, values in condition.facts]
    return f"{condition.name}: {' and '.join(named)} → adds {tiers.seat_words(condition.adds)}"
