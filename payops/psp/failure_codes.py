"""Payout failure codes and what they mean here (PX-8, F39). A table; finance may read it.

Owns the three ways on: retryable (the same details may be tried again), new_details (they can never
succeed; ask the payee), compliance (a person of compliance decides first). Provider lists are open
sets. An unknown code, and a failure without a code, is treated as new_details: that holds the
beneficiary and asks a person, where retryable would send money again on a guess.
"""

from collections.abc import Mapping

from payops.psp.base import Disposition, FailureCause

_ASK = "Ask the payee for corrected bank details; they are verified again before a re-issue."
_FUND = "Top up the balance at the provider, then re-issue with the same details."
_AGAIN = "Verify the details, then re-issue once with the same details."
_REVIEW = "Compliance reviews the payee before anything else is sent."
_UNKNOWN = "Read the provider's message, confirm the bank details with the payee, then decide."


def _rows(
    root_cause: str, disposition: Disposition, next_step: str, words: Mapping[str, str]
) -> dict[str, FailureCause]:
    return {
        code: FailureCause(
            code=code,
            root_cause=root_cause,
            disposition=disposition,
            words=text,
            next_step=next_step,
        )
        for code, text in words.items()
    }


# Stripe's codes, as three of its client libraries list them.
STRIPE: dict[str, FailureCause] = {
    **_rows(
        "insufficient_funds",
        "retryable",
        _FUND,
        {"insufficient_funds": "The balance at the provider did not cover the payout."},
    ),
    **_rows(
        "bank_rejection",
        "retryable",
        _AGAIN,
        {"could_not_process": "The receiving bank could not process the payout."},
    ),
    **_rows(
        "bank_rejection",
        "new_details",
        _ASK,
        {
            "declined": "The receiving bank declined the payout.",
            "unsupported_card": "The card does not take payouts.",
        },
    ),
    **_rows(
        "account_details",
        "new_details",
        _ASK,
        {
            "account_closed": "The receiving account is closed.",
            "no_account": "No account exists under these details.",
            "bank_ownership_changed": "The receiving bank changed hands; its details changed.",
            "invalid_account_number": "The account number is not valid.",
            "invalid_account_number_length": "The account number has the wrong length.",
            "incorrect_account_holder_name": "The account holder's name does not match.",
            "incorrect_account_holder_address": "The account holder's address does not match.",
            "incorrect_account_holder_tax_id": "The account holder's tax id does not match.",
            "incorrect_account_type": "The account is of the wrong type.",
            "invalid_currency": "The account does not take this currency.",
        },
    ),
    **_rows(
        "compliance_hold",
        "compliance",
        _REVIEW,
        {
            "account_frozen": "The receiving account is frozen.",
            "bank_account_restricted": "The receiving account is restricted.",
            "debit_not_authorized": "The account holder has not authorised such transfers.",
        },
    ),
}

# The generic provider speaks the same words and a few of its own.
STANDARD: dict[str, FailureCause] = {
    **STRIPE,
    **_rows(
        "bank_rejection",
        "retryable",
        _AGAIN,
        {"bank_unavailable": "The receiving bank was not reachable."},
    ),
    **_rows(
        "bank_rejection",
        "new_details",
        _ASK,
        {
            "bank_rejected": "The receiving bank rejected the payout.",
            "returned_by_bank": "The receiving bank sent the money back.",
        },
    ),
    **_rows(
        "compliance_hold",
        "compliance",
        _REVIEW,
        {
            "compliance_hold": "The provider holds the payout for a compliance check.",
            "sanctions_review": "The provider holds the payout for a sanctions check.",
        },
    ),
}

# The reasons of a failed or returned bank transfer, as Adyen's transfer webhooks list them; the
# reasons of cards are left to the safe default.
ADYEN: dict[str, FailureCause] = {
    **_rows(
        "insufficient_funds",
        "retryable",
        _FUND,
        {"notEnoughBalance": "The balance account at Adyen did not cover the transfer."},
    ),
    **_rows(
        "bank_rejection",
        "retryable",
        _AGAIN,
        {
            "counterpartyBankTimedOut": "The receiving bank did not answer in time.",
            "counterpartyBankUnavailable": "The receiving bank was not reachable.",
            "internalTimeout": "Adyen ended the transfer after a timeout of its own.",
            "approvalExpired": "Nobody approved the transfer at Adyen in time.",
        },
    ),
    **_rows(
        "bank_rejection",
        "new_details",
        _ASK,
        {
            "declined": "The transfer was declined.",
            "invalidTransaction": "The receiving bank does not take such a transfer.",
            "refusedByCounterpartyBank": "The receiving bank refused the transfer.",
            "routeNotFound": "No route leads to the receiving bank.",
            "transactionNotPermitted": "The receiving account does not take such a transfer.",
            "unableToRouteTransaction": "No route leads to the receiving bank.",
        },
    ),
    **_rows(
        "account_details",
        "new_details",
        _ASK,
        {
            "counterpartyAccountClosed": "The receiving account is closed.",
            "counterpartyAccountNotFound": "No account exists under these details.",
            "counterpartyAddressRequired": "The receiving bank needs the holder's address.",
            "invalidAccount": "The account is not valid.",
            "invalidToAccount": "The receiving account is not valid.",
            "transferInstrumentDoesNotExist": "Adyen does not know this transfer instrument.",
        },
    ),
    **_rows(
        "compliance_hold",
        "compliance",
        _REVIEW,
        {
            "accountHierarchyNotActive": "The account holder is not active at Adyen.",
            "amountLimitExceeded": "The amount is above a limit set at Adyen.",
            "balanceAccountTemporarilyBlockedByTransactionRule": (
                "A transaction rule blocks the balance account for now."
            ),
            "counterpartyAccountBlocked": "The receiving account is blocked.",
            "declinedByTransactionRule": "A transaction rule at Adyen declined the transfer.",
            "fraud": "Adyen suspects fraud.",
            "fraudCancelled": "Adyen canceled the transfer on a suspicion of fraud.",
            "securityViolation": "Adyen stopped the transfer for a security reason.",
        },
    ),
    # Sending again is what a duplicate calls for least.
    **_rows(
        "compliance_hold",
        "compliance",
        "Find the other transfer at Adyen first; only then decide whether this one is owed.",
        {"duplicateTransmissionDetected": "Adyen saw a transfer like this one before."},
    ),
}

# PayPal's names of item errors, as its payouts reference lists them; an open set.
PAYPAL: dict[str, FailureCause] = {
    **_rows(
        "insufficient_funds",
        "retryable",
        _FUND,
        {
            "INSUFFICIENT_FUNDS": "The balance at PayPal did not cover the payout.",
            "NEGATIVE_BALANCE": "The balance at PayPal is negative.",
            "SPENDING_LIMIT_EXCEEDED": "The sending limit at PayPal is used up.",
        },
    ),
    **_rows(
        "bank_rejection",
        "retryable",
        _AGAIN,
        {
            "INTERNAL_ERROR": "PayPal failed on its own side.",
            "TRANSACTION_LIMIT_EXCEEDED": "The sum is above PayPal's limit for one payout.",
        },
    ),
    **_rows(
        "account_details",
        "new_details",
        _ASK,
        {
            "RECEIVER_UNREGISTERED": "Nobody has a PayPal account under this address.",
            "RECEIVER_UNCONFIRMED": "The recipient has not confirmed the address.",
            "RECEIVER_ACCOUNT_INVALID": "The recipient's account cannot be paid.",
            "RECEIVER_REFUSED": "The recipient declined the money.",
            "RECEIVER_YOUTH_ACCOUNT": "The recipient's account takes no payouts.",
            "ACCOUNT_UNCONFIRMED_EMAIL": "The recipient has not confirmed the e-mail address.",
            "CURRENCY_NOT_SUPPORTED_FOR_RECEIVER": "The recipient cannot take this currency.",
            "NON_HOLDING_CURRENCY": "The recipient's account does not hold this currency.",
            "INVALID_EMAIL": "The e-mail address is not valid.",
            "SELF_PAY_NOT_ALLOWED": "The recipient's account is the sending one.",
        },
    ),
    **_rows(
        "compliance_hold",
        "compliance",
        _REVIEW,
        {
            "ACCOUNT_RESTRICTED": "The recipient's account is restricted.",
            "RECEIVER_ACCOUNT_LOCKED": "The recipient's account is locked.",
            "RECEIVER_COUNTRY_NOT_ALLOWED": "PayPal pays nobody in the recipient's country.",
            "RECEIVER_STATE_RESTRICTED": "PayPal pays nobody in the recipient's state.",
            "RECEIVING_LIMIT_EXCEEDED": "The recipient has reached a receiving limit.",
            "CURRENCY_COMPLIANCE": "Currency rules forbid the payout.",
            "REGULATORY_BLOCKED": "A regulation forbids the payout.",
            "REGULATORY_PENDING": "PayPal reviews the payout under a regulation.",
            "RISK_DECLINE": "PayPal declined the payout as a risk.",
            "SENDER_ACCOUNT_LOCKED": "Our account at PayPal is locked.",
            "SENDER_ACCOUNT_UNVERIFIED": "Our account at PayPal is not verified.",
            "TRANSACTION_DECLINED_BY_TRAVEL_RULE": "The travel rule forbids the payout.",
        },
    ),
    # Sending again is what a duplicate calls for least.
    **_rows(
        "compliance_hold",
        "compliance",
        "Find the other item at PayPal first; only then decide whether this one is owed.",
        {"DUPLICATE_ITEM": "PayPal saw an item like this one before."},
    ),
}

TABLES: Mapping[str, Mapping[str, FailureCause]] = {
    "stripe": STRIPE,
    "adyen": ADYEN,
    "paypal": PAYPAL,
    "standard": STANDARD,
}


def cause_of(*, provider: str, code: str | None) -> FailureCause:
    """The row of a provider's code; codes without a row get the safe default described above."""
    known = TABLES.get(provider, {}).get(code or "")
    if known is not None:
        return known
    return FailureCause(
        code=code or "",
        root_cause="unknown",
        disposition="new_details",
        words=f"The provider gave a code we do not know: {code}."
        if code
        else "The provider gave no failure code.",
        next_step=_UNKNOWN,
    )
