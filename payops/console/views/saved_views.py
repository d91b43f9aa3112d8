"""Saved views: keep the filters of a screen under a name, rename, share, pin, remove."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from payops.console.access import refuse, signed_in
from payops.console.filters import NOT_FILTERS
from payops.console.reads import queues
from payops.console.reads import saved_views as reads
from payops.core import saved_views
from payops.core.roles import LABELS
from payops.core.saved_views import ViewRefused


@require_GET
@signed_in
def index(request: HttpRequest) -> HttpResponse:
    viewer = queues.viewer_of(request)
    views = reads.visible(viewer)
    links = {link.key: link for link in reads.links(views, viewer, path="", query="")}
    rows = [
        {
            "view": view,
            "link": links[str(view.pk)],
            "screen": queues.QUEUES[view.screen].label,
            "stale": queues.QUEUES[view.screen].read(dict(parse_qsl(view.query)), viewer).refused,
            "roles": [(role.value, words, role.value in view.shared_with) for role, words in ROLES],
        }
        for view in views
    ]
    shown = {
        "mine": [row for row in rows if row["link"].mine],
        "shared": [row for row in rows if not row["link"].mine],
    }
    return render(request, "console/saved_views.html", shown)


ROLES = tuple(LABELS.items())


@require_POST
@signed_in
def save(request: HttpRequest) -> HttpResponse:
    """Keep the filters of a screen; back to the screen with them."""
    queue = queues.QUEUES.get(request.POST.get("screen", ""))
    if queue is None:
        messages.error(request, "This screen has no saved views.")
        return redirect("saved-views")
    if queue.act is not None and (refusal := refuse(request, queue.act)) is not None:
        return refusal
    query = _filters_alone(request.POST.get("query", ""))
    _told(
        request,
        "Saved. It is yours alone until you share it.",
        lambda: saved_views.keep(
            book=request.book,
            screen=queue.key,
            name=request.POST.get("name", ""),
            query=query,
            actor=request.actor,
            now=request.now,
        ),
    )
    return redirect(f"{queue.path}?{query}" if query else queue.path)


@require_POST
@signed_in
def change(request: HttpRequest, key: UUID) -> HttpResponse:
    if request.POST.get("act") == "remove":
        _told(
            request,
            "Removed.",
            lambda: saved_views.remove(view_id=key, actor=request.actor, now=request.now),
        )
    else:
        _told(
            request,
            "Changed.",
            lambda: saved_views.change(
                view_id=key,
                name=request.POST.get("name", ""),
                shared_with=request.POST.getlist("role"),
                pinned=request.POST.get("pinned") == "1",
                actor=request.actor,
                now=request.now,
            ),
        )
    return redirect("saved-views")


def _told(request: HttpRequest, words: str, call: Any) -> None:
    try:
        with transaction.atomic(durable=True):
            call()
    except ViewRefused as refusal:
        messages.error(request, f"Not done: {refusal}")
    else:
        messages.success(request, words)


def _filters_alone(query: str) -> str:
    """The query without cursors and empty values, as it is kept."""
    pairs = parse_qsl(query[: saved_views.QUERY_CHARS_MAX * 2].replace("\x00", ""))
    return urlencode([(name, value) for name, value in pairs if name not in NOT_FILTERS])
