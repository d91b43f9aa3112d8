"""What people may see of the inbox: lists, dead letters, receipts, bodies with persons masked.

Reads only. The whole body is for a view behind step-up. Serves WH-8, WH-9, WH-18, WH-20.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, F, IntegerField, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from payops.core import crypto
from payops.core.crypto import KeyErased
from payops.psp import strictjson
from payops.psp.base import EventRefused
from payops.webhooks.models import Delivery, ProviderEvent

PAGE_MAX = 200
RECEIPTS_MAX = 500
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
class InboxFilter:
    """Every field narrows; empty means all. `text` is an event, object or delivery trace id."""

    state: str = ""
    provider: str = ""
    account: str = ""
    type: str = ""
    lane: str = ""
    since: datetime | None = None
    text: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetter:
    """Every field of WH-18."""

    id: str
    provider_event_id: str
    provider_ref: str
    account: str
    type: str
    lane: str
    received_at: datetime
    first_failed_at: datetime | None
    last_failed_at: datetime | None
    failure_kind: str
    error: str
    failures: tuple[dict[str, Any], ...]
    attempts: int
    receive_count: int
    operator_note: str
    trace_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class BodyView:
    """A body with persons masked; unreadable ones show their size and hash alone."""

    size_bytes: int
    sha256: str
    text: str
    readable: bool
    words: str = ""


def inbox(
    *, wanted: InboxFilter, after: UUID | None = None, limit: int = 50
) -> list[ProviderEvent]:
    """Newest first, keyset-paged by `after`; each with `receipt_count`."""
    rows = _narrowed(ProviderEvent.objects.select_related("account", "book"), wanted)
    if after is not None:
        rows = rows.filter(pk__lt=after)
    return list(_with_receipts(rows).order_by("-pk")[: min(limit, PAGE_MAX)])


def counts_by_state() -> dict[str, int]:
    found = ProviderEvent.objects.values_list("state").annotate(n=Count("pk"))
    return {**dict.fromkeys(ProviderEvent.State.values, 0), **dict(found)}


def dead_letters(*, after: datetime | None = None, limit: int = 50) -> list[DeadLetter]:
    """Latest failure first; `after` is the last failure time of the page before."""
    rows = ProviderEvent.objects.filter(state=ProviderEvent.State.DEAD).select_related("account")
    if after is not None:
        rows = rows.filter(last_failed_at__lt=after)
    ordered = _with_receipts(rows).order_by(F("last_failed_at").desc(nulls_last=True), "-pk")
    return [_dead_letter(row) for row in ordered[: min(limit, PAGE_MAX)]]


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


def _narrowed(rows: QuerySet[ProviderEvent], wanted: InboxFilter) -> QuerySet[ProviderEvent]:
    narrow = {
        "state": wanted.state,
        "account__provider": wanted.provider,
        "account__slug": wanted.account,
        "type": wanted.type,
        "lane": wanted.lane,
        "created_at__gte": wanted.since,
    }
    rows = rows.filter(**{name: value for name, value in narrow.items() if value})
    if wanted.text:
        text = wanted.text.strip()
        rows = rows.filter(
            Q(provider_event_id=text) | Q(object_id=text) | Q(subject_id=text) | Q(trace_id=text)
        )
    return rows


def _with_receipts(rows: QuerySet[ProviderEvent]) -> QuerySet[ProviderEvent]:
    counted = (
        Delivery.objects.filter(account=OuterRef("account"), dedupe_key=OuterRef("dedupe_key"))
        .order_by()
        .values("account")
        .annotate(n=Count("pk"))
        .values("n")
    )
    counter = Coalesce(Subquery(counted, output_field=IntegerField()), 0)
    return rows.annotate(receipt_count=counter)


def _dead_letter(row: Any) -> DeadLetter:
    return DeadLetter(
        id=row.public_id,
        provider_event_id=row.provider_event_id,
        provider_ref=row.object_id,
        account=row.account.address,
        type=row.type,
        lane=row.lane,
        received_at=row.created_at,
        first_failed_at=row.first_failed_at,
        last_failed_at=row.last_failed_at,
        failure_kind=row.failure_kind,
        error=row.last_error,
        failures=tuple(row.failures),
        attempts=row.attempts,
        receive_count=row.receipt_count,
        operator_note=row.operator_note,
        trace_id=row.trace_id,
    )
