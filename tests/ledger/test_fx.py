"""Conversions balance in every currency and in reporting currency, to the minor unit (LJ-10)."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import Malformed
from ledger.facts import Posting
from ledger.fx import Conversion, ConversionRefused, Held, conversion_legs, description
from ledger.matrix_row import Leg
from ledger.models import JournalLine
from ledger.reporting import RateUsed, rates_for, reporting_amounts
from payops.core.money import MINOR_MAX, Money, MoneyError
from tests.ledger.scene import NOW, PSP, Scene, capture, make_book, public_id, rate, refused

CURRENCIES = ("EUR", "USD", "JPY", "KWD", "ISK")


def held(minor: int, currency: str, account: str = "1100", party: str = PSP) -> Held:
    return Held(account, Money(minor, currency), party)


def conversion(sold: Held, bought: Held, **more: Any) -> Conversion:
    return Conversion(sold=(sold,), bought=(bought,), **more)


def told(legs: tuple[Leg, ...]) -> list[tuple[str, int, str, int | None]]:
    return [(leg.account, leg.amount_minor, leg.currency, leg.reporting_minor) for leg in legs]


def sums(legs: tuple[Leg, ...]) -> dict[str, int]:
    """By currency, and under "" in reporting currency; the nil ones left out."""
    found: dict[str, int] = defaultdict(int)
    for leg in legs:
        found[leg.currency] += leg.amount_minor
        found[""] += leg.reporting_minor or 0
    return {currency: minor for currency, minor in found.items() if minor}


def test_check_f_usd_100_settled_as_eur_at_1_0870_less_2_percent() -> None:
    """Worked check (f): EUR 90.16, cost 2.00, nothing realised; reporting currency USD."""
    made = conversion_legs(
        conversion(held(10_000, "USD"), held(9_016, "EUR"), markup=Money(200, "USD")),
        reporting="USD",
        rates={"EUR": Decimal("1.0870")},
    )

    assert told(made) == [
        ("1100", -10_000, "USD", -10_000),
        ("1100", 9_016, "EUR", 9_800),
        ("5060", 200, "USD", 200),
        ("1900", 9_800, "USD", 9_800),
        ("1900", -9_016, "EUR", -9_800),
    ]
    assert sums(made) == {}


def test_what_was_carried_at_another_rate_is_realised() -> None:
    """Check (f), settled at 1.0900 after it was revalued at 1.0950: 98.27 for 98.73."""
    made = conversion_legs(
        conversion(held(9_016, "EUR"), held(9_827, "USD")),
        reporting="USD",
        rates={"EUR": Decimal("1.0900")},
        sold_carried_minor=9_873,
    )

    assert told(made) == [
        ("1100", -9_016, "EUR", -9_873),
        ("1100", 9_827, "USD", 9_827),
        ("5900", 46, "USD", 46),
        ("1900", 9_016, "EUR", 9_873),
        ("1900", -9_873, "USD", -9_873),
    ]
    assert sums(made) == {}


def test_neither_currency_is_the_reporting_currency() -> None:
    """USD 100.00 into JPY 15,000, USD 1.50 kept, in a EUR book: 92.10 = 90.00 + 1.38 + 0.72."""
    made = conversion_legs(
        conversion(held(10_000, "USD"), held(15_000, "JPY"), markup=Money(150, "USD")),
        reporting="EUR",
        rates={"USD": Decimal("0.9210"), "JPY": Decimal("0.0060")},
    )

    assert told(made) == [
        ("1100", -10_000, "USD", -9_210),
        ("1100", 15_000, "JPY", 9_000),
        ("5060", 150, "USD", 138),
        ("5900", 72, "EUR", 72),
        ("1900", 9_850, "USD", 9_072),
        ("1900", -15_000, "JPY", -9_000),
        ("1900", -72, "EUR", -72),
    ]
    assert sums(made) == {}


def test_a_side_on_several_accounts_loses_no_cent() -> None:
    """EUR 90.00 and 10.00 at 1.0855 are 108.55 together, not 97.70 and 10.86."""
    two = (held(9_000, "EUR", "2000", "be_1"), held(1_000, "EUR", "2000", "be_2"))
    made = conversion_legs(
        Conversion(sold=two, bought=(held(10_855, "USD"),)),
        reporting="USD",
        rates={"EUR": Decimal("1.0855")},
    )

    assert [leg.reporting_minor for leg in made[:3]] == [-9_770, -1_085, 10_855]
    assert sums(made) == {}


@pytest.mark.parametrize(
    ("told_as", "more", "words"),
    [
        (conversion(held(1, "EUR"), held(1, "EUR")), {}, "converts nothing"),
        (conversion(held(-5, "EUR"), held(5, "USD")), {}, "-0.05 EUR sold on 1100 is not above"),
        (Conversion((), (held(5, "USD"),)), {}, "nothing is sold"),
        (conversion(held(5, "EUR"), held(5, "GBP")), {}, "no rate from GBP to USD is given"),
        (
            conversion(held(5, "EUR"), held(5, "USD"), markup=Money(5, "EUR")),
            {},
            "a markup of 0.05 EUR cannot be kept of 0.05 EUR",
        ),
        (
            conversion(held(500, "USD"), held(5, "EUR")),
            {"sold_carried_minor": 499},
            "carried at 4.99 USD",
        ),
    ],
)
def test_an_impossible_conversion_is_refused_by_name(
    told_as: Conversion, more: dict[str, Any], words: str
) -> None:
    rates = {"EUR": Decimal("1.1")}
    with pytest.raises(ConversionRefused, match=words):
        conversion_legs(told_as, reporting="USD", rates=rates, **more)


def test_the_conversion_detail_is_kept_in_words() -> None:
    """LJ-10"""
    detail = conversion(
        held(10_000, "USD"),
        held(9_016, "EUR"),
        markup=Money(200, "USD"),
        rate=RateUsed(Decimal("1.0870"), "stripe", NOW),
        rate_base="EUR",
        rate_quote="USD",
    )

    assert description(detail) == (
        "100.00 USD converted into 90.16 EUR at EUR/USD 1.087 (stripe, 2026-03-18T10:00:00+00:00),"
        " markup 2.00 USD"
    )


# ---- whatever the amounts ------------------------------------------------------------------

SMALL_RATES = st.decimals("0.0001", "5000", places=10)
AMOUNTS = st.integers(1, MINOR_MAX // 10**9)


@settings(max_examples=300, deadline=None)
@given(
    sold=st.lists(AMOUNTS, min_size=1, max_size=4),
    bought=st.lists(AMOUNTS, min_size=1, max_size=4),
    ways=st.permutations(CURRENCIES),
    told_rates=st.tuples(*[SMALL_RATES] * 5),
    markup=st.integers(0, 1000),
)
def test_any_conversion_is_nil_in_each_currency_and_in_reporting(
    sold: list[int],
    bought: list[int],
    ways: list[str],
    told_rates: tuple[Decimal, ...],
    markup: int,
) -> None:
    """F19: JPY, KWD and ISK among five currencies."""
    one, other, reporting = ways[:3]
    made = conversion_legs(
        Conversion(
            sold=tuple(held(minor, one, party=f"p{n}") for n, minor in enumerate(sold)),
            bought=tuple(held(minor, other, party=f"p{n}") for n, minor in enumerate(bought)),
            markup=Money(markup, other),
        ),
        reporting=reporting,
        rates=dict(zip(CURRENCIES, told_rates, strict=True)),
    )

    assert sums(made) == {}
    on_clearing = [leg for leg in made if leg.account == "1900"]
    assert sum(leg.reporting_minor or 0 for leg in on_clearing) == 0


@settings(max_examples=300, deadline=None)
@given(
    shares=st.lists(st.integers(1, MINOR_MAX // 40), min_size=1, max_size=20),
    currency=st.sampled_from(CURRENCIES),
    reporting=st.sampled_from(CURRENCIES),
    at=st.decimals("0.0000000001", "9999999999", places=10),
)
def test_reporting_amounts_sum_to_nil_or_are_refused_by_name(
    shares: list[int], currency: str, reporting: str, at: Decimal
) -> None:
    """No cent is lost at any rate, and what is too large for the books says so."""
    legs = [Leg("1100", sum(shares), currency, PSP)]
    legs += [Leg("2000", -share, currency, f"be_{n}") for n, share in enumerate(shares)]

    try:
        amounts = reporting_amounts(legs, reporting=reporting, rates={currency: at})
    except MoneyError as error:
        assert "exceeds the largest amount kept in" in str(error)
        return

    assert sum(amounts) == 0
    assert all(amount >= 0 for amount in amounts[:1])
    assert max(map(abs, amounts)) <= MINOR_MAX


# ---- posted --------------------------------------------------------------------------------


def posting(scene: Scene, legs: tuple[Leg, ...], movement: str = "cv_1") -> Posting:
    return Posting(
        book=scene.book,
        event_class="fx.converted",
        subject_id=public_id("sb"),
        movement_ref=movement,
        legs=legs,
        occurred_at=NOW,
        description="conversion",
    )


@pytest.mark.django_db
def test_a_conversion_is_posted_as_its_own_event_with_both_amounts() -> None:
    """LJ-10, LJ-3"""
    scene = Scene(make_book(reporting_currency="USD"))
    made = conversion_legs(
        conversion(held(10_000, "USD"), held(9_016, "EUR"), markup=Money(200, "USD")),
        reporting="USD",
        rates={"EUR": Decimal("1.0870")},
    )

    (outcome,) = scene.post(posting(scene, made))

    lines = JournalLine.objects.filter(entry_id=outcome.entry_id).order_by("position")
    assert [(x.account.code, x.amount_minor, x.currency, x.reporting_minor) for x in lines] == [
        ("1100", -10_000, "USD", -10_000),
        ("1100", 9_016, "EUR", 9_800),
        ("5060", 200, "USD", 200),
        ("1900", 9_800, "USD", 9_800),
        ("1900", -9_016, "EUR", -9_800),
    ]


@pytest.mark.django_db
@pytest.mark.parametrize("minor", [MINOR_MAX + 1, 2**63, 2**70])
def test_a_reporting_amount_too_large_for_the_books_is_refused_by_name(minor: int) -> None:
    """Not a failure of the database: the posting says what exceeds what."""
    scene = Scene(make_book(reporting_currency="USD"))
    legs = (
        Leg("1100", 100, "EUR", PSP, reporting_minor=minor),
        Leg("1900", -100, "EUR", reporting_minor=-minor),
    )

    error = refused(Malformed, lambda: scene.post(posting(scene, legs)))

    assert f"a reporting amount of {minor} exceeds {MINOR_MAX}" in str(error)
    assert scene.entries() == 0


@pytest.mark.django_db
def test_a_capture_worth_more_than_the_books_hold_is_refused_by_name() -> None:
    scene = Scene(make_book(reporting_currency="CLF"))
    rate("EUR", "CLF", "9999999999")
    huge = capture(scene, public_id("pa"), gross=MINOR_MAX, seller_share=MINOR_MAX, platform_fee=0)

    error = refused(Malformed, lambda: scene.post(huge))

    assert "exceeds the largest amount kept in CLF" in str(error)


@pytest.mark.django_db
def test_a_rate_told_the_other_way_round_is_divided_by() -> None:
    """The ECB tells units per euro; the later of both ways counts."""
    rate("EUR", "NOK", "8", as_of=NOW - timedelta(days=2))
    rate("NOK", "EUR", "0.2", as_of=NOW - timedelta(days=1))
    before, after = NOW - timedelta(days=1, hours=1), NOW

    found = rates_for({("NOK", "EUR", before), ("NOK", "EUR", after), ("EUR", "NOK", after)})

    assert found[("NOK", "EUR", before)].rate == Decimal("0.125")
    assert found[("NOK", "EUR", before)].words() == "1 / 8 (test, 2026-03-16T10:00:00+00:00)"
    assert found[("NOK", "EUR", after)].rate == Decimal("0.2")
    assert found[("EUR", "NOK", after)].rate == 5
    assert rates_for({("NOK", "EUR", NOW - timedelta(days=3))}) == {}
