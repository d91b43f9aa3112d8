"""The contract of everything that carries a ticket or a message to people outside.

Owns the shapes: a ticket is found by our correlation id before one is created, a message has no
second chance unless it is marked as a repeat. Shaped for ServiceNow, Jira, Teams, Slack and
e-mail. Never decides, never holds authority (D3), never touches a table. Serves PX-10, PX-11 and
design "Exactly once, honestly".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal, Protocol

OutcomeKind = Literal["sent", "refused", "failed", "unknown"]
Priority = Literal["low", "normal", "high", "urgent"]


class AddressMalformed(ValueError):
    """The configured address cannot be used; the text says which part, never a secret."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ticket:
    """A ticket to exist exactly once under `correlation_id`, our public id of its link."""

    correlation_id: str
    title: str
    body: str
    priority: Priority
    deep_link: str
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class TicketUpdate:
    """A comment on a ticket that exists, and where given its new status in their words."""

    correlation_id: str
    external_ref: str
    comment: str
    status: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Comment:
    """Words on a ticket that others opened: `external_ref` is its number in their system."""

    external_ref: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """One message to one recipient (an address, a channel); `message_id` stays over repeats."""

    message_id: str
    recipient: str
    subject: str
    text: str
    deep_link: str
    is_repeat: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectorOutcome:
    """What came of one attempt.

    sent: accepted, or (`already=True`) found to exist. refused: final. failed: nothing was
    accepted, a retry is safe. unknown: it may have arrived; a ticket is searched for next time,
    a message waits for policy.
    """

    kind: OutcomeKind
    started_at: datetime
    finished_at: datetime
    external_ref: str | None = None
    external_url: str | None = None
    reason: str = ""
    already: bool = False
    retry_after_s: int | None = None
    request_masked: Mapping[str, object] = field(default_factory=dict)
    response_masked: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class TicketFound:
    external_ref: str
    external_url: str | None
    status: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TicketAbsent:
    """The other side itself says that it has no ticket with this correlation id."""

    correlation_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchUnanswered:
    """Nothing may be concluded, so nothing may be created."""

    reason: str
    started_at: datetime
    finished_at: datetime
    retry_after_s: int | None = None


TicketSearch = TicketFound | TicketAbsent | SearchUnanswered


class TicketConnector(Protocol):
    """Attempts only; `ensure_ticket` holds the order of search and create."""

    name: str

    def find(self, *, correlation_id: str, deadline_s: float) -> TicketSearch: ...

    def create(self, *, ticket: Ticket, deadline_s: float) -> ConnectorOutcome: ...

    def update(self, *, update: TicketUpdate, deadline_s: float) -> ConnectorOutcome: ...

    def comment(self, *, comment: Comment, deadline_s: float) -> ConnectorOutcome:
        """Raises ValueError when the reference is none of that system's form."""
        ...


class MessageConnector(Protocol):
    name: str

    def send(self, *, message: Message, deadline_s: float) -> ConnectorOutcome: ...


def ensure_ticket(
    *, connector: TicketConnector, ticket: Ticket, now: datetime, deadline_s: float
) -> ConnectorOutcome:
    """Create the ticket unless it exists. Calling it again after any outcome is safe.

    `deadline_s` bounds each of the two calls.
    """
    found = connector.find(correlation_id=ticket.correlation_id, deadline_s=deadline_s)
    if isinstance(found, SearchUnanswered):
        return ConnectorOutcome(
            kind="failed",
            started_at=found.started_at,
            finished_at=found.finished_at,
            reason=f"search_{found.reason}",
            retry_after_s=found.retry_after_s,
        )
    if isinstance(found, TicketFound):
        return ConnectorOutcome(
            kind="sent",
            started_at=now,
            finished_at=now,
            external_ref=found.external_ref,
            external_url=found.external_url,
            already=True,
        )
    return connector.create(ticket=ticket, deadline_s=deadline_s)


def as_repeat(message: Message) -> Message:
    """The same message under the same id, marked so that its reader can tell."""
    return replace(message, is_repeat=True)
