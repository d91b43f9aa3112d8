"""Worked numbers of the accounting sheet, to the cent; amounts in minor units."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ledger import selectors
from ledger.errors import RateUnknown
from ledger.matrix import funding_variant
from ledger.models import JournalEntry, JournalLine
from payops.core.models import AuditEvent
from tests.ledger.scene import NOW, PSP, Scene, capture, make_book, public_id, rate, refused

pytestmark = pytest.mark.django_db


def test_capture_with_fee_and_psp_fee() -> None:
    """Check (a): capture 100, fee 10, PSP fee 3."""
    scene = Scene(make_book())
    payment = public_id("pa")

    scene.post(
        capture(scene, payment),
        scene.posting("fee.charged", payment, movement_ref="fee_1", fee=300, total=300),
    )

    assert scene.balances() == {"1100": 9_700, "2000": -9_000, "4000": -1_000, "5000": 300}
    parties = {row.account: row.party for row in selectors.trial_balance(book=scene.book)}
    assert parties == {"1100": PSP, "2000": scene.seller, "4000": "", "5000": ""}


def test_payout_returned_money_back_and_reissued() -> None:
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


def test_reporting_amounts_leave_no_cent_over() -> None:
    """EUR 100/90/10 at 1.0855 in a dollar book: 108.55 = 97.70 + 10.85, nil in all."""
    scene = Scene(make_book(reporting_currency="USD"))
    rate("EUR", "USD", "1.0855")

    outcome = scene.post(capture(scene, public_id("pa")))[0]

    lines = JournalLine.objects.filter(entry_id=outcome.entry_id).order_by("position")
    assert [line.amount_minor for line in lines] == [10_000, -9_000, -1_000]
    assert [line.reporting_minor for line in lines] == [10_855, -9_770, -1_085]
    evidence = AuditEvent.objects.get(subject_id=outcome.entry_public_id).evidence
    assert evidence["rates"] == {"EUR": f"1.0855 (test, {NOW.isoformat()})"}


@pytest.mark.parametrize(
    ("currency", "at", "gross", "reporting"),
    [
        ("JPY", "0.0061", (12_345, -12_000, -345), (7_530, -7_320, -210)),
        ("KWD", "3.0000", (10_001, -9_000, -1_001), (3_000, -2_700, -300)),
    ],
)
def test_currencies_of_other_exponents(
    currency: str, at: str, gross: tuple[int, ...], reporting: tuple[int, ...]
) -> None:
    """12,345 yen at 0.0061 are 75.30 EUR; 10.001 dinar at 3 are 30.00 EUR."""
    scene = Scene(make_book(), currency=currency)
    rate(currency, "EUR", at)
    share = {"gross": gross[0], "seller_share": -gross[1], "platform_fee": -gross[2]}

    outcome = scene.post(capture(scene, public_id("pa"), **share))[0]

    lines = JournalLine.objects.filter(entry_id=outcome.entry_id).order_by("position")
    assert tuple(line.amount_minor for line in lines) == gross
    assert tuple(line.reporting_minor for line in lines) == reporting


def test_the_latest_rate_at_the_moment_of_the_event_counts_and_none_is_guessed() -> None:
    scene = Scene(make_book(reporting_currency="CHF"))
    rate("EUR", "CHF", "0.9000", as_of=NOW - timedelta(hours=2))
    rate("EUR", "CHF", "0.9500", as_of=NOW + timedelta(hours=1))

    def sent(hours_ago: int) -> int:
        at = NOW - timedelta(hours=hours_ago)
        outcome = scene.post(capture(scene, public_id("pa"), occurred_at=at))[0]
        line = JournalLine.objects.get(entry_id=outcome.entry_id, account__code="1100")
        return line.reporting_minor

    assert sent(hours_ago=0) == 9_000
    assert sent(hours_ago=2) == 9_000
    assert sent(hours_ago=-1) == 9_500
    error = refused(RateUnknown, lambda: sent(hours_ago=3))
    assert "EUR to CHF" in error.words
    assert JournalEntry.objects.filter(book=scene.book).count() == 3
