"""What is meant to leave the house: notices, tickets and their updates, one row each (F32, RB-5).

The local ticket and the local message are the record; a Dispatch per connector and recipient says
that a copy shall go outside, written in the transaction of the act. Never speaks to the network:
`dispatches` carries the rows. Messages hold a deep link and no authority (D3).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime

from django.conf import settings
from django.db import connection, transaction
from simple_history.utils import bulk_create_with_history

from payops.cases.models import Case, Dispatch, LocalMessage, LocalTicket
from payops.cases.services import send_local_message
from payops.connectors.registry import CONNECTORS, Entry
from payops.core import audit, messages
from payops.core.actors import Actor
from payops.core.messages import News
from payops.core.models import Book, Person
from payops.core.roles import Role

log = logging.getLogger(__name__)

NOTICES, TICKETS = "notice.outside", "ticket.outside"
RECIPIENTS_MAX = 20
TEST, CHECK = "test:", "check:"
OPERATIONS = (Role.OPS_AGENT, Role.OPS_LEAD)
# Words of an audience -> who is meant. What nobody here can be reached for goes to operations.
AUDIENCES: tuple[tuple[str, tuple[Role, ...]], ...] = (
    ("operations", OPERATIONS),
    ("finance", (Role.FINANCE_ANALYST, Role.FINANCE_MANAGER)),
    ("compliance", (Role.COMPLIANCE,)),
    ("treasury", (Role.TREASURY,)),
    ("engineer", (Role.ENGINEER,)),
    ("audit", (Role.AUDITOR,)),
    ("access", (Role.ACCESS_ADMIN,)),
)


class TestRefused(ValueError):
    """Nothing was sent; the text says which connector and why."""

    __test__ = False


def address_of(name: str) -> str:
    """The connector's configured address, "" where it has none."""
    return str(getattr(settings, f"{name.upper()}_URL", ""))


def configured() -> dict[str, Entry]:
    """The connectors that have an address, by name."""
    return {
        name: row for name, row in CONNECTORS.items() if row.address_variable and address_of(name)
    }


def is_opening(dispatch: Dispatch) -> bool:
    """Whether it creates a ticket, which can be searched for; everything else cannot."""
    ticket = dispatch.ticket
    return ticket is not None and ticket.correlation_id == dispatch.correlation_id


def is_trial(dispatch: Dispatch) -> bool:
    """A person waits for the answer: one attempt, whatever comes of it."""
    return dispatch.correlation_id.startswith((TEST, CHECK))


def is_word_to_ticket(dispatch: Dispatch) -> bool:
    """Words for a ticket that others opened, in a system that carries tickets."""
    return dispatch.message is not None and CONNECTORS[dispatch.connector].tickets is not None


def announce(*, notice: LocalMessage, now: datetime) -> list[Dispatch]:
    """A copy of the notice through every configured connector of messages."""
    rows = []
    for name, entry in configured().items():
        if entry.messages is None:
            continue
        for recipient in _addresses(notice.audience) if entry.per_person else [""]:
            rows.append(_of_notice(notice, name, recipient, now))
    return _send(rows, NOTICES, now)


def open_ticket(*, ticket: LocalTicket, case: Case, now: datetime) -> list[Dispatch]:
    """The same ticket in every configured ticket system."""
    rows = [
        _of_ticket(ticket, case, name, ticket.correlation_id, now)
        for name, entry in configured().items()
        if entry.tickets is not None
    ]
    return _send(rows, TICKETS, now)


def tell_closed(*, case: Case, entry_key: str, now: datetime) -> list[Dispatch]:
    """The line of the timeline that closed the case, as a comment on its tickets outside."""
    opened = Dispatch.objects.filter(case=case, ticket__isnull=False).select_related("ticket")
    rows = []
    for each in opened.exclude(state=Dispatch.State.REFUSED).order_by("created_at"):
        ticket = each.ticket
        if ticket is not None and is_opening(each):
            key = f"{ticket.correlation_id}|{entry_key}"
            rows.append(_of_ticket(ticket, case, each.connector, key, now))
    return _send(rows, TICKETS, now)


def tell_ticket(*, words: LocalMessage, system: str, ref: str, now: datetime) -> list[Dispatch]:
    """The words as a comment on a ticket of theirs, where that system has an address here."""
    entry = configured().get(system)
    if entry is None or entry.tickets is None:
        return []
    return _send([_of_notice(words, system, ref, now)], TICKETS, now)


def send_trial(*, book: Book, connector: str, actor: Actor, now: datetime) -> Dispatch:
    """A test message, or for tickets a search that finds nothing. Raises TestRefused."""
    entry = configured().get(connector)
    if entry is None:
        raise TestRefused(f"{connector[:24]} is not configured; nothing was sent")
    person = Person.objects.get(pk=actor.human())
    if entry.per_person and not person.email:
        raise TestRefused(f"{person.name} has no e-mail address; nothing was sent")
    with transaction.atomic(durable=True):
        key = f"{connector}:{now.isoformat()}"
        if entry.messages is None:
            row = Dispatch(
                book=book, connector=connector, correlation_id=CHECK + key, created_at=now
            )
        else:
            notice = send_local_message(
                book=book,
                case=None,
                correlation_id=TEST + key,
                audience=f"test of {entry.label}",
                subject="Test message from PayOps",
                body=f"{person.name} asked for it at {now:%Y-%m-%d %H:%M} UTC. Nothing is to do.",
                link=f"{settings.PUBLIC_URL}/settings/connections/",
                now=now,
            )
            row = _of_notice(notice, connector, person.email if entry.per_person else "", now)
        _send([row], NOTICES if entry.messages else TICKETS, now)
        words = f"{entry.label} was tried"
        audit.record(
            [
                audit.event(
                    book=book,
                    actor=actor,
                    action="connector.tried",
                    subject_id=connector,
                    now=now,
                    reason=words,
                )
            ]
        )
        return row


def _of_notice(notice: LocalMessage, name: str, recipient: str, now: datetime) -> Dispatch:
    return Dispatch(
        book=notice.book,
        connector=name,
        correlation_id=notice.correlation_id,
        recipient=recipient,
        case=notice.case,
        message=notice,
        created_at=now,
    )


def _of_ticket(ticket: LocalTicket, case: Case, name: str, key: str, now: datetime) -> Dispatch:
    return Dispatch(
        book=ticket.book,
        connector=name,
        correlation_id=key,
        case=case,
        ticket=ticket,
        created_at=now,
    )


def _send(rows: list[Dispatch], topic: str, now: datetime) -> list[Dispatch]:
    """Keep the rows that are new; each travels with a message of its own."""
    assert connection.in_atomic_block, "what leaves is written with the act that made it"
    if not rows:
        return []
    known = set(
        Dispatch.objects.filter(
            book=rows[0].book, correlation_id__in={row.correlation_id for row in rows}
        ).values_list("connector", "correlation_id", "recipient")
    )
    fresh = [row for row in rows if (row.connector, row.correlation_id, row.recipient) not in known]
    if fresh:
        bulk_create_with_history(fresh, Dispatch)
    messages.send(
        [News(row.book, topic, row.pk.hex, {"dispatch_id": str(row.pk)}) for row in fresh], now=now
    )
    return fresh


def _addresses(audience: str) -> list[str]:
    """Mail addresses of the people an audience means, each once, in a fixed order."""
    meant = _roles_of(audience)
    people = Person.objects.filter(
        left_at=None, role_grants__revoked_at=None, role_grants__role__in=meant
    ).exclude(email="")
    found = list(people.distinct().order_by("pk").values_list("email", flat=True))
    if len(found) > RECIPIENTS_MAX:
        log.warning("a notice goes to %d of %d people by mail", RECIPIENTS_MAX, len(found))
    return list(dict.fromkeys(found))[:RECIPIENTS_MAX]


def _roles_of(audience: str) -> list[str]:
    said = audience.lower()
    found: Iterable[tuple[Role, ...]] = (roles for part, roles in AUDIENCES if part in said)
    return sorted({str(role) for roles in found for role in roles}) or sorted(map(str, OPERATIONS))
