"""Identical lines, found while they pass: both are kept, the second is flagged (D16, RC-10)."""

from __future__ import annotations

from collections.abc import Iterator

from payops.formats.bank.base import Entry, Finding
from payops.formats.bank.findings import figure, finding

TWINS_COMPARED_MAX = 200_000


class Twins:
    """Finds identical lines while they pass; compares no more than a bounded number."""

    def __init__(self, most: int = TWINS_COMPARED_MAX) -> None:
        self.most = most
        self.seen: dict[int, tuple[int, int]] = {}
        self.is_full = False

    def of(self, entry: Entry, account: str) -> Iterator[Finding]:
        first = self._first(entry, account, (entry.position, 0))
        if first is not None:
            yield self._twin(entry, first, (entry.position, 0), entry.statement)
        for child in entry.children:
            where = (entry.position, child.position)
            first = self._first(child, account, where)
            if first is not None:
                yield self._twin(child, first, where, entry.statement)

    def _first(self, entry: Entry, account: str, where: tuple[int, int]) -> tuple[int, int] | None:
        """Where the same was seen before; payments are compared with payments."""
        if not entry.amount_minor:
            return None
        key = hash((where[1] > 0, account, entry.business))
        first = self.seen.get(key)
        if first is None:
            if len(self.seen) < self.most:
                self.seen[key] = where
            else:
                self.is_full = True
        return first

    def _twin(
        self, entry: Entry, first: tuple[int, int], where: tuple[int, int], own: int
    ) -> Finding:
        words = (
            f"It is identical to {_where(first)} but for the bank's own references:"
            f" {figure(entry.amount_minor, entry.currency)}. Both are kept; it may have been paid"
            " twice."
        )
        return finding("entry.identical", _where(where), words, statement=own)


def _where(place: tuple[int, int]) -> str:
    return f"entry {place[0]}, payment {place[1]}" if place[1] else f"entry {place[0]}"
