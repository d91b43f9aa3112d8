"""Sheets as XLSX: numbers as numbers with the decimals of their currency, text always text.

A cell never holds a formula: text that a spreadsheet would run is kept as quoted text. A sum too
wide for the fifteen digits a spreadsheet counts with is text as well, so that no cent is lost.
Rows are written as they come and the file is streamed; taking it out is recorded in the audit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from tempfile import TemporaryFile
from typing import Any

from django.http import FileResponse, HttpRequest
from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter

from payops.console.exports import note_export
from payops.console.sums import decimal_text
from payops.core.money import exponent_of

CONTENT_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
EXACT_DIGITS = 15
TITLE_MAX = 31
TEXT_MAX = 32_000
WIDTH, WIDTH_FIRST = 18, 46
NOT_IN_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")
NOT_IN_TITLES = re.compile(r"[\[\]:*?/\\]")


@dataclass(frozen=True, slots=True)
class Amount:
    minor: int
    currency: str


Value = str | int | date | Amount | None


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a sheet."""

    values: Sequence[Value]
    bold: bool = False


def xlsx_response(
    request: HttpRequest, *, name: str, title: str, lines: Iterable[Line]
) -> FileResponse:
    """`name`-2026-03-04.xlsx with one sheet."""
    now: datetime = request.now  # type: ignore[attr-defined]
    note_export(request, name=name)
    file = written(title=title, lines=lines)
    return FileResponse(
        file,
        as_attachment=True,
        filename=f"{name}-{now:%Y-%m-%d}.xlsx",
        content_type=CONTENT_TYPE,
        headers={"Cache-Control": "no-store"},
    )


def written(*, title: str, lines: Iterable[Line]) -> Any:
    """The sheet as an open temporary file, at its start."""
    book = Workbook(write_only=True)
    sheet = book.create_sheet(NOT_IN_TITLES.sub(" ", title)[:TITLE_MAX])
    for number in range(1, 12):
        width = WIDTH_FIRST if number == 2 else WIDTH
        sheet.column_dimensions[get_column_letter(number)].width = width
    for line in lines:
        sheet.append([_cell(sheet, value, line.bold) for value in line.values])
    file = TemporaryFile()  # noqa: SIM115 - closed by the response that streams it
    book.save(file)
    file.seek(0)
    return file


def _cell(sheet: Any, value: Value, bold: bool) -> Any:
    if isinstance(value, Amount):
        return _amount(sheet, value, bold)
    if isinstance(value, str):
        return _text(sheet, value, bold)
    cell = WriteOnlyCell(sheet, value=value)
    if isinstance(value, date):
        cell.number_format = "yyyy-mm-dd"
    return _weighted(cell, bold)


def _amount(sheet: Any, amount: Amount, bold: bool) -> Any:
    text = decimal_text(amount.minor, amount.currency)
    if len(str(abs(amount.minor))) > EXACT_DIGITS:
        return _text(sheet, text, bold)
    exponent = exponent_of(amount.currency)
    cell = WriteOnlyCell(sheet, value=Decimal(text))
    cell.number_format = "#,##0." + "0" * exponent if exponent else "#,##0"
    return _weighted(cell, bold)


def _text(sheet: Any, text: str, bold: bool) -> Any:
    """Never a formula: the kind is set by hand, and the quote keeps it after an edit."""
    cell = WriteOnlyCell(sheet, value="")
    cell.value = NOT_IN_XML.sub("", text)[:TEXT_MAX]
    cell.data_type = "s"
    if cell.value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        cell.quotePrefix = True
    return _weighted(cell, bold)


def _weighted(cell: Any, bold: bool) -> Any:
    if bold:
        cell.font = Font(bold=True)
    return cell
