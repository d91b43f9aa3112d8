"""Everything one case shows: its payout, holds, advice, runs, evidence, timeline, and whose turn.

Reads only, a fixed number of statements however long the case is. Advice is read here to be shown
beside the decision and for nothing else (D1). Serves PX-7 to PX-10, F2, AI-1, AI-2.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q

from approvals.eligibility import standing
from approvals.models import ApprovalRequest
from approvals.tiers import seat_words
from payops.cases.advice import Recommendation, latest_of_each_engine
from payops.cases.models import Case, CaseEntry, Dispatch, LocalMessage, RunbookRun, TicketLink
from payops.cases.rules import CASE_RULES, CaseRule
from payops.console.formats import Fact, address_of, facts_of, id_fact, who
from payops.console.reads.connections import Sent
from payops.console.reads.connections import shown as sent_rows
from payops.core.ids import UnknownId, parse
from payops.core.models import Evidence
from payops.core.roles import LABELS, Act
from payops.flows.payouts.resolutions import RESOLUTIONS, Resolution
from payops.payments.models import Hold, Payout
from payops.psp import registry
from payops.psp.base import FailureCause
from payops.webhooks.models import ProviderEvent

TIMELINE_MAX = 400
LIST_MAX = 100
ENTRY_TITLES = {
    "opened": ("Case opened", "OPEN"),
    "event": ("Provider event", "RECEIVED"),
    "late_event": ("Late provider event", "STALE"),
    "duplicate": ("Duplicate ignored", "DUPLICATE"),
    "mismatch": ("Figures differ", "EXCEPTION"),
    "conflict": ("Conflicting content", "EXCEPTION"),
    "assigned": ("Owner", ""),
    "comment": ("Comment", ""),
    "snoozed": ("Snoozed", "SNOOZED"),
    "evidence": ("Evidence attached", ""),
    "proposal": ("Resolution proposed", "AWAITING_APPROVAL"),
    "decision": ("Decision", "APPROVED"),
    "step": ("Runbook step", "DONE"),
    "hold": ("Hold", "HELD"),
    "closed": ("Case closed", "RESOLVED"),
    "storm_member": ("Gathered here", "OPEN"),
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One line as `parts/timeline.html` shows it."""

    at: datetime
    title: str
    actor: str
    state: str
    text: str
    href: str = ""
    evidence: tuple[str, ...] = ()
    repeat: int = 1


@dataclass(frozen=True, slots=True)
class Document:
    """An attached document as `parts/evidence.html` shows it."""

    name: str
    href: str
    size_text: str
    sha256: str
    added_by: str
    added_at: datetime
    frozen: bool = True


@dataclass(frozen=True, slots=True)
class Choice:
    """A resolution a person may propose; `refusal` says why not, when not."""

    resolution: Resolution
    refusal: str = ""


@dataclass(slots=True)
class CaseFile:
    case: Case
    rule: CaseRule
    turn: str
    payout: Payout | None = None
    cause: FailureCause | None = None
    facts: list[Fact] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)
    advice: list[Recommendation] = field(default_factory=list)
    approval: ApprovalRequest | None = None
    runs: list[RunbookRun] = field(default_factory=list)
    tickets: list[TicketLink] = field(default_factory=list)
    messages: list[LocalMessage] = field(default_factory=list)
    sends: list[Sent] = field(default_factory=list)
    documents: list[Document] = field(default_factory=list)
    events: list[ProviderEvent] = field(default_factory=list)
    timeline: list[Entry] = field(default_factory=list)
    timeline_cut: int = 0
    choices: list[Choice] = field(default_factory=list)

    @property
    def open(self) -> bool:
        return self.case.state not in Case.CLOSED


def case_file(case: Case, *, now: datetime) -> CaseFile:
    payout = payout_of(case)
    approval = approval_of(case)
    shown = CaseFile(case, CASE_RULES[case.rule], _turn(case, approval), payout=payout)
    shown.approval = approval
    shown.advice = latest_of_each_engine(case)
    shown.runs = list(case.runs.prefetch_related("steps").order_by("-created_at")[:LIST_MAX])
    shown.tickets = list(case.tickets.order_by("created_at")[:LIST_MAX])
    shown.messages = list(case.messages.order_by("created_at")[:LIST_MAX])
    sends = Dispatch.objects.filter(case=case).select_related("message", "ticket")
    shown.sends = sent_rows(list(sends.order_by("created_at")[:LIST_MAX]))
    shown.documents = documents_of(case.public_id)
    shown.timeline, shown.timeline_cut = _timeline(case)
    if payout is not None:
        if case.rule == "payout_failure":
            shown.cause = registry.failure_cause(
                provider=payout.account.provider, code=payout.failure_code or None
            )
        shown.facts = _payout_facts(payout)
        shown.holds = open_holds(payout)
        shown.events = list(
            ProviderEvent.objects.filter(subject_id=payout.public_id).order_by("created_at")[
                :LIST_MAX
            ]
        )
    if case.rule == "payout_failure":
        shown.choices = [choice_of(case, each) for each in RESOLUTIONS.values()]
    return shown


def choice_of(case: Case, resolution: Resolution) -> Choice:
    if case.disposition in resolution.dispositions:
        return Choice(resolution)
    return Choice(resolution, f"Not open for a cause of {case.disposition.replace('_', ' ')}.")


def payout_of(case: Case) -> Payout | None:
    try:
        prefix, key = parse(case.subject_id)
    except UnknownId:
        return None
    if prefix != "po":
        return None
    rows = Payout.objects.select_related("beneficiary", "account", "book", "requested_by")
    return rows.filter(pk=key, book_id=case.book_id).first()


def approval_of(case: Case) -> ApprovalRequest | None:
    if not case.approval_id:
        return None
    key = parse(case.approval_id, "ap")[1]
    rows = ApprovalRequest.objects.select_related("book", "policy_version", "requested_by")
    return rows.filter(pk=key).first()


def open_holds(payout: Payout) -> list[Hold]:
    covering = Q(payout=payout) | Q(beneficiary_id=payout.beneficiary_id)
    rows = Hold.objects.filter(covering, released_at=None).select_related(
        "placed_by", "payout", "beneficiary"
    )
    return list(rows.order_by("created_at")[:LIST_MAX])


def documents_of(*subject_ids: str) -> list[Document]:
    """Attached documents without their content."""
    rows = Evidence.objects.filter(subject_id__in=[s for s in subject_ids if s])
    rows = rows.select_related("added_by").defer("ciphertext").order_by("created_at")
    return [
        Document(
            name=row.filename,
            href=f"/evidence/{row.pk}/",
            size_text=size_text(row.size_bytes),
            sha256=row.sha256,
            added_by=row.added_by.name,
            added_at=row.created_at,
        )
        for row in rows[:LIST_MAX]
    ]


def size_text(size: int) -> str:
    if size < 1024:
        return f"{size} B"
    return f"{size // 1024:,} kB" if size < 1024 * 1024 else f"{size // 1024 // 1024:,} MB"


def may(acts: frozenset[Act], case: Case, person_id: UUID | None) -> dict[str, bool]:
    """Which acts the page offers this person; the flows decide whether they succeed."""
    is_open, state = case.state not in Case.CLOSED, Case.State(case.state)
    works = Act.WORK_CASE in acts
    proposes = Act.PROPOSE_RESOLUTION in acts
    proposable = state in (Case.State.OPEN, Case.State.TRIAGED, Case.State.WAITING)
    return {
        "comment": works,
        "evidence": works,
        "assign": works and is_open,
        "snooze": works and is_open,
        "propose": proposes and proposable and case.rule == "payout_failure",
        "close": proposes and state == Case.State.WAITING,
        "dismiss": works
        and case.rule not in ("payout_failure", "systemic")
        and state in (Case.State.OPEN, Case.State.TRIAGED),
        "split": works and case.rule == "systemic" and is_open,
    }


def _turn(case: Case, approval: ApprovalRequest | None) -> str:
    """Whose turn it is, in words."""
    owner = case.owner.name if case.owner else ""
    role = LABELS[CASE_RULES[case.rule].owner_role]
    state = Case.State(case.state)
    if state in Case.CLOSED:
        return "Nobody, it is closed"
    if state == Case.State.AWAITING_APPROVAL and approval is not None:
        return seat_words(standing(approval).open_seats) or "PayOps, the decision is in"
    if state in (Case.State.APPROVED, Case.State.EXECUTING):
        return "PayOps, the runbook runs"
    return owner or f"Nobody yet: {role}"


def _payout_facts(payout: Payout) -> list[Fact]:
    before = payout.exception_from
    return facts_of(
        id_fact("Payout", payout.public_id),
        Fact("Our reference", payout.merchant_ref, "mono"),
        Fact("State", payout.state, "state"),
        Fact("Before the failure", before, "state"),
        Fact("Amount", payout.amount_minor, "money", currency=payout.currency),
        Fact("Beneficiary", payout.beneficiary.name, "link", address_of(_be(payout))),
        Fact("Account", payout.beneficiary.bank_masked, "mono"),
        Fact("Details verified", payout.beneficiary.verified_at or "never", _when(payout)),
        Fact("Verified with", payout.beneficiary.verified_evidence),
        Fact("Paid through", payout.account.address),
        Fact("Provider reference", payout.provider_ref, "id"),
        Fact("Bank trace", payout.trace_reference, "id"),
        Fact("Paid", payout.paid_at, "when"),
        Fact("Failed", payout.failed_at, "when"),
        Fact("Failure code", payout.failure_code, "mono"),
        Fact("Provider's message", payout.failure_message),
        Fact("Money back", payout.money_back_at, "when"),
        Fact("Requested by", payout.requested_by.name),
    )


def _be(payout: Payout) -> str:
    return payout.beneficiary.public_id


def _when(payout: Payout) -> str:
    return "when" if payout.beneficiary.verified_at else "text"


def _timeline(case: Case) -> tuple[list[Entry], int]:
    """Newest first. A cut is told, never silent."""
    rows = CaseEntry.objects.filter(case=case).select_related("person")
    found = list(rows.order_by("-created_at", "-id")[: TIMELINE_MAX + 1])
    cut = rows.count() - TIMELINE_MAX if len(found) > TIMELINE_MAX else 0
    return [_entry(row) for row in found[:TIMELINE_MAX]], cut


def _entry(row: CaseEntry) -> Entry:
    title, state = ENTRY_TITLES.get(row.kind, (row.kind.replace("_", " ").capitalize(), ""))
    facts: dict[str, Any] = row.facts
    head = row.text.partition(":")[0]
    if row.kind == "decision" and (" chose to reject" in head or head == "approval void"):
        state = "REJECTED"
    if row.kind == "step" and ":FAILED" in row.key:
        state = "FAILED"
    hashed = facts.get("sha256")
    names = [row.refers_to if address_of(row.refers_to) else "", hashed or ""]
    return Entry(
        at=row.created_at,
        title=title,
        actor=who(row.person, row.service),
        state=state,
        text=row.text,
        href=address_of(row.refers_to),
        evidence=tuple(name for name in names if name),
    )
