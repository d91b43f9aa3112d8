"""What Adyen's event codes and transfer statuses mean here (WH-29, PX-3, PX-8)."""

from datetime import UTC, datetime
from typing import Any

import pytest

from payops.core.money import Money, MoneyError
from payops.psp.adyen.amounts import UNITS, adyen_value, money_from_adyen
from payops.psp.adyen.event_codes import EVENT_CODES
from payops.psp.base import KINDS, EventRefused, NormalizedEvent
from payops.psp.registry import adapter
from tests.psp.adyen_signed import item, notification, transfer
from tests.psp.signed import SAMPLES, fixture

OUR_PAYOUT = "po_0190d3a1b2c37d4e8f90a1b2c3d4e5f6"
PAYMENT = "K7TRPAYMENT00001"
TRANSFER = "3JKQ7T2XLOT47J7R"

# (code, kind when it succeeded, kind when it did not); "" is ignored.
CODES = {
    "AUTHORISATION": ("payment.authorized", "payment.failed"),
    "AUTHORISATION_ADJUSTMENT": ("", ""),
    "CANCELLATION": ("payment.canceled", ""),
    "TECHNICAL_CANCEL": ("payment.canceled", ""),
    "CANCEL_OR_REFUND": ("", ""),
    "CAPTURE": ("payment.captured", "payment.failed"),
    "CAPTURE_FAILED": ("payment.failed", ""),
    "EXPIRE": ("payment.expired", ""),
    "REFUND": ("refund.accepted", "refund.failed_late"),
    "REFUND_FAILED": ("refund.failed_late", ""),
    "REFUNDED_REVERSED": ("refund.returned", ""),
    "REFUND_WITH_DATA": ("refund.accepted", "refund.failed_late"),
    "POSTPONED_REFUND": ("refund.accepted", "refund.failed_late"),
    "VOID_PENDING_REFUND": ("refund.canceled", ""),
    "REPORT_AVAILABLE": ("report.available", ""),
    "REQUEST_FOR_INFORMATION": ("dispute.opened", ""),
    "NOTIFICATION_OF_CHARGEBACK": ("dispute.opened", ""),
    "INFORMATION_SUPPLIED": ("dispute.updated", ""),
    "CHARGEBACK": ("dispute.funds_withdrawn", ""),
    "CHARGEBACK_REVERSED": ("dispute.funds_returned", ""),
    "SECOND_CHARGEBACK": ("dispute.funds_withdrawn", ""),
    "PREARBITRATION_OPEN": ("dispute.updated", ""),
    "PREARBITRATION_WON": ("dispute.won", ""),
    "PREARBITRATION_LOST": ("dispute.lost", ""),
    "PREARBITRATION_ACCEPTED": ("dispute.updated", ""),
    "PREARBITRATION_DECLINED": ("dispute.updated", ""),
    "PREARBITRATION_ISSUER_WITHDRAWN": ("dispute.updated", ""),
    "SCHEME_ARBITRATION": ("dispute.updated", ""),
    "SCHEME_ARBITRATION_WON": ("dispute.won", ""),
    "SCHEME_ARBITRATION_LOST": ("dispute.lost", ""),
    "DISPUTE_DEFENSE_PERIOD_ENDED": ("dispute.updated", ""),
    "ISSUER_RESPONSE_TIMEFRAME_EXPIRED": ("dispute.updated", ""),
    "ISSUER_COMMENTS": ("dispute.updated", ""),
    "NOTIFICATION_OF_FRAUD": ("", ""),
    "ACH_NOTIFICATION_OF_CHANGE": ("", ""),
    "DIRECT_DEBIT_NOTICE_OF_CHANGE": ("", ""),
    "MANUAL_REVIEW_ACCEPT": ("", ""),
    "MANUAL_REVIEW_REJECT": ("", ""),
    "ORDER_OPENED": ("", ""),
    "ORDER_CLOSED": ("", ""),
    "PAYOUT_THIRDPARTY": ("", ""),
    "PAYOUT_DECLINE": ("", ""),
    "PAYOUT_EXPIRE": ("", ""),
    "PAIDOUT_REVERSED": ("", ""),
}


def told(*, settings: dict[str, str] | None = None, **changes: Any) -> NormalizedEvent:
    return adapter("adyen").parse(notification(item(**changes)), 0, settings or {})


def test_the_table_of_event_codes_is_closed():
    assert set(EVENT_CODES) == set(CODES)
    assert len(CODES) == 44


@pytest.mark.parametrize("code", CODES)
def test_every_event_code(code):
    for success, kind in zip(("true", "false"), CODES[code], strict=True):
        event = told(eventCode=code, success=success)

        assert event.kind == (kind or "ignored")
        assert event.kind in KINDS
        assert bool(event.reason) is (event.kind == "ignored")
        assert event.raw_type == code
        assert event.provider_event_id == f"K7TRCAPTURE00001:{code}:{success}"


def test_code_that_is_not_listed_ends_ignored():
    event = told(eventCode="TOMORROWS_EVENT")

    assert (event.kind, event.reason) == ("ignored", "no_meaning_here")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("CANCEL_OR_REFUND", "authorization_canceled"),
        ("PAYOUT_THIRDPARTY", "deprecated_payout_api"),
        ("PAIDOUT_REVERSED", "deprecated_payout_api"),
        ("NOTIFICATION_OF_FRAUD", "fraud_notification"),
    ],
)
def test_ignored_codes_say_why(code, reason):
    assert told(eventCode=code).reason == reason


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({}, "payment.authorized"),
        ({"auto_capture": "yes"}, "payment.captured"),
        ({"auto_capture": "no"}, "payment.authorized"),
        ({"auto_capture": ""}, "payment.authorized"),
    ],
)
def test_authorisation_is_a_capture_where_the_account_captures_at_once(settings, kind):
    changes = {"eventCode": "AUTHORISATION", "pspReference": PAYMENT, "originalReference": None}

    event = told(settings=settings, **changes)

    assert (event.kind, event.provider_ref) == (kind, PAYMENT)
    assert told(settings=settings, success="false", **changes).kind == "payment.failed"


def test_capture_is_about_its_payment_and_moves_money_under_its_own_reference():
    event = adapter("adyen").parse(fixture("adyen", "capture"))

    assert (event.kind, event.provider_ref) == ("payment.captured", PAYMENT)
    assert event.original_provider_ref == PAYMENT
    assert event.movement_ref == "K7TRCAPTURE00001:CAPTURE"
    assert (event.amount, event.currency) == (Money(8000, "EUR"), "EUR")
    assert (event.merchant_ref, event.our_ref) == ("ORD-7781", None)
    assert (event.seller_ref, event.platform_fee, event.fee) == ("S-204", Money(150, "EUR"), None)
    assert event.occurred_at == datetime(2025, 12, 29, 9, 40, tzinfo=UTC)
    assert (event.live, event.status) == (False, "success")


def test_refused_payment_names_its_reason():
    event = adapter("adyen").parse(fixture("adyen", "authorisation_refused"))

    assert (event.kind, event.failure_code) == ("payment.failed", "05 : Do not honor")
    assert event.failure_message == "05 : Do not honor"
    long = told(eventCode="CAPTURE_FAILED", reason="x" * 900)
    assert (len(long.failure_code or ""), len(long.failure_message or "")) == (64, 500)


def test_refund_and_its_late_failure_name_one_refund_of_one_payment():
    refund = adapter("adyen").parse(fixture("adyen", "refund"))
    failed = adapter("adyen").parse(fixture("adyen", "refund_failed"))

    assert (refund.kind, failed.kind) == ("refund.accepted", "refund.failed_late")
    assert refund.provider_ref == failed.provider_ref == "K7TRREFUND000001"
    assert refund.original_provider_ref == failed.original_provider_ref == PAYMENT
    assert refund.our_ref == "rf_0190d3a1b2c37d4e8f90a1b2c3d4e5f7"
    assert refund.merchant_ref is None
    assert refund.movement_ref == "K7TRREFUND000001:REFUND"
    assert failed.failure_movement_ref == "K7TRREFUND000001:REFUND_FAILED"
    reversed_ = told(eventCode="REFUNDED_REVERSED")
    assert reversed_.kind == "refund.returned"
    assert reversed_.failure_movement_ref == "K7TRCAPTURE00001:REFUNDED_REVERSED"


def test_refund_that_was_never_made_gives_no_money_back():
    event = told(eventCode="REFUND", success="false", reason="not captured yet")

    assert (event.kind, event.failure_movement_ref, event.movement_ref) == (
        "refund.failed_late",
        None,
        None,
    )


@pytest.mark.parametrize(
    ("additional", "kind"),
    [
        ({"modification.action": "refund"}, "refund.accepted"),
        ({"modification.action": "cancel"}, "ignored"),
        ({}, "ignored"),
        (None, "ignored"),
        ([], "ignored"),
    ],
)
def test_cancel_or_refund_by_what_adyen_says_it_was(additional, kind):
    assert told(eventCode="CANCEL_OR_REFUND", additionalData=additional).kind == kind


def test_dispute_names_its_payment_and_its_movements():
    taken = adapter("adyen").parse(fixture("adyen", "chargeback"))
    back = told(eventCode="CHARGEBACK_REVERSED")

    assert (taken.provider_ref, taken.original_provider_ref) == ("K7TRDISPUTE00001", PAYMENT)
    assert (taken.movement_ref, taken.amount) == (
        "K7TRDISPUTE00001:CHARGEBACK",
        Money(10000, "EUR"),
    )
    assert back.failure_movement_ref == "K7TRCAPTURE00001:CHARGEBACK_REVERSED"


def test_dispute_may_be_told_of_without_an_amount_but_not_move_money_without_one():
    assert told(eventCode="ISSUER_COMMENTS", amount=None).amount is None
    with pytest.raises(EventRefused, match="amount_malformed"):
        told(eventCode="CHARGEBACK", amount=None)


def test_report_is_named_by_its_signed_reference_and_no_address_is_kept():
    event = adapter("adyen").parse(fixture("adyen", "report_available"))

    assert event.kind == "report.available"
    assert event.provider_ref == "settlement_detail_report_batch_41.csv"
    assert event.trace_ref == "settlement_detail_report_batch_41.csv"
    assert event.amount is None
    assert "http" not in repr(event)


@pytest.mark.parametrize(
    ("reason", "name"),
    [
        ("https://evil.example/report.csv?x=1", "report.csv"),
        ("http://169.254.169.254/latest/meta-data/", None),
        ("https://ca-test.adyen.com/../../etc/pass wd", None),
        ("https://ca-test.adyen.com/.hidden", None),
        ("", None),
        ("null", "null"),
    ],
)
def test_report_address_is_cut_to_a_plain_name(reason, name):
    assert told(eventCode="REPORT_AVAILABLE", reason=reason).trace_ref == name


@pytest.mark.parametrize(
    ("changes", "reason", "path"),
    [
        ({"pspReference": None}, "psp_reference_missing", "pspReference"),
        ({"eventCode": None}, "event_code_missing", "eventCode"),
        ({"success": None}, "success_malformed", "success"),
        ({"success": 1}, "success_malformed", "success"),
        ({"originalReference": None}, "original_reference_missing", "originalReference"),
        ({"amount": None}, "amount_malformed", "amount"),
        ({"amount": {"currency": "eur", "value": 1}}, "amount_malformed", "amount"),
        ({"amount": {"currency": "EUR", "value": "٨"}}, "amount_malformed", "amount"),
        ({"amount": {"currency": "EUR", "value": "1.0"}}, "amount_malformed", "amount"),
        ({"amount": {"currency": "EUR", "value": 1.5}}, "amount_malformed", "amount"),
        ({"amount": {"currency": "EUR", "value": True}}, "amount_malformed", "amount"),
        ({"amount": {"currency": "EUR", "value": "-1"}}, "amount_malformed", "amount"),
        ({"amount": {"currency": "EUR", "value": -1}}, "amount_negative", "amount"),
        ({"amount": {"currency": "CLP", "value": 150}}, "amount_not_whole", "amount"),
        (
            {"additionalData": {"metadata.platform_fee": "1.50"}},
            "platform_fee_malformed",
            "additionalData.metadata.platform_fee",
        ),
        (
            {"additionalData": {"metadata.platform_fee": "8001"}},
            "platform_fee_exceeds_amount",
            "additionalData.metadata.platform_fee",
        ),
    ],
)
def test_item_that_contradicts_itself_is_refused_with_its_path(changes, reason, path):
    with pytest.raises(EventRefused) as caught:
        told(**changes)

    assert (caught.value.reason, caught.value.path) == (reason, path)


@pytest.mark.parametrize("index", [1, -1, 200])
def test_item_that_is_not_in_the_body(index):
    with pytest.raises(EventRefused, match="no_such_item"):
        adapter("adyen").parse(notification(item()), index)
    with pytest.raises(EventRefused, match="no_such_item"):
        adapter("adyen").parse(transfer(), index)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ((10050, "EUR"), Money(10050, "EUR")),
        ((5000, "JPY"), Money(5000, "JPY")),
        ((12345, "BHD"), Money(12345, "BHD")),
        ((50000, "ISK"), Money(500, "ISK")),
        ((99900, "CLP"), Money(999, "CLP")),
        ((7, "CVE"), Money(700, "CVE")),
        ((15000, "IDR"), Money(1500000, "IDR")),
    ],
)
def test_amounts_in_adyens_decimals(theirs, ours):
    assert money_from_adyen(*theirs) == ours
    assert money_from_adyen(str(theirs[0]), theirs[1]) == ours
    assert adyen_value(ours) == theirs[0]


def test_only_four_currencies_deviate_and_fractions_never_leave_us():
    assert set(UNITS) == {"CLP", "CVE", "IDR", "ISK"}
    for currency in ("CVE", "IDR"):
        with pytest.raises(MoneyError):
            adyen_value(Money(150, currency))
    with pytest.raises(EventRefused, match="amount_malformed"):
        money_from_adyen(10**16, "EUR")


SAMPLE_KINDS = {
    "authorisation": "payment.authorized",
    "capture": "payment.captured",
    "chargeback": "dispute.funds_withdrawn",
    "payout_thirdparty": "ignored",
    "platform-transfer-created": "ignored",
    "refund": "refund.failed_late",
    "refund_failed": "refund.failed_late",
    "report_available": "report.available",
}


@pytest.mark.parametrize("name", SAMPLE_KINDS)
def test_published_samples(name):
    path = SAMPLES / "adyen" / f"{name}.json"
    if not path.is_file():
        pytest.skip(f"no shared sample {path.name} beside this checkout")

    assert adapter("adyen").parse(path.read_bytes()).kind == SAMPLE_KINDS[name]
