"""The matrix as finance reads it: complete, in words, current on paper, and strict with callers."""

from __future__ import annotations

import dataclasses

import pytest

from ledger import docs
from ledger.accounts import BY_CODE, CHART
from ledger.matrix import MATRIX, MatrixError, funding_variant, legs
from ledger.matrix_row import CR, DR, Leg

DUE = (
    "payment.authorized",
    "payment.captured",
    "payment.capture_failed",
    "fee.charged",
    "payout.initiated",
    "payout.paid",
    "payout.canceled",
    "payout.failed",
    "payout.returned",
    "payout.return_received",
    "payout.return_shortfall",
    "payout.delivered_after_all",
    "payout.failed_reclassified",
    "payout.released",
    "entry.reversed",
)
PAIRS = {
    ("payout.initiated", ""): [("2000", "2100")],
    ("payout.paid", ""): [("2100", "1100")],
    ("payout.paid", "bank"): [("2100", "1000")],
    ("payout.paid", "connected_account"): [("2100", "1105")],
    ("payout.canceled", ""): [("2100", "2000")],
    ("payout.failed", ""): [("2100", "2200")],
    ("payout.failed", "debited"): [("2100", "1100"), ("1100", "2200")],
    ("payout.returned", ""): [("1200", "2200")],
    ("payout.returned", "received"): [("2910", "2200")],
    ("payout.return_received", ""): [("1100", "1200")],
    ("payout.return_received", "bank"): [("1000", "1200")],
    ("payout.return_received", "before_approval"): [("1100", "2910")],
    ("payout.return_received", "before_approval_bank"): [("1000", "2910")],
    ("payout.return_shortfall", ""): [("5050", "1200")],
    ("payout.return_shortfall", "seller_bears"): [("2200", "1200")],
    ("payout.delivered_after_all", ""): [("2200", "1200")],
    ("payout.delivered_after_all", "reissued"): [("1250", "1200")],
    ("payout.failed_reclassified", ""): [("1200", "2100")],
    ("payout.released", ""): [("2200", "2000")],
}


def test_every_row_fills_every_column() -> None:
    """LJ-4, LJ-5, LJ-6: no column is left blank, every variant says when it is used."""
    assert tuple(MATRIX) == DUE
    for row in MATRIX.values():
        for column in dataclasses.fields(row):
            value = getattr(row, column.name)
            if isinstance(value, str) and column.name != "cash_flow_tag":
                assert value.strip(), f"{row.event_class} leaves {column.name} blank"
        assert row.references
        assert set(row.variants) == set(row.variant_words)
        assert "" in row.variants


def test_every_account_and_every_class_named_exists() -> None:
    """LJ-19: a partial mapping fails here."""
    assert len(BY_CODE) == len(CHART)
    for row in MATRIX.values():
        assert row.accounts <= set(BY_CODE)
        named = {name for before in row.follows for name in before.any_of} | set(row.excludes)
        assert named <= set(MATRIX)


@pytest.mark.parametrize(("chosen", "pairs"), PAIRS.items())
def test_payout_pairs(chosen: tuple[str, str], pairs: list[tuple[str, str]]) -> None:
    sides = [(pair.side, pair.account) for pair in MATRIX[chosen[0]].variants[chosen[1]]]

    assert sides == [side for debit, credit in pairs for side in ((DR, debit), (CR, credit))]


def test_a_failed_capture_mirrors_the_capture() -> None:
    def sides(name: str) -> list[tuple[str, str, str]]:
        return sorted((p.account, p.side, p.measure) for p in MATRIX[name].variants[""])

    swap = {DR: CR, CR: DR}
    mirrored = sorted((code, swap[side], name) for code, side, name in sides("payment.captured"))
    assert sides("payment.capture_failed") == mirrored


def test_legs_are_signed_and_named_and_nil_measures_give_none() -> None:
    lines = legs(
        "payment.captured",
        amounts={"gross": 10_000, "seller_share": 9_000, "platform_fee": 1_000, "fee_tax": 0},
        currency="EUR",
        parties={"seller": "be_1", "provider_account": "stripe/demo"},
    )

    assert lines == (
        Leg("1100", 10_000, "EUR", "stripe/demo"),
        Leg("2000", -9_000, "EUR", "be_1"),
        Leg("4000", -1_000, "EUR"),
    )


@pytest.mark.parametrize(
    ("event_class", "variant", "amounts", "parties", "words"),
    [
        ("payout.magic", "", {}, {}, "no row"),
        ("payout.paid", "psp", {"amount": 1}, {}, "no variant 'psp'"),
        ("payout.paid", "", {"amuont": 1}, {}, "no measure \\['amuont'\\]"),
        ("payout.paid", "", {"amount": -1}, {}, "never negative"),
        ("payout.paid", "", {"amount": 1}, {"seller": "be_1"}, "1100 per provider_account"),
    ],
)
def test_a_caller_s_slip_is_named(
    event_class: str, variant: str, amounts: dict[str, int], parties: dict[str, str], words: str
) -> None:
    with pytest.raises(MatrixError, match=words):
        legs(event_class, variant=variant, amounts=amounts, currency="EUR", parties=parties)


def test_funding_names_the_variant() -> None:
    assert funding_variant("psp_balance") == ""
    assert funding_variant("bank") == "bank"
    assert funding_variant("psp_balance", before_approval=True) == "before_approval"
    assert funding_variant("bank", before_approval=True) == "before_approval_bank"
    with pytest.raises(MatrixError, match="no funding"):
        funding_variant("cash")


def test_the_printed_matrix_is_current() -> None:
    assert docs.PATH.read_text(encoding="utf-8") == docs.render()
