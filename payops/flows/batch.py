"""What one batch of provider events gathers before it is written: one statement per table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from approvals import services as approvals
from ledger import posting
from ledger.errors import LedgerRefused
from payops.cases import services as cases
from payops.cases.models import Case
from payops.cases.services import Finding, Line
from payops.core import messages, state
from payops.core.actors import Actor
from payops.core.messages import News
from payops.core.models import Book, ProviderAccount
from payops.core.queues import StructuralMismatch
from payops.payments import refundable
from payops.payments.models import Beneficiary, Dispute, Payment, Payout, Refund
from payops.payments.services import HoldTarget, place_hold
from payops.psp.base import NormalizedEvent
from payops.webhooks import services as inbox
from payops.webhooks.models import ProviderEvent

OUTCOME_MAX = 240


@dataclass(slots=True)
class EventWork:
    """One inbox row, what it says in canonical words, and the outcome it is given."""

    event: ProviderEvent
    said: NormalizedEvent
    account: ProviderAccount

    def done(self, outcome: str, subject_id: str) -> None:
        inbox.processed(self.event, subject_id=subject_id, outcome=outcome[:OUTCOME_MAX])

    def ignore(self, reason: str, subject_id: str = "", *, reprocessable: bool = False) -> None:
        inbox.ignored(self.event, reason=reason[:OUTCOME_MAX], reprocessable=reprocessable)
        self.event.subject_id = subject_id

    def park(self, waits_for: str, reason: str, subject_id: str = "") -> None:
        inbox.park(self.event, waits_for=waits_for, reason=reason[:OUTCOME_MAX])
        self.event.subject_id = subject_id

    @property
    def occurred_at(self) -> datetime:
        return self.said.occurred_at or self.event.created_at

    def line(self, kind: str, text: str) -> Line:
        event = self.event
        facts: dict[str, Any] = {"type": event.type, "provider_event_id": event.provider_event_id}
        return Line(kind, f"event:{event.public_id}", text, event.public_id, facts)

    def refs(self, **more: str) -> posting.Refs:
        """Every trace key the event itself carries (LJ-16, WH-26)."""
        event, said = self.event, self.said
        return posting.Refs(
            provider_transaction_id=said.movement_ref or "",
            psp_reference=said.provider_ref,
            merchant_reference=said.merchant_ref or "",
            event_id=event.public_id,
            provider_event_id=event.provider_event_id,
            api_request_id=event.request_id,
            request_idempotency_key=event.request_idempotency_key,
            trace_id=event.trace_id,
            **more,
        )


@dataclass(slots=True)
class CaseWork:
    """A finding with the lines its case is given, whether it is opened now or was open before."""

    finding: Finding
    lines: list[Line]
    protect: Payout | None = None


@dataclass(slots=True)
class Batch:
    """Gathered while events are applied; `flush` writes it in the lock order."""

    actor: Actor
    now: datetime
    payments: dict[UUID, Payment] = field(default_factory=dict)
    payment_keys: dict[tuple[UUID, str], UUID] = field(default_factory=dict)
    payouts: dict[UUID, Payout] = field(default_factory=dict)
    payout_keys: dict[UUID, UUID] = field(default_factory=dict)
    sellers: dict[tuple[UUID, str], Beneficiary] = field(default_factory=dict)
    changed_payments: dict[UUID, Payment] = field(default_factory=dict)
    case_works: list[CaseWork] = field(default_factory=list)
    postings: list[posting.Posting] = field(default_factory=list)
    released: list[tuple[Book, str]] = field(default_factory=list)
    news: list[News] = field(default_factory=list)
    voids: list[tuple[Payout, str]] = field(default_factory=list)
    # Nothing of it is written: only what it gathered itself counts as known.
    rehearsal: bool = False
    # The ids under which people were shown what an event of a closed month would post.
    shown_as: dict[str, str] = field(default_factory=dict)
    # Every refund of the charges that refund events are about; the charge of each such event.
    refunds: dict[UUID, Refund] = field(default_factory=dict)
    refund_charges: dict[UUID, UUID] = field(default_factory=dict)
    # Charges whose refunds changed here.
    recounted: set[UUID] = field(default_factory=set)
    disputes: dict[UUID, Dispute] = field(default_factory=dict)
    changed_disputes: dict[UUID, Dispute] = field(default_factory=dict)
    # What was told of each dispute here; the books follow once all of it is known.
    disputes_told: dict[UUID, list[Any]] = field(default_factory=dict)
    # What is done with cases once those of this batch are open.
    afterwards: list[Callable[[], None]] = field(default_factory=list)

    def flush(self) -> None:
        self.write_payments()
        disputes = list(self.changed_disputes.values())
        state.save_many(disputes, actor=self.actor, now=self.now, action="dispute.recorded")
        self._flush_cases()
        for finish in self.afterwards:
            finish()
        self._flush_voids()
        if self.postings:
            try:
                posting.post_many(self.postings, actor=self.actor, now=self.now)
            except LedgerRefused as refusal:
                raise StructuralMismatch(f"the ledger refuses it for good: {refusal}") from refusal
        for book in {book for book, _ in self.released}:
            keys = [key for owner, key in self.released if owner == book]
            inbox.release_waiting(book=book, keys=keys, actor=self.actor, now=self.now)
        messages.send(self.news, now=self.now)

    def write_payments(self) -> None:
        """Before a refund of one is written, and once at the end."""
        payments = list(self.changed_payments.values())
        self.changed_payments = {}
        state.save_many(payments, actor=self.actor, now=self.now, action="payment.recorded")
        for payment in payments:
            counted = (
                payment.reserved_minor or payment.refunded_minor or payment.over_refunded_minor
            )
            if counted or payment.pk in self.recounted:
                refundable.recount(payment.pk)

    def _flush_cases(self) -> None:
        findings = [work.finding for work in self.case_works]
        opened = cases.open_many(findings, actor=self.actor, now=self.now) if findings else {}
        for work in self.case_works:
            case = opened[work.finding.identity]
            cases.append(case, work.lines, actor=self.actor, now=self.now)
            case = cases.learn_cause(case, work.finding, actor=self.actor, now=self.now)
            if work.protect is not None:
                protect_beneficiary(
                    case,
                    work.protect,
                    disposition=work.finding.disposition,
                    actor=self.actor,
                    now=self.now,
                )

    def _flush_voids(self) -> None:
        """What was shown to the approvers is no longer what would be posted (D6)."""
        for payout, reason in self.voids:
            for case in Case.objects.filter(book=payout.book, subject_id=payout.public_id):
                approvals.void_open(
                    book=payout.book,
                    subject_id=case.public_id,
                    reason=reason,
                    actor=self.actor,
                    now=self.now,
                )


def protect_beneficiary(
    case: Case, payout: Payout, *, disposition: str, actor: Actor, now: datetime
) -> None:
    """Hold the beneficiary at once when the cause needs new details or compliance (book policy).

    In a storm as well: the systemic case stands for the single one until it is split (D11).
    """
    if not case.book.protective_hold or disposition not in ("new_details", "compliance"):
        return
    place_hold(
        book=payout.book,
        target=HoldTarget(beneficiary=payout.beneficiary),
        source="protective",
        reason=f"payout {payout.merchant_ref} failed: {payout.failure_code or 'no code given'}",
        key=protective_key(case, payout),
        case_id=case.public_id,
        actor=actor,
        now=now,
    )


def protective_key(case: Case, payout: Payout) -> str:
    """One hold per single case; a systemic case holds the beneficiary of each of its payouts."""
    single = f"protective:{case.public_id}"
    return f"{single}:{payout.public_id}" if case.rule == "systemic" else single
