"""A refund that was paid by hand, outside the provider: recorded once it was granted (F26).

Asked for and granted like any other, with the approval kind `refunds.offline`; never sent. Whoever
asked for it does not record it. Its entries go through the bank, not the provider's balance.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from ledger import posting
from ledger.errors import LedgerError
from payops.core import state
from payops.core.actors import Actor
from payops.flows.refunds import closing as refund_closing
from payops.flows.refunds import entries as refund_entries
from payops.flows.refunds.acts import locked, recheck, sender_of
from payops.flows.refunds.terms import RefundRefused
from payops.flows.refunds.told import tell_ticket
from payops.payments import refundable
from payops.payments.models import Refund

State = Refund.State
REF_MAX = 120
CLOCKS_APART = timedelta(minutes=5)


def record_offline(
    *, refund_id: UUID, offline_ref: str, paid_at: datetime, actor: Actor, now: datetime
) -> Refund:
    """Record the bank's reference of a granted refund, once. Raises RefundRefused."""
    reference = offline_ref.strip()
    if not 1 <= len(reference) <= REF_MAX or "\x00" in reference:
        raise RefundRefused(f"the bank's reference has 1 to {REF_MAX} characters")
    try:
        with transaction.atomic(durable=True):
            return _recorded(refund_id, reference, paid_at, actor, now)
    except LedgerError as error:
        raise RefundRefused(f"nothing is recorded, the journal does not take it: {error}") from None


def _recorded(
    refund_id: UUID, reference: str, paid_at: datetime, actor: Actor, now: datetime
) -> Refund:
    refund = locked(refund_id)
    sender = sender_of(refund, actor, now)
    if refund.offline and refund.offline_ref == reference and refund.state == State.SUCCEEDED:
        return refund
    if refund.state != State.APPROVED or not refund.offline:
        raise RefundRefused(
            f"{refund.public_id} is {refund.state}"
            f"{'' if refund.offline else ' and paid by the provider'}; only a granted refund that "
            "is paid by hand is recorded"
        )
    if not refund.created_at - CLOCKS_APART <= paid_at <= now + CLOCKS_APART:
        raise RefundRefused(
            f"paid at {paid_at:%Y-%m-%d %H:%M} UTC is not between the request at "
            f"{refund.created_at:%Y-%m-%d %H:%M} and now"
        )
    if words := recheck(refund, now):
        raise RefundRefused(words)
    refund.sent_by = sender
    refund.record_offline(offline_ref=reference, at=paid_at)
    refund.shares = refund_entries.share(refund)
    evidence = {"approval_id": refund.approval_id, "offline_ref": reference}
    state.save(refund, actor=actor, now=now, action="refund.paid_by_hand", evidence=evidence)
    refundable.recount(refund.payment_id)
    refs = posting.Refs(approval_id=refund.approval_id)
    posted = refund_entries.posted_classes(refund)
    entries = list(refund_entries.due(refund, posted, refs=refs))
    posting.post_many(entries, actor=actor, now=now)
    if refund.retry_of_id is not None:
        paid = f"paid by hand as {reference}"
        refund_closing.resolve(refund, paid, refers_to=refund.public_id, actor=actor, now=now)
    tell_ticket(refund, now)
    return refund
