"""Worked checks (b) and (h): refunds that fail late, come back, or belong to a locked month."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from django.db import transaction

from ledger.errors import ImpossibleState, PeriodLocked, PredecessorMissing
from ledger.facts import Posting
from ledger.models import JournalEntry
from ledger.posting import Refs, store_refusal
from ledger.refund_shares import NOTHING, Shares, refund_shares
from tests.ledger.scene import NOW, Scene, capture, lock_period, make_book, public_id, refused

pytestmark = pytest.mark.django_db
CAPTURED = Shares(seller_share=9_000, platform_fee=1_000)
THIRTY = refund_shares(CAPTURED, refund_minor=3_000).amounts()


class Refund:
    """One refund attempt of one captured payment; `retry_of` names the refund promised first."""

    def __init__(self, scene: Scene, payment: str, *, retry_of: str = "") -> None:
        self.scene, self.subject = scene, public_id("rf")
        self.refs = Refs(payment_id=payment, refund_id=retry_of or self.subject)

    def posting(
        self, event: str, *, variant: str = "", movement: str = "mv_1", **amounts: int
    ) -> Posting:
        return self.scene.posting(
            f"refund.{event}",
            self.subject,
            variant=variant,
            movement_ref=movement,
            refs=self.refs,
            **(amounts or {"amount": 3_000}),
        )

    def post(
        self, event: str, *, variant: str = "", movement: str = "mv_1", **amounts: int
    ) -> dict[str, int]:
        made = self.posting(event, variant=variant, movement=movement, **amounts)
        self.scene.post(made)
        return self.scene.balances()


@pytest.fixture
def scene() -> Scene:
    return Scene(make_book())


@pytest.fixture
def refund(scene: Scene) -> Refund:
    """100.00 captured with 10.00 of it ours, 3.00 to the PSP."""
    payment = public_id("pa")
    scene.post(
        capture(scene, payment),
        scene.posting("fee.charged", payment, movement_ref="fee_1", fee=300, total=300),
    )
    return Refund(scene, payment)


def test_b_thirty_back_then_late_failure_then_returned(refund: Refund) -> None:
    """Check (b): 1100 97, 2000 -63, 2150 -30, 4000 -7."""
    fixed = {"2000": -6_300, "4000": -700, "5000": 300}

    assert THIRTY == {
        "seller_share": 2_700,
        "platform_fee": 300,
        "fee_tax": 0,
        "tax_collected": 0,
        "amount": 3_000,
    }
    assert refund.post("accepted", **THIRTY) == {"1100": 9_700, "2110": -3_000, **fixed}
    assert refund.post("succeeded") == {"1100": 6_700, **fixed}
    late = {"1100": 6_700, "1210": 3_000, "2150": -3_000, **fixed}
    assert refund.post("failed_late") == late
    assert refund.post("returned") == {"1100": 9_700, "2150": -3_000, **fixed}


def test_b_two_events_of_one_failure_do_not_reverse_twice(refund: Refund) -> None:
    """The same movement is the same entry; told as another movement it is an impossible state."""
    refund.post("accepted", **THIRTY)
    refund.post("succeeded")
    after = refund.post("failed_late", movement="re_1")

    assert refund.post("failed_late", movement="re_1") == after
    refused(ImpossibleState, lambda: refund.post("failed_late", movement="evt_other"))
    assert refund.scene.balances() == after


def test_b_money_back_before_anybody_told_posts_both_movements(refund: Refund) -> None:
    """refund.returned after succeeded; the event that tells of the failure later posts nothing."""
    refund.post("accepted", **THIRTY)
    refund.post("succeeded")

    after = refund.post("returned", variant="untold")

    assert after == {"1100": 9_700, "2000": -6_300, "2150": -3_000, "4000": -700, "5000": 300}
    refused(ImpossibleState, lambda: refund.post("failed_late"))


def test_an_early_failure_is_retried_by_a_refund_of_its_own(refund: Refund) -> None:
    """2150 stays open until one attempt succeeds; the failed one ends once."""
    fixed = {"2000": -6_300, "4000": -700, "5000": 300}
    refund.post("accepted", **THIRTY)
    assert refund.post("failed_early") == {"1100": 9_700, "2150": -3_000, **fixed}
    refused(ImpossibleState, lambda: refund.post("succeeded"))

    assert refund.post("retried") == {"1100": 9_700, "2110": -3_000, **fixed}
    again = Refund(refund.scene, refund.refs.payment_id, retry_of=refund.subject)
    assert again.post("succeeded") == {"1100": 6_700, **fixed}
    refused(ImpossibleState, lambda: refund.post("retried", movement="mv_2"))
    refused(ImpossibleState, lambda: refund.post("obligation_lapsed", **THIRTY))


def test_a_lapsed_obligation_gives_the_shares_back(refund: Refund) -> None:
    refund.post("accepted", **THIRTY)
    refund.post("failed_early")

    after = refund.post("obligation_lapsed", **THIRTY)

    assert after == {"1100": 9_700, "2000": -9_000, "4000": -1_000, "5000": 300}


def test_a_goodwill_refund_takes_nothing_from_the_seller(refund: Refund) -> None:
    after = refund.post("accepted", variant="goodwill", amount=500)

    assert after == {
        "1100": 9_700,
        "2000": -9_000,
        "2110": -500,
        "4000": -1_000,
        "4090": 500,
        "5000": 300,
    }


def test_a_refund_from_the_bank_is_cash(refund: Refund) -> None:
    refund.post("accepted", **THIRTY)

    assert refund.post("succeeded", variant="bank")["1000"] == -3_000


def test_three_refunds_of_a_third_leave_nothing(refund: Refund) -> None:
    """33.33, 33.33, 33.34: seller, fee and PSP balance end where they began."""
    before = NOTHING
    for refund_minor in (3_333, 3_333, 3_334):
        share = refund_shares(CAPTURED, refunded_before=before, refund_minor=refund_minor)
        before += share
        part = Refund(refund.scene, refund.refs.payment_id)
        part.post("accepted", **share.amounts())
        part.post("succeeded", amount=refund_minor)

    assert refund.scene.balances() == {"1100": -300, "5000": 300}


def test_a_refund_without_its_capture_is_refused(scene: Scene) -> None:
    """LJ-18: the capture is looked for under the payment, not under the refund."""
    lonely = Refund(scene, public_id("pa"))

    error = refused(PredecessorMissing, lambda: lonely.post("accepted", **THIRTY))

    assert lonely.refs.payment_id in error.words
    assert scene.entries() == 0


FEBRUARY = datetime(2026, 2, 26, 12, 0, tzinfo=UTC)


def _refund_of_february(policy: str) -> tuple[Scene, Posting]:
    scene, payment = Scene(make_book(late_event_policy=policy)), public_id("pa")
    scene.post(capture(scene, payment, occurred_at=FEBRUARY), now=FEBRUARY)
    scene.post(capture(scene, public_id("pa"), gross=1, seller_share=1, platform_fee=0))
    lock_period(scene.book, "2026-02")
    made = Refund(scene, payment).posting("accepted", **THIRTY)
    return scene, replace(made, occurred_at=FEBRUARY)


def test_h_a_refund_dated_in_a_locked_month_lands_on_the_first_open_day() -> None:
    """Check (h), D12: February stays as it was closed; the day of the event is kept."""
    scene, late = _refund_of_february("first_open_day")

    outcome = scene.post(late)[0]

    entry = JournalEntry.get(outcome.entry_public_id)
    assert (entry.posting_on, entry.occurred_at) == (date(2026, 3, 1), FEBRUARY)
    assert entry.period.code == "2026-03"
    assert JournalEntry.objects.filter(book=scene.book, period__code="2026-02").count() == 1


def test_h_a_book_that_blocks_late_events_keeps_the_key_free() -> None:
    scene, late = _refund_of_february("block")

    error = refused(PeriodLocked, lambda: scene.post(late))

    assert "2026-02-26" in error.words
    with transaction.atomic():
        assert not store_refusal(late, error, now=NOW)
    assert JournalEntry.objects.filter(book=scene.book, event_class="refund.accepted").count() == 0
