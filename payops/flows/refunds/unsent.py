"""The way out of a refund's unknown outcome: people declare, with evidence, that it was never sent.

Open only once the product has stopped asking (the intent is parked). Asked for by one person and
decided by others; then the refund has failed without having left, its reservation is free and its
case resolved. An event that arrives afterwards is shown as impossible. Serves D5, D14, RF-6, RF-16.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from approvals import services as approvals
from approvals.models import ApprovalRequest
from payops.cases import services as cases
from payops.cases.models import Case
from payops.cases.services import Line
from payops.core import ids, locks, state
from payops.core.actors import Actor, service
from payops.core.models import Person
from payops.flows.refunds.acts import locked
from payops.flows.refunds.outcome import settled_key
from payops.flows.refunds.terms import RefundRefused
from payops.flows.refunds.told import tell_ticket
from payops.payments import refundable
from payops.payments.models import Intent, Refund
from payops.webhooks.services import release_waiting

ACTOR = service("refund-unsent")
KIND = "refund_not_sent"
RULE = "refund_unknown"
CODE = "not_sent"
WORDS = "declared not sent by an approved decision"


def propose(*, refund_id: UUID, reason: str, actor: Actor, now: datetime) -> ApprovalRequest:
    """Ask for the declaration. Raises RefundRefused."""
    with transaction.atomic(durable=True):
        refund, intent = _locked(refund_id)
        if not _is_parked(refund, intent):
            raise RefundRefused(
                f"{refund.public_id} is {refund.state} and its call "
                f"{intent.state if intent else 'was never begun'}; it can be declared not sent "
                "only when it is UNKNOWN and the product has stopped asking"
            )
        freed = f"{refund.amount} of {refund.payment.merchant_ref} can be refunded again"
        owed = {"kind": "change", "words": "the customer stays owed what the retry was to pay"}
        return approvals.request_approval(
            book=refund.book,
            kind=KIND,
            subject_id=refund.public_id,
            title=f"Declare the refund of {refund.amount} not sent",
            facts=_facts(refund, intent),
            reason=reason,
            actor=actor,
            now=now,
            requested_by=Person.objects.get(pk=actor.human()),
            amount=refund.amount,
            consequences=[
                {"kind": "change", "words": "the refund has failed and is never sent again"},
                owed if refund.retry_of_id else {"kind": "change", "words": freed},
                {"kind": "warning", "words": "if it was sent after all, the customer keeps it"},
            ],
        )


def on_decided(approval: ApprovalRequest, now: datetime) -> None:
    """Carry out a granted declaration, once; anything learned meanwhile makes it void."""
    if approval.state != ApprovalRequest.State.APPROVED or approval.executed_at is not None:
        return
    with transaction.atomic(durable=True):
        refund, intent = _locked(ids.parse(approval.subject_id, Refund.PREFIX)[1])
        if intent is None or not _is_parked(refund, intent):
            reason = f"the refund is {refund.state} by now"
            approvals.void(request_id=approval.pk, reason=reason, actor=ACTOR, now=now)
            return
        closing = Case.objects.filter(subject_id=refund.public_id, rule=RULE)
        open_cases = closing.exclude(state__in=Case.CLOSED).values_list("pk", flat=True)
        held = locks.rows(Case, open_cases)
        content_hash = approvals.content_hash_of(
            KIND, refund.public_id, _facts(refund, intent), refund.amount
        )
        approvals.begin_execution(
            request_id=approval.pk, content_hash=content_hash, now=now, actor=ACTOR
        )
        _end(refund, intent, approval, now)
        for case in held.values():
            _resolve(case, approval, now)


def _end(refund: Refund, intent: Intent, approval: ApprovalRequest, now: datetime) -> None:
    evidence = {"approval_id": approval.public_id}
    intent.refuse(outcome=WORDS)
    state.save(intent, actor=ACTOR, now=now, action="intent.declared_unsent", evidence=evidence)
    refund.fail(code=CODE, message=WORDS, at=now)
    if refund.retry_of_id is not None:
        refund.obligation = Refund.Obligation.OWED
    state.save(refund, actor=ACTOR, now=now, action="refund.declared_unsent", evidence=evidence)
    refundable.recount(refund.payment_id)
    release_waiting(book=refund.book, keys=[settled_key(refund)], actor=ACTOR, now=now)
    tell_ticket(refund, now)


def _resolve(case: Case, approval: ApprovalRequest, now: datetime) -> None:
    line = Line("resolved", f"unsent:{approval.public_id}", WORDS, approval.public_id)
    cases.append(case, [line], actor=ACTOR, now=now)
    if case.state in (Case.State.OPEN, Case.State.TRIAGED):
        case.resolve(at=now)
        state.save(case, actor=ACTOR, now=now, action="case.resolved", reason=WORDS)


def _facts(refund: Refund, intent: Intent | None) -> dict[str, Any]:
    assert intent is not None
    return {
        "refund": refund.public_id,
        "payment": refund.payment.public_id,
        "amount_minor": refund.amount_minor,
        "currency": refund.currency,
        "intent": intent.public_id,
        "idempotency_key": intent.idempotency_key,
        "attempts": intent.calls.count(),
    }


def _is_parked(refund: Refund, intent: Intent | None) -> bool:
    parked = intent is not None and intent.state == Intent.State.PARKED
    return parked and refund.state == Refund.State.UNKNOWN


def _locked(refund_id: UUID) -> tuple[Refund, Intent | None]:
    refund = locked(refund_id)
    known = Intent.objects.filter(book=refund.book, kind="refund", subject_id=refund.public_id)
    key = known.values_list("pk", flat=True).first()
    return refund, locks.row(Intent, key) if key else None
