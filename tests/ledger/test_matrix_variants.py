"""Facts choose the variant: batches, deposits, returned refunds, disputes (LJ-5, LJ-12)."""

from __future__ import annotations

import pytest

from ledger import variants
from ledger.matrix import MATRIX, MatrixError
from ledger.variants import Net


def test_a_batch_is_posted_by_its_sign_and_a_nil_one_not_at_all() -> None:
    assert variants.batch_net(70_530) == Net("", 70_530)
    assert variants.batch_net(-4_000) == Net("negative", 4_000)
    assert variants.batch_net(0) is None


@pytest.mark.parametrize(
    ("received", "fee", "variant", "rest"),
    [
        (79_700, 0, "", {}),
        (79_650, 50, "", {"bank_fee": 50}),
        (79_650, 0, "short", {"difference": 50}),
        (79_600, 0, "short", {"difference": 100}),
        (79_701, 0, "over", {"difference": 1}),
    ],
)
def test_a_deposit_for_797(received: int, fee: int, variant: str, rest: dict[str, int]) -> None:
    """Check (j): in full, less a stated fee, or off by pennies within the book's cap of 1.00."""
    chosen = variants.settlement_received(
        net_minor=79_700, received_minor=received, stated_fee_minor=fee, penny_cap_minor=100
    )

    assert chosen == (variant, {"received": received, **rest, "net": 79_700})
    assert set(chosen[1]) <= {p.measure for p in MATRIX["settlement.received"].variants[variant]}


@pytest.mark.parametrize(("received", "fee"), [(79_599, 0), (79_801, 0), (79_640, 50)])
def test_a_deposit_beyond_the_cap_is_an_exception(received: int, fee: int) -> None:
    with pytest.raises(MatrixError, match=f"received {received} and a fee of {fee}"):
        variants.settlement_received(
            net_minor=79_700, received_minor=received, stated_fee_minor=fee, penny_cap_minor=100
        )


def test_every_choice_names_a_variant_of_its_row() -> None:
    both = (True, False)
    returned = {
        variants.refund_returned(failure_posted=late, at_bank=bank)
        for late in both
        for bank in both
    }
    withdrawn = {
        variants.dispute_withdrawn(platform_bears=ours, hold_posted=held)
        for ours in both
        for held in both
    }

    assert returned == set(MATRIX["refund.returned"].variants)
    assert withdrawn == set(MATRIX["dispute.funds_withdrawn"].variants)
    assert {variants.dispute_returned(platform_bears=ours) for ours in both} == set(
        MATRIX["dispute.funds_returned"].variants
    )
    assert variants.refund_returned(failure_posted=False) == "untold"
    assert variants.dispute_withdrawn(platform_bears=False, hold_posted=True) == "held"
