"""What the inbox screens show: events by state and lane, one event with its receipts, dead letters.

Bodies come masked from the inbox's own selectors; the raw bytes are behind `views.inbox.raw`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count, Max, Min, Q, QuerySet
from django.db.models.functions import Left

from payops.console import wording
from payops.console.exports import Columns
from payops.console.filters import Control, Filters, choices
from payops.console.formats import Fact, facts_of, id_fact
from payops.console.reads import related
from payops.console.reads.payouts import account_q, accounts_of, key_of
from payops.console.reads.related import EntryRow
from payops.core.lanes import LANES
from payops.core.models import Book
from payops.webhooks import selectors
from payops.webhooks.models import Delivery, ProviderEvent

State = ProviderEvent.State
WAITING = (State.RECEIVED, State.PARKED, State.DEAD)
ENDED = (State.PROCESSED, State.IGNORED, State.DISCARDED)
RECENT = timedelta(hours=24)
ERROR_CHARS = 160
GROUPS_MAX = 20
CSV: Columns = (
    ("id", "event.public_id"),
    ("provider", "event.account.provider"),
    ("account", "event.account.slug"),
    ("provider_event_id", "event.provider_event_id"),
    ("type", "event.type"),
    ("state", "event.state"),
    ("lane", "event.lane"),
    ("object_id", "event.object_id"),
    ("amount_minor", "event.amount_minor"),
    ("currency", "event.currency"),
    ("subject_id", "event.subject_id"),
    ("outcome", "event.outcome"),
    ("waits_for", "event.waits_for"),
    ("attempts", "event.attempts"),
    ("receipts", "receipts"),
    ("occurred_at", "event.occurred_at"),
    ("received_at", "event.created_at"),
    ("finished_at", "event.finished_at"),
    ("last_error", "event.last_error"),
    ("operator_note", "event.operator_note"),
    ("trace_id", "event.trace_id"),
)
DEAD_CSV: Columns = (
    ("id", "event.public_id"),
    ("source_event_id", "event.provider_event_id"),
    ("provider_reference", "event.object_id"),
    ("account", "event.account.address"),
    ("type", "event.type"),
    ("lane", "event.lane"),
    ("first_failed_at", "event.first_failed_at"),
    ("last_failed_at", "event.last_failed_at"),
    ("failure_kind", "event.failure_kind"),
    ("error", "event.last_error"),
    ("attempts", "event.attempts"),
    ("receive_count", "receipts"),
    ("operator_note", "event.operator_note"),
    ("received_at", "event.created_at"),
    ("trace_id", "event.trace_id"),
)


def controls(book: Book) -> list[Control]:
    states = [(value, wording.state(value)) for value in State.values]
    return [
        Control("state", "State", "select", choices(states)),
        Control("lane", "Lane", "select", choices([(lane, lane) for lane in LANES])),
        Control("provider", "Provider", "select", choices(accounts_of(book))),
        Control("type", "Type", placeholder="Begins with"),
        Control("q", "Id", placeholder="Event, object or trace, whole"),
    ]


def listed(book: Book, wanted: Filters) -> QuerySet[ProviderEvent]:
    rows = ProviderEvent.objects.filter(book=book).select_related("account")
    narrow = {"state": wanted["state"], "lane": wanted["lane"], "type__startswith": wanted["type"]}
    rows = rows.filter(**{name: value for name, value in narrow.items() if value})
    rows = rows.filter(account_q(wanted["provider"]))
    return rows.filter(_named(wanted["q"])) if wanted["q"] else rows


def _named(text: str) -> Q:
    key = key_of("ev", text)
    if key is not None:
        return Q(pk=key)
    named = Q(provider_event_id=text) | Q(object_id=text) | Q(subject_id=text)
    return named | Q(trace_id=text)


def receipt_counts(events: Sequence[ProviderEvent]) -> dict[UUID, int]:
    """Receipts of each event, in one query for the whole page."""
    if not events:
        return {}
    keys = {event.dedupe_key for event in events}
    accounts = {event.account_id for event in events}
    counted = Delivery.objects.filter(account_id__in=accounts, dedupe_key__in=keys)
    grouped = counted.order_by().values_list("account_id", "dedupe_key").annotate(n=Count("pk"))
    found = {(account, key): n for account, key, n in grouped}
    return {event.pk: found.get((event.account_id, event.dedupe_key), 0) for event in events}


@dataclass(frozen=True, slots=True)
class EventRow:
    """One event of the list with its receipts counted."""

    event: ProviderEvent
    receipts: int


def with_receipts(events: Sequence[ProviderEvent]) -> list[EventRow]:
    counts = receipt_counts(events)
    return [EventRow(event, counts[event.pk]) for event in events]


def csv_rows(rows: QuerySet[ProviderEvent], chunk: int) -> Any:
    """Chunk by chunk, so that receipts are counted in one query per chunk."""
    held: list[ProviderEvent] = []
    for event in rows.order_by("-pk").iterator(chunk_size=chunk):
        held.append(event)
        if len(held) == chunk:
            yield from with_receipts(held)
            held = []
    yield from with_receipts(held)


# ---- counts --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StateCount:
    """Events in one state; waiting states count all of them, ended ones the last day."""

    state: str
    count: int
    oldest_at: datetime | None
    by_lane: tuple[tuple[str, int], ...]
    recent: bool


def counts(book: Book, *, now: datetime) -> list[StateCount]:
    """Two queries: partial indexes for what waits, the time-ordered key for what ended lately."""
    events = ProviderEvent.objects.filter(book=book).order_by()
    waiting = events.filter(state__in=WAITING)
    ended = events.filter(state__in=ENDED, pk__gte=floor_key(now - RECENT))
    grouped: dict[str, list[tuple[str, int, datetime]]] = {}
    for rows in (waiting, ended):
        found = rows.values_list("state", "lane").annotate(n=Count("pk"), at=Min("created_at"))
        for state, lane, count, at in found:
            grouped.setdefault(state, []).append((lane, count, at))
    return [
        StateCount(
            state=state,
            count=sum(count for _, count, _ in grouped.get(state, [])),
            oldest_at=min((at for _, _, at in grouped.get(state, [])), default=None),
            by_lane=tuple(
                (lane, sum(n for name, n, _ in grouped.get(state, []) if name == lane))
                for lane in LANES
            ),
            recent=state in ENDED,
        )
        for state in (*WAITING, *ENDED)
    ]


def floor_key(at: datetime) -> UUID:
    """The smallest key that can have been made at a moment: keys are time-ordered."""
    return UUID(int=int(at.timestamp() * 1000) << 80)


# ---- one event -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EventPage:
    """Everything the page of one event shows."""

    event: ProviderEvent
    receipts: list[Delivery]
    body: selectors.BodyView
    entries: list[EntryRow]
    facts: list[Fact]
    failures: list[dict[str, Any]]

    @property
    def redrivable(self) -> bool:
        dead = self.event.state == State.DEAD
        return dead or (self.event.state == State.IGNORED and self.event.reprocessable)


def query() -> QuerySet[ProviderEvent]:
    return ProviderEvent.objects.select_related("account", "book", "payload__data_key")


def page(event: ProviderEvent) -> EventPage:
    return EventPage(
        event=event,
        receipts=selectors.receipts(event=event),
        body=selectors.redacted_body(event=event),
        entries=related.entries(book=event.book, subject_ids=[event.public_id]),
        facts=_facts(event),
        failures=[_failure(each) for each in reversed(event.failures)],
    )


def _failure(kept: dict[str, Any]) -> dict[str, Any]:
    at = kept.get("at")
    return {**kept, "at": datetime.fromisoformat(at) if isinstance(at, str) else None}


def _facts(event: ProviderEvent) -> list[Fact]:
    return facts_of(
        id_fact("Event", event.public_id),
        id_fact("Provider's event id", event.provider_event_id),
        id_fact("Provider's object", event.object_id),
        Fact("Provider account", event.account.address),
        id_fact("About", event.subject_id),
        Fact("Lane", event.lane),
        Fact("Happened", event.occurred_at, "when"),
        Fact("Received", event.created_at, "when"),
        Fact("Finished", event.finished_at, "when"),
        id_fact("Provider's request id", event.request_id),
        id_fact("Request's idempotency key", event.request_idempotency_key),
        Fact("Dedupe key", event.dedupe_key, "id"),
        Fact("Fingerprint", event.fingerprint, "id"),
        id_fact("Trace", event.trace_id),
        Fact("Operator note", event.operator_note),
    )


# ---- dead letters --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """Dead letters that failed alike."""

    error: str
    kind: str
    count: int
    first_at: datetime | None
    last_at: datetime | None


def dead_controls(book: Book) -> list[Control]:
    kinds = [("structural", "Structural"), ("transient", "Transient")]
    return [
        Control("error", "Error", placeholder="Begins with"),
        Control("kind", "Kind", "select", choices(kinds)),
        Control("provider", "Provider", "select", choices(accounts_of(book))),
    ]


def dead(book: Book, wanted: Filters) -> QuerySet[ProviderEvent]:
    rows = ProviderEvent.objects.filter(book=book, state=State.DEAD).select_related("account")
    if wanted["error"]:
        named = Q(last_error__contains=f": {wanted['error']}")
        rows = rows.filter(named | Q(last_error__startswith=wanted["error"]))
    if wanted["kind"]:
        rows = rows.filter(failure_kind=wanted["kind"])
    return rows.filter(account_q(wanted["provider"]))


def error_groups(book: Book) -> list[ErrorGroup]:
    rows = ProviderEvent.objects.filter(book=book, state=State.DEAD).order_by()
    grouped = (
        rows.annotate(error=Left("last_error", ERROR_CHARS))
        .values("error", "failure_kind")
        .annotate(n=Count("pk"), first=Min("first_failed_at"), last=Max("last_failed_at"))
        .order_by("-n", "error")[:GROUPS_MAX]
    )
    return [
        ErrorGroup(row["error"], row["failure_kind"], row["n"], row["first"], row["last"])
        for row in grouped
    ]
