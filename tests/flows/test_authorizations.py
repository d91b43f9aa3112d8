"""What the book's policies make of authorised, captured and failed payments (LJ-7, check i)."""

from __future__ import annotations

import itertools
import time
from typing import Any

import pytest

from ledger.models import JournalEntry
from ledger.selectors import trial_balance
from payops.core.models import Book
from payops.payments.models import Payment
from tests.books import with_settings
from tests.builders import capture, drain, post_stripe

pytestmark = pytest.mark.django_db(transaction=True)
_numbers = itertools.count(1)


def charge(event_type: str, ref: str, *, captured_minor: int | None = None, **more: Any) -> None:
    """One Stripe charge event of 100.00 for seller S-1001, delivered; not processed yet."""
    subject = {
        "id": ref,
        "object": "charge",
        "amount": 10_000,
        "currency": "eur",
        "status": "succeeded",
        "captured": captured_minor is not None,
        "amount_captured": captured_minor or 0,
        "metadata": {"order_reference": f"ORDER-{ref}", "seller": "S-1001"},
        **more,
    }
    body = {
        "id": f"evt_{next(_numbers)}_{time.time_ns()}",
        "object": "event",
        "type": event_type,
        "created": int(time.time()),
        "livemode": False,
        "data": {"object": subject},
    }
    assert post_stripe(body) == 200


def authorised() -> str:
    ref = f"ch_{next(_numbers)}_{time.time_ns()}"
    charge("charge.succeeded", ref)
    return ref


def balances(book: Book) -> dict[str, int]:
    sums: dict[str, int] = {}
    for row in trial_balance(book=book):
        sums[row.account] = sums.get(row.account, 0) + row.balance_minor
    return {code: minor for code, minor in sums.items() if minor}


def classes() -> list[str]:
    return sorted(JournalEntry.objects.values_list("event_class", flat=True))


def test_a_pending_book_posts_the_memo_pair_and_takes_it_back() -> None:
    """Authorised 100, captured 60; the capture is final, so the other 40 are released with it."""
    book = with_settings(authorization_policy="pending")
    ref = authorised()
    drain()
    assert balances(book) == {"9100": 10_000, "9200": -10_000}

    charge("charge.captured", ref, captured_minor=6_000)
    drain()

    assert balances(book) == {"1100": 6_000, "2000": -6_000}
    assert classes() == [
        "payment.authorization_used",
        "payment.authorized",
        "payment.captured",
        "payment.voided",
    ]
    assert Payment.objects.get().captured_minor == 6_000


def test_authorised_and_captured_in_one_batch_ends_the_same() -> None:
    book = with_settings(authorization_policy="pending")
    ref = authorised()
    charge("charge.captured", ref, captured_minor=10_000)

    drain()

    assert balances(book) == {"1100": 10_000, "2000": -10_000}


def test_a_capture_before_its_authorisation_posts_no_memo() -> None:
    """F31: the older news is ignored; nothing is taken back that was never posted."""
    book = with_settings(authorization_policy="pending")
    ref = f"ch_late_{time.time_ns()}"
    charge("charge.captured", ref, captured_minor=10_000)
    drain()
    charge("charge.succeeded", ref)
    drain()

    assert balances(book) == {"1100": 10_000, "2000": -10_000}
    assert classes() == ["payment.captured"]


def test_a_failed_authorisation_gives_the_memo_pair_back() -> None:
    book = with_settings(authorization_policy="pending")
    ref = authorised()
    drain()

    charge("charge.failed", ref, status="failed", failure_code="card_declined")
    drain()

    assert balances(book) == {}
    assert classes() == ["payment.authorized", "payment.voided"]


def test_an_expired_authorisation_gives_the_memo_pair_back_in_any_order() -> None:
    """LJ-7, check (i), F31: told late or first, nothing is left in 9100."""
    book = with_settings(authorization_policy="pending")
    ref, early = authorised(), f"ch_early_{time.time_ns()}"
    drain()
    charge("charge.expired", ref)
    charge("charge.expired", early)
    drain()
    charge("charge.succeeded", early)
    drain()

    assert balances(book) == {}
    assert classes() == ["payment.authorized", "payment.expired"]
    assert set(Payment.objects.values_list("state", flat=True)) == {"CANCELED"}


def test_an_authorisation_from_before_the_policy_is_not_taken_back() -> None:
    """The policy changed in between: the capture posts as ever and nothing is parked."""
    ref = authorised()
    drain()
    book = with_settings(authorization_policy="pending")

    charge("charge.captured", ref, captured_minor=10_000)
    drain()

    assert balances(book) == {"1100": 10_000, "2000": -10_000}
    assert classes() == ["payment.captured"]


@pytest.mark.parametrize("policy", ["none", "memo"])
def test_the_other_policies_post_the_capture_alone(policy: str) -> None:
    with_settings(authorization_policy=policy)
    ref = authorised()
    charge("charge.captured", ref, captured_minor=10_000)
    drain()

    assert classes() == ["payment.captured"]


def test_a_gross_book_shows_the_whole_sale() -> None:
    """Principal: sales 1,000 and cost 950, the same margin of 50."""
    book = with_settings(presentation="gross")

    capture(100_000, fee_minor=300, platform_minor=5_000)

    assert balances(book) == {
        "1100": 99_700,
        "2000": -95_000,
        "4010": -100_000,
        "5000": 300,
        "5010": 95_000,
    }
