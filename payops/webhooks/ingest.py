"""Makes one received body durable: a single statement in a single short transaction.

Owns the statement that writes payload, event, receipts and the news of a repetition. It touches no
shared row, reads nothing first, and is safe to send again after a broken connection, because every
key is made here before the first try. Serves WH-1, WH-5, WH-6, WH-8, WH-9, WH-14, I1 and I3.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import psycopg
from django.db import Error as DjangoDatabaseError
from django.db import connection
from psycopg.types.numeric import Int8

from payops.core import crypto, ids
from payops.core.models import DataKey
from payops.core.topics import topic_table
from payops.psp.base import WebhookItem
from payops.webhooks.directory import Endpoint

REPEATED = "delivery.repeated"
STATUS_ACCEPTED = 200
STATEMENT_TIMEOUT_MS = 8000
TYPE_CHARS_MAX = 120
UNPARSEABLE = "unparseable"

# One row per item: (name, SQL type).
ITEM_COLUMNS = (
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
WITH item ({names}) AS (VALUES {rows}),
receipt_facts (book_id, account_id, account, payload_id, now, sha256, size_bytes, headers,
  remote_ip, secret_id, trace_id, status_sent, message_lane) AS (VALUES
  (%s::uuid, %s::uuid, %s::text, %s::uuid, %s::timestamptz, %s::text, %s::int4, %s::jsonb,
   %s::inet, %s::uuid, %s::text, %s::int2, %s::text)),
payload AS (
  INSERT INTO webhooks_payload (id, created_at, book_id, sha256, size_bytes, data_key_id,
    ciphertext)
  SELECT f.payload_id, f.now, f.book_id, f.sha256, f.size_bytes, %s::uuid, %s::bytea
  FROM receipt_facts f
  ON CONFLICT (id) DO NOTHING),
event AS (
  INSERT INTO webhooks_providerevent (id, created_at, book_id, account_id, provider_event_id,
    dedupe_key, fingerprint, type, object_id, amount_minor, currency, occurred_at, sequence,
    request_id, request_idempotency_key, payload_id, item_index, state, outcome, reprocessable,
    subject_id, waits_for, lane, due_at, attempts, interruptions, last_error, failure_kind,
    failures, operator_note, trace_id)
  SELECT i.event_id, f.now, f.book_id, f.account_id, i.provider_event_id, i.dedupe_key,
    i.fingerprint, i.type, i.object_id, i.amount_minor, i.currency, i.occurred_at, i.sequence,
    i.request_id, i.request_key, f.payload_id, i.item_index, 'RECEIVED', i.parse_error, false,
    '', '', i.lane, f.now, 0, 0, '', '', '[]', '', f.trace_id
  FROM item i, receipt_facts f WHERE i.verified
  ON CONFLICT (book_id, account_id, dedupe_key) DO NOTHING
  RETURNING id),
receipt AS (
  INSERT INTO webhooks_delivery (id, created_at, book_id, account_id, dedupe_key,
    provider_event_id, fingerprint, payload_id, item_index, sha256, size_bytes, headers, remote_ip,
    signature_ok, signature_reason, secret_id, duplicate, status_sent, trace_id)
  SELECT i.delivery_id, f.now, f.book_id, f.account_id,
    CASE WHEN i.verified THEN i.dedupe_key ELSE '' END,
    CASE WHEN i.verified THEN i.provider_event_id ELSE '' END,
    CASE WHEN i.verified THEN i.fingerprint ELSE '' END,
    CASE WHEN i.verified THEN f.payload_id END, i.item_index, f.sha256, f.size_bytes, f.headers,
    f.remote_ip, i.verified, i.reason, f.secret_id,
    i.verified AND NOT EXISTS (SELECT 1 FROM event e WHERE e.id = i.event_id), f.status_sent,
    f.trace_id
  FROM item i, receipt_facts f
  ON CONFLICT (id) DO NOTHING
  RETURNING id, duplicate),
repeated AS (
  INSERT INTO core_message (id, created_at, book_id, topic, key, payload, state, lane, due_at,
    attempts, interruptions, last_error, failure_kind, failures, operator_note, trace_id)
  SELECT r.id, f.now, f.book_id, '{topic}', 'wd_' || replace(r.id::text, '-', ''),
    jsonb_build_object('delivery_id', 'wd_' || replace(r.id::text, '-', ''),
      'account', f.account, 'dedupe_key', i.dedupe_key),
    'PENDING', f.message_lane, f.now, 0, 0, '', '', '[]', '', f.trace_id
  FROM receipt r JOIN item i ON i.delivery_id = r.id, receipt_facts f WHERE r.duplicate
  ON CONFLICT (book_id, topic, key) DO NOTHING)
SELECT (SELECT count(*) FROM event), (SELECT count(*) FROM receipt WHERE duplicate)
"""
REFUSAL = """
INSERT INTO webhooks_delivery (id, created_at, book_id, account_id, dedupe_key, provider_event_id,
  fingerprint, payload_id, item_index, sha256, size_bytes, headers, remote_ip, signature_ok,
  signature_reason, secret_id, duplicate, status_sent, trace_id)
VALUES (%s::uuid, %s::timestamptz, %s::uuid, %s::uuid, '', '', '', NULL, 0, %s::text, %s::int4,
  %s::jsonb, %s::inet, false, %s::text, %s::uuid, false, %s::int2, %s::text)
ON CONFLICT (id) DO NOTHING
"""


class NotDurable(Exception):
    """Nothing was stored for sure; the provider has to send it again (WH-14)."""


class StoredReferenceGone(NotDurable):
    """A row this process knew by heart is gone (a restored database); read again, then retry."""


class FactsRefused(ValueError):
    """The database cannot hold what an item says of itself."""


@dataclass(frozen=True, slots=True)
class Received:
    """One body as it came in, before anybody believed it."""

    endpoint: Endpoint
    raw: bytes
    sha256: str
    headers: Mapping[str, str]
    remote_ip: str | None
    trace_id: str
    now: datetime


@dataclass(frozen=True, slots=True)
class Stored:
    """How many events are new, how many receipts repeat a known one."""

    fresh: int
    repeated: int


def store(
    received: Received,
    *,
    items: Sequence[WebhookItem],
    secret_id: str | None,
    data_key: DataKey,
    parse_error: str = "",
) -> Stored:
    """Write all that one body brought. Raises NotDurable or FactsRefused; nothing is kept then."""
    assert items, "a stored body has at least one item"
    values: list[Any] = []
    for item in items:
        values += _item_values(item, parse_error)
    endpoint = received.endpoint
    values += [
        endpoint.book.pk,
        endpoint.account_id,
        endpoint.address,
        ids.uuid7(),
        received.now,
        received.sha256,
        Int8(len(received.raw)),
        json.dumps(received.headers),
        received.remote_ip,
        UUID(secret_id) if secret_id else None,
        received.trace_id,
        Int8(STATUS_ACCEPTED),
        repeated_lane(),
        data_key.pk,
        crypto.seal(data_key, received.raw),
    ]
    fresh, repeated = _execute(_statement(len(items)), values)
    return Stored(fresh, repeated)


def store_refusal(received: Received, *, reason: str, secret_id: str | None, status: int) -> None:
    """Hash and headers of a body nobody may believe; its bytes are not kept."""
    _execute(
        REFUSAL,
        [
            ids.uuid7(),
            received.now,
            received.endpoint.book.pk,
            received.endpoint.account_id,
            received.sha256,
            Int8(len(received.raw)),
            json.dumps(received.headers),
            received.remote_ip,
            reason,
            UUID(secret_id) if secret_id else None,
            Int8(status),
            received.trace_id,
        ],
    )


def unparseable(received: Received) -> WebhookItem:
    """The item of a signed body that cannot be read: one event per distinct body."""
    return WebhookItem(
        index=0,
        provider_event_id="",
        dedupe_key=f"{UNPARSEABLE}:{received.sha256}",
        fingerprint=received.sha256,
        event_type=UNPARSEABLE,
        object_id="",
        amount_minor=None,
        currency=None,
        occurred_at=None,
        live=None,
        lane="standard",
    )


def repeated_lane() -> str:
    return topic_table()[REPEATED].lane


def _item_values(item: WebhookItem, parse_error: str) -> list[Any]:
    return [
        ids.uuid7(),
        ids.uuid7(),
        item.verified,
        item.reason,
        Int8(item.index),
        item.provider_event_id,
        item.dedupe_key,
        item.fingerprint,
        item.event_type[:TYPE_CHARS_MAX],
        item.object_id,
        None if item.amount_minor is None else Int8(item.amount_minor),
        item.currency or "",
        item.occurred_at,
        None if item.sequence is None else Int8(item.sequence),
        item.request_id or "",
        item.request_idempotency_key or "",
        item.lane,
        parse_error,
    ]


@lru_cache(maxsize=64)
def _statement(count: int) -> str:
    row = "(" + ", ".join(f"%s::{kind}" for _, kind in ITEM_COLUMNS) + ")"
    return STATEMENT.format(
        names=", ".join(name for name, _ in ITEM_COLUMNS),
        rows=", ".join([row] * count),
        topic=REPEATED,
    )


def _execute(statement: str, values: Sequence[Any]) -> tuple[Any, ...]:
    """Run it, once more on a new connection when the old one turns out to be dead."""
    try:
        try:
            return _execute_once(statement, values)
        except psycopg.OperationalError:
            if connection.in_atomic_block or not _is_broken():
                raise
            connection.close()
            return _execute_once(statement, values)
    except psycopg.errors.ForeignKeyViolation as error:
        raise StoredReferenceGone(str(error)) from error
    except psycopg.DataError as error:
        raise FactsRefused(str(error)) from error
    except (psycopg.Error, DjangoDatabaseError) as error:
        raise NotDurable(str(error)) from error


def _execute_once(statement: str, values: Sequence[Any]) -> tuple[Any, ...]:
    """The driver's own cursor: parameters apart from the text, so that the plan is kept."""
    connection.ensure_connection()
    link: psycopg.Connection[Any] = connection.connection
    if link.prepare_threshold is None:
        link.prepare_threshold = 5
        link.execute(f"SET statement_timeout = {STATEMENT_TIMEOUT_MS}")
    with psycopg.Cursor(link) as cursor:
        cursor.execute(statement, values)
        return cursor.fetchone() or () if cursor.description else ()


def _is_broken() -> bool:
    link = connection.connection
    return link is None or bool(link.closed) or bool(link.broken)
