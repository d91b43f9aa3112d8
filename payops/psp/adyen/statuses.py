"""What the status of a transfer means here. A table; finance may read it.

Owns Adyen's statuses: those of a bank transfer with their canonical kind, the others by name, so
that a status Adyen adds is noticed and not guessed. Serves WH-15, WH-29 and PX-3.
"""

from collections.abc import Mapping

from payops.psp.calling import PayoutStatus

# What an outgoing bank transfer of this status is here.
BANK_STATUSES: Mapping[str, str] = {
    "received": "payout.initiated",
    "pendingApproval": "payout.initiated",
    "approvalPending": "payout.initiated",
    "pendingExecution": "payout.initiated",
    "authorised": "payout.in_transit",
    "bookingPending": "payout.in_transit",
    "booked": "payout.paid",
    "credited": "payout.paid",
    "failed": "payout.failed",
    "refused": "payout.failed",
    "rejected": "payout.failed",
    "error": "payout.failed",
    "expired": "payout.failed",
    "returned": "payout.returned",
    "cancelled": "payout.canceled",
}
PAYOUT_STATUSES: Mapping[str, PayoutStatus] = {
    "payout.initiated": "pending",
    "payout.in_transit": "in_transit",
    "payout.paid": "paid",
    "payout.failed": "failed",
    "payout.returned": "returned",
    "payout.canceled": "canceled",
}
# What must have happened before: money that came back had been paid out.
IMPLIED: Mapping[str, tuple[str, ...]] = {
    "payout.in_transit": ("payout.initiated",),
    "payout.paid": ("payout.initiated", "payout.in_transit"),
    "payout.failed": ("payout.initiated",),
    "payout.canceled": ("payout.initiated",),
    "payout.returned": ("payout.initiated", "payout.in_transit", "payout.paid"),
}
# The statuses of cards, payments, fees and corrections; they say nothing of a bank transfer.
OTHER_STATUSES = frozenset(
    {
        "atmWithdrawal",
        "atmWithdrawalReversalPending",
        "atmWithdrawalReversed",
        "authAdjustmentAuthorised",
        "authAdjustmentError",
        "authAdjustmentRefused",
        "bankTransfer",
        "bankTransferPending",
        "capturePending",
        "captureReversalPending",
        "captureReversed",
        "captured",
        "capturedExternally",
        "chargeback",
        "chargebackExternally",
        "chargebackPending",
        "chargebackReversalPending",
        "chargebackReversed",
        "depositCorrection",
        "depositCorrectionPending",
        "dispute",
        "disputeClosed",
        "disputeExpired",
        "disputeNeedsReview",
        "fee",
        "feePending",
        "internalTransfer",
        "internalTransferPending",
        "invoiceDeduction",
        "invoiceDeductionPending",
        "manualCorrectionPending",
        "manuallyCorrected",
        "matchedStatement",
        "matchedStatementPending",
        "merchantPayin",
        "merchantPayinPending",
        "merchantPayinReversed",
        "merchantPayinReversedPending",
        "miscCost",
        "miscCostPending",
        "paymentCost",
        "paymentCostPending",
        "refundPending",
        "refundReversalPending",
        "refundReversed",
        "refunded",
        "refundedExternally",
        "reserveAdjustment",
        "reserveAdjustmentPending",
        "secondChargeback",
        "secondChargebackPending",
        "undefined",
    }
)
