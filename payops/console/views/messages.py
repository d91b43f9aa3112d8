"""Messages: what the built-in connector sent, its tickets, and dead letters of the outbox."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages as notices
from django.db import transaction
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from payops.console import exports, filters, paging
from payops.console.access import requires
from payops.console.reads import dead_letters as letters
from payops.console.reads import messages as reads
from payops.console.reads import queues
from payops.core.models import Message
from payops.core.outbox import MessageRefused
from payops.core.roles import Act
from payops.webhooks import services

OUTBOX = queues.QUEUES["outbox"]


@require_GET
@requires(Act.VIEW_BOOKS)
def index(request: HttpRequest) -> HttpResponse:
    wanted = filters.read(request.GET, reads.MESSAGE_CONTROLS)
    page = paging.keyset(reads.messages(request.book, wanted), query=request.GET)
    return render(request, "console/messages.html", {"filters": wanted, "page": page})


@require_GET
@requires(Act.VIEW_BOOKS)
def tickets(request: HttpRequest) -> HttpResponse:
    wanted = filters.read(request.GET, reads.TICKET_CONTROLS)
    page = paging.keyset(reads.tickets(request.book, wanted), query=request.GET)
    cases = reads.cases_of(request.book, page.rows)
    rows = [{"ticket": row, "case_id": cases.get(row.correlation_id, "")} for row in page.rows]
    return render(
        request, "console/tickets.html", {"filters": wanted, "page": page, "tickets": rows}
    )


@require_GET
@requires(Act.VIEW_INBOX)
def outbox(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    viewer = queues.viewer_of(request)
    wanted = OUTBOX.read(request.GET, viewer)
    rows = OUTBOX.rows(viewer, wanted)
    if exports.wanted(request, wanted):
        return exports.csv_response(
            request,
            name="outbox-dead-letters",
            rows=rows.order_by("-pk").iterator(chunk_size=exports.CHUNK),
            columns=letters.MESSAGE_CSV,
        )
    page = paging.keyset(rows, query=request.GET, order=letters.ORDER)
    shown = {
        "filters": wanted,
        "page": page,
        "rows": letters.dead_messages(page.rows),
        "causes": letters.causes(Message, request.book),
        "screen": OUTBOX.key,
        "query": request.GET.urlencode(),
    }
    return render(request, "console/outbox.html", shown)


@require_POST
@requires(Act.REDRIVE_EVENT)
def redrive(request: HttpRequest) -> HttpResponse:
    try:
        chosen = _keys(request)
        with transaction.atomic(durable=True):
            done = services.redrive(
                message_ids=chosen,
                note=request.POST.get("note", ""),
                actor=request.actor,
                now=request.now,
            )
    except (services.RedriveRefused, MessageRefused) as refusal:
        notices.error(request, f"Nothing was redriven: {refusal}")
    else:
        words = f"{done} message{'' if done == 1 else 's'} redriven"
        (notices.success if done else notices.warning)(request, words)
    return redirect("outbox")


def _keys(request: Any) -> list[UUID]:
    """Keys of this book's messages; another book's are not found."""
    try:
        keys = {UUID(text) for text in request.POST.getlist("message")}
    except ValueError as error:
        raise MessageRefused("a message was not found") from error
    found = Message.objects.filter(book=request.book, pk__in=keys).count()
    if found != len(keys):
        raise MessageRefused(f"{len(keys) - found} of {len(keys)} messages were not found")
    return sorted(keys)
