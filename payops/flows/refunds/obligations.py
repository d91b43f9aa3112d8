"""What becomes of a promise whose refund did not reach the customer: retried, lapsed or unclaimed.

A refund that failed after it was accepted is still owed (2150). It is tried again as a refund of
its own with an approval of its own, or ended by a governed decision with its evidence. The last
attempt carries the obligation, the attempt that was accepted carries its entries. Serves RF-16, D5,
D8, F3, LJ-3.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from approvals.models import ApprovalRequest
from ledger import matrix, posting
from payops.core import ids, state
from payops.core.actors import Actor
from payops.core.models import Person
from payops.flows.governed import ChangeRefused
from payops.flows.refunds import cases as refund_cases
from payops.flows.refunds import closing as refund_closing
from payops.flows.refunds import entries as refund_entries
from payops.flows.refunds import postings as refund_postings
from payops.flows.refunds.request import RefundAsk, RefundRefused, locked, request_refund
from payops.payments import refundable
from payops.payments.models import Refund

KIND = "refund_obligation"
Obligation = Refund.Obligation
ENDS = {
    Obligation.LAPSED.value: "the customer is no longer owed it",
    Obligation.UNCLAIMED.value: "the customer cannot be reached",
}
EVIDENCE_MAX = 400
UNCLAIMED = "funds.unclaimed"


def retry(
    *,
    refund_id: UUID,
    reason: str,
    actor: Actor,
    now: datetime,
    offline: bool = False,
    reason_code: str = "",
) -> Refund:
    """Ask to pay the customer once more what is owed; people decide. Raises RefundRefused."""
    failed = Refund.objects.select_related("payment__book", "payment__account").get(pk=refund_id)
    if not reason.strip():
        raise RefundRefused("another attempt needs a reason: what is different this time?")
    ask = RefundAsk(
        payment=failed.payment,
        amount=failed.amount,
        reason_code=reason_code or failed.reason_code,
        note=reason.strip(),
        evidence=failed.evidence,
        request_key=f"retry:{failed.public_id}",
        requested_by=Person.objects.get(pk=actor.human()),
        ticket_system=failed.ticket_system,
        ticket_ref=failed.ticket_ref,
        offline=offline,
        goodwill=failed.goodwill,
        retry_of=failed,
    )
    return request_refund(ask=ask, actor=actor, now=now)


def check(facts: dict[str, Any]) -> dict[str, Any]:
    """The facts as they are approved. Raises ChangeRefused."""
    outcome, evidence = str(facts.get("outcome", "")), str(facts.get("evidence", "")).strip()
    if outcome not in ENDS:
        raise ChangeRefused(f"an obligation ends as one of {sorted(ENDS)}, not {outcome!r}")
    if not 1 <= len(evidence) <= EVIDENCE_MAX:
        raise ChangeRefused(
            f"ending it needs evidence of 1 to {EVIDENCE_MAX} characters: how is it known?"
        )
    try:
        refund = Refund.get(str(facts.get("refund", "")))
    except (ids.UnknownId, Refund.DoesNotExist) as error:
        raise ChangeRefused(f"no such refund: {error}") from None
    _check_owed(refund)
    return {
        "refund": refund.public_id,
        "outcome": outcome,
        "evidence": evidence,
        "promise": refund.promise_id,
        "amount_minor": refund.amount_minor,
        "currency": refund.currency,
    }


def lock(subject_id: str) -> None:
    """In the order of locks, before the approval's own: payment, refund, cases."""
    refund_closing.held(locked(Refund.key_of(subject_id)))


def apply(request: ApprovalRequest, actor: Actor, now: datetime) -> None:
    """End the promise as granted, in the transaction that marks the approval executed."""
    facts = request.facts
    refund = locked(Refund.key_of(facts["refund"]))
    _check_owed(refund)
    refund.obligation = facts["outcome"]
    evidence = {"approval_id": request.public_id, "evidence": facts["evidence"]}
    action = f"refund.{facts['outcome']}"
    words = ENDS[facts["outcome"]]
    state.save(refund, actor=actor, now=now, action=action, reason=words, evidence=evidence)
    refundable.recount(refund.payment_id)
    refs = posting.Refs(approval_id=request.public_id)
    posting.post(entry_of(refund, facts["outcome"], refs, now), actor=actor, now=now)
    ended = f"{words}: {facts['evidence']}"
    refund_closing.resolve(refund, ended, refers_to=request.public_id, actor=actor, now=now)


def _check_owed(refund: Refund) -> None:
    if refund.obligation != Obligation.OWED:
        raise ChangeRefused(
            f"{refund.public_id} is {refund.state} and {refund.obligation or 'nothing is owed'}; "
            "only an open obligation can be ended"
        )


def entry_of(refund: Refund, outcome: str, refs: posting.Refs, now: datetime) -> posting.Posting:
    """Under the attempt that was accepted: there the obligation stands in the journal."""
    holder = refund_entries.owed_by(refund)
    if outcome == Obligation.LAPSED:
        variant = refund_entries.accepted_variant(holder)
        return refund_postings.lapsed(holder, refs, now, variant=variant)
    return _unclaimed(holder, refs, now)


def _unclaimed(holder: Refund, refs: posting.Refs, now: datetime) -> posting.Posting:
    return posting.Posting(
        book=holder.book,
        event_class=UNCLAIMED,
        subject_id=holder.public_id,
        movement_ref="unclaimed",
        legs=matrix.legs(
            UNCLAIMED,
            variant="refund",
            amounts={"amount": holder.amount_minor},
            currency=holder.currency,
            parties={},
        ),
        occurred_at=now,
        description=f"{UNCLAIMED} {refund_cases.named(holder.payment)}",
        refs=posting.Refs(
            refund_id=holder.promise_id,
            payment_id=holder.payment.public_id,
            approval_id=refs.approval_id,
        ),
    )
