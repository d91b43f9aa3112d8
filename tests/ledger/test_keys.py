"""The key registry: one answer per key, also refusals; what time can change stays free."""

from __future__ import annotations

import dataclasses
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from ledger.errors import (
    ApprovalMissing,
    KeyConflict,
    LedgerBusy,
    Malformed,
    PeriodLocked,
    PredecessorMissing,
    RateUnknown,
    Unbalanced,
)
from ledger.models import JournalEntry, JournalLine, PostingKey
from ledger.posting import Leg, Posting, Refs, post, post_many, store_refusal
from payops.core.models import AuditEvent
from tests.ledger.scene import LEDGER, NOW, Scene, capture, make_book, public_id, refused
from tests.races import race

pytestmark = pytest.mark.django_db


def test_three_identical_sends_give_one_journal_id_and_a_changed_amount_is_refused() -> None:
    """LJ-15."""
    scene = Scene(make_book())
    payment = public_id("pa")

    sends = [scene.post(capture(scene, payment))[0] for _ in range(3)]
    changed = capture(scene, payment, gross=10_001, seller_share=9_001)
    conflict = refused(KeyConflict, lambda: scene.post(changed))

    assert len({outcome.entry_public_id for outcome in sends}) == 1
    assert [outcome.replayed for outcome in sends] == [False, True, True]
    assert JournalEntry.objects.filter(book=scene.book).count() == 1
    assert JournalLine.objects.filter(book=scene.book).count() == 3
    assert AuditEvent.objects.filter(book=scene.book, action="ledger.posted").count() == 1
    entry = JournalEntry.objects.get(book=scene.book)
    assert entry.idempotency_key == f"{scene.book.code}:payment.captured:{payment}:mv_1"
    assert conflict.stored == entry.fingerprint
    assert conflict.given == changed.fingerprint != entry.fingerprint
    assert conflict.stored in str(conflict) and conflict.given in str(conflict)


def test_a_key_answers_the_same_when_told_by_another_event_at_another_time() -> None:
    """Two events can tell of one movement: who told it and when is not part of the facts."""
    scene = Scene(make_book())
    first = capture(scene, public_id("pa"))
    retold = dataclasses.replace(
        first, occurred_at=NOW - timedelta(hours=1), refs=Refs(event_id=public_id("ev"))
    )

    outcomes = scene.post(first) + scene.post(retold)

    assert [outcome.replayed for outcome in outcomes] == [False, True]
    assert outcomes[0].entry_id == outcomes[1].entry_id


def test_duplicates_inside_one_batch_become_one_entry() -> None:
    scene = Scene(make_book())
    one, other = capture(scene, public_id("pa")), capture(scene, public_id("pa"))

    outcomes = scene.post(one, other, one, one)

    assert [outcome.replayed for outcome in outcomes] == [False, False, True, True]
    assert outcomes[0].entry_id == outcomes[2].entry_id == outcomes[3].entry_id
    assert scene.entries() == 2


def test_one_key_with_two_facts_inside_one_batch_posts_nothing() -> None:
    scene = Scene(make_book())
    payment = public_id("pa")
    other = capture(scene, payment, gross=200, seller_share=200, platform_fee=0)

    refused(KeyConflict, lambda: scene.post(capture(scene, payment), other))

    assert scene.entries() == 0
    assert PostingKey.objects.filter(book=scene.book).count() == 0


def test_a_refusal_leaves_no_key_even_when_the_caller_goes_on_in_its_transaction() -> None:
    scene = Scene(make_book())
    good = capture(scene, public_id("pa"))
    bad = capture(scene, public_id("pa"), gross=9_999)

    with transaction.atomic():
        error = refused(Unbalanced, lambda: post_many([good, bad], actor=LEDGER, now=NOW))

    assert error.key == bad.key
    assert "0.01 EUR" in error.words
    assert PostingKey.objects.filter(book=scene.book).count() == 0
    assert scene.entries() == 0
    assert scene.post(good)[0].replayed is False


def test_a_final_refusal_is_stored_and_answered_again() -> None:
    """LJ-14, D17a: the same key returns the original result, also errors."""
    scene = Scene(make_book())
    payment = public_id("pa")
    bad = capture(scene, payment, gross=9_999)

    error = refused(Unbalanced, lambda: scene.post(bad))
    with transaction.atomic():
        assert store_refusal(bad, error, now=NOW) is True
        assert store_refusal(bad, error, now=NOW) is False
    again = refused(Unbalanced, lambda: scene.post(bad))
    corrected = refused(KeyConflict, lambda: scene.post(capture(scene, payment)))

    assert again.words == error.words
    assert corrected.stored == bad.fingerprint
    assert scene.entries() == 0
    stored = PostingKey.objects.get(book=scene.book)
    assert stored.entry_id is None
    assert stored.refusal == {"error": "Unbalanced", "words": error.words}


def test_what_time_can_change_is_never_stored_and_the_retry_posts() -> None:
    """D17a: locked period, missing predecessor and unknown rate leave the key free."""
    scene = Scene(make_book())
    payout = public_id("po")
    paid = scene.posting("payout.paid", payout, amount=9_000)

    refused(PredecessorMissing, lambda: scene.post(paid))
    assert PostingKey.objects.filter(book=scene.book).count() == 0
    scene.post(scene.posting("payout.initiated", payout, amount=9_000))

    assert scene.post(paid)[0].replayed is False
    for kind in (PredecessorMissing, PeriodLocked, RateUnknown, ApprovalMissing):
        with transaction.atomic():
            error = kind("later")
            assert store_refusal(paid, error, now=NOW) is False  # type: ignore[arg-type]


def test_a_key_or_text_that_cannot_be_kept_is_refused_with_its_length() -> None:
    scene = Scene(make_book())
    posting = capture(scene, public_id("pa"), movement_ref="m" * 250)
    nul = capture(scene, public_id("pa"), movement_ref="a\x00b")

    assert "more than 255" in refused(Malformed, lambda: scene.post(posting)).words
    assert "NUL" in refused(Malformed, lambda: scene.post(nul)).words
    assert scene.entries() == 0


@pytest.mark.django_db(transaction=True)
def test_sixteen_threads_on_one_key_make_one_entry() -> None:
    scene = Scene(make_book())
    posting = capture(scene, public_id("pa"))

    outcomes = race(16, lambda i: scene.post(posting)[0])

    assert not [o for o in outcomes if isinstance(o, Exception)]
    assert len({outcome.entry_id for outcome in outcomes}) == 1
    assert sorted(outcome.replayed for outcome in outcomes) == [False] + [True] * 15
    assert scene.entries() == 1
    assert scene.balances() == {"1100": 10_000, "2000": -9_000, "4000": -1_000}


@pytest.mark.django_db(transaction=True)
def test_sixteen_threads_with_other_amounts_on_one_key_post_one_of_them() -> None:
    scene = Scene(make_book())
    payment = public_id("pa")
    postings = [
        capture(scene, payment, gross=100 + i, seller_share=100 + i, platform_fee=0)
        for i in range(16)
    ]

    outcomes = race(16, lambda i: scene.post(postings[i])[0])

    won = [o for o in outcomes if not isinstance(o, Exception)]
    assert len(won) == 1
    assert {type(o) for o in outcomes if isinstance(o, Exception)} == {KeyConflict}
    assert scene.entries() == 1


@pytest.mark.django_db(transaction=True)
def test_overlapping_batches_in_opposite_order_neither_deadlock_nor_double() -> None:
    scene = Scene(make_book())
    postings = [capture(scene, public_id("pa")) for _ in range(20)]

    outcomes = race(8, lambda i: scene.post(*(postings if i % 2 else postings[::-1])))

    assert not [o for o in outcomes if isinstance(o, Exception)]
    assert scene.entries() == 20
    assert sum(not one.replayed for batch in outcomes for one in batch) == 20


@pytest.mark.django_db(transaction=True)
def test_a_lock_timeout_is_not_now_and_the_retry_posts() -> None:
    """D17a: another transaction holds the key and does not end in time."""
    scene = Scene(make_book())
    scene.post(capture(scene, public_id("pa")))
    posting = capture(scene, public_id("pa"))
    posted, waited = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            post_many([posting], actor=LEDGER, now=NOW)
            posted.set()
            assert waited.wait(timeout=30)
            transaction.set_rollback(True)

    def act(i: int) -> Any:
        if i == 0:
            return hold()
        assert posted.wait(timeout=30)
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SET LOCAL lock_timeout = '100ms'")
                return post_many([posting], actor=LEDGER, now=NOW)
        finally:
            waited.set()

    outcomes = race(2, act)

    assert outcomes[0] is None
    assert type(outcomes[1]) is LedgerBusy
    assert scene.post(posting)[0].replayed is False


def test_posting_accepts_a_single_posting_as_a_batch_of_one() -> None:
    book = make_book()
    seller = public_id("be")
    posting = Posting(
        book=book,
        event_class="payout.initiated",
        subject_id=public_id("po"),
        movement_ref="",
        legs=(Leg("2000", 500, "EUR", seller), Leg("2100", -500, "EUR", seller)),
        occurred_at=NOW,
        description="Payout handed to the provider",
    )

    with transaction.atomic():
        outcome = post(posting, actor=LEDGER, now=NOW)

    entry = JournalEntry.get(outcome.entry_public_id)
    assert entry.pk == outcome.entry_id
    assert entry.posted_by == "ledger-tests"
