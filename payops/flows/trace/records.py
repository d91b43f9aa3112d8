"""Reads every row of one chain, in a fixed number of bounded queries whatever its size."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from approvals.models import ApprovalDecision, ApprovalRequest
from compliance.models import GateDecision
from ledger.models import ExportItem, JournalEntry, JournalLine
from payops.cases.models import Case, LocalMessage, RunbookRun, RunbookStep, TicketLink
from payops.core import ids
from payops.core.models import AuditEvent, Evidence
from payops.flows.trace.find import Roots
from payops.payments.models import (
    Beneficiary,
    Dispute,
    Hold,
    Intent,
    Payment,
    Payout,
    ProviderCall,
    Refund,
    RefundDecision,
)
from payops.webhooks.models import Delivery, ProviderEvent

FAMILY_ROUNDS_MAX = 6
LIMITS = {
    "payouts": 50,
    "payments": 50,
    "refunds": 100,
    "refund decisions": 200,
    "disputes": 50,
    "beneficiaries": 20,
    "events": 200,
    "receipts": 500,
    "cases": 50,
    "approvals": 100,
    "decisions": 200,
    "gates": 100,
    "intents": 50,
    "calls": 200,
    "holds": 200,
    "entries": 300,
    "lines": 1500,
    "exports": 300,
    "runs": 50,
    "steps": 500,
    "tickets": 100,
    "messages": 200,
    "evidence": 100,
    "audit rows": 1000,
}


@dataclass
class Records:
    """The rows of one chain, oldest first. `left_out` says which limit cut which kind."""

    payouts: list[Payout] = field(default_factory=list)
    payments: list[Payment] = field(default_factory=list)
    refunds: list[Refund] = field(default_factory=list)
    refund_decisions: list[RefundDecision] = field(default_factory=list)
    disputes: list[Dispute] = field(default_factory=list)
    beneficiaries: list[Beneficiary] = field(default_factory=list)
    events: list[ProviderEvent] = field(default_factory=list)
    receipts: list[Delivery] = field(default_factory=list)
    cases: list[Case] = field(default_factory=list)
    approvals: list[ApprovalRequest] = field(default_factory=list)
    decisions: list[ApprovalDecision] = field(default_factory=list)
    gates: list[GateDecision] = field(default_factory=list)
    intents: list[Intent] = field(default_factory=list)
    calls: list[ProviderCall] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)
    entries: list[JournalEntry] = field(default_factory=list)
    lines: list[JournalLine] = field(default_factory=list)
    exports: list[ExportItem] = field(default_factory=list)
    runs: list[RunbookRun] = field(default_factory=list)
    steps: list[RunbookStep] = field(default_factory=list)
    tickets: list[TicketLink] = field(default_factory=list)
    messages: list[LocalMessage] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)
    audit: list[AuditEvent] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def money(self) -> list[Payout | Payment | Refund | Dispute]:
        """What moves money in this chain."""
        return [*self.payouts, *self.payments, *self.refunds, *self.disputes]

    def public_ids(self) -> set[str]:
        return self._public_ids

    @cached_property
    def _public_ids(self) -> set[str]:
        rows: Iterable[Any] = chain(
            self.payouts, self.payments, self.beneficiaries, self.events, self.receipts
        )
        rows = chain(rows, self.cases, self.approvals, self.decisions, self.gates, self.intents)
        rows = chain(rows, self.calls, self.holds, self.entries, self.lines, self.tickets)
        rows = chain(rows, self.refunds, self.refund_decisions, self.disputes)
        exported = {item.export.public_id for item in self.exports}
        return exported | {row.public_id for row in chain(rows, self.audit)}

    def take(self, kind: str, rows: QuerySet[Any], *order: str) -> list[Any]:
        """At most the limit of this kind, oldest first; a cut is told, never silent."""
        limit = LIMITS[kind]
        found = list(rows.order_by(*(order or ("created_at", "pk")))[: limit + 1])
        if len(found) > limit:
            self.left_out.append(f"only the first {limit} {kind} are shown")
        return found[:limit]


def read(roots: Roots) -> Records:
    records = Records()
    _read_subjects(records, roots)
    subjects = _ids(records.money())
    alone = not subjects
    if alone:
        subjects = {ids.render("be", key) for key in roots.get("be", ())}
    _read_events(records, roots, subjects)
    _read_cases(records, roots, subjects)
    _read_approvals(records, roots, subjects)
    _read_sending(records, subjects)
    _read_holds(records, roots)
    _read_journal(records, roots, subjects)
    _read_runbooks(records)
    _read_audit(records, roots, subjects)
    return records


def _read_subjects(records: Records, roots: Roots) -> None:
    """Payouts with everything they re-issue or are re-issued as; payments; their sellers."""
    known: set[UUID] = set(roots.get("po", ()))
    payouts: list[Payout] = []
    for _ in range(FAMILY_ROUNDS_MAX if known else 0):
        kin = Q(pk__in=known) | Q(reissue_of__in=known) | Q(reissued_as__in=known)
        rows = Payout.objects.filter(kin).select_related("account", "book", "requested_by")
        payouts = records.take("payouts", rows)
        found = {payout.pk for payout in payouts}
        if found <= known:
            break
        known |= found
    records.payouts = payouts
    if payment_keys := roots.get("pa"):
        paid = Payment.objects.filter(pk__in=payment_keys).select_related("account", "book")
        records.payments = records.take("payments", paid)
        _read_given_back(records, {payment.pk for payment in records.payments})
    sellers = {payout.beneficiary_id for payout in records.payouts}
    sellers |= {payment.beneficiary_id for payment in records.payments}
    sellers |= roots.get("be", set())
    if sellers:
        payees = Beneficiary.objects.filter(pk__in=sellers).defer("bank_ciphertext")
        records.beneficiaries = records.take("beneficiaries", payees)


def _read_given_back(records: Records, payments: set[UUID]) -> None:
    """Refunds of the payments with why each was decided so, and their disputes."""
    refunds = Refund.objects.filter(payment_id__in=payments)
    refunds = refunds.select_related("account", "book", "requested_by")
    records.refunds = records.take("refunds", refunds)
    why = RefundDecision.objects.filter(refund_id__in={refund.pk for refund in records.refunds})
    records.refund_decisions = records.take("refund decisions", why)
    disputes = Dispute.objects.filter(payment_id__in=payments).select_related("account", "book")
    records.disputes = records.take("disputes", disputes)


def _read_events(records: Records, roots: Roots, subjects: set[str]) -> None:
    wanted = Q(pk__in=roots.get("ev", ())) | Q(subject_id__in=subjects)
    for row in records.money():
        if row.provider_ref:
            wanted |= Q(account_id=row.account_id, object_id=row.provider_ref)
    rows = ProviderEvent.objects.filter(wanted).select_related("account")
    records.events = records.take("events", rows)
    told = Q(pk__in=roots.get("wd", ()))
    for event in records.events:
        told |= Q(account_id=event.account_id, dedupe_key=event.dedupe_key)
    receipts = Delivery.objects.filter(told).select_related("account")
    records.receipts = records.take("receipts", receipts)


def _read_cases(records: Records, roots: Roots, subjects: set[str]) -> None:
    about = subjects | _ids(records.events)
    rows = Case.objects.filter(Q(pk__in=roots.get("cs", ())) | Q(subject_id__in=about))
    records.cases = records.take("cases", rows)
    keys = {case.pk for case in records.cases}
    records.tickets = records.take("tickets", TicketLink.objects.filter(case_id__in=keys))
    records.messages = records.take("messages", LocalMessage.objects.filter(case_id__in=keys))
    documents = Evidence.objects.filter(subject_id__in=subjects | _ids(records.cases))
    records.evidence = records.take("evidence", documents.defer("ciphertext"))


def _read_approvals(records: Records, roots: Roots, subjects: set[str]) -> None:
    keys = set(roots.get("ap", ()))
    named = [payout.approval_id for payout in records.payouts]
    named += [refund.approval_id for refund in records.refunds]
    named += [case.approval_id for case in records.cases]
    keys |= {ids.parse(name, "ap")[1] for name in named if name}
    about = subjects | _ids(records.cases)
    rows = ApprovalRequest.objects.filter(Q(pk__in=keys) | Q(subject_id__in=about))
    records.approvals = records.take("approvals", rows.select_related("policy_version"))
    asked = {request.pk for request in records.approvals}
    decisions = ApprovalDecision.objects.filter(request_id__in=asked)
    records.decisions = records.take("decisions", decisions)


def _read_sending(records: Records, subjects: set[str]) -> None:
    payout_keys = {payout.pk for payout in records.payouts}
    gates = GateDecision.objects.filter(payout_id__in=payout_keys)
    records.gates = records.take("gates", gates)
    records.intents = records.take("intents", Intent.objects.filter(subject_id__in=subjects))
    sent = {intent.pk for intent in records.intents}
    records.calls = records.take("calls", ProviderCall.objects.filter(intent_id__in=sent))


def _read_holds(records: Records, roots: Roots) -> None:
    payouts = {payout.pk for payout in records.payouts}
    sellers = {seller.pk for seller in records.beneficiaries}
    covering = Q(payout_id__in=payouts) | Q(beneficiary_id__in=sellers)
    rows = Hold.objects.filter(covering | Q(pk__in=roots.get("ho", ())))
    records.holds = records.take("holds", rows)


def _read_journal(records: Records, roots: Roots, subjects: set[str]) -> None:
    wanted = Q(pk__in=roots.get("je", ())) | Q(subject_id__in=subjects | _ids(records.cases))
    if records.events:
        wanted |= Q(event_id__in=_ids(records.events)) & ~Q(event_id="")
    if records.cases:
        wanted |= Q(case_id__in=_ids(records.cases)) & ~Q(case_id="")
    rows = JournalEntry.objects.filter(wanted).select_related("period", "reverses")
    records.entries = records.take("entries", rows)
    posted = {entry.pk for entry in records.entries}
    lines = JournalLine.objects.filter(entry_id__in=posted).select_related("account")
    records.lines = records.take("lines", lines, "entry_id", "position")
    items = ExportItem.objects.filter(entry_id__in=posted).select_related("export", "entry")
    records.exports = records.take("exports", items, "pk")


def _read_runbooks(records: Records) -> None:
    cases = {case.pk for case in records.cases}
    records.runs = records.take("runs", RunbookRun.objects.filter(case_id__in=cases))
    runs = {run.pk for run in records.runs}
    steps = RunbookStep.objects.filter(run_id__in=runs)
    records.steps = records.take("steps", steps, "run_id", "position")


def _read_audit(records: Records, roots: Roots, subjects: set[str]) -> None:
    about = subjects | records.public_ids()
    about |= {str(row.pk) for row in [*records.runs, *records.steps]}
    records.__dict__.pop("_public_ids", None)
    # What was audited about a seller as such belongs to the seller's own chain.
    if records.payouts or records.payments:
        about -= _ids(records.beneficiaries)
    traces = {event.trace_id for event in records.events} - {""}
    told = Q(subject_id__in=about) | Q(pk__in=roots.get("ae", ()))
    if traces:
        told |= Q(trace_id__in=traces)
    rows = AuditEvent.objects.filter(told).select_related("seal")
    records.audit = records.take("audit rows", rows)


def _ids(rows: Iterable[Any]) -> set[str]:
    return {row.public_id for row in rows}
