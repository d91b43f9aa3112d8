"""Lists as CSV: the same rows as the filters show, streamed, safe to open in a spreadsheet.

A cell that a spreadsheet would run as a formula is prefixed with an apostrophe. Times are UTC.
Taking a list out is recorded in the audit. A file is never silently partial: at the limit its last
line says so.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from itertools import islice
from operator import attrgetter
from typing import Any

from django.db import transaction
from django.http import HttpRequest, StreamingHttpResponse

from payops.console.filters import Filters
from payops.core import audit
from payops.core.money import Money

# (head, attribute path of the row or a function of it)
Columns = Sequence[tuple[str, str | Callable[[Any], object]]]
ROWS_MAX = 100_000
CHUNK = 2000
_FORMULA = re.compile(r"^[\s\u200b\ufeff]*[=+\-@|%\uff1d\uff0b\uff0d\uff20]|^[\t\r\n]")
_NUMBER = re.compile(r"^-?\d+(\.\d+)?$")


def note_export(request: HttpRequest, *, name: str) -> None:
    """A list that leaves the house is on record with its filters (AU-5)."""
    with transaction.atomic():
        audit.record(
            [
                audit.event(
                    book=request.book,  # type: ignore[attr-defined]
                    actor=request.actor,  # type: ignore[attr-defined]
                    action="list.exported",
                    subject_id=f"list:{name}",
                    now=request.now,  # type: ignore[attr-defined]
                    evidence={"filters": dict(request.GET.items())},
                )
            ]
        )


def csv_response(
    request: HttpRequest,
    *,
    name: str,
    rows: Iterable[Any],
    columns: Columns,
) -> StreamingHttpResponse:
    """Stream `rows` as `name`-2026-03-04.csv."""
    now: datetime = request.now  # type: ignore[attr-defined]
    note_export(request, name=name)
    return StreamingHttpResponse(
        _lines(rows, columns),
        content_type="text/csv; charset=utf-8",
        headers={
            "Content-Disposition": f'attachment; filename="{name}-{now:%Y-%m-%d}.csv"',
            "Cache-Control": "no-store",
        },
    )


def wanted(request: HttpRequest, filters: Filters) -> bool:
    """Not while a filter is not understood: the page says so, a file of other rows could not."""
    return request.GET.get("format") == "csv" and not filters.refused


def cell(value: object) -> str:
    """The text of one cell; never a formula."""
    text = _text(value)
    if _FORMULA.match(text) and not _NUMBER.match(text):
        return f"'{text}"
    return text


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, Money):
        return value.decimal_text()
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="seconds")
    if isinstance(value, date):
        return value.isoformat()
    return str(value).replace("\x00", "")


class _Echo:
    """A file that hands each written line back instead of keeping it."""

    def write(self, line: str) -> str:
        return line


def _lines(rows: Iterable[Any], columns: Columns) -> Iterator[str]:
    writer = csv.writer(_Echo())
    values = [attrgetter(each) if isinstance(each, str) else each for _, each in columns]
    yield writer.writerow([name for name, _ in columns])
    source = iter(rows)
    for row in islice(source, ROWS_MAX):
        yield writer.writerow([cell(value(row)) for value in values])
    if next(source, None) is not None:
        yield writer.writerow([f"cut at {ROWS_MAX:,} rows; narrow the filters for the rest"])
