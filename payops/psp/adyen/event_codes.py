"""What each event code of a classic notification means here. A table; finance may read it.

Owns (code, success) to canonical kind (WH-29), which reference names the object, and the lane.
Never maps a code it does not list: such an item ends ignored and can be processed again later.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from payops.psp.base import Lane, Stage

# Whose reference names the object: the item's own, or that of the payment it changes.
About = Literal["itself", "its_payment"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Meaning:
    """`kind` when success is true, `otherwise` when it is false; `reason` why a kind is ignored.

    `moves`: money has moved under the item's own reference. `gives_back`: it moved back to us.
    `stage` and `refundable` of a dispute: how far it is, whether its payment may be refunded.
    """

    kind: str = "ignored"
    otherwise: str = "ignored"
    reason: str = ""
    about: About = "itself"
    lane: Lane = "standard"
    moves: bool = False
    gives_back: bool = False
    stage: Stage | None = None
    refundable: bool | None = None


NOT_SUCCESSFUL = "not_successful"
NO_MEANING = Meaning(reason="no_meaning_here", lane="bulk")
AUTHORISATION = "AUTHORISATION"
CANCEL_OR_REFUND = "CANCEL_OR_REFUND"

_REFUND = Meaning(kind="refund.accepted", otherwise="refund.failed_late", moves=True)
_REFUND_BACK = Meaning(kind="refund.failed_late", lane="high", gives_back=True)
_REFUND_RETURNED = Meaning(kind="refund.returned", lane="high", gives_back=True)
_UPDATED = Meaning(kind="dispute.updated", lane="high")
_WITHDRAWN = Meaning(
    kind="dispute.funds_withdrawn", lane="high", moves=True, stage="chargeback", refundable=False
)
_SECOND = Meaning(kind="dispute.updated", lane="high", stage="second_round", refundable=False)
_WON = Meaning(kind="dispute.won", lane="high", stage="second_round")
_LOST = Meaning(kind="dispute.lost", lane="high", stage="second_round", refundable=False)
_CANCELED = Meaning(reason="authorization_canceled", about="its_payment")
_VOIDED = Meaning(kind="payment.canceled", about="its_payment")
_DEPRECATED = Meaning(reason="deprecated_payout_api", lane="bulk")
_DETAILS = Meaning(reason="bank_details_changed", lane="bulk")
_REVIEW = Meaning(reason="review_decided", lane="bulk")
_ORDER = Meaning(reason="told_by_payment_events", lane="bulk")

EVENT_CODES: Mapping[str, Meaning] = {
    AUTHORISATION: Meaning(kind="payment.authorized", otherwise="payment.failed"),
    "AUTHORISATION_ADJUSTMENT": Meaning(reason="authorization_adjusted", about="its_payment"),
    "CANCELLATION": _VOIDED,
    "TECHNICAL_CANCEL": _VOIDED,
    # Which of the two it was stands in a field that is not signed.
    CANCEL_OR_REFUND: _CANCELED,
    "EXPIRE": Meaning(kind="payment.expired", about="its_payment"),
    "CAPTURE": Meaning(
        kind="payment.captured", otherwise="payment.failed", about="its_payment", moves=True
    ),
    "CAPTURE_FAILED": Meaning(kind="payment.failed", about="its_payment", lane="high"),
    "REFUND": _REFUND,
    "REFUND_WITH_DATA": _REFUND,
    # Waits for the capture: nothing has moved yet.
    "POSTPONED_REFUND": Meaning(kind="refund.accepted", otherwise="refund.failed_late"),
    "REFUND_FAILED": _REFUND_BACK,
    "REFUNDED_REVERSED": _REFUND_RETURNED,
    "VOID_PENDING_REFUND": Meaning(kind="refund.canceled"),
    # A refund is one answer to an inquiry; to a chargeback it would pay twice.
    "REQUEST_FOR_INFORMATION": Meaning(
        kind="dispute.opened", lane="high", stage="inquiry", refundable=True
    ),
    "NOTIFICATION_OF_CHARGEBACK": Meaning(
        kind="dispute.opened", lane="high", stage="chargeback", refundable=False
    ),
    "INFORMATION_SUPPLIED": _UPDATED,
    "ISSUER_COMMENTS": _UPDATED,
    "ISSUER_RESPONSE_TIMEFRAME_EXPIRED": _UPDATED,
    "DISPUTE_DEFENSE_PERIOD_ENDED": _UPDATED,
    "CHARGEBACK": _WITHDRAWN,
    "SECOND_CHARGEBACK": replace(_WITHDRAWN, stage="second_round"),
    "CHARGEBACK_REVERSED": Meaning(
        kind="dispute.funds_returned", lane="high", gives_back=True, stage="chargeback"
    ),
    "PREARBITRATION_OPEN": _SECOND,
    "PREARBITRATION_WON": _WON,
    "PREARBITRATION_LOST": _LOST,
    "PREARBITRATION_ACCEPTED": _SECOND,
    "PREARBITRATION_DECLINED": _SECOND,
    "PREARBITRATION_ISSUER_WITHDRAWN": _SECOND,
    "SCHEME_ARBITRATION": _SECOND,
    "SCHEME_ARBITRATION_WON": _WON,
    "SCHEME_ARBITRATION_LOST": _LOST,
    "NOTIFICATION_OF_FRAUD": Meaning(reason="fraud_notification", lane="bulk", about="its_payment"),
    "REPORT_AVAILABLE": Meaning(kind="report.available", lane="bulk"),
    "ACH_NOTIFICATION_OF_CHANGE": _DETAILS,
    "DIRECT_DEBIT_NOTICE_OF_CHANGE": _DETAILS,
    "MANUAL_REVIEW_ACCEPT": _REVIEW,
    "MANUAL_REVIEW_REJECT": _REVIEW,
    "ORDER_OPENED": _ORDER,
    "ORDER_CLOSED": _ORDER,
    "PAYOUT_THIRDPARTY": _DEPRECATED,
    "PAYOUT_DECLINE": _DEPRECATED,
    "PAYOUT_EXPIRE": _DEPRECATED,
    "PAIDOUT_REVERSED": _DEPRECATED,
}


def meaning_of(code: str) -> Meaning:
    return EVENT_CODES.get(code, NO_MEANING)
