"""What a PayPal event means here, and which amounts are money (WH-29, PX-3, PX-8, PX-16, D17)."""

import json

import pytest

from payops.core.money import Money, MoneyError
from payops.psp.base import EventRefused
from payops.psp.paypal.amounts import money_from_paypal, paypal_amount
from payops.psp.registry import adapter, failure_cause
from tests.psp.paypal_signed import OUR_REF, event
from tests.psp.signed import fixture

ITEM = "8AELMXH8UB2P8"
CAPTURE = "2GG279541U471931P"
REFUND = "1JU08902781691411"
EUR_12400 = Money(1240000, "EUR")
MOVED = "4TB12345AB678901C"


def parse(name: str, **changes):
    return adapter("paypal").parse(event(name, **changes))


@pytest.mark.parametrize(
    ("name", "kind", "provider_ref", "amount"),
    [
        ("payout_item_succeeded", "payout.paid", ITEM, EUR_12400),
        ("payout_item_failed", "payout.failed", ITEM, EUR_12400),
        ("payout_item_blocked", "payout.failed", ITEM, EUR_12400),
        ("payout_item_denied", "payout.failed", ITEM, EUR_12400),
        ("payout_item_unclaimed", "payout.in_transit", ITEM, EUR_12400),
        ("payout_item_held", "payout.in_transit", ITEM, EUR_12400),
        ("payout_item_returned", "payout.returned", ITEM, EUR_12400),
        ("payout_item_returned_unclaimed", "payout.failed", ITEM, EUR_12400),
        ("payout_item_refunded", "payout.returned", ITEM, EUR_12400),
        ("payout_item_canceled", "payout.canceled", ITEM, EUR_12400),
        ("capture_completed", "payment.captured", CAPTURE, Money(10000, "EUR")),
        ("capture_declined", "payment.failed", CAPTURE, Money(10000, "EUR")),
        ("capture_refunded", "refund.succeeded", REFUND, Money(3000, "EUR")),
        ("capture_reversed", "dispute.funds_withdrawn", REFUND, Money(3000, "EUR")),
        ("refund_pending", "refund.accepted", REFUND, Money(3000, "EUR")),
        ("refund_completed", "refund.succeeded", REFUND, Money(3000, "EUR")),
        ("refund_failed", "refund.failed_late", REFUND, Money(3000, "EUR")),
        ("refund_cancelled", "refund.canceled", REFUND, Money(3000, "EUR")),
        ("dispute_created", "dispute.opened", "PP-D-27803", Money(10000, "EUR")),
        ("dispute_updated", "dispute.updated", "PP-D-27803", Money(10000, "EUR")),
        ("dispute_resolved_won", "dispute.won", "PP-D-27803", Money(10000, "EUR")),
        ("dispute_resolved_lost", "dispute.lost", "PP-D-27803", Money(10000, "EUR")),
    ],
)
def test_kind_reference_and_amount(name, kind, provider_ref, amount):
    told = parse(name)

    assert (told.kind, told.provider_ref, told.amount) == (kind, provider_ref, amount)
    assert (told.provider, told.live, told.currency) == ("paypal", False, "EUR")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("payout_batch_processing", "told_by_item_events"),
        ("payout_batch_success", "told_by_item_events"),
        ("payout_batch_denied", "told_by_item_events"),
        ("capture_pending", "payment_pending"),
        ("sale_completed", "no_meaning_here"),
    ],
)
def test_event_without_a_meaning_is_ignored_with_its_reason(name, reason):
    told = parse(name)

    assert (told.kind, told.reason, told.amount) == ("ignored", reason, None)


def test_payout_item_names_our_payout_and_its_movement():
    told = parse("payout_item_succeeded")

    assert (told.our_ref, told.merchant_ref) == (OUR_REF, None)
    assert (told.movement_ref, told.failure_movement_ref) == (MOVED, None)
    assert told.fee == Money(35, "EUR")
    assert told.trace_ref == "0E158638XS0329106"


def test_item_that_is_not_ours_names_its_merchants_reference():
    item = json.loads(fixture("paypal", "payout_item_succeeded"))["resource"]["payout_item"]
    told = parse(
        "payout_item_succeeded", resource__payout_item=item | {"sender_item_id": "P-10492"}
    )

    assert (told.our_ref, told.merchant_ref) == (None, "P-10492")


def test_money_that_came_back_has_a_movement_of_its_own():
    for name in ("payout_item_returned", "payout_item_refunded", "payout_item_returned_unclaimed"):
        told = parse(name)
        assert (told.movement_ref, told.failure_movement_ref) == (MOVED, f"{MOVED}:back")


def test_failure_without_a_return_moves_nothing():
    told = parse("payout_item_blocked")

    assert told.failure_movement_ref is None
    assert (told.failure_code, told.failure_message) == (
        "REGULATORY_BLOCKED",
        "Blocked by a regulator.",
    )
    assert failure_cause(provider="paypal", code=told.failure_code).disposition == "compliance"


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("payout_item_succeeded", "FAILED"),
        ("payout_item_failed", "SUCCESS"),
        ("payout_item_returned", "SUCCESS"),
        ("payout_item_canceled", "SUCCESS"),
        ("payout_item_unclaimed", "BLOCKED"),
    ],
)
def test_item_whose_status_contradicts_its_event_is_refused(name, status):
    with pytest.raises(EventRefused, match="status_contradicts_type"):
        parse(name, resource__transaction_status=status)


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("capture_completed", "DECLINED"),
        ("capture_completed", "PENDING"),
        ("capture_declined", "COMPLETED"),
        ("refund_failed", "COMPLETED"),
    ],
)
def test_resource_whose_status_contradicts_its_event_is_refused(name, status):
    with pytest.raises(EventRefused, match="status_contradicts_type"):
        parse(name, resource__status=status)


def test_capture_told_late_is_still_captured():
    assert parse("capture_completed", resource__status="REFUNDED").kind == "payment.captured"


def test_refund_status_nobody_knows_is_refused():
    with pytest.raises(EventRefused, match="status_unknown"):
        parse("capture_refunded", resource__status="LATER")


def test_refunded_capture_itself_is_observed_without_a_sum_of_the_step():
    told = parse("capture_refunded", resource_type="capture")

    assert (told.kind, told.provider_ref) == ("refund.observed", REFUND)


def test_refund_points_up_to_its_capture_and_back_to_us():
    told = parse("capture_refunded")

    assert told.original_provider_ref == CAPTURE
    assert told.our_ref == "rf_0190d3a1b2c37d4e8f90a1b2c3d4e5f7"
    assert told.merchant_ref == "ORD-7781"


@pytest.mark.parametrize(
    "href",
    [
        "https://api.sandbox.paypal.com/v2/payments/captures/a/b",
        "https://api.sandbox.paypal.com/v2/payments/captures/",
        "https://[broken/v2/payments/captures/X",
        "captures/X",
        17,
    ],
)
def test_link_that_names_no_capture_names_none(href):
    links = [{"href": href, "rel": "up"}, "not a link", None]

    assert parse("capture_refunded", resource__links=links).original_provider_ref is None


def test_dispute_of_several_transactions_is_of_no_single_payment():
    one = {"seller_transaction_id": CAPTURE}

    assert parse("dispute_created").original_provider_ref == CAPTURE
    several = parse("dispute_created", resource__disputed_transactions=[one, one])
    assert several.original_provider_ref is None


def test_dispute_may_name_no_amount_but_not_a_wrong_one():
    assert parse("dispute_updated", resource__dispute_amount=None).amount is None
    with pytest.raises(EventRefused, match="amount_malformed"):
        parse("dispute_updated", resource__dispute_amount={"value": "x", "currency_code": "EUR"})


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        ({"outcome_code": "RESOLVED_WITH_PAYOUT"}, "dispute.closed"),
        ({"outcome_code": "CANCELED_BY_BUYER"}, "dispute.closed"),
        ({"outcome_code": "ACCEPTED"}, "dispute.lost"),
        (None, "dispute.closed"),
    ],
)
def test_dispute_is_won_or_lost_only_when_paypal_says_so(outcome, kind):
    assert parse("dispute_resolved_won", resource__dispute_outcome=outcome).kind == kind


def test_tagged_payment_names_seller_fee_and_reference():
    told = parse("capture_completed")

    assert (told.seller_ref, told.merchant_ref) == ("S-204", "ORD-7781")
    assert (told.fee, told.platform_fee) == (Money(320, "EUR"), Money(150, "EUR"))


def test_split_payment_names_its_payee_and_the_sum_of_our_fees():
    told = parse("capture_completed_split")

    assert (told.seller_ref, told.merchant_ref) == ("RD465XN5VS364", "ORD-7782")
    assert (told.fee, told.platform_fee) == (Money(320, "EUR"), Money(175, "EUR"))


@pytest.mark.parametrize(
    ("custom", "seller", "merchant"),
    [
        ("seller=S-1;ref=ORD-1", "S-1", "ORD-1"),
        ("ref=ORD-1", None, "ORD-1"),
        ("ORD-1;2", None, "ORD-1;2"),
        ("seller=", None, "seller="),
        ("seller=S-1;colour=red", None, "seller=S-1;colour=red"),
        ("", None, None),
        (None, None, None),
        (["seller=S-1"], None, None),
    ],
)
def test_custom_id_is_tags_or_else_just_a_reference(custom, seller, merchant):
    told = parse("capture_completed", resource__custom_id=custom, resource__invoice_id=None)

    assert (told.seller_ref, told.merchant_ref) == (seller, merchant)


@pytest.mark.parametrize(
    ("fee", "reason"),
    [
        ("1.50", "platform_fee_malformed"),
        ("-1", "platform_fee_malformed"),
        ("\u0665", "platform_fee_malformed"),
        ("10001", "platform_fee_exceeds_amount"),
    ],
)
def test_platform_fee_that_is_no_part_of_the_payment_is_refused(fee, reason):
    with pytest.raises(EventRefused, match=reason):
        parse("capture_completed", resource__custom_id=f"seller=S-1;fee={fee}")


def test_fee_in_another_currency_is_not_added_up():
    breakdown = {"paypal_fee": {"currency_code": "USD", "value": "3.20"}}

    with pytest.raises(EventRefused, match="fee_in_another_currency"):
        parse("capture_completed", resource__seller_receivable_breakdown=breakdown)


@pytest.mark.parametrize(
    ("name", "member"),
    [
        ("payout_item_succeeded", "payout_item_id"),
        ("capture_completed", "id"),
        ("dispute_created", "dispute_id"),
    ],
)
def test_event_about_nothing_is_refused(name, member):
    with pytest.raises(EventRefused, match="object_id_missing"):
        parse(name, **{f"resource__{member}": None})


def test_there_is_one_item_only():
    with pytest.raises(EventRefused, match="no_such_item"):
        adapter("paypal").parse(fixture("paypal", "payout_item_succeeded"), 1)


@pytest.mark.parametrize(
    ("value", "currency", "minor"),
    [
        ("12400.00", "EUR", 1240000),
        ("0.01", "EUR", 1),
        ("0", "EUR", 0),
        ("5", "EUR", 500),
        ("5.1", "EUR", 510),
        ("5.100", "EUR", 510),
        ("1000", "JPY", 1000),
        ("1000.00", "JPY", 1000),
        ("1000", "HUF", 100000),
        ("1.234", "TND", 1234),
        ("9999999999.99", "USD", 999999999999),
    ],
)
def test_decimal_text_becomes_exactly_this_many_minor_units(value, currency, minor):
    for name in ("currency_code", "currency"):
        assert money_from_paypal({name: currency, "value": value}) == Money(minor, currency)


@pytest.mark.parametrize(
    "value",
    [
        "1.001", "1e2", "1E2", "NaN", "Infinity", "+1.00", "1,00", "1_000.00", " 1.00", "1.00 ",
        ".5", "5.", "00.50", "01.00", "\u0665.00", "\uff11.00", "", "0x10", "1.0000000", "9" * 16,
        100, 1.0, None, True, ["1.00"], {},
    ],
)  # fmt: skip
def test_anything_else_is_not_money(value):
    with pytest.raises(EventRefused, match="amount_malformed"):
        money_from_paypal({"currency_code": "EUR", "value": value})


@pytest.mark.parametrize("currency", ["eur", "EURO", "", None, 978, "E R", "\u20acUR"])
def test_currency_must_be_a_code(currency):
    with pytest.raises(EventRefused, match="amount_malformed"):
        money_from_paypal({"currency_code": currency, "value": "1.00"})


def test_negative_amount_is_refused_by_its_own_name():
    with pytest.raises(EventRefused, match="amount_negative"):
        money_from_paypal({"currency_code": "EUR", "value": "-1.00"})


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (Money(1240000, "EUR"), "12400.00"),
        (Money(1000, "JPY"), "1000"),
        (Money(100000, "HUF"), "1000"),
        (Money(1234, "TND"), "1.234"),
    ],
)
def test_amount_is_sent_as_paypal_counts_it(amount, text):
    sent = paypal_amount(amount, currency_field="currency")

    assert sent == {"currency": amount.currency, "value": text}
    assert money_from_paypal(sent) == amount


@pytest.mark.parametrize("amount", [Money(0, "EUR"), Money(-1, "EUR"), Money(100050, "HUF")])
def test_sum_that_paypal_cannot_express_is_refused_before_it_is_sent(amount):
    with pytest.raises(MoneyError):
        paypal_amount(amount, currency_field="currency")
