"""Worked check (f) and other currencies: conversion, revaluation, exponents, no cent left over."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from ledger import revaluation, selectors
from ledger.errors import RateUnknown
from ledger.facts import Posting
from ledger.fx import Conversion, Held, conversion_legs
from ledger.models import AccountingPeriod, JournalEntry, JournalLine
from payops.core.models import AuditEvent
from payops.core.money import Money
from tests.ledger.scene import NOW, PSP, Scene, capture, make_book, public_id, rate, refused

pytestmark = pytest.mark.django_db
APRIL = datetime(2026, 4, 10, 10, 0, tzinfo=UTC)
MAY = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)


def _converted(scene: Scene) -> Posting:
    """USD 100 at 1.0870 less 2 %: EUR 90.16 (98.00 of the dollars), 2.00 of them kept."""
    conversion = Conversion(
        sold=(Held("1100", Money(10_000, "USD"), PSP),),
        bought=(Held("1100", Money(9_016, "EUR"), PSP),),
        markup=Money(200, "USD"),
    )
    return Posting(
        book=scene.book,
        event_class="fx.converted",
        subject_id=public_id("pa"),
        movement_ref="fx_1",
        legs=conversion_legs(conversion, reporting="USD", rates={"EUR": Decimal("1.0870")}),
        occurred_at=NOW,
        description="USD 100.00 to EUR 90.16",
    )


def _revalue(scene: Scene, code: str, now: datetime) -> int:
    period = AccountingPeriod.objects.get(book=scene.book, code=code)
    planned = revaluation.plan(book=scene.book, period=period)
    scene.post(*revaluation.postings(planned, book=scene.book, subject_id=f"rv {code}"), now=now)
    return planned.gain_minor - planned.loss_minor


def _reporting(scene: Scene, as_of: date | None = None) -> dict[str, int]:
    sums: dict[str, int] = {}
    for row in selectors.trial_balance(book=scene.book, as_of=as_of):
        sums[row.account] = sums.get(row.account, 0) + row.reporting_minor
    return {code: minor for code, minor in sums.items() if minor}


def test_f_converted_revalued_and_settled_with_nothing_stranded() -> None:
    """Check (f): cost 2.00; +0.73 at 1.0950, then settled at 1.0900: +0.27 in all (LJ-10)."""
    scene, batch = Scene(make_book(reporting_currency="USD"), currency="USD"), public_id("sb")
    march, april = datetime(2026, 3, 31, 12, tzinfo=UTC), datetime(2026, 4, 10, 8, tzinfo=UTC)
    rate("EUR", "USD", "1.0950", as_of=march)
    rate("EUR", "USD", "1.0900", as_of=april)

    scene.post(capture(scene, public_id("pa")), _converted(scene))
    booked = {"1100": 9_800, "2000": -9_000, "4000": -1_000, "5060": 200}
    assert _reporting(scene) == booked
    assert scene.balances() == {**booked, "1100": 9_016, "1900": 9_800 - 9_016}

    assert _revalue(scene, "2026-03", APRIL) == 73
    assert _reporting(scene) == {**booked, "1100": 9_873, "4910": -73}
    assert scene.balances()["1100"] == 9_016, "a revaluation moves no amount"

    closed = scene.posting("settlement.closed", batch, currency="EUR", occurred_at=APRIL, net=9_016)
    received = scene.posting(
        "settlement.received",
        batch,
        currency="EUR",
        occurred_at=APRIL,
        received=9_016,
        net=9_016,
    )
    scene.post(closed, received, now=APRIL)
    assert _reporting(scene) == {**booked, "1000": 9_827, "1100": 46, "4910": -73}

    assert _revalue(scene, "2026-04", MAY) == -46
    del booked["1100"]
    assert _reporting(scene) == {**booked, "1000": 9_827, "4910": -73, "5910": 46}
    assert 73 - 46 == 27
    assert _revalue(scene, "2026-04", MAY) == 0


def test_one_book_keeps_five_currencies_apart() -> None:
    """Each currency is nil in itself, and all of them are nil in euro (I17)."""
    book = make_book()
    sums = {"EUR": 10_001, "USD": 10_003, "JPY": 12_345, "KWD": 10_001, "ISK": 99_999}
    for currency, value in (("USD", "0.9217"), ("JPY", "0.0061"), ("KWD", "3"), ("ISK", "0.0067")):
        rate(currency, "EUR", value)

    for currency, gross in sums.items():
        scene = Scene(book, currency=currency)
        share = {"gross": gross, "seller_share": gross - 1_001, "platform_fee": 1_001}
        scene.post(capture(scene, public_id("pa"), **share))

    found = selectors.trial_balance(book=book)
    psp = {row.currency: row for row in found if row.account == "1100"}
    assert {currency: row.balance_minor for currency, row in psp.items()} == sums
    assert {currency: row.reporting_minor for currency, row in psp.items()} == {
        "EUR": 10_001,
        "USD": 9_220,
        "JPY": 7_530,
        "KWD": 3_000,
        "ISK": 66_999,
    }
    for currency in sums:
        assert sum(row.balance_minor for row in found if row.currency == currency) == 0
    assert sum(row.reporting_minor for row in found) == 0


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
