"""What screens and metrics read: rollups, series and queues, from indexes and counted rows alone.

Every figure of the past comes from a rollup; what waits is read from the partial indexes of the
queues and counted up to a limit. Nothing here scans the register. Serves OB-1, OB-5, OB-9, F34.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Sum

from payops.core.lanes import LANES
from payops.core.models import Book
from payops.monitoring import buckets
from payops.monitoring.models import EventMinute, Signal

COUNTED_MAX = 100_000
SAMPLED_CASES_MAX = 2_000
WAITING = """
SELECT l.lane, q.queue, q.ready, q.oldest FROM unnest(%(lanes)s::text[]) AS l(lane), LATERAL (
  SELECT 'inbox' AS queue, count(*) AS ready, min(due_at) AS oldest FROM (
    SELECT due_at FROM webhooks_providerevent WHERE state = 'RECEIVED' AND lane = l.lane
      AND due_at <= %(now)s ORDER BY due_at LIMIT %(most)s) e
  UNION ALL
  SELECT 'outbox', count(*), min(due_at) FROM (
    SELECT due_at FROM core_message WHERE state = 'PENDING' AND lane = l.lane
      AND due_at <= %(now)s ORDER BY due_at LIMIT %(most)s) m) q"""
# A service is given when a person first does something, and when the case ends.
CASES = """
WITH newest AS MATERIALIZED (
  SELECT id, rule, created_at, resolved_at FROM cases_case
  WHERE book_id = %(book)s AND created_at >= %(since)s ORDER BY created_at DESC LIMIT %(most)s),
timed AS (
  SELECT n.rule, n.created_at, n.resolved_at, (SELECT min(e.created_at) FROM cases_caseentry e
    WHERE e.case_id = n.id AND e.person_id IS NOT NULL) AS acted_at FROM newest n)
SELECT rule, count(*), count(acted_at), count(resolved_at),
  avg(extract(epoch FROM acted_at - created_at))::bigint,
  percentile_disc(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM acted_at - created_at))::bigint,
  avg(extract(epoch FROM resolved_at - created_at))::bigint,
  percentile_disc(0.9) WITHIN GROUP (ORDER BY extract(epoch FROM resolved_at - created_at))::bigint
FROM timed GROUP BY rule ORDER BY count(*) DESC, rule"""
EXECUTIONS = """
SELECT 'provider call', operation, coalesce(nullif(outcome, ''), 'under way'), count(*),
  (percentile_disc(0.95) WITHIN GROUP (ORDER BY finished_at - created_at))
FROM payments_providercall WHERE id >= %(floor)s AND book_id = %(book)s GROUP BY 2, 3
UNION ALL
SELECT 'runbook step', s.name, s.status, count(*),
  (percentile_disc(0.95) WITHIN GROUP (ORDER BY s.done_at - s.created_at))
FROM cases_runbookstep s WHERE s.id >= %(floor)s AND s.book_id = %(book)s GROUP BY 2, 3
UNION ALL
SELECT 'job', kind, state, count(*),
  (percentile_disc(0.95) WITHIN GROUP (ORDER BY finished_at - started_at))
FROM core_job WHERE id >= %(floor)s AND book_id = %(book)s GROUP BY 2, 3
ORDER BY 1, 2, 3"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Rows of one queue that a worker could take now; `ready` stops at COUNTED_MAX."""

    lane: str
    queue: str
    ready: int
    oldest_at: datetime | None


@dataclass(frozen=True, slots=True)
class Latency:
    """Counted events of a stretch of time and how they ended; histograms over the buckets."""

    processed: int
    ignored: int
    dead: int
    from_receipt: list[int]
    from_provider: list[int]

    @property
    def finished(self) -> int:
        return self.processed + self.ignored


@dataclass(frozen=True, slots=True)
class ServiceTime:
    """How fast cases of a rule were begun and ended; seconds, None where none was."""

    rule: str
    cases: int
    begun: int
    ended: int
    to_act_mean_s: int | None
    to_act_median_s: int | None
    to_end_mean_s: int | None
    to_end_p90_s: int | None


@dataclass(frozen=True, slots=True)
class Execution:
    """One line of the execution log's summary; `p95` is how long 95 of 100 took at most."""

    kind: str
    name: str
    outcome: str
    count: int
    p95: timedelta | None


def waiting(*, now: datetime) -> list[Waiting]:
    with connection.cursor() as cursor:
        cursor.execute(WAITING, {"lanes": list(LANES), "now": now, "most": COUNTED_MAX})
        return [Waiting(*row) for row in cursor.fetchall()]


def latency_by(key: str, *, since: datetime, book: Book | None = None) -> dict[str | UUID, Latency]:
    """Latency grouped by a column of EventMinute: "account_id", "family" or "lane"."""
    rows = EventMinute.objects.filter(minute__gte=since)
    if book is not None:
        rows = rows.filter(book=book)
    groups: dict[str | UUID, list[EventMinute]] = defaultdict(list)
    for row in rows.iterator(chunk_size=2000):
        groups[getattr(row, key)].append(row)
    return {name: _latency(members) for name, members in groups.items()}


def latency_series(
    *, book: Book, since: datetime, until: datetime, step: timedelta
) -> list[tuple[datetime, Latency]]:
    """One entry per step, oldest first, empty ones included."""
    steps: dict[int, list[EventMinute]] = defaultdict(list)
    rows = EventMinute.objects.filter(book=book, minute__gte=since, minute__lt=until)
    for row in rows.iterator(chunk_size=2000):
        steps[int((row.minute - since) / step)].append(row)
    count = int((until - since) / step)
    return [(since + step * place, _latency(steps.get(place, []))) for place in range(count)]


def totals(*, name: str, since: datetime, book: Book | None = None) -> dict[str, int]:
    """Scope → count of a series since a moment."""
    rows = Signal.objects.filter(name=name, slot_at__gte=since)
    if book is not None:
        rows = rows.filter(book=book)
    return dict(rows.order_by().values_list("scope").annotate(n=Sum("value")))


def by_hour(*, name: str, since: datetime, book: Book) -> dict[tuple[str, int], int]:
    """(scope, hour of the day in the book's time zone) → count."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT scope, extract(hour FROM slot_at AT TIME ZONE %s)::int, sum(value)::bigint"
            " FROM monitoring_signal WHERE book_id = %s AND name = %s AND slot_at >= %s"
            " GROUP BY 1, 2",
            [book.time_zone, book.pk, name, since],
        )
        return {(scope, hour): count for scope, hour, count in cursor.fetchall()}


def service_times(*, book: Book, since: datetime) -> list[ServiceTime]:
    """Of the newest SAMPLED_CASES_MAX cases since then, by rule (OB-9)."""
    values: dict[str, Any] = {"book": book.pk, "since": since, "most": SAMPLED_CASES_MAX}
    with connection.cursor() as cursor:
        cursor.execute(CASES, values)
        return [ServiceTime(*row) for row in cursor.fetchall()]


def executions(*, book: Book, since: datetime) -> list[Execution]:
    """Calls, runbook steps and jobs begun since then, by outcome (OB-9)."""
    floor = UUID(int=int(since.timestamp() * 1000) << 80)
    with connection.cursor() as cursor:
        cursor.execute(EXECUTIONS, {"book": book.pk, "floor": floor})
        return [Execution(*row) for row in cursor.fetchall()]


def _latency(rows: list[EventMinute]) -> Latency:
    return Latency(
        sum(row.processed for row in rows),
        sum(row.ignored for row in rows),
        sum(row.dead for row in rows),
        buckets.added([row.from_receipt for row in rows]),
        buckets.added([row.from_provider for row in rows]),
    )
