"""The events that one approval names, so that nobody decides about ids alone (AP-1, WH-20).

Reads only; bounded to SHOWN_MAX rows, and every further event is still named by its id. An event
that is no dead letter any more is said to be none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from payops.core.ids import UnknownId
from payops.core.models import Book
from payops.webhooks.models import ProviderEvent

SHOWN_MAX = 50


@dataclass(frozen=True, slots=True)
class NamedEvents:
    """`rows` are the first ones, `others` the ids behind them, `unknown` how many were not found.

    `causes` says how many of the shown rows died of each cause, the most frequent first.
    """

    count: int
    rows: list[ProviderEvent]
    others: list[str]
    unknown: int
    causes: list[tuple[str, int]]

    @property
    def moved_on(self) -> int:
        return sum(event.state != ProviderEvent.State.DEAD for event in self.rows)


def named_events(book: Book, event_ids: Sequence[str]) -> NamedEvents | None:
    """None when an approval names no events."""
    if not event_ids:
        return None
    first, others = list(event_ids[:SHOWN_MAX]), list(event_ids[SHOWN_MAX:])
    found = ProviderEvent.objects.filter(book=book).select_related("account")
    known = found.in_bulk([key for key in map(_key, first) if key is not None])
    rows = [known[key] for key in map(_key, first) if key in known]
    causes: dict[str, int] = {}
    for event in rows:
        causes[event.cause] = causes.get(event.cause, 0) + 1
    return NamedEvents(
        count=len(event_ids),
        rows=rows,
        others=others,
        unknown=len(first) - len(rows),
        causes=sorted(causes.items(), key=_most_first),
    )


def _key(event_id: str) -> object:
    try:
        return ProviderEvent.key_of(event_id)
    except UnknownId:
        return None


def _most_first(row: tuple[str, int]) -> tuple[int, str]:
    return -row[1], row[0]
