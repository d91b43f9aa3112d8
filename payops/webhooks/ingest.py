"""Makes received bodies durable: a single statement in a single short transaction.

Bodies that come at the same moment share one; a body that arrives alone waits for nobody. It is
safe to send again after a broken connection, because every key is made here before the first try.
Serves WH-1, WH-5, WH-6, WH-8, WH-9, WH-14, SC-1, I1 and I3.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import psycopg
from django.db import Error as DjangoDatabaseError
from django.db import connection

from payops.core import crypto, ids
from payops.core.grouping import Grouped
from payops.core.models import DataKey
from payops.core.topics import topic_table
from payops.psp.base import WebhookItem
from payops.webhooks import statement
from payops.webhooks.directory import Endpoint
from payops.webhooks.statement import REPEATED, Rows, Stored, Unstorable, Value, text

STATUS_ACCEPTED = 200
TYPE_CHARS_MAX = 120
UNPARSEABLE = "unparseable"
REFUSAL = """
INSERT INTO webhooks_delivery (id, created_at, book_id, account_id, dedupe_key, provider_event_id,
  fingerprint, payload_id, item_index, sha256, size_bytes, headers, remote_ip, allowlist_ok,
  signature_ok, signature_reason, secret_id, duplicate, status_sent, trace_id)
VALUES (%s::uuid, %s::timestamptz, %s::uuid, %s::uuid, '', '', '', NULL, 0, %s::text, %s::int4,
  %s::jsonb, %s::inet, %s::bool, false, %s::text, %s::uuid, false, %s::int2, %s::text)
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
    """One body as it came in, before anybody believed it; `allowlist_ok` as a receipt keeps it."""

    endpoint: Endpoint
    raw: bytes
    sha256: str
    headers: Mapping[str, str]
    remote_ip: str | None
    trace_id: str
    now: datetime
    allowlist_ok: bool | None = None


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
    try:
        return _write(_rows(received, items, secret_id, data_key, parse_error))
    except psycopg.errors.ForeignKeyViolation as error:
        raise StoredReferenceGone(str(error)) from error
    except (psycopg.DataError, Unstorable, UnicodeEncodeError) as error:
        raise FactsRefused(str(error)) from error
    except (psycopg.Error, DjangoDatabaseError) as error:
        raise NotDurable(str(error)) from error


def store_refusal(received: Received, *, reason: str, secret_id: str | None, status: int) -> None:
    """Hash and headers of a body nobody may believe; its bytes are not kept."""
    values = [
        ids.uuid7(),
        received.now,
        received.endpoint.book.pk,
        received.endpoint.account_id,
        received.sha256,
        len(received.raw),
        json.dumps(received.headers),
        received.remote_ip,
        received.allowlist_ok,
        reason,
        UUID(secret_id) if secret_id else None,
        status,
        received.trace_id,
    ]
    try:
        with connection.cursor() as cursor:
            cursor.execute(REFUSAL, values)
    except DjangoDatabaseError as error:
        raise NotDurable(str(error)) from error


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


def _run(bodies: Sequence[Rows]) -> list[Stored]:
    """Once more on a new connection when the old one turns out to be dead."""
    try:
        return statement.run(bodies)
    except psycopg.OperationalError:
        if connection.in_atomic_block or not _is_broken():
            raise
        connection.close()
        return statement.run(bodies)


_write = Grouped(_run)


def _is_broken() -> bool:
    link = connection.connection
    return link is None or bool(link.closed) or bool(link.broken)


def _rows(
    received: Received,
    items: Sequence[WebhookItem],
    secret_id: str | None,
    data_key: DataKey,
    parse_error: str,
) -> Rows:
    """The values of one body as the statement's parameters."""
    endpoint = received.endpoint
    allowed = received.allowlist_ok
    body: tuple[Value, ...] = (
        _key(endpoint.book.pk),
        _key(endpoint.account_id),
        text(endpoint.address),
        _key(ids.uuid7()),
        _time(received.now),
        received.sha256.encode(),
        b"%d" % len(received.raw),
        text(json.dumps(received.headers)),
        None if received.remote_ip is None else received.remote_ip.encode(),
        None if allowed is None else _flag(allowed),
        secret_id.encode() if secret_id else None,
        received.trace_id.encode(),
        b"%d" % STATUS_ACCEPTED,
        repeated_lane().encode(),
        _key(data_key.pk),
        crypto.seal(data_key, received.raw),
    )
    return Rows(body, tuple(_item_values(endpoint, item, parse_error) for item in items))


def _item_values(endpoint: Endpoint, item: WebhookItem, parse_error: str) -> tuple[Value, ...]:
    return (
        _key(ids.uuid7()),
        _key(ids.uuid7()),
        _flag(item.verified),
        text(item.reason),
        b"%d" % item.index,
        text(item.provider_event_id),
        text(item.dedupe_key),
        text(item.fingerprint),
        text(item.event_type[:TYPE_CHARS_MAX]),
        text(item.object_id),
        None if item.amount_minor is None else b"%d" % item.amount_minor,
        text(item.currency or ""),
        None if item.occurred_at is None else _time(item.occurred_at),
        None if item.sequence is None else b"%d" % item.sequence,
        text(item.request_id or ""),
        text(item.request_idempotency_key or ""),
        endpoint.lane_of(item).encode(),
        text(parse_error),
    )


def _key(key: UUID) -> bytes:
    return key.hex.encode()


def _time(at: datetime) -> bytes:
    return at.isoformat().encode()


def _flag(value: bool) -> bytes:
    return b"t" if value else b"f"
