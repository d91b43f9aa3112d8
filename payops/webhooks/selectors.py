"""What people may see of the inbox: counts, receipts, bodies with persons masked.

Reads only, and at a cost that does not grow with the inbox. The whole body is for a view behind
step-up. Serves WH-8, WH-9, WH-18, WH-20.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

from payops.core import crypto
from payops.core.crypto import KeyErased
from payops.core.models import Book
from payops.psp import strictjson
from payops.psp.base import EventRefused
from payops.webhooks.models import Delivery, ProviderEvent

PAGE_MAX = 200
RECEIPTS_MAX = 500
COUNT_MAX = 1000
TYPES_MAX = 200
# Counting stops at its limit: a page costs the same at ten thousand rows and at two million.
COUNT_STATES = """
SELECT s.state, sum(l.n)::int, jsonb_object_agg(l.lane, l.n), min(l.oldest)
FROM (SELECT DISTINCT unnest(%s::text[]) AS state) s
CROSS JOIN LATERAL (
  SELECT e.lane, count(*) AS n, min(e.created_at) AS oldest FROM (
    SELECT lane, created_at FROM webhooks_providerevent
    WHERE book_id = %s AND state = s.state AND id >= %s ORDER BY id LIMIT %s) e
  GROUP BY e.lane) l
GROUP BY s.state
"""
COUNT_RECEIPTS = """
SELECT w.id, (SELECT count(*) FROM (SELECT 1 FROM webhooks_delivery d
  WHERE d.account_id = w.account_id AND d.dedupe_key = w.dedupe_key LIMIT %s) r)
FROM unnest(%s::uuid[], %s::uuid[], %s::text[]) AS w(id, account_id, dedupe_key)
"""
DISTINCT_TYPES = """
WITH RECURSIVE t(type) AS (
  (SELECT type FROM webhooks_providerevent WHERE book_id = %s ORDER BY type LIMIT 1)
  UNION ALL
  SELECT (SELECT e.type FROM webhooks_providerevent e WHERE e.book_id = %s AND e.type > t.type
    ORDER BY e.type LIMIT 1) FROM t WHERE t.type IS NOT NULL)
SELECT type FROM t WHERE type IS NOT NULL LIMIT %s
"""
MASK = "••••"
PERSONAL_PARTS = (
    "name",
    "email",
    "phone",
    "address",
    "street",
    "line1",
    "line2",
    "city",
    "postal",
    "zip",
    "iban",
    "account_number",
    "accountnumber",
    "routing",
    "bic",
    "swift",
    "holder",
    "owner",
    "birth",
    "dob",
    "tax_id",
    "ssn",
    "passport",
    "last4",
    "fingerprint",
    "card",
    "bank",
    "ip",
    "shopper",
    "customer",
    "token",
    "secret",
)
NOT_PERSONAL = frozenset({"zip_check", "description", "recipient_type", "ship", "relationship"})
SHORT_PARTS = frozenset({"ip", "zip", "bic", "dob", "ssn", "city", "name"})


@dataclass(frozen=True, kw_only=True, slots=True)
class StateCount:
    """Events in one state, counted up to COUNT_MAX of the oldest; `more` when there are others."""

    state: str
    count: int
    more: bool
    by_lane: dict[str, int]
    oldest_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class BodyView:
    """A body with persons masked; unreadable ones show their size and hash alone."""

    size_bytes: int
    sha256: str
    text: str
    readable: bool
    words: str = ""


def counts_by_state(
    *, book: Book, states: Sequence[str], since: datetime | None = None
) -> list[StateCount]:
    """How much is in each state, in one statement that costs the same at any size (OB-1).

    With `since`, only events received from then on are counted.
    """
    with connection.cursor() as cursor:
        least = floor_key(since) if since else UUID(int=0)
        cursor.execute(COUNT_STATES, [list(states), book.pk, least, COUNT_MAX + 1])
        found = {row[0]: row[1:] for row in cursor.fetchall()}
    answer = []
    for state in states:
        count, lanes, oldest_at = found.get(state, (0, {}, None))
        answer.append(
            StateCount(
                state=state,
                count=min(count, COUNT_MAX),
                more=count > COUNT_MAX,
                by_lane=lanes if isinstance(lanes, dict) else json.loads(lanes),
                oldest_at=oldest_at,
            )
        )
    return answer


def receipt_counts(events: Sequence[ProviderEvent]) -> dict[UUID, int]:
    """Receipts of each event up to RECEIPTS_MAX, in one statement for the whole page."""
    if not events:
        return {}
    with connection.cursor() as cursor:
        keys = [event.pk for event in events]
        accounts = [event.account_id for event in events]
        dedupe = [event.dedupe_key for event in events]
        cursor.execute(COUNT_RECEIPTS, [RECEIPTS_MAX, keys, accounts, dedupe])
        return dict(cursor.fetchall())


def types(*, book: Book) -> list[str]:
    """The types of event that were ever received: a look per type, not per event."""
    with connection.cursor() as cursor:
        cursor.execute(DISTINCT_TYPES, [book.pk, book.pk, TYPES_MAX])
        return [row[0] for row in cursor.fetchall()]


def named(text: str) -> QuerySet[ProviderEvent]:
    """Events of an id: the provider's, its object's, ours or the trace's; each by its own index."""
    rows = ProviderEvent.objects.order_by()
    columns = ("provider_event_id", "object_id", "subject_id", "trace_id")
    first, *others = (rows.filter(**{column: text}).values("pk") for column in columns)
    return rows.filter(pk__in=first.union(*others))


def floor_key(at: datetime) -> UUID:
    """The smallest key that can have been made at a moment: keys are time-ordered."""
    return UUID(int=int(at.timestamp() * 1000) << 80)


def receipts(*, event: ProviderEvent) -> list[Delivery]:
    """Every receipt of an event, oldest first."""
    found = Delivery.objects.filter(
        book_id=event.book_id, account_id=event.account_id, dedupe_key=event.dedupe_key
    )
    return list(found.order_by("created_at", "pk")[:RECEIPTS_MAX])


def refused_receipts(*, since: datetime, limit: int = 50) -> list[Delivery]:
    """Bodies nobody believed: hash, headers and reason only."""
    found = Delivery.objects.filter(signature_ok=False, created_at__gte=since)
    return list(found.select_related("account").order_by("-created_at")[: min(limit, PAGE_MAX)])


def raw_body(*, event: ProviderEvent) -> bytes:
    """The bytes exactly as received (I1). Raises KeyErased. Show them behind step-up only."""
    return crypto.open_sealed(event.payload.data_key, event.payload.ciphertext)


def redacted_body(*, event: ProviderEvent) -> BodyView:
    """Structure, amounts and ids stay; values under personal-looking names are masked."""
    payload = event.payload
    shape: dict[str, Any] = {"size_bytes": payload.size_bytes, "sha256": payload.sha256}
    try:
        parsed = strictjson.read_object(raw_body(event=event))
    except KeyErased as error:
        return BodyView(**shape, text="", readable=False, words=str(error))
    except EventRefused as error:
        return BodyView(**shape, text="", readable=False, words=f"not readable: {error.reason}")
    text = json.dumps(masked(parsed), indent=2, ensure_ascii=False)
    return BodyView(**shape, text=text, readable=True)


def masked(value: Any, *, personal: bool = False) -> Any:
    """The same structure; every leaf under a personal-looking name becomes a mask."""
    if isinstance(value, dict):
        return {
            key: masked(each, personal=personal or is_personal(key)) for key, each in value.items()
        }
    if isinstance(value, list):
        return [masked(each, personal=personal) for each in value]
    if not personal or value is None or isinstance(value, bool) or value == "":
        return value
    return MASK


def is_personal(key: str) -> bool:
    """Short words must be a whole word of the key ("ip", not "recipient")."""
    lower = key.lower()
    if lower in NOT_PERSONAL:
        return False
    words = set(lower.replace("-", "_").split("_"))
    long_parts = (part for part in PERSONAL_PARTS if part not in SHORT_PARTS)
    return bool(words & SHORT_PARTS) or any(part in lower for part in long_parts)
