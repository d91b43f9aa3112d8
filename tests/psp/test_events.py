"""What a provider's event means here, by type, object status and captured (WH-29, PX-3, PX-8)."""

import json

import pytest

from payops.core.money import Money
from payops.psp.base import KINDS, EventRefused
from payops.psp.registry import PROVIDERS, adapter
from tests.psp.signed import FIXTURES, SAMPLES, changed, fixture
from tests.psp.ticket_bodies import JIRA_SETTINGS

OUR_PAYOUT = "po_0190d3a1b2c37d4e8f90a1b2c3d4e5f6"
PAYOUT = "po_1QkBeneficiary0001"
EUR_12400 = Money(1240000, "EUR")


# What a ticket system's fields are called is the account's to say.
SETTINGS = {"jira": JIRA_SETTINGS}


def stripe_event(name: str, **changes):
    raw = fixture("stripe", name)
    return adapter("stripe").parse(changed(raw, **changes) if changes else raw, 0)


def standard_event(name: str, **changes):
    raw = fixture("standard", name)
    return adapter("standard").parse(changed(raw, **changes) if changes else raw, 0)


@pytest.mark.parametrize(
    ("name", "kind", "provider_ref", "amount"),
    [
        ("payout_created", "payout.initiated", PAYOUT, EUR_12400),
        ("payout_in_transit", "payout.in_transit", PAYOUT, EUR_12400),
        ("payout_paid", "payout.paid", PAYOUT, EUR_12400),
        ("payout_failed_after_paid", "payout.failed", PAYOUT, EUR_12400),
        ("payout_canceled", "payout.canceled", PAYOUT, EUR_12400),
        ("payout_reversed_by", "payout.returned", PAYOUT, EUR_12400),
        ("payout_reversing_paid", "payout.returned", PAYOUT, EUR_12400),
        ("payout_of_connected_account", "payout.failed", PAYOUT, EUR_12400),
        ("settlement_paid", "settlement.paid", "po_1QkSettlement01", Money(987654, "EUR")),
        (
            "settlement_reconciled",
            "settlement.reconciled",
            "po_1QkSettlement01",
            Money(987654, "EUR"),
        ),
        ("charge_succeeded", "payment.captured", "ch_3QkCharge0001", Money(10000, "EUR")),
        ("charge_authorized", "payment.authorized", "ch_3QkCharge0001", Money(10000, "EUR")),
        ("charge_captured", "payment.captured", "ch_3QkCharge0001", Money(8000, "EUR")),
        ("charge_failed", "payment.failed", "ch_3QkCharge0001", Money(10000, "EUR")),
        ("charge_refunded", "refund.observed", "ch_3QkCharge0001", Money(3000, "EUR")),
        ("refund_created", "refund.accepted", "re_3QkRefund0001", Money(3000, "EUR")),
        ("refund_born_succeeded", "refund.succeeded", "re_3QkRefund0001", Money(3000, "EUR")),
        ("refund_succeeded", "refund.succeeded", "re_3QkRefund0001", Money(3000, "EUR")),
        ("refund_failed_late", "refund.failed_late", "re_3QkRefund0001", Money(3000, "EUR")),
        ("dispute_created", "dispute.opened", "du_1QkDispute0001", Money(10000, "EUR")),
        (
            "dispute_funds_withdrawn",
            "dispute.funds_withdrawn",
            "du_1QkDispute0001",
            Money(10000, "EUR"),
        ),
        ("dispute_closed_won", "dispute.won", "du_1QkDispute0001", Money(10000, "EUR")),
        ("invoice_paid", "invoice.paid", "in_1QkInvoice0001", Money(4900, "EUR")),
        ("report_run_succeeded", "report.available", "frr_1QkReport0001", None),
        ("balance_available", "ignored", "", None),
    ],
)
def test_stripe_kinds(name, kind, provider_ref, amount):
    event = stripe_event(name)

    assert (event.kind, event.provider_ref, event.amount) == (kind, provider_ref, amount)
    assert event.currency == (amount.currency if amount else None)


@pytest.mark.parametrize(
    ("name", "kind", "provider_ref"),
    [
        ("payout_created", "payout.initiated", "spo_5t6y7u8i"),
        ("payout_paid", "payout.paid", "spo_5t6y7u8i"),
        ("payout_failed", "payout.failed", "spo_5t6y7u8i"),
        ("settlement_failed", "payout.failed", "spo_5t6y7u8i"),
        ("payout_reversed", "payout.returned", "spo_5t6y7u8i"),
        ("payout_canceled", "payout.canceled", "spo_5t6y7u8i"),
        ("payment_captured", "payment.captured", "spm_1q2w3e4r"),
        ("payment_failed", "payment.failed", "spm_1q2w3e4r"),
    ],
)
def test_standard_kinds(name, kind, provider_ref):
    event = standard_event(name)

    assert (event.kind, event.provider_ref) == (kind, provider_ref)


def test_every_fixture_has_a_published_kind():
    seen = {
        adapter(provider).parse(path.read_bytes(), 0, SETTINGS.get(provider, {})).kind
        for provider in PROVIDERS
        for path in (FIXTURES / provider / "fixtures").glob("*.json")
    }

    assert seen <= KINDS
    assert len(seen) >= 20


def test_late_failure_names_our_payout_the_cause_and_the_money_back():
    event = stripe_event("payout_failed_after_paid")

    assert (event.our_ref, event.merchant_ref) == (OUR_PAYOUT, "P-10492")
    assert event.failure_code == "account_closed"
    assert event.failure_message == "The bank account has been closed."
    assert event.movement_ref == "txn_1QkPayout0001"
    assert event.failure_movement_ref == "txn_1QkPayoutBack1"
    assert (event.status, event.raw_type, event.live) == ("failed", "payout.failed", False)


def test_both_tellings_of_a_reversal_name_one_payout_and_one_movement():
    told_by_old = stripe_event("payout_reversed_by")
    told_by_new = stripe_event("payout_reversing_paid")

    for event in (told_by_old, told_by_new):
        assert event.provider_ref == PAYOUT
        assert event.failure_movement_ref == "po_1QkReversing001"


def test_standard_failure_alone_claims_no_money_back():
    events = [standard_event(name) for name in ("payout_failed", "settlement_failed")]

    assert {event.failure_movement_ref for event in events} == {None}
    assert {event.our_ref for event in events} == {OUR_PAYOUT}


def test_paid_payout_carries_the_bank_trace():
    assert stripe_event("payout_paid").trace_ref == "TRACE0001"


@pytest.mark.parametrize(
    ("metadata", "kind", "refs"),
    [
        ({}, "settlement.paid", (None, None)),
        ({"payops_reference": "", "merchant_reference": ""}, "settlement.paid", (None, None)),
        ({"merchant_reference": "P-1"}, "payout.paid", (None, "P-1")),
        ({"payops_reference": OUR_PAYOUT}, "payout.paid", (OUR_PAYOUT, None)),
        ({"payops_reference": "legacy-7"}, "payout.paid", (None, "legacy-7")),
        ({"payops_reference": OUR_PAYOUT.upper()}, "payout.paid", (None, OUR_PAYOUT.upper())),
    ],
)
def test_a_payout_that_names_nobody_is_a_settlement_with_ourselves(metadata, kind, refs):
    event = stripe_event("payout_paid", object__metadata=metadata)

    assert (event.kind, (event.our_ref, event.merchant_ref)) == (kind, refs)


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("payout_paid", {"object__status": "failed"}, "status_contradicts_type"),
        ("payout_failed_after_paid", {"object__status": "paid"}, "status_contradicts_type"),
        ("payout_paid", {"object__amount": -5}, "amount_negative"),
        ("payout_paid", {"object__amount": "12400.00"}, "amount_malformed"),
        ("payout_paid", {"object__amount": 12400.5}, "amount_malformed"),
        ("payout_paid", {"object__amount": True}, "amount_malformed"),
        ("payout_paid", {"object__currency": None}, "amount_malformed"),
        ("payout_paid", {"object__id": None}, "object_id_missing"),
        ("charge_captured", {"object__captured": False}, "status_contradicts_type"),
        ("refund_created", {"object__status": "weird"}, "status_unknown"),
        ("refund_failed_late", {"object__status": "succeeded"}, "status_contradicts_type"),
        (
            "charge_succeeded",
            {"object__metadata": {"platform_fee": "1.50"}},
            "platform_fee_malformed",
        ),
        (
            "charge_succeeded",
            {"object__metadata": {"platform_fee": "-1"}},
            "platform_fee_malformed",
        ),
        ("charge_refunded", {"object__amount_refunded": 1000}, "amount_negative"),
    ],
)
def test_stripe_events_that_contradict_themselves_are_refused(name, changes, reason):
    with pytest.raises(EventRefused) as caught:
        stripe_event(name, **changes)

    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("payout_paid", {"object__status": "failed"}, "status_contradicts_type"),
        ("payout_failed", {"object__amount": "1"}, "amount_malformed"),
        ("payout_failed", {"object__amount": -1}, "amount_negative"),
        ("payout_failed", {"object__currency": "eur"}, "amount_malformed"),
        ("payout_failed", {"object__id": ""}, "object_id_missing"),
        ("payment_captured", {"object__fee": 10001}, "fee_exceeds_amount"),
        ("payment_captured", {"object__platform_fee": 1.5}, "amount_malformed"),
    ],
)
def test_standard_events_that_contradict_themselves_are_refused(name, changes, reason):
    with pytest.raises(EventRefused) as caught:
        standard_event(name, **changes)

    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("payout_in_transit", {"object__status": "paid"}, "told_by_own_event"),
        ("payout_reversing_paid", {"type": "payout.created"}, "reversal_not_final"),
        ("charge_succeeded", {"object__status": "pending"}, "payment_pending"),
        ("charge_succeeded", {"type": "charge.invented"}, "no_meaning_here"),
        ("charge_succeeded", {"type": "payment_intent.succeeded"}, "told_by_charge_events"),
        ("charge_succeeded", {"type": "plan.created"}, "no_meaning_here"),
        ("invoice_paid", {"type": "invoice.payment_succeeded"}, "told_by_invoice_paid"),
    ],
)
def test_types_without_a_meaning_end_ignored_with_a_reason(name, changes, reason):
    event = stripe_event(name, **changes)

    assert (event.kind, event.reason, event.amount) == ("ignored", reason, None)


def test_invoice_failure_and_unknown_standard_type():
    failed = stripe_event("invoice_paid", type="invoice.payment_failed", object__amount_due=5000)
    unknown = standard_event("payout_paid", type="customer.created")

    assert (failed.kind, failed.amount) == ("invoice.failed", Money(5000, "EUR"))
    assert (unknown.kind, unknown.reason) == ("ignored", "no_meaning_here")


def test_seller_payment_carries_fees_and_seller():
    stripe = stripe_event("charge_succeeded")
    standard = standard_event("payment_captured")

    assert (stripe.seller_ref, stripe.platform_fee, stripe.fee) == (
        "S-204",
        Money(150, "EUR"),
        None,
    )
    assert stripe.merchant_ref == "ORD-7781"
    assert (standard.seller_ref, standard.platform_fee, standard.fee) == (
        "S-204",
        Money(150, "EUR"),
        Money(180, "EUR"),
    )
    assert standard.merchant_ref == "ORD-7781"


def test_expanded_balance_transaction_gives_fee_and_movement():
    movement = {"id": "txn_9", "object": "balance_transaction", "fee": 175, "currency": "usd"}

    event = stripe_event("charge_succeeded", object__balance_transaction=movement)

    assert (event.movement_ref, event.fee) == ("txn_9", Money(175, "USD"))


def test_refund_and_dispute_name_their_payment():
    assert stripe_event("refund_created").original_provider_ref == "ch_3QkCharge0001"
    assert stripe_event("dispute_created").original_provider_ref == "ch_3QkCharge0001"
    assert stripe_event("refund_failed_late").failure_movement_ref == "txn_1QkRefundBack1"
    assert stripe_event("refund_failed_late").failure_code == "expired_or_canceled_card"


def test_there_is_one_item_per_body():
    for provider, name in (("stripe", "payout_paid"), ("standard", "payout_paid")):
        with pytest.raises(EventRefused, match="no_such_item"):
            adapter(provider).parse(fixture(provider, name), 1)


SAMPLE_EVENTS = {
    "charge_refund_updated": ("refund.failed_late", Money(1000, "GBP")),
    "fixture_event": ("ignored", None),
}
SAMPLE_OBJECTS = {
    "fixture_payout": ("payout.updated", "settlement.in_transit", Money(1100, "USD")),
    "fixture_charge": ("charge.succeeded", "payment.authorized", Money(100, "USD")),
    "charge_ch_fakefakefakefakefake0001": (
        "charge.succeeded",
        "payment.captured",
        Money(2000, "USD"),
    ),
    "fixture_refund": ("refund.created", "refund.succeeded", Money(100, "USD")),
    "refund_full_charge": ("refund.created", "refund.succeeded", Money(2000, "GBP")),
    "fixture_dispute": ("charge.dispute.created", "dispute.opened", Money(1000, "USD")),
    "dispute_dp_fakefakefakefake01": (
        "charge.dispute.funds_withdrawn",
        "dispute.funds_withdrawn",
        Money(1000, "USD"),
    ),
}


def sample(name: str) -> bytes:
    path = SAMPLES / "stripe" / f"{name}.json"
    if not path.is_file():
        pytest.skip(f"no shared sample {path.name} beside this checkout")
    return path.read_bytes()


@pytest.mark.parametrize("name", SAMPLE_EVENTS)
def test_published_sample_events(name):
    event = adapter("stripe").parse(sample(name), 0)

    assert (event.kind, event.amount) == SAMPLE_EVENTS[name]


@pytest.mark.parametrize("name", SAMPLE_OBJECTS)
def test_published_sample_objects(name):
    event_type, kind, amount = SAMPLE_OBJECTS[name]
    subject = json.loads(sample(name))
    raw = json.dumps(
        {"id": "evt_s", "object": "event", "type": event_type, "data": {"object": subject}}
    ).encode()

    event = adapter("stripe").parse(raw, 0)

    assert (event.kind, event.amount) == (kind, amount)


def test_published_connected_account_payout():
    raw = sample("payout_notification").replace(b"{{type}}", b"payout.created")

    event = adapter("stripe").parse(raw, 0)

    assert (event.kind, event.live, event.amount) == (
        "payout.initiated",
        True,
        Money(1337702, "GBP"),
    )


def test_published_payout_with_a_decimal_amount_is_refused_not_guessed():
    subject = json.loads(sample("payout_custom_bank_account"))
    raw = json.dumps({"id": "evt_s", "type": "payout.paid", "data": {"object": subject}}).encode()

    with pytest.raises(EventRefused, match="amount_malformed"):
        adapter("stripe").parse(raw, 0)
