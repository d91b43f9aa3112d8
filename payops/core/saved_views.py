"""Named sets of filters: kept by one person, shared with roles, pinned to the navigation.

Private until it is shared; only its owner changes it. Never looks at what a screen shows: the
query is text here. Serves F37.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, connection, transaction

from payops.core import audit
from payops.core.actors import Actor
from payops.core.models import Book, SavedView
from payops.core.roles import Role

NAME_CHARS_MAX = 80
QUERY_CHARS_MAX = 2000
VIEWS_MAX = 50


class ViewRefused(ValueError):
    """The view is not kept; says which rule or which name stands against it."""


def keep(
    *, book: Book, screen: str, name: str, query: str, actor: Actor, now: datetime
) -> SavedView:
    """A new private view. Raises ViewRefused."""
    assert connection.in_atomic_block, "a view is kept with its audit row"
    if len(query) > QUERY_CHARS_MAX:
        raise ViewRefused(f"the filters take {len(query)} characters; {QUERY_CHARS_MAX} are kept")
    mine = SavedView.objects.filter(owner_id=actor.human(), removed_at=None)
    if mine.count() >= VIEWS_MAX:
        raise ViewRefused(f"you keep {VIEWS_MAX} views already; remove one first")
    view = SavedView(
        book=book,
        owner_id=actor.human(),
        screen=screen,
        name=_named(name),
        query=query,
        created_at=now,
    )
    _write(view, actor, now, "view.kept")
    return view


def change(
    *,
    view_id: UUID,
    name: str,
    shared_with: Sequence[str],
    pinned: bool,
    actor: Actor,
    now: datetime,
) -> SavedView:
    """Rename it, share it with roles, pin it. Raises ViewRefused for anybody but its owner."""
    assert connection.in_atomic_block, "a view is changed with its audit row"
    view = _own(view_id, actor)
    unknown = sorted(set(shared_with) - {role.value for role in Role})
    if unknown:
        raise ViewRefused(f"{', '.join(unknown)} is none of the roles")
    view.name, view.pinned = _named(name), pinned
    view.shared_with = sorted(set(shared_with))
    _write(view, actor, now, "view.changed")
    return view


def remove(*, view_id: UUID, actor: Actor, now: datetime) -> SavedView:
    assert connection.in_atomic_block, "a view is removed with its audit row"
    view = _own(view_id, actor)
    view.removed_at = now
    _write(view, actor, now, "view.removed")
    return view


def _own(view_id: UUID, actor: Actor) -> SavedView:
    """The view, locked; somebody else's is refused even when it is shared with the caller."""
    rows = SavedView.objects.select_for_update().select_related("book", "owner")
    view = rows.filter(pk=view_id, removed_at=None).first()
    if view is None:
        raise ViewRefused("this view is not there any more")
    if view.owner_id != actor.human():
        raise ViewRefused(f"only {view.owner.name} changes the view “{view.name}”; save your own")
    return view


def _named(name: str) -> str:
    name = " ".join(name.split())
    if not 1 <= len(name) <= NAME_CHARS_MAX:
        raise ViewRefused(f"a view's name has 1 to {NAME_CHARS_MAX} characters")
    return name


def _write(view: SavedView, actor: Actor, now: datetime, action: str) -> None:
    try:
        with transaction.atomic():
            view.save()
    except IntegrityError as error:
        raise ViewRefused(f"you have a view “{view.name}” on this screen already") from error
    evidence = {
        "screen": view.screen,
        "name": view.name,
        "query": view.query,
        "shared_with": view.shared_with,
        "pinned": view.pinned,
    }
    audit.record(
        [
            audit.event(
                book=view.book,
                actor=actor,
                action=action,
                subject_id=f"view {view.pk.hex}",
                now=now,
                evidence=evidence,
            )
        ]
    )
