"""Why payments fail, in one set of words for every provider, and whether trying again helps.

A table (AI-6): not enough money is worth another day, an expired card never is, a bank's plain no
once at most, suspected fraud never. Codes of providers are open sets; an unknown one is "unknown",
which retries nothing. Reads nothing, decides nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

# When: after a payday, in two days, tomorrow, within hours; or never as it stands.
When = Literal["payday", "days", "tomorrow", "hours", "never"]


@dataclass(frozen=True, slots=True)
class Decline:
    """`words` for us; `told` for the customer, who is never told of a suspicion."""

    key: str
    words: str
    when: When
    next_step: str
    told: str
    ask: str


_ROWS = (
    Decline(
        "insufficient_funds",
        "there was not enough money in the account or on the card",
        "payday",
        "Try again on a day when money is likely to be there; do not ask for another card at once.",
        "your bank told us that there was not enough money available",
        "If you would like to pay earlier or in another way, you can do so in your account.",
    ),
    Decline(
        "limit",
        "a limit of the card or account was reached",
        "tomorrow",
        "Limits are counted by the day: try again tomorrow, or ask for a smaller amount.",
        "your bank told us that a limit of your card or account was reached",
        "You can raise the limit with your bank or pay in another way in your account.",
    ),
    Decline(
        "expired_card",
        "the card has expired",
        "never",
        "Never try this card again; ask the customer for a new one.",
        "the card has expired",
        "Please enter your new card in your account.",
    ),
    Decline(
        "invalid_details",
        "the card or account details are wrong, or the account is closed",
        "never",
        "Never try these details again; ask the customer to enter them anew.",
        "the card or account details were not accepted",
        "Please check them in your account, or choose another way to pay.",
    ),
    Decline(
        "lost_or_stolen",
        "the card is reported lost or stolen",
        "never",
        "Never try again; let somebody look at the order before anything is delivered.",
        "the payment could not be completed with this card",
        "Please choose another way to pay in your account.",
    ),
    Decline(
        "fraud",
        "the bank or the provider suspects fraud",
        "never",
        "Never try again and do not name the suspicion to the customer; let somebody look at the "
        "order.",
        "the payment could not be completed with this card",
        "Please choose another way to pay in your account.",
    ),
    Decline(
        "authentication",
        "the customer did not confirm the payment with their bank",
        "never",
        "Trying again without the customer fails again; ask them to pay and confirm it themselves.",
        "your bank wants you to confirm the payment, and that did not happen",
        "Please pay again in your account and confirm it with your bank.",
    ),
    Decline(
        "no_mandate",
        "there is no valid mandate for the debit",
        "never",
        "Never debit again without a new mandate; ask the customer for one.",
        "your bank told us that there is no valid mandate for the debit",
        "Please confirm a new mandate in your account, or choose another way to pay.",
    ),
    Decline(
        "do_not_honor",
        "the bank said no and gave no reason",
        "days",
        "Try once more in two days; after a second no, ask the customer to speak with their bank "
        "or to pay in another way.",
        "your bank declined the payment and gave us no reason",
        "Your bank can tell you why. You can also choose another way to pay in your account.",
    ),
    Decline(
        "technical",
        "the bank or the provider could not process it; nothing is wrong with the customer",
        "hours",
        "Try again in a few hours; the customer has nothing to do.",
        "a technical fault kept the payment from going through",
        "You do not have to do anything.",
    ),
    Decline(
        "unknown",
        "the provider gave no reason that is known here",
        "never",
        "Read the provider's own words first; do not try again before the reason is known.",
        "the payment did not go through",
        "Please try again or choose another way to pay in your account.",
    ),
)
DECLINES: Mapping[str, Decline] = {row.key: row for row in _ROWS}
# Codes as `decline_of` writes them: small letters, digits and underscores.
_SAID = {
    "insufficient_funds": "not_enough_balance 51 am04 r01 5120 insufficient_balance "
    "echeck_insufficient_funds transaction_approved_awaiting_funding",
    "limit": "card_velocity_exceeded withdrawal_count_limit_exceeded 61 65 5200 5930 "
    "withdrawal_amount_exceeded withdrawal_count_exceeded amount_limit_exceeded "
    "transaction_limit_exceeded",
    "expired_card": "54 5400 card_expired expired_or_canceled_card",
    "invalid_details": "incorrect_number invalid_number incorrect_cvc invalid_cvc cvc_declined "
    "invalid_expiry_month invalid_expiry_year invalid_account invalid_card_number 14 1330 5180 "
    "ac01 ac04 ac06 r02 r03 r04 account_closed no_account bank_account_closed "
    "card_not_supported new_account_information_available restricted_card blocked_card "
    "incorrect_zip incorrect_address",
    "lost_or_stolen": "lost_card stolen_card pickup_card lost_or_stolen_card 41 43 9510 9520",
    "fraud": "fraudulent suspected_fraud merchant_blacklist issuer_suspected_fraud "
    "acquirer_fraud fraud_cancelled 59 9500 declined_by_risk_fraud_filters highest_risk_level "
    "elevated_risk_level security_violation",
    "authentication": "authentication_required authentication_not_handled 3d_not_authenticated "
    "authentication_failure payment_intent_authentication_failure cancelled_by_shopper 1a "
    "payer_action_required",
    "no_mandate": "md01 debit_not_authorized r07 r10 mandate_invalid no_mandate",
    "do_not_honor": "do_not_honour generic_decline declined refused call_issuer "
    "no_action_taken not_permitted transaction_not_permitted transaction_not_allowed "
    "declined_non_generic refer_to_issuer revocation_of_authorization 05 0500 5100 card_declined "
    "service_not_allowed stop_payment_order",
    "technical": "processing_error try_again_later issuer_not_available issuer_unavailable "
    "reenter_transaction acquirer_error approve_with_id 91 96 ms03 timeout could_not_process",
}
KNOWN: Mapping[str, str] = {code: key for key, codes in _SAID.items() for code in codes.split()}


def decline_of(code: str) -> Decline:
    said = re.sub(r"[^a-z0-9]+", "_", code.strip().lower()).strip("_")
    return DECLINES[said if said in DECLINES else KNOWN.get(said, "unknown")]
