"""Value and risk decide the lane, by a table (WH-23)."""

from __future__ import annotations

import random
import time
from decimal import Decimal
from typing import Any

import pytest

from payops.core import clock
from payops.core.models import Book
from payops.core.money import Money, convert
from payops.flows import lane_policy
from payops.psp.base import WebhookItem
from payops.webhooks import lanes
from payops.webhooks.lanes import LanesError, decide, lane_of, parse
from tests.webhooks.lane_versions import install

RULES = parse(
    lanes.seeded(currency="EUR"),
    currency="EUR",
    rates={"USD": Decimal("0.9"), "JPY": Decimal("0.006")},
)


def item(kind: str = "charge.succeeded", amount: int | None = 100, **more: Any) -> WebhookItem:
    facts: dict[str, Any] = {
        "index": 0,
        "provider_event_id": "evt_1",
        "dedupe_key": "evt_1:ch_1",
        "fingerprint": "f" * 64,
        "event_type": kind,
        "object_id": "ch_1",
        "amount_minor": amount,
        "currency": "EUR",
        "occurred_at": None,
        "live": False,
        "lane": "standard",
    }
    return WebhookItem(**facts | more)


@pytest.mark.parametrize(
    ("given", "lane"),
    [
        (item(amount=499_999), "standard"),
        (item(amount=500_000), "high"),
        (item(amount=-500_000), "high"),
        (item(amount=555_555, currency="USD"), "high"),
        (item(amount=555_554, currency="USD"), "standard"),
        (item(amount=833_334, currency="JPY"), "high"),
        (item(amount=833_332, currency="JPY"), "standard"),
        (item("payout.paid", amount=1), "high"),
        (item("charge.dispute.created", amount=1, lane="bulk"), "high"),
        (item("customer.created", amount=None, lane="bulk"), "bulk"),
        (item("customer.created", amount=10, lane="bulk"), "bulk"),
    ],
)
def test_the_seeded_table(given: WebhookItem, lane: str) -> None:
    assert lane_of(given, RULES) == lane


def test_an_amount_of_unknown_worth_is_large_and_never_small() -> None:
    assert decide(item(amount=1, currency="XTS"), RULES) == ("high", "Large amount")
    small = parse(
        {"kind": "lanes", "rows": [{"name": "Small", "below_minor": 1000, "lane": "bulk"}]},
        currency="EUR",
    )
    assert lane_of(item(amount=1, currency="XTS"), small) == "standard"
    assert lane_of(item(amount=999), small) == "bulk"
    assert lane_of(item(amount=1000), small) == "standard"


def test_the_highest_row_wins_whatever_their_order_and_names_itself() -> None:
    rows = [
        {"name": "All", "types": ["charge.*"], "lane": "bulk"},
        {"name": "Risky account", "accounts": ["stripe/risky"], "lane": "high"},
        {"name": "Watched", "currencies": ["RUB"], "lane": "standard"},
    ]
    for given in (rows, rows[::-1]):
        rules = parse({"kind": "lanes", "rows": given}, currency="EUR")
        assert decide(item(), rules, account="stripe/demo") == ("bulk", "All")
        assert decide(item(), rules, account="stripe/risky") == ("high", "Risky account")
        assert decide(item(currency="RUB"), rules) == ("standard", "Watched")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"name": "x", "lane": "high"}, "names nothing"),
        ({"name": "x", "lane": "express", "types": ["a"]}, "has the lane 'express'"),
        ({"name": " ", "lane": "high", "types": ["a"]}, "has no name"),
        ({"name": "x", "lane": "high", "types": ["a*b"]}, "at the end only"),
        ({"name": "x", "lane": "high", "types": ["*"]}, "at the end only"),
        ({"name": "x", "lane": "high", "types": "payout.*"}, "not a list"),
        ({"name": "x", "lane": "high", "from_minor": 1.5}, "not a positive whole number"),
        ({"name": "x", "lane": "high", "from_minor": True}, "not a positive whole number"),
        ({"name": "x", "lane": "high", "from_minor": 5, "below_minor": 5}, "5 is not below 5"),
        ({"name": "x", "lane": "high", "type": ["a"]}, "parts out of"),
        ({"name": "x", "lane": ["high"], "types": ["a"]}, "has the lane"),
        ("payout", "is not an object"),
    ],
)
def test_a_table_that_cannot_be_applied_is_refused_with_its_row(row: Any, words: str) -> None:
    with pytest.raises(LanesError, match=words):
        parse({"kind": "lanes", "rows": [row]}, currency="EUR")


def test_the_verdict_costs_next_to_nothing() -> None:
    given, start = item(amount=555_554, currency="USD"), time.process_time()

    for _ in range(2000):
        lane_of(given, RULES)

    assert (time.process_time() - start) / 2000 < 0.00002


@pytest.mark.parametrize("currency", ["USD", "JPY", "KWD", "BHD", "VND", "CLF"])
def test_edges_in_another_currency_are_those_of_the_conversion(currency: str) -> None:
    """WH-23: whole numbers decide at the edge, and decide as the rate does."""
    dice = random.Random(23)
    for _ in range(300):
        rate = Decimal(dice.randint(1, 10**7)).scaleb(dice.randint(-8, -4))
        least = dice.randint(1, 10**7)
        rules = parse(
            {"kind": "lanes", "rows": [{"name": "x", "from_minor": least, "lane": "high"}]},
            currency="EUR",
            rates={currency: rate},
        )
        known = rules.edges_in(currency)
        assert known is not None
        edge = known[0][0]
        assert edge is not None
        for amount in (edge - 1, edge, edge + 1):
            worth = convert(Money(amount, currency), to="EUR", rate=rate).minor
            assert (amount >= edge) == (worth >= least), (rate, least, amount)


def test_an_unknown_worth_never_moves_an_event_down() -> None:
    rows = [{"name": "Plenty", "from_minor": 1, "lane": "bulk"}]
    rules = parse({"kind": "lanes", "rows": rows}, currency="EUR")

    assert lane_of(item(amount=9), rules) == "bulk"
    assert lane_of(item(amount=9, currency="XTS"), rules) == "standard"
    assert lane_of(item(amount=9, currency="XTS", lane="high"), rules) == "high"
    assert lane_of(item(amount=9, currency=None), rules) == "standard"


@pytest.mark.django_db
def test_the_seeded_version_is_the_table_of_the_code_and_is_read_with_its_rates() -> None:
    book = Book.objects.get(code="meridian")

    active = lane_policy.rules_of(book, clock.utc_now())

    assert active.version == 1
    assert active.rows == RULES.rows
    assert active.rates == {
        "USD": Decimal("0.9210"),
        "GBP": Decimal("1.1700"),
        "JPY": Decimal("0.0061"),
        "KWD": Decimal("3.0000"),
    }


@pytest.mark.django_db(transaction=True)
def test_the_newest_version_of_the_book_is_the_one_that_is_read(owner: Any) -> None:
    install(owner, [{"name": "Tiny", "from_minor": 2, "lane": "high"}])

    active = lane_policy.rules_of(Book.objects.get(code="meridian"), clock.utc_now())

    assert (active.version, [row.name for row in active.rows]) == (2, ["Tiny"])
    assert lane_policy.rules_of(Book.objects.get(is_system=True), clock.utc_now()).version == 0


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("rows", "content_hash"),
    [([], "0" * 64), ([{"name": "x", "lane": "express", "types": ["a"]}], "")],
)
def test_a_version_that_is_not_the_approved_one_or_not_readable_is_never_applied(
    owner: Any, caplog: pytest.LogCaptureFixture, rows: list[dict[str, Any]], content_hash: str
) -> None:
    install(owner, rows, content_hash=content_hash)

    active = lane_policy.rules_of(Book.objects.get(code="meridian"), clock.utc_now())

    assert (active.version, active.rows[-1].name) == (0, "Large amount")
    assert "lanes v2 of meridian" in caplog.text
