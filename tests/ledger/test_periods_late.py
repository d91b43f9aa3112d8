"""Late postings that people have to grant, and what their grant is bound to (D12, LJ-8, CL-4)."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.db import transaction

from ledger.errors import LateApprovalNeeded, PeriodLocked
from ledger.late import fiscal_year, placement, refused
from ledger.models import JournalEntry, LatePlacement, PostingKey
from ledger.posting import reverse
from payops.core.models import Book
from tests.ledger.scene import (
    CAPTURE_FAILED,
    LEDGER,
    NOW,
    Scene,
    capture,
    lock_period,
    make_book,
    public_id,
    rate,
)
from tests.ledger.scene import refused as caught
from tests.periods import granted, opened

pytestmark = pytest.mark.django_db
FEBRUARY = datetime(2026, 2, 27, 12, 0, tzinfo=UTC)
DECEMBER = datetime(2025, 12, 30, 12, 0, tzinfo=UTC)
JANUARY_NOW = datetime(2026, 1, 12, 9, 0, tzinfo=UTC)


def closed_february(**settings: Any) -> Scene:
    scene = Scene(make_book(**settings))
    for day in (date(2026, 2, 1), date(2026, 3, 1)):
        opened(scene.book, day, now=NOW)
    lock_period(scene.book, "2026-02")
    return scene


def grant(book: Book, error: LateApprovalNeeded, posting_on: date) -> LatePlacement:
    """What the granted request writes, by the same guard."""
    texts = {
        "key": error.key,
        "fingerprint": error.fingerprint,
        "event_class": error.event_class,
        "subject_id": error.subject_id,
    }
    days = {"occurred_on": error.occurred_on, "posting_on": posting_on}
    told = {**texts, **{name: day.isoformat() for name, day in days.items()}}
    approval = granted(book, "late_posting", {"postings": [told]})
    return LatePlacement.objects.create(book=book, **texts, **days, approval_id=approval.public_id)


def test_the_policy_approve_waits_for_people_and_says_what_about() -> None:
    scene = closed_february(late_event_policy="approve")
    late = capture(scene, public_id("pa"), occurred_at=FEBRUARY)

    error = caught(LateApprovalNeeded, lambda: scene.post(late))

    assert (error.key, error.event_class, error.subject_id, error.fingerprint) == (
        late.key,
        "payment.captured",
        late.subject_id,
        late.fingerprint,
    )
    assert (error.occurred_on, error.proposed_on) == (date(2026, 2, 27), date(2026, 3, 1))
    assert (error.amount_minor, error.book_id) == (10_000, scene.book.pk)
    assert error.why == f"the policy of {scene.book.code} for late events is approve"
    assert not PostingKey.objects.filter(book=scene.book).exists()


@pytest.mark.parametrize(("gross", "waits"), [(5_000_000, False), (5_000_001, True)])
def test_an_amount_above_the_book_s_limit_waits_whatever_the_policy(
    gross: int, waits: bool
) -> None:
    """D12: the limit is 50,000.00; at it the policy first_open_day still decides."""
    scene = closed_february(late_event_policy="first_open_day")
    amounts = {"gross": gross, "seller_share": gross - 100, "platform_fee": 100}
    late = capture(scene, public_id("pa"), occurred_at=FEBRUARY, **amounts)

    if waits:
        error = caught(LateApprovalNeeded, lambda: scene.post(late))
        assert error.why == "50,000.01 EUR is above the limit of 50,000.00 EUR"
        assert scene.entries() == 0
    else:
        entry = JournalEntry.get(scene.post(late)[0].entry_public_id)
        assert entry.posting_on == date(2026, 3, 1)


def test_the_limit_counts_in_reporting_currency() -> None:
    """JPY 9,000,000 at 0.0060 is 54,000.00 EUR."""
    scene = closed_february()
    rate("JPY", "EUR", "0.0060", as_of=datetime(2026, 2, 1, tzinfo=UTC))
    amounts = {"gross": 9_000_000, "seller_share": 8_000_000, "platform_fee": 1_000_000}
    late = capture(scene, public_id("pa"), occurred_at=FEBRUARY, currency="JPY", **amounts)

    error = caught(LateApprovalNeeded, lambda: scene.post(late))

    assert error.amount_minor == 5_400_000


def test_a_prior_fiscal_year_waits_although_the_amount_is_small() -> None:
    scene = Scene(make_book())
    for day in (date(2025, 12, 1), date(2026, 1, 1)):
        opened(scene.book, day, now=JANUARY_NOW)
    lock_period(scene.book, "2025-12", now=JANUARY_NOW)
    late = capture(scene, public_id("pa"), occurred_at=DECEMBER)

    error = caught(LateApprovalNeeded, lambda: scene.post(late, now=JANUARY_NOW))

    assert error.why == "2025-12-30 lies in a prior fiscal year"
    assert error.proposed_on == date(2026, 1, 1)


def test_the_same_days_lie_in_one_fiscal_year_that_begins_in_july() -> None:
    scene = Scene(make_book(fiscal_year_start_month=7))
    for day in (date(2025, 12, 1), date(2026, 1, 1)):
        opened(scene.book, day, now=JANUARY_NOW)
    lock_period(scene.book, "2025-12", now=JANUARY_NOW)

    outcome = scene.post(capture(scene, public_id("pa"), occurred_at=DECEMBER), now=JANUARY_NOW)[0]

    assert JournalEntry.get(outcome.entry_public_id).posting_on == date(2026, 1, 1)
    years = [fiscal_year(date(2026, month, 1), 7) for month in (1, 6, 7, 12)]
    assert years == [2025, 2025, 2026, 2026]


def test_a_book_that_blocks_stays_the_stricter_one() -> None:
    scene = closed_february(late_event_policy="block", late_approval_above_minor=0)
    late = capture(scene, public_id("pa"), occurred_at=FEBRUARY)

    error = caught(PeriodLocked, lambda: scene.post(late))

    assert "reopen the period" in error.words
    assert [type(each) for _, each in refused([late], now=NOW)] == [PeriodLocked]


def test_a_granted_day_is_used_for_exactly_what_was_shown() -> None:
    """D12: the day of the grant, the event's own moment kept, once."""
    scene = closed_february(late_event_policy="approve")
    late = capture(scene, public_id("pa"), occurred_at=FEBRUARY)
    error = caught(LateApprovalNeeded, lambda: scene.post(late))

    grant(scene.book, error, date(2026, 3, 9))
    first, again = scene.post(late)[0], scene.post(late)[0]

    entry = JournalEntry.get(first.entry_public_id)
    assert (entry.posting_on, entry.occurred_at) == (date(2026, 3, 9), FEBRUARY)
    assert (again.replayed, scene.entries()) == (True, 1)


def test_a_grant_does_not_serve_another_amount_under_its_key() -> None:
    scene = closed_february(late_event_policy="approve")
    late = capture(scene, public_id("pa"), occurred_at=FEBRUARY)
    error = caught(LateApprovalNeeded, lambda: scene.post(late))
    grant(scene.book, error, date(2026, 3, 9))
    dearer = capture(
        scene,
        late.subject_id,
        occurred_at=FEBRUARY,
        gross=20_000,
        seller_share=19_000,
    )

    error = caught(LateApprovalNeeded, lambda: scene.post(dearer))

    assert (dearer.key, error.amount_minor) == (late.key, 20_000)
    assert scene.entries() == 0


def test_a_granted_day_that_was_closed_meanwhile_is_asked_for_again() -> None:
    scene = closed_february(late_event_policy="approve")
    late = capture(scene, public_id("pa"), occurred_at=FEBRUARY)
    error = caught(LateApprovalNeeded, lambda: scene.post(late))
    grant(scene.book, error, date(2026, 3, 9))
    april = datetime(2026, 4, 20, 9, 0, tzinfo=UTC)
    opened(scene.book, date(2026, 4, 1), now=april)
    lock_period(scene.book, "2026-03", now=april)

    error = caught(LateApprovalNeeded, lambda: scene.post(late, now=april))

    assert error.proposed_on == date(2026, 4, 1)


def test_a_refund_dated_in_a_locked_month_follows_the_same_rule() -> None:
    """accounting check (h): captured in February, refunded on 27 February, told in March."""
    scene = Scene(make_book(late_approval_above_minor=2_999))
    subject = public_id("pa")
    captured = JournalEntry.get(
        scene.post(capture(scene, subject, occurred_at=FEBRUARY))[0].entry_public_id
    )
    opened(scene.book, date(2026, 3, 1), now=NOW)
    lock_period(scene.book, "2026-02")

    def reversal(posting_on: date | None = None) -> JournalEntry:
        with transaction.atomic():
            done = reverse(
                captured,
                reason="the customer's money went back",
                actor=LEDGER,
                now=NOW,
                occurred_at=FEBRUARY,
                posting_on=posting_on,
                event_class=CAPTURE_FAILED,
            )
        return JournalEntry.get(done.entry_public_id)

    error = caught(LateApprovalNeeded, reversal)
    assert error.why == "100.00 EUR is above the limit of 29.99 EUR"
    assert (error.event_class, error.amount_minor) == (CAPTURE_FAILED, 10_000)
    refused_day = caught(PeriodLocked, lambda: reversal(date(2026, 2, 27)))
    assert "closed" in refused_day.words

    grant(scene.book, error, date(2026, 3, 2))
    entry = reversal()

    assert entry.posting_on == date(2026, 3, 2)
    assert (entry.occurred_at, entry.reverses) == (FEBRUARY, captured)
    assert captured.posting_on == date(2026, 2, 27)
    assert scene.balances() == {}


def test_the_preview_answers_what_posting_would() -> None:
    """CL-8: an amount nobody can convert is asked about, never guessed."""
    book: Book = closed_february().book

    small = placement(book=book, occurred_on=date(2026, 2, 27), now=NOW, amount_minor=100)
    large = placement(book=book, occurred_on=date(2026, 2, 27), now=NOW, amount_minor=5_000_001)
    unknown = placement(book=book, occurred_on=date(2026, 2, 27), now=NOW, amount_minor=None)

    days = [each.place.posting_on for each in (small, large, unknown) if each.place]
    assert days == [date(2026, 3, 1)] * 3
    assert small.why == ""
    assert large.why == "50,000.01 EUR is above the limit of 50,000.00 EUR"
    assert unknown.why == ("no rate says whether its amount is above the limit of 50,000.00 EUR")
