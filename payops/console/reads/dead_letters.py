"""Dead letters as a working queue: events and messages by cause, age and owner (WH-18, WH-20).

Both queues have the same filters and the same fields. A page costs the same at any size: every
filter has its index, in the order of the pages.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet

from payops.console.dead_letter_advice import Advice, advice_on
from payops.console.exports import Columns
from payops.console.filters import Control, Filters, choices
from payops.console.reads.inbox import EVENT_LANES, account_key
from payops.console.reads.payouts import accounts_of
from payops.core import dead
from payops.core.lanes import LANES
from payops.core.models import Book, Message, Person, RoleGrant
from payops.core.roles import PERMISSIONS, Act
from payops.core.topics import topic_table
from payops.webhooks.models import Delivery, ProviderEvent

ORDER = "-last_failed_at"
GROUPS_SHOWN = 12
EVENT_CSV: Columns = (
    ("id", "event.public_id"),
    ("source_event_id", "event.provider_event_id"),
    ("provider_reference", "event.object_id"),
    ("account", "event.account.address"),
    ("type", "event.type"),
    ("lane", "event.lane"),
    ("first_failed_at", "event.first_failed_at"),
    ("last_failed_at", "event.last_failed_at"),
    ("failure_kind", "event.failure_kind"),
    ("cause", "event.cause"),
    ("error", "event.last_error"),
    ("attempts", "event.attempts"),
    ("receive_count", "receipts"),
    ("owner", lambda row: row.event.owner.name if row.event.owner else ""),
    ("operator_note", "event.operator_note"),
    ("received_at", "event.created_at"),
    ("trace_id", "event.trace_id"),
)
MESSAGE_CSV: Columns = (
    ("id", "pk"),
    ("topic", "topic"),
    ("key", "key"),
    ("lane", "lane"),
    ("first_failed_at", "first_failed_at"),
    ("last_failed_at", "last_failed_at"),
    ("failure_kind", "failure_kind"),
    ("cause", "cause"),
    ("error", "last_error"),
    ("attempts", "attempts"),
    ("owner", lambda row: row.owner.name if row.owner else ""),
    ("operator_note", "operator_note"),
    ("sent_at", "created_at"),
    ("trace_id", "trace_id"),
)


def event_controls(book: Book, now: datetime) -> list[Control]:
    types = [(each, each) for each in dead.kinds_of(ProviderEvent, book, "type")]
    return [
        Control("cause", "Cause", placeholder="Whole, as in the table"),
        Control("kind", "Kind", "select", choices(dead.KINDS)),
        Control("provider", "Provider", "select", choices(accounts_of(book))),
        Control("type", "Type", "select", choices(types)),
        *_shared_controls(EVENT_LANES, now),
        Control("again", "Received more than once", "check"),
    ]


def message_controls(book: Book, now: datetime) -> list[Control]:
    topics = [(each, each) for each in dead.kinds_of(Message, book, "topic")]
    return [
        Control("cause", "Cause", placeholder="Whole, as in the table"),
        Control("kind", "Kind", "select", choices(dead.KINDS)),
        Control("topic", "Topic", "select", choices(topics)),
        Control("q", "Key", placeholder="Whole"),
        *_shared_controls(LANES, now),
    ]


def _shared_controls(lanes: Any, now: datetime) -> list[Control]:
    ages = [(key, words) for key, words, _, _ in dead.AGES]
    owners = [("me", "Me"), ("none", "Nobody"), *operators(now)]
    return [
        Control("lane", "Lane", "select", choices([(lane, lane) for lane in lanes])),
        Control("age", "Last failed", "select", choices(ages)),
        Control("owner", "Owner", "select", choices(owners, any_label="Anyone")),
    ]


def operators(now: datetime) -> list[tuple[str, str]]:
    """The people whose work dead letters can be, by name."""
    roles = [role.value for role, acts in PERMISSIONS.items() if Act.REDRIVE_EVENT in acts]
    held = RoleGrant.objects.filter(role__in=roles, granted_at__lte=now)
    held = held.filter(Q(revoked_at=None) | Q(revoked_at__gt=now))
    people = Person.objects.filter(pk__in=held.values("person_id"), left_at=None)
    return [(str(pk), name) for pk, name in people.order_by("name").values_list("pk", "name")]


def events(
    book: Book, wanted: Filters, *, person_id: UUID | None, now: datetime
) -> QuerySet[ProviderEvent]:
    rows = ProviderEvent.objects.filter(book=book, state=ProviderEvent.State.DEAD)
    rows = rows.select_related("account", "owner").filter(_shared(wanted, person_id, now))
    if wanted["type"]:
        rows = rows.filter(type=wanted["type"])
    if wanted["provider"]:
        rows = rows.filter(account=account_key(book, wanted["provider"]))
    if wanted["again"]:
        again = Delivery.objects.filter(
            account=OuterRef("account"), dedupe_key=OuterRef("dedupe_key"), duplicate=True
        )
        rows = rows.filter(Exists(again))
    return rows


def messages(
    book: Book, wanted: Filters, *, person_id: UUID | None, now: datetime
) -> QuerySet[Message]:
    rows = Message.objects.filter(book=book, state=Message.State.DEAD).select_related("owner")
    rows = rows.filter(_shared(wanted, person_id, now))
    if wanted["topic"]:
        rows = rows.filter(topic=wanted["topic"])
    return rows.filter(key=wanted["q"]) if wanted["q"] else rows


def _shared(wanted: Filters, person_id: UUID | None, now: datetime) -> Q:
    narrow = Q()
    for name, column in (("cause", "cause"), ("kind", "failure_kind"), ("lane", "lane")):
        if wanted[name]:
            narrow &= Q(**{column: wanted[name]})
    if wanted["owner"] == "me":
        narrow &= Q(owner_id=person_id)
    elif wanted["owner"] == "none":
        narrow &= Q(owner=None)
    elif wanted["owner"]:
        narrow &= Q(owner_id=wanted["owner"])
    return narrow & dead.aged(wanted["age"], now)


@dataclass(frozen=True, slots=True)
class CauseRow:
    """Dead letters of one cause, with advice on their newest."""

    group: dead.Group
    sample_id: str
    advice: Advice

    @property
    def count(self) -> str:
        return f"{self.group.count:,}{'+' if self.group.more else ''}"


@dataclass(frozen=True, slots=True)
class Causes:
    """The causes with the most letters; `others` is how many more causes there are."""

    rows: list[CauseRow]
    others: int


def causes(model: type[ProviderEvent] | type[Message], book: Book) -> Causes:
    found = dead.groups(model, book)
    rows = [
        CauseRow(
            group,
            f"ev_{group.sample_key.hex}" if model is ProviderEvent else "",
            advice_on(group.sample_error, group.kind),
        )
        for group in found[:GROUPS_SHOWN]
    ]
    return Causes(rows, len(found) - len(rows))


@dataclass(frozen=True, slots=True)
class DeadMessage:
    """One dead message and what its topic carries."""

    message: Message
    words: str
    attempts: list[dict[str, Any]]


def dead_messages(found: list[Message]) -> list[DeadMessage]:
    return [DeadMessage(row, words_of(row.topic), _attempts(row)) for row in found]


def words_of(topic: str) -> str:
    """What a topic carries, in the words of the table of topics."""
    known = topic_table().get(topic)
    return known.words if known else "no handler is registered for this topic"


def _attempts(row: Message) -> list[dict[str, Any]]:
    """Every attempt kept, the latest first, with its moment (F21)."""
    kept = [each for each in reversed(row.failures) if isinstance(each.get("at"), str)]
    return [{**each, "at": datetime.fromisoformat(each["at"])} for each in kept]
