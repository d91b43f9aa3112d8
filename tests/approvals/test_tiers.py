"""Who has to decide which amount: edges, currencies, risk, conditions, splitting (D2, AP-1)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from approvals import refusals, services
from approvals.models import ApprovalRequest
from approvals.policies import Policy, parse, rules_for
from approvals.tiers import Exposure, tier_for
from payops.core.money import Money, split
from tests.approvals.asking import NOW, ask, fresh, meridian, vote
from tests.people import actor
from tests.rates import known_rate

LEAD = ["ops_lead"]
MIDDLE = ["finance_manager", "compliance"]
TOP = ["treasury"]

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("kind", ["payout_exception", "payout_release"])
@pytest.mark.parametrize(
    ("amount", "tier", "seats"),
    [
        ("0.01", "lower", LEAD),
        ("4999.99", "lower", LEAD),
        ("5000.00", "middle", MIDDLE),
        ("12400.00", "middle", MIDDLE),
        ("50000.00", "middle", MIDDLE),
        ("50000.01", "top", TOP),
    ],
)
def test_tier_edges_are_those_of_d2(kind: str, amount: str, tier: str, seats: list[str]) -> None:
    """AP-1, D2"""
    request = ask(amount, kind=kind)

    assert (request.tier, request.seats) == (tier, seats)


@pytest.mark.parametrize(
    ("minor", "currency", "reporting", "seats"),
    [
        (542_887, "USD", 499_999, LEAD),  # 5,428.87 USD x 0.9210 = 4,999.99 EUR
        (542_888, "USD", 500_000, MIDDLE),  # 5,428.88 USD x 0.9210 = 5,000.00 EUR
        (5_428_882, "USD", 5_000_000, MIDDLE),  # 54,288.82 USD = 50,000.00 EUR
        (5_428_883, "USD", 5_000_001, TOP),  # 54,288.83 USD = 50,000.01 EUR
        (819_670, "JPY", 499_999, LEAD),  # 819,670 JPY x 0.0061 = 4,999.99 EUR
        (819_672, "JPY", 500_000, MIDDLE),  # 819,672 JPY x 0.0061 = 5,000.00 EUR
        (1_666_664, "KWD", 499_999, LEAD),  # 1,666.664 KWD x 3 = 4,999.99 EUR (three decimals)
        (1_666_667, "KWD", 500_000, MIDDLE),  # 1,666.667 KWD x 3 = 5,000.00 EUR
    ],
)
def test_another_currency_is_converted_to_the_reporting_currency(
    minor: int, currency: str, reporting: int, seats: list[str]
) -> None:
    """D2, D17"""
    request = ask(Money(minor, currency))

    assert request.reporting_minor == reporting
    assert request.seats == seats


def test_unknown_rate_needs_the_highest_tier_and_says_so() -> None:
    """D2: never a guess."""
    request = ask(Money(100, "CHF"))

    assert request.reporting_minor is None
    assert (request.tier, request.seats) == ("top", TOP)
    assert "no rate from CHF to EUR is known" in request.rule_fired


def test_the_rate_known_at_the_moment_of_asking_is_used() -> None:
    known_rate("CHF", "EUR", "2", as_of=NOW + timedelta(hours=2))

    before = ask(Money(100, "CHF"))
    after = ask(Money(100, "CHF"), now=NOW + timedelta(hours=3))

    assert (before.reporting_minor, after.reporting_minor) == (None, 200)


@pytest.mark.parametrize(
    ("amount", "seats"),
    [
        ("4999.99", [*LEAD, *MIDDLE]),
        ("5000.00", [*MIDDLE, *TOP]),
        ("50000.01", TOP),
    ],
)
def test_raised_risk_adds_the_next_tiers_seats_and_removes_none(
    amount: str, seats: list[str]
) -> None:
    """AP-2, D2"""
    request = ask(amount, risk="raised")

    assert request.seats == seats


@pytest.mark.parametrize(
    ("channel", "currency", "facts", "seats", "name"),
    [
        ("bulk", "EUR", {}, [*LEAD, "compliance"], "Bulk upload"),
        ("browser", "EUR", {"counterparty_watch": True}, [*LEAD, "compliance"], "Counterparty"),
        ("browser", "RUB", {}, [*TOP, "compliance"], "Watched currency"),
        ("browser", "EUR", {"counterparty_watch": False}, LEAD, ""),
        ("api", "EUR", {}, LEAD, ""),
    ],
)
def test_conditions_beyond_amount_add_seats_and_are_named(
    channel: str, currency: str, facts: dict[str, bool], seats: list[str], name: str
) -> None:
    """F23"""
    request = ask(Money(100, currency), channel=channel, facts=facts)

    assert request.seats == seats
    assert name in request.rule_fired


def test_every_kind_of_condition_can_be_written_in_a_policy() -> None:
    """F23: creator, creation source, currency, counterparty, metadata."""
    rules = rules_for("payout_release", currency="EUR")
    rules["conditions"] = [
        {
            "name": "All of them",
            "channels": ["api"],
            "currencies": ["EUR"],
            "counterparties": ["be_1"],
            "requesters": ["p1"],
            "facts": {"rail": ["instant", "wire"]},
            "adds": ["treasury"],
        }
    ]
    policy = parse(rules, version=2)
    asked = {"channel": "api", "currency": "EUR", "requester": "p1"}
    facts = {"beneficiary_id": "be_1", "rail": "wire"}

    assert _seats(policy, **asked, facts=facts) == ("ops_lead", "treasury")
    for other in ({"channel": "browser"}, {"currency": "USD"}, {"requester": "p2"}):
        assert _seats(policy, **{**asked, **other}, facts=facts) == ("ops_lead",)
    for fact in ({"beneficiary_id": "be_2"}, {"rail": "sepa"}):
        assert _seats(policy, **asked, facts={**facts, **fact}) == ("ops_lead",)


def _seats(policy: Policy, **asked: object) -> tuple[str, ...]:
    return tier_for(policy, Exposure("EUR", 100), **asked).seats  # type: ignore[arg-type]


def test_a_payout_of_60000_split_in_13_reaches_middle_and_treasury() -> None:
    """AP-1, D2: cumulative per beneficiary and business day, requested and approved."""
    shares = split(6_000_000, [1] * 13)
    key = "be_split"

    first = ask(Money(shares[0], "EUR"), cumulative_key=key)
    lead = vote(first, "lena")
    rest = [ask(Money(share, "EUR"), cumulative_key=key) for share in shares[1:]]

    assert (lead.kind, first.seats) == ("approved", LEAD)
    assert [r.tier for r in rest] == ["middle"] * 9 + ["top"] * 3
    assert rest[0].rule_fired == (
        "payout_exception v1: middle, 9,230.78 EUR is 5,000.00 EUR to 50,000.00 EUR inclusive "
        "(4,615.39 EUR here + 4,615.39 EUR in 1 other request of the day)"
    )


def test_given_approvals_stay_but_no_longer_suffice_when_the_day_grows() -> None:
    """D2: re-tiered at each decision; AP-1."""
    key = "be_grows"
    request = ask("10000.00", cumulative_key=key)
    assert vote(request, "marco").kind == "recorded"

    ask("45000.00", cumulative_key=key)
    with pytest.raises(refusals.ApprovalRefused, match="This needs Treasury"):
        vote(request, "chen")
    final = vote(request, "sofia")

    stored = fresh(request)
    assert final.kind == "approved"
    assert (stored.tier, stored.seats) == ("top", TOP)
    assert "55,000.00 EUR" in stored.rule_fired
    assert sorted(request.decisions.values_list("seat", flat=True)) == [
        "finance_manager",
        "treasury",
    ]


def test_a_tier_once_decided_under_is_kept_when_the_day_shrinks() -> None:
    """D2: seats are added, never removed, by what others take back."""
    request = ask("4000.00", cumulative_key="be_1", risk="raised")
    other = ask("4000.00", cumulative_key="be_1")
    assert vote(request, "marco").kind == "recorded"
    assert fresh(request).seats == [*MIDDLE, *TOP]

    _take_back(other, "withdraw")
    with pytest.raises(refusals.NotYourDecision, match="the tier middle reached before is kept"):
        vote(request, "lena")

    assert vote(request, "chen").kind == "recorded"
    assert vote(request, "sofia").kind == "approved"


@pytest.mark.parametrize(
    "other", [{"cumulative_key": "be_other"}, {"kind": "payout_release"}, {"now": "tomorrow"}]
)
def test_another_beneficiary_kind_or_day_is_not_added(other: dict[str, Any]) -> None:
    ask("4000.00", cumulative_key="be_1")
    if other.get("now"):
        other = {"now": NOW + timedelta(days=1)}

    request = ask("4000.00", **{"cumulative_key": "be_1", **other})

    assert request.tier == "lower"


@pytest.mark.parametrize("end", ["reject", "withdraw", "void"])
def test_what_was_refused_or_taken_back_is_not_added(end: str) -> None:
    first = ask("4000.00", cumulative_key="be_1")
    if end == "reject":
        vote(first, "lena", "reject")
    else:
        _take_back(first, end)

    assert ask("4000.00", cumulative_key="be_1").tier == "lower"


def test_an_unknown_amount_of_the_day_makes_the_total_unknown() -> None:
    ask(Money(100, "CHF"), cumulative_key="be_1")

    request = ask("10.00", cumulative_key="be_1")

    assert request.tier == "top"
    assert "1 other request of the day without a known amount" in request.rule_fired


def test_the_accounting_day_is_that_of_the_book() -> None:
    """D13: 23:30 UTC is the next day in Berlin, summer and winter."""
    late = NOW.replace(hour=23, minute=30)

    request = ask("10.00", now=late)

    assert meridian().time_zone == "Europe/Berlin"
    assert request.business_day == late.date() + timedelta(days=1)


def _take_back(request: ApprovalRequest, end: str) -> None:
    words: dict[str, Any] = {"reason": "typed twice", "actor": actor("amara"), "now": NOW}
    if end == "withdraw":
        services.withdraw(request_id=request.public_id, **words)
        return
    with transaction.atomic():
        services.void(request_id=request.public_id, **words)
