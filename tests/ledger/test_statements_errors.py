"""What is mapped nowhere and what nobody explained are errors, shown and never netted (RP-4)."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from ledger import statements
from ledger.matrix import MATRIX
from ledger.models import Account
from ledger.statement_parts import NOT_MAPPED, Span, Statement
from payops.console.reads import statements as reads
from tests.ledger.lines import Line, write
from tests.ledger.scene import NOW, Scene, make_book

pytestmark = pytest.mark.django_db
DAY = date(2026, 3, 18)
MARCH = Span(date(2026, 3, 1), date(2026, 3, 31))


@pytest.fixture
def scene() -> Scene:
    return Scene(make_book())


def made(scene: Scene, kind: str, **changes: str) -> Statement:
    return statements.statement(kind=kind, book=scene.book, span=MARCH, **changes)


@pytest.fixture
def stray(scene: Scene) -> Scene:
    """An account of the book that no line of the statements knows, with 30.00 on it."""
    Account.objects.create(book=scene.book, code="7777", name="Sundries", kind="expense")
    write(
        scene.book,
        Line("7777", 3_000),
        Line("1000", -3_000, party="main", tag="other_operating"),
        on=DAY,
    )
    return scene


@pytest.mark.parametrize("kind", ["trial-balance", "balance-sheet", "income-statement"])
def test_unmapped_activity_is_an_error_row_with_its_amount_and_link(
    stray: Scene, kind: str
) -> None:
    """RP-4: in every statement it moves, whatever else is in balance."""
    found = made(stray, kind)

    (row,) = found.errors
    assert (row.code, row.words, row.note) == ("7777", "Sundries", NOT_MAPPED)
    column = 3 if kind == "trial-balance" else 0
    assert row.figures[column].minor == 3_000
    drill = row.figures[column].drill
    assert drill is not None and drill.accounts == ("7777",)
    assert not found.ok


def test_the_balance_sheet_is_out_by_exactly_what_is_not_mapped(stray: Scene) -> None:
    check = made(stray, "balance-sheet").checks[0]

    assert (check.ok, check.off_minor, check.note) == (False, -3_000, NOT_MAPPED)
    assert check.figures == (
        ("Assets", -3_000), ("Liabilities", 0), ("Equity", 0), ("Sundries", 3_000),
    )  # fmt: skip


def test_the_result_is_out_by_what_stands_on_an_unmapped_expense(stray: Scene) -> None:
    check = made(stray, "income-statement").checks[0]

    assert check.figures == (("Result", 0), ("On the accounts", -3_000))
    assert check.off_minor == 3_000


def test_exports_carry_the_error_and_the_broken_control(stray: Scene) -> None:
    found = made(stray, "balance-sheet", compare="none")

    rows = {(row.kind, row.code or row.words): row for row in reads.export_rows(found)}
    assert rows[("error", "7777")].texts == ("30.00",)
    assert rows[("error", "7777")].note == NOT_MAPPED
    control = rows[("control", "Assets equal liabilities and equity")]
    assert control.note == f"OUT BY -30.00. {NOT_MAPPED}"
    lines = [list(line.values) for line in reads.sheet(stray.book, found, NOW)]
    assert any("7777" in line and NOT_MAPPED in line for line in lines)
    assert any(line and line[0] == f"Out of balance. {NOT_MAPPED}" for line in lines)


def test_a_memo_account_alone_against_a_real_one_is_out_of_balance(scene: Scene) -> None:
    """Off balance sheet is a pair: half of one leaves the sheet and says so."""
    write(scene.book, Line("1450", 500), Line("9100", -500), on=DAY)

    sheet, memo = made(scene, "balance-sheet").checks

    assert (sheet.off_minor, memo.off_minor) == (500, -500)


def test_an_unmapped_account_without_activity_is_no_error(scene: Scene) -> None:
    Account.objects.create(book=scene.book, code="7777", name="Sundries", kind="expense")

    assert all(made(scene, kind).ok for kind in statements.KINDS)


def test_cash_that_moved_without_a_reason_is_an_error(scene: Scene) -> None:
    """RP-4: a tag nobody knows is unexplained cash; it still ties to the balance sheet."""
    write(
        scene.book,
        Line("1000", 4_000, party="main", tag="magic"),
        Line("2900", -4_000),
        on=DAY,
    )

    found = made(scene, "cash-flow", compare="none")

    (row,) = found.errors
    assert (row.key, row.figures[0].minor) == ("error:untagged", 4_000)
    ties, explained = found.checks
    assert (ties.ok, explained.ok, explained.off_minor) == (True, False, 4_000)


def test_cash_of_entries_older_than_the_tags_has_that_of_their_class(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cash line without a tag has that of its entry's row of the matrix, if the row has one."""
    entry = write(scene.book, Line("1000", 4_000, party="main"), Line("2900", -4_000), on=DAY)
    assert [row.key for row in made(scene, "cash-flow").errors] == ["error:untagged"]

    row = replace(MATRIX[entry.event_class], cash_flow_tag="settlements")
    monkeypatch.setitem(MATRIX, entry.event_class, row)

    found = made(scene, "cash-flow", compare="none")
    assert found.ok
    assert found.row("settlements").figures[0].minor == 4_000  # type: ignore[union-attr]


def test_sums_wider_than_an_amount_are_shown_whole(scene: Scene) -> None:
    """Amounts at the edge of bigint: a total may be wider than any one of them."""
    edge = 2**63 - 1
    for _ in range(2):
        write(
            scene.book,
            Line("1000", edge, party="main", tag="other_operating"),
            Line("3900", -edge),
            on=DAY,
        )

    found = made(scene, "balance-sheet", compare="none")

    assert found.ok
    assert found.row("cash_at_bank").figures[0].minor == 2 * edge  # type: ignore[union-attr]
    text = next(row.texts[0] for row in reads.export_rows(found) if row.code == "1000")
    assert text == "184467440737095516.14"


@pytest.mark.parametrize(
    ("currency", "minor", "text"),
    [("JPY", 1_200, "1200"), ("KWD", 1_234, "1.234"), ("ISK", 5, "5"), ("EUR", -1, "-0.01")],
)
def test_each_currency_has_its_own_decimals(
    scene: Scene, currency: str, minor: int, text: str
) -> None:
    """F19: own amounts of a currency without or with three decimals."""
    write(
        scene.book,
        Line("1100", minor, currency, 0, party="psp"),
        Line("2900", -minor, currency, 0),
        on=DAY,
    )

    found = made(scene, "trial-balance", currency=currency, compare="none")

    assert found.ok and found.currency == currency
    assert next(reads.export_rows(found)).texts[3] == text
