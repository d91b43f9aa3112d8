"""Keyset paging: a page costs the same at row one and at row one million.

The cursor is the last row's order value and key, as text in the URL; a cursor that cannot be read
starts at the first page. Rows that arrive meanwhile shift nothing.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet

PAGE_SIZE = 50
CURSOR_CHARS_MAX = 400


@dataclass(frozen=True, slots=True)
class Page:
    """`after` and `before` are cursors for the neighbouring pages, "" where there is none."""

    rows: list[Any]
    after: str = ""
    before: str = ""

    @property
    def shown(self) -> int:
        return len(self.rows)


def keyset(
    rows: QuerySet[Any],
    *,
    query: Mapping[str, str],
    order: str = "-created_at",
    size: int = PAGE_SIZE,
) -> Page:
    """One page ordered by `order` (a column, "-" for newest first), ties broken by key.

    Order by "-pk" where keys are made at the same time as rows: they are time-ordered.
    """
    column, descending = order.lstrip("-"), order.startswith("-")
    if column == "pk":
        column = rows.model._meta.pk.name
    backwards = "before" in query and "after" not in query
    cursor = _read(rows, column, query.get("before" if backwards else "after", ""))
    downwards = descending != backwards
    if cursor is not None:
        rows = rows.filter(_beyond(column, cursor, downwards))
    else:
        backwards, downwards = False, descending
    sign = "-" if downwards else ""
    found = list(rows.order_by(*dict.fromkeys((sign + column, f"{sign}pk")))[: size + 1])
    more, shown = len(found) > size, found[:size]
    if backwards:
        shown.reverse()
    has_next = bool(shown) and (more or backwards)
    has_previous = bool(shown) and (more if backwards else cursor is not None)
    return Page(
        shown,
        after=_write(shown[-1], column) if has_next else "",
        before=_write(shown[0], column) if has_previous else "",
    )


def _beyond(column: str, cursor: tuple[Any, Any], downwards: bool) -> Q:
    value, key = cursor
    side = "lt" if downwards else "gt"
    tie = Q(**{column: value, f"pk__{side}": key})
    return Q(**{f"{column}__{side}e": value}) & (Q(**{f"{column}__{side}": value}) | tie)


def _write(row: Any, column: str) -> str:
    value = row._meta.get_field(column).value_to_string(row)
    text = json.dumps([value, str(row.pk)])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read(rows: QuerySet[Any], column: str, cursor: str) -> tuple[Any, Any] | None:
    if not cursor or len(cursor) > CURSOR_CHARS_MAX:
        return None
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        value, key = json.loads(text)
        meta = rows.model._meta
        return meta.get_field(column).to_python(value), meta.pk.to_python(key)
    except (binascii.Error, ValueError, TypeError, ValidationError):
        return None
