"""Worked checks (a), (g), (j): batches explained to the cent, and what the bank makes of them."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from ledger import selectors
from ledger.errors import ImpossibleState, PredecessorMissing
from ledger.facts import Posting, Refs
from ledger.models import JournalLine
from tests.ledger.scene import Scene, capture, make_book, public_id, refused

pytestmark = pytest.mark.django_db
MARCH_END = datetime(2026, 3, 31, 10, 0, tzinfo=UTC)
APRIL = datetime(2026, 4, 2, 10, 0, tzinfo=UTC)


@pytest.fixture
def scene() -> Scene:
    return Scene(make_book())


def _on(scene: Scene, day: date) -> dict[str, int]:
    found = selectors.trial_balance(book=scene.book, as_of=day)
    return {row.account: row.balance_minor for row in found if row.balance_minor}


def _received(scene: Scene, batch: str, line: str, variant: str = "", **amounts: int) -> Posting:
    return scene.posting(
        "settlement.received", batch, variant=variant, movement_ref=line, **amounts
    )


def test_a_batch_of_march_that_is_banked_in_april() -> None:
    """Check (a): 97 of ours and 700 of others pay 797; 1150 at month end, cash next month."""
    scene, others = Scene(make_book()), public_id("pa")
    payment, batch = public_id("pa"), public_id("sb")
    scene.post(
        capture(scene, payment),
        scene.posting("fee.charged", payment, movement_ref="fee_1", fee=300, total=300),
    )
    assert scene.balances() == {"1100": 9_700, "2000": -9_000, "4000": -1_000, "5000": 300}
    scene.post(capture(scene, others, gross=70_000, seller_share=70_000, platform_fee=0))

    closed = scene.posting("settlement.closed", batch, occurred_at=MARCH_END, net=79_700)
    scene.post(closed, now=MARCH_END)
    banked = scene.posting(
        "settlement.received", batch, occurred_at=APRIL, received=79_700, net=79_700
    )
    scene.post(banked, now=APRIL)

    rest = {"2000": -79_000, "4000": -1_000, "5000": 300}
    assert _on(scene, date(2026, 3, 31)) == {"1150": 79_700, **rest}
    assert _on(scene, date(2026, 4, 2)) == {"1000": 79_700, **rest}


def test_g_a_batch_is_explained_to_the_cent(scene: Scene) -> None:
    """Check (g): 1,000 - 28.50 line fees - 1.20 batch fee - 50 reserve - 215 carried = 705.30."""
    batch, refunded = public_id("sb"), public_id("pa")
    scene.post(
        capture(scene, refunded, gross=21_500, seller_share=21_500, platform_fee=0),
        scene.posting("settlement.closed", public_id("sb"), net=21_500),
    )
    _refund(scene, refunded, 21_500)
    assert _on(scene, date(2026, 3, 31))["1100"] == -21_500, "carried over, by no entry"

    first, second = public_id("pa"), public_id("pa")
    scene.post(
        capture(scene, first, gross=60_000, seller_share=54_000, platform_fee=6_000),
        scene.posting("fee.charged", first, fee=1_710, total=1_710),
        capture(scene, second, gross=40_000, seller_share=36_000, platform_fee=4_000),
        scene.posting("fee.charged", second, fee=1_140, total=1_140),
        scene.posting("fee.charged", batch, fee=120, total=120),
        scene.posting("psp.reserve_held", batch, amount=5_000),
    )
    assert scene.balances()["1100"] == 70_530
    scene.post(scene.posting("settlement.closed", batch, net=70_530))

    after = scene.balances()
    assert "1100" not in after
    assert (after["1120"], after["5000"]) == (5_000, 2_970)
    assert after["1150"] == 21_500 + 70_530


def _refund(scene: Scene, payment: str, amount_minor: int) -> None:
    refund = public_id("rf")
    shares = {"seller_share": amount_minor, "amount": amount_minor}
    refs = Refs(payment_id=payment, refund_id=refund)
    scene.post(
        scene.posting("refund.accepted", refund, refs=refs, **shares),
        scene.posting("refund.succeeded", refund, refs=refs, amount=amount_minor),
    )


@pytest.mark.parametrize(
    ("variant", "measure", "account", "minor"),
    [("", "bank_fee", "5250", 50), ("short", "difference", "5950", 50)],
)
def test_j_a_deposit_of_796_50_for_797(
    scene: Scene, variant: str, measure: str, account: str, minor: int
) -> None:
    """Check (j): the bank states a fee, or a penny difference stands within the book's cap."""
    batch = public_id("sb")
    scene.post(scene.posting("settlement.closed", batch, net=79_700))

    short = {"received": 79_650, measure: minor, "net": 79_700}
    scene.post(_received(scene, batch, "bl_1", variant, **short))

    assert scene.balances() == {"1000": 79_650, "1100": -79_700, account: minor}


def test_j_a_deposit_of_797_50_for_797(scene: Scene) -> None:
    batch = public_id("sb")
    scene.post(scene.posting("settlement.closed", batch, net=79_700))

    more = {"received": 79_750, "difference": 50, "net": 79_700}
    scene.post(_received(scene, batch, "bl_1", "over", **more))

    assert scene.balances() == {"1000": 79_750, "1100": -79_700, "5950": -50}


def test_j_a_bank_line_that_came_twice_is_one_entry(scene: Scene) -> None:
    """Check (j), I4: the line is the movement; another line of the same sum is another deposit."""
    batch = public_id("sb")
    scene.post(scene.posting("settlement.closed", batch, net=79_700))
    line = _received(scene, batch, "bl_1", received=79_700, net=79_700)

    first, again = scene.post(line)[0], scene.post(line)[0]

    assert (first.entry_id, again.replayed) == (again.entry_id, True)
    assert scene.balances() == {"1000": 79_700, "1100": -79_700}
    scene.post(_received(scene, batch, "bl_2", received=79_700, net=79_700))
    assert scene.balances() == {"1000": 159_400, "1100": -79_700, "1150": -79_700}


def test_a_negative_batch_is_paid_to_the_psp(scene: Scene) -> None:
    batch = public_id("sb")
    scene.post(scene.posting("settlement.closed", batch, variant="negative", net=4_000))
    assert scene.balances() == {"1100": 4_000, "1150": -4_000}

    scene.post(_received(scene, batch, "bl_1", "negative", net=4_000))

    assert scene.balances() == {"1000": -4_000, "1100": 4_000}


def test_a_settlement_taken_back_and_then_failed_ends_at_the_psp(scene: Scene) -> None:
    batch = public_id("sb")
    scene.post(
        scene.posting("settlement.closed", batch, net=500),
        _received(scene, batch, "bl_1", received=500, net=500),
        scene.posting("settlement.recalled", batch, movement_ref="bl_2", net=500),
        scene.posting("settlement.failed", batch, net=500),
    )

    assert scene.balances() == {}
    lines = JournalLine.objects.filter(entry__book=scene.book, account__code="1000")
    tags = sorted(lines.values_list("cash_flow_tag", "amount_minor"))
    assert tags == [("settlements", 500), ("settlements_recalled", -500)]
    late = scene.posting("settlement.recalled", batch, movement_ref="bl_3", net=500)
    refused(ImpossibleState, lambda: scene.post(late))


def test_a_batch_closes_once_and_fails_only_when_it_was_closed(scene: Scene) -> None:
    """LJ-18."""
    batch = public_id("sb")
    failed = scene.posting("settlement.failed", batch, net=500)
    refused(PredecessorMissing, lambda: scene.post(failed))
    scene.post(scene.posting("settlement.closed", batch, net=500))

    again = scene.posting("settlement.closed", batch, movement_ref="mv_2", net=500)
    refused(ImpossibleState, lambda: scene.post(again))


def test_a_top_up_and_a_transfer_keep_both_accounts_apart(scene: Scene) -> None:
    """psp.transfer knows two provider accounts: the one it leaves and the one it reaches."""
    scene.post(
        scene.posting("psp.topup", "to_1", amount=900),
        scene.posting("psp.topup", "to_1", variant="arrived", movement_ref="mv_2", amount=900),
        scene.posting("psp.transfer", "tr_1", amount=400),
    )

    found = selectors.trial_balance(book=scene.book)
    assert {(row.account, row.party): row.balance_minor for row in found if row.balance_minor} == {
        ("1000", "main-account"): -900,
        ("1100", "stripe/demo"): 500,
        ("1100", "adyen/demo"): 400,
    }
