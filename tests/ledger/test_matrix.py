"""The matrix as finance reads it: complete, in words, current on paper, and strict with callers."""

from __future__ import annotations

import dataclasses
import hashlib

import pytest

from ledger import docs
from ledger.accounts import BY_CODE, CHART, UNPOSTED
from ledger.cash_flow import BY_KEY, CASH_ACCOUNTS
from ledger.facts import REF_NAMES
from ledger.matrix import (
    MATRIX,
    MATRIX_VERSION,
    NOUNS,
    VERSIONS,
    MatrixError,
    funding_variant,
    legs,
)
from ledger.matrix_row import CR, DR, Leg
from tests.ledger.matrix_stories import net_of

DUE = {
    "Payments": "payment: authorized authorization_used voided expired captured capture_failed",
    "Fees": "fee: charged refunded recharged accrued",
    "Refunds": "refund: accepted succeeded failed_early failed_late failed_reclassified returned"
    " retried obligation_lapsed",
    "Disputes": "dispute: opened funds_withdrawn funds_returned lost",
    "Settlements": "settlement: closed received recalled failed",
    "Balances at PSPs": "psp: reserve_held reserve_released topup transfer",
    "Payouts to sellers": "payout: initiated paid canceled failed returned return_received"
    " return_shortfall delivered_after_all failed_reclassified released",
    "Reserves on sellers": "reserve: held released applied",
    "Debts of sellers": "seller: debt_reclassed debt_collected",
    "Unidentified bank lines": "receipt: unidentified identified sent_back, debit: unidentified"
    " identified",
    "Bank and tax": "bank: interest own_transfer, tax: remitted",
    "Other currencies": "fx: converted revalued",
    "Decisions of finance": "funds: unclaimed, write_off, adjustment: manual",
    "Corrections": "entry: reversed",
}
OF_VERSION_1 = 15
BACK = "connected_account"
# What version 1 posted, and the hash of its sides, accounts and measures.
VERSION_1_POSTED = {
    "payment.captured": ("",),
    "payment.capture_failed": ("",),
    "fee.charged": ("", "payout_fee"),
    "payout.initiated": ("",),
    "payout.paid": ("", "bank", BACK),
    "payout.canceled": ("",),
    "payout.failed": ("", "debited"),
    "payout.returned": ("", "received"),
    "payout.return_received": (
        *("", "bank", BACK),
        *("before_approval", "before_approval_bank", f"before_approval_{BACK}"),
    ),
    "payout.return_shortfall": ("", "seller_bears"),
    "payout.delivered_after_all": ("", "reissued"),
    "payout.failed_reclassified": ("",),
    "payout.released": ("",),
}
VERSION_1_PAIRS = "3f83f965c4f4078d87a934b9ead516455253474fd5a3dcaa0358bc9974c223fe"
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
    ("payment.authorized", "pending"): [("9100", "9200")],
    ("payment.expired", "pending"): [("9200", "9100")],
    ("fee.accrued", ""): [("5000", "2450")],
    ("refund.succeeded", ""): [("2110", "1100")],
    ("refund.failed_early", ""): [("2110", "2150")],
    ("refund.failed_late", ""): [("1210", "2150")],
    ("refund.failed_reclassified", ""): [("1210", "1100")],
    ("refund.returned", ""): [("1100", "1210")],
    ("refund.returned", "untold"): [("1210", "2150"), ("1100", "1210")],
    ("refund.retried", ""): [("2150", "2110")],
    ("dispute.funds_withdrawn", ""): [("1300", "1100"), ("2000", "2310"), ("5100", "1390")],
    ("dispute.funds_withdrawn", "platform"): [("1300", "1100"), ("5100", "1390")],
    ("dispute.funds_returned", ""): [("1100", "1300"), ("2310", "2000"), ("1390", "5100")],
    ("dispute.funds_returned", "platform"): [("1100", "1300"), ("1390", "5100")],
    ("settlement.closed", ""): [("1150", "1100")],
    ("settlement.closed", "negative"): [("1100", "1150")],
    ("settlement.recalled", ""): [("1150", "1000")],
    ("settlement.failed", ""): [("1100", "1150")],
    ("psp.reserve_held", ""): [("1120", "1100")],
    ("psp.reserve_released", ""): [("1100", "1120")],
    ("psp.topup", ""): [("1150", "1000")],
    ("psp.topup", "arrived"): [("1100", "1150")],
    ("psp.transfer", "connected_account"): [("1105", "1100")],
    ("reserve.held", ""): [("2000", "2300")],
    ("reserve.released", ""): [("2300", "2000")],
    ("reserve.applied", ""): [("2300", "2000")],
    ("seller.debt_reclassed", ""): [("1250", "2000")],
    ("seller.debt_reclassed", "allowance"): [("5300", "1259")],
    ("seller.debt_collected", ""): [("1000", "2000")],
    ("receipt.unidentified", ""): [("1000", "2900")],
    ("receipt.sent_back", ""): [("2900", "1000")],
    ("debit.unidentified", ""): [("1910", "1000")],
    ("bank.interest", ""): [("1000", "4950")],
    ("bank.own_transfer", ""): [("1050", "1000")],
    ("bank.own_transfer", "arrived"): [("1000", "1050")],
    ("funds.unclaimed", ""): [("2200", "2250")],
    ("funds.unclaimed", "refund"): [("2150", "2250")],
    ("write_off", ""): [("5200", "1150")],
    ("write_off", "unidentified_receipt"): [("2900", "4960")],
}


def _due() -> list[str]:
    found = []
    for text in DUE.values():
        for part in text.split(", "):
            noun, _, verbs = part.partition(": ")
            found += [f"{noun}.{verb}" for verb in verbs.split()] or [noun]
    return found


def test_the_matrix_is_whole_and_grouped_by_noun() -> None:
    """LJ-3, LJ-19: every event class finance asked for, each in one group."""
    assert list(MATRIX) == _due()
    assert [noun for noun, _ in NOUNS] == list(DUE)
    assert len(MATRIX) == sum(len(rows) for _, rows in NOUNS) == 59


def test_every_row_fills_every_column() -> None:
    """LJ-4, LJ-5, LJ-6: no column is left blank, every variant says when it is used."""
    for row in MATRIX.values():
        for column in dataclasses.fields(row):
            value = getattr(row, column.name)
            if isinstance(value, str) and column.name != "cash_flow_tag":
                assert value.strip(), f"{row.event_class} leaves {column.name} blank"
        assert row.references
        assert set(row.variants) == set(row.variant_words)
        assert all(words.strip() for words in row.variant_words.values())
        assert "" in row.variants


def test_every_account_and_every_class_named_exists() -> None:
    """LJ-19: a partial mapping fails here."""
    assert len(BY_CODE) == len(CHART)
    for row in MATRIX.values():
        assert row.accounts <= set(BY_CODE)
        named = {name for before in row.follows for name in before.any_of} | set(row.excludes)
        assert named <= set(MATRIX)
        for before in row.follows:
            assert before.of == "" or before.of in REF_NAMES


def test_every_account_is_posted_to_by_some_row_or_says_why_not() -> None:
    """LJ-19: free lines do not count as a use."""
    for row in CHART:
        assert bool(docs.users(row.code)) != (row.code in UNPOSTED), row.code
    assert set(UNPOSTED) == {"2600", "3000", "3900"}


def test_every_row_that_touches_cash_has_its_place_in_the_cash_flow_statement() -> None:
    """LJ-6: and no other row claims one."""
    for row in MATRIX.values():
        touches = bool(row.accounts & CASH_ACCOUNTS)
        assert touches == bool(row.cash_flow_tag), row.event_class
        assert not touches or row.cash_flow_tag in BY_KEY


def test_every_variant_balances_by_construction() -> None:
    """LJ-2: what is debited can equal what is credited, whatever the measures are."""
    for row in MATRIX.values():
        for variant, pairs in row.variants.items():
            net = net_of(pairs).values()
            signs = {times > 0 for times in net if times}
            assert signs in (set(), {True, False}), (row.event_class, variant)
            assert all(-1 <= times <= 1 for times in net)


def test_no_row_excludes_what_it_needs() -> None:
    """LJ-18: such a row could never be posted."""
    for row in MATRIX.values():
        for before in row.follows:
            if not before.of:
                assert not set(before.any_of) <= set(row.excludes), row.event_class


def test_a_write_off_never_touches_cash_seller_money_or_tax() -> None:
    protected = {code for code in BY_CODE if "2000" <= code <= "2310" or code[:2] == "25"}

    assert not MATRIX["write_off"].accounts & (protected | CASH_ACCOUNTS)


def test_each_version_says_what_it_changed() -> None:
    """The version is on each entry; an old one reads as it stands."""
    assert max(VERSIONS) == MATRIX_VERSION == 3
    assert VERSIONS[1].startswith(f"{OF_VERSION_1} event classes")
    assert VERSIONS[2].startswith("58 event classes. No pair that version 1 had changed")
    assert VERSIONS[3].startswith(f"{len(MATRIX)} event classes. Refunds: ")


def test_no_pair_of_version_1_has_changed() -> None:
    """The accounts, sides and measures of version 1, kept here as they were."""
    found = hashlib.sha256()
    for name, variant in ((name, each) for name, of in VERSION_1_POSTED.items() for each in of):
        pairs = [(p.side, p.account, p.measure) for p in MATRIX[name].variants[variant]]
        found.update(repr((name, variant, pairs)).encode())

    assert found.hexdigest() == VERSION_1_PAIRS


@pytest.mark.parametrize(("chosen", "pairs"), PAIRS.items())
def test_pairs(chosen: tuple[str, str], pairs: list[tuple[str, str]]) -> None:
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
        (
            "psp.transfer",
            "",
            {"amount": 1},
            {"provider_account": "stripe/demo"},
            "1100 per to_provider_account",
        ),
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
