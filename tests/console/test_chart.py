"""The chart with its balances, and an account's page with its running balance (LJ-19, LJ-20)."""

from __future__ import annotations

import csv
import io
import re
from datetime import date, timedelta

import pytest
from django.test import Client

from ledger import account_lines
from ledger.account_lines import END, AccountLine, UnknownCursor
from ledger.balances import Scope
from payops.console.templatetags.payops_tags import MINUS
from payops.core.models import AuditEvent, Book
from tests import builders
from tests.ledger.lines import Line, fold, fold_all, write
from tests.ledger.scene import make_book

pytestmark = pytest.mark.django_db(transaction=True)

DAY = date(2026, 3, 15)


def text_of(client: Client, address: str) -> str:
    """The page as people read it: no markup, single blanks."""
    answer = client.get(address)
    assert answer.status_code == 200, address
    words = re.sub(r"<[^>]+>", " ", answer.content.decode())
    return re.sub(r"\s+", " ", words).replace(MINUS, "-")


def meridian() -> Book:
    return Book.objects.get(code="meridian")


def pages(scope: Scope, size: int) -> list[list[AccountLine]]:
    """From the latest page backwards; the same again forwards."""
    found, cursor = [], END
    while cursor:
        page = account_lines.page(scope=scope, before=cursor, size=size)
        found.append(page.rows)
        cursor = page.before
    forwards, cursor = [found[-1]], found[-1][-1].cursor
    while cursor:
        page = account_lines.page(scope=scope, after=cursor, size=size)
        if page.rows:
            forwards.append(page.rows)
        cursor = page.after
    ordered = [line for rows in reversed(found) for line in rows]
    assert [line for rows in forwards for line in rows] == ordered
    return found[::-1]


@pytest.mark.parametrize("party", ["", "be_a"])
@pytest.mark.parametrize("folded", ["nothing", "half", "all"])
def test_the_running_balance_is_right_on_every_page_wherever_the_cut_is(
    party: str, folded: str
) -> None:
    """LJ-20; several lines a day, parties mixed, postings out of order of their days."""
    book = make_book()
    for n in range(20):
        day = DAY + timedelta(days=(n * 7) % 40)
        who = "be_a" if n % 3 else "be_b"
        write(
            book,
            Line("2000", (n + 1) * (-1) ** n, party=who),
            Line("4000", 0 - (n + 1) * (-1) ** n),
            on=day,
        )
        if folded == "half" and n == 10:
            fold(book)
    if folded == "all":
        fold_all(book)
    scope = Scope(book, account="2000", currency="EUR", party=party)

    found = pages(scope, size=4)
    lines = [line for rows in found for line in rows]

    assert len(lines) == (13 if party else 20)
    assert [len(rows) for rows in found[1:]] == [4] * (len(found) - 1)
    assert lines == sorted(lines, key=lambda line: (line.posting_on, line.line_id))
    balance = 0
    for line in lines:
        balance += line.amount_minor
        assert (line.balance_minor, line.reporting_balance_minor) == (balance, balance)
    assert list(account_lines.every_line(scope=scope)) == lines


def test_a_period_keeps_the_balance_from_before_it() -> None:
    book = make_book()
    for n, days in enumerate((0, 20, 25, 50), start=1):
        write(book, Line("2000", -n), Line("4000", n), on=DAY + timedelta(days=days))
    fold_all(book)
    april = Scope(book, date(2026, 4, 1), date(2026, 4, 30), account="2000", currency="EUR")

    page = account_lines.page(scope=april)

    assert [(line.amount_minor, line.balance_minor) for line in page.rows] == [(-2, -3), (-3, -6)]
    assert (page.brought_forward_minor, page.before, page.after) == (-1, "", "")


def test_a_place_that_is_none_is_refused() -> None:
    with pytest.raises(UnknownCursor):
        account_lines.page(
            scope=Scope(make_book(), account="2000", currency="EUR"), after="2026-03-15~x"
        )


def test_the_chart_shows_every_account_with_this_and_last_months_balance(as_) -> None:
    book = meridian()
    write(book, Line("2000", -9_000, party="S-1001"), Line("4000", 9_000), on=date(2026, 10, 31))
    write(book, Line("2000", 2_500, party="S-1001"), Line("4000", -2_500), on=date(2026, 11, 2))

    now = text_of(as_("priya"), "/ledger/?as_of=2026-11-02")
    before = text_of(as_("priya"), "/ledger/?as_of=2026-11-01")

    assert "In balance" in now and "End of 2026-10" in now
    assert "2000 Seller payable seller 65.00 EUR -65.00 EUR -90.00 EUR" in now
    assert "4000 Platform fees (net of tax) 65.00 EUR 65.00 EUR 90.00 EUR" in now
    assert "2000 Seller payable seller 90.00 EUR -90.00 EUR -90.00 EUR" in before
    assert re.search(r"\d+ more at nil", now) and "5950 Penny differences" in now
    assert "Total EUR 65.00 EUR 65.00 EUR 0.00 EUR" in now


def test_an_account_shows_opening_movement_closing_and_the_balance_after_each_line(as_) -> None:
    builders.capture(100_000, fee_minor=300, platform_minor=5_000)

    page = text_of(as_("audrey"), "/ledger/accounts/1100/")

    assert "Opening balance Debits Credits Balance now" in page
    assert "0.00 EUR 1,000.00 EUR 3.00 EUR 997.00 EUR" in page
    assert "Brought forward 0.00 EUR" in page
    assert re.search(r"1,000\.00 EUR 1,000\.00 EUR .* 3\.00 EUR 997\.00 EUR", page)
    assert "2 lines" in page and "Held per provider account" in page


def test_a_foreign_currency_shows_what_it_is_worth_in_reporting_currency(as_) -> None:
    write(
        meridian(),
        Line("1100", 10_000, "USD", 9_200, party="stripe/demo"),
        Line("2000", -10_000, "USD", -9_200, party="S-1001"),
        on=DAY,
    )

    page = text_of(as_("audrey"), "/ledger/accounts/1100/?currency=USD")

    assert "100.00 USD 92.00 EUR 100.00 USD" in page
    assert "0.00 USD 100.00 USD 0.00 USD 100.00 USD 0.00 EUR 92.00 EUR 0.00 EUR 92.00 EUR" in page


def test_filters_narrow_to_a_party_and_days_and_csv_takes_them_along(as_) -> None:
    book, client = meridian(), as_("priya")
    write(book, Line("2000", -100, party="S-1001"), Line("4000", 100), on=DAY)
    write(book, Line("2000", -700, party="S-1002"), Line("4000", 700), on=DAY)
    write(book, Line("2000", 40, party="S-1001"), Line("4000", -40), on=DAY + timedelta(days=9))
    query = "currency=EUR&party=S-1001&from=2026-03-20"

    page = text_of(client, f"/ledger/accounts/2000/?{query}")
    answer = client.get(f"/ledger/accounts/2000/?{query}&format=csv")
    rows = list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))

    assert "Held before 2026-03-20" in page and "-1.00 EUR 0.40 EUR 0.00 EUR -0.60 EUR" in page
    assert [(r["party"], r["debit"], r["balance_minor"]) for r in rows] == [
        ("S-1001", "0.40", "-60")
    ]
    assert AuditEvent.objects.get(action="list.exported").subject_id == "list:account-2000"


def test_pages_of_an_account_lead_to_each_other_and_a_wrong_cursor_to_the_latest(as_) -> None:
    book, client = meridian(), as_("priya")
    for n in range(60):
        write(book, Line("2000", -1), Line("4000", 1), on=DAY + timedelta(days=n % 5))

    latest = client.get("/ledger/accounts/4000/").content.decode()
    previous = re.search(r'rel="prev" href="([^"]+)"', latest)
    assert previous is not None
    older = text_of(client, f"/ledger/accounts/4000/{previous[1].replace('&amp;', '&')}")

    assert "0.60 EUR" in latest and "50 lines" in latest
    assert "Brought forward 0.00 EUR" in older and "10 lines" in older
    assert "50 lines" in text_of(client, "/ledger/accounts/4000/?after=nonsense")


def test_an_account_that_is_not_on_the_chart_is_not_found(as_) -> None:
    assert as_("priya").get("/ledger/accounts/1234/").status_code == 404
    assert "Nothing was posted here" in text_of(as_("priya"), "/ledger/accounts/5950/")


def test_who_may_not_see_the_books_sees_no_balance(as_) -> None:
    for address in ("/ledger/", "/ledger/accounts/2000/"):
        assert as_("ada").get(address).status_code == 403
