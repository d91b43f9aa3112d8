"""What the message screens show: local messages and tickets."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from payops.cases.models import LocalMessage, LocalTicket, TicketLink
from payops.console.filters import Control, Filters, choices
from payops.core.models import Book

MESSAGE_CONTROLS = (
    Control("audience", "To", placeholder="Role or team"),
    Control("q", "Subject", placeholder="Contains"),
)
TICKET_STATES = [("open", "Open"), ("closed", "Closed")]
TICKET_CONTROLS = (
    Control("status", "Status", "select", choices(TICKET_STATES)),
    Control("q", "Number or title"),
)


def messages(book: Book, wanted: Filters) -> QuerySet[LocalMessage]:
    rows = LocalMessage.objects.filter(book=book).select_related("case")
    if wanted["audience"]:
        rows = rows.filter(audience__icontains=wanted["audience"])
    return rows.filter(subject__icontains=wanted["q"]) if wanted["q"] else rows


def tickets(book: Book, wanted: Filters) -> QuerySet[LocalTicket]:
    rows = LocalTicket.objects.filter(book=book)
    if wanted["status"]:
        rows = rows.filter(status=wanted["status"])
    if wanted["q"]:
        rows = rows.filter(Q(number__iexact=wanted["q"]) | Q(title__icontains=wanted["q"]))
    return rows


def cases_of(book: Book, found: list[LocalTicket]) -> dict[str, str]:
    """Ticket correlation → public id of its case, in one query."""
    links = TicketLink.objects.filter(
        book=book, system="local", correlation_id__in=[row.correlation_id for row in found]
    )
    return {key: f"cs_{case.hex}" for key, case in links.values_list("correlation_id", "case_id")}
