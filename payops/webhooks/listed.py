"""Makes events durable that the provider listed and never posted (WH-27).

Owns the insert of payload, event and receipt for bodies read from an authenticated listing; the
gates afterwards are those of every event. A webhook that arrives in the same moment meets it on
the unique dedupe key: whoever commits second is a repetition or writes nothing. Serves WH-1, WH-5,
WH-8, I1 and I3.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import UUID, uuid4

from django.db import connection, transaction

from payops.core import clock, crypto, ids
from payops.core.models import DataKey, ProviderAccount
from payops.core.wake import wake
from payops.psp.base import WebhookItem
from payops.webhooks.ingest import TYPE_CHARS_MAX, UNPARSEABLE
from payops.webhooks.lane_table import lane_reader
from payops.webhooks.lanes import LaneRules, lane_of
from payops.webhooks.models import LISTING, Delivery, Payload, ProviderEvent

# The call that listed it is what makes such a receipt believed; nothing was signed or answered.
LISTED = "listed_at_provider"
NOTHING_SENT = 0


@dataclass(frozen=True, slots=True)
class ListedBody:
    """One body of a listing with the items of it that the register does not know."""

    raw: bytes
    items: tuple[WebhookItem, ...]
    parse_error: str = ""

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.raw).hexdigest()


def unreadable(raw: bytes) -> WebhookItem:
    """The item of a listed body that cannot be read: one event per distinct body."""
    sha256 = hashlib.sha256(raw).hexdigest()
    return WebhookItem(
        index=0,
        provider_event_id="",
        dedupe_key=f"{UNPARSEABLE}:{sha256}",
        fingerprint=sha256,
        event_type=UNPARSEABLE,
        object_id="",
        amount_minor=None,
        currency=None,
        occurred_at=None,
        live=None,
        lane="standard",
    )


def known_keys(*, account: ProviderAccount, keys: set[str]) -> set[str]:
    """Which dedupe keys the register has; it is never pruned, so nothing is forgotten (WH-12).

    In any account of the provider: accounts may share the credentials that a listing is made with.
    """
    found = ProviderEvent.objects.filter(
        book_id=account.book_id, account__provider=account.provider, dedupe_key__in=keys
    )
    return set(found.values_list("dedupe_key", flat=True))


def store(*, account: ProviderAccount, bodies: Sequence[ListedBody], now: datetime) -> int:
    """Write what is new of them; answers how many events are. The webhook may win the race."""
    assert connection.in_atomic_block, "event, payload and receipt are written together"
    key, rules = _data_key(account, now), lane_reader()(account.book, now)
    events = [
        (body, item, _event(account, ids.uuid7(), item, body, rules, now))
        for body in bodies
        for item in body.items
    ]
    # Payloads follow their events: foreign keys are checked at the commit, and the bytes of an
    # event that came by webhook in the meantime are not kept twice.
    by_body: dict[str, UUID] = {body.sha256: ids.uuid7() for body in bodies}
    for body, _, event in events:
        event.payload_id = by_body[body.sha256]
    ProviderEvent.objects.bulk_create([event for _, _, event in events], ignore_conflicts=True)
    mine = ProviderEvent.objects.filter(pk__in=[event.pk for _, _, event in events])
    fresh = set(mine.values_list("pk", flat=True))
    written = [(body, item, event) for body, item, event in events if event.pk in fresh]
    kept = {body.sha256: body for body, _, _ in written}
    Payload.objects.bulk_create(
        Payload(
            id=by_body[sha256],
            book_id=account.book_id,
            sha256=sha256,
            size_bytes=len(body.raw),
            data_key=key,
            ciphertext=crypto.seal(key, body.raw),
            created_at=now,
        )
        for sha256, body in kept.items()
    )
    Delivery.objects.bulk_create(_receipt(account, *each, now) for each in written)
    for lane in sorted({event.lane for _, _, event in written}):
        transaction.on_commit(partial(wake, lane))
    return len(written)


def _event(
    account: ProviderAccount,
    key: UUID,
    item: WebhookItem,
    body: ListedBody,
    rules: LaneRules,
    now: datetime,
) -> ProviderEvent:
    return ProviderEvent(
        id=key,
        book_id=account.book_id,
        account=account,
        provider_event_id=item.provider_event_id,
        dedupe_key=item.dedupe_key,
        fingerprint=item.fingerprint,
        type=item.event_type[:TYPE_CHARS_MAX],
        object_id=item.object_id,
        amount_minor=item.amount_minor,
        currency=item.currency or "",
        occurred_at=item.occurred_at,
        sequence=item.sequence,
        request_id=item.request_id or "",
        request_idempotency_key=item.request_idempotency_key or "",
        item_index=item.index,
        outcome=body.parse_error,
        lane=lane_of(item, rules, account=account.address),
        due_at=now,
        trace_id=uuid4().hex,
        created_at=now,
    )


def _receipt(
    account: ProviderAccount,
    body: ListedBody,
    item: WebhookItem,
    event: ProviderEvent,
    now: datetime,
) -> Delivery:
    return Delivery(
        book_id=account.book_id,
        account=account,
        dedupe_key=item.dedupe_key,
        provider_event_id=item.provider_event_id,
        fingerprint=item.fingerprint,
        payload_id=event.payload_id,
        item_index=item.index,
        sha256=body.sha256,
        size_bytes=len(body.raw),
        signature_ok=True,
        signature_reason=LISTED,
        status_sent=NOTHING_SENT,
        trace_id=event.trace_id,
        channel=LISTING,
        created_at=now,
    )


def _data_key(account: ProviderAccount, now: datetime) -> DataKey:
    """The key of the book's business day, the same one its webhooks are sealed with."""
    day = clock.business_day(now, time_zone=account.book.time_zone)
    return crypto.data_key(book=account.book, scope=f"webhooks:{day:%Y-%m-%d}")
