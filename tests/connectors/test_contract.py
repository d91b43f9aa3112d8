"""One ticket per correlation id, whatever happens in between (design "Exactly once, honestly")."""

from datetime import UTC, datetime

import pytest

from payops.connectors.base import (
    ConnectorOutcome,
    SearchUnanswered,
    Ticket,
    TicketAbsent,
    TicketFound,
    TicketUpdate,
    ensure_ticket,
)
from payops.connectors.email.connector import EmailConnector
from payops.connectors.registry import (
    CONNECTORS,
    ConnectorUnknown,
    message_connector,
    ticket_connector,
)
from payops.core.http import HttpClient

NOW = datetime(2026, 1, 2, tzinfo=UTC)
TICKET = Ticket(
    correlation_id="tl_1", title="t", body="b", priority="high", deep_link="https://x.example/"
)


class Desk:
    """A ticket system that may create a ticket and then lose its answer."""

    name = "desk"

    def __init__(self, *, loses_answers: int = 0, silent_searches: int = 0) -> None:
        self.tickets: list[str] = []
        self.loses_answers = loses_answers
        self.silent_searches = silent_searches

    def find(self, *, correlation_id: str, deadline_s: float):
        if self.silent_searches:
            self.silent_searches -= 1
            return SearchUnanswered(reason="deadline", started_at=NOW, finished_at=NOW)
        if correlation_id in self.tickets:
            return TicketFound(external_ref="INC1", external_url=None, status="new")
        return TicketAbsent(correlation_id=correlation_id)

    def create(self, *, ticket: Ticket, deadline_s: float) -> ConnectorOutcome:
        self.tickets.append(ticket.correlation_id)
        lost = self.loses_answers > 0
        self.loses_answers -= lost
        return ConnectorOutcome(
            kind="unknown" if lost else "sent",
            started_at=NOW,
            finished_at=NOW,
            external_ref=None if lost else "INC1",
        )

    def update(self, *, update: TicketUpdate, deadline_s: float) -> ConnectorOutcome:
        return ConnectorOutcome(kind="sent", started_at=NOW, finished_at=NOW)


def ensure(desk: Desk) -> ConnectorOutcome:
    return ensure_ticket(connector=desk, ticket=TICKET, now=NOW, deadline_s=1.0)


def test_second_attempt_finds_the_ticket_whose_answer_was_lost():
    desk = Desk(loses_answers=1)

    first, second = ensure(desk), ensure(desk)

    assert (first.kind, second.kind, second.already) == ("unknown", "sent", True)
    assert second.external_ref == "INC1"
    assert desk.tickets == ["tl_1"]


def test_unanswered_search_creates_nothing():
    desk = Desk(silent_searches=1)

    first = ensure(desk)

    assert (first.kind, first.reason, desk.tickets) == ("failed", "search_deadline", [])
    assert ensure(desk).kind == "sent"
    assert desk.tickets == ["tl_1"]


def test_registry_makes_what_it_knows():
    address = "smtp://127.0.0.1/?from=a@b.example"

    made = message_connector(name="email", address=address, http=HttpClient())
    assert isinstance(made, EmailConnector)
    assert {name: row.address_variable for name, row in CONNECTORS.items()} == {
        "local": None,
        "email": "PAYOPS_EMAIL_URL",
        "servicenow": "PAYOPS_SERVICENOW_URL",
        "jira": "PAYOPS_JIRA_URL",
        "teams": "PAYOPS_TEAMS_URL",
        "slack": "PAYOPS_SLACK_URL",
    }


@pytest.mark.parametrize("make", [ticket_connector, message_connector])
@pytest.mark.parametrize("name", ["local", "nobody"])
def test_registry_refuses_what_has_no_outside(make, name):
    with pytest.raises(ConnectorUnknown):
        make(name=name, address="", http=HttpClient())


def test_email_carries_no_tickets():
    with pytest.raises(ConnectorUnknown):
        ticket_connector(name="email", address="smtp://h/?from=a@b.example", http=HttpClient())
