"""COPY for tables that take many rows at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connection


def copy(table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """COPY is one statement to the triggers and three times as fast as an INSERT of many rows.

    `rows` is complete before the COPY begins: a query in the middle of one would never return.
    """
    names = ", ".join(f'"{column}"' for column in columns)
    with (
        connection.wrap_database_errors,
        connection.cursor() as cursor,
        cursor.copy(f'COPY "{table}" ({names}) FROM STDIN') as stream,
    ):
        for row in rows:
            stream.write_row(row)
