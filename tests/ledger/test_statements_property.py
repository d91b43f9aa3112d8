"""Whatever is accepted: the sheet balances, the trial balance is nil, cash ties (RP-1, I17)."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger import statements
from ledger.accounts import CHART
from ledger.cash_flow import CASH_ACCOUNTS, TAGS
from ledger.statement_figures import Figures
from ledger.statement_parts import Span
from payops.core.models import Book
from tests.ledger.lines import Line, write
from tests.ledger.scene import make_book

pytestmark = pytest.mark.django_db
FIRST = date(2026, 1, 1)
MINOR = st.integers(min_value=1, max_value=10**12)
MEMO = [row for row in CHART if row.kind == "memo"]
REAL = [row for row in CHART if row.kind != "memo"]
CURRENCIES = {"EUR": 1, "USD": 2, "JPY": 3}


@st.composite
def entry(draw: st.DrawFn) -> tuple[list[Line], date]:
    """Two sides of one currency on any two accounts of the chart, at any whole rate."""
    chart = draw(st.sampled_from([REAL, MEMO]))
    debit, credit = draw(st.lists(st.sampled_from(chart), min_size=2, max_size=2, unique=True))
    currency = draw(st.sampled_from(sorted(CURRENCIES)))
    minor, party = draw(MINOR), draw(st.sampled_from(["a", "b"]))
    rate = CURRENCIES[currency]
    lines = [
        Line(
            row.code,
            sign * minor,
            currency,
            sign * minor * rate,
            party=party if row.party_kind else "",
            tag=draw(st.sampled_from(TAGS)).key if row.code in CASH_ACCOUNTS else "",
        )
        for row, sign in ((debit, 1), (credit, -1))
    ]
    month, day = draw(st.integers(1, 4)), draw(st.integers(1, 28))
    return lines, date(2026, month, day)


@settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(entries=st.lists(entry(), min_size=1, max_size=8), start=st.integers(1, 12))
def test_every_control_holds_in_every_currency_and_on_every_day(
    entries: list[tuple[list[Line], date]], start: int
) -> None:
    book: Book = make_book(fiscal_year_start_month=start)
    for lines, day in entries:
        write(book, *lines, on=day)

    for currency in ("", *CURRENCIES):
        figures = Figures(book=book, currency=currency)
        for span in (Span(FIRST, date(2026, 4, 30)), Span(date(2026, 2, 10), date(2026, 3, 9))):
            for kind in statements.KINDS:
                found = statements.of_figures(kind, figures, span, statements.PREVIOUS)
                assert found.errors == ()
                assert [check for check in found.checks if not check.ok] == []
    whole = Figures(book=book)
    reporting = sum(
        line.reporting for lines, _ in entries for line in lines if line.account == "1000"
    )
    assert whole.net(None, date(2026, 4, 30)).get("1000", 0) == reporting
