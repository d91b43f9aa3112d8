"""The engine that drains the inbox and the outbox (design: PostgreSQL is the only queue of record).

Claim: rows of a lane under SKIP LOCKED, with the attempt and a lease committed first. Run: one
transaction for the batch; when it fails, each row alone, so that one bad row never charges its
neighbours. Rows whose lease ran out run alone. Serves WH-16, WH-17, WH-21, WH-22, WH-24, SC-4.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.db import DatabaseError, OperationalError, connection, transaction
from django.db.models import F, Q
from psycopg import sql

from payops.core import clock
from payops.core.state import StaleState

log = logging.getLogger(__name__)

LANES = ("high", "standard", "bulk", "housekeeping")
BATCH_MAX = 500
LEASE = timedelta(seconds=30)
BACKOFF_BASE_S = 1.0
BACKOFF_CAP_S = 300.0
FAILURES_KEPT = 50
ERROR_TEXT_MAX = 2000
FAILURE_COLUMNS = [
    "failure_kind",
    "last_error",
    "failures",
    "first_failed_at",
    "last_failed_at",
    "leased_until",
    "due_at",
    "interruptions",
]


class StructuralMismatch(Exception):
    """The row can never succeed as it is (unparseable, impossible sequence): no retry helps."""


class Postpone(Exception):
    """Not ready yet; try again at `due_at`. Not a failure and not charged as one."""

    def __init__(self, reason: str, due_at: datetime) -> None:
        super().__init__(reason)
        self.due_at = due_at


TRANSIENT = (OperationalError, StaleState, ConnectionError, TimeoutError)


@dataclass(frozen=True, slots=True)
class Queue:
    """A table of QueueRows: which state waits, how a batch runs, when a row is given up.

    `run` gets rows it must finish; with `own_steps(row)` true it runs one row outside any
    transaction and the engine calls `finish`. `give_up` marks a row dead.
    """

    name: str
    model: Any
    ready_state: str
    run: Callable[[list[Any], datetime], None]
    own_steps: Callable[[Any], bool]
    attempts_max: Callable[[Any], int]
    finish: Callable[[list[Any], datetime], None]
    give_up: Callable[[Any, datetime], None]


@dataclass(slots=True)
class Tally:
    """What one drain did."""

    claimed: int = 0
    finished: int = 0
    failed: int = 0
    dead: int = 0

    def add(self, other: Tally) -> None:
        self.claimed += other.claimed
        self.finished += other.finished
        self.failed += other.failed
        self.dead += other.dead


def drain_once(queue: Queue, *, lane: str, batch_max: int = BATCH_MAX) -> Tally:
    """Claim one batch and run it; a Tally with claimed 0 means the lane is empty now."""
    tally = Tally()
    for limit, alone in ((batch_max, False), (1, True)):
        token = uuid4()
        keys = _claim(queue, lane, token, limit, alone=alone)
        tally.claimed += len(keys)
        if keys:
            _run(queue, keys, token, tally)
    return tally


def backoff(attempts: int) -> timedelta:
    """Full jitter: a random wait up to base × 2^attempts, capped (never synchronised)."""
    ceiling = min(BACKOFF_CAP_S, BACKOFF_BASE_S * 2 ** min(attempts, 16))
    return timedelta(seconds=random.uniform(0.2, ceiling))


def ready_count(queue: Queue, *, lane: str | None = None, now: datetime) -> int:
    """Rows that a worker could claim at `now`, rows under another worker's live lease excluded."""
    rows = queue.model.objects.filter(state=queue.ready_state, due_at__lte=now)
    rows = rows.filter(Q(leased_until=None) | Q(leased_until__lt=now))
    return rows.filter(lane=lane).count() if lane else rows.count()


def _claim(queue: Queue, lane: str, token: UUID, limit: int, *, alone: bool) -> list[UUID]:
    lease_rule = (
        "(leased_until < now() OR (leased_until IS NULL AND interruptions > 0))"
        if alone
        else "leased_until IS NULL AND interruptions = 0"
    )
    statement = sql.SQL(
        "UPDATE {table} SET attempts = attempts + 1, lease_token = %s,"
        " interruptions = interruptions + (leased_until IS NOT NULL)::int,"
        " leased_until = now() + %s"
        " WHERE id IN (SELECT id FROM {table} WHERE lane = %s AND state = %s AND due_at <= now()"
        " AND {lease_rule} ORDER BY due_at LIMIT %s FOR UPDATE SKIP LOCKED) RETURNING id"
    ).format(
        table=sql.Identifier(queue.model._meta.db_table),
        lease_rule=sql.SQL(lease_rule),
    )
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute(
            statement.as_string(cursor.connection), [token, LEASE, lane, queue.ready_state, limit]
        )
        return [row[0] for row in cursor.fetchall()]


def _run(queue: Queue, keys: list[UUID], token: UUID, tally: Tally) -> None:
    rows = list(queue.model.objects.filter(pk__in=keys, lease_token=token))
    stepwise = [row for row in rows if queue.own_steps(row)]
    batch = [row for row in rows if not queue.own_steps(row)]
    if batch and not _try_batch(queue, [row.pk for row in batch], token, tally):
        for row in batch:
            _run_alone(queue, row, token, tally)
    for row in stepwise:
        _run_steps(queue, row, token, tally)


def _try_batch(queue: Queue, keys: list[UUID], token: UUID, tally: Tally) -> bool:
    """All in one transaction; False when it must be tried row by row."""
    try:
        tally.finished += _in_transaction(queue, keys, token)
    except Exception as error:
        if len(keys) > 1:
            log.warning("%s: a batch of %d runs row by row: %s", queue.name, len(keys), error)
            return False
        row = queue.model.objects.filter(pk=keys[0]).first()
        _record_failure(queue, row, token, error, tally)
    return True


def _run_alone(queue: Queue, row: Any, token: UUID, tally: Tally) -> None:
    try:
        tally.finished += _in_transaction(queue, [row.pk], token)
    except Exception as error:
        _record_failure(queue, row, token, error, tally)


def _in_transaction(queue: Queue, keys: list[UUID], token: UUID) -> int:
    with transaction.atomic(durable=True):
        held = queue.model.objects.select_for_update().filter(
            pk__in=keys, lease_token=token, state=queue.ready_state
        )
        rows = list(held.order_by("created_at", "pk"))
        if rows:
            now = clock.utc_now()
            queue.run(rows, now)
            queue.finish(rows, now)
        return len(rows)


def _run_steps(queue: Queue, row: Any, token: UUID, tally: Tally) -> None:
    try:
        queue.run([row], clock.utc_now())
        with transaction.atomic(durable=True):
            held = queue.model.objects.select_for_update().filter(pk=row.pk, lease_token=token)
            queue.finish(list(held.filter(state=queue.ready_state)), clock.utc_now())
        tally.finished += 1
    except Exception as error:
        _record_failure(queue, row, token, error, tally)


def _record_failure(queue: Queue, row: Any, token: UUID, error: Exception, tally: Tally) -> None:
    """A refusal or failure is recorded in its own transaction (never with what it undid)."""
    now = clock.utc_now()
    with transaction.atomic(durable=True):
        held = queue.model.objects.select_for_update().filter(pk=row.pk, lease_token=token).first()
        if held is None or held.state != queue.ready_state:
            return
        if isinstance(error, Postpone):
            queue.model.objects.filter(pk=held.pk).update(
                due_at=error.due_at,
                attempts=F("attempts") - 1,
                leased_until=None,
                last_error=str(error)[:ERROR_TEXT_MAX],
            )
            return
        structural = isinstance(error, StructuralMismatch)
        held.failure_kind = "structural" if structural else "transient"
        held.last_error = f"{type(error).__name__}: {error}"[:ERROR_TEXT_MAX]
        held.failures = [
            *held.failures[-FAILURES_KEPT:],
            {"at": now.isoformat(), "attempt": held.attempts, "error": held.last_error[:500]},
        ]
        held.first_failed_at = held.first_failed_at or now
        held.last_failed_at = now
        held.leased_until = None
        held.due_at = now + backoff(held.attempts)
        held.interruptions = 0
        dead = structural or held.attempts >= queue.attempts_max(held)
        if not isinstance(error, (*TRANSIENT, StructuralMismatch)) or dead:
            level = logging.ERROR if not isinstance(error, DatabaseError) else logging.WARNING
            log.log(level, "%s %s failed: %s", queue.name, held.pk, held.last_error, exc_info=dead)
        held.save(update_fields=FAILURE_COLUMNS)
        if dead:
            queue.give_up(held, now)
    tally.failed += 1
    tally.dead += int(dead)
