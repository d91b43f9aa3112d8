"""Worked check (d): a payout that comes back, on the PSP balance and at the bank."""

from __future__ import annotations

import pytest
from django.db.models import Sum

from ledger.matrix import funding_variant
from ledger.models import JournalLine
from tests.ledger.scene import Scene, capture, make_book, public_id

pytestmark = pytest.mark.django_db


def test_d_a_payout_from_the_psp_balance_comes_back_and_is_reissued() -> None:
    """Check (d): the PSP balance is 7 throughout until the money is back (97), re-issued 7."""
    scene = Scene(make_book())
    payment, payout, again = public_id("pa"), public_id("po"), public_id("po")
    fee = scene.posting("fee.charged", payment, movement_ref="fee_1", fee=300, total=300)
    result = {"4000": -1_000, "5000": 300}

    def after(event_class: str, subject: str, movement: str = "mv_1") -> dict[str, int]:
        scene.post(scene.posting(event_class, subject, movement_ref=movement, amount=9_000))
        return scene.balances()

    scene.post(capture(scene, payment), fee)
    in_transit = {"1100": 9_700, "2100": -9_000, **result}
    assert after("payout.initiated", payout) == in_transit
    assert after("payout.paid", payout) == {"1100": 700, **result}
    case_open = {"1100": 700, "1200": 9_000, "2200": -9_000, **result}
    assert after("payout.returned", payout) == case_open
    back = {"1100": 9_700, "2200": -9_000, **result}
    assert after("payout.return_received", payout, "rt_1") == back
    assert after("payout.released", payout) == {"1100": 9_700, "2000": -9_000, **result}
    assert after("payout.initiated", again) == in_transit
    assert after("payout.paid", again) == {"1100": 700, **result}


def test_money_back_before_the_approval_waits_in_2910() -> None:
    scene = Scene(make_book())
    payout = public_id("po")
    for event_class in ("payout.initiated", "payout.paid"):
        scene.post(scene.posting(event_class, payout, amount=9_000))

    early = funding_variant("psp_balance", before_approval=True)
    scene.post(scene.posting("payout.return_received", payout, variant=early, amount=9_000))
    waiting = scene.balances()
    scene.post(scene.posting("payout.returned", payout, variant="received", amount=9_000))

    assert waiting == {"2000": 9_000, "2910": -9_000}
    assert scene.balances() == {"2000": 9_000, "2200": -9_000}


def test_failed_then_an_older_paid_ends_like_paid_then_returned() -> None:
    """Every order of arrival ends in the same balances (design, invariants)."""
    usual, odd = Scene(make_book()), Scene(make_book())
    payout = public_id("po")

    for name in ("payout.initiated", "payout.paid", "payout.returned"):
        usual.post(usual.posting(name, payout, amount=9_000))
    for name in ("initiated", "failed", "paid", "failed_reclassified"):
        odd.post(odd.posting(f"payout.{name}", payout, amount=9_000))

    assert usual.balances() == odd.balances()
    assert odd.balances() == {"1100": -9_000, "1200": 9_000, "2000": 9_000, "2200": -9_000}


def test_failure_where_the_psp_debits_at_creation_posts_both_movements() -> None:
    scene = Scene(make_book())
    payout = public_id("po")
    scene.post(scene.posting("payout.initiated", payout, amount=9_000))

    scene.post(scene.posting("payout.failed", payout, variant="debited", amount=9_000))

    assert scene.balances() == {"2000": 9_000, "2200": -9_000}
    lines = JournalLine.objects.filter(entry__book=scene.book, account__code="1100")
    assert sorted(lines.values_list("amount_minor", flat=True)) == [-9_000, 9_000]


def _cash(scene: Scene) -> dict[str, int]:
    """What moved on the bank account, by reason."""
    lines = JournalLine.objects.filter(book=scene.book, account__code="1000")
    return dict(lines.values_list("cash_flow_tag").annotate(Sum("amount_minor")).order_by())


def test_d_the_bank_s_cash_is_7_until_the_money_is_back() -> None:
    """Check (d), RP-5: cash 97, paid 7, returned still 7, back 97, re-issued 7."""
    scene = Scene(make_book())
    payment, batch = public_id("pa"), public_id("sb")
    payout, again = public_id("po"), public_id("po")
    scene.post(
        capture(scene, payment),
        scene.posting("fee.charged", payment, movement_ref="fee_1", fee=300, total=300),
        scene.posting("settlement.closed", batch, net=9_700),
        scene.posting("settlement.received", batch, received=9_700, net=9_700),
    )

    def cash_after(event: str, subject: str, variant: str = "") -> int:
        scene.post(scene.posting(f"payout.{event}", subject, variant=variant, amount=9_000))
        return scene.balances()["1000"]

    assert scene.balances()["1000"] == 9_700
    assert cash_after("initiated", payout) == 9_700
    assert cash_after("paid", payout, "bank") == 700
    assert cash_after("returned", payout) == 700
    assert _cash(scene) == {"settlements": 9_700, "sellers_paid": -9_000}

    assert cash_after("return_received", payout, "bank") == 9_700
    assert _cash(scene)["sellers_returned"] == 9_000
    assert cash_after("released", payout) == 9_700
    assert cash_after("initiated", again) == 9_700
    assert cash_after("paid", again, "bank") == 700
    assert _cash(scene) == {
        "settlements": 9_700,
        "sellers_paid": -18_000,
        "sellers_returned": 9_000,
    }


def test_less_comes_back_than_was_paid() -> None:
    """88.50 of 90.00 is back: the platform bears 1.50 as a payout fee, or the seller does."""
    for variant, account, minor in (("", "5050", 150), ("seller_bears", "2200", -8_850)):
        scene, payout = Scene(make_book()), public_id("po")
        for event in ("initiated", "paid", "returned"):
            scene.post(scene.posting(f"payout.{event}", payout, amount=9_000))

        scene.post(
            scene.posting("payout.return_received", payout, amount=8_850),
            scene.posting("payout.return_shortfall", payout, variant=variant, amount=150),
        )

        assert scene.balances()[account] == minor
        assert "1200" not in scene.balances()
