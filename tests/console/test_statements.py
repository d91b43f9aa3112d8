"""Statement screens: figures with the way to their lines, days, exports (RP-1, RP-4)."""

from __future__ import annotations

import csv
import io
import re
from decimal import Decimal
from typing import Any

import openpyxl
import pytest
from django.test import Client
from django.utils.html import strip_tags

from ledger import statements
from payops.core import clock
from payops.core.models import AuditEvent, Book
from tests import builders, stories
from tests.console.work import browser, shows, text_of

pytestmark = pytest.mark.django_db(transaction=True)
BASE = "/ledger/statements/"


def words_of(answer: Any) -> str:
    return " ".join(strip_tags(text_of(answer).replace("<", " <")).split())


def rows_of(client: Client, kind: str, query: str = "") -> list[dict[str, str]]:
    answer = client.get(f"{BASE}{kind}/?format=csv&compare=none{query}")
    text = b"".join(answer.streaming_content).decode()
    return list(csv.DictReader(io.StringIO(text)))


def figures(rows: list[dict[str, str]], column: int = 0) -> dict[str, str]:
    heads = [head for head in rows[0] if head not in ("row", "account", "line", "currency", "note")]
    return {row["line"]: row[heads[column]] for row in rows if row["row"] != "control"}


def test_every_statement_opens_with_its_controls_holding() -> None:
    builders.capture(100_000, fee_minor=300, platform_minor=5_000)
    client = browser("priya")

    index = client.get(BASE)

    assert words_of(index).count("Hold ") == len(statements.KINDS) == 5
    for kind, row in statements.KINDS.items():
        page = client.get(f"{BASE}{kind}/")
        assert page.status_code == 200 and shows(page, row.title)
        assert shows(page, "Controls hold"), kind
        assert "Not mapped" not in text_of(page)
    assert client.get(f"{BASE}nothing/").status_code == 404
    assert browser("ada").get(f"{BASE}balance-sheet/").status_code == 403


def test_the_balance_sheet_says_what_is_owed_and_what_was_earned() -> None:
    builders.capture(100_000, fee_minor=300, platform_minor=5_000)

    shown = figures(rows_of(browser("priya"), "balance-sheet"))

    assert shown["Balances at PSPs"] == shown["Total assets"] == "997.00"
    assert shown["Seller payable"] == shown["Total liabilities"] == "950.00"
    assert shown["Result of the current fiscal year"] == shown["Total equity"] == "47.00"


@pytest.mark.parametrize("currency", ["", "EUR"])
def test_every_figure_leads_to_lines_that_sum_to_it(currency: str) -> None:
    """RP-1: follow each link of each statement; the sum on the page behind is the figure."""
    stories.paid_payout(merchant_ref="P-901")
    builders.capture(100_000, fee_minor=300, platform_minor=5_000)
    client = browser("priya")
    linked = r'<a href="(/ledger/[^"]+)"><data class="money[^"]*" value="(\S+) EUR"'
    followed = 0

    for kind in statements.KINDS:
        page = text_of(client.get(f"{BASE}{kind}/?compare=none&currency={currency}"))
        for href, value in re.findall(linked, page):
            behind = text_of(client.get(href.replace("&amp;", "&")))
            if "/ledger/accounts/" not in href:
                behind = behind.split("data-rows")[0]  # the sums, before the lines themselves
            told = re.findall(r'value="(-?[\d.]+) EUR', behind)
            assert abs(Decimal(value)) in {abs(Decimal(each)) for each in told}, (kind, href, value)
            followed += 1
    assert followed >= 18


def test_a_period_or_days_or_one_currency_are_chosen_in_the_address() -> None:
    builders.capture(100_000, platform_minor=5_000)
    client = browser("priya")
    book = Book.objects.get(code="meridian")
    today = clock.business_day(clock.utc_now(), time_zone=book.time_zone)

    page = client.get(f"{BASE}income-statement/?from={today}&to={today}&currency=EUR")
    assert shows(page, f"{today} to {today}") and shows(page, "EUR alone, in its own amounts")
    assert f"period={today:%Y-%m}" not in text_of(page)
    assert shows(client.get(f"{BASE}income-statement/?period={today:%Y-%m}"), "50.00")
    crossed = client.get(f"{BASE}income-statement/?from=2026-03-02&to=2026-03-01")
    assert shows(crossed, "2026-03-02 is after 2026-03-01")
    unknown = client.get(f"{BASE}income-statement/?period=1999-13&currency=XXX")
    assert shows(unknown, "Filter not understood") and unknown.status_code == 200
    empty = client.get(f"{BASE}balance-sheet/?to=2001-01-01")
    assert shows(empty, "Nothing was posted up to these days")


def test_the_spreadsheet_has_numbers_and_never_a_formula() -> None:
    builders.capture(100_000, fee_minor=300, platform_minor=5_000)

    answer = browser("priya").get(f"{BASE}balance-sheet/?format=xlsx&compare=none")

    content = b"".join(answer.streaming_content)
    sheet = openpyxl.load_workbook(io.BytesIO(content)).active
    cells = {str(row[1].value): row[2] for row in sheet.iter_rows() if len(row) > 2}
    amount = cells["Balances at PSPs"]
    assert (Decimal(str(amount.value)), amount.number_format) == (Decimal("997"), "#,##0.00")
    assert sheet["A1"].value == "Balance sheet"
    assert all(cell.data_type != "f" for row in sheet.iter_rows() for cell in row)
    assert AuditEvent.objects.filter(action="list.exported", login="priya").count() == 1


def test_print_and_tabs_work_without_script() -> None:
    builders.capture(100_000)

    page = text_of(browser("priya").get(f"{BASE}cash-position/"))

    assert 'aria-current="page">Cash position' in page
    assert "stripe/demo" in page or "standard/demo" in page
    assert "<script" not in page.split("<main")[1]
