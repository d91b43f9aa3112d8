"""Sheets as XLSX: exact numbers with their decimals, and text that never runs (RP-1, F19)."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import openpyxl
import pytest

from payops.console.spreadsheets import Amount, Line, written
from payops.console.sums import decimal_text, grouped_text


def cells(*values: Any) -> list[Any]:
    sheet = openpyxl.load_workbook(written(title="A [sheet]: 1/2", lines=[Line(values)])).active
    return list(next(sheet.iter_rows()))


@pytest.mark.parametrize(
    ("minor", "currency", "number", "shape"),
    [
        (-1_234_567, "EUR", "-12345.67", "#,##0.00"),
        (1_200, "JPY", "1200", "#,##0"),
        (1_234, "KWD", "1.234", "#,##0.000"),
        (999_999_999_999_999, "EUR", "9999999999999.99", "#,##0.00"),
    ],
)
def test_an_amount_is_a_number_with_the_decimals_of_its_currency(
    minor: int, currency: str, number: str, shape: str
) -> None:
    (cell,) = cells(Amount(minor, currency))

    assert (Decimal(str(cell.value)), cell.number_format) == (Decimal(number), shape)
    assert cell.data_type == "n"


def test_a_sum_too_wide_for_a_spreadsheet_is_text_to_the_cent() -> None:
    (cell,) = cells(Amount(2**64, "EUR"))

    assert (cell.value, cell.data_type) == ("184467440737095516.16", "s")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "=cmd|' /C calc'!A0", "\t=1"])
def test_text_that_would_run_stays_text(text: str) -> None:
    (cell,) = cells(text)

    assert (cell.value, cell.data_type, cell.quotePrefix) == (text, "s", True)


def test_other_cells_and_what_xml_cannot_hold() -> None:
    day, count, nothing, text = cells(date(2026, 3, 31), 7, None, "a\x00b\x0bc\ud800")

    assert (day.value.date(), day.number_format) == (date(2026, 3, 31), "yyyy-mm-dd")
    assert (count.value, nothing.value, text.value) == (7, None, "abc")


def test_sums_of_any_size_as_text() -> None:
    assert decimal_text(-5, "EUR") == "-0.05"
    assert decimal_text(10**25, "JPY") == "1" + "0" * 25
    assert grouped_text(-1_234_567_89, "EUR") == "-1,234,567.89"
    assert grouped_text(-7, "KWD", minus="\u2212") == "\u22120.007"
