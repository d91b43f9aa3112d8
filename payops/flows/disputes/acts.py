"""What people do with a dispute: say that the evidence is sent, and who is to bear it (D9, F1).

Evidence itself is uploaded at the provider; here stands by whom, when and under which reference.
Who bears it is open until the money has moved. Its case is worked on like any other
(`case_work`); accepting the loss is decided by others (`disputes.loss`).
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import transaction

from ledger import posting
from payops.cases.services import Line
from payops.core import audit, locks
from payops.core.actors import Actor
from payops.flows.batch import Batch
from payops.flows.disputes import events as dispute_events
from payops.flows.disputes.course import EVIDENCE_SENT, Fact
from payops.payments.models import Dispute, Payment

REFERENCE_MAX = 120
LIVE = (Dispute.State.INQUIRY, Dispute.State.OPEN, Dispute.State.UNDER_REVIEW)


class DisputeRefused(ValueError):
    """The act does not fit the dispute; the text names its state and what to do next."""


def evidence_sent(*, dispute_id: UUID, reference: str, actor: Actor, now: datetime) -> Dispute:
    """The evidence was handed in at the provider; the dispute is under review by this."""
    reference = reference.strip()
    if not 1 <= len(reference) <= REFERENCE_MAX:
        raise DisputeRefused(
            f"name the evidence in 1 to {REFERENCE_MAX} characters; {len(reference)} were given"
        )
    with transaction.atomic(durable=True):
        batch, dispute = locked(dispute_id, actor=actor, now=now)
        if dispute.state not in LIVE:
            raise DisputeRefused(
                f"dispute {dispute.provider_ref} is {dispute.state}; evidence is sent while it is"
                " open"
            )
        fact = Fact(kind=EVIDENCE_SENT, at=now, key=f"{actor.login}:{reference}", ref=reference)
        words = f"evidence sent to the provider: {reference}"
        record(batch, dispute, "dispute.evidence_sent", words, fact=fact)
        return dispute


def set_bearer(
    *, dispute_id: UUID, borne_by: str, reason: str, actor: Actor, now: datetime
) -> Dispute:
    """Who bears it if lost: the seller, by a hold, or the platform; only before money moved."""
    if borne_by not in Dispute.Bearer.values:
        raise DisputeRefused(f"{borne_by[:20]!r} bears nothing: {', '.join(Dispute.Bearer.values)}")
    with transaction.atomic(durable=True):
        batch, dispute = locked(dispute_id, actor=actor, now=now)
        if dispute.withdrawn_at is not None:
            raise DisputeRefused(
                f"the money of dispute {dispute.provider_ref} was taken on"
                f" {dispute.withdrawn_at:%Y-%m-%d %H:%M} UTC; who bears it is booked. Correct it by"
                " an approved entry"
            )
        if dispute.state not in LIVE:
            raise DisputeRefused(f"dispute {dispute.provider_ref} is {dispute.state} already")
        if dispute.borne_by == borne_by:
            raise DisputeRefused(f"the {borne_by} bears dispute {dispute.provider_ref} already")
        dispute.borne_by = Dispute.Bearer(borne_by)
        words = f"the {borne_by} is to bear it: {reason.strip()}"
        record(batch, dispute, "dispute.bearer_set", words)
        return dispute


def locked(dispute_id: UUID, *, actor: Actor, now: datetime) -> tuple[Batch, Dispute]:
    """The charge, then all of its disputes, in the lock order."""
    charge = Dispute.objects.values_list("payment_id", flat=True).get(pk=dispute_id)
    payment = locks.row(Payment, charge)
    keys = Dispute.objects.filter(payment_id=charge).values_list("pk", flat=True)
    disputes = locks.rows(Dispute, keys)
    batch = Batch(actor=actor, now=now, payments={payment.pk: payment}, disputes=disputes)
    dispute = disputes[dispute_id]
    dispute.payment = payment
    return batch, dispute


def record(
    batch: Batch,
    dispute: Dispute,
    action: str,
    words: str,
    *,
    fact: Fact | None = None,
    refs: posting.Refs | None = None,
) -> None:
    """One more fact, or another bearer: state, entries, case and audit follow."""
    now, barred = batch.now, dispute.blocks_refunds
    if fact is not None:
        dispute.facts = [*dispute.facts, fact.kept()]
    course = dispute_events.settle(
        batch, dispute, refs=refs or posting.Refs(), at=now, barred=barred
    )
    line = Line("dispute", f"{action}:{now.isoformat()}", words, dispute.public_id)
    dispute_events.tell(batch, dispute, course, line)
    batch.flush()
    audit.record(
        [
            audit.event(
                book=dispute.book,
                actor=batch.actor,
                action=action,
                subject_id=dispute.public_id,
                now=now,
                reason=words[:400],
            )
        ]
    )
