"""Value and risk decide the lane, by a table (WH-23)."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

import pytest

from approvals.models import PolicyVersion
from payops.core import clock
from payops.core.models import Book, Rate
from payops.flows import lane_policy
from payops.psp.base import WebhookItem
from payops.webhooks import lanes
from payops.webhooks.lanes import LanesError, decide, lane_of, parse

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

    assert (time.process_time() - start) / 2000 < 0.0002


@pytest.mark.django_db
def test_the_books_active_version_is_read_with_its_rates(owner_version: Any) -> None:
    book = Book.objects.get(code="meridian")
    rules = {"kind": "lanes", "rows": [{"name": "Tiny", "from_minor": 2, "lane": "high"}]}
    assert lane_policy.rules_of(book, clock.utc_now()).rows[-1].from_minor == 500_000

    owner_version(book, rules)

    active = lane_policy.rules_of(book, clock.utc_now())
    assert [row.name for row in active.rows] == ["Tiny"]
    known = set(Rate.objects.filter(quote="EUR").values_list("base", flat=True))
    assert set(active.rates) == known and known


@pytest.mark.django_db
def test_a_version_that_is_not_the_approved_one_is_never_applied(owner_version: Any) -> None:
    book = Book.objects.get(code="meridian")

    owner_version(book, {"kind": "lanes", "rows": []}, content_hash="0" * 64)

    assert lane_policy.rules_of(book, clock.utc_now()).rows[-1].name == "Large amount"


@pytest.fixture
def owner_version(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A version as the query would give it; only an approval or the owner can write one."""

    def install(book: Book, rules: dict[str, Any], content_hash: str = "") -> None:
        version = PolicyVersion(
            book=book,
            name=lanes.NAME,
            version=7,
            rules=rules,
            content_hash=content_hash or lane_policy.hash_of(rules),
            active_from=clock.utc_now(),
        )

        class Found:
            def order_by(self, *names: str) -> Found:
                return self

            def first(self) -> PolicyVersion:
                return version

        monkeypatch.setattr(PolicyVersion.objects, "filter", lambda **named: Found())

    return install
