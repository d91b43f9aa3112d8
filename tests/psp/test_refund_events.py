"""What every provider's refund and charge events mean, and the facts they carry (WH-29, RF-12)."""

import json
from typing import Any

import pytest

from payops.core.money import Money
from payops.psp.base import EventRefused, NormalizedEvent
from payops.psp.registry import adapter
from tests.psp.signed import STANDARD_ACCOUNT, changed, fixture

OURS = "rf_0190d3a1b2c37d4e8f90a1b2c3d4e5f7"
THIRTY = Money(3000, "EUR")
CHARGE = "ch_3QkCharge0001"
STRIPE, ADYEN, PAYPAL, STANDARD = (
    ("re_3QkRefund0001", CHARGE),
    ("K7TRREFUND000001", "K7TRPAYMENT00001"),
    ("1JU08902781691411", "2GG279541U471931P"),
    ("srf_2w3e4r5t", "spm_1q2w3e4r"),
)


def told(provider: str, name: str, **changes: Any) -> NormalizedEvent:
    raw = fixture(provider, name)
    return adapter(provider).parse(changed(raw, **changes) if changes else raw)


@pytest.mark.parametrize(
    ("provider", "name", "kind", "refs", "ours"),
    [
        ("stripe", "refund_created", "refund.accepted", STRIPE, OURS),
        ("stripe", "refund_born_succeeded", "refund.succeeded", STRIPE, OURS),
        ("stripe", "refund_succeeded", "refund.succeeded", STRIPE, OURS),
        ("stripe", "refund_failed_late", "refund.failed_late", STRIPE, OURS),
        ("stripe", "charge_refund_updated_failed", "refund.failed_late", STRIPE, OURS),
        ("stripe", "refund_canceled", "refund.canceled", STRIPE, OURS),
        ("adyen", "refund", "refund.accepted", ADYEN, OURS),
        ("adyen", "refund_refused", "refund.failed_late", ADYEN, OURS),
        ("adyen", "refund_failed", "refund.failed_late", ADYEN, None),
        ("adyen", "refunded_reversed", "refund.returned", ADYEN, OURS),
        ("adyen", "void_pending_refund", "refund.canceled", ADYEN, OURS),
        ("adyen", "postponed_refund", "refund.accepted", ADYEN, OURS),
        ("paypal", "capture_refunded", "refund.succeeded", PAYPAL, OURS),
        ("paypal", "refund_pending", "refund.accepted", PAYPAL, OURS),
        ("paypal", "refund_completed", "refund.succeeded", PAYPAL, OURS),
        ("paypal", "refund_failed", "refund.failed_late", PAYPAL, OURS),
        ("paypal", "refund_cancelled", "refund.canceled", PAYPAL, OURS),
        ("standard", "refund_created", "refund.accepted", STANDARD, OURS),
        ("standard", "refund_born_succeeded", "refund.succeeded", STANDARD, OURS),
        ("standard", "refund_succeeded", "refund.succeeded", STANDARD, OURS),
        ("standard", "refund_failed", "refund.failed_late", STANDARD, OURS),
        ("standard", "refund_reversed", "refund.returned", STANDARD, OURS),
        ("standard", "refund_canceled", "refund.canceled", STANDARD, OURS),
    ],
)
def test_refund_event_names_refund_payment_our_request_and_its_own_sum(
    provider, name, kind, refs, ours
):
    event = told(provider, name)

    assert (event.kind, event.amount, event.our_ref) == (kind, THIRTY, ours)
    assert (event.provider_ref, event.original_provider_ref) == refs


@pytest.mark.parametrize(
    ("provider", "name", "moved", "back"),
    [
        ("stripe", "refund_succeeded", "txn_1QkRefund0001", None),
        ("stripe", "refund_failed_late", "txn_1QkRefund0001", "txn_1QkRefundBack1"),
        ("stripe", "charge_refund_updated_failed", "txn_1QkRefund0001", "txn_1QkRefundBack1"),
        ("adyen", "refund", "K7TRREFUND000001:REFUND", None),
        ("adyen", "refund_refused", None, None),
        ("adyen", "refund_failed", None, "K7TRREFUND000001:REFUND_FAILED"),
        ("adyen", "refunded_reversed", None, "K7TRREFUND000001:REFUNDED_REVERSED"),
        ("adyen", "postponed_refund", None, None),
        ("paypal", "refund_completed", "1JU08902781691411", None),
        ("standard", "refund_succeeded", "srf_2w3e4r5t", None),
        ("standard", "refund_failed", "srf_2w3e4r5t", None),
        ("standard", "refund_reversed", "srf_2w3e4r5t", "srf_2w3e4r5t:back"),
    ],
)
def test_movement_that_is_told_of_and_the_one_that_gives_the_money_back(
    provider, name, moved, back
):
    event = told(provider, name)

    assert (event.movement_ref, event.failure_movement_ref) == (moved, back)


def test_both_tellings_of_a_late_failure_name_one_refund_and_one_movement_back():
    """Stripe tells one failure twice: it must not reverse twice."""
    first, second = (
        told("stripe", name) for name in ("refund_failed_late", "charge_refund_updated_failed")
    )

    assert first.provider_event_id != second.provider_event_id
    for fact in ("kind", "provider_ref", "amount", "failure_movement_ref", "failure_code"):
        assert getattr(first, fact) == getattr(second, fact)


@pytest.mark.parametrize(
    ("provider", "name", "code"),
    [
        ("stripe", "refund_failed_late", "expired_or_canceled_card"),
        ("adyen", "refund_refused", "Insufficient balance on payment"),
        ("adyen", "refund_failed", "Refund Failed"),
        ("standard", "refund_failed", "card_expired"),
        ("standard", "refund_succeeded", None),
    ],
)
def test_failed_refund_says_why(provider, name, code):
    assert told(provider, name).failure_code == code


def test_refund_made_at_the_provider_carries_no_reference_of_ours():
    event = told("standard", "refund_of_somebody_else")

    assert (event.kind, event.our_ref, event.merchant_ref) == ("refund.succeeded", None, None)
    assert event.original_provider_ref == "spm_1q2w3e4r"


def test_refunded_charge_tells_the_step_and_its_payment_not_the_capture_again():
    """RF-12: 50 in all, 20 before: this refund was 30; the refund itself is not named."""
    event = told("stripe", "charge_refunded")

    assert (event.kind, event.amount) == ("refund.observed", THIRTY)
    assert event.provider_ref == event.original_provider_ref == CHARGE
    assert event.movement_ref is None


def test_refunded_capture_at_paypal_shows_no_sum_of_the_refund():
    raw = json.loads(fixture("paypal", "capture_refunded")) | {"resource_type": "capture"}
    raw["resource"] |= {"id": "2GG279541U471931P", "status": "PARTIALLY_REFUNDED"}

    event = adapter("paypal").parse(json.dumps(raw).encode())

    assert (event.kind, event.amount, event.movement_ref) == ("refund.observed", None, None)
    assert event.provider_ref == event.original_provider_ref == "2GG279541U471931P"


def test_invoice_number_of_a_paypal_refund_may_be_our_reference():
    raw = json.loads(fixture("paypal", "refund_completed"))
    raw["resource"] |= {"custom_id": None, "invoice_id": OURS}

    event = adapter("paypal").parse(json.dumps(raw).encode())

    assert (event.our_ref, event.merchant_ref) == (OURS, None)


def test_standard_refund_that_is_born_failed_says_so():
    event = told("standard", "refund_created", object__status="failed")

    assert event.kind == "refund.failed"


@pytest.mark.parametrize(
    ("name", "changes", "reason", "path"),
    [
        ("refund_succeeded", {"object__status": "failed"}, "status_contradicts_type", "status"),
        ("refund_reversed", {"object__status": "succeeded"}, "status_contradicts_type", "status"),
        ("refund_succeeded", {"object__payment": None}, "payment_missing", "payment"),
        ("refund_succeeded", {"object__payment": "a b"}, "payment_missing", "payment"),
        ("refund_succeeded", {"object__amount": -1}, "amount_negative", "amount"),
        ("refund_succeeded", {"object__amount": "30"}, "amount_malformed", "amount"),
        ("refund_succeeded", {"object__id": ""}, "object_id_missing", "id"),
        ("dispute_opened", {"object__payment": 7}, "payment_missing", "payment"),
        ("dispute_won", {"object__status": "lost"}, "status_contradicts_type", "status"),
    ],
)
def test_standard_event_that_contradicts_itself_is_refused(name, changes, reason, path):
    with pytest.raises(EventRefused) as caught:
        told("standard", name, **changes)

    assert (caught.value.reason, caught.value.path) == (reason, f"data.{path}")


@pytest.mark.parametrize(
    ("provider", "name", "lane"),
    [
        ("standard", "refund_succeeded", "standard"),
        ("standard", "refund_failed", "high"),
        ("standard", "refund_reversed", "high"),
        ("standard", "dispute_opened", "high"),
        ("stripe", "refund_failed_late", "high"),
        ("stripe", "refund_succeeded", "standard"),
        ("paypal", "refund_failed", "high"),
    ],
)
def test_bad_news_of_refunds_and_disputes_goes_first(provider, name, lane):
    listed = adapter(provider).itemize(raw=fixture(provider, name), account=STANDARD_ACCOUNT)

    assert listed.items[0].lane == lane
