"""Many rows in one statement: COPY for inserts, array literals for everything else.

A few rows of several tables go in one message instead: then the way there and back costs most.

Owns how a Python value becomes PostgreSQL text, in one place and without a driver object per
value: a third of the cost of an event was the driver and the ORM doing this row by row.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from itertools import islice, zip_longest
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

NULL = "\\N"
CHUNK = 128
TIMES_KEPT = 4096
ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def copy(table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """COPY is one statement to the triggers and three times as fast as an INSERT of many rows.

    `rows` is complete before the COPY begins: a query in the middle of one would never return.
    JSON columns take their text, every other column a value of the table below.
    """
    if not rows:
        return
    lines = "".join([_line(row, len(columns)) for row in rows])
    with (
        connection.wrap_database_errors,
        connection.cursor() as cursor,
        cursor.copy(f'COPY "{table}" ({_names(columns)}) FROM STDIN') as stream,
    ):
        stream.write(lines.encode())


class Texts(NamedTuple):
    """Rows of one table whose values are texts already and never null.

    The rows may be made while they are sent, as long as making them asks the database nothing.
    """

    table: str
    columns: Sequence[str]
    rows: Iterable[Sequence[str]]


def copy_texts(*many: Texts) -> None:
    """A COPY each; rows are made while the server takes in those before them."""
    with connection.wrap_database_errors, connection.cursor() as cursor:
        chunks: Iterable[bytes] = _chunks(many[0])
        for this, following in zip_longest(many, many[1:]):
            with cursor.copy(f'COPY "{this.table}" ({_names(this.columns)}) FROM STDIN') as stream:
                for chunk in chunks:
                    stream.write(chunk)
                chunks = list(_chunks(following)) if following else ()


def insert_texts(*many: Texts, before: str = "", then: str = "") -> None:
    """An INSERT each, all of them and the statements around them in one message."""
    statements = [
        f'INSERT INTO "{table}" ({_names(columns)}) VALUES {_literals(rows, len(columns))}'
        for table, columns, rows in many
    ]
    with connection.cursor() as cursor:
        cursor.execute("; ".join(filter(None, [before, *statements, then])))


@contextmanager
def uncollected() -> Iterator[None]:
    """The rows of a batch live until its end: looking for garbage meanwhile costs a quarter of it.

    Nested uses, and processes that collect by hand, are left as they are.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def array(values: Iterable[Any]) -> str:
    """The values as a PostgreSQL array literal, to be cast: `%s::uuid[]`."""
    return "{" + ",".join([_element(value) for value in values]) + "}"


def text_array(values: Sequence[str]) -> str:
    """`array` of texts alone, in one piece where none of them needs escaping."""
    if not values:
        return "{}"
    joined = '","'.join(values)
    if "\\" in joined or joined.count('"') != 2 * (len(values) - 1):
        return array(values)
    return f'{{"{joined}"}}'


@lru_cache(maxsize=TIMES_KEPT)
def time_text(at: datetime) -> str:
    """A moment with its zone; a batch writes the same few over and over."""
    if at.tzinfo is None:
        raise TypeError(f"{at} has no time zone")
    return at.isoformat()


def _line(row: Sequence[Any], width: int) -> str:
    """One row; texts are escaped only where something in the row needs it."""
    fields = [value if type(value) is str else TEXT_OF[type(value)](value) for value in row]
    if len(fields) != width:
        raise ValueError(f"a row of {len(fields)} values for {width} columns")
    line = "\t".join(fields)
    slashes = line.count("\\")
    if (
        line.count("\t") != width - 1
        or "\n" in line
        or "\r" in line
        or (slashes and (slashes != fields.count(NULL) or NULL in row))
    ):
        line = "\t".join(
            NULL if value is None else field.translate(ESCAPES)
            for value, field in zip(row, fields, strict=True)
        )
    return line + "\n"


def _chunks(texts: Texts) -> Iterator[bytes]:
    rows, width = iter(texts.rows), len(texts.columns)
    while lines := [_text_line(row, width) for row in islice(rows, CHUNK)]:
        yield "".join(lines).encode()


def _text_line(row: Sequence[str], width: int) -> str:
    if len(row) != width:
        raise ValueError(f"a row of {len(row)} texts for {width} columns")
    line = "\t".join(row)
    if "\\" in line or line.count("\t") != width - 1 or "\n" in line or "\r" in line:
        line = "\t".join([text.translate(ESCAPES) for text in row])
    return line + "\n"


def _literals(rows: Iterable[Sequence[str]], width: int) -> str:
    return ", ".join(_literal(row, width) for row in rows)


def _literal(row: Sequence[str], width: int) -> str:
    if len(row) != width:
        raise ValueError(f"a row of {len(row)} texts for {width} columns")
    values = "\n".join(row)
    if "'" in values or values.count("\n") != width - 1:
        return "(" + ",".join(["'" + text.replace("'", "''") + "'" for text in row]) + ")"
    return "('" + values.replace("\n", "','") + "')"


@lru_cache(maxsize=64)
def _quoted_names(columns: tuple[str, ...]) -> str:
    return ", ".join(f'"{column}"' for column in columns)


def _names(columns: Sequence[str]) -> str:
    return _quoted_names(tuple(columns))


def _element(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return TEXT_OF[type(value)](value)


def _uuid(value: UUID) -> str:
    return f"{value.int:032x}"


class _Texts(dict[type, Callable[[Any], str]]):
    """How a type is written; a kind of text is written as its value, anything else refused."""

    def __missing__(self, kind: type) -> Callable[[Any], str]:
        if issubclass(kind, str):
            return str
        raise TypeError(f"a {kind.__name__} has no text for the database")


TEXT_OF = _Texts(
    {
        type(None): lambda value: NULL,
        bool: lambda value: "t" if value else "f",
        int: str,
        Decimal: str,
        UUID: _uuid,
        datetime: time_text,
        date: date.isoformat,
    }
)
