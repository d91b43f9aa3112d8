"""Folded totals grow by the fold alone, and their cut never passes an open transaction (I17)."""

from __future__ import annotations

from datetime import date

import pytest
from django.db import connection

from ledger.models import AccountTotal, BalanceCut, PartyTotal
from payops.commands.bootstrap import as_owner
from payops.core.models import Book
from tests.guards.approval_attacks import refused, run
from tests.ledger.lines import Line, fold_all, off, write
from tests.ledger.scene import make_book

pytestmark = pytest.mark.django_db(transaction=True)
TOTALS = ("ledger_accounttotal", "ledger_partytotal")


@pytest.fixture
def book() -> Book:
    book = make_book()
    write(book, Line("2000", -10, party="be_a"), Line("4000", 10), on=date(2026, 3, 15))
    fold_all(book)
    return book


@pytest.mark.parametrize("table", TOTALS)
@pytest.mark.parametrize(
    "change",
    [
        "credit_minor = credit_minor - 1, lines = lines + 1",
        "debit_minor = debit_minor - 1, lines = lines + 1",
        "reporting_debit_minor = reporting_debit_minor - 1, lines = lines + 1",
        "reporting_credit_minor = reporting_credit_minor - 1, lines = lines + 1",
        "credit_minor = credit_minor + 1",
        "lines = lines - 1",
        "starts_on = starts_on - 1, lines = lines + 1",
        "currency = 'USD', lines = lines + 1",
    ],
)
def test_a_total_does_not_shrink_move_or_change_without_a_line(
    book: Book, table: str, change: str
) -> None:
    with refused(f"{table} only grows by the fold, UPDATE refused"):
        run(f"UPDATE {table} SET {change} WHERE book_id = %s", book.pk)

    assert off(book) == []


@pytest.mark.parametrize("table", TOTALS)
def test_a_total_is_not_deleted_or_truncated(book: Book, table: str) -> None:
    with refused(f"{table} only grows by the fold, DELETE refused"):
        run(f"DELETE FROM {table} WHERE book_id = %s", book.pk)
    with refused("permission denied"):
        run(f"TRUNCATE {table}")

    assert off(book) == []


def test_the_cut_does_not_go_back_ahead_or_away(book: Book) -> None:
    """Back would count lines twice, ahead would leave lines out."""
    cut = BalanceCut.objects.get(book=book).cut

    def to(where: str) -> None:
        run(f"UPDATE ledger_balancecut SET cut = {where} WHERE book_id = %s", book.pk)

    with refused(f"the cut stands at {cut} and only moves on"):
        to("'0'::xid8")
    past_this_one = "(pg_current_xact_id()::text::bigint + 1)::text::xid8"
    for ahead in (past_this_one, "'4000000000000'::xid8"):
        with refused("the cut cannot move to .*: transactions from"):
            to(ahead)
    with refused("the cut of a book is never deleted"):
        run("DELETE FROM ledger_balancecut WHERE book_id = %s", book.pk)
    with refused("the cut of a book begins at nothing"):
        run("INSERT INTO ledger_balancecut (book_id, cut) VALUES (%s, '7')", make_book().pk)

    assert BalanceCut.objects.get(book=book).cut == cut


def test_the_owner_may_begin_anew(book: Book) -> None:
    with as_owner():
        for model in (AccountTotal, PartyTotal, BalanceCut):
            model.objects.filter(book=book).delete()
        connection.ensure_connection()

    assert off(book) == [], "without totals every line is in the tail"
