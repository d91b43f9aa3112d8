"""The questions that settle an unknown, and listing what we missed (WH-15, WH-27, D14)."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest

from payops.core.http import HttpClient
from payops.core.money import Money
from payops.psp.calling import NoAnswer, NotFound, PayoutLookup, PayoutState
from payops.psp.registry import calls, provider
from tests.psp.payouts import (
    API_KEY,
    BOTH,
    OUR_REF,
    PAYOUTS,
    PREFIX,
    SINCE,
    STRIPE_PAYOUT,
    body,
    error,
    requests_seen,
)
from tests.psp.scripted_server import Received, Script, always, http, in_turn, scripted_server
from tests.psp.signed import fixture


def fetch(name: str, script: Script, ref: str = "po_1") -> PayoutLookup:
    with scripted_server(script) as server:
        found = calls(name).fetch_payout(
            provider_ref=ref,
            http=HttpClient(allow=server.allow),
            base_url=server.origin,
            api_key=API_KEY,
            deadline_s=5.0,
        )
        requests_seen[:] = server.received
    return found


def find(name: str, script: Script) -> PayoutLookup:
    with scripted_server(script) as server:
        found = calls(name).find_payout(
            our_ref=OUR_REF,
            created_after=SINCE,
            http=HttpClient(allow=server.allow),
            base_url=server.origin,
            api_key=API_KEY,
            deadline_s=5.0,
        )
        requests_seen[:] = server.received
    return found


@BOTH
@pytest.mark.parametrize(
    ("change", "status", "back"),
    [
        ({}, "pending", {"stripe": None, "standard": None}),
        ({"status": "in_transit"}, "in_transit", {"stripe": None, "standard": None}),
        ({"status": "paid"}, "paid", {"stripe": None, "standard": None}),
        (
            {"status": "failed", "failure_balance_transaction": "txn_back"},
            "failed",
            {"stripe": "txn_back", "standard": None},
        ),
        ({"status": "canceled"}, "canceled", {"stripe": None, "standard": None}),
    ],
)
def test_fetched_payout_in_each_state(name, change, status, back):
    state = fetch(name, always(http(200, body(PAYOUTS[name] | change))), PAYOUTS[name]["id"])

    assert isinstance(state, PayoutState)
    assert (state.status, state.failure_movement_ref) == (status, back[name])
    assert (state.our_ref, state.amount) == (OUR_REF, Money(1240000, "EUR"))
    assert state.created_at == SINCE
    [request] = requests_seen
    assert request.target == f"{PREFIX[name]}/payouts/{PAYOUTS[name]['id']}"
    assert "idempotency-key" not in request.headers


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("stripe", {"status": "paid", "reversed_by": "po_2"}),
        ("standard", {"status": "reversed"}),
    ],
)
def test_reversed_payout_is_returned(name, change):
    state = fetch(name, always(http(200, body(PAYOUTS[name] | change))))

    assert isinstance(state, PayoutState)
    assert (state.status, state.raw_status) == ("returned", change["status"])


@BOTH
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (error(404, "resource_missing"), NotFound(searched="po_1")),
        (error(404, "route_missing"), NoAnswer(reason="status_404")),
        (http(404, b"<html>"), NoAnswer(reason="answer_not_json")),
        (error(500, "", "api_error"), NoAnswer(reason="api_error")),
        (http(403, b"{}"), NoAnswer(reason="status_403")),
        (http(200, b"{}"), NoAnswer(reason="answer_unreadable")),
        (http(200, body({"id": "x", "status": "invented"})), NoAnswer(reason="answer_unreadable")),
    ],
)
def test_only_the_provider_itself_can_say_not_found(name, answer, expected):
    assert fetch(name, always(answer)) == expected


@BOTH
@pytest.mark.parametrize("ref", ["", "../events", "po_1?x=1", "po 1", "po_1/cancel", "x" * 300])
def test_reference_that_is_no_id_is_not_asked_for(name, ref):
    assert fetch(name, always(), ref) == NoAnswer(reason="reference_malformed")
    assert requests_seen == []


def listed(*rows: dict, more: bool = False) -> bytes:
    return http(200, body({"object": "list", "data": list(rows), "has_more": more}))


@BOTH
def test_found_by_our_reference(name):
    other = PAYOUTS[name] | {"id": "po_0", "reference": "x", "metadata": {}}

    state = find(name, always(listed(other, PAYOUTS[name])))

    assert isinstance(state, PayoutState)
    assert state.provider_ref == PAYOUTS[name]["id"]


@BOTH
def test_not_found_by_our_reference(name):
    assert find(name, always(listed())) == NotFound(searched=OUR_REF)


@BOTH
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (http(200, b"{}"), "answer_unreadable"),
        (http(200, body({"data": [1]})), "answer_unreadable"),
        (error(404, "resource_missing"), "status_404"),
        (error(500, "", "api_error"), "api_error"),
        (http(200, b"[]"), "answer_not_an_object"),
    ],
)
def test_list_that_cannot_be_read_is_never_not_found(name, answer, reason):
    assert find(name, always(answer)) == NoAnswer(reason=reason)


@BOTH
def test_two_payouts_under_one_reference_go_to_a_person(name):
    twin = PAYOUTS[name] | {"id": "po_twin"}

    found = find(name, always(listed(PAYOUTS[name], twin)))

    assert found == NoAnswer(reason="more_than_one", provider_refs=(PAYOUTS[name]["id"], "po_twin"))


def test_stripe_list_is_read_to_its_end():
    first = listed(STRIPE_PAYOUT | {"id": "po_9", "metadata": {}}, more=True)

    state = find("stripe", in_turn(always(first), always(listed(STRIPE_PAYOUT))))

    assert isinstance(state, PayoutState)
    queries = [parse_qs(urlsplit(request.target).query) for request in requests_seen]
    assert queries[0] == {"created[gte]": [str(int(SINCE.timestamp()) - 300)], "limit": ["100"]}
    assert queries[1]["starting_after"] == ["po_9"]


def test_stripe_list_without_an_end_is_no_answer():
    numbers = iter(range(100))

    def endless(request: Received) -> Iterator[bytes | float]:
        yield listed({"id": f"po_{next(numbers)}", "metadata": {}}, more=True)

    assert find("stripe", endless) == NoAnswer(reason="list_too_long")
    assert len(requests_seen) == 20


def test_stripe_list_that_repeats_itself_is_no_answer():
    same = listed({"id": "po_9", "metadata": {}}, more=True)

    assert find("stripe", always(same)) == NoAnswer(reason="answer_unreadable")


@BOTH
def test_failing_second_page_is_never_not_found(name):
    first = listed(PAYOUTS[name] | {"id": "po_9", "reference": "x", "metadata": {}}, more=True)

    found = find(name, in_turn(always(first), always(error(500, "", "api_error"))))

    assert isinstance(found, NoAnswer)


@BOTH
def test_listed_events_are_bodies_that_parse_reads(name):
    event = json.loads(fixture(name, "payout_paid"))
    with scripted_server(always(listed(event, more=True))) as server:
        page = calls(name).list_events(
            created_after=datetime(2025, 1, 1, tzinfo=UTC),
            cursor="evt_before",
            http=HttpClient(allow=server.allow),
            base_url=server.origin,
            api_key=API_KEY,
            deadline_s=5.0,
        )

    assert (page.cursor, page.error) == (event["id"], None)
    parsed = provider(name).webhooks.parse(page.bodies[0])
    assert (parsed.kind, parsed.provider_event_id) == ("payout.paid", event["id"])
    assert "evt_before" in server.received[0].target


@BOTH
def test_events_that_cannot_be_listed_say_why(name):
    with scripted_server(always(error(500, "", "api_error"))) as server:
        page = calls(name).list_events(
            created_after=SINCE,
            cursor=None,
            http=HttpClient(allow=server.allow),
            base_url=server.origin,
            api_key=API_KEY,
            deadline_s=5.0,
        )

    assert (page.bodies, page.cursor, page.error) == ((), None, "api_error")
