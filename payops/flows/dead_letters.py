"""Engineering learns of what can never succeed as it is: one notice per cause and day (WH-21).

Reads the row that died first of its cause; changes nothing. The notice names the part of the body
that did not fit and leads to the dead letters of the same cause.
"""

from __future__ import annotations

from datetime import datetime
from urllib.parse import urlencode
from uuid import UUID

from payops.core.models import Message
from payops.flows import notices
from payops.webhooks.models import ProviderEvent

AUDIENCE = "engineering"
LINK_CHARS_MAX = 190


def alert(batch: list[Message], now: datetime) -> None:
    for message in batch:
        if message.payload["source"] == "event":
            _tell_of_event(message, now)
        else:
            _tell_of_message(message, now)


def path_of(row: ProviderEvent | Message) -> str:
    """The part of the body that did not fit, as its latest failure names it; "" when none does."""
    paths = [str(each["path"]) for each in row.failures if each.get("path")]
    return paths[-1] if paths else ""


def _tell_of_event(message: Message, now: datetime) -> None:
    rows = ProviderEvent.objects.select_related("account", "book")
    event = rows.get(pk=ProviderEvent.key_of(message.payload["id"]))
    path = path_of(event)
    fit = f"What did not fit: {path}.\n" if path else ""
    _send(
        message,
        cause=event.cause,
        body=f"{event.type} of {event.account.address}, event {event.public_id}: "
        f"{event.last_error}\n{fit}No retry helps. Put the cause right, then redrive all letters "
        "of this cause; what can never be right is discarded through an approval.",
        path=_queue_of("/inbox/dead/", event.cause) or f"/inbox/{event.public_id}/",
        now=now,
    )


def _tell_of_message(message: Message, now: datetime) -> None:
    dead = Message.objects.get(pk=UUID(message.payload["id"]))
    _send(
        message,
        cause=dead.cause,
        body=f"{dead.topic} {dead.key}: {dead.last_error}\nNo retry helps. Put the cause right, "
        "then redrive all messages of this cause.",
        path=_queue_of("/messages/outbox/", dead.cause) or "/messages/outbox/",
        now=now,
    )


def _queue_of(screen: str, cause: str) -> str:
    """The dead letters of one cause; "" when the address would not fit its column."""
    address = f"{screen}?{urlencode({'cause': cause})}"
    return address if len(address) <= LINK_CHARS_MAX else ""


def _send(message: Message, *, cause: str, body: str, path: str, now: datetime) -> None:
    notices.send(
        book=message.book,
        case=None,
        key=f"dead-letter:{message.key}",
        audience=AUDIENCE,
        subject=f"Structural mismatch: {cause}",
        body=body,
        path=path,
        now=now,
    )
