"""Statements over the worked checks, by hand: every figure asserted (RP-1, RP-4, RP-5, LJ-6)."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from django.db import transaction

from ledger import statements
from ledger.statement_parts import Span, Statement
from tests.ledger.scene import NOW, PSP, Scene, capture, make_book, public_id

pytestmark = pytest.mark.django_db
MARCH = Span(date(2026, 3, 1), date(2026, 3, 31))


@pytest.fixture
def scene() -> Scene:
    return Scene(make_book())


def made(scene: Scene, kind: str, span: Span = MARCH, **changes: str) -> Statement:
    found = statements.statement(kind=kind, book=scene.book, span=span, **changes)
    assert found.errors == ()
    assert [check.words for check in found.checks if not check.ok] == []
    return found


def shown(statement: Statement, column: int = 0) -> dict[str, int]:
    """Key of the row → its figure; rows without figures left out."""
    return {row.key: row.figures[column].minor for row in statement.rows if row.figures}


def at(day: int, month: int = 3) -> datetime:
    return datetime(2026, month, day, 10, 0, tzinfo=UTC)


def test_a_captured_payment_in_every_statement(scene: Scene) -> None:
    """Worked check (a): 1100 +97, 2000 -90, 4000 -10, 5000 +3."""
    payment = public_id("pa")
    scene.post(capture(scene, payment), scene.posting("fee.charged", payment, fee=300, total=300))

    sheet = made(scene, "balance-sheet", compare="none")
    assert shown(sheet) == {
        "psp_balances": 9_700,
        "total:Held by payment providers": 9_700,
        "Assets": 9_700,
        "seller_payable": 9_000,
        "total:Owed to sellers": 9_000,
        "Liabilities": 9_000,
        "current_result": 700,
        "Equity": 700,
        "liabilities_and_equity": 9_700,
    }
    assert sheet.checks[0].figures == (("Assets", 9_700), ("Liabilities", 9_000), ("Equity", 700))

    income = made(scene, "income-statement", compare="none")
    assert shown(income) == {
        "platform_fees": 1_000,
        "total:Revenue": 1_000,
        "psp_fees": -300,
        "total:Cost of revenue": -300,
        "Gross margin": 700,
        "Operating result": 700,
        "Result": 700,
    }

    trial = made(scene, "trial-balance", compare="none")
    assert {row.key: tuple(f.minor for f in row.figures) for row in trial.rows} == {
        "account:1100": (0, 10_000, 300, 9_700),
        "account:2000": (0, 0, 9_000, -9_000),
        "account:4000": (0, 0, 1_000, -1_000),
        "account:5000": (0, 300, 0, 300),
        "total": (0, 10_300, 10_300, 0),
    }

    cash = made(scene, "cash-flow", compare="none")
    assert shown(cash) == {"opening": 0, "change": 0, "closing": 0}


def payout(scene: Scene, *steps: tuple[str, str], funding: str = "") -> None:
    for event_class, key in steps:
        variant = funding if event_class in ("payout.paid", "payout.return_received") else ""
        scene.post(scene.posting(event_class, key, variant=variant, amount=9_000))


def position(scene: Scene) -> dict[str, int]:
    found = shown(made(scene, "cash-position", compare="none"))
    return {
        "available": found["available"],
        "coming": found.get("total:coming", 0),
        "going": found.get("total:going", 0),
        "owed": found.get("total:owed", 0),
        "after": found["after"],
    }


def test_a_returned_payout_is_cash_only_when_the_money_is_back(scene: Scene) -> None:
    """Worked check (d), RP-5: 7 throughout, 97 when the money is back, 7 after the re-issue."""
    payment, first, second = public_id("pa"), public_id("po"), public_id("po")
    scene.post(capture(scene, payment), scene.posting("fee.charged", payment, fee=300, total=300))
    assert position(scene)["available"] == 9_700

    payout(scene, ("payout.initiated", first))
    assert position(scene) == {
        "available": 9_700, "coming": 0, "going": -9_000, "owed": 0, "after": 700,
    }  # fmt: skip
    payout(scene, ("payout.paid", first))
    assert position(scene) == {
        "available": 700, "coming": 0, "going": 0, "owed": 0, "after": 700,
    }  # fmt: skip
    payout(scene, ("payout.returned", first))
    assert position(scene) == {
        "available": 700, "coming": 9_000, "going": 0, "owed": -9_000, "after": 700,
    }  # fmt: skip
    payout(scene, ("payout.return_received", first))
    assert position(scene) == {
        "available": 9_700, "coming": 0, "going": 0, "owed": -9_000, "after": 700,
    }  # fmt: skip
    payout(scene, ("payout.released", first), ("payout.initiated", second), ("payout.paid", second))
    assert position(scene) == {
        "available": 700, "coming": 0, "going": 0, "owed": 0, "after": 700,
    }  # fmt: skip


def test_cash_flow_counts_a_bank_payout_out_and_back_when_it_is_back(scene: Scene) -> None:
    """Worked check (d), LJ-6: -90, then +90 only when the money is at the bank again."""
    payment, key = public_id("pa"), public_id("po")
    scene.post(capture(scene, payment))
    payout(scene, ("payout.initiated", key), ("payout.paid", key), funding="bank")

    def cash() -> dict[str, int]:
        return shown(made(scene, "cash-flow", compare="none"))

    paid = {
        "opening": 0,
        "sellers_paid": -9_000,
        "total:operating": -9_000,
        "change": -9_000,
        "closing:1000": -9_000,
        "closing": -9_000,
    }
    assert cash() == paid
    payout(scene, ("payout.returned", key), funding="bank")
    assert cash() == paid
    payout(scene, ("payout.return_received", key), funding="bank")
    assert cash() == {
        "opening": 0,
        "sellers_paid": -9_000,
        "sellers_returned": 9_000,
        "total:operating": 0,
        "change": 0,
        "closing": 0,
    }


def test_sellers_in_debit_and_psps_in_credit_stand_on_the_other_half(scene: Scene) -> None:
    """Worked check (e): A -5.00 and B +0.40 are a payable and a receivable, never netted."""
    other = Scene(scene.book)
    for seller, key in ((scene, public_id("po")), (other, public_id("po"))):
        seller.post(seller.posting("payout.initiated", key, amount=500))
        seller.post(seller.posting("payout.paid", key, amount=500))
    payment = public_id("pa")
    other.post(capture(other, payment, gross=540, seller_share=540, platform_fee=0))

    sheet = made(scene, "balance-sheet", compare="none")

    assert shown(sheet) == {
        "seller_receivable": 500,
        "seller_receivable:2000:debit": 500,
        "total:Receivables": 500,
        "Assets": 500,
        "seller_payable": 40,
        "total:Owed to sellers": 40,
        "due_to_psps": 460,
        "due_to_psps:1100:credit": 460,
        "total:Owed to payment providers": 460,
        "Liabilities": 500,
        "Equity": 0,
        "liabilities_and_equity": 500,
    }
    drill = sheet.row("seller_receivable:2000:debit").figures[0].drill  # type: ignore[union-attr]
    assert (drill.accounts, drill.side, drill.to_on) == (("2000",), "debit", MARCH.to_on)
    trial = shown(made(scene, "trial-balance", compare="none"), 3)
    assert (trial["account:1100"], trial["account:2000"]) == (-460, 460)
    provider = made(scene, "cash-position", compare="none").row(f"party:1100:{PSP}:EUR")
    assert provider is not None and provider.figures[0].minor == -460


def test_the_previous_period_stands_beside_with_the_change(scene: Scene) -> None:
    scene.post(capture(scene, public_id("pa"), occurred_at=at(20, 2)), now=at(20, 2))
    scene.post(capture(scene, public_id("pa")), capture(scene, public_id("pa")))

    income = made(scene, "income-statement")
    assert income.columns == (
        "2026-03-01 to 2026-03-31", "2026-02-01 to 2026-02-28", "Change",
    )  # fmt: skip
    assert [f.minor for f in income.row("platform_fees").figures] == [2_000, 1_000, 1_000]  # type: ignore[union-attr]
    sheet = made(scene, "balance-sheet")
    assert sheet.columns == ("2026-03-31", "2026-02-28", "Change")
    assert [f.minor for f in sheet.row("Assets").figures] == [30_000, 10_000, 20_000]  # type: ignore[union-attr]
    trial = made(scene, "trial-balance")
    assert [f.minor for f in trial.row("account:4000").figures] == [  # type: ignore[union-attr]
        -1_000, 0, 2_000, -3_000, -1_000, -2_000,
    ]  # fmt: skip
    year = made(scene, "income-statement", compare="year")
    assert year.columns[1] == "2025-03-01 to 2025-03-31"


def test_retained_earnings_are_computed_at_the_start_of_the_fiscal_year(scene: Scene) -> None:
    """No closing entry: what a reopened month changes is right at once."""
    scene.book.fiscal_year_start_month = 3
    scene.post(capture(scene, public_id("pa"), occurred_at=at(20, 2)), now=at(20, 2))
    scene.post(capture(scene, public_id("pa")))

    march = shown(made(scene, "balance-sheet", compare="none"))
    assert (march["retained_earnings"], march["retained_earnings:result"]) == (1_000, 1_000)
    assert (march["current_result"], march["Equity"]) == (1_000, 2_000)
    february = Span(date(2026, 2, 1), date(2026, 2, 28))
    earlier = shown(made(scene, "balance-sheet", february, compare="none"))
    assert "retained_earnings" not in earlier
    assert (earlier["current_result"], earlier["Equity"]) == (1_000, 1_000)


def test_a_free_range_of_days_is_taken_as_it_is(scene: Scene) -> None:
    scene.post(capture(scene, public_id("pa"), occurred_at=at(10)))
    scene.post(capture(scene, public_id("pa"), occurred_at=at(11)))
    with transaction.atomic():
        span = Span(date(2026, 3, 11), date(2026, 3, 12))
        income = made(scene, "income-statement", span)

    assert [f.minor for f in income.row("platform_fees").figures] == [1_000, 1_000, 0]  # type: ignore[union-attr]
    assert income.columns[1] == "2026-03-09 to 2026-03-10"


def test_days_of_a_span_and_those_it_is_compared_with() -> None:
    """F15: both ends included."""
    quarter = Span(date(2026, 1, 1), date(2026, 3, 31))
    assert quarter.previous() == Span(date(2025, 10, 1), date(2025, 12, 31))
    assert Span(date(2026, 3, 5), date(2026, 3, 5)).previous() == Span(
        date(2026, 3, 4), date(2026, 3, 4)
    )
    assert Span(date(2025, 2, 1), date(2025, 2, 28)).year_before() == Span(
        date(2024, 2, 1), date(2024, 2, 29)
    )
    assert Span(date(2024, 2, 29), date(2024, 2, 29)).year_before() == Span(
        date(2023, 2, 28), date(2023, 2, 28)
    )
    assert NOW.date() <= MARCH.to_on
