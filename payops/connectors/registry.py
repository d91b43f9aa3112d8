"""The connectors this product knows, one line each, and where each gets its address from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from payops.connectors.base import MessageConnector, TicketConnector
from payops.connectors.email.connector import EmailConnector
from payops.connectors.jira.connector import JiraConnector
from payops.connectors.servicenow.connector import ServiceNowConnector
from payops.connectors.slack.connector import SlackConnector
from payops.connectors.teams.connector import TeamsConnector
from payops.core.http import HttpClient

# Tickets and messages as rows of our own database: the flow writes them, nothing is sent.
LOCAL = "local"


class ConnectorUnknown(LookupError):
    """No such connector, or it does not carry what was asked of it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """`tickets` and `messages` make a connector from its address; None where there is none.

    `per_person`: a message goes to each person by an address of their own, not to one place.
    """

    label: str
    address_variable: str | None = None
    tickets: Callable[[str, HttpClient], TicketConnector] | None = None
    messages: Callable[[str, HttpClient], MessageConnector] | None = None
    per_person: bool = False


CONNECTORS: Mapping[str, Entry] = {
    LOCAL: Entry("Built in"),
    "email": Entry(
        "E-mail",
        "PAYOPS_EMAIL_URL",
        messages=lambda address, _: EmailConnector(address),
        per_person=True,
    ),
    "servicenow": Entry("ServiceNow", "PAYOPS_SERVICENOW_URL", tickets=ServiceNowConnector),
    "jira": Entry("Jira", "PAYOPS_JIRA_URL", tickets=JiraConnector),
    "teams": Entry("Microsoft Teams", "PAYOPS_TEAMS_URL", messages=TeamsConnector),
    "slack": Entry("Slack", "PAYOPS_SLACK_URL", messages=SlackConnector),
}


def entry(name: str) -> Entry:
    """Raises ConnectorUnknown."""
    try:
        return CONNECTORS[name]
    except KeyError:
        raise ConnectorUnknown(name[:60]) from None


def ticket_connector(*, name: str, address: str, http: HttpClient) -> TicketConnector:
    """Raises ConnectorUnknown, also for `local`, which has no outside, and AddressMalformed."""
    make = entry(name).tickets
    if make is None:
        raise ConnectorUnknown(f"{name[:60]} carries no tickets to the outside")
    return make(address, http)


def message_connector(*, name: str, address: str, http: HttpClient) -> MessageConnector:
    """Raises ConnectorUnknown, also for `local`, which has no outside, and AddressMalformed."""
    make = entry(name).messages
    if make is None:
        raise ConnectorUnknown(f"{name[:60]} carries no messages to the outside")
    return make(address, http)
