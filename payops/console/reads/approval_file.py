"""Everything one approval request shows: what exactly, which rule, which seats, who asked, who may.

Reads only; the rules are those of `approvals.eligibility`. Serves AP-1 to AP-5, F7, F22, F24, F25.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from approvals import selectors
from approvals.eligibility import Eligibility, Standing
from approvals.models import ApprovalDecision, ApprovalRequest, PolicyVersion
from approvals.policies import KIND_LABELS, Policy, parse, policy_of
from approvals.policies import PREFIX as POLICY_PREFIX
from approvals.tiers import band_words, seat_words
from payops.console import wording
from payops.console.formats import Fact, address_of
from payops.console.reads.books import facts_of as book_facts
from payops.console.reads.case_file import Document, documents_of
from payops.console.reads.erp_mapping import MappingChange
from payops.console.reads.erp_mapping import proposed as proposed_mapping
from payops.console.reads.lane_table import LaneChange, proposed
from payops.console.reads.manual_journals import facts_of_asked
from payops.console.reads.named_events import NamedEvents, named_events
from payops.console.reads.periods import facts_of_late
from payops.console.reads.previews import Preview, preview_of
from payops.console.reads.rates import AskedRate
from payops.console.reads.rates import asked as asked_rates
from payops.console.templatetags.payops_tags import money_text
from payops.core.ids import parse as parse_id
from payops.core.models import Person
from payops.core.money import Money
from payops.core.roles import LABELS, Role
from payops.flows import book_settings, late_postings, manual_journal
from payops.flows.lane_policy import TABLE as LANES
from payops.flows.resolutions import RESOLUTIONS
from payops.payments.models import Beneficiary

# Shown in another way: sealed content by its hash, amounts as money, events as a table.
HIDDEN_FACTS = frozenset(
    {"sealed", "rules", "key_hash", "amount_minor", "currency", "event_ids", "rates"}
)
FACT_LABELS = {
    "merchant_ref": "Our reference",
    "bank_hash": "Bank details (keyed hash)",
    "bank_hash_before": "Bank details before (keyed hash)",
    "bank_masked": "Bank account",
    "bank_masked_before": "Bank account before",
    "beneficiary": "Beneficiary id",
    "funding": "Funded from",
    "source": "Asked through",
    "hold_beneficiary": "Hold every payout of the beneficiary",
    "template": "Journal template",
    "template_variant": "Template variant",
    "template_version": "Template version",
    "reissue_of": "Re-issue of",
    "account": "Paid through",
    "cooldown_hours": "Cooling down, hours",
    "person_id": "Person id",
    "content_hash": "Hash of the table",
    "failure_code": "Failure code",
    "label": "List",
    "adds": "Add",
    "removes": "Remove",
    "names": "Follow the name",
    "drops": "Drop the name",
    "mode_before": "Mode now",
    "allowlist_mode": "Mode asked for",
    "verify_policy": "Verified before acting",
    "calls_per_s": "Calls a second",
    "listing_every_s": "Events are listed every (seconds)",
    "park_deadline_s": "Parked at most (seconds)",
    "hint": "Secret, last characters",
    "value_hash": "Secret (keyed hash)",
    "secret": "Secret id",
    "period": "Period",
    "code": "Month",
    "starts_on": "First day",
    "ends_on": "Last day",
    "pack": "Reference pack",
    "pack_title": "Pack",
    "file": "File",
    "file_sha256": "File (SHA-256)",
    "rows_compared": "Lines compared",
    "differences_count": "Differences",
    "differences_explained": "Explained by others",
    "differences_unexplained": "Not explained",
    "rows_hash": "Hash of the lines",
    "differences_hash": "Hash of the differences",
}
FACTS_ORDER = (
    "warning",
    "period",
    "code",
    "starts_on",
    "ends_on",
    "provider_account",
    "mode_before",
    "allowlist_mode",
    "label",
    "resolution",
    "name",
    "role",
    "username",
    "system",
    "acts",
    "merchant_ref",
    "payout",
    "beneficiary",
    "bank_masked_before",
    "bank_masked",
    "account",
    "hold_beneficiary",
    "failure_code",
    "reissue_of",
    "funding",
    "source",
    "case",
    "template",
    "template_variant",
    "runbook",
    "pack_title",
    "pack",
    "file",
    "compared_at",
    "rows_compared",
    "differences_count",
    "differences_explained",
    "differences_unexplained",
)
# What the hash covers too, but nobody decides by.
TECHNICAL_FACTS = frozenset(
    {"beneficiary", "bank_hash", "bank_hash_before", "content_hash", "person_id", "funding"}
    | {"source", "template", "template_variant", "template_version", "runbook", "version"}
    | {"secret", "value_hash", "rows_hash", "differences_hash", "file_sha256"}
)
WORDED_FACTS = frozenset({"funding", "source", "template_variant"})
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


def facts_of_request(request: ApprovalRequest) -> list[Fact]:
    """The facts people decide by, whom it concerns first; `technical_facts` has the others."""
    if request.kind == manual_journal.KIND:
        return facts_of_asked(request)
    if request.kind == book_settings.KIND:
        return book_facts(request.facts, request.book.reporting_currency)
    if request.kind == late_postings.KIND:
        return facts_of_late(request)
    shown = []
    if request.amount_minor is not None:
        shown.append(Fact("Amount", request.amount_minor, "money", currency=request.currency))
    payee = _payee(request)
    shown += payee
    done = HIDDEN_FACTS | TECHNICAL_FACTS | ({"bank_masked"} if len(payee) > 1 else set())
    if request.facts.get("note") == request.reason:
        done |= {"note"}  # it is quoted as the reason already
    told = {v for n, v in request.facts.items() if n not in HIDDEN_FACTS and isinstance(v, str)}
    if (href := address_of(request.subject_id)) and request.subject_id not in told:
        shown.append(Fact("About", request.subject_id, "id", href))
    for name in sorted(request.facts, key=_place):
        if name not in done:
            shown += _facts(name, request.facts[name])
    return shown


def technical_facts(request: ApprovalRequest) -> list[Fact]:
    """The rest of what the hash covers; sealed content is shown by its hash."""
    names = sorted(TECHNICAL_FACTS & request.facts.keys(), key=_place)
    return [fact for name in names for fact in _facts(name, request.facts[name])]


def _payee(request: ApprovalRequest) -> list[Fact]:
    """The seller by name, and the account: as asked, or while its hash is still the asked one."""
    facts = request.facts
    public_id = str(facts.get("beneficiary", ""))
    if not public_id.startswith("be_"):
        return []
    seller = Beneficiary.objects.get(pk=parse_id(public_id, "be")[1])
    name = f"{seller.name} ({seller.reference})"
    shown = [Fact("Beneficiary", name, "link", address_of(public_id))]
    masked = facts.get("bank_masked", "")
    if not masked and facts.get("bank_hash") == seller.bank_hash:
        masked = seller.bank_masked
    if masked and "bank_masked_before" not in facts:
        shown.append(Fact(FACT_LABELS["bank_masked"], masked))
    return shown


def _place(name: str) -> tuple[int, str]:
    return (FACTS_ORDER.index(name) if name in FACTS_ORDER else len(FACTS_ORDER), name)


def reporting_amount(request: ApprovalRequest) -> Money | None:
    if request.reporting_minor is None or request.currency == request.book.reporting_currency:
        return None
    return Money(request.reporting_minor, request.book.reporting_currency)


def _facts(name: str, value: Any) -> list[Fact]:
    label = FACT_LABELS.get(name, name.replace("_", " ").capitalize())
    if value in ("", None, []):
        return []
    if isinstance(value, bool):
        return [Fact(label, "Yes" if value else "No")]
    if isinstance(value, list):
        return [_fact(label, name, each) for each in value]
    return [_fact(label, name, value)]


def _fact(label: str, name: str, value: Any) -> Fact:
    if name == "resolution" and value in RESOLUTIONS:
        return Fact(label, RESOLUTIONS[value].label)
    if name in WORDED_FACTS:
        return Fact(label, wording.value(value))
    if name == "role":
        return Fact(label, LABELS.get(value, value))
    if name.startswith("bank_hash") or name in ("content_hash", "person_id", "value_hash"):
        return Fact(label, value, "id")
    href = address_of(value)
    if href:
        return Fact(label, value, "id", href)
    return Fact(label, value if isinstance(value, str) else str(value))


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
