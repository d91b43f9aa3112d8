"""Everything one approval request shows: what exactly, which rule, which seats, who asked, who may.

Reads only; the rules are those of `approvals.eligibility`. Serves AP-1 to AP-5, F7, F22, F24, F25.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from approvals import selectors
from approvals.eligibility import Eligibility, Standing
from approvals.models import ApprovalDecision, ApprovalRequest, PolicyVersion
from approvals.policies import KIND_LABELS, Policy, parse, policy_of
from approvals.policies import PREFIX as POLICY_PREFIX
from approvals.tiers import band_words, seat_words
from payops.console.formats import Fact, address_of
from payops.console.reads.approval_facts import facts_of_request, technical_facts
from payops.console.reads.case_file import Document, documents_of
from payops.console.reads.erp_mapping import MappingChange
from payops.console.reads.erp_mapping import proposed as proposed_mapping
from payops.console.reads.lane_table import LaneChange, proposed
from payops.console.reads.named_events import NamedEvents, named_events
from payops.console.reads.previews import Preview, preview_of
from payops.console.reads.rates import AskedRate
from payops.console.reads.rates import asked as asked_rates
from payops.console.reads.refund_approval import RefundContext, context_of
from payops.console.reads.refund_policy_table import PolicyChange
from payops.console.reads.refund_policy_table import proposed as proposed_refund_policy
from payops.console.templatetags.payops_tags import money_text
from payops.core.models import Person
from payops.core.money import Money
from payops.core.roles import LABELS, Role
from payops.flows.lane_policy import TABLE as LANES

ASKED_THROUGH = {
    "browser": "in the browser",
    "api": "through the API",
    "worker": "by a flow",
    "command": "on the command line",
}


@dataclass(frozen=True, slots=True)
class Seat:
    """One seat: its role in words and the decision that filled it, if any."""

    key: str
    label: str
    decision: ApprovalDecision | None
    mine: bool


@dataclass(frozen=True, slots=True)
class PolicyRow:
    key: str
    band: str
    seats: str
    fired: bool


@dataclass(frozen=True, slots=True)
class TierChange:
    """One tier of a proposed table beside the active one."""

    key: str
    band: str
    band_before: str
    seats: str
    seats_before: str

    @property
    def changed(self) -> bool:
        return (self.band, self.seats) != (self.band_before, self.seats_before)


@dataclass(frozen=True, slots=True)
class ApprovalFile:
    request: ApprovalRequest
    at: Standing
    mine: Eligibility
    kind_label: str
    facts: list[Fact]
    technical: list[Fact]
    seats: list[Seat]
    policy_rows: list[PolicyRow]
    conditions: list[str]
    cumulative: selectors.Cumulative
    preview: Preview
    documents: list[Document]
    confirm_text: str
    changes: list[TierChange]
    hours_before: int | None
    hours: int | None
    lanes: LaneChange | None
    mapping: MappingChange | None
    events: NamedEvents | None
    rates: list[AskedRate]
    refund: RefundContext | None
    refund_policy: PolicyChange | None
    subject_href: str
    turn: str
    asked_through: str
    rejections: list[ApprovalDecision]
    may_withdraw: bool
    may_undo: bool

    @property
    def amount_text(self) -> str:
        if self.request.amount_minor is None:
            return ""
        return money_text(self.request.amount_minor, self.request.currency)

    @property
    def not_mine(self) -> str:
        """Why not this person; the rule itself has its own section."""
        return self.mine.reason.replace(f" ({self.at.needed.rule_fired})", "")

    @property
    def rule_words(self) -> str:
        """What fired, unless the table's one row says it all."""
        plain = len(self.policy_rows) == 1 and not self.conditions
        return "" if plain else self.at.needed.rule_fired

    @property
    def roles(self) -> list[tuple[str, str]]:
        """The seats to choose from, only where there is a choice."""
        seats = self.mine.seats
        return [(s, LABELS[Role(s)]) for s in seats] if len(seats) > 1 else []


def approval_file(request: ApprovalRequest, person: Person, now: datetime) -> ApprovalFile:
    at = selectors.standing(request)
    mine = selectors.eligibility(request, person, now)
    policy = at.policy
    related = [request.subject_id, str(request.facts.get("payout", ""))]
    before, changes = _policy_changes(request, now)
    return ApprovalFile(
        request=request,
        at=at,
        mine=mine,
        kind_label=kind_label(request.kind),
        facts=facts_of_request(request),
        technical=technical_facts(request),
        seats=_seats(at, mine.seats),
        policy_rows=_policy_rows(policy, at, request.book.reporting_currency),
        conditions=_conditions(policy),
        cumulative=selectors.cumulative(request),
        preview=preview_of(request.consequences),
        documents=documents_of(request.public_id, *related),
        confirm_text=selectors.typed_confirmation_needed(request),
        changes=changes,
        hours_before=before,
        hours=request.facts.get("rules", {}).get("expires_hours") if before else None,
        lanes=proposed(request, now) if _is_about_lanes(request) else None,
        mapping=proposed_mapping(request) if request.kind == "policy_change" else None,
        events=named_events(request.book, request.facts.get("event_ids", ())),
        rates=asked_rates(request),
        refund=context_of(request),
        refund_policy=proposed_refund_policy(request, now),
        subject_href=address_of(request.subject_id),
        turn=turn_words(at, now),
        asked_through=ASKED_THROUGH.get(request.requested_channel, request.requested_channel),
        rejections=[d for d in at.decisions if d.verdict == "reject"],
        may_withdraw=may_withdraw(request, person.pk, now),
        may_undo=may_undo(at, person.pk),
    )


def kind_label(kind: str) -> str:
    return KIND_LABELS.get(kind, kind.replace("_", " ").capitalize())


def turn_words(at: Standing, now: datetime) -> str:
    request = at.request
    if request.state == ApprovalRequest.State.PENDING:
        if now >= request.expires_at:
            return "Nobody, its time is over"
        return seat_words(at.open_seats)
    if request.state == ApprovalRequest.State.APPROVED and request.executed_at is None:
        return "PayOps, the act follows"
    return "Nobody, it is decided"


def may_withdraw(request: ApprovalRequest, person_id: UUID, now: datetime) -> bool:
    pending = request.state == ApprovalRequest.State.PENDING and now < request.expires_at
    return pending and request.requested_by_id == person_id


def may_undo(at: Standing, person_id: UUID) -> bool:
    """Whoever asked or decided takes an approval back until it is executed (F9)."""
    request = at.request
    decided = any(d.person_id == person_id for d in at.decisions)
    if request.executed_at is not None:
        return False
    if request.state == ApprovalRequest.State.PENDING:
        return decided
    return request.state == ApprovalRequest.State.APPROVED and (
        decided or request.requested_by_id == person_id
    )


def reporting_amount(request: ApprovalRequest) -> Money | None:
    if request.reporting_minor is None or request.currency == request.book.reporting_currency:
        return None
    return Money(request.reporting_minor, request.book.reporting_currency)


def _seats(at: Standing, mine: tuple[str, ...]) -> list[Seat]:
    filled = at.filled
    return [
        Seat(seat, LABELS[Role(seat)], filled.get(seat), seat in mine) for seat in at.needed.seats
    ]


def _policy_rows(policy: Policy, at: Standing, currency: str) -> list[PolicyRow]:
    return [
        PolicyRow(
            tier.key,
            band_words(policy, tier, currency),
            seat_words(tier.seats),
            tier.key == at.needed.tier,
        )
        for tier in policy.tiers
    ]


def _conditions(policy: Policy) -> list[str]:
    return [f"{c.name} adds {seat_words(c.adds)}" for c in policy.conditions]


def _is_about_lanes(request: ApprovalRequest) -> bool:
    return request.kind == "policy_change" and request.facts["policy"] == LANES.name


def _policy_changes(request: ApprovalRequest, now: datetime) -> tuple[int | None, list[TierChange]]:
    """The proposed table beside the one that is active (or was, once decided)."""
    approves = str(request.facts.get("policy", "")).startswith(POLICY_PREFIX)
    if request.kind != "policy_change" or not approves:
        return None, []
    older = PolicyVersion.objects.filter(
        book=request.book, name=request.facts["policy"], active_from__lte=request.created_at
    ).order_by("-version")[0]
    before, after = policy_of(older), parse(request.facts["rules"], version=older.version + 1)
    currency = request.book.reporting_currency
    known = {tier.key: tier for tier in before.tiers}
    changes = []
    for tier in after.tiers:
        old = known.get(tier.key)
        changes.append(
            TierChange(
                tier.key,
                band_words(after, tier, currency),
                band_words(before, old, currency) if old else "not there",
                seat_words(tier.seats),
                seat_words(old.seats) if old else "not there",
            )
        )
    return before.expires_hours, changes
