"""Parity with a reference pack, line by line; equal totals are not enough (RP-2, RP-3, F13)."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from ledger import parity
from ledger.models import AccountingPeriod, JournalEntry
from ledger.parity_parts import Difference, PackMisfit
from ledger.posting import reverse
from payops.formats.reference_pack import PackRow
from tests.ledger.scene import CAPTURE_FAILED, LEDGER, NOW, Scene, capture, make_book, public_id

pytestmark = pytest.mark.django_db
APRIL = datetime(2026, 4, 2, 10, 0, tzinfo=UTC)


@pytest.fixture
def scene() -> Scene:
    """Two captures of 100.00 in March: 90.00 for the seller, 10.00 for us."""
    made = Scene(make_book())
    made.post(capture(made, public_id("pa")), capture(made, public_id("pa")))
    return made


def compared(scene: Scene, *rows: PackRow, code: str = "2026-03") -> list[Difference]:
    period = AccountingPeriod.objects.get(book=scene.book, code=code)
    return parity.compare(book=scene.book, period=period, rows=rows)


def sheet(row: int, line: str, minor: int, currency: str = "EUR") -> PackRow:
    return PackRow(row, "balance_sheet", line, currency=currency, amount_minor=minor)


def trial(row: int, account: str, minor: int, party: str = "", currency: str = "EUR") -> PackRow:
    return PackRow(
        row, "trial_balance", account=account, party=party, currency=currency, amount_minor=minor
    )


def entry(row: int, reference: str, event_class: str = "", **more: object) -> PackRow:
    said = {"period": "2026-03", **more}
    return PackRow(row, "entries", reference=reference, event_class=event_class, **said)  # type: ignore[arg-type]


def told(differences: list[Difference]) -> list[tuple[str, str, str, int | None, int | None]]:
    return [(d.name, d.kind, d.place, d.expected_minor, d.found_minor) for d in differences]


FULL_TRIAL = (trial(2, "1100", 20_000), trial(3, "2000", -18_000), trial(4, "4000", -2_000))


def test_a_pack_that_says_what_the_books_say_has_no_difference(scene: Scene) -> None:
    """RP-2: by line, in its own currency and in reporting, by account, by party, by class."""
    assert (
        compared(
            scene,
            sheet(2, "Balances at PSPs", 20_000),
            sheet(3, "seller_payable", 18_000),
            sheet(4, "TOTAL ASSETS", 20_000),
            sheet(5, "Result of the current fiscal year", 2_000),
            sheet(6, "Balances at PSPs", 20_000, "reporting"),
            sheet(7, "Seller payable", 18_000, "reporting"),
            sheet(8, "Result of the current fiscal year", 2_000, "reporting"),
            *FULL_TRIAL,
            PackRow(9, "income_statement", "Platform fees, net of tax", currency="EUR",
                    amount_minor=2_000),
            PackRow(10, "cash_flow", "Cash at the end", currency="EUR", amount_minor=0),
            PackRow(11, "cash_position", "Cash and PSP balances", currency="EUR",
                    amount_minor=20_000),
            PackRow(12, "cash_position", "PSP clearing", currency="EUR", amount_minor=20_000),
            PackRow(13, "entries", event_class="payment.captured", count=2, reversals=0),
        )
        == []
    )  # fmt: skip


def test_equal_totals_do_not_hide_an_amount_on_another_account(scene: Scene) -> None:
    """RP-3: the pack wants 5.00 of the fees on 4100; sums agree, classification does not."""
    found = compared(
        scene, trial(2, "1100", 20_000), trial(3, "2000", -18_000), trial(4, "4000", -1_500),
        trial(5, "4100", -500),
    )  # fmt: skip

    assert told(found) == [
        ("D1", "classification", "4000 Platform fees (net of tax)", -1_500, -2_000)
    ]
    assert found[0].words == (
        "5.00 EUR expected on 4100 Fees recharged to sellers stand on"
        " 4000 Platform fees (net of tax)"
    )
    assert not found[0].is_explained


def test_an_amount_on_the_wrong_seller_is_a_classification(scene: Scene) -> None:
    other = public_id("be")

    found = compared(
        scene, trial(2, "1100", 20_000), trial(3, "4000", -2_000),
        trial(4, "2000", -9_000, scene.seller), trial(5, "2000", -9_000, other),
    )  # fmt: skip

    assert [(d.kind, d.party in (scene.seller, other)) for d in found] == [("classification", True)]


def test_one_amount_spread_over_two_other_lines_is_a_classification(scene: Scene) -> None:
    found = compared(
        scene, trial(2, "1100", 20_000), trial(3, "2000", -17_000), trial(4, "4000", -2_000),
        trial(5, "2200", -600), trial(6, "2310", -400),
    )  # fmt: skip

    assert [(d.kind, d.place) for d in found] == [("classification", "2000 Seller payable")]
    assert found[0].words.startswith("10.00 EUR expected on 2200 ")
    assert found[0].words.endswith(
        " and 2310 Dispute holds on sellers stand on 2000 Seller payable"
    )


def test_an_entry_that_is_missing_on_both_sides_is_not_taken_for_a_classification(
    scene: Scene,
) -> None:
    found = compared(
        scene, trial(2, "1100", 30_000), trial(3, "2000", -27_000), trial(4, "4000", -3_000)
    )

    assert [d.kind for d in found] == ["amount", "amount", "amount"]


def test_missing_other_and_unexpected_figures_are_told_apart(scene: Scene) -> None:
    found = compared(
        scene, trial(2, "1100", 20_100), trial(3, "1200", 777), trial(4, "4000", -2_000)
    )

    assert told(found) == [
        ("D1", "amount", "1100 PSP clearing", 20_100, 20_000),
        ("D2", "missing", "1200 Returned payouts receivable", 777, 0),
        ("D3", "unexpected", "2000 Seller payable", None, -18_000),
    ]


def test_an_entry_in_another_period_is_named_and_explains_the_figures(scene: Scene) -> None:
    """CL-8: expected in March, posted in April; every figure that follows is explained by it."""
    late = public_id("pa")
    scene.post(capture(scene, late, occurred_at=APRIL), now=APRIL)

    found = compared(
        scene,
        trial(2, "1100", 30_000), trial(3, "2000", -27_000), trial(4, "4000", -3_000),
        PackRow(5, "income_statement", "Platform fees, net of tax", currency="EUR",
                amount_minor=3_000),
        entry(6, late, "payment.captured"),
    )  # fmt: skip

    assert told(found)[0] == ("D1", "placement", f"payment.captured of {late}", None, None)
    assert "expected in 2026-03 and stands in 2026-04, posted on 2026-04-02" in found[0].words
    assert found[0].entries == (JournalEntry.objects.get(subject_id=late).public_id,)
    assert [(d.place[:4], d.explained_by, d.is_explained) for d in found[1:]] == [
        ("1100", (1,), True), ("2000", (1,), True), ("4000", (1,), True), ("Plat", (1,), True),
    ]  # fmt: skip
    assert [d.name for d in parity.unexplained(found)] == ["D1"]


def test_what_an_entry_does_not_explain_is_shown_beside_what_it_does(scene: Scene) -> None:
    """F13: never netted."""
    late = public_id("pa")
    scene.post(capture(scene, late, occurred_at=APRIL), now=APRIL)

    found = compared(
        scene, trial(2, "1100", 30_050), trial(3, "2000", -27_000), trial(4, "4000", -3_000),
        entry(5, late),
    )  # fmt: skip

    (part,) = [d for d in found if d.place.startswith("1100")]
    assert (part.off_minor, part.explained_minor, part.explained_by) == (-10_050, -10_000, (1,))
    assert part.words.endswith("-100.00 EUR of it explained, -0.50 EUR not")
    assert [d.name for d in parity.unexplained(found)] == ["D1", part.name]


def test_an_entry_that_should_lie_in_april_but_lies_in_march(scene: Scene) -> None:
    early = JournalEntry.objects.filter(book=scene.book).order_by("id").first()
    assert early is not None

    found = compared(
        scene, trial(2, "1100", 10_000), trial(3, "2000", -9_000), trial(4, "4000", -1_000),
        entry(5, early.public_id, period="2026-04"),
    )  # fmt: skip

    assert [d.kind for d in found] == ["placement", "amount", "amount", "amount"]
    assert all(d.is_explained for d in found[1:])


def test_reversals_are_checked_both_ways(scene: Scene) -> None:
    """RP-3: expected reversed and stands; expected to stand and was reversed."""
    first, second = JournalEntry.objects.filter(book=scene.book).order_by("id")
    reverse(first, reason="wrong", actor=LEDGER, now=NOW, event_class=CAPTURE_FAILED)

    found = compared(
        scene, *FULL_TRIAL, entry(5, first.public_id, reversals=0),
        entry(6, second.public_id, reversals=1),
        PackRow(7, "entries", event_class="payment.captured", count=2, reversals=0),
        PackRow(8, "entries", event_class=CAPTURE_FAILED, count=1),
    )  # fmt: skip

    assert [(d.kind, d.row) for d in found[:3]] == [
        ("reversal", 5), ("reversal", 6), ("reversal", 7),
    ]  # fmt: skip
    assert "expected to stand and was reversed on 2026-03-18" in found[0].words
    assert "expected to be reversed and stands" in found[1].words
    assert found[2].words == (
        "0 entries of payment.captured in 2026-03 are expected to be reversed, 1 are"
    )


def test_an_entry_on_another_account_than_expected(scene: Scene) -> None:
    first = JournalEntry.objects.filter(book=scene.book).order_by("id")[0]

    found = compared(
        scene, entry(2, first.subject_id, "payment.captured", account="4100", currency="EUR",
                     amount_minor=-1_000),
        trial(3, "1100", 20_000), trial(4, "2000", -18_000), trial(5, "4000", -1_000),
        trial(6, "4100", -1_000),
    )  # fmt: skip

    assert found[0].kind == "classification"
    assert "are expected on 4100 and stand on 4000" in found[0].words
    assert [(d.place[:4], d.is_explained) for d in found[1:]] == [("4000", True), ("4100", True)]


def test_entries_nobody_posted_and_classes_nobody_listed(scene: Scene) -> None:
    found = compared(
        scene, entry(2, "P-none", "payout.paid"),
        PackRow(3, "entries", event_class="payout.returned", count=1),
    )  # fmt: skip

    assert [(d.kind, d.row) for d in found] == [("missing", 2), ("missing", 3), ("unexpected", 0)]
    assert found[2].words == "2 entries of payment.captured are posted in 2026-03, none is listed"


def test_totals_follow_from_the_lines_above_them(scene: Scene) -> None:
    found = compared(
        scene, sheet(2, "Balances at PSPs", 20_500), sheet(3, "Seller payable", 18_000),
        sheet(4, "Result of the current fiscal year", 2_000), sheet(5, "Total assets", 20_500),
        sheet(6, "Total liabilities", 1), sheet(7, "Total liabilities and equity", 20_000),
    )  # fmt: skip

    assert [(d.place, d.explained_by) for d in found] == [
        ("Balances at PSPs", ()), ("Total assets", (1,)), ("Total liabilities", ()),
    ]  # fmt: skip


def test_lines_and_accounts_that_do_not_exist_are_refused_with_their_numbers(scene: Scene) -> None:
    with pytest.raises(PackMisfit) as refusal:
        compared(scene, sheet(2, "Goodwill", 1), trial(3, "7777", 1), sheet(4, "assets", 1),
                 sheet(5, "Total assets", 1))  # fmt: skip

    first, second, third = refusal.value.problems
    assert first.startswith("Line 2: balance_sheet has no line 'Goodwill'; it has Cash at bank,")
    assert second == "Line 5: the line Total assets stands there twice."
    assert third == "Line 3: Test book has no account 7777."


def test_differences_survive_being_kept(scene: Scene) -> None:
    found = compared(scene, trial(2, "1100", 1))

    kept = parity.to_json(found)
    assert parity.of_json(kept) == found
    assert parity.digest(kept) == parity.digest(parity.to_json(found))
    assert date(2026, 3, 31) == AccountingPeriod.objects.get(book=scene.book).ends_on
