"""Accepting the loss of a dispute: asked for by one person, decided by others, then booked (D5).

Nothing more is sent to the provider; where the money is away already, the seller's hold or the
platform's allowance is used up at once. The provider's own later word is still applied: a dispute
that is won after all is taken back like any appeal. Serves D9, F1.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from approvals import services as approvals
from approvals.models import ApprovalRequest
from ledger import posting
from payops.core import ids
from payops.core.actors import Actor, service
from payops.core.models import Person
from payops.flows.disputes import acts as dispute
from payops.flows.disputes import books as dispute_books
from payops.flows.disputes import postings as dispute_postings
from payops.flows.disputes.acts import LIVE, DisputeRefused
from payops.flows.disputes.course import ACCEPTED, Fact
from payops.flows.payouts.request import consequence_of
from payops.payments.models import Dispute

ACTOR = service("dispute-loss")
KIND = "dispute_loss"


def propose(*, dispute_id: UUID, reason: str, actor: Actor, now: datetime) -> ApprovalRequest:
    """Ask others to accept the loss. Raises DisputeRefused."""
    with transaction.atomic(durable=True):
        _, row = dispute.locked(dispute_id, actor=actor, now=now)
        if row.state not in LIVE:
            raise DisputeRefused(
                f"dispute {row.provider_ref} is {row.state}; only a live one can be given up"
            )
        return approvals.request_approval(
            book=row.book,
            kind=KIND,
            subject_id=row.public_id,
            title=f"Accept the loss of dispute {row.provider_ref} of {row.amount}",
            facts=facts_of(row),
            reason=reason,
            actor=actor,
            now=now,
            requested_by=Person.objects.get(pk=actor.human()),
            amount=row.amount,
            consequences=consequences_of(row, now),
        )


def on_decided(approval: ApprovalRequest, now: datetime) -> None:
    """Carry out a granted acceptance, once; a dispute that ended meanwhile makes it void."""
    if approval.state != ApprovalRequest.State.APPROVED or approval.executed_at is not None:
        return
    with transaction.atomic(durable=True):
        key = ids.parse(approval.subject_id, Dispute.PREFIX)[1]
        batch, row = dispute.locked(key, actor=ACTOR, now=now)
        content_hash = approvals.content_hash_of(KIND, row.public_id, facts_of(row), row.amount)
        if row.state not in LIVE or content_hash != approval.content_hash:
            reason = f"the dispute has moved on meanwhile; it is {row.state} now"
            approvals.void(request_id=approval.pk, reason=reason, actor=ACTOR, now=now)
            return
        approvals.begin_execution(
            request_id=approval.pk, content_hash=content_hash, now=now, actor=ACTOR
        )
        fact = Fact(kind=ACCEPTED, at=now, key=approval.public_id, ref=approval.public_id)
        dispute.record(
            batch,
            row,
            "dispute.loss_accepted",
            f"the loss is accepted: {approval.reason}",
            fact=fact,
            refs=posting.Refs(approval_id=approval.public_id),
        )


def facts_of(row: Dispute) -> dict[str, Any]:
    """What the decision is bound to."""
    return {
        "dispute": row.public_id,
        "provider_ref": row.provider_ref,
        "charge": row.payment.public_id,
        "amount_minor": row.amount_minor,
        "currency": row.currency,
        "state": str(row.state),
        "round": row.round,
        "borne_by": str(row.borne_by),
        "money_taken": row.withdrawn_at.isoformat() if row.withdrawn_at else "",
    }


def consequences_of(row: Dispute, now: datetime) -> list[dict[str, Any]]:
    told = [{"kind": "change", "words": f"dispute {row.provider_ref} is lost; nobody answers it"}]
    is_out = row.withdrawn_at is not None and row.returned_at is None
    if is_out and row.rounds:
        entry = dispute_postings.lost(
            row,
            row.round,
            split=row.rounds[-1],
            movement=dispute_books.LOST.partition(".")[2],
            refs=posting.Refs(),
            at=now,
        )
        return [*told, consequence_of(entry)]
    words = "nothing is posted until the provider takes the money"
    return [*told, {"kind": "change", "words": words}]
