"""How rows of a lane are claimed: under SKIP LOCKED, the attempt and a lease committed first.

Rows whose lease ran out are claimed apart from the others, one at a time: what killed its worker
must not take neighbours with it. In a lane that takes turns the first row of every turn comes
before the second of any. Never runs a row. Serves WH-16, WH-24, SC-3, SC-4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import connection, transaction
from psycopg import sql

if TYPE_CHECKING:
    from payops.core.queues import Queue

LEASE = timedelta(seconds=30)
# Of a turn that may have fewer than that, so many more are looked at than taken.
LOOKED_AT_MIN = 200


@dataclass(frozen=True, slots=True)
class Which:
    """Which rows of a lane: of these topics (or of all others), and how many of each turn.

    `each_max` holds for every turn but those in `turn_max`, which may have only so many now, 0 for
    none.
    """

    topics: Sequence[str] = ()
    others: bool = False
    each_max: int | None = None
    turn_max: Mapping[str, int] = field(default_factory=dict)


ALL = Which()
CLAIM = """
UPDATE {table} SET attempts = attempts + 1, lease_token = %s, leased_until = now() + %s,
  interruptions = interruptions + (leased_until IS NOT NULL)::int
WHERE id = ANY(ARRAY(SELECT id FROM {table} WHERE lane = %s AND state = %s
  AND due_at <= least(now(), %s) AND {lease_rule} AND {topic_rule} ORDER BY due_at LIMIT %s
  FOR UPDATE SKIP LOCKED)) RETURNING id, due_at
"""
# Of the oldest rows, the first of every turn before the second of any. More are looked at
# than taken, because other workers lock the same first ones.
CLAIM_IN_TURN = """
WITH ready AS MATERIALIZED (SELECT id, turn, due_at FROM {table} WHERE lane = %s AND state = %s
  AND due_at <= now() AND {lease_rule} AND {topic_rule} AND NOT turn = ANY(%s)
  ORDER BY due_at LIMIT 20000),
placed AS MATERIALIZED (SELECT id, due_at, place FROM (SELECT id, turn, due_at,
    row_number() OVER (PARTITION BY turn ORDER BY due_at, id) AS place FROM ready) r
  LEFT JOIN unnest(%s::text[], %s::int[]) AS few(turn, most) USING (turn)
  WHERE place <= coalesce(most, %s) ORDER BY place, due_at LIMIT %s)
UPDATE {table} SET attempts = attempts + 1, lease_token = %s, leased_until = now() + %s,
  interruptions = interruptions + (leased_until IS NOT NULL)::int
WHERE id = ANY(ARRAY(SELECT t.id FROM {table} t JOIN placed p ON p.id = t.id
  WHERE t.state = %s AND t.leased_until IS NULL ORDER BY p.place, p.due_at LIMIT %s
  FOR UPDATE OF t SKIP LOCKED)) RETURNING id, due_at
"""
# A backlog is younger than the statistics: the planner would take it for a few rows, read and sort
# all of it for every batch. In the order of the index it stops at the limit.
IN_INDEX_ORDER = (
    "SET LOCAL enable_sort = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_seqscan = off"
)
FREE = "leased_until IS NULL AND interruptions = 0"
INTERRUPTED = "(leased_until < now() OR (leased_until IS NULL AND interruptions > 0))"
Claimed = list[tuple[UUID, datetime]]


def free(
    queue: Queue, lane: str, token: UUID, limit: int, which: Which = ALL
) -> tuple[list[UUID], datetime | None]:
    """The keys claimed, and when the last of them fell due."""
    if lane in queue.lanes_in_turn:
        rows = _claimed_in_turn(queue, lane, token, limit, which)
        return [key for key, _ in rows], max((due_at for _, due_at in rows), default=None)
    rows = _claimed(queue, FREE, which, [token, LEASE, lane, queue.ready_state, None], limit)
    # Keys are ordered by time, so the halves of a failed batch keep the order of arrival.
    return sorted(key for key, _ in rows), max((due_at for _, due_at in rows), default=None)


def interrupted(
    queue: Queue, lane: str, token: UUID, until: datetime | None, which: Which = ALL
) -> list[UUID]:
    """One interrupted row that fell due before `until`."""
    values: list[Any] = [token, LEASE, lane, queue.ready_state, until]
    return [key for key, _ in _claimed(queue, INTERRUPTED, which, values, 1)]


def _topic_rule(which: Which) -> tuple[str, list[Any]]:
    if not which.topics:
        return "true", []
    return ("NOT topic = ANY(%s)" if which.others else "topic = ANY(%s)"), [list(which.topics)]


def _claimed(queue: Queue, lease_rule: str, which: Which, values: list[Any], limit: int) -> Claimed:
    topic_rule, topics = _topic_rule(which)
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute(IN_INDEX_ORDER)
        statement = _statement(queue, CLAIM, lease_rule, topic_rule)
        cursor.execute(statement.as_string(cursor.connection), [*values, *topics, limit])
        return list(cursor.fetchall())


def _claimed_in_turn(queue: Queue, lane: str, token: UUID, limit: int, which: Which) -> Claimed:
    topic_rule, topics = _topic_rule(which)
    few = {turn: most for turn, most in which.turn_max.items() if most > 0}
    none = [turn for turn, most in which.turn_max.items() if most <= 0]
    ready = queue.ready_state
    values: list[Any] = [lane, ready, *topics, none, list(few), list(few.values())]
    values.append(limit if which.each_max is None else which.each_max)
    values += [max(LOOKED_AT_MIN, 3 * limit), token, LEASE, ready, limit]
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        statement = _statement(queue, CLAIM_IN_TURN, FREE, topic_rule)
        cursor.execute(statement.as_string(cursor.connection), values)
        return list(cursor.fetchall())


def _statement(queue: Queue, text: str, lease_rule: str, topic_rule: str) -> sql.Composed:
    return sql.SQL(text).format(  # type: ignore[arg-type]
        table=sql.Identifier(queue.model._meta.db_table),
        lease_rule=sql.SQL(lease_rule),  # type: ignore[arg-type]
        topic_rule=sql.SQL(topic_rule),  # type: ignore[arg-type]
    )
