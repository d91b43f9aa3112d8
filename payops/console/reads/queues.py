"""The table of queues: which screen has which filters over which rows.

What a saved view counts and what a bulk act takes by its filters is asked for here, so that both
mean exactly the rows the screen shows. Reads only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet

from approvals.models import ApprovalDecision, ApprovalRequest
from payops.console import filters
from payops.console.filters import Control, Filters
from payops.console.reads import (
    audit,
    beneficiaries,
    case_queue,
    dead_letters,
    inbox,
    ledger,
    messages,
    payments,
    payouts,
    refund_queue,
)
from payops.console.reads import jobs as job_reads
from payops.core.models import Book, Message
from payops.core.roles import Act, Role
from payops.webhooks.models import ProviderEvent


@dataclass(frozen=True, slots=True)
class Viewer:
    """For whom and when: "mine" and "older than" depend on it."""

    book: Book
    person_id: UUID | None
    roles: Set[Role]
    acts: Set[Act]
    now: datetime


@dataclass(frozen=True, slots=True)
class Queue:
    """One screen; `subject` gives the id that a bulk act takes of a row, None: no bulk acts."""

    key: str
    label: str
    path: str
    act: Act | None
    controls: Callable[[Viewer], Sequence[Control]]
    rows: Callable[[Viewer, Filters], QuerySet[Any]]
    order: str = "-created_at"
    subject: Callable[[Any], str] | None = None

    def read(self, query: Mapping[str, str], viewer: Viewer) -> Filters:
        return filters.read(query, self.controls(viewer))


def viewer_of(request: Any) -> Viewer:
    return Viewer(request.book, request.actor.person_id, request.roles, request.acts, request.now)


def by_path(path: str) -> Queue | None:
    return next((queue for queue in QUEUES.values() if queue.path == path), None)


def chosen(queue: Queue, query: Mapping[str, str], viewer: Viewer, most: int) -> list[str]:
    """The ids of the rows that fit, in the order of the screen, `most` + 1 of them at most."""
    wanted = queue.read(query, viewer)
    assert queue.subject is not None, f"{queue.label} has no bulk acts"
    sign = "-" if queue.order.startswith("-") else ""
    rows = queue.rows(viewer, wanted).order_by(queue.order, f"{sign}pk")
    return [queue.subject(row) for row in rows[: most + 1]]


def _approval_controls(viewer: Viewer) -> list[Control]:
    tabs = [("mine", "My queue"), ("all", "All open"), ("asked", "Asked by me")]
    return [Control("show", "Which", "select", [*tabs, ("decided", "Decided")])]


def _approvals(viewer: Viewer, wanted: Filters) -> QuerySet[ApprovalRequest]:
    """What the tabs of the screen list for this viewer."""
    rows = ApprovalRequest.objects.all()
    if Act.VIEW_BOOKS not in viewer.acts:
        rows = rows.filter(Q(book__is_system=True) | Q(requested_by_id=viewer.person_id))
    if wanted["show"] == "decided":
        return rows.exclude(state=ApprovalRequest.State.PENDING)
    rows = rows.filter(state=ApprovalRequest.State.PENDING, expires_at__gt=viewer.now)
    if wanted["show"] == "all":
        return rows
    if wanted["show"] == "asked":
        return rows.filter(requested_by_id=viewer.person_id)
    roles = sorted(role.value for role in viewer.roles)
    mine = rows.filter(seats__has_any_keys=roles).exclude(requested_by_id=viewer.person_id)
    mine = mine.exclude(barred__contains=[str(viewer.person_id)])
    decided = ApprovalDecision.objects.filter(request=OuterRef("pk"))
    return mine.exclude(Exists(decided.filter(Q(person_id=viewer.person_id) | Q(seat__in=roles))))


def _public_id(row: Any) -> str:
    return str(row.public_id)


QUEUES = {
    queue.key: queue
    for queue in (
        Queue(
            "cases",
            "Cases",
            "/cases/",
            Act.VIEW_BOOKS,
            lambda v: case_queue.controls(case_queue.case_workers(v.now)),
            lambda v, f: case_queue.queue(book=v.book, chosen=f, person_id=v.person_id, now=v.now),
            "due_at",
            _public_id,
        ),
        Queue("approvals", "Approvals", "/approvals/", None, _approval_controls, _approvals),
        Queue(
            "payouts",
            "Payouts",
            "/payouts/",
            Act.VIEW_BOOKS,
            lambda v: payouts.controls(v.book),
            lambda v, f: payouts.listed(v.book, f),
        ),
        Queue(
            "payments",
            "Payments",
            "/payments/",
            Act.VIEW_BOOKS,
            lambda v: payments.controls(v.book),
            lambda v, f: payments.listed(v.book, f),
        ),
        Queue(
            "refunds",
            "Refunds",
            "/refunds/",
            Act.VIEW_BOOKS,
            lambda v: refund_queue.controls(v.book),
            lambda v, f: refund_queue.listed(v.book, f),
        ),
        Queue(
            "beneficiaries",
            "Beneficiaries",
            "/beneficiaries/",
            Act.VIEW_BOOKS,
            lambda v: beneficiaries.controls(),
            lambda v, f: beneficiaries.listed(v.book, f),
        ),
        Queue(
            "journal",
            "Journal",
            "/ledger/journal/",
            Act.VIEW_BOOKS,
            lambda v: ledger.controls(v.book),
            lambda v, f: ledger.listed(v.book, f),
        ),
        Queue(
            "inbox",
            "Inbox",
            "/inbox/",
            Act.VIEW_INBOX,
            lambda v: inbox.controls(v.book),
            lambda v, f: inbox.listed(v.book, f, v.now),
            "-id",
            _public_id,
        ),
        Queue(
            "dead-letters",
            "Dead letters",
            "/inbox/dead/",
            Act.VIEW_INBOX,
            lambda v: dead_letters.event_controls(v.book, v.now),
            lambda v, f: dead_letters.events(v.book, f, person_id=v.person_id, now=v.now),
            dead_letters.ORDER,
            _public_id,
        ),
        Queue(
            "outbox",
            "Outbox dead letters",
            "/messages/outbox/",
            Act.VIEW_INBOX,
            lambda v: dead_letters.message_controls(v.book, v.now),
            lambda v, f: dead_letters.messages(v.book, f, person_id=v.person_id, now=v.now),
            dead_letters.ORDER,
            lambda row: str(row.pk),
        ),
        Queue(
            "messages",
            "Messages",
            "/messages/",
            Act.VIEW_BOOKS,
            lambda v: messages.MESSAGE_CONTROLS,
            lambda v, f: messages.messages(v.book, f),
        ),
        Queue(
            "tickets",
            "Tickets",
            "/messages/tickets/",
            Act.VIEW_BOOKS,
            lambda v: messages.TICKET_CONTROLS,
            lambda v, f: messages.tickets(v.book, f),
        ),
        Queue(
            "jobs",
            "Jobs",
            "/jobs/",
            Act.VIEW_BOOKS,
            lambda v: job_reads.CONTROLS,
            lambda v, f: job_reads.listed(v.book, f, person_id=v.person_id),
        ),
        Queue(
            "audit",
            "Audit",
            "/audit/",
            Act.VIEW_AUDIT,
            lambda v: audit.CONTROLS,
            lambda v, f: audit.listed(v.book, f),
            "-id",
        ),
    )
}
# What is dead in the two queues, by the key of its screen.
DEAD_MODELS: dict[str, type[ProviderEvent] | type[Message]] = {
    "dead-letters": ProviderEvent,
    "outbox": Message,
}
