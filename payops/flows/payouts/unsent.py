"""The way out of an unknown outcome: people declare, with evidence, that the payout was never sent.

Open only once the product has stopped asking (the intent is parked). Asked for by one person and
decided by two others; then the payout is canceled, its initiation undone, its case resolved. An
event that arrives afterwards is impossible, and shown as such. Serves D5, D14, PX-11.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from approvals import services as approvals
from approvals.models import ApprovalRequest
from ledger import posting
from payops.cases import services as cases
from payops.cases.models import Case
from payops.cases.services import Line
from payops.core import ids, locks, state
from payops.core.actors import Actor, service
from payops.core.models import Person
from payops.flows.payouts import postings as payout_postings
from payops.flows.payouts.request import PayoutRefused, consequence_of
from payops.payments.models import Beneficiary, Intent, Payout

ACTOR = service("payout-unsent")
KIND = "payout_not_sent"
WORDS = "declared not sent by an approved decision"


def propose(*, payout_id: UUID, reason: str, actor: Actor, now: datetime) -> ApprovalRequest:
    """Ask for the declaration. Raises PayoutRefused."""
    with transaction.atomic(durable=True):
        payout, intent = _locked(payout_id)
        if payout.state != Payout.State.UNKNOWN or intent.state != Intent.State.PARKED:
            raise PayoutRefused(
                f"{payout.merchant_ref} is {payout.state} and its call {intent.state}; it can be "
                "declared not sent only when it is UNKNOWN and the product has stopped asking"
            )
        return approvals.request_approval(
            book=payout.book,
            kind=KIND,
            subject_id=payout.public_id,
            title=f"Declare {payout.merchant_ref} of {payout.amount} not sent",
            facts=_facts(payout, intent),
            reason=reason,
            actor=actor,
            now=now,
            requested_by=Person.objects.get(pk=actor.human()),
            amount=payout.amount,
            risk=payout.beneficiary.risk,
            consequences=[
                consequence_of(payout_postings.canceled(payout, posting.Refs(), now)),
                {"kind": "change", "words": f"{payout.merchant_ref} is canceled for good"},
            ],
        )


def on_decided(approval: ApprovalRequest, now: datetime) -> None:
    """Carry out a granted declaration, once; anything learned meanwhile makes it void."""
    if approval.state != ApprovalRequest.State.APPROVED or approval.executed_at is not None:
        return
    with transaction.atomic(durable=True):
        payout, intent = _locked(ids.parse(approval.subject_id, "po")[1])
        if payout.state != Payout.State.UNKNOWN or intent.state != Intent.State.PARKED:
            reason = f"the payout is {payout.state} by now"
            approvals.void(request_id=approval.pk, reason=reason, actor=ACTOR, now=now)
            return
        closing = Case.objects.filter(subject_id=payout.public_id, rule="payout_unknown")
        open_cases = closing.exclude(state__in=Case.CLOSED).values_list("pk", flat=True)
        held = locks.rows(Case, open_cases)
        content_hash = approvals.content_hash_of(
            KIND, payout.public_id, _facts(payout, intent), payout.amount
        )
        approvals.begin_execution(
            request_id=approval.pk, content_hash=content_hash, now=now, actor=ACTOR
        )
        _cancel(payout, intent, approval, now)
        for case in held.values():
            _resolve(case, now)


def _cancel(payout: Payout, intent: Intent, approval: ApprovalRequest, now: datetime) -> None:
    evidence = {"approval_id": approval.public_id}
    intent.refuse(outcome=WORDS)
    state.save(intent, actor=ACTOR, now=now, action="intent.declared_unsent", evidence=evidence)
    payout.refuse(failure_code="not_sent", failure_message=WORDS)
    state.save(payout, actor=ACTOR, now=now, action="payout.declared_unsent", evidence=evidence)
    refs = posting.Refs(approval_id=approval.public_id)
    posting.post(payout_postings.canceled(payout, refs, now), actor=ACTOR, now=now)


def _resolve(case: Case, now: datetime) -> None:
    if case.state not in (Case.State.OPEN, Case.State.TRIAGED):
        return
    case.resolve(at=now)
    state.save(case, actor=ACTOR, now=now, action="case.resolved", reason=WORDS)
    cases.append(case, [Line("closed", "declared-unsent", WORDS)], actor=ACTOR, now=now)


def _locked(payout_id: UUID) -> tuple[Payout, Intent]:
    locks.row(
        Beneficiary, Payout.objects.values_list("beneficiary_id", flat=True).get(pk=payout_id)
    )
    payout = locks.row(Payout, payout_id)
    intent = Intent.objects.filter(book=payout.book, subject_id=payout.public_id).first()
    if intent is None:
        raise PayoutRefused(f"{payout.merchant_ref} was never submitted; cancel it instead")
    return payout, locks.row(Intent, intent.pk)


def _facts(payout: Payout, intent: Intent) -> dict[str, Any]:
    return {
        "payout": payout.public_id,
        "merchant_ref": payout.merchant_ref,
        "amount_minor": payout.amount_minor,
        "currency": payout.currency,
        "beneficiary": payout.beneficiary.public_id,
        "account": payout.account.address,
        "intent": intent.public_id,
        "idempotency_key": intent.idempotency_key,
        "template": payout_postings.TEMPLATE_VERSION,
    }
