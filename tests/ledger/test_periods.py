"""Which day an event is booked on: late, early, in a locked month, in a month not opened yet."""

from __future__ import annotations

import dataclasses
from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import transaction

from ledger.errors import PeriodLocked
from ledger.late import Landing, placement
from ledger.models import AccountingPeriod, JournalEntry
from ledger.periods import ensure_open
from ledger.posting import Outcome, reverse
from payops.core import state
from payops.core.models import AuditEvent, Book
from tests.ledger.scene import (
    CAPTURE_FAILED,
    LEDGER,
    NOW,
    Scene,
    capture,
    lock_period,
    make_book,
    public_id,
    refused,
)
from tests.races import race

pytestmark = pytest.mark.django_db
FEBRUARY = datetime(2026, 2, 27, 12, 0, tzinfo=UTC)


def _open(book: Book, *days: date) -> None:
    with transaction.atomic():
        for day in days:
            ensure_open(book=book, day=day, actor=LEDGER, now=NOW)


def _entry(outcome: Outcome) -> JournalEntry:
    return JournalEntry.get(outcome.entry_public_id)


def test_a_month_opens_with_its_first_posting_and_is_audited_once() -> None:
    scene = Scene(make_book())

    scene.post(capture(scene, public_id("pa")), capture(scene, public_id("pa")))

    period = AccountingPeriod.objects.get(book=scene.book)
    assert (period.code, period.starts_on, period.ends_on, period.state) == (
        "2026-03",
        date(2026, 3, 1),
        date(2026, 3, 31),
        "OPEN",
    )
    assert AuditEvent.objects.filter(subject_id=period.public_id).count() == 1


def test_a_late_event_goes_to_the_first_open_day_and_keeps_its_own() -> None:
    """D12 first_open_day: 27 February, locked, is booked on 1 March; the event's time stays."""
    scene = Scene(make_book())
    _open(scene.book, date(2026, 2, 1), date(2026, 3, 1))
    lock_period(scene.book, "2026-02")

    outcome = scene.post(capture(scene, public_id("pa"), occurred_at=FEBRUARY))[0]

    entry = _entry(outcome)
    assert entry.posting_on == date(2026, 3, 1)
    assert entry.occurred_at == FEBRUARY
    assert entry.period.code == "2026-03"
    assert AuditEvent.objects.get(subject_id=entry.public_id).evidence["late"] is True


def test_a_book_that_blocks_refuses_a_late_event_and_leaves_its_key_free() -> None:
    """D12 block; a caller who answers for the day still names an open one."""
    scene = Scene(make_book(late_event_policy="block"))
    _open(scene.book, date(2026, 2, 1), date(2026, 3, 1))
    lock_period(scene.book, "2026-02")
    late = capture(scene, public_id("pa"), occurred_at=FEBRUARY)

    error = refused(PeriodLocked, lambda: scene.post(late))
    named = dataclasses.replace(late, posting_on=date(2026, 3, 18))
    outcome = scene.post(named)[0]

    assert "block" in error.words and error.key == late.key
    assert outcome.replayed is False
    assert _entry(outcome).posting_on == date(2026, 3, 18)


def test_a_named_day_in_a_locked_month_is_refused() -> None:
    scene = Scene(make_book())
    _open(scene.book, date(2026, 2, 1), date(2026, 3, 1))
    lock_period(scene.book, "2026-02")
    posting = dataclasses.replace(capture(scene, public_id("pa")), posting_on=date(2026, 2, 28))

    refused(PeriodLocked, lambda: scene.post(posting))

    assert scene.entries() == 0


def test_a_replay_answers_although_its_month_was_locked_meanwhile() -> None:
    scene = Scene(make_book(late_event_policy="block"))
    posting = capture(scene, public_id("pa"), occurred_at=FEBRUARY)
    first = scene.post(posting)[0]
    _open(scene.book, date(2026, 3, 1))
    lock_period(scene.book, "2026-02")

    again = scene.post(posting)[0]

    assert (again.replayed, again.entry_id) == (True, first.entry_id)
    assert _entry(first).posting_on == date(2026, 2, 27)


def test_a_reversal_of_an_entry_in_a_locked_month_is_dated_in_the_open_one() -> None:
    """LJ-8: current period; naming the February moment still never lands in February."""
    scene = Scene(make_book())
    first = _entry(scene.post(capture(scene, public_id("pa"), occurred_at=FEBRUARY))[0])
    _open(scene.book, date(2026, 3, 1))
    lock_period(scene.book, "2026-02")

    with transaction.atomic():
        done = reverse(
            first,
            reason="posted twice",
            actor=LEDGER,
            now=NOW,
            occurred_at=FEBRUARY,
            event_class=CAPTURE_FAILED,
        )

    assert _entry(done).posting_on == date(2026, 3, 1)
    assert scene.balances() == {}


def test_the_business_day_is_the_book_s_own() -> None:
    """F15: 23:30 UTC on 28 February is 1 March in Berlin."""
    scene = Scene(make_book())
    at = datetime(2026, 2, 28, 23, 30, tzinfo=UTC)

    outcome = scene.post(capture(scene, public_id("pa"), occurred_at=at))[0]

    assert _entry(outcome).posting_on == date(2026, 3, 1)


def test_an_event_from_the_future_is_booked_today() -> None:
    book = make_book()

    placed = placement(book=book, occurred_on=date(2026, 4, 2), now=NOW).place

    assert placed is not None
    assert (placed.posting_on, placed.late, placed.period) == (date(2026, 3, 18), False, None)


def test_a_gap_before_a_locked_month_counts_as_late() -> None:
    book = make_book()
    _open(book, date(2026, 2, 1), date(2026, 3, 1))
    lock_period(book, "2026-02")

    landing = placement(book=book, occurred_on=date(2026, 1, 15), now=NOW)

    assert landing.place is not None
    assert (landing.place.posting_on, landing.place.late) == (date(2026, 3, 1), True)
    assert landing.why == ""


def test_no_open_day_left_means_not_now() -> None:
    book = make_book()
    _open(book, date(2026, 3, 1))
    lock_period(book, "2026-03")

    landing = placement(book=book, occurred_on=date(2026, 3, 18), now=NOW)
    later = placement(book=book, occurred_on=date(2026, 3, 18), now=NOW + timedelta(days=14))

    assert landing == Landing(None, f"{book.code} has no open day after 2026-03-18")
    assert later.place is not None
    assert (later.place.posting_on, later.place.late) == (date(2026, 4, 1), True)


def test_a_month_in_closing_takes_its_own_events_and_no_late_ones() -> None:
    """CL-4: on 3 April, February locked, March closing: February's event goes to 1 April."""
    book = make_book()
    _open(book, date(2026, 2, 1), date(2026, 3, 1))
    lock_period(book, "2026-02")
    closing = AccountingPeriod.objects.get(book=book, code="2026-03")
    closing.begin_closing()
    with transaction.atomic():
        state.save(closing, actor=LEDGER, now=NOW, action="period.closing_begun")
    april = datetime(2026, 4, 3, 12, 0, tzinfo=UTC)

    late = placement(book=book, occurred_on=date(2026, 2, 27), now=april).place
    own = placement(book=book, occurred_on=date(2026, 3, 30), now=april).place

    assert late is not None and own is not None
    assert (late.posting_on, late.late) == (date(2026, 4, 1), True)
    assert (own.posting_on, own.late) == (date(2026, 3, 30), False)


@pytest.mark.django_db(transaction=True)
def test_sixteen_threads_open_one_month_once() -> None:
    scene = Scene(make_book())

    outcomes = race(16, lambda i: scene.post(capture(scene, public_id("pa")))[0])

    assert not [o for o in outcomes if isinstance(o, Exception)]
    assert AccountingPeriod.objects.filter(book=scene.book).count() == 1
    assert scene.entries() == 16


@pytest.mark.django_db(transaction=True)
def test_a_month_locked_among_posters_holds_nothing_dated_after_its_lock() -> None:
    """I12: postings either landed before the lock or were placed behind it."""
    scene = Scene(make_book())
    _open(scene.book, date(2026, 2, 1), date(2026, 3, 1))

    def act(i: int) -> Outcome | None:
        if i == 7:
            lock_period(scene.book, "2026-02")
            return None
        return scene.post(capture(scene, public_id("pa"), occurred_at=FEBRUARY))[0]

    outcomes = race(16, act)

    assert not [o for o in outcomes if isinstance(o, Exception)]
    days = JournalEntry.objects.filter(book=scene.book).values_list("posting_on", flat=True)
    assert len(days) == 15
    assert set(days) <= {date(2026, 2, 27), date(2026, 3, 1)}
    late = JournalEntry.objects.filter(book=scene.book, posting_on=date(2026, 3, 1))
    assert all(entry.period.code == "2026-03" for entry in late)
