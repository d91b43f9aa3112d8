"""What every provider's dispute events mean, and the facts they carry (WH-29, RF-15, LJ-12, D9)."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from payops.core.money import Money
from payops.psp.base import EventRefused, NormalizedEvent
from payops.psp.registry import adapter
from tests.psp.signed import SAMPLES, changed, fixture

HUNDRED = Money(10000, "EUR")
FEE = Money(1500, "EUR")
STRIPE_DUE = datetime.fromtimestamp(1768000000, tz=UTC)
ADYEN_DUE = datetime(2026, 1, 12, 22, 59, 59, tzinfo=UTC)
PAYPAL_DUE = datetime(2026, 1, 12, 23, 59, 59, tzinfo=UTC)
PAYMENTS = {
    "stripe": "ch_3QkCharge0001",
    "adyen": "K7TRPAYMENT00001",
    "paypal": "2GG279541U471931P",
    "standard": "spm_1q2w3e4r",
}
CARD_FRAUD, PAYPAL_REASON = "10.4", "MERCHANDISE_OR_SERVICE_NOT_RECEIVED"


def told(provider: str, name: str, **changes: Any) -> NormalizedEvent:
    raw = fixture(provider, name)
    return adapter(provider).parse(changed(raw, **changes) if changes else raw)


@pytest.mark.parametrize(
    ("provider", "name", "kind", "stage", "refundable", "reason", "due_at"),
    [
        ("stripe", "dispute_created", "opened", "chargeback", False, "fraudulent", STRIPE_DUE),
        ("stripe", "dispute_inquiry", "opened", "inquiry", True, "fraudulent", STRIPE_DUE),
        ("stripe", "dispute_inquiry_closed", "closed", "inquiry", True, "fraudulent", STRIPE_DUE),
        (
            "stripe",
            "dispute_updated_appeal",
            "updated",
            "second_round",
            False,
            "fraudulent",
            STRIPE_DUE,
        ),
        ("stripe", "dispute_closed_lost", "lost", "chargeback", False, "fraudulent", STRIPE_DUE),
        (
            "adyen",
            "request_for_information",
            "opened",
            "inquiry",
            True,
            "28",
            datetime(2026, 1, 9, 22, 59, 59, tzinfo=UTC),
        ),
        (
            "adyen",
            "notification_of_chargeback",
            "opened",
            "chargeback",
            False,
            CARD_FRAUD,
            ADYEN_DUE,
        ),
        ("adyen", "chargeback", "funds_withdrawn", "chargeback", False, CARD_FRAUD, None),
        ("adyen", "chargeback_reversed", "funds_returned", "chargeback", None, CARD_FRAUD, None),
        ("adyen", "second_chargeback", "funds_withdrawn", "second_round", False, CARD_FRAUD, None),
        ("adyen", "prearbitration_won", "won", "second_round", None, None, None),
        ("adyen", "prearbitration_lost", "lost", "second_round", False, None, None),
        ("paypal", "dispute_created", "opened", "chargeback", False, PAYPAL_REASON, PAYPAL_DUE),
        ("paypal", "dispute_inquiry", "opened", "inquiry", False, PAYPAL_REASON, PAYPAL_DUE),
        (
            "paypal",
            "dispute_second_round",
            "updated",
            "second_round",
            False,
            PAYPAL_REASON,
            PAYPAL_DUE,
        ),
        (
            "paypal",
            "dispute_canceled_by_buyer",
            "closed",
            "inquiry",
            True,
            PAYPAL_REASON,
            PAYPAL_DUE,
        ),
        ("standard", "dispute_opened", "opened", "chargeback", False, "fraudulent", STRIPE_DUE),
        ("standard", "dispute_inquiry", "opened", "inquiry", True, "fraudulent", STRIPE_DUE),
        ("standard", "dispute_updated", "updated", "chargeback", False, "fraudulent", STRIPE_DUE),
        ("standard", "dispute_won", "won", "chargeback", True, "fraudulent", None),
        ("standard", "dispute_lost", "lost", "chargeback", False, "fraudulent", None),
        ("standard", "dispute_closed", "closed", "inquiry", True, "fraudulent", None),
    ],
)
def test_dispute_event_says_how_far_it_is_and_what_it_forbids(
    provider, name, kind, stage, refundable, reason, due_at
):
    event = told(provider, name)

    assert (event.kind, event.stage, event.refundable) == (f"dispute.{kind}", stage, refundable)
    assert (event.failure_code, event.due_at) == (reason, due_at)
    assert (event.amount, event.original_provider_ref) == (HUNDRED, PAYMENTS[provider])


@pytest.mark.parametrize(
    ("provider", "name", "moved", "back", "fee"),
    [
        ("stripe", "dispute_created", None, None, None),
        ("stripe", "dispute_funds_withdrawn", "txn_1QkDispOut0001", None, FEE),
        ("stripe", "dispute_funds_reinstated", None, "txn_1QkDispBack001", None),
        ("stripe", "dispute_closed_lost", None, None, None),
        ("adyen", "chargeback", "K7TRDISPUTE00001:CHARGEBACK", None, None),
        ("adyen", "chargeback_reversed", None, "K7TRDISPUTE00001:CHARGEBACK_REVERSED", None),
        ("adyen", "second_chargeback", "K7TRDISPUTE00001:SECOND_CHARGEBACK", None, None),
        ("paypal", "capture_reversed", "1JU08902781691411", None, None),
        ("standard", "dispute_opened", None, None, None),
        ("standard", "dispute_funds_withdrawn", "sdp_6y7u8i9o", None, FEE),
        ("standard", "dispute_funds_returned", None, "sdp_6y7u8i9o:back", None),
        ("standard", "dispute_second_withdrawn", "sdp_6y7u8i9o:2", None, None),
    ],
)
def test_each_movement_of_a_dispute_has_a_name_of_its_own(provider, name, moved, back, fee):
    event = told(provider, name)

    assert (event.movement_ref, event.failure_movement_ref) == (moved, back)
    if provider != "paypal":
        assert event.fee == fee


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("won", "dispute.won"),
        ("lost", "dispute.lost"),
        ("warning_closed", "dispute.closed"),
        ("prevented", "dispute.closed"),
    ],
)
def test_closed_dispute_at_stripe_ends_as_its_status_says(status, kind):
    assert told("stripe", "dispute_closed_won", object__status=status).kind == kind


@pytest.mark.parametrize("status", ["needs_response", "under_review", None, ""])
def test_dispute_that_is_closed_and_still_open_is_refused(status):
    with pytest.raises(EventRefused, match="status_contradicts_type"):
        told("stripe", "dispute_closed_won", object__status=status)


@pytest.mark.parametrize(
    "change",
    [
        {"object__evidence_details": {"due_by": "soon"}},
        {"object__evidence_details": None},
        {"object__evidence_details": []},
    ],
)
def test_deadline_that_cannot_be_read_is_no_deadline(change):
    assert told("stripe", "dispute_created", **change).due_at is None


@pytest.mark.parametrize("stated", ["true", 1, None])
def test_only_a_plain_yes_or_no_says_whether_a_charge_may_be_refunded(stated):
    assert told("stripe", "dispute_created", object__is_charge_refundable=stated).refundable is None


def test_chargeback_is_never_taken_for_a_refund():
    """RF-15: no dispute event carries a refund's kind, whatever gave the money back."""
    names = {
        "stripe": ["dispute_funds_withdrawn", "dispute_funds_reinstated"],
        "adyen": ["chargeback", "chargeback_reversed", "second_chargeback"],
        "paypal": ["capture_reversed"],
        "standard": ["dispute_funds_withdrawn", "dispute_funds_returned"],
    }
    for provider, fixtures in names.items():
        for name in fixtures:
            assert told(provider, name).kind.startswith("dispute.funds_")


def test_published_sample_dispute_names_its_movement_charge_and_deadline():
    path = SAMPLES / "stripe" / "dispute_dp_fakefakefakefake01.json"
    if not path.is_file():
        print(f"\nno shared sample {path.name} beside this checkout: skipped")
        pytest.skip(f"no shared sample {path.name} beside this checkout")
    subject = json.loads(path.read_text())
    raw = json.dumps(
        {
            "id": "evt_s",
            "object": "event",
            "type": "charge.dispute.funds_withdrawn",
            "data": {"object": subject},
        }
    ).encode()

    event = adapter("stripe").parse(raw)

    assert event.movement_ref == subject["balance_transactions"][0]["id"]
    assert event.due_at == datetime.fromtimestamp(subject["evidence_details"]["due_by"], tz=UTC)
    assert (event.failure_code, event.refundable) == (
        subject["reason"],
        subject["is_charge_refundable"],
    )


def test_published_sample_chargeback_names_its_payment():
    path = SAMPLES / "adyen" / "chargeback.json"
    if not path.is_file():
        print(f"\nno shared sample {path.name} beside this checkout: skipped")
        pytest.skip(f"no shared sample {path.name} beside this checkout")
    item = json.loads(path.read_text())["notificationItems"][0]["NotificationRequestItem"]

    event = adapter("adyen").parse(path.read_bytes())

    assert (event.kind, event.stage) == ("dispute.funds_withdrawn", "chargeback")
    assert event.original_provider_ref == item["originalReference"]
    assert event.failure_code == item["additionalData"].get("chargebackReasonCode", item["reason"])
