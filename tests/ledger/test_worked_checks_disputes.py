"""Worked check (c): a chargeback of 100 with a fee of 15, won, lost by seller, lost by platform."""

from __future__ import annotations

import pytest
from django.db import transaction

from ledger.errors import ImpossibleState, PredecessorMissing
from ledger.matrix import legs
from ledger.models import JournalEntry
from ledger.posting import Outcome, Posting, Refs, reverse
from ledger.reversing import reversal_of
from tests.ledger.scene import LEDGER, NOW, Scene, capture, make_book, public_id, refused

pytestmark = pytest.mark.django_db
START = {"1100": 9_700, "2000": -9_000, "4000": -1_000, "5000": 300}


class Dispute:
    """One round of a dispute; a second round has a subject of its own and the same dispute."""

    def __init__(self, scene: Scene, payment: str, *, round_no: int = 1) -> None:
        self.scene = scene
        self.subject = scene.dispute if round_no == 1 else f"{scene.dispute}/{round_no}"
        self.refs = Refs(payment_id=payment, dispute_id=scene.dispute)

    def posting(self, event: str, *, variant: str = "", **amounts: int) -> Posting:
        name = f"dispute.{event}"
        return self.scene.posting(
            name, self.subject, variant=variant, refs=self.refs, **{"amount": 10_000, **amounts}
        )

    def post(self, event: str, *, variant: str = "", **amounts: int) -> dict[str, int]:
        self.outcome: Outcome = self.scene.post(self.posting(event, variant=variant, **amounts))[0]
        return self.scene.balances()

    def fee(self) -> dict[str, int]:
        charged = self.scene.posting(
            "fee.charged", self.subject, variant="dispute_fee", fee=1_500, total=1_500
        )
        self.scene.post(charged)
        return self.scene.balances()

    def reverse_latest(self) -> dict[str, int]:
        with transaction.atomic():
            entry = JournalEntry.get(self.outcome.entry_public_id)
            reverse(entry, reason="appeal won", actor=LEDGER, now=NOW)
        return self.scene.balances()


@pytest.fixture
def dispute() -> Dispute:
    scene, payment = Scene(make_book()), public_id("pa")
    scene.post(
        capture(scene, payment),
        scene.posting("fee.charged", payment, movement_ref="fee_1", fee=300, total=300),
    )
    assert scene.balances() == START
    return Dispute(scene, payment)


def test_c_won_gives_everything_back_but_the_fee(dispute: Dispute) -> None:
    """The seller is held for 100 and released; the dispute fee of 15 stays."""
    taken = dispute.post("funds_withdrawn", hold=10_000)
    assert taken == {
        "1100": -300,
        "1300": 10_000,
        "2000": 1_000,
        "2310": -10_000,
        "4000": -1_000,
        "5000": 300,
    }
    assert dispute.fee() == {**taken, "1100": -1_800, "5150": 1_500}
    assert dispute.post("funds_returned", hold=10_000) == {
        "1100": 8_200,
        "2000": -9_000,
        "4000": -1_000,
        "5000": 300,
        "5150": 1_500,
    }


def test_c_lost_by_the_seller_with_the_fee_given_back(dispute: Dispute) -> None:
    """The hold is 90, our 10 goes back: result -18 = 15 and 3, nothing owed either way."""
    dispute.post("funds_withdrawn", hold=9_000)
    dispute.fee()

    after = dispute.post("lost", hold=9_000, platform_fee=1_000)

    assert after == {"1100": -1_800, "5000": 300, "5150": 1_500}


def test_c_lost_by_the_seller_who_bears_our_fee_too(dispute: Dispute) -> None:
    """Fee kept by policy: the seller owes 10; result 10 - 3 - 15 = -8."""
    dispute.post("funds_withdrawn", hold=10_000)
    dispute.fee()

    after = dispute.post("lost", hold=10_000)

    assert after == {"1100": -1_800, "2000": 1_000, "4000": -1_000, "5000": 300, "5150": 1_500}


def test_c_lost_by_the_platform_costs_108_in_all(dispute: Dispute) -> None:
    """10 - 3 - 100 - 15 = -108; the seller keeps 90. The allowance was 80, the rest is 20."""
    taken = dispute.post("funds_withdrawn", variant="platform", allowance=8_000)
    assert taken["1390"] == -8_000
    assert taken["5100"] == 8_000
    dispute.fee()

    after = dispute.post("lost", variant="platform", allowance=8_000, rest=2_000)

    assert after == {
        "1100": -1_800,
        "2000": -9_000,
        "4000": -1_000,
        "5000": 300,
        "5100": 10_000,
        "5150": 1_500,
    }
    result = -sum(minor for code, minor in after.items() if code[0] in "45")
    assert result == -10_800


def test_what_a_refund_gave_back_before_is_our_allowance_beside_the_hold(dispute: Dispute) -> None:
    """Of 100 disputed the seller has 63 left and our fee 7; the 30 paid twice are ours to lose."""
    taken = dispute.post("funds_withdrawn", hold=6_300, allowance=3_000)
    assert taken == {
        **START,
        "1100": -300,
        "1300": 10_000,
        "2000": -2_700,
        "2310": -6_300,
        "1390": -3_000,
        "5100": 3_000,
    }

    after = dispute.post("lost", hold=6_300, platform_fee=700, allowance=3_000)

    assert after == {"1100": -300, "2000": -2_700, "4000": -300, "5000": 300, "5100": 3_000}


def test_won_after_a_refund_the_allowance_is_taken_back_with_the_hold(dispute: Dispute) -> None:
    dispute.post("funds_withdrawn", hold=6_300, allowance=3_000)

    assert dispute.post("funds_returned", hold=6_300, allowance=3_000) == START


def test_a_reversal_and_the_return_it_makes_room_for_are_one_batch(dispute: Dispute) -> None:
    """LJ-18: within one batch the loss taken back no longer stands against the return."""
    dispute.post("funds_withdrawn", hold=9_000)
    dispute.post("lost", hold=9_000, platform_fee=1_000)
    entry = JournalEntry.get(dispute.outcome.entry_public_id)
    back = reversal_of(entry, reason="appeal won", occurred_at=NOW)

    dispute.scene.post(back, dispute.posting("funds_returned", hold=9_000))

    assert dispute.scene.balances() == START


def test_an_appeal_reverses_the_loss_before_the_money_returns(dispute: Dispute) -> None:
    """LJ-12: while the loss stands, money cannot be returned; reversed, it ends like a won one."""
    withdrawn = dispute.post("funds_withdrawn", hold=9_000)
    dispute.post("lost", hold=9_000, platform_fee=1_000)
    refused(ImpossibleState, lambda: dispute.post("funds_returned", hold=9_000))

    assert dispute.reverse_latest() == withdrawn
    assert dispute.post("funds_returned", hold=9_000) == START


def test_a_second_round_after_a_won_one_has_a_subject_of_its_own(dispute: Dispute) -> None:
    dispute.post("funds_withdrawn", hold=9_000)
    dispute.post("funds_returned", hold=9_000)
    refused(ImpossibleState, lambda: dispute.post("lost", hold=9_000, platform_fee=1_000))

    second = Dispute(dispute.scene, dispute.refs.payment_id, round_no=2)
    refused(PredecessorMissing, lambda: second.post("lost", hold=9_000, platform_fee=1_000))
    second.post("funds_withdrawn", hold=9_000)
    after = second.post("lost", hold=9_000, platform_fee=1_000)

    assert after == {"1100": -300, "5000": 300}


def test_a_hold_from_the_opening_is_not_placed_twice(dispute: Dispute) -> None:
    opened = dispute.scene.posting(
        "dispute.opened", dispute.subject, variant="seller_hold", refs=dispute.refs, hold=9_000
    )
    dispute.scene.post(opened)
    held = dispute.scene.balances()
    assert held == {"1100": 9_700, "2310": -9_000, "4000": -1_000, "5000": 300}

    after = dispute.post("funds_withdrawn", variant="held")

    assert after == {"1100": -300, "1300": 10_000, "2310": -9_000, "4000": -1_000, "5000": 300}


def test_a_dispute_that_only_opened_is_a_memo() -> None:
    assert legs("dispute.opened", amounts={}, currency="EUR", parties={}) == ()


def test_a_dispute_needs_the_capture_of_its_payment() -> None:
    """LJ-18: withdrawn for a payment that was never captured is refused."""
    stray = Dispute(Scene(make_book()), public_id("pa"))

    refused(PredecessorMissing, lambda: stray.post("funds_withdrawn", hold=9_000))

    assert stray.scene.entries() == 0
