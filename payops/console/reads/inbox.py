"""What the inbox screens show: events by state and lane, one event with its receipts.

Bodies come masked from the inbox's own selectors; the raw bytes are behind `views.inbox.raw`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from payops.cases.models import Case
from payops.console import wording
from payops.console.dead_letter_advice import Advice, advise
from payops.console.exports import Columns
from payops.console.filters import Control, Filters, choices
from payops.console.formats import Fact, facts_of, id_fact
from payops.console.reads import related
from payops.console.reads.payouts import accounts_of, key_of
from payops.console.reads.related import EntryRow
from payops.console.reads.verifications import Proof, proof_of
from payops.core.models import Book, ProviderAccount
from payops.webhooks import selectors
from payops.webhooks.models import Delivery, ProviderEvent

State = ProviderEvent.State
WAITING = (State.RECEIVED, State.PARKED, State.DEAD)
ENDED = (State.PROCESSED, State.IGNORED, State.DISCARDED)
RECENT = timedelta(hours=24)
EVENT_LANES = ("high", "standard", "bulk")
WITHIN = (
    ("1h", "Last hour", timedelta(hours=1)),
    ("1d", "Last 24 h", timedelta(days=1)),
    ("7d", "Last 7 d", timedelta(days=7)),
    ("30d", "Last 30 d", timedelta(days=30)),
)
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


def controls(book: Book) -> list[Control]:
    states = [(value, wording.state(value)) for value in State.values]
    types = [(each, each) for each in selectors.types(book=book)]
    return [
        Control("state", "State", "select", choices(states)),
        Control("lane", "Lane", "select", choices([(lane, lane) for lane in EVENT_LANES])),
        Control("provider", "Provider", "select", choices(accounts_of(book))),
        Control("type", "Type", "select", choices(types)),
        Control("age", "Received", "select", choices([(key, words) for key, words, _ in WITHIN])),
        Control("q", "Id", placeholder="Event, object or trace, whole"),
    ]


def listed(book: Book, wanted: Filters, now: datetime) -> QuerySet[ProviderEvent]:
    rows = ProviderEvent.objects.filter(book=book).select_related("account")
    narrow = {"state": wanted["state"], "lane": wanted["lane"], "type": wanted["type"]}
    rows = rows.filter(**{name: value for name, value in narrow.items() if value})
    if wanted["provider"]:
        rows = rows.filter(account=account_key(book, wanted["provider"]))
    span = next((span for key, _, span in WITHIN if key == wanted["age"]), None)
    if span is not None:
        rows = rows.filter(pk__gte=selectors.floor_key(now - span))
    return rows.filter(_named(wanted["q"])) if wanted["q"] else rows


def account_key(book: Book, address: str) -> UUID | None:
    """The account's key: looked up first, so that the list is read by the account's own index."""
    provider, _, slug = address.partition("/")
    rows = ProviderAccount.objects.filter(book=book, provider=provider, slug=slug)
    return rows.values_list("pk", flat=True).first()


def _named(text: str) -> Q:
    key = key_of("ev", text)
    return Q(pk=key) if key is not None else Q(pk__in=selectors.named(text).values("pk"))


@dataclass(frozen=True, slots=True)
class EventRow:
    """One event of the list with its receipts counted."""

    event: ProviderEvent
    receipts: int


def with_receipts(events: Sequence[ProviderEvent]) -> list[EventRow]:
    counts = selectors.receipt_counts(events)
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
class StateRow:
    """Events in one state; waiting states count all of them, ended ones the last day."""

    state: str
    count: str
    oldest_at: datetime | None
    by_lane: tuple[tuple[str, str], ...]
    recent: bool


def counts(book: Book, *, now: datetime) -> list[StateRow]:
    """Two statements that stop counting at their limit; "+" says that there are more."""
    found = selectors.counts_by_state(book=book, states=WAITING)
    found += selectors.counts_by_state(book=book, states=ENDED, since=now - RECENT)
    return [
        StateRow(
            state=each.state,
            count=_counted(each.count, each.more),
            oldest_at=each.oldest_at,
            by_lane=tuple((ln, _counted(each.by_lane.get(ln, 0), each.more)) for ln in EVENT_LANES),
            recent=each.state in ENDED,
        )
        for each in found
    ]


def _counted(count: int, more: bool) -> str:
    if more:
        return f"{count:,}+"
    return f"{count:,}" if count else ""


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
    advice: Advice | None
    proof: Proof | None
    cases: list[Case]

    @property
    def path(self) -> str:
        """The part of the body that did not fit, as the latest failure names it."""
        return next((str(each["path"]) for each in self.failures if each.get("path")), "")

    @property
    def redrivable(self) -> bool:
        dead = self.event.state == State.DEAD
        return dead or (self.event.state == State.IGNORED and self.event.reprocessable)


def query() -> QuerySet[ProviderEvent]:
    return ProviderEvent.objects.select_related("account", "book", "owner", "payload__data_key")


def page(event: ProviderEvent) -> EventPage:
    return EventPage(
        event=event,
        receipts=selectors.receipts(event=event),
        body=selectors.redacted_body(event=event),
        entries=related.entries(book=event.book, subject_ids=[event.public_id]),
        facts=_facts(event),
        failures=[_failure(each) for each in reversed(event.failures)],
        advice=advise(event) if event.state == State.DEAD else None,
        proof=proof_of(event),
        cases=related.cases_told_by(event),
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
        Fact("Owner", event.owner.name if event.owner else ""),
        Fact("Operator note", event.operator_note),
    )
