"""No line is folded twice or left out, whatever is open meanwhile (I17, LJ-22)."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta

import pytest
from django.db import connection, connections, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger import balances, folding
from ledger.models import AccountTotal, BalanceCut, JournalLine, PartyTotal
from payops.commands.bootstrap import as_owner
from payops.commands.invariants.base import Moment
from payops.commands.invariants.table import check_all
from payops.core import clock
from payops.core.models import Book
from payops.flows import balance_fold
from tests.ledger.lines import (
    Line,
    book_of_half_a_year,
    fold,
    fold_all,
    nothing_open,
    off,
    tail,
    write,
)
from tests.ledger.scene import make_book
from tests.races import JOIN_S, race

pytestmark = pytest.mark.django_db(transaction=True)

DAY = date(2026, 3, 15)
POSTERS = 16
ROUNDS = 6
EDGE = 2**63 - 1


def cut_of(book: Book) -> int:
    return BalanceCut.objects.get(book=book).cut


def i17() -> list[str]:
    return check_all(Moment(now=clock.utc_now()), only=["I17"])["I17"].breaks


@contextmanager
def left_open(book: Book, *lines: Line, on: date) -> Iterator[threading.Event]:
    """An entry written in a transaction of another connection, committed when the block ends."""
    written, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with transaction.atomic():
                write(book, *lines, on=on)
                written.set()
                assert go_on.wait(JOIN_S)
        finally:
            written.set()
            connections.close_all()

    thread = threading.Thread(target=hold)
    thread.start()
    assert written.wait(JOIN_S)
    try:
        yield go_on
    finally:
        go_on.set()
        thread.join(JOIN_S)
        assert not thread.is_alive()


def test_a_transaction_left_open_holds_the_cut_and_loses_nothing() -> None:
    """The bound is the snapshot's xmin: max(id) would step over the open one."""
    book = make_book()
    write(book, Line("2000", -10, party="be_a"), Line("4000", 10), on=DAY)
    with left_open(book, Line("2000", -7, party="be_a"), Line("4000", 7), on=DAY):
        write(book, Line("2000", -5, party="be_a"), Line("4000", 5), on=DAY)
        fold(book)
        assert balances.balance(book=book, account="4000", currency="EUR").amount_minor == 15
        assert tail(book) >= 2, "the entry behind the open transaction stays in the tail"
        assert off(book) == []

    assert balances.balance(book=book, account="4000", currency="EUR").amount_minor == 22
    fold_all(book)
    assert balances.balance(book=book, account="4000", currency="EUR").amount_minor == 22
    assert off(book) == i17() == []


def test_an_entry_that_was_rolled_back_is_never_counted() -> None:
    book = make_book()
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        write(book, Line("2000", -10), Line("4000", 10), on=DAY)
        raise ZeroDivisionError
    write(book, Line("2000", -1), Line("4000", 1), on=DAY)
    fold_all(book)

    assert balances.balance(book=book, account="4000", currency="EUR").amount_minor == 1
    assert off(book) == []


def test_folding_again_changes_nothing() -> None:
    book = make_book()
    write(book, Line("2000", -10), Line("4000", 10), on=DAY)
    fold_all(book)
    before = list(AccountTotal.objects.filter(book=book).values()), cut_of(book)

    assert fold(book).lines == 0  # type: ignore[union-attr]

    assert (list(AccountTotal.objects.filter(book=book).values()), cut_of(book)) == before


def test_one_book_is_folded_by_one_at_a_time() -> None:
    book = make_book()
    write(book, Line("2000", -10), Line("4000", 10), on=DAY)
    fold(book)

    with transaction.atomic():
        assert folding.fold(book=book, now=clock.utc_now()) is not None
        second = race(1, lambda _: fold(book))

    assert second == [None]


def test_a_long_backlog_is_taken_in_slices_of_whole_transactions() -> None:
    """The first fold over millions of lines is many short transactions."""
    book = make_book()
    for n in range(1, 8):
        write(book, Line("2000", -n), Line("4000", n), on=DAY + timedelta(days=n))
    nothing_open()

    taken = []
    while not taken or taken[-1].more:
        folded = fold(book, limit=4)
        assert folded is not None
        taken.append(folded)
        assert off(book) == []

    assert [each.lines for each in taken] == [4, 4, 4, 2]
    assert [each.more for each in taken] == [True, True, True, False]


def test_a_transaction_larger_than_a_slice_is_taken_whole() -> None:
    book = make_book()
    with transaction.atomic():
        for n in range(1, 6):
            write(book, Line("2000", -n), Line("4000", n), on=DAY)
    write(book, Line("2000", -9), Line("4000", 9), on=DAY)
    nothing_open()

    taken = [fold(book, limit=4) for _ in range(3)]

    # The first one stops before the large one, which is then more than a slice by itself.
    assert [(each.lines, each.more) for each in taken if each] == [
        (0, True),
        (10, True),
        (2, False),
    ]


def test_sixteen_posters_with_open_transactions_and_a_folder_agree_with_the_sum_at_every_step() -> (
    None
):
    """I17 at every moment: no line counted twice, none missed."""
    book = book_of_half_a_year()
    write(book, Line("2000", -1, party="be_0"), Line("4000", 1), on=DAY)
    folds = threading.Semaphore(0)
    posting = threading.Event()
    posting.set()
    wrong: list[str] = []
    steps: list[int] = []

    def post(i: int) -> int:
        choose, written = random.Random(i), 0
        for n in range(ROUNDS):
            with transaction.atomic():
                for _ in range(choose.randint(1, 3)):
                    day = DAY - timedelta(days=choose.randint(0, 70))
                    amount = choose.randint(1, 10**6)
                    party = f"be_{choose.randint(0, 4)}"
                    write(book, Line("2000", -amount, party=party), Line("4000", amount), on=day)
                    written += amount
                if (i + n) % 2:  # stay open while at least one more fold passes by
                    assert folds.acquire(timeout=JOIN_S)
        return written

    def watch() -> None:
        try:
            while posting.is_set():
                folded = fold(book)
                steps.append(folded.lines if folded else 0)
                wrong.extend(off(book, as_of=DAY - timedelta(days=len(steps) % 75)))
                folds.release(POSTERS)
        finally:
            folds.release(POSTERS * ROUNDS * 4)
            connections.close_all()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        written = race(POSTERS, post)
    finally:
        posting.clear()
        watcher.join(JOIN_S)

    assert wrong == []
    assert [each for each in written if isinstance(each, Exception)] == []
    assert len(steps) >= 3, steps
    expected = sum(written) + 1
    assert balances.balance(book=book, account="4000", currency="EUR").amount_minor == expected
    fold_all(book)
    assert balances.balance(book=book, account="4000", currency="EUR").amount_minor == expected
    assert sum(r.lines for r in AccountTotal.objects.filter(book=book, grain="day")) == (
        JournalLine.objects.filter(book=book).count()
    )
    assert off(book) == i17() == []


ACCOUNTS = ["1000", "1100", "2000", "4000", "5000"]
DAYS = st.dates(date(2025, 11, 20), date(2026, 4, 10))
AMOUNTS = st.one_of(st.integers(1, 10**6), st.sampled_from([1, EDGE - 1, EDGE]))


@st.composite
def entries(draw: st.DrawFn) -> tuple[tuple[Line, ...], date]:
    """Two lines that balance, in any currency, with reporting amounts of their own."""
    amount, reporting = draw(AMOUNTS), draw(AMOUNTS)
    if draw(st.integers(0, 9)) == 0:
        amount = 0
    currency = draw(st.sampled_from(["EUR", "USD", "JPY", "KWD", "ISK"]))
    debit, credit = draw(st.permutations(ACCOUNTS))[:2]
    sign = draw(st.sampled_from([1, -1]))
    party = draw(st.sampled_from(["", "be_a", "be_b"]))
    tag = draw(st.sampled_from(["", "interest", "settlements"]))
    return (
        Line(debit, amount, currency, sign * reporting, party, tag),
        Line(credit, -amount, currency, -sign * reporting, party),
    ), draw(DAYS)


STEPS = st.lists(
    st.one_of(
        entries(),
        entries(),
        st.just("fold"),
        st.tuples(st.just("open"), entries(), entries()),
    ),
    min_size=1,
    max_size=9,
)


@given(steps=STEPS, as_of=st.one_of(st.none(), DAYS), from_on=st.one_of(st.none(), DAYS))
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_any_sequence_of_postings_and_folds_leaves_balances_the_sum_of_lines(
    steps: list[object], as_of: date | None, from_on: date | None
) -> None:
    """I17 per account, party, currency, tag and reporting currency; as of any day."""
    book = book_of_half_a_year()
    for step in steps:
        match step:
            case "fold":
                fold(book)
            case ("open", (held, held_on), (meanwhile, on)):
                with left_open(book, *held, on=held_on):
                    write(book, *meanwhile, on=on)
                    fold(book)
                    assert off(book, as_of=as_of, from_on=from_on) == []
            case (lines, on):
                write(book, *lines, on=on)
        assert off(book, as_of=as_of, from_on=from_on) == []
    fold_all(book)
    assert off(book, as_of=as_of, from_on=from_on) == off(book) == []
    assert i17() == []


def test_i17_names_a_total_that_is_not_the_sum_of_its_lines() -> None:
    book = make_book()
    write(book, Line("2000", -10, party="be_a"), Line("4000", 10), on=DAY)
    fold_all(book)
    with as_owner():
        PartyTotal.objects.filter(book=book, party="be_a", grain="month").update(credit_minor=11)
        AccountTotal.objects.filter(book=book, account__code="4000", grain="day").delete()

    assert i17() == [
        f"book {book.code}: account 4000 EUR (None): the total of the day 2026-03-15 says None"
        " (None in reporting currency, None lines), its lines say 10 (10, 1)",
        f"book {book.code}: account 2000 EUR (be_a): the total of the month 2026-03-01 says -11"
        " (-10 in reporting currency, 1 lines), its lines say -10 (-10, 1)",
    ]

    with as_owner(), transaction.atomic():
        folding.fold_anew(book=book, now=clock.utc_now())
    assert i17() == off(book) == []


def test_a_cut_ahead_of_the_server_is_not_folded_and_is_named() -> None:
    """RB-8: a database restored into another cluster."""
    book = make_book()
    write(book, Line("2000", -10), Line("4000", 10), on=DAY)
    fold_all(book)
    with as_owner(), connection.cursor() as cursor:
        cursor.execute("UPDATE ledger_balancecut SET cut = '4000000000000'::xid8")

    with pytest.raises(folding.CutAhead) as raised:
        fold(book)

    assert f"totals of book {book.code} reach up to transaction 4000000000000" in str(raised.value)
    assert "manage.py rebase_after_restore" in str(raised.value)
    assert balance_fold.fold_all(now=clock.utc_now()) == 0
    assert [words.split(",")[0] for words in i17() if book.code in words] == [
        f"book {book.code}: the totals reach up to transaction 4000000000000"
    ]


def test_the_schedule_folds_every_book() -> None:
    one, other = make_book(), make_book()
    for book in (one, other):
        write(book, Line("2000", -10), Line("4000", 10), on=DAY)
    nothing_open()

    assert balance_fold.fold_all(now=clock.utc_now()) == 4

    assert tail(one) == tail(other) == 0
