"""Story S4-a, the forced retry: one posting request sent three times is one journal entry."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest
from django.db import transaction

from ledger import matrix, posting
from ledger.models import JournalEntry, JournalLine, PostingKey
from payops.core import clock
from payops.core.actors import service
from payops.core.models import Book
from payops.payments.models import Payment
from payops.webhooks.models import Delivery
from tests import builders
from tests.builders import drain, post_standard
from tests.races import race

pytestmark = pytest.mark.django_db(transaction=True)

ACTOR = service("posting-request")


def request(at: datetime, *, gross: int = 10_000) -> posting.Posting:
    """A captured payment of 100.00 with a platform fee of 10.00, as a posting request says it."""
    fee = 1_000
    return posting.Posting(
        book=Book.objects.get(is_system=False),
        event_class="payment.captured",
        subject_id="pa_" + "1" * 32,
        movement_ref="spm_forced_retry",
        legs=matrix.legs(
            "payment.captured",
            amounts={"gross": gross, "seller_share": gross - fee, "platform_fee": fee},
            currency="EUR",
            parties={"seller": "S-1001", "provider_account": "standard/demo"},
        ),
        occurred_at=at,
        description="payment.captured ORDER-1",
    )


def post(wanted: posting.Posting) -> posting.Outcome:
    with transaction.atomic(durable=True):
        return posting.post(wanted, actor=ACTOR, now=clock.utc_now())


def test_s4_a_the_same_request_three_times_is_one_entry_and_another_amount_is_refused() -> None:
    """LJ-14 to LJ-16, I4"""
    wanted = request(clock.utc_now())

    first, second, third = (post(wanted) for _ in range(3))

    assert first.entry_public_id == second.entry_public_id == third.entry_public_id
    assert [o.replayed for o in (first, second, third)] == [False, True, True]
    entry = JournalEntry.objects.get()
    lines = entry.lines.order_by("position").values_list("account__code", "amount_minor")
    assert sorted(lines) == [("1100", 10_000), ("2000", -9_000), ("4000", -1_000)]

    changed = request(wanted.occurred_at, gross=10_001)
    assert changed.key == wanted.key
    with pytest.raises(posting.KeyConflict) as refusal:
        post(changed)

    assert (refusal.value.stored, refusal.value.given) == (wanted.fingerprint, changed.fingerprint)
    assert wanted.fingerprint in str(refusal.value) and changed.fingerprint in str(refusal.value)
    assert (JournalEntry.objects.count(), JournalLine.objects.count()) == (1, 3)
    assert PostingKey.objects.get(key=wanted.key).fingerprint == wanted.fingerprint
    assert post(wanted).entry_public_id == first.entry_public_id


def test_s4_a_sixteen_retries_at_once_are_one_entry() -> None:
    """GO-1"""
    wanted = request(clock.utc_now())

    answers = race(16, lambda _: post(wanted))

    assert len({answer.entry_public_id for answer in answers}) == 1
    assert sorted(answer.replayed for answer in answers) == [False] + [True] * 15
    assert JournalEntry.objects.count() == 1


def test_s4_a_a_later_telling_of_the_same_movement_is_the_same_entry() -> None:
    """The key names the movement, not the message or the moment that told of it."""
    wanted = request(clock.utc_now())
    told_again = replace(
        wanted, description="told by another event", refs=posting.Refs(event_id="ev_" + "2" * 32)
    )

    assert post(wanted).entry_public_id == post(told_again).entry_public_id
    assert JournalEntry.objects.count() == 1


def test_s4_a_three_deliveries_of_one_payment_are_one_entry() -> None:
    body = builders.capture(10_000, fee_minor=300, platform_minor=1_000)

    for _ in range(2):
        assert post_standard(body) == 200
        drain()

    assert Delivery.objects.count() == 3
    payment = Payment.objects.get()
    classes = JournalEntry.objects.filter(subject_id=payment.public_id)
    assert sorted(classes.values_list("event_class", flat=True)) == [
        "fee.charged",
        "payment.captured",
    ]
