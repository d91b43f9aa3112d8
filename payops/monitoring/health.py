"""GET /healthz: is this process ready, and how is each part, as JSON for probes and people.

Ready means the database answers, is migrated, and no seeding is under way. The broker only wakes
workers up, so its absence degrades nothing but latency. Every figure comes from an index; no secret
and no name leaves here. Serves OB-6 and I2, I11.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from redis import Redis
from redis.exceptions import RedisError

from payops.core import clock
from payops.core.lanes import LANES
from payops.core.models import ScheduleSlot
from payops.core.topics import topic_table

log = logging.getLogger(__name__)

BROKER_TIMEOUT_S = 0.5
SLOTS_READ = 200
SEALED_WITHIN = timedelta(seconds=60)
STARTED_WITHIN = timedelta(minutes=5)
# The next row of each lane that a worker could take, from the partial indexes of both queues.
OLDEST_WAITING = """
SELECT lane,
 (SELECT due_at FROM webhooks_providerevent e WHERE e.state = 'RECEIVED' AND e.lane = l.lane
  ORDER BY due_at LIMIT 1),
 (SELECT due_at FROM core_message m WHERE m.state = 'PENDING' AND m.lane = l.lane
  ORDER BY due_at LIMIT 1)
FROM unnest(%s::text[]) AS l(lane)"""
# What the sealer would look at first: rows behind the last sealed transaction.
OLDEST_UNSEALED = """
SELECT min(a.created_at) FROM core_auditevent a
WHERE a.xid >= coalesce((SELECT l.xid FROM core_auditseal t JOIN core_auditevent l
  ON l.id = t.audit_id ORDER BY t.seq DESC LIMIT 1), '0'::xid8)
AND NOT EXISTS (SELECT 1 FROM core_auditseal s WHERE s.audit_id = a.id)"""


class _Migrated:
    """Remembers that nothing was pending: a running process cannot become unmigrated."""

    done = False


def healthz(request: HttpRequest) -> JsonResponse:
    now = clock.utc_now()
    parts = {"database": _database(), "broker": _broker(), "books": _books()}
    ready = parts["database"]["state"] == "ready"
    if ready:
        parts |= _read(now)
    ready = ready and all(parts[name]["state"] == "ready" for name in ("migrations", "books"))
    answer = {"ready": ready, "at": now.isoformat(timespec="seconds"), "parts": parts}
    return JsonResponse(answer, status=200 if ready else 503, headers={"Cache-Control": "no-store"})


def _database() -> dict[str, Any]:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error as error:
        log.warning("the database does not answer: %s", type(error).__name__)
        return {"state": "away"}
    return {"state": "ready"}


def _books() -> dict[str, Any]:
    """`up` marks the time in which it brings the demo company's books to life."""
    seeding = bool(settings.SEEDING_MARK) and Path(settings.SEEDING_MARK).exists()
    return {"state": "seeding" if seeding else "ready"}


def _broker() -> dict[str, Any]:
    if not settings.REDIS_URL.startswith(("redis://", "rediss://", "unix://")):
        return {"state": "unknown"}
    client = Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=BROKER_TIMEOUT_S,
        socket_connect_timeout=BROKER_TIMEOUT_S,
    )
    try:
        client.ping()
    except (RedisError, OSError):
        return {"state": "away", "words": "workers find their work by the sweep"}
    finally:
        client.close()
    return {"state": "ready"}


def _read(now: datetime) -> dict[str, dict[str, Any]]:
    try:
        migrations = _migrations()
        if migrations["state"] != "ready":
            return {"migrations": migrations}
        return {
            "migrations": migrations,
            "audit": _audit(now),
            "lanes": _lanes(now),
            "schedule": _schedule(now),
            "topics": {"state": "ready", "known": len(topic_table())},
        }
    except Error as error:
        log.warning("health cannot be read: %s", type(error).__name__)
        return {"migrations": {"state": "unknown"}}


def _migrations() -> dict[str, Any]:
    if not _Migrated.done:
        executor = MigrationExecutor(connection)
        pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
        if pending:
            return {"state": "pending", "count": len(pending)}
        _Migrated.done = True
    return {"state": "ready"}


def _audit(now: datetime) -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute(OLDEST_UNSEALED)
        (oldest,) = cursor.fetchone()
    age = _age_s(oldest, now)
    late = age is not None and age > SEALED_WITHIN.total_seconds()
    return {"state": "late" if late else "ready", "oldest_unsealed_s": age}


def _lanes(now: datetime) -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute(OLDEST_WAITING, [list(LANES)])
        rows = cursor.fetchall()
    waiting = {
        lane: {"inbox_s": _age_s(event, now), "outbox_s": _age_s(message, now)}
        for lane, event, message in rows
    }
    limit = STARTED_WITHIN.total_seconds()
    late = any((age or 0) > limit for lane in waiting.values() for age in lane.values())
    return {"state": "late" if late else "ready", "oldest_waiting": waiting}


def _schedule(now: datetime) -> dict[str, Any]:
    """When each scheduled work last ran, as far as it leaves a trace."""
    latest: dict[str, datetime] = {}
    for name, ran_at in ScheduleSlot.objects.order_by("-pk").values_list("name", "ran_at")[
        :SLOTS_READ
    ]:
        latest.setdefault(name, ran_at)
    ages = {name: _age_s(ran_at, now) for name, ran_at in sorted(latest.items())}
    return {"state": "ready" if ages else "unknown", "last_ran_s": ages}


def _age_s(at: datetime | None, now: datetime) -> int | None:
    """Whole seconds since `at`; nothing that lies in the future waits."""
    return None if at is None else max(0, int((now - at).total_seconds()))
