"""The connectors this product knows, one line each, and where each gets its address from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from payops.connectors.base import MessageConnector, TicketConnector
from payops.connectors.email.connector import EmailConnector

# Tickets and messages as rows of our own database: the flow writes them, nothing is sent.
LOCAL = "local"


class ConnectorUnknown(LookupError):
    """No such connector, or it does not carry what was asked of it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """`tickets` and `messages` make a connector from its address; None where there is none."""

    address_variable: str | None = None
    tickets: Callable[[str], TicketConnector] | None = None
    messages: Callable[[str], MessageConnector] | None = None


CONNECTORS: Mapping[str, Entry] = {
    LOCAL: Entry(),
    "email": Entry(address_variable="PAYOPS_EMAIL_URL", messages=EmailConnector),
}


def entry(name: str) -> Entry:
    """Raises ConnectorUnknown."""
    try:
        return CONNECTORS[name]
    except KeyError:
        raise ConnectorUnknown(name[:60]) from None


def ticket_connector(*, name: str, address: str) -> TicketConnector:
    """Raises ConnectorUnknown, also for `local`, which has no outside."""
    make = entry(name).tickets
    if make is None:
        raise ConnectorUnknown(f"{name[:60]} carries no tickets to the outside")
    return make(address)


def message_connector(*, name: str, address: str) -> MessageConnector:
    """Raises ConnectorUnknown, also for `local`, which has no outside."""
    make = entry(name).messages
    if make is None:
        raise ConnectorUnknown(f"{name[:60]} carries no messages to the outside")
    return make(address)
