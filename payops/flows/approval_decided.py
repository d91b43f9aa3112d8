"""Carries a decided approval to the flow that asked for it; one row per kind."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from approvals.models import ApprovalRequest
from payops.core import ids
from payops.core.models import Message
from payops.flows import governance
from payops.flows.disputes import loss as dispute_loss
from payops.flows.payouts import exception as payout_exception
from payops.flows.payouts import request as payout
from payops.flows.payouts import unsent as payout_unsent
from payops.flows.refunds import request as refund
from payops.flows.refunds import unsent as refund_unsent

HANDLERS: dict[str, Callable[[ApprovalRequest, datetime], None]] = {
    payout_exception.KIND: payout_exception.on_decided,
    payout.KIND: payout.on_release_decided,
    payout_unsent.KIND: payout_unsent.on_decided,
    dispute_loss.KIND: dispute_loss.on_decided,
    **dict.fromkeys(refund.KINDS, refund.on_decided),
    refund_unsent.KIND: refund_unsent.on_decided,
}


def carry(batch: list[Message], now: datetime) -> None:
    """The outcome of one request; every handler is safe to repeat."""
    for message in batch:
        key = ids.parse(message.payload["approval_id"], "ap")[1]
        approval = ApprovalRequest.objects.select_related("book", "requested_by").get(pk=key)
        HANDLERS.get(approval.kind, governance.on_decided)(approval, now)
