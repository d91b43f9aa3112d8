"""The one statement of the accept path, for one body or for several that came at the same moment.

Owns the SQL that writes payload, event, receipts and the news of a repetition, and its way to the
server: prepared once per connection and shape, parameters as text straight through libpq, which is
half of what a cursor costs here. It touches no shared row and reads nothing first. Every key is
made by the caller, so running it again after an unclear commit stores nothing twice. Serves WH-5,
WH-6, WH-8, I1 and I3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from django.db import connection
from psycopg import pq

REPEATED = "delivery.repeated"
STATEMENT_TIMEOUT_MS = 8000
# Shapes up to this many bodies of one item each keep a prepared plan per connection.
PREPARED_MAX = 16
Value = bytes | None

# One row per body: (name, SQL type). `n` ties its items to it.
BODY_COLUMNS = (
    ("n", "int4"),
    ("book_id", "uuid"),
    ("account_id", "uuid"),
    ("account", "text"),
    ("payload_id", "uuid"),
    ("now", "timestamptz"),
    ("sha256", "text"),
    ("size_bytes", "int4"),
    ("headers", "jsonb"),
    ("remote_ip", "inet"),
    ("allowlist_ok", "bool"),
    ("secret_id", "uuid"),
    ("trace_id", "text"),
    ("status_sent", "int2"),
    ("message_lane", "text"),
    ("data_key_id", "uuid"),
    ("ciphertext", "bytea"),
)
# One row per item: (name, SQL type).
ITEM_COLUMNS = (
    ("n", "int4"),
    ("delivery_id", "uuid"),
    ("event_id", "uuid"),
    ("verified", "bool"),
    ("reason", "text"),
    ("item_index", "int4"),
    ("provider_event_id", "text"),
    ("dedupe_key", "text"),
    ("fingerprint", "text"),
    ("type", "text"),
    ("object_id", "text"),
    ("amount_minor", "int8"),
    ("currency", "text"),
    ("occurred_at", "timestamptz"),
    ("sequence", "int8"),
    ("request_id", "text"),
    ("request_key", "text"),
    ("lane", "text"),
    ("parse_error", "text"),
)
STATEMENT = """
WITH body ({body_names}) AS (VALUES {body_rows}),
item ({item_names}) AS (VALUES {item_rows}),
payload AS (
  INSERT INTO webhooks_payload (id, created_at, book_id, sha256, size_bytes, data_key_id,
    ciphertext)
  SELECT b.payload_id, b.now, b.book_id, b.sha256, b.size_bytes, b.data_key_id, b.ciphertext
  FROM body b
  ON CONFLICT (id) DO NOTHING),
event AS (
  INSERT INTO webhooks_providerevent (id, created_at, book_id, account_id, provider_event_id,
    dedupe_key, fingerprint, type, object_id, amount_minor, currency, occurred_at, sequence,
    request_id, request_idempotency_key, payload_id, item_index, state, outcome, reprocessable,
    subject_id, waits_for, lane, due_at, attempts, interruptions, last_error, failure_kind,
    failures, operator_note, trace_id)
  SELECT i.event_id, b.now, b.book_id, b.account_id, i.provider_event_id, i.dedupe_key,
    i.fingerprint, i.type, i.object_id, i.amount_minor, i.currency, i.occurred_at, i.sequence,
    i.request_id, i.request_key, b.payload_id, i.item_index, 'RECEIVED', i.parse_error, false,
    '', '', i.lane, b.now, 0, 0, '', '', '[]', '', b.trace_id
  FROM item i JOIN body b USING (n) WHERE i.verified
  ON CONFLICT (book_id, account_id, dedupe_key) DO NOTHING
  RETURNING id),
receipt AS (
  INSERT INTO webhooks_delivery (id, created_at, book_id, account_id, dedupe_key,
    provider_event_id, fingerprint, payload_id, item_index, sha256, size_bytes, headers, remote_ip,
    allowlist_ok, signature_ok, signature_reason, secret_id, duplicate, status_sent, trace_id)
  SELECT i.delivery_id, b.now, b.book_id, b.account_id,
    CASE WHEN i.verified THEN i.dedupe_key ELSE '' END,
    CASE WHEN i.verified THEN i.provider_event_id ELSE '' END,
    CASE WHEN i.verified THEN i.fingerprint ELSE '' END,
    CASE WHEN i.verified THEN b.payload_id END, i.item_index, b.sha256, b.size_bytes, b.headers,
    b.remote_ip, b.allowlist_ok, i.verified, i.reason, b.secret_id,
    i.verified AND e.id IS NULL, b.status_sent, b.trace_id
  FROM item i JOIN body b USING (n) LEFT JOIN event e ON e.id = i.event_id
  ON CONFLICT (id) DO NOTHING
  RETURNING id, duplicate),
repeated AS (
  INSERT INTO core_message (id, created_at, book_id, topic, key, payload, state, lane, due_at,
    attempts, interruptions, last_error, failure_kind, failures, operator_note, trace_id)
  SELECT r.id, b.now, b.book_id, '{topic}', 'wd_' || replace(r.id::text, '-', ''),
    jsonb_build_object('delivery_id', 'wd_' || replace(r.id::text, '-', ''),
      'account', b.account, 'dedupe_key', i.dedupe_key),
    'PENDING', b.message_lane, b.now, 0, 0, '', '', '[]', '', b.trace_id
  FROM receipt r JOIN item i ON i.delivery_id = r.id JOIN body b USING (n) WHERE r.duplicate
  ON CONFLICT (book_id, topic, key) DO NOTHING)
SELECT i.n, count(e.id), count(*) FILTER (WHERE r.duplicate)
FROM item i LEFT JOIN receipt r ON r.id = i.delivery_id LEFT JOIN event e ON e.id = i.event_id
GROUP BY i.n
"""


class Unstorable(ValueError):
    """A text that no column of the database can hold (a NUL character)."""


@dataclass(frozen=True, slots=True)
class Rows:
    """What one body writes: its own values and its items', in the order of the columns above."""

    body: tuple[Value, ...]
    items: tuple[tuple[Value, ...], ...]


@dataclass(frozen=True, slots=True)
class Stored:
    """How many events are new, how many receipts repeat a known one."""

    fresh: int
    repeated: int


def run(bodies: Sequence[Rows]) -> list[Stored]:
    """Write all bodies or none; one answer each, in their order. Raises psycopg.Error, Unstorable.

    Commits by itself, unless a transaction is open.
    """
    values: list[Value] = []
    count = 0
    for number, body in enumerate(bodies, start=1):
        values += (b"%d" % number, *body.body)
    for number, body in enumerate(bodies, start=1):
        for item in body.items:
            values += (b"%d" % number, *item)
            count += 1
    found = {
        int(number): Stored(int(fresh), int(repeated))
        for number, fresh, repeated in _execute(_link(), len(bodies), count, values)
    }
    return [found[number] for number in range(1, len(bodies) + 1)]


def text(value: str) -> bytes:
    """A text parameter. Raises Unstorable for a NUL and UnicodeEncodeError for half a character."""
    encoded = value.encode()
    if b"\x00" in encoded:
        raise Unstorable("a NUL character cannot be stored")
    return encoded


def _link() -> psycopg.Connection[Any]:
    connection.ensure_connection()
    link: psycopg.Connection[Any] = connection.connection
    if link not in _prepared:
        link.execute(f"SET statement_timeout = {STATEMENT_TIMEOUT_MS}")
        _prepared[link] = set()
    if connection.in_atomic_block:
        # The driver opens a transaction with its own first statement only.
        link.execute("SELECT 1")
    return link


# Which shapes are prepared on a connection; a connection that is closed takes its own along.
_prepared: WeakKeyDictionary[psycopg.Connection[Any], set[bytes]] = WeakKeyDictionary()


def _execute(
    link: psycopg.Connection[Any], bodies: int, items: int, values: list[Value]
) -> list[tuple[bytes, bytes, bytes]]:
    server = link.pgconn
    formats = _formats(bodies, items)
    if items == bodies <= PREPARED_MAX:
        name = b"accept_%d" % bodies
        if name not in _prepared[link]:
            _check(link, server.prepare(name, _statement(bodies, items)))
            _prepared[link].add(name)
        result = server.exec_prepared(name, values, formats)
    else:
        result = server.exec_params(_statement(bodies, items), values, param_formats=formats)
    _check(link, result)
    return [
        (_cell(result, row, 0), _cell(result, row, 1), _cell(result, row, 2))
        for row in range(result.ntuples)
    ]


def _cell(result: pq.abc.PGresult, row: int, column: int) -> bytes:
    value = result.get_value(row, column)
    assert value is not None, "numbers and counts are never null"
    return value


def _check(link: psycopg.Connection[Any], result: pq.abc.PGresult) -> None:
    if result.status in (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK):
        return
    words = result.get_error_message()
    state = result.error_field(pq.DiagnosticField.SQLSTATE)
    if state is None or link.pgconn.status != pq.ConnStatus.OK:
        raise psycopg.OperationalError(words)
    raise psycopg.errors.lookup(state.decode())(words)


@lru_cache(maxsize=64)
def _formats(bodies: int, items: int) -> list[int]:
    """Binary for the encrypted body, text for everything else."""
    body = [int(kind == "bytea") for _, kind in BODY_COLUMNS]
    return body * bodies + [0] * (len(ITEM_COLUMNS) * items)


@lru_cache(maxsize=64)
def _statement(bodies: int, items: int) -> bytes:
    number = 0
    rows: list[list[str]] = []
    for columns, count in ((BODY_COLUMNS, bodies), (ITEM_COLUMNS, items)):
        rows.append([])
        for _ in range(count):
            cells = []
            for _, kind in columns:
                number += 1
                cells.append(f"${number}::{kind}")
            rows[-1].append(f"({', '.join(cells)})")
    return STATEMENT.format(
        body_names=", ".join(name for name, _ in BODY_COLUMNS),
        body_rows=", ".join(rows[0]),
        item_names=", ".join(name for name, _ in ITEM_COLUMNS),
        item_rows=", ".join(rows[1]),
        topic=REPEATED,
    ).encode()
