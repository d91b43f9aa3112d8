"""Partial refunds: fee and tax shares, cumulative, to the last penny (LJ-3; worked check b)."""

from __future__ import annotations

from dataclasses import astuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.refund_shares import NOTHING, RefundExceedsCapture, Shares, refund_shares

CAPTURED = Shares(seller_share=9_000, platform_fee=1_000)


def test_thirty_of_a_hundred_give_back_three_of_the_fee() -> None:
    assert refund_shares(CAPTURED, refund_minor=3_000) == Shares(2_700, 300)


def test_three_thirds_leak_no_penny() -> None:
    """33.33 + 33.33 + 33.34: the fee comes back as 3.33 + 3.33 + 3.34."""
    before, fees = NOTHING, []
    for refund_minor in (3_333, 3_333, 3_334):
        share = refund_shares(CAPTURED, refunded_before=before, refund_minor=refund_minor)
        before += share
        fees.append(share.platform_fee)

    assert fees == [333, 333, 334]
    assert before == CAPTURED


def test_tax_is_given_back_in_proportion() -> None:
    captured = Shares(seller_share=8_000, platform_fee=1_000, fee_tax=200, tax_collected=1_600)

    half = refund_shares(captured, refund_minor=5_400)

    assert half == Shares(4_000, 500, 100, 800)
    assert half.amounts() == {
        "seller_share": 4_000,
        "platform_fee": 500,
        "fee_tax": 100,
        "tax_collected": 800,
        "amount": 5_400,
    }


def test_a_kept_fee_is_borne_by_the_seller_but_tax_for_others_comes_back() -> None:
    captured = Shares(seller_share=8_000, platform_fee=1_000, fee_tax=200, tax_collected=1_600)

    share = refund_shares(captured, refund_minor=10_800, fee_is_returned=False)

    assert share == Shares(9_200, 0, 0, 1_600)


def test_a_policy_changed_between_two_refunds_still_ends_at_the_capture() -> None:
    kept = refund_shares(CAPTURED, refund_minor=9_500, fee_is_returned=False)
    rest = refund_shares(CAPTURED, refunded_before=kept, refund_minor=500)

    assert kept == Shares(9_500, 0)
    assert rest == Shares(0, 500)


@pytest.mark.parametrize("refund_minor", [0, -1, 7_001])
def test_more_than_is_left_is_refused_with_the_numbers(refund_minor: int) -> None:
    before = Shares(2_700, 300)

    with pytest.raises(RefundExceedsCapture, match="3000 of 10000 captured minor units; 7000 are"):
        refund_shares(CAPTURED, refunded_before=before, refund_minor=refund_minor)


PART = st.integers(min_value=0, max_value=10**14)


@given(
    captured=st.builds(Shares, PART, PART, PART, PART).filter(lambda shares: shares.total > 0),
    cuts=st.lists(st.integers(min_value=1, max_value=10**15), max_size=8),
    policies=st.lists(st.booleans(), min_size=9, max_size=9),
)
@settings(max_examples=300, deadline=None)
def test_any_refunds_share_without_loss_and_never_below_nil(
    captured: Shares, cuts: list[int], policies: list[bool]
) -> None:
    before = NOTHING
    refunds = [*(cut for cut in cuts if cut < captured.total), captured.total]
    for refund_minor, returned in zip(refunds, policies, strict=False):
        refund_minor = min(refund_minor, captured.total - before.total)
        if not refund_minor:
            break
        share = refund_shares(
            captured, refunded_before=before, refund_minor=refund_minor, fee_is_returned=returned
        )
        assert share.total == refund_minor
        assert min(astuple(share)) >= 0
        before += share
        assert before.tax_collected <= captured.tax_collected
    assert before.total == captured.total
    if all(policies):
        assert before == captured
