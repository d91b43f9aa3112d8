"""An opened report as a table: its first rows for finding out what it is, then all of them.

Columns are found by their names alone, in any order and with any others between them (RC-13).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, islice

from payops.formats.files import FileRefused, OpenedFile

HEAD_ROWS = 20
NAMES_SHOWN_MAX = 6

Row = tuple[int, list[str]]


def plain_name(text: str) -> str:
    """A column name as it is compared: no case, single blanks."""
    return " ".join(text.replace("\ufeff", "").casefold().split())


class Table:
    """`head` are the first rows, `rows()` are all of them, once."""

    def __init__(self, file: OpenedFile, *, delimiter: str = "") -> None:
        self.file = file
        rows = file.rows(delimiter)
        self.head: list[Row] = list(islice(rows, HEAD_ROWS))
        self._rows = chain(self.head, rows)

    def rows(self) -> Iterator[Row]:
        return self._rows


class Columns:
    """Where each column stands. `at` is its place or -1; `get` the cell, "" where there is none."""

    def __init__(self, line: int, cells: Sequence[str]) -> None:
        self.line, self.count = line, len(cells)
        self.places: dict[str, int] = {}
        self.twice: list[str] = []
        for place, cell in enumerate(cells):
            name = plain_name(cell)
            if name and name in self.places:
                self.twice.append(name)
            elif name:
                self.places[name] = place

    def at(self, *names: str) -> int:
        """The first of the names that is there."""
        for name in names:
            if (place := self.places.get(name)) is not None:
                return place
        return -1

    def need(self, *names: str) -> int:
        place = self.at(*names)
        if place < 0:
            raise FileRefused(
                f'the column "{names[0]}" is missing in line {self.line}; add it to the report'
            )
        if any(name in self.twice for name in names):
            raise FileRefused(f'the column "{names[0]}" stands in line {self.line} twice')
        return place


def header(rows: Sequence[Row], names: Sequence[str]) -> Columns | None:
    """The first row that has all the names; None when there is none."""
    wanted = set(names)
    for line, cells in rows:
        if len(cells) >= len(wanted) and wanted <= {plain_name(each) for each in cells}:
            return Columns(line, cells)
    return None


def below(table: Table, columns: Columns) -> Iterator[Row]:
    """The rows under the header, each at least as wide; rows without any value are left out.

    Every row gets one empty cell at its end, so that a column that is missing, whose place is
    -1, reads as empty.
    """
    count = columns.count
    for line, cells in table.rows():
        if line <= columns.line:
            continue
        if not cells[0] and not any(cells):
            continue
        if len(cells) < count:
            cells.extend([""] * (count - len(cells)))
        cells.append("")
        yield line, cells
