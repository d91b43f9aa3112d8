"""Settings, connections: ticket and chat systems, what came of each send, and a test message."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages as notices
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from payops.console import filters, paging
from payops.console.access import requires
from payops.console.reads import connections as reads
from payops.core.roles import Act
from payops.flows import outside


@require_GET
@requires(Act.VIEW_BOOKS)
def index(request: HttpRequest) -> HttpResponse:
    wanted = filters.read(request.GET, reads.CONTROLS)
    page = paging.keyset(reads.dispatches(request.book, wanted), query=request.GET)
    systems = reads.connections(request.book, now=request.now)
    shown = {
        "systems": systems,
        "unknown": sum(each.unknown for each in systems),
        "resends": settings.RESEND_UNKNOWN,
        "filters": wanted,
        "page": page,
        "rows": reads.shown(page.rows),
    }
    return render(request, "console/connections.html", shown)


@require_POST
@requires(Act.MANAGE_ACCOUNT)
def attempt(request: HttpRequest) -> HttpResponse:
    """Send a test message, or search a ticket system for what it cannot have."""
    name = request.POST.get("connector", "")
    try:
        outside.send_trial(book=request.book, connector=name, actor=request.actor, now=request.now)
    except outside.TestRefused as refusal:
        notices.error(request, str(refusal))
    else:
        notices.success(request, "It is on its way; what came of it stands below in a moment")
    return redirect("connections")
