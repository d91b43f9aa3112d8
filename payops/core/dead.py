"""What died alike: the dead rows of a queue by their cause (WH-18, WH-20).

Reads only. Counting stops at COUNT_MAX and causes at CAUSES_MAX, so that the answer costs the same
at ten thousand dead rows and at two million: an index is jumped through from cause to cause.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Q, QuerySet
from psycopg import sql

from payops.core.models import Book

COUNT_MAX = 1000
CAUSES_MAX = 50
KINDS_MAX = 200
KINDS = (
    ("structural", "Structural"),
    ("transient", "Transient"),
    ("interrupted", "Interrupted"),
)
# (key, label, at least so long ago, less than so long ago), by the last failure.
AGES: tuple[tuple[str, str, timedelta | None, timedelta | None], ...] = (
    ("1h", "Under 1 h", None, timedelta(hours=1)),
    ("1d", "1 to 24 h", timedelta(hours=1), timedelta(days=1)),
    ("7d", "1 to 7 d", timedelta(days=1), timedelta(days=7)),
    ("old", "Over 7 d", timedelta(days=7), None),
)
GROUPS = sql.SQL("""
WITH RECURSIVE c(cause) AS (
  (SELECT cause FROM {table} WHERE book_id = %(book)s AND state = 'DEAD' ORDER BY cause LIMIT 1)
  UNION ALL
  SELECT (SELECT d.cause FROM {table} d WHERE d.book_id = %(book)s AND d.state = 'DEAD'
    AND d.cause > c.cause ORDER BY d.cause LIMIT 1) FROM c WHERE c.cause IS NOT NULL)
SELECT c.cause, n.n, newest.failure_kind, oldest.first_failed_at, newest.last_failed_at,
  newest.id, newest.last_error
FROM (SELECT cause FROM c WHERE cause IS NOT NULL LIMIT %(causes)s) c
CROSS JOIN LATERAL (SELECT count(*) AS n FROM (SELECT 1 FROM {table} d WHERE d.book_id = %(book)s
  AND d.state = 'DEAD' AND d.cause = c.cause LIMIT %(most)s) x) n
CROSS JOIN LATERAL (SELECT d.id, d.failure_kind, d.last_failed_at, d.last_error FROM {table} d
  WHERE d.book_id = %(book)s AND d.state = 'DEAD' AND d.cause = c.cause
  ORDER BY d.last_failed_at DESC, d.id DESC LIMIT 1) newest
CROSS JOIN LATERAL (SELECT d.first_failed_at FROM {table} d
  WHERE d.book_id = %(book)s AND d.state = 'DEAD' AND d.cause = c.cause
  ORDER BY d.last_failed_at, d.id LIMIT 1) oldest
ORDER BY n.n DESC, c.cause
""")
DISTINCT = sql.SQL("""
WITH RECURSIVE t(v) AS (
  (SELECT {column} FROM {table} WHERE book_id = %(book)s AND state = 'DEAD'
    ORDER BY {column} LIMIT 1)
  UNION ALL
  SELECT (SELECT d.{column} FROM {table} d WHERE d.book_id = %(book)s AND d.state = 'DEAD'
    AND d.{column} > t.v ORDER BY d.{column} LIMIT 1) FROM t WHERE t.v IS NOT NULL)
SELECT v FROM t WHERE v IS NOT NULL LIMIT %(most)s
""")


@dataclass(frozen=True, slots=True)
class Group:
    """Dead rows of one cause, with the newest as the sample."""

    cause: str
    count: int
    more: bool
    kind: str
    first_at: datetime | None
    last_at: datetime | None
    sample_key: UUID
    sample_error: str


def groups(model: Any, book: Book) -> list[Group]:
    """The causes by how many rows died of each; at most CAUSES_MAX of them."""
    values: dict[str, Any] = {"book": book.pk, "causes": CAUSES_MAX, "most": COUNT_MAX + 1}
    statement = GROUPS.format(table=sql.Identifier(model._meta.db_table))
    with connection.cursor() as cursor:
        cursor.execute(statement.as_string(cursor.connection), values)
        found = cursor.fetchall()
    return [
        Group(cause, min(n, COUNT_MAX), n > COUNT_MAX, kind, first, last, key, error)
        for cause, n, kind, first, last, key, error in found
    ]


def kinds_of(model: Any, book: Book, column: str) -> list[str]:
    """The types or topics that dead rows have: a look per value, not per row."""
    statement = DISTINCT.format(
        table=sql.Identifier(model._meta.db_table), column=sql.Identifier(column)
    )
    with connection.cursor() as cursor:
        values: dict[str, Any] = {"book": book.pk, "most": KINDS_MAX}
        cursor.execute(statement.as_string(cursor.connection), values)
        return [row[0] for row in cursor.fetchall()]


def count(rows: QuerySet[Any]) -> tuple[int, bool]:
    """How many, up to COUNT_MAX, and whether there are more."""
    found = len(rows.order_by().values_list("pk")[: COUNT_MAX + 1])
    return min(found, COUNT_MAX), found > COUNT_MAX


def aged(key: str, now: datetime) -> Q:
    """Rows whose last failure is so long ago; everything for a key that is none."""
    wanted = Q()
    for name, _, least, most in AGES:
        if name == key and least is not None:
            wanted &= Q(last_failed_at__lte=now - least)
        if name == key and most is not None:
            wanted &= Q(last_failed_at__gt=now - most)
    return wanted
