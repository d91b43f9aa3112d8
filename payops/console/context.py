"""What the frame of every screen shows: navigation, person, book, business day (settings name it).

Reads only what the middleware found; an anonymous or unknown caller gets an empty frame.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest

from payops.console import nav
from payops.console.reads import queues, saved_views
from payops.console.reads.saved_views import ViewLink
from payops.core import clock
from payops.core.roles import LABELS


def shell(request: HttpRequest) -> dict[str, Any]:
    now = getattr(request, "now", None)
    if getattr(request, "actor", None) is None:
        return {"now": now}
    book = request.book  # type: ignore[attr-defined]
    acts = request.acts  # type: ignore[attr-defined]
    reader = nav.Reader(request.actor.person_id, request.roles, acts)  # type: ignore[attr-defined]
    views = _saved_views(request) if book is not None else []
    shown: dict[str, Any] = {
        "now": now,
        "nav": nav.items(path=request.path, reader=reader, book=book, views=views),
        "saved": _saved_here(request, views),
        "person": request.user.person,  # type: ignore[union-attr]
        "role_label": role_words(request),
        "acts": {act.value: True for act in acts},
        "environment": settings.PAYOPS_ENVIRONMENT,
    }
    if book is not None:
        shown |= {
            "book": book,
            "business_day": clock.business_day(now, time_zone=book.time_zone),  # type: ignore[arg-type]
            "time_zone": book.time_zone,
        }
    return shown


def _saved_views(request: HttpRequest) -> list[ViewLink]:
    viewer = queues.viewer_of(request)
    query = request.META.get("QUERY_STRING", "")
    views = saved_views.visible(viewer)
    return saved_views.links(views, viewer, path=request.path, query=query)


def _saved_here(request: HttpRequest, views: list[ViewLink]) -> dict[str, Any] | None:
    """The saved views of the queue at this address, and what saving another one needs."""
    queue = queues.by_path(request.path)
    if queue is None:
        return None
    here = [view for view in views if view.screen == queue.key]
    query = request.META.get("QUERY_STRING", "")
    return {"screen": queue.key, "views": here, "query": query}


def role_words(request: HttpRequest) -> str:
    held = sorted(LABELS[role] for role in request.roles)  # type: ignore[attr-defined]
    return ", ".join(held) or "No role"
