"""Made-up series with a known past: the same hour of the week, day after day, week after week."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.db import connection, transaction

from payops.core.models import Book
from payops.monitoring import signals
from payops.monitoring.evaluate import evaluate
from payops.monitoring.models import Alert, FoldMark
from payops.monitoring.signals import Reading

# A Friday, 14:32; the slot under way began at 14:30.
NOW = datetime(2026, 6, 19, 14, 32, tzinfo=UTC)
ACCOUNT = "stripe/demo"
FILL = """
INSERT INTO monitoring_signal (book_id, name, scope, slot_at, value)
SELECT %s, %s, %s, at, greatest(%s + (place * 7 + place / 288) %% (2 * %s + 1) - %s, 0)
FROM generate_series(%s::timestamptz, %s::timestamptz, '5 minutes') WITH ORDINALITY AS g(at, place)
"""


def book() -> Book:
    return Book.objects.get(code="meridian")


def put(name: str, scope: str, counts: dict[datetime, int]) -> None:
    """Fill slots; a slot named twice is added to."""
    with transaction.atomic():
        signals.add([Reading(book().pk, name, scope, at, n) for at, n in counts.items()])


def weeks_of(name: str, scope: str, per_slot: int, *, weeks: int = 8, wobble: int = 0) -> None:
    """`weeks` full weeks before NOW with the same count in each slot, give or take `wobble`."""
    start = signals.slot_of(NOW - timedelta(weeks=weeks, hours=1))
    end = signals.slot_of(NOW - timedelta(hours=1)) - signals.SLOT
    with connection.cursor() as cursor:
        cursor.execute(FILL, [book().pk, name, scope, per_slot, wobble, wobble, start, end])


def last_hour(name: str, scope: str, per_slot: int, *, until: datetime = NOW) -> None:
    end = signals.slot_of(until) + signals.SLOT
    put(name, scope, {end - signals.SLOT * back: per_slot for back in range(1, 14)})


def look(at: datetime = NOW, *, counted_until: datetime | None = None) -> tuple[int, int]:
    """Evaluate as the schedule does, everything before `counted_until` being counted."""
    FoldMark.objects.update_or_create(name="receipts", defaults={"at": counted_until or at})
    with transaction.atomic():
        return evaluate(now=at)


def only_alert(rule: str) -> Alert:
    return Alert.objects.get(rule=rule)
