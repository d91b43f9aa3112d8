"""What the connections screen shows: which systems outside are configured, what came of the sends.

Addresses are secrets: a page shows a host, never a URL. Serves RB-5, PX-10, F32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db.models import Count, Max, Q, QuerySet

from payops.cases.models import Dispatch
from payops.connectors.base import AddressMalformed
from payops.connectors.registry import (
    CONNECTORS,
    Entry,
    message_connector,
    ticket_connector,
)
from payops.console.filters import Control, Filters, choices
from payops.core.http import HttpClient
from payops.core.models import Book
from payops.flows import outside

COUNTED = timedelta(days=7)
State = Dispatch.State
SYSTEMS = {name: row for name, row in CONNECTORS.items() if row.address_variable}
STATES = (
    (State.PENDING, "Waiting"),
    (State.SENT, "Sent"),
    (State.UNKNOWN, "Unknown"),
    (State.REFUSED, "Refused"),
)
THROUGH = [(name, row.label) for name, row in SYSTEMS.items()]
CONTROLS = (
    Control("connector", "Through", "select", choices(THROUGH)),
    Control("state", "State", "select", choices([(str(key), words) for key, words in STATES])),
)


@dataclass(frozen=True, slots=True)
class Connection:
    """One system: `refusal` says why its address cannot be used, "" when it can."""

    name: str
    entry: Entry
    host: str
    refusal: str
    sent: int = 0
    waiting: int = 0
    unknown: int = 0
    refused: int = 0
    last_sent_at: datetime | None = None

    @property
    def carries(self) -> str:
        return "tickets" if self.entry.tickets else "messages"

    @property
    def state(self) -> str:
        if not self.host:
            return "OFF"
        return "REFUSED" if self.refusal else "ON"


def connections(book: Book, *, now: datetime) -> list[Connection]:
    """Every connector there is, with the outcomes of the last days."""
    rows = Dispatch.objects.filter(book=book, created_at__gt=now - COUNTED).order_by()
    counted = {
        row["connector"]: row
        for row in rows.values("connector").annotate(
            sent=Count("pk", filter=Q(state=State.SENT)),
            waiting=Count("pk", filter=Q(state=State.PENDING)),
            unknown=Count("pk", filter=Q(state=State.UNKNOWN)),
            refused=Count("pk", filter=Q(state=State.REFUSED)),
            last_sent_at=Max("sent_at"),
        )
    }
    shown = []
    for name, entry in SYSTEMS.items():
        found: dict[str, Any] = {**counted.get(name, {})}
        found.pop("connector", None)
        shown.append(Connection(name, entry, *_address(name, entry), **found))
    return shown


def dispatches(book: Book, wanted: Filters) -> QuerySet[Dispatch]:
    rows = Dispatch.objects.filter(book=book).select_related("case", "message", "ticket")
    if wanted["connector"]:
        rows = rows.filter(connector=wanted["connector"])
    return rows.filter(state=wanted["state"]) if wanted["state"] else rows


@dataclass(frozen=True, slots=True)
class Sent:
    """One row of the list; a recipient's address is shown by its ends."""

    row: Dispatch
    label: str
    what: str
    to: str

    @property
    def waits_for_policy(self) -> bool:
        return self.row.state == State.UNKNOWN and not outside.is_opening(self.row)


def shown(rows: Sequence[Dispatch]) -> list[Sent]:
    return [
        Sent(row, CONNECTORS[row.connector].label, _what(row), _masked(row.recipient))
        for row in rows
    ]


def _address(name: str, entry: Entry) -> tuple[str, str]:
    """(host, why it cannot be used): made as a send would make it, without sending."""
    address = outside.address_of(name)
    if not address:
        return "", ""
    http = HttpClient(allow=settings.HTTP_ALLOW)
    try:
        if entry.tickets:
            ticket_connector(name=name, address=address, http=http)
        else:
            message_connector(name=name, address=address, http=http)
        return urlsplit(address).hostname or "configured", ""
    except (AddressMalformed, ValueError) as refusal:
        return "configured", str(refusal)


def _what(row: Dispatch) -> str:
    if row.message is not None:
        return row.message.subject
    if row.ticket is None:
        return "Search that finds nothing"
    if outside.is_opening(row):
        return f"Ticket {row.ticket.number}"
    return f"Closing comment on {row.ticket.number}"


def _masked(address: str) -> str:
    name, at, host = address.partition("@")
    return f"{name[:1]}…{at}{host}" if at else address
