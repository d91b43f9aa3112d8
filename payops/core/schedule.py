"""Scheduled work done once per slot, however many schedulers run: a slot is a unique row."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.db import transaction

from payops.core.models import ScheduleSlot

KEPT = timedelta(days=2)


@contextmanager
def slot(name: str, now: datetime, *, every_s: int) -> Iterator[bool]:
    """A transaction that is True for the first taker of the current slot, False for the others."""
    number = str(int(now.timestamp()) // every_s)
    with transaction.atomic(durable=True):
        rows = ScheduleSlot.objects.bulk_create(
            [ScheduleSlot(name=name, slot=number, ran_at=now)], ignore_conflicts=True
        )
        mine = ScheduleSlot.objects.filter(name=name, slot=number, ran_at=now).exists()
        assert rows
        if mine:
            ScheduleSlot.objects.filter(name=name, ran_at__lt=now - KEPT).delete()
        yield mine
