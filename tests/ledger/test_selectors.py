"""Reading the journal: sums of lines as of a day, pages by key, entries by what they name."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from django.db import transaction

from ledger import selectors
from ledger.models import JournalEntry
from ledger.posting import Refs, reverse
from ledger.selectors import EntryFilter
from payops.core import ids
from tests.ledger.scene import (
    CAPTURE_FAILED,
    LEDGER,
    NOW,
    PSP,
    Scene,
    capture,
    make_book,
    public_id,
)

pytestmark = pytest.mark.django_db


def test_the_trial_balance_is_nil_and_stops_at_its_day() -> None:
    """I17; parties and currencies are kept apart."""
    book = make_book()
    one, other = Scene(book), Scene(book)
    one.post(capture(one, public_id("pa"), occurred_at=NOW - timedelta(days=2)))
    other.post(capture(other, public_id("pa"), gross=500, seller_share=400, platform_fee=100))

    today = selectors.trial_balance(book=book)
    before = selectors.trial_balance(book=book, as_of=date(2026, 3, 17))

    assert sum(row.balance_minor for row in today) == 0
    shown = {(row.account, row.party): row.balance_minor for row in today}
    assert shown == {
        ("1100", PSP): 10_500,
        ("2000", one.seller): -9_000,
        ("2000", other.seller): -400,
        ("4000", ""): -1_100,
    }
    assert [(row.account, row.balance_minor) for row in before] == [
        ("1100", 10_000),
        ("2000", -9_000),
        ("4000", -1_000),
    ]
    owed = selectors.balances_of(book=book, party=other.seller)
    assert [(row.account, str(row.balance)) for row in owed] == [("2000", "-4.00 EUR")]


def test_pages_follow_each_other_without_gap_or_repeat() -> None:
    scene = Scene(make_book())
    for days in (3, 1, 2, 1, 0, 3, 1):
        scene.post(capture(scene, public_id("pa"), occurred_at=NOW - timedelta(days=days)))

    seen: list[JournalEntry] = []
    cursor, pages = "", 0
    while pages == 0 or cursor:
        page = selectors.entries(book=scene.book, after=cursor, limit=3)
        seen, cursor, pages = [*seen, *page.entries], page.next_cursor, pages + 1

    assert pages == 3
    assert len({entry.pk for entry in seen}) == 7
    keys = [(entry.posting_on, entry.pk) for entry in seen]
    assert keys == sorted(keys, reverse=True)


def test_filters_narrow_by_entry_and_by_line() -> None:
    scene = Scene(make_book())
    payment, payout = public_id("pa"), public_id("po")
    scene.post(capture(scene, payment, refs=Refs(event_id=public_id("ev"))))
    scene.post(scene.posting("payout.initiated", payout, amount=100))

    def classes(where: EntryFilter) -> list[str]:
        page = selectors.entries(book=scene.book, where=where)
        return [entry.event_class for entry in page.entries]

    assert classes(EntryFilter()) == ["payout.initiated", "payment.captured"]
    assert classes(EntryFilter(account="2100")) == ["payout.initiated"]
    assert classes(EntryFilter(party=PSP)) == ["payment.captured"]
    assert classes(EntryFilter(event_class="payment.captured")) == ["payment.captured"]
    assert classes(EntryFilter(subject_id=payout)) == ["payout.initiated"]
    assert classes(EntryFilter(currency="JPY")) == []
    assert classes(EntryFilter(from_on=date(2026, 3, 19))) == []
    assert classes(EntryFilter(to_on=date(2026, 3, 18))) == classes(EntryFilter())


def test_a_cursor_that_is_none_is_refused() -> None:
    with pytest.raises(ids.UnknownId):
        selectors.entries(book=make_book(), after="2026-03-18~je_x")


def test_an_entry_shows_its_lines_and_its_reversal() -> None:
    scene = Scene(make_book())
    outcome = scene.post(capture(scene, public_id("pa")))[0]
    with transaction.atomic():
        entry = JournalEntry.get(outcome.entry_public_id)
        reversal = reverse(entry, reason="twice", actor=LEDGER, now=NOW, event_class=CAPTURE_FAILED)

    found = selectors.entry_with_lines(outcome.entry_public_id)

    assert [line.account.code for line in found.lines.all()] == ["1100", "2000", "4000"]
    assert found.reversed_by.public_id == reversal.entry_public_id


def test_entries_are_found_by_subject_event_and_case() -> None:
    scene = Scene(make_book())
    payment, payout = public_id("pa"), public_id("po")
    event, case = public_id("ev"), public_id("cs")
    scene.post(capture(scene, payment, refs=Refs(event_id=event)))
    scene.post(scene.posting("payout.initiated", payout, amount=100, refs=Refs(case_id=case)))
    scene.post(capture(scene, public_id("pa")))

    def classes(*wanted: str) -> list[str]:
        found = selectors.entries_of(book=scene.book, subject_ids=wanted)
        return [entry.event_class for entry in found]

    assert classes(payment) == classes(event) == ["payment.captured"]
    assert classes(payout) == classes(case) == ["payout.initiated"]
    assert classes(payment, case) == ["payment.captured", "payout.initiated"]
    assert classes("") == []
