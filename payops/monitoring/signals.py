"""The table of counted series, and the one writer of their slots.

A slot is five minutes. Counts of fully seen sources are added once (see `folds`); a gauge keeps the
largest reading of its slot. Cardinality is bounded: a scope is one of our accounts, an account with
a payment method, a country, a lane; series by seller are kept for two days only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db import connection

from payops.monitoring.models import Signal

SLOT = timedelta(minutes=5)
SLOT_S = 300
WEEKS_KEPT = 9
SCOPE_CHARS_MAX = 160


@dataclass(frozen=True, slots=True)
class Series:
    """`kept` says for how long: baselines need weeks, watches over single sellers do not."""

    key: str
    words: str
    kept: timedelta = timedelta(weeks=WEEKS_KEPT)


SIGNALS = {
    row.key: row
    for row in (
        Series("receipts", "receipts with a good signature"),
        Series("refusals", "refused bodies"),
        Series("payments_ok", "payments authorised or captured"),
        Series("payments_failed", "payments that failed"),
        Series("refunds", "refund events"),
        Series("small_ok", "small payments that succeeded", timedelta(days=2)),
        Series("small_failed", "small payments that failed", timedelta(days=2)),
        Series("dead", "events that became dead letters, each once in a day"),
        Series("backlog", "rows waiting in a lane", timedelta(days=14)),
    )
}
ADD = """
INSERT INTO monitoring_signal AS s (book_id, name, scope, slot_at, value)
SELECT * FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::timestamptz[], %s::bigint[])
ON CONFLICT (book_id, name, scope, slot_at) DO UPDATE SET value = """


@dataclass(frozen=True, slots=True)
class Reading:
    """How often something of a series happened in the slot that holds `at`."""

    book_id: UUID
    name: str
    scope: str
    at: datetime
    value: int


def slot_of(at: datetime) -> datetime:
    return datetime.fromtimestamp(int(at.timestamp()) // SLOT_S * SLOT_S, UTC)


def add(readings: Sequence[Reading]) -> None:
    """Add to the slots; the caller's transaction makes it once."""
    _write(readings, "s.value + excluded.value", sum)


def keep_largest(readings: Sequence[Reading]) -> None:
    _write(readings, "greatest(s.value, excluded.value)", max)


def forget_old(*, now: datetime) -> None:
    for row in SIGNALS.values():
        Signal.objects.filter(name=row.key, slot_at__lt=now - row.kept).delete()


def _write(readings: Sequence[Reading], merge: str, combine: object) -> None:
    assert connection.in_atomic_block, "a slot is written with the mark of its fold"
    assert callable(combine)
    gathered: dict[tuple[UUID, str, str, datetime], list[int]] = {}
    for each in readings:
        assert each.name in SIGNALS, f"{each.name} is not a series of the table"
        key = (each.book_id, each.name, each.scope[:SCOPE_CHARS_MAX], slot_of(each.at))
        gathered.setdefault(key, []).append(each.value)
    if not gathered:
        return
    rows = [(*key, combine(values)) for key, values in sorted(gathered.items(), key=_order)]
    with connection.cursor() as cursor:
        cursor.execute(ADD + merge, [list(column) for column in zip(*rows, strict=True)])


def _order(row: tuple[tuple[UUID, str, str, datetime], list[int]]) -> tuple[str, ...]:
    return tuple(str(part) for part in row[0])
