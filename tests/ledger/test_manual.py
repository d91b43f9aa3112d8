"""What a person may post by hand: the tables, each rule with its line (D5, LJ-2, LJ-18, LJ-19)."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from ledger import manual
from ledger.accounts import CHART
from ledger.manual import HandMade, Line
from ledger.matrix import MATRIX
from payops.core.money import MINOR_MAX

DAY = date(2026, 3, 31)


def adjustment(*lines: Line, **changes: object) -> HandMade:
    journal = HandMade("adjustment.manual", lines, DAY)
    return replace(journal, **changes)  # type: ignore[arg-type]


def dr(account: str, minor: int, party: str = "", currency: str = "EUR") -> Line:
    return Line(account, minor, currency, party)


def cr(account: str, minor: int, party: str = "", currency: str = "EUR") -> Line:
    return Line(account, -minor, currency, party)


ACCRUAL = (dr("5000", 12_000), cr("2450", 12_000))


def test_every_account_kept_per_party_is_a_control_account() -> None:
    """LJ-19: a new account with a sub-ledger cannot be posted to by hand unexplained."""
    kept = {row.code for row in CHART if row.party_kind}

    assert kept - manual.CONTROL_ACCOUNTS.keys() - manual.NEVER_BY_HAND.keys() == set()
    known = {row.code for row in CHART}
    assert manual.CONTROL_ACCOUNTS.keys() | manual.NEVER_BY_HAND.keys() <= known
    assert not manual.CONTROL_ACCOUNTS.keys() & manual.NEVER_BY_HAND.keys()


def test_every_class_a_person_may_choose_is_a_row_with_free_lines() -> None:
    assert {row.event_class for row in manual.CLASSES} == {
        row.event_class for row in MATRIX.values() if row.free_lines
    }


def test_which_classes_a_person_may_take_back() -> None:
    """LJ-8: the stated table, whole; a new class has to be decided about here."""
    by_hand = {name for name in MATRIX if not manual.why_not_reversed(name)}

    assert by_hand == {
        "adjustment.manual",
        "write_off",
        "funds.unclaimed",
        "bank.interest",
        "bank.own_transfer",
        "tax.remitted",
        "fee.charged",
        "fee.refunded",
        "fee.recharged",
        "fee.accrued",
        "fx.converted",
        "psp.reserve_held",
        "psp.reserve_released",
        "psp.topup",
        "psp.transfer",
        "receipt.unidentified",
        "receipt.identified",
        "receipt.sent_back",
        "debit.unidentified",
        "debit.identified",
        "reserve.held",
        "reserve.released",
        "reserve.applied",
        "seller.debt_reclassed",
        "seller.debt_collected",
    }


def test_a_plain_adjustment_is_fine() -> None:
    assert manual.refusals(adjustment(*ACCRUAL)) == []
    assert manual.differences(ACCRUAL) == {"EUR": 0}


@pytest.mark.parametrize(
    ("journal", "words"),
    [
        (adjustment(dr("5000", 1)), "1 lines; a manual journal has 2 to 40"),
        (adjustment(*ACCRUAL * 21), "42 lines; a manual journal has 2 to 40"),
        (
            adjustment(dr("5000", 12_000), cr("2450", 10_000)),
            "out of balance: debits exceed credits by 20.00 EUR",
        ),
        (
            adjustment(dr("5000", 100), cr("2450", 100, currency="USD")),
            "out of balance: debits exceed credits by 1.00 EUR",
        ),
        (adjustment(dr("5000", 0), cr("2450", 0)), "line 1: 0 is not an amount between 1"),
        (
            adjustment(dr("5000", MINOR_MAX + 1), cr("2450", MINOR_MAX + 1)),
            f"line 1: {MINOR_MAX + 1} is not an amount between 1 and {MINOR_MAX} minor units",
        ),
        (
            adjustment(*[dr("5000", MINOR_MAX), cr("2450", MINOR_MAX)] * 2),
            f"the debits together exceed {MINOR_MAX} minor units; split the journal",
        ),
        (adjustment(dr("7777", 1), cr("2450", 1)), "line 1: the chart has no account '7777'"),
        (
            adjustment(dr("5000", 1, currency="eur"), cr("2450", 1)),
            "line 1: 'eur' is not an ISO 4217 currency code such as EUR",
        ),
        (
            adjustment(dr("9100", 1), cr("9200", 1)),
            "line 1: 9100 Authorised payments (memo) is not posted by hand",
        ),
        (
            adjustment(dr("3000", 1), cr("2450", 1)),
            "line 1: 3000 Retained earnings is not posted by hand",
        ),
        (
            adjustment(dr("2000", 1), cr("4000", 1), batch="b"),
            "line 1: 2000 Seller payable is kept per seller; name it",
        ),
        (
            adjustment(dr("2000", 1, "S-1001"), cr("4000", 1)),
            "line 1: 2000 Seller payable agrees with the sum of the sellers; name the batch",
        ),
        (
            adjustment(dr("1910", 1), cr("4000", 1), batch="b"),
            "line 1: 1910 Unidentified payments agrees with the unexplained lines of the bank's"
            " statement; name the counterparty",
        ),
        (
            adjustment(dr("5000", 1, "S-1001"), cr("2450", 1)),
            "line 1: 5000 PSP fees has no sub-ledger; leave out 'S-1001'",
        ),
        (
            adjustment(dr("5250", 1), cr("1000", 1, "main"), batch="b"),
            "a cash account is used: choose why the cash moved (its cash-flow tag)",
        ),
        (
            adjustment(*ACCRUAL, cash_flow_tag="interest"),
            "no cash account is used: leave out the tag 'interest'",
        ),
        (
            adjustment(*ACCRUAL, auto_reverse_on=DAY),
            "it is taken back on 2026-03-31, which is not after 2026-03-31",
        ),
        (
            adjustment(*ACCRUAL, auto_reverse_on=DAY + timedelta(days=367)),
            "it is taken back on 2027-04-02, more than 366 days after 2026-03-31",
        ),
        (
            HandMade("payout.paid", ACCRUAL, DAY),
            "'payout.paid' is not posted by hand; one of",
        ),
    ],
)
def test_a_refusal_names_the_line_and_the_rule(journal: HandMade, words: str) -> None:
    found = manual.refusals(journal)
    assert any(each.startswith(words) for each in found), found


def test_every_broken_line_is_told_at_once() -> None:
    found = manual.refusals(adjustment(dr("7777", 1), cr("9200", 1), dr("5000", 0)))
    assert [words.partition(":")[0] for words in found] == ["line 1", "line 2", "line 3"]


@pytest.mark.parametrize(
    ("debit", "credit", "fits"),
    [
        (dr("5200", 500), cr("1250", 500, "S-1001"), True),
        (dr("5200", 500), cr("1150", 500, "stripe/demo"), True),
        (dr("2900", 500, "sender"), cr("4960", 500), True),
        (dr("2450", 500), cr("4960", 500), True),
        (dr("1250", 500, "S-1001"), cr("5200", 500), False),
        (dr("5000", 500), cr("1250", 500, "S-1001"), False),
        (dr("2450", 500), cr("5200", 500), False),
        (dr("5200", 500), cr("1000", 500, "main"), False),
        (dr("5200", 500), cr("1010", 500, "main"), False),
        (dr("2000", 500, "S-1001"), cr("4960", 500), False),
        (dr("2100", 500, "S-1001"), cr("4960", 500), False),
        (dr("2310", 500, "S-1001"), cr("4960", 500), False),
        (dr("2500", 500), cr("4960", 500), False),
        (dr("2510", 500), cr("4960", 500), False),
        (dr("5200", 500), cr("4000", 500), False),
    ],
)
def test_a_write_off_goes_one_way(debit: Line, credit: Line, fits: bool) -> None:
    """Asset: Dr 5200 / Cr item; liability: Dr item / Cr 4960; never 1000, 2000-2310, 25xx."""
    journal = HandMade("write_off", (debit, credit), DAY, batch="cs_1")
    assert (manual.refusals(journal) == []) is fits, manual.refusals(journal)


def test_an_asset_and_a_liability_are_not_netted_in_one_write_off() -> None:
    lines = (dr("5200", 5), cr("1150", 5, "stripe/demo"), dr("2450", 5), cr("4960", 5))
    found = manual.refusals(HandMade("write_off", lines, DAY, batch="b"))
    assert [words.startswith("a journal of write-off does not ") for words in found] == [True]


@pytest.mark.parametrize(
    ("debit", "credit", "fits"),
    [
        (dr("2200", 500, "S-1001"), cr("2250", 500), True),
        (dr("2150", 500, "customer"), cr("2250", 500), True),
        (dr("2000", 500, "S-1001"), cr("2250", 500), False),
        (dr("2200", 500, "S-1001"), cr("4960", 500), False),
    ],
)
def test_unclaimed_funds_keep_their_pairs(debit: Line, credit: Line, fits: bool) -> None:
    """Dr 2200 or 2150 / Cr 2250."""
    journal = HandMade("funds.unclaimed", (debit, credit), DAY, batch="cs_1")
    assert (manual.refusals(journal) == []) is fits, manual.refusals(journal)


def test_only_an_adjustment_takes_itself_back() -> None:
    lines = (dr("2450", 5), cr("4960", 5))
    journal = HandMade("write_off", lines, DAY, auto_reverse_on=DAY + timedelta(days=1))
    assert manual.refusals(journal) == [
        "a journal of write-off has no day on which it is taken back by itself"
    ]


def test_the_counterparty_goes_onto_accounts_with_a_sub_ledger_and_the_tag_onto_cash() -> None:
    lines = (dr("1000", 5, "main"), cr("1910", 5, "sender"))
    legs = manual.legs_of(lines, cash_flow_tag="unidentified")
    assert [(leg.account, leg.party, leg.cash_flow_tag) for leg in legs] == [
        ("1000", "main", "unidentified"),
        ("1910", "", ""),
    ]
