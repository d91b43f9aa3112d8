"""The lane policy in effect: at the edge, in listings, after a change (WH-23, SC-3)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from payops.core import clock, wake
from payops.core.models import ProviderAccount
from payops.psp import registry
from payops.psp.base import AccountFacts
from payops.webhooks import directory as directory_module
from payops.webhooks import lane_table, listed
from payops.webhooks.listed import ListedBody
from payops.webhooks.models import ProviderEvent
from tests.webhooks.lane_versions import install
from tests.webhooks.senders import send_standard

pytestmark = pytest.mark.django_db(transaction=True)


def body(amount: int, currency: str, *, kind: str = "payment.captured", number: int = 1) -> bytes:
    said = {"id": f"spm_{number}", "object": "payment", "amount": amount, "currency": currency}
    return json.dumps(
        {
            "id": f"sev_{currency}_{amount}_{number}",
            "type": kind,
            "created": int(clock.utc_now().timestamp()),
            "live": False,
            "data": said,
        }
    ).encode()


def lanes_of_events() -> list[str]:
    return list(ProviderEvent.objects.order_by("id").values_list("lane", flat=True))


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`later(6)`: the edge's own clock is six seconds on."""
    real, shift = directory_module.time.monotonic, [0.0]
    monkeypatch.setattr(directory_module.time, "monotonic", lambda: real() + shift[0])
    return lambda seconds: shift.__setitem__(0, shift[0] + seconds)


@pytest.mark.parametrize(
    ("amount", "currency", "lane"),
    [
        (499_999, "EUR", "standard"),
        (500_000, "EUR", "high"),
        (500_001, "EUR", "high"),
        (542_887, "USD", "standard"),
        (542_888, "USD", "high"),
        (542_889, "USD", "high"),
        (819_671, "JPY", "standard"),
        (819_672, "JPY", "high"),
        (819_673, "JPY", "high"),
        (1_666_664, "KWD", "standard"),
        (1_666_665, "KWD", "high"),
        (1_666_666, "KWD", "high"),
        (1, "CHF", "high"),
        (1, "XTS", "high"),
    ],
)
def test_a_payment_waits_by_what_it_is_worth(
    monkeypatch: pytest.MonkeyPatch, amount: int, currency: str, lane: str
) -> None:
    """WH-23, SC-3: 5,000.00 EUR and more is high; without a rate it is never guessed small."""
    woken: list[str] = []
    monkeypatch.setattr(wake, "wake", woken.append)

    assert send_standard(body(amount, currency)).status_code == 200

    assert lanes_of_events() == [lane]
    assert woken == [lane]


def test_a_payout_is_high_whatever_its_amount() -> None:
    send_standard(body(1, "EUR", kind="payout.paid"))

    assert lanes_of_events() == ["high"]


def test_the_verdict_costs_no_statement_of_its_own() -> None:
    send_standard(body(1, "EUR"))

    with CaptureQueriesContext(
        connection,
    ) as seen:
        send_standard(body(700_000, "USD", number=2))

    assert [q["sql"] for q in seen if "policyversion" in q["sql"] or "core_rate" in q["sql"]] == []
    assert lanes_of_events() == ["standard", "high"]


def test_a_new_version_reaches_the_edge_within_seconds_and_stored_events_keep_their_lane(
    owner: Any, later: Any
) -> None:
    """WH-23, D2"""
    send_standard(body(100, "EUR", number=1))
    install(owner, [{"name": "Small change", "from_minor": 100, "lane": "high"}])

    send_standard(body(100, "EUR", number=2))
    later(directory_module.TTL_S + 0.1)
    send_standard(body(100, "EUR", number=3))
    send_standard(body(99, "EUR", number=4))
    send_standard(body(100, "EUR", number=1))

    assert lanes_of_events() == ["standard", "standard", "high", "standard"]


def test_a_rule_for_one_account_holds_at_that_account_alone(owner: Any) -> None:
    """WH-23: an account can be the risk."""
    install(owner, [{"name": "Watched", "accounts": ["standard/demo"], "lane": "high"}])

    send_standard(body(1, "EUR"))

    assert lanes_of_events() == ["high"]
    other = ProviderAccount.objects.get(provider="stripe", slug="demo")
    endpoint = directory_module.directory.find(provider="stripe", slug="demo", now=clock.utc_now())
    assert endpoint is not None and endpoint.address == other.address
    told = registry.adapter("standard").itemize(
        raw=body(1, "EUR"), account=AccountFacts(provider="standard", slug="demo", live=False)
    )
    assert endpoint.lane_of(told.items[0]) == "standard"


def test_a_listed_event_waits_in_the_lane_it_would_have_come_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """WH-23, WH-27"""
    woken: list[str] = []
    monkeypatch.setattr(listed, "wake", woken.append)
    account = ProviderAccount.objects.select_related("book").get(provider="standard", slug="demo")
    facts = AccountFacts(provider="standard", slug="demo", live=False)
    bodies = []
    for number, amount in enumerate((499_999, 500_000)):
        raw = body(amount, "EUR", number=number)
        told = registry.adapter("standard").itemize(raw=raw, account=facts)
        bodies.append(ListedBody(raw, told.items))

    with transaction.atomic():
        listed.store(account=account, bodies=bodies, now=clock.utc_now())

    assert dict(ProviderEvent.objects.values_list("amount_minor", "lane")) == {
        499_999: "standard",
        500_000: "high",
    }
    assert woken == ["high", "standard"]


def test_a_setting_that_does_not_load_is_an_error_before_the_start(settings: Any) -> None:
    settings.PAYOPS_LANES = "payops.flows.lane_policy.nothing_here"
    lane_table.lane_reader.cache_clear()

    try:
        found = lane_table.lanes_load(None)
    finally:
        lane_table.lane_reader.cache_clear()

    assert [error.id for error in found] == ["payops.E002"]
    settings.PAYOPS_LANES = "payops.flows.lane_policy.rules_of"
    assert lane_table.lanes_load(None) == []
