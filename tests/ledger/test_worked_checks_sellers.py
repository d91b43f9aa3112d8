"""Worked check (e): a seller who owes never offsets a seller who is owed; reserves; write-downs."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from django.db import transaction

from ledger import selectors
from ledger.models import JournalEntry
from ledger.posting import Refs, reverse
from tests.ledger.scene import LEDGER, Scene, capture, make_book, public_id

pytestmark = pytest.mark.django_db
CLOSE = datetime(2026, 3, 31, 20, 0, tzinfo=UTC)
APRIL = datetime(2026, 4, 1, 8, 0, tzinfo=UTC)


def _on(scene: Scene, day: date) -> dict[str, int]:
    sums: dict[str, int] = {}
    for row in selectors.trial_balance(book=scene.book, as_of=day):
        sums[row.account] = sums.get(row.account, 0) + row.balance_minor
    return {code: minor for code, minor in sums.items() if minor}


def test_e_a_debt_is_a_receivable_at_close_and_taken_back_on_day_one() -> None:
    """Check (e): A -500, B +40: payable 40, receivable 500 less an allowance of 100."""
    book = make_book()
    a, b = Scene(book), Scene(book)
    payment, refund = public_id("pa"), public_id("rf")
    refs = Refs(payment_id=payment, refund_id=refund)
    a.post(
        capture(a, payment, gross=50_000, seller_share=50_000, platform_fee=0),
        a.posting("payout.initiated", public_id("po"), amount=50_000),
        a.posting("refund.accepted", refund, refs=refs, seller_share=50_000, amount=50_000),
    )
    b.post(capture(b, public_id("pa"), gross=4_000, seller_share=4_000, platform_fee=0))
    rest = {"1100": 54_000, "2100": -50_000, "2110": -50_000}
    assert a.balances() == {**rest, "2000": 46_000}, "the sum alone would hide both"

    subject = f"{a.seller} 2026-03"
    reclass = a.posting("seller.debt_reclassed", subject, occurred_at=CLOSE, amount=50_000)
    allowance = a.posting(
        "seller.debt_reclassed",
        subject,
        variant="allowance",
        movement_ref="mv_2",
        occurred_at=CLOSE,
        amount=10_000,
    )
    made = a.post(reclass, allowance, now=CLOSE)

    at_close = {**rest, "1250": 50_000, "1259": -10_000, "2000": -4_000, "5300": 10_000}
    assert _on(a, date(2026, 3, 31)) == at_close
    with transaction.atomic():
        entry = JournalEntry.get(made[0].entry_public_id)
        reverse(entry, reason="day 1", actor=LEDGER, now=APRIL, posting_on=date(2026, 4, 1))
    assert _on(a, date(2026, 3, 31)) == at_close
    assert a.balances() == {**rest, "1259": -10_000, "2000": 46_000, "5300": 10_000}


def test_a_seller_pays_the_debt() -> None:
    scene = Scene(make_book())
    scene.post(scene.posting("seller.debt_collected", scene.seller, amount=500))

    assert scene.balances() == {"1000": 500, "2000": -500}


def test_a_reserve_is_released_in_part_and_applied_in_part() -> None:
    scene = Scene(make_book())
    scene.post(
        capture(scene, public_id("pa")),
        scene.posting("reserve.held", scene.seller, amount=2_000),
        scene.posting("reserve.released", scene.seller, amount=500),
        scene.posting("reserve.applied", scene.seller, amount=300),
    )

    assert scene.balances() == {"1100": 10_000, "2000": -7_800, "2300": -1_200, "4000": -1_000}


def test_a_fee_passed_on_and_a_fee_given_back() -> None:
    """15.00 charged, 3.00 tax on it; 15.00 plus 2.85 tax passed on; then all of it given back."""
    scene, payout = Scene(make_book()), public_id("po")
    fee = {"fee": 1_500, "input_tax": 300, "total": 1_800}
    scene.post(
        scene.posting("fee.charged", payout, variant="payout_fee", **fee),
        scene.posting("fee.recharged", payout, fee=1_500, fee_tax=285, total=1_785),
    )
    charged = {"1450": 300, "2000": 1_785, "2500": -285, "4100": -1_500, "5050": 1_500}
    assert scene.balances() == {**charged, "1100": -1_800}

    scene.post(scene.posting("fee.refunded", payout, variant="payout_fee", **fee))

    assert scene.balances() == {"2000": 1_785, "2500": -285, "4100": -1_500}


def test_unidentified_money_is_booked_at_once_and_explained_later() -> None:
    """Cash seen is booked; the explanation moves no cash."""
    scene = Scene(make_book())
    scene.post(scene.posting("receipt.unidentified", "bl_1", amount=900))
    assert scene.balances() == {"1000": 900, "2900": -900}

    for number, (variant, amount) in enumerate((("seller", 600), ("interest", 300))):
        part = scene.posting(
            "receipt.identified",
            "bl_1",
            variant=variant,
            movement_ref=f"part {number}",
            amount=amount,
        )
        scene.post(part)

    assert scene.balances() == {"1000": 900, "2000": -600, "4950": -300}


def test_tax_is_settled_with_the_authority() -> None:
    """20.00 on our fee and 160.00 for others, less 6.00 input tax: 174.00 are paid."""
    scene = Scene(make_book())
    scene.post(
        scene.posting(
            "tax.remitted",
            "2026-Q1",
            fee_tax=2_000,
            tax_collected=16_000,
            input_tax=600,
            paid=17_400,
        )
    )

    assert scene.balances() == {"1000": -17_400, "1450": -600, "2500": 2_000, "2510": 16_000}
