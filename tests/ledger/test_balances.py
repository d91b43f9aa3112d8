"""Balances: folded totals and the tail are the sum of lines, as of any day (I17, LJ-20, LJ-22)."""

from __future__ import annotations

from datetime import date

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ledger import balances
from ledger.balances import DAY, MONTH, Balance, Movement, PeriodTotal, pieces
from ledger.models import AccountTotal, PartyTotal
from tests.ledger.lines import Line, fold_all, off, tail, write
from tests.ledger.scene import make_book

pytestmark = pytest.mark.django_db(transaction=True)

JAN, FEB, MARCH = date(2026, 1, 31), date(2026, 2, 1), date(2026, 3, 15)
HUGE = 2**63 - 1


@pytest.mark.parametrize(
    ("from_on", "to_on", "expected"),
    [
        (None, None, [(MONTH, date.min, date(9999, 12, 1))]),
        (None, date(2026, 2, 28), [(MONTH, date.min, FEB)]),
        (
            None,
            MARCH,
            [(MONTH, date.min, FEB), (DAY, date(2026, 3, 1), MARCH)],
        ),
        (FEB, date(2026, 2, 28), [(MONTH, FEB, FEB)]),
        (MARCH, MARCH, [(DAY, MARCH, MARCH)]),
        (
            JAN,
            MARCH,
            [(DAY, JAN, JAN), (MONTH, FEB, FEB), (DAY, date(2026, 3, 1), MARCH)],
        ),
        (date(2026, 2, 2), date(2026, 3, 30), [(DAY, date(2026, 2, 2), date(2026, 3, 30))]),
        (date(9999, 12, 2), None, [(DAY, date(9999, 12, 2), date.max)]),
        (MARCH, JAN, []),
    ],
)
def test_days_are_made_of_whole_months_and_the_days_around_them(
    from_on: date | None, to_on: date | None, expected: list[tuple[str, date, date]]
) -> None:
    assert pieces(from_on, to_on) == expected


def test_a_balance_is_the_same_before_and_after_its_lines_are_folded() -> None:
    """I17: per account, party, currency and reporting currency; as of each day."""
    book = make_book()
    write(book, Line("1000", 500, tag="interest", party="main"), Line("4950", -500), on=JAN)
    write(
        book,
        Line("1000", 10_000, "USD", 9_200, party="main", tag="other_operating"),
        Line("3900", -10_000, "USD", -9_200),
        on=FEB,
    )
    write(book, Line("1000", -70, party="second", tag="fees_paid"), Line("5250", 70), on=MARCH)

    for folded in (False, True):
        if folded:
            assert (tail(book), fold_all(book), tail(book)) == (6, 6, 0)
        cash = {
            as_of: balances.balance(book=book, account="1000", currency="EUR", as_of=as_of)
            for as_of in (date(2026, 1, 30), JAN, MARCH, None)
        }
        assert [each.amount_minor for each in cash.values()] == [0, 500, 430, 430]
        assert cash[None] == Balance(430, "EUR", 430, 2)
        main = balances.balance(book=book, account="1000", currency="EUR", party="main")
        assert main == Balance(500, "EUR", 500, 1)
        dollars = balances.balance(book=book, account="1000", currency="USD")
        assert dollars == Balance(10_000, "USD", 9_200, 1)
        assert off(book) == off(book, as_of=FEB) == off(book, as_of=MARCH, from_on=JAN) == []


def test_period_totals_keep_debits_credits_and_cash_flow_tags_apart() -> None:
    """LJ-6, RP-1: what the cash flow statement is made of."""
    book = make_book()
    write(book, Line("1000", 500, tag="interest"), Line("4950", -500), on=JAN)
    write(book, Line("1000", -70, tag="fees_paid"), Line("5250", 70), on=FEB)
    write(book, Line("1000", 30, tag="fees_paid"), Line("5250", -30), on=FEB)
    fold_all(book)
    write(book, Line("1000", -5, tag="fees_paid"), Line("5250", 5), on=MARCH)

    february = balances.period_totals(book=book, from_on=FEB, to_on=date(2026, 2, 28))
    since_february = balances.period_totals(book=book, from_on=FEB, to_on=None)

    assert february == [
        PeriodTotal("1000", "EUR", "fees_paid", 30, 70, 30, 70, 2),
        PeriodTotal("5250", "EUR", "", 70, 30, 70, 30, 2),
    ]
    assert [(row.cash_flow_tag, row.balance_minor) for row in since_february] == [
        ("fees_paid", -45),
        ("", 45),
    ]
    moved = balances.movements(book=book, account="1000", currency="EUR", from_on=JAN, to_on=FEB)
    assert moved == Movement(530, 70, 530, 70, 3)


def test_a_line_that_moves_reporting_currency_alone_is_in_the_totals() -> None:
    """A revaluation posts nothing in the account's own currency."""
    book = make_book()
    write(
        book,
        Line("1100", 0, "USD", 88, party="stripe/demo"),
        Line("4910", 0, "USD", -88),
        on=JAN,
    )
    fold_all(book)

    assert balances.balance(book=book, account="1100", currency="USD") == Balance(0, "USD", 88, 1)
    assert off(book) == []


def test_amounts_at_the_edge_of_bigint_add_up_beyond_it() -> None:
    book = make_book()
    for day in (JAN, FEB, MARCH):
        write(book, Line("1000", HUGE, tag="financing"), Line("3900", -HUGE), on=day)
        write(book, Line("1000", 1, "JPY", HUGE), Line("3900", -1, "JPY", -HUGE), on=day)
        fold_all(book)

    assert balances.balance(book=book, account="1000", currency="EUR").amount_minor == 3 * HUGE
    assert balances.balance(book=book, account="3900", currency="EUR").amount_minor == -3 * HUGE
    yen = balances.balance(book=book, account="1000", currency="JPY")
    assert (yen.amount_minor, yen.reporting_minor) == (3, 3 * HUGE)
    assert off(book) == off(book, as_of=FEB) == []


def test_books_do_not_see_each_other() -> None:
    one, other = make_book(), make_book()
    write(one, Line("1000", 5), Line("3900", -5), on=JAN)
    write(other, Line("1000", 7), Line("3900", -7), on=JAN)
    fold_all(one)

    assert balances.balance(book=one, account="1000", currency="EUR").amount_minor == 5
    assert balances.balance(book=other, account="1000", currency="EUR").amount_minor == 7
    assert balances.balance(book=one, account="1000", currency="USD") == Balance(0, "USD", 0, 0)
    assert (tail(one), tail(other)) == (0, 2)


def test_parties_of_an_account_and_accounts_of_a_party() -> None:
    book = make_book()
    write(book, Line("2000", -90, party="be_a"), Line("1100", 90, party="stripe/demo"), on=JAN)
    write(book, Line("2000", -40, party="be_b"), Line("1100", 40, party="stripe/demo"), on=FEB)
    fold_all(book)
    write(book, Line("2000", 90, party="be_a"), Line("2100", -90, party="be_a"), on=MARCH)

    sellers = balances.parties_of(book=book, account="2000")
    assert [(row.party, row.balance_minor) for row in sellers] == [("be_a", 0), ("be_b", -40)]
    of_a = balances.balances_of(book=book, party="be_a")
    assert [(row.account, row.balance_minor) for row in of_a] == [("2000", 0), ("2100", -90)]
    before = balances.balances_of(book=book, party="be_a", as_of=FEB)
    assert [(row.account, row.balance_minor) for row in before] == [("2000", -90)]


def test_a_balance_is_one_statement_so_that_nothing_moves_between_its_parts() -> None:
    book = make_book()

    with CaptureQueriesContext(
        connection,
    ) as asked:
        balances.balance(book=book, account="1000", currency="EUR", as_of=MARCH)
        balances.trial_balance(book=book, as_of=MARCH, per_party=True)
        balances.period_totals(book=book, from_on=JAN, to_on=MARCH)

    assert len(asked) == 3


def test_a_period_that_ends_before_it_begins_is_empty() -> None:
    book = make_book()
    write(book, Line("1000", 5), Line("3900", -5), on=JAN)

    assert balances.period_totals(book=book, from_on=MARCH, to_on=JAN) == []


def test_totals_are_kept_per_day_and_per_month() -> None:
    book = make_book()
    for day in (date(2026, 2, 2), date(2026, 2, 3), date(2026, 2, 3)):
        write(book, Line("2000", -10, party="be_a"), Line("4000", 10), on=day)
    fold_all(book)

    rows = PartyTotal.objects.filter(book=book, party="be_a").order_by("grain", "starts_on")
    assert [(r.grain, r.starts_on, int(r.credit_minor), r.lines) for r in rows] == [
        ("day", date(2026, 2, 2), 10, 1),
        ("day", date(2026, 2, 3), 20, 2),
        ("month", FEB, 30, 3),
    ]
    assert AccountTotal.objects.filter(book=book, grain="month").count() == 2
