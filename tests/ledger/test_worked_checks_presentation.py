"""Worked check (i) and the two presentations: a book's policies over the same events (LJ-7)."""

from __future__ import annotations

import pytest

from ledger import policies
from ledger.errors import ImpossibleState, PredecessorMissing
from ledger.matrix import MATRIX, legs
from ledger.matrix_row import Pair
from ledger.posting import Refs
from ledger.refund_shares import Shares, refund_shares
from payops.core.models import Book
from tests.ledger.scene import Scene, capture, make_book, public_id, refused

pytestmark = pytest.mark.django_db
MEMO = {"9100", "9200"}
AUTHORIZATIONS = ("authorized", "authorization_used", "voided", "expired")


def test_i_authorised_100_captured_60_expired_40_ends_nil() -> None:
    """Check (i), LJ-7: the memo pair falls by what is captured and by what expires."""
    book = make_book(authorization_policy="pending")
    scene, payment = Scene(book), public_id("pa")
    variant = policies.authorization_variant(book)

    def memo_after(event: str, amount: int) -> dict[str, int]:
        scene.post(scene.posting(f"payment.{event}", payment, variant=variant, amount=amount))
        return {code: minor for code, minor in scene.balances().items() if code in MEMO}

    assert memo_after("authorized", 10_000) == {"9100": 10_000, "9200": -10_000}
    scene.post(capture(scene, payment, gross=6_000, seller_share=5_400, platform_fee=600))
    assert memo_after("authorization_used", 6_000) == {"9100": 4_000, "9200": -4_000}
    assert memo_after("expired", 4_000) == {}
    assert scene.balances() == {"1100": 6_000, "2000": -5_400, "4000": -600}
    again = scene.posting("payment.voided", payment, variant=variant, amount=1)
    refused(ImpossibleState, lambda: scene.post(again))


@pytest.mark.parametrize("policy", ["none", "memo"])
def test_other_policies_post_nothing_for_an_authorisation(policy: str) -> None:
    """LJ-7: non-posting, and memo figures that are read from the payments."""
    book = Book(authorization_policy=policy)
    variant = policies.authorization_variant(book)

    assert not policies.posts_authorizations(book)
    for event in AUTHORIZATIONS:
        row = MATRIX[f"payment.{event}"]
        made = legs(
            row.event_class, variant=variant, amounts={"amount": 1}, currency="EUR", parties={}
        )
        assert made == ()
        assert "not posted" in row.variant_words[variant]


def test_nothing_expires_that_was_not_authorised() -> None:
    """LJ-18."""
    scene = Scene(make_book(authorization_policy="pending"))
    expired = scene.posting("payment.expired", public_id("pa"), variant="pending", amount=1)

    refused(PredecessorMissing, lambda: scene.post(expired))


def test_an_authorisation_never_shares_an_entry_with_a_real_account() -> None:
    """Off the balance sheet: a cent of conversion cannot cross from the memo pair."""
    for row in MATRIX.values():
        for variant, pairs in row.variants.items():
            memo = {pair.account for pair in pairs} & MEMO
            assert not memo or memo == {pair.account for pair in pairs}, (row.event_class, variant)


STEPS = ("captured", "refunded", "lapsed", "lost")


def _results(presentation: str) -> dict[str, dict[str, int]]:
    """Balances after capture, partial refund, its lapse, and a chargeback lost by the seller."""
    book = make_book(presentation=presentation)
    scene, payment, refund = Scene(book), public_id("pa"), public_id("rf")
    sale = {"gross": 12_000, "seller_share": 10_800, "platform_fee": 1_000, "fee_tax": 200}
    share = refund_shares(Shares(10_800, 1_000, 200), refund_minor=3_000).amounts()
    found: dict[str, dict[str, int]] = {}

    def post(step: str, event_class: str, subject: str, variant: str, **amounts: int) -> None:
        refs = Refs(payment_id=payment, refund_id=refund, dispute_id=scene.dispute)
        scene.post(scene.posting(event_class, subject, variant=variant, refs=refs, **amounts))
        if step:
            found[step] = scene.balances()

    variant = policies.refund_variant(book)
    post("captured", "payment.captured", payment, policies.capture_variant(book), **sale)
    post("refunded", "refund.accepted", refund, variant, **share)
    post("", "refund.failed_early", refund, "", amount=3_000)
    post("lapsed", "refund.obligation_lapsed", refund, variant, **share)
    post("", "dispute.funds_withdrawn", scene.dispute, "", amount=12_000, hold=10_800)
    lost = policies.dispute_lost_variant(book, platform_bears=False)
    parts = {"hold": 10_800, "platform_fee": 1_000, "fee_tax": 200}
    post("lost", "dispute.lost", scene.dispute, lost, amount=12_000, **parts)
    return found


def test_gross_presentation_has_the_same_margin_and_the_same_balance_sheet() -> None:
    """Principal policy: sales 118.00 and cost 108.00 instead of a fee of 10.00."""
    net, gross = _results("net"), _results("gross")

    sold = {"1100": 12_000, "2000": -10_800, "2500": -200}
    assert net["captured"] == {**sold, "4000": -1_000}
    assert gross["captured"] == {**sold, "4010": -11_800, "5010": 10_800}
    refunded = {"1100": 12_000, "2000": -8_100, "2110": -3_000, "2500": -150}
    assert net["refunded"] == {**refunded, "4000": -750}
    assert gross["refunded"] == {**refunded, "4010": -8_850, "5010": 8_100}
    assert net["lapsed"] == net["captured"]
    assert gross["lapsed"] == gross["captured"]
    assert net["lost"] == gross["lost"] == {}
    for step in STEPS:
        assert _margin(net[step]) == _margin(gross[step])
        assert _sheet(net[step]) == _sheet(gross[step])


def _margin(balances: dict[str, int]) -> int:
    return -sum(minor for code, minor in balances.items() if code[0] in "45")


def _sheet(balances: dict[str, int]) -> dict[str, int]:
    return {code: minor for code, minor in balances.items() if code[0] in "12"}


def test_both_presentations_ask_for_the_same_measures() -> None:
    """A flow computes the shares once; the variant alone decides how they are shown."""

    def measures(pairs: tuple[Pair, ...]) -> set[str]:
        return {pair.measure for pair in pairs}

    for name in ("payment.captured", "refund.accepted", "refund.obligation_lapsed", "dispute.lost"):
        row = MATRIX[name]
        assert measures(row.variants[""]) == measures(row.variants["gross"])
