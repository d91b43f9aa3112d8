"""Why refunds do not arrive and whether the same way helps; why one is refused (AI-3, D8, RF-18).

Tables. An unknown code is taken for a closed card or account: paying another way arrives once,
while the same way may fail again. Reads nothing, decides nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RefundFailure:
    words: str
    next_step: str


_OTHER_WAY = "ask where the customer wants the money, pay it by hand and record it; do not retry"
_LATER = "try it again once"
CLOSED = RefundFailure("the card or account it was paid with is closed", _OTHER_WAY)
DECLINED = RefundFailure("the customer's bank did not take it", f"{_LATER}; then {_OTHER_WAY}")
BALANCE = RefundFailure(
    "the balance at the provider did not cover it", f"top up the balance, then {_LATER}"
)
DISPUTED = RefundFailure(
    "the customer disputes the charge", "answer the dispute; a refund on top would pay twice"
)
CANCELED = RefundFailure(
    "it was canceled at the provider", f"find out who canceled it and why, then {_LATER}"
)
UNKNOWN = RefundFailure(
    "the provider gave no reason that is known here",
    f"read the provider's own words; where the account is closed, {_OTHER_WAY}",
)
FAILURES: Mapping[str, RefundFailure] = {
    "expired_or_canceled_card": CLOSED,
    "lost_or_stolen_card": CLOSED,
    "account_closed": CLOSED,
    "no_account": CLOSED,
    "declined": DECLINED,
    "refused": DECLINED,
    "insufficient_funds": BALANCE,
    "not_enough_balance": BALANCE,
    "charge_for_pending_refund_disputed": DISPUTED,
    "charge_disputed": DISPUTED,
    "merchant_request": CANCELED,
    "canceled_at_provider": CANCELED,
}
# Checks of `refund_rules` that refuse, as people say them.
REFUSED_BY: Mapping[str, str] = {
    "captured": "nothing of the charge is captured",
    "settled": "the charge is not settled yet",
    "currency_and_account": "currency or account are not those of the charge",
    "remaining": "less is left of the charge than was asked for",
    "reason": "the policy has no such reason",
    "required_evidence": "evidence that the reason requires is missing",
    "no_blocking_dispute": "a dispute stands against the charge",
    "requester": "the requester may not ask for refunds",
    "provider": "the provider takes no refunds from here",
}


def failure_of(code: str) -> RefundFailure:
    return FAILURES.get(re.sub(r"[^a-z0-9]+", "_", code.strip().lower()).strip("_"), UNKNOWN)
