"""Posters against the closer, on real connections: nothing is dated into a month after its lock."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.db import transaction

from ledger.models import AccountingPeriod, JournalEntry
from ledger.posting import Outcome
from payops.core import clock, locks, state
from tests.ledger.scene import Scene, capture, make_book, public_id
from tests.periods import SERVICE, granted, opened
from tests.races import race

pytestmark = pytest.mark.django_db(transaction=True)
ROUNDS, POSTERS = 50, 16
CLOSER = 7
FIRST_YEAR = 2022
NOW = datetime(2026, 6, 15, 12, 0, tzinfo=UTC)


def test_sixteen_posters_against_one_closer_fifty_times_i12() -> None:
    """I12: what is in the month when the lock commits is all there ever is."""
    scene = Scene(make_book())
    for number in range(ROUNDS + 1):
        opened(scene.book, month(number), now=NOW)

    counted = [one_round(scene, month(number), month(number + 1)) for number in range(ROUNDS)]

    # The race is one: some came before the lock, some behind it.
    assert sum(in_time for in_time, _ in counted) > 0
    assert sum(late for _, late in counted) > 0


def one_round(scene: Scene, first: date, following: date) -> tuple[int, int]:
    """One month locked among its posters; answers (entries in it, entries behind it)."""
    period, approval_id = closing(scene, first)
    at = datetime(first.year, first.month, 15, 12, 0, tzinfo=UTC)
    at_lock: list[int] = []

    def act(i: int) -> Any:
        if i != CLOSER:
            return scene.post(capture(scene, public_id("pa"), occurred_at=at), now=NOW)[0]
        with transaction.atomic():
            held = locks.row(AccountingPeriod, period.pk)
            held.lock(at=clock.utc_now(), approval_id=approval_id)
            state.save(held, actor=SERVICE, now=NOW, action="period.locked")
        at_lock.append(entries(period))
        return None

    # Over the end of a year, those behind the lock wait for people.
    waits = {"LateApprovalNeeded"} if first.year != following.year else set()
    outcomes = race(POSTERS + 1, act)
    waiting = [type(each).__name__ for each in outcomes if isinstance(each, Exception)]
    assert set(waiting) <= waits, outcomes

    keys = [each.entry_id for each in outcomes if isinstance(each, Outcome)]
    days = list(JournalEntry.objects.filter(pk__in=keys).values_list("posting_on", flat=True))
    assert len(days) + len(waiting) == POSTERS
    assert at_lock == [entries(period)], f"{first} grew after its lock"
    assert set(days) <= {at.date(), following}
    return days.count(at.date()), days.count(following)


def month(number: int) -> date:
    return date(FIRST_YEAR + number // 12, number % 12 + 1, 1)


def closing(scene: Scene, day: date) -> tuple[AccountingPeriod, str]:
    """The month in CLOSING, with a granted request for its lock."""
    period = AccountingPeriod.objects.get(book=scene.book, starts_on=day)
    with transaction.atomic():
        period.begin_closing()
        state.save(period, actor=SERVICE, now=NOW, action="period.closing_begun")
    facts = {"period": period.public_id}
    return period, granted(scene.book, "period_lock", facts, subject_id=period.public_id).public_id


def entries(period: AccountingPeriod) -> int:
    return JournalEntry.objects.filter(period=period).count()
