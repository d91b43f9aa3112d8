"""What the status and the history of an Adyen transfer mean here (WH-29, PX-3, PX-8)."""

import json
from typing import Any

import pytest

from payops.core.money import Money
from payops.psp.adyen.statuses import BANK_STATUSES, OTHER_STATUSES
from payops.psp.base import EventRefused, NormalizedEvent
from payops.psp.registry import adapter, failure_cause
from tests.psp.adyen_signed import transfer

OUR_PAYOUT = "po_0190d3a1b2c37d4e8f90a1b2c3d4e5f6"
TRANSFER = "3JKQ7T2XLOT47J7R"


def told_transfer(name: str, **changes: Any) -> NormalizedEvent:
    return adapter("adyen").parse(transfer(name, **changes))


@pytest.mark.parametrize(
    ("name", "kind", "movement", "back"),
    [
        ("transfer_received", "payout.initiated", None, None),
        ("transfer_authorised", "payout.in_transit", None, None),
        ("transfer_booked", "payout.paid", "EVJN42CLX2223N5K003EUR", None),
        ("transfer_failed", "payout.failed", None, None),
        (
            "transfer_returned",
            "payout.returned",
            "EVJN42CLX2223N5K003EUR",
            "EVJN42CLX2223N5K004EUR",
        ),
        ("transfer_cancelled", "payout.canceled", None, None),
    ],
)
def test_outgoing_bank_transfers(name, kind, movement, back):
    event = told_transfer(name)

    assert (event.kind, event.provider_ref) == (kind, TRANSFER)
    assert (event.movement_ref, event.failure_movement_ref) == (movement, back)
    assert (event.amount, event.our_ref) == (Money(1240000, "EUR"), OUR_PAYOUT)
    assert (event.merchant_ref, event.live) == (None, False)


@pytest.mark.parametrize("status", sorted(BANK_STATUSES))
def test_every_status_of_a_bank_transfer_has_a_kind(status):
    assert told_transfer("transfer_received", data__status=status).kind == BANK_STATUSES[status]


def test_all_listed_statuses_are_known_and_others_are_refused():
    assert len(OTHER_STATUSES | set(BANK_STATUSES)) == 67
    for status in sorted(OTHER_STATUSES):
        event = told_transfer("transfer_received", data__status=status)
        assert (event.kind, event.reason) == ("ignored", "status_without_meaning_here")
    for status in ("tomorrow", "BOOKED", None, 5):
        with pytest.raises(EventRefused, match="status_unknown") as caught:
            told_transfer("transfer_received", data__status=status)
        assert caught.value.path == "data.status"


@pytest.mark.parametrize(
    "changes",
    [
        {"data__category": "card"},
        {"data__category": "internal"},
        {"data__category": "platformPayment"},
        {"data__category": None},
        {"data__direction": "incoming"},
        {"data__direction": None},
    ],
)
def test_only_money_leaving_by_bank_is_a_payout(changes):
    event = told_transfer("transfer_booked", **changes)

    assert (event.kind, event.reason) == ("ignored", "not_an_outgoing_bank_transfer")
    assert event.amount is None


def test_failure_names_its_reason_and_what_it_means():
    event = told_transfer("transfer_failed")

    assert event.failure_code == "counterpartyAccountNotFound"
    cause = failure_cause(provider="adyen", code=event.failure_code)
    assert (cause.root_cause, cause.disposition) == ("account_details", "new_details")
    assert told_transfer("transfer_booked").failure_code is None
    assert told_transfer("transfer_returned").failure_code == "counterpartyAccountClosed"


def test_failure_after_booking_gives_the_money_back():
    """The balance was debited and credited again: the history proves it (PX-3)."""
    events = json.loads(transfer("transfer_returned"))["data"]["events"]

    event = told_transfer("transfer_failed", data__events=events)

    assert (event.kind, event.failure_movement_ref) == ("payout.failed", "EVJN42CLX2223N5K004EUR")


def test_return_without_a_history_still_names_one_movement():
    for events in (None, [], "x", [5], [{"mutations": 5}], [{"mutations": [5, {"balance": "1"}]}]):
        event = told_transfer("transfer_returned", data__events=events)
        assert event.failure_movement_ref == f"{TRANSFER}:back"
        assert event.movement_ref is None


def test_reference_that_is_not_ours_is_the_merchants():
    event = told_transfer("transfer_booked", data__reference="P-77 Größe")

    assert (event.our_ref, event.merchant_ref) == (None, "P-77 Größe")
    assert told_transfer("transfer_booked", data__reference=OUR_PAYOUT.upper()).our_ref is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"data__amount": None}, "amount_malformed"),
        ({"data__amount": {"value": -1, "currency": "EUR"}}, "amount_negative"),
        ({"data__id": 5}, "object_id_missing"),
        ({"data__sequenceNumber": -1}, "sequence_missing"),
    ],
)
def test_transfer_that_contradicts_itself_is_refused(changes, reason):
    with pytest.raises(EventRefused, match=reason):
        told_transfer("transfer_booked", **changes)


@pytest.mark.parametrize(
    ("code", "disposition"),
    [
        ("notEnoughBalance", "retryable"),
        ("counterpartyBankUnavailable", "retryable"),
        ("counterpartyAccountClosed", "new_details"),
        ("refusedByCounterpartyBank", "new_details"),
        ("counterpartyAccountBlocked", "compliance"),
        ("duplicateTransmissionDetected", "compliance"),
        ("reasonOfTomorrow", "new_details"),
    ],
)
def test_reasons_of_transfers(code, disposition):
    assert failure_cause(provider="adyen", code=code).disposition == disposition
