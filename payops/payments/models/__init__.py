"""Money that moves: payments in, refunds and payouts out, disputes, and how each was sent.

Transition methods only set fields; their effects live in services and flows.
"""

from payops.payments.models.calls import CallGate, Intent, ProviderCall
from payops.payments.models.disputes import Dispute
from payops.payments.models.parties import Beneficiary
from payops.payments.models.payments import Payment
from payops.payments.models.payouts import Hold, Payout
from payops.payments.models.refunds import Refund, RefundDecision

__all__ = [
    "Beneficiary",
    "CallGate",
    "Dispute",
    "Hold",
    "Intent",
    "Payment",
    "Payout",
    "ProviderCall",
    "Refund",
    "RefundDecision",
]
