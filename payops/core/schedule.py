"""Scheduled work done once per slot, however many schedulers run: a slot is a unique row."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.db import connection, transaction

from payops.core.models import ScheduleSlot

KEPT = timedelta(days=2)
TAKE = """
INSERT INTO core_scheduleslot (name, slot, ran_at) VALUES (%s, %s, %s)
ON CONFLICT (name, slot) DO NOTHING RETURNING id
"""


@contextmanager
def slot(name: str, now: datetime, *, every_s: int) -> Iterator[bool]:
    """A transaction that is True for the first taker of the current slot, False for the others."""
    number = str(int(now.timestamp()) // every_s)
    with transaction.atomic(durable=True):
        # Who wrote the row has the slot: the clock cannot tell two takers of one moment apart.
        with connection.cursor() as cursor:
            cursor.execute(TAKE, [name, number, now])
            mine = cursor.fetchone() is not None
        if mine:
            ScheduleSlot.objects.filter(name=name, ran_at__lt=now - KEPT).delete()
        yield mine
