"""CSV cells never run in a spreadsheet, and a file is never silently partial."""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime

import pytest

from payops.console import exports
from payops.core.money import Money


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("=1+1", "'=1+1"),
        ("  =1+1", "'  =1+1"),
        ("+49 30 1234", "'+49 30 1234"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\tx", "'\tx"),
        ("\r=x", "'\r=x"),
        ("\uff1dcmd", "'\uff1dcmd"),
        ("\u200b=cmd", "'\u200b=cmd"),
        ("-12.50", "-12.50"),
        (Money(-1250, "EUR"), "-12.50"),
        (Money(1240000, "EUR"), "12400.00"),
        (Money(5, "JPY"), "5"),
        (None, ""),
        (0, "0"),
        ("plain", "plain"),
        ("nul\x00byte", "nulbyte"),
        (date(2026, 3, 4), "2026-03-04"),
        (datetime(2026, 3, 4, 10, 22, 5, tzinfo=UTC), "2026-03-04T10:22:05+00:00"),
    ],
)
def test_cell(value, written):
    assert exports.cell(value) == written


def test_last_line_says_that_the_file_was_cut(monkeypatch):
    monkeypatch.setattr(exports, "ROWS_MAX", 2)

    lines = list(exports._lines([Money(n, "EUR") for n in range(3)], [("amount", "minor")]))

    assert [row[0] for row in csv.reader(lines)] == [
        "amount",
        "0",
        "1",
        "cut at 2 rows; narrow the filters for the rest",
    ]
