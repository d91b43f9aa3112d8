"""One entry on screen: its rates, its lateness, its keys (LJ-8, LJ-10, LJ-16, D12)."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.db import transaction

from ledger.models import JournalEntry
from ledger.periods import ensure_open
from payops.commands.bootstrap import as_owner
from payops.core import clock
from payops.core.actors import service
from payops.core.models import Rate
from tests.console.work import browser, shows, text_of
from tests.journals import meridian, today
from tests.ledger.scene import Scene, capture, lock_period, public_id

pytestmark = pytest.mark.django_db(transaction=True)


def entry_of(scene: Scene, *, occurred_at: datetime, currency: str = "EUR") -> JournalEntry:
    posting = capture(scene, public_id("pa"), occurred_at=occurred_at, currency=currency)
    return JournalEntry.get(scene.post(posting, now=clock.utc_now())[0].entry_public_id)


def test_an_entry_in_another_currency_says_at_which_rate_it_was_converted() -> None:
    """LJ-10: rate, source and time stand on the page."""
    now = clock.utc_now()
    with as_owner():
        Rate.objects.create(
            base="XTS", quote="EUR", rate=Decimal("0.8125"), source="test desk", as_of=now
        )
    entry = entry_of(Scene(meridian()), occurred_at=clock.utc_now(), currency="XTS")

    page = browser("priya").get(f"/ledger/journal/{entry.public_id}/")

    assert shows(page, "Rates used") and shows(page, "From XTS")
    assert shows(page, "0.8125 (test desk,")
    assert "81.25" in text_of(page)


def test_a_late_entry_says_so_and_keeps_the_day_it_happened() -> None:
    """D12: in the journal it is found by that."""
    day = today().replace(day=1) - timedelta(days=1)
    with transaction.atomic():
        ensure_open(book=meridian(), day=day, actor=service("close"), now=clock.utc_now())
    lock_period(meridian(), clock.period_of(day), now=clock.utc_now())
    happened = clock.start_of_day(day, time_zone=meridian().time_zone) + timedelta(hours=9)
    late = entry_of(Scene(meridian()), occurred_at=happened)
    in_time = entry_of(Scene(meridian()), occurred_at=clock.utc_now())

    page = browser("audrey").get(f"/ledger/journal/{late.public_id}/")
    other = browser("audrey").get(f"/ledger/journal/{in_time.public_id}/")
    listed = text_of(browser("audrey").get("/ledger/journal/?sort=late"))

    assert late.posting_on == today().replace(day=1)
    assert shows(page, "Late") and shows(page, "whose period was closed")
    assert shows(page, day.isoformat())
    assert not shows(other, "whose period was closed")
    assert late.public_id in listed and in_time.public_id not in listed


def test_the_matrix_version_and_every_key_stand_on_the_page() -> None:
    entry = entry_of(Scene(meridian()), occurred_at=clock.utc_now())
    page = text_of(browser("audrey").get(f"/ledger/journal/{entry.public_id}/"))

    assert f'<a href="/ledger/matrix/?q=payment.captured">{entry.matrix_version}</a>' in page
    for key in (entry.subject_id, entry.movement_ref, entry.idempotency_key, entry.fingerprint):
        assert key in page
    assert f">{entry.period.code} " in page
