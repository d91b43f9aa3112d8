"""The engine that drains the inbox and the outbox (design: PostgreSQL is the only queue of record).

Claimed rows run in one transaction for the batch; when it fails, its halves, down to the row that
is to blame, so that one bad row never charges its neighbours. Rows whose lease ran out run alone,
and die when that used up their attempts: what kills its worker must not do so for ever. How rows
are claimed is in `claims`, how calls fly side by side in `flights`. Serves WH-16, WH-17, WH-21,
WH-22, WH-24, SC-4.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.db import DatabaseError, OperationalError, connection, transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from payops.core import bulk, causes, claims, clock
from payops.core.state import StaleState

log = logging.getLogger(__name__)

BATCH_MAX = 500
LEASE = claims.LEASE
# A row that runs by its own steps is leased anew as long as its worker lives, so that a dead
# worker's row is free soon and a slow one's is not taken away.
BEAT_S = 10.0
BEAT_ENDS_WITHIN_S = 15.0
STEPS_STARTED_WITHIN = timedelta(seconds=20)
POSTPONE_MIN = timedelta(seconds=1)
BACKOFF_BASE_S = 1.0
BACKOFF_CAP_S = 300.0
FAILURES_KEPT = 50
ERROR_TEXT_MAX = 2000
FAILURE_COLUMNS = [
    "failure_kind",
    "cause",
    "last_error",
    "failures",
    "first_failed_at",
    "last_failed_at",
    "leased_until",
    "due_at",
    "interruptions",
]
READMIT_COLUMNS = [*FAILURE_COLUMNS, "operator_note", "finished_at"]


class StructuralMismatch(Exception):
    """The row can never succeed as it is (unparseable, impossible sequence): no retry helps.

    `path` names the part of the body that did not fit, where its reader knows it.
    """

    def __init__(self, reason: str, path: str = "") -> None:
        super().__init__(f"{reason} at {path}" if path else reason)
        self.path = path


class Interrupted(Exception):
    """The last attempt never ended: its worker died or ran out of time with the row in hand."""


class Postpone(Exception):
    """Not ready yet; try again at `due_at`. Not a failure and not charged as one."""

    def __init__(self, reason: str, due_at: datetime) -> None:
        super().__init__(reason)
        self.due_at = due_at


TRANSIENT = (OperationalError, StaleState, ConnectionError, TimeoutError)


@dataclass(frozen=True, slots=True)
class Calls:
    """Rows that fly as calls (`payops.core.flights`): of which topics, and who carries a row."""

    topics: Callable[[], tuple[str, ...]]
    caller_of: Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Queue:
    """A table of QueueRows: which state waits, how a batch runs, when a row is given up.

    `run` gets rows it must finish; with `own_steps(row)` true it runs one row outside any
    transaction and the engine calls `finish` (None: no row does). `give_up` marks a row dead. In
    `lanes_in_turn` rows of each `turn` are claimed by turns, whoever has the longer backlog.
    """

    name: str
    model: Any
    ready_state: str
    run: Callable[[list[Any], datetime], None]
    own_steps: Callable[[Any], bool] | None
    attempts_max: Callable[[Any], int]
    finish: Callable[[list[Any], datetime], None]
    give_up: Callable[[Any, datetime], None]
    lanes_in_turn: frozenset[str] = frozenset()
    calls: Calls | None = None


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
    """Claim one batch and run it; a Tally with claimed 0 means the lane is empty now.

    Rows that fly as calls are left to `payops.core.flights`.
    """
    tally, token = Tally(), uuid4()
    which = claims.Which(queue.calls.topics(), others=True) if queue.calls else claims.ALL
    keys, reached = claims.free(queue, lane, token, batch_max, which)
    tally.claimed += len(keys)
    if keys:
        _run(queue, keys, token, tally)
    # Rows are claimed in the order they fell due, so one that was interrupted is not behind the
    # last of a full batch: without that bound, every batch would look through the whole backlog.
    token = uuid4()
    until = reached if len(keys) == batch_max else None
    alone = claims.interrupted(queue, lane, token, until, which)
    tally.claimed += len(alone)
    if alone and not buried(queue, alone[0], token, tally):
        _run(queue, alone, token, tally)
    return tally


def backoff(attempts: int) -> timedelta:
    """Full jitter: a random wait up to base * 2^attempts, capped (never synchronised)."""
    ceiling = min(BACKOFF_CAP_S, BACKOFF_BASE_S * 2 ** min(attempts, 16))
    return timedelta(seconds=random.uniform(0.2, ceiling))


def attempts_allowed(row: Any, limit: int) -> int:
    """The limit of the row's lane or topic, counted anew from its latest redrive."""
    redriven_at = [entry["attempt"] for entry in row.failures if "redriven_by" in entry]
    return limit + (max(redriven_at) if redriven_at else 0)


def readmit(row: Any, *, note: str, by: str, now: datetime) -> None:
    """Set on a dead row what a redrive changes of its queue columns (WH-18, WH-32).

    Attempts and failures stay; the redrive is one more line among them.
    """
    line = {"at": now.isoformat(), "attempt": row.attempts, "redriven_by": by, "note": note[:500]}
    row.failures = [*row.failures, line][-FAILURES_KEPT:]
    row.operator_note = noted(row.operator_note, note, by, now)
    row.due_at, row.leased_until, row.finished_at, row.interruptions = now, None, None, 0


def noted(before: str, note: str, by: str, now: datetime) -> str:
    """Notes of operators, one line each, none overwritten."""
    return "\n".join(filter(None, [before, f"{now:%Y-%m-%d %H:%M:%S} {by}: {note}"]))


def ready_count(queue: Queue, *, lane: str | None = None, now: datetime) -> int:
    """Rows that a worker could claim at `now`, rows under another worker's live lease excluded."""
    rows = queue.model.objects.filter(state=queue.ready_state, due_at__lte=now)
    rows = rows.filter(Q(leased_until=None) | Q(leased_until__lt=now))
    return rows.filter(lane=lane).count() if lane else rows.count()


def buried(queue: Queue, key: UUID, token: UUID, tally: Tally) -> bool:
    """True when an interrupted row has no attempt left; it is given up without another run."""
    row = queue.model.objects.filter(pk=key, lease_token=token).first()
    if row is None or row.attempts <= queue.attempts_max(row):
        return False
    words = f"interrupted {row.interruptions} times; the last attempt allowed never ended"
    charge(queue, key, token, Interrupted(words), tally)
    return True


def _run(queue: Queue, keys: list[UUID], token: UUID, tally: Tally) -> None:
    stepwise: list[Any] = []
    if queue.own_steps is not None:
        rows = queue.model.objects.filter(pk__in=keys, lease_token=token).order_by("created_at")
        stepwise = [row for row in rows if queue.own_steps(row)]
        own = {row.pk for row in stepwise}
        keys = [key for key in keys if key not in own]
    if keys:
        _run_batch(queue, keys, token, tally)
    started = clock.utc_now()
    for position, row in enumerate(stepwise):
        if clock.utc_now() - started > STEPS_STARTED_WITHIN:
            hand_back(queue, [row.pk for row in stepwise[position:]], token)
            return
        _run_steps(queue, row, token, tally)


def _run_batch(queue: Queue, keys: list[UUID], token: UUID, tally: Tally) -> None:
    """All in one transaction; when that fails, each half by itself, down to the row to blame."""
    try:
        tally.finished += _in_transaction(queue, keys, token)
    except Exception as error:  # noqa: BLE001 - whatever a flow raises is charged to its row
        if len(keys) == 1:
            charge(queue, keys[0], token, error, tally)
            return
        log.info("%s: a batch of %d is split: %s", queue.name, len(keys), error)
        renew(queue, keys, token, LEASE)
        middle = len(keys) // 2
        _run_batch(queue, keys[:middle], token, tally)
        _run_batch(queue, keys[middle:], token, tally)


def renew(queue: Queue, keys: list[UUID], token: UUID, lease: timedelta) -> int:
    """Extend the lease of rows still held; answers how many they are.

    A row that is being finished right now is passed over: to wait for it, with others locked, is
    how a heartbeat and its own worker would block each other.
    """
    held = queue.model.objects.filter(pk__in=keys, lease_token=token, state=queue.ready_state)
    free = held.exclude(leased_until=None).select_for_update(skip_locked=True).order_by("pk")
    with transaction.atomic():
        mine = list(free.values_list("pk", flat=True))
        return int(queue.model.objects.filter(pk__in=mine).update(leased_until=Now() + lease))


def hand_back(queue: Queue, keys: list[UUID], token: UUID) -> None:
    """Rows claimed but not begun: free again at once, the attempt not charged."""
    held = queue.model.objects.filter(pk__in=keys, lease_token=token, state=queue.ready_state)
    held.update(leased_until=None, lease_token=None, attempts=F("attempts") - 1)


def _in_transaction(queue: Queue, keys: list[UUID], token: UUID) -> int:
    with bulk.uncollected(), transaction.atomic(durable=True):
        held = queue.model.objects.select_for_update().filter(
            pk__in=keys, lease_token=token, state=queue.ready_state
        )
        rows = list(held.order_by("created_at", "pk"))
        if rows:
            now = clock.utc_now()
            queue.run(rows, now)
            queue.finish(rows, now)
        return len(rows)


@contextmanager
def kept_leased(queue: Queue, held: Callable[[], list[UUID]], token: UUID) -> Iterator[None]:
    """Renew the leases of all rows held, from one thread, until the block or the process ends."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(BEAT_S):
            try:
                renew(queue, held(), token, LEASE)
            except DatabaseError as error:
                log.warning("%s: leases were not renewed: %s", queue.name, error)
            finally:
                connection.close()

    thread = threading.Thread(target=beat, name=f"lease {token}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(BEAT_ENDS_WITHIN_S)


def _run_steps(queue: Queue, row: Any, token: UUID, tally: Tally) -> None:
    if not renew(queue, [row.pk], token, LEASE):
        return
    try:
        with kept_leased(queue, lambda: [row.pk], token):
            queue.run([row], clock.utc_now())
        tally.finished += finish(queue, [row.pk], token)
    except Exception as error:  # noqa: BLE001 - whatever a handler raises is charged to its row
        charge(queue, row.pk, token, error, tally)


def finish(queue: Queue, keys: list[UUID], token: UUID) -> int:
    """Rows that ran, as far as they are still held; answers how many."""
    with transaction.atomic(durable=True):
        held = queue.model.objects.select_for_update().filter(pk__in=keys, lease_token=token)
        rows = list(held.filter(state=queue.ready_state).order_by("pk"))
        if rows:
            queue.finish(rows, clock.utc_now())
    return len(rows)


def postpone(queue: Queue, laters: list[tuple[UUID, Postpone]], token: UUID) -> None:
    """Each row comes back at its own time, uncharged, as far as it is still held."""
    now = clock.utc_now()
    with transaction.atomic(durable=True):
        mine = queue.model.objects.filter(lease_token=token, state=queue.ready_state)
        for key, error in sorted(laters, key=lambda told: told[0]):
            _postpone(mine.filter(pk=key), error, now)


def charge(queue: Queue, key: UUID, token: UUID, error: BaseException, tally: Tally) -> None:
    """A refusal or failure is recorded in its own transaction (never with what it undid)."""
    now = clock.utc_now()
    with transaction.atomic(durable=True):
        held = queue.model.objects.select_for_update().filter(pk=key, lease_token=token).first()
        if held is None or held.state != queue.ready_state:
            return
        if isinstance(error, Postpone):
            _postpone(queue.model.objects.filter(pk=key), error, now)
            return
        dead = _note_failure(queue, held, error, now)
        held.save(update_fields=FAILURE_COLUMNS)
        if dead:
            queue.give_up(held, now)
    if dead or not isinstance(error, (*TRANSIENT, DatabaseError)):
        named = {"trace_id": held.trace_id, "event_id": held.public_id if held.PREFIX else ""}
        about = (queue.name, key, held.last_error)
        log.error("%s %s failed: %s", *about, exc_info=error, extra=named)
    tally.failed += 1
    tally.dead += int(dead)


def _postpone(row: Any, error: Postpone, now: datetime) -> None:
    row.update(
        due_at=max(error.due_at, now + POSTPONE_MIN),
        attempts=F("attempts") - 1,
        interruptions=0,
        leased_until=None,
        last_error=str(error)[:ERROR_TEXT_MAX],
    )


def _note_failure(queue: Queue, held: Any, error: BaseException, now: datetime) -> bool:
    """Set what the row tells of its failure; answers whether it was the last."""
    structural = isinstance(error, StructuralMismatch)
    held.failure_kind = "structural" if structural else "transient"
    if isinstance(error, Interrupted):
        held.failure_kind = "interrupted"
    held.last_error = f"{type(error).__name__}: {error}"[:ERROR_TEXT_MAX].replace("\x00", "")
    held.cause = causes.signature(held.last_error)
    entry = {"at": now.isoformat(), "attempt": held.attempts, "error": held.last_error[:500]}
    if isinstance(error, StructuralMismatch) and error.path:
        entry["path"] = error.path[:200]
    held.failures = [*held.failures, entry][-FAILURES_KEPT:]
    held.first_failed_at = held.first_failed_at or now
    held.last_failed_at = now
    held.leased_until = None
    held.due_at = now + backoff(held.attempts)
    held.interruptions = 0
    return structural or held.attempts >= queue.attempts_max(held)
