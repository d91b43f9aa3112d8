"""The textbook month ends in the trial balance that was computed by hand, to the cent."""

from __future__ import annotations

import pytest
from django.db.models import Sum

from ledger import selectors
from ledger.cash_flow import CASH_ACCOUNTS
from ledger.models import JournalEntry, JournalLine
from payops.core.models import Book
from tests.golden import month

pytestmark = pytest.mark.django_db


@pytest.fixture
def book() -> Book:
    book = month.new_book()
    month.post_month(book)
    return book


def _sums(book: Book, currency: str) -> dict[str, int]:
    sums: dict[str, int] = {}
    for row in selectors.trial_balance(book=book):
        if row.currency == currency:
            sums[row.account] = sums.get(row.account, 0) + row.balance_minor
    return {code: minor for code, minor in sums.items() if minor}


def test_the_trial_balance_is_the_one_computed_by_hand(book: Book) -> None:
    """RP-1: in reporting currency, and in each currency of its own."""
    reporting: dict[str, int] = {}
    for row in selectors.trial_balance(book=book):
        reporting[row.account] = reporting.get(row.account, 0) + row.reporting_minor

    assert {code: minor for code, minor in reporting.items() if minor} == month.EXPECTED_TRIAL
    assert _sums(book, "EUR") == month.EXPECTED_EUR
    assert _sums(book, "USD") == month.EXPECTED_USD


def test_the_hand_s_sums_are_nil_and_agree_with_the_statements() -> None:
    def total(*kinds: str) -> int:
        return sum(minor for code, minor in month.EXPECTED_TRIAL.items() if code[0] in kinds)

    assert total(*"12345") == 0
    assert sum(month.EXPECTED_EUR.values()) == 0
    assert sum(month.EXPECTED_USD.values()) == 0
    assert total("1") == month.EXPECTED_ASSETS
    assert -total("2") == month.EXPECTED_LIABILITIES
    assert -total("3") + month.EXPECTED_RESULT == month.EXPECTED_EQUITY
    assert -total("4") == month.EXPECTED_REVENUE
    assert total("5") == month.EXPECTED_EXPENSE
    assert month.EXPECTED_REVENUE - month.EXPECTED_EXPENSE == month.EXPECTED_RESULT
    assert sum(month.EXPECTED_CASH_FLOW.values()) == month.EXPECTED_CASH


def test_cash_moved_for_the_reasons_computed_by_hand(book: Book) -> None:
    """LJ-6: every line on a cash account carries its tag, and the tags add up to the cash."""
    lines = JournalLine.objects.filter(book=book, account__code__in=CASH_ACCOUNTS)
    found = dict(
        lines.values_list("cash_flow_tag").annotate(minor=Sum("reporting_minor")).order_by()
    )

    assert found == month.EXPECTED_CASH_FLOW


def test_every_entry_lies_in_march_and_a_second_run_adds_nothing(book: Book) -> None:
    entries = JournalEntry.objects.filter(book=book)
    assert entries.count() == len(month.MONTH) == 38
    assert set(entries.values_list("period__code", "matrix_version")) == {("2026-03", 3)}

    month.post_month(book)

    assert entries.count() == 38
