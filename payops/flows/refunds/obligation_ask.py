"""Asking to end what a customer is owed: lapsed or unclaimed, with evidence, by approval (D5).

Others decide; `refunds.obligations` puts the granted end in force.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from approvals.models import ApprovalRequest
from ledger import posting
from payops.core.actors import Actor
from payops.flows import governance
from payops.flows.payouts.request import consequence_of
from payops.flows.refunds import cases as refund_cases
from payops.flows.refunds import obligations as refund_obligations
from payops.payments.models import Refund


def propose_end(
    *, refund_id: UUID, outcome: str, evidence: str, reason: str, actor: Actor, now: datetime
) -> ApprovalRequest:
    """`outcome` is "lapsed" or "unclaimed". Raises governance.ChangeRefused."""
    known = Refund.objects.select_related("payment__beneficiary", "book", "account")
    refund = known.get(pk=refund_id)
    facts = refund_obligations.check(
        {"refund": refund.public_id, "outcome": outcome, "evidence": evidence}
    )
    entry = refund_obligations.entry_of(refund, facts["outcome"], posting.Refs(), now)
    words = refund_obligations.ENDS[facts["outcome"]]
    return governance.propose(
        kind=refund_obligations.KIND,
        facts=facts,
        title=f"{refund.amount} of {refund_cases.named(refund.payment)}: {words}",
        reason=reason,
        actor=actor,
        now=now,
        subject_id=refund.public_id,
        book=refund.book,
        consequences=[
            consequence_of(entry),
            {"kind": "change", "words": "the case of the failed refund is resolved"},
        ],
    )
