"""Every line of every statement of the textbook month against the hand (RP-1, RP-5)."""

from __future__ import annotations

from datetime import date

import pytest

from ledger import statements
from ledger.statement_parts import Span, Statement
from payops.core.models import Book
from tests.golden import month

pytestmark = pytest.mark.django_db
MARCH = Span(date(2026, 3, 1), date(2026, 3, 31))


@pytest.fixture
def book() -> Book:
    book = month.new_book()
    month.post_month(book)
    return book


def made(book: Book, kind: str, *, span: Span = MARCH, currency: str = "") -> Statement:
    found = statements.statement(kind=kind, book=book, span=span, currency=currency, compare="none")
    assert found.errors == ()
    assert [check for check in found.checks if not check.ok] == []
    return found


def lines(found: Statement, column: int = 0) -> dict[str, int]:
    return {row.words: row.figures[column].minor for row in found.rows if row.figures}


def test_trial_balance(book: Book) -> None:
    found = made(book, "trial-balance")

    closing = {row.code: row.figures[3].minor for row in found.rows if row.code}
    assert {code: minor for code, minor in closing.items() if minor} == month.EXPECTED_TRIAL
    by_account = {row.code: tuple(f.minor for f in row.figures[:3]) for row in found.rows}
    assert by_account["1000"] == (0, 164_000 + 50_000 + 8_200 + 300, 50_000 * 2 + 500 + 40_900)
    assert by_account["1200"] == (0, 50_000, 50_000)
    assert found.checks[0].figures[0][1] == found.checks[0].figures[1][1]


def test_balance_sheet(book: Book) -> None:
    assert lines(made(book, "balance-sheet")) == {
        "Cash at bank": 81_100,
        "Safeguarded cash": 40_000,
        "Cash, total": 121_100,
        "Balances at PSPs": 22_500,
        "Reserves PSPs hold against us": 5_000,
        "Held by payment providers, total": 27_500,
        "Settlements in transit": 60_000,
        "Money in transit to us, total": 60_000,
        "Seller receivable, less allowance": 1_000,
        "Seller receivable": 1_500,
        "Allowance on seller receivable": -500,
        "Receivables, total": 1_000,
        "Input tax": 600,
        "Unidentified payments": 900,
        "Other assets, total": 1_500,
        "Total assets": 211_100,
        "Seller payable": 228_700,
        "Reserves held on sellers": 10_000,
        "Owed to sellers, total": 238_700,
        "Refunds in transit": 1_000,
        "Owed to customers, total": 1_000,
        "Accrued PSP fees": 700,
        "Owed to payment providers, total": 700,
        "Tax on our fee": 1_500,
        "Tax, total": 1_500,
        "Unidentified receipts": 1_200,
        "Other liabilities, total": 1_200,
        "Total liabilities": 243_100,
        "Result of the current fiscal year": -32_000,
        "Total equity": -32_000,
        "Total liabilities and equity": 211_100,
    }


def test_income_statement(book: Book) -> None:
    found = lines(made(book, "income-statement"))

    assert found == {
        "Platform fees, net of tax": 29_700,
        "Goodwill refunds": -1_000,
        "Fees recharged to sellers": 1_500,
        "Revenue, total": 30_200,
        "PSP fees": -7_200,
        "Payout fees": -500,
        "Cost of revenue, total": -7_700,
        "Gross margin": 22_500,
        "Chargeback loss": -50_000,
        "Dispute fees": -1_500,
        "Credit loss": -500,
        "Bank fees": -400,
        "Losses and operating cost, total": -52_400,
        "Operating result": -29_900,
        "Interest income": 300,
        "Realised FX gain": 340,
        "FX markup": -1_840,
        "FX revaluation loss": -900,
        "Financial result, total": -2_100,
        "Result": -32_000,
    }
    assert found["Result"] == month.EXPECTED_RESULT


def test_cash_flow_statement(book: Book) -> None:
    found = made(book, "cash-flow")

    assert lines(found) == {
        "Cash at the beginning": 0,
        "Settlements received from PSPs": 164_000,
        "Paid to sellers": -100_000,
        "Payouts to sellers that came back": 50_000,
        "Fees paid from the bank": -500,
        "Interest received": 300,
        "Unidentified receipts and payments": 7_300,
        "Operating activities, total": 121_100,
        "Change of cash": 121_100,
        "Cash at bank": 81_100,
        "Safeguarded cash": 40_000,
        "Cash at the end": 121_100,
    }
    assert dict(found.checks[0].figures) == {
        "Opening": 0,
        "Movements": 121_100,
        "Effect of rates": 0,
        "Balance sheet": month.EXPECTED_CASH,
    }


def test_cash_position(book: Book) -> None:
    found = made(book, "cash-position")

    shown = {(row.code, row.words): row.figures[0].minor for row in found.rows if row.figures}
    assert shown == {
        ("1000", "Cash at bank"): 81_100,
        ("1000", "main, EUR"): 81_100,
        ("1010", "Safeguarded cash"): 40_000,
        ("1010", "guarded, EUR"): 40_000,
        ("", "Cash at bank, total"): 121_100,
        ("1100", "PSP clearing"): 22_500,
        ("1100", "stripe/golden, EUR"): 22_500,
        ("", "At payment providers, total"): 22_500,
        ("", "Cash and PSP balances"): 143_600,
        ("1150", "Settlement in transit"): 60_000,
        ("1150", "stripe/golden, EUR"): 60_000,
        ("1120", "PSP reserve held against us"): 5_000,
        ("1120", "stripe/golden, EUR"): 5_000,
        ("", "On its way to us or held back, not cash yet, total"): 65_000,
        ("2110", "Refunds in transit"): -1_000,
        ("", "On its way out, not gone yet, total"): -1_000,
        ("", "Cash and PSP balances after all of it"): 207_600,
    }


def test_dollars_alone_in_their_own_amounts(book: Book) -> None:
    """The conversion leaves 1900 in dollars against euros: nil in reporting, never by currency."""
    assert lines(made(book, "balance-sheet", currency="USD")) == {
        "FX clearing": 98_000,
        "Other assets, total": 98_000,
        "Total assets": 98_000,
        "Seller payable": 90_000,
        "Owed to sellers, total": 90_000,
        "Total liabilities": 90_000,
        "Result of the current fiscal year": 8_000,
        "Total equity": 8_000,
        "Total liabilities and equity": 98_000,
    }
    trial = made(book, "trial-balance", currency="EUR")
    closing = {row.code: row.figures[3].minor for row in trial.rows if row.code}
    assert {code: minor for code, minor in closing.items() if minor} == month.EXPECTED_EUR


def test_the_day_the_payout_came_back_and_the_days_before_it(book: Book) -> None:
    """RP-5: paid on the 12th, returned on the 13th, the money back on the 16th."""

    def on(day: int) -> tuple[int, int]:
        until = Span(date(2026, 3, 1), date(2026, 3, day))
        found = lines(made(book, "cash-position", span=until))
        return found["Cash at bank, total"], found.get("Returned payouts receivable", 0)

    assert [on(day) for day in (11, 12, 13, 16, 18)] == [
        (164_000, 0), (114_000, 0), (114_000, 50_000), (164_000, 0), (113_500, 0),
    ]  # fmt: skip


def test_april_begins_where_march_ended_and_nothing_is_closed(book: Book) -> None:
    april = Span(date(2026, 4, 1), date(2026, 4, 30))

    assert lines(made(book, "cash-flow", span=april))["Cash at the beginning"] == 121_100
    assert lines(made(book, "income-statement", span=april)) == {
        "Gross margin": 0, "Operating result": 0, "Result": 0,
    }  # fmt: skip
    next_year = Span(date(2027, 1, 1), date(2027, 1, 31))
    sheet = lines(made(book, "balance-sheet", span=next_year))
    assert sheet["Results of earlier fiscal years"] == -32_000
    assert "Result of the current fiscal year" not in sheet
