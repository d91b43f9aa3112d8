"""Several captures of one payment: each a movement and an entry of its own (RF-4, WH-29, F31)."""

from __future__ import annotations

import time

import pytest

from ledger.models import JournalEntry
from payops.payments.models import Payment
from payops.webhooks.models import ProviderEvent
from tests import refunds
from tests.accounts import account_of
from tests.builders import drain
from tests.flows.refund_life import (
    adyen_capture,
    adyen_item,
    balances,
    keep,
    outsider,
    stripe_charge,
)
from tests.replaying import named, replayed

pytestmark = pytest.mark.django_db(transaction=True)
TAGS = {"metadata.seller": "S-1001", "metadata.platform_fee": "1000"}


def reference() -> str:
    return f"PAY{time.time_ns()}"


def authorized(ref: str, minor: int = 10_000) -> None:
    item = adyen_item("AUTHORISATION", ref, "", minor, additionalData=TAGS)
    keep(account_of("adyen"), item)
    drain()


def captured(ref: str, minor: int, own: str) -> None:
    keep(account_of("adyen"), adyen_capture(ref, minor, min(minor, 1_000), own=own))
    drain()


def payment_of(ref: str) -> Payment:
    return Payment.objects.select_related("account", "book").get(provider_ref=ref)


def entries(payment: Payment) -> list[tuple[str, str]]:
    rows = JournalEntry.objects.filter(subject_id=payment.public_id, event_class="payment.captured")
    return sorted(rows.values_list("movement_ref", "provider_transaction_id"))


def test_adyen_s_parts_add_up_each_with_its_own_entry() -> None:
    """RF-4: the fee of the payment is taken once, over all parts."""
    ref = reference()
    authorized(ref)
    captured(ref, 6_000, f"C1{ref}")
    captured(ref, 3_000, f"C2{ref}")

    payment = payment_of(ref)
    assert (payment.state, payment.captured_minor, payment.amount_minor) == (
        "CAPTURED",
        9_000,
        10_000,
    )
    assert entries(payment) == [
        (f"C2{ref}:CAPTURE", f"C2{ref}:CAPTURE"),
        (ref, f"C1{ref}:CAPTURE"),
    ]
    assert balances(payment.public_id) == {"1100": 9_000, "2000": -8_000, "4000": -1_000}
    assert named(replayed()) == []


def test_a_capture_told_twice_posts_once() -> None:
    ref = reference()
    authorized(ref)
    captured(ref, 6_000, f"C1{ref}")
    captured(ref, 3_000, f"C2{ref}")
    captured(ref, 3_000, f"C2{ref}")
    captured(ref, 6_000, f"C1{ref}")

    assert payment_of(ref).captured_minor == 9_000
    assert len(entries(payment_of(ref))) == 2


def test_parts_told_before_their_authorisation_wait_for_it() -> None:
    """F31: the first part alone cannot say how much was authorised."""
    ref = reference()
    captured(ref, 6_000, f"C1{ref}")
    captured(ref, 4_000, f"C2{ref}")
    waiting = ProviderEvent.objects.get(provider_event_id__startswith=f"C2{ref}")
    assert waiting.state == "PARKED"
    assert waiting.outcome == "captured 100.00 EUR with this part, 60.00 EUR are authorised"

    authorized(ref)

    waiting.refresh_from_db()
    payment = payment_of(ref)
    assert waiting.state == "PROCESSED"
    assert (payment.captured_minor, payment.amount_minor) == (10_000, 10_000)
    assert balances(payment.public_id) == {"1100": 10_000, "2000": -9_000, "4000": -1_000}
    assert named(replayed()) == []


def test_more_than_was_authorised_is_never_captured() -> None:
    ref = reference()
    authorized(ref)
    captured(ref, 6_000, f"C1{ref}")
    captured(ref, 4_001, f"C2{ref}")

    assert payment_of(ref).captured_minor == 6_000
    assert ProviderEvent.objects.get(provider_event_id__startswith=f"C2{ref}").state == "PARKED"


def test_a_further_part_can_be_refunded_and_makes_room_for_what_exceeded_the_first() -> None:
    """RF-4, RF-10: the refund is of the payment, whichever part paid for it."""
    ref = reference()
    authorized(ref)
    captured(ref, 6_000, f"C1{ref}")
    outsider(payment_of(ref), 8_000).tell("created")
    drain()
    payment = payment_of(ref)
    assert (payment.refunded_minor, payment.over_refunded_minor) == (6_000, 2_000)

    captured(ref, 4_000, f"C2{ref}")

    payment = payment_of(ref)
    assert (payment.refunded_minor, payment.over_refunded_minor) == (8_000, 0)
    assert payment.refundable.minor == 2_000
    assert refunds.ask(payment, "20.01").state == "REFUSED"


@pytest.mark.parametrize("first", ["charge.succeeded", "charge.captured"])
def test_stripe_s_two_events_of_one_charge_stay_one_capture(first: str) -> None:
    """WH-29: told as authorised and captured, in any order, and captured again."""
    ref, account = f"ch_{time.time_ns()}", account_of("stripe")
    told = {
        "charge.succeeded": stripe_charge("charge.succeeded", ref, 10_000, 1_000, captured=False),
        "charge.captured": stripe_charge("charge.captured", ref, 10_000, 1_000),
    }
    second = next(kind for kind in told if kind != first)
    again = stripe_charge("charge.captured", ref, 10_000, 1_000)
    for body in (told[first], told[second], again):
        keep(account, body)
        drain()

    payment = payment_of(ref)
    assert (payment.captured_minor, payment.amount_minor) == (10_000, 10_000)
    assert entries(payment) == [(ref, f"txn_{ref}")]
