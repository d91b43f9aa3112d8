"""Saved views as screens and navigation show them: mine and those shared with my roles.

Pinned ones are counted, all in one statement that stops at COUNT_MAX rows each and gives up after
COUNT_WITHIN_MS: a slow filter costs its number, never the page. Reads only.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from django.core.exceptions import EmptyResultSet
from django.db import OperationalError, connection, transaction
from django.db.models import Q

from payops.console.filters import NOT_FILTERS
from payops.console.reads.queues import QUEUES, Queue, Viewer
from payops.core.models import SavedView

log = logging.getLogger(__name__)
COUNT_MAX = 99
COUNT_WITHIN_MS = 250
PINNED_MAX = 12
VIEWS_MAX = 200


@dataclass(frozen=True, slots=True)
class ViewLink:
    """One view as a link; `count` is "" when nothing fits and when it is not counted."""

    key: str
    name: str
    url: str
    screen: str
    count: str
    mine: bool
    shared: bool
    pinned: bool
    current: bool


def visible(viewer: Viewer) -> list[SavedView]:
    """Mine, and those of others that are shared with a role I hold, on screens I may open."""
    roles = sorted(role.value for role in viewer.roles)
    shared = Q(shared_with__has_any_keys=roles) if roles else Q(pk=None)
    rows = SavedView.objects.filter(Q(owner_id=viewer.person_id) | shared, book=viewer.book)
    rows = rows.filter(removed_at=None).select_related("owner").order_by("screen", "name", "pk")
    return [row for row in rows[:VIEWS_MAX] if _opens(row, viewer)]


def links(views: Sequence[SavedView], viewer: Viewer, *, path: str, query: str) -> list[ViewLink]:
    """Links to the views; only pinned ones are counted."""
    pinned = [view for view in views if view.pinned][:PINNED_MAX]
    counts = counted(pinned, viewer)
    here = normal(query)
    return [
        ViewLink(
            key=str(view.pk),
            name=view.name,
            url=url_of(view),
            screen=view.screen,
            count=counts.get(view.pk.hex, ""),
            mine=view.owner_id == viewer.person_id,
            shared=bool(view.shared_with),
            pinned=view.pinned,
            current=QUEUES[view.screen].path == path and normal(view.query) == here,
        )
        for view in views
    ]


def url_of(view: SavedView) -> str:
    path = QUEUES[view.screen].path
    return f"{path}?{view.query}" if view.query else path


def counted(views: Sequence[SavedView], viewer: Viewer) -> dict[str, str]:
    """How many rows each view shows now, as text, by the hex of its key; one statement."""
    parts: list[str] = []
    values: list[Any] = []
    keys: list[str] = []
    for view in views:
        queue = QUEUES[view.screen]
        wanted = queue.read(dict(parse_qsl(view.query)), viewer)
        rows = queue.rows(viewer, wanted).order_by().values_list("pk")[: COUNT_MAX + 1]
        try:
            text, held = rows.query.sql_with_params()
        except EmptyResultSet:
            continue
        parts.append(f"(SELECT count(*) FROM ({text}) v{len(parts)})")
        values += held
        keys.append(view.pk.hex)
    if not parts:
        return {}
    found = _one_statement("SELECT " + ", ".join(parts), values)
    return {key: _text(count) for key, count in zip(keys, found, strict=False)}


def normal(query: str) -> str:
    """The filters alone, in one order, so that two addresses of the same rows are the same."""
    kept = [(name, value) for name, value in parse_qsl(query) if name not in NOT_FILTERS]
    return "&".join(f"{name}={value}" for name, value in sorted(kept))


def _one_statement(statement: str, values: list[Any]) -> list[int]:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL statement_timeout = {COUNT_WITHIN_MS}")
            cursor.execute(statement, values)
            return list(cursor.fetchone() or ())
    except OperationalError as error:
        log.warning("pinned views were not counted: %s", error)
        return []


def _text(count: int) -> str:
    if count > COUNT_MAX:
        return f"{COUNT_MAX}+"
    return str(count) if count else ""


def _opens(view: SavedView, viewer: Viewer) -> bool:
    queue: Queue | None = QUEUES.get(view.screen)
    return queue is not None and (queue.act is None or queue.act in viewer.acts)
