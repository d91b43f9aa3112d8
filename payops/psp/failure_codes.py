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

TABLES: Mapping[str, Mapping[str, FailureCause]] = {"stripe": STRIPE, "standard": STANDARD}


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
