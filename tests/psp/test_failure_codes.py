"""The taxonomy of payout failures (PX-8, F39)."""

import pytest

from payops.psp.failure_codes import TABLES
from payops.psp.registry import ProviderUnknown, adapter, failure_cause, with_calls

STRIPE_CODES = {
    "account_closed": "new_details",
    "account_frozen": "compliance",
    "bank_account_restricted": "compliance",
    "bank_ownership_changed": "new_details",
    "could_not_process": "retryable",
    "debit_not_authorized": "compliance",
    "declined": "new_details",
    "insufficient_funds": "retryable",
    "invalid_account_number": "new_details",
    "invalid_account_number_length": "new_details",
    "incorrect_account_holder_name": "new_details",
    "incorrect_account_holder_address": "new_details",
    "incorrect_account_holder_tax_id": "new_details",
    "incorrect_account_type": "new_details",
    "invalid_currency": "new_details",
    "no_account": "new_details",
    "unsupported_card": "new_details",
}


def test_every_documented_stripe_code_has_its_row():
    assert {code: row.disposition for code, row in TABLES["stripe"].items()} == STRIPE_CODES


def test_every_provider_has_a_table_and_every_row_says_what_is_next():
    assert set(TABLES) == set(with_calls())
    for table in TABLES.values():
        for code, row in table.items():
            assert row.code == code
            assert row.words.endswith(".") and row.next_step.endswith(".")


@pytest.mark.parametrize("provider", ["stripe", "standard", "invented"])
@pytest.mark.parametrize("code", ["never_seen", "", None])
def test_unknown_failure_never_becomes_retryable(provider, code):
    cause = failure_cause(provider=provider, code=code)

    assert (cause.root_cause, cause.disposition) == ("unknown", "new_details")
    assert cause.code == (code or "")


def test_root_causes_people_asked_for():
    found = {row.root_cause for row in TABLES["standard"].values()}

    assert found == {"insufficient_funds", "bank_rejection", "account_details", "compliance_hold"}


def test_unknown_provider_is_named():
    with pytest.raises(ProviderUnknown, match="nobody"):
        adapter("nobody")
