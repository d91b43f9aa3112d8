"""Scheduled work is done once per slot, however many schedulers run it (beat may run twice)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from payops.core import clock, schedule
from payops.core.models import ScheduleSlot
from tests.races import race

pytestmark = pytest.mark.django_db(transaction=True)


def taken(name: str, now: object) -> bool:
    with schedule.slot(name, now, every_s=60) as mine:  # type: ignore[arg-type]
        return mine


def test_of_sixteen_takers_at_the_same_microsecond_one_has_the_slot() -> None:
    now = clock.utc_now()

    results = race(16, lambda i: taken("fold", now))

    assert sorted(results) == [False] * 15 + [True]
    assert ScheduleSlot.objects.filter(name="fold").count() == 1


def test_the_same_moment_again_is_not_taken_twice_and_the_next_slot_is() -> None:
    now = clock.utc_now()

    assert taken("fold", now) is True
    assert taken("fold", now) is False
    assert taken("other", now) is True
    assert taken("fold", now + timedelta(seconds=60)) is True


def test_a_slot_whose_work_failed_is_free_again() -> None:
    now = clock.utc_now()

    with pytest.raises(RuntimeError), schedule.slot("fold", now, every_s=60) as mine:
        assert mine
        raise RuntimeError("the work failed")

    assert taken("fold", now) is True


def test_old_slots_of_the_same_work_are_forgotten() -> None:
    now = clock.utc_now()
    taken("fold", now - schedule.KEPT - timedelta(minutes=1))
    taken("other", now - schedule.KEPT - timedelta(minutes=1))

    taken("fold", now)

    assert ScheduleSlot.objects.filter(name="fold").count() == 1
    assert ScheduleSlot.objects.filter(name="other").count() == 1
