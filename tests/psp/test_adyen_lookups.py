"""The questions that settle an unknown at Adyen, and listing what we missed (WH-15, WH-27, D14)."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from payops.core.money import Money
from payops.psp.base import NormalizedEvent
from payops.psp.calling import NoAnswer, NotFound, ObjectState, PayoutState
from payops.psp.registry import adapter
from tests.psp.adyen_answers import (
    BALANCE_ACCOUNT,
    BOOKED,
    TRANSFER,
    TRANSFER_ID,
    ask,
    body,
    error,
    listed,
)
from tests.psp.adyen_signed import ACCOUNT, read_transfer, transfer
from tests.psp.payouts import OUR_REF, SINCE, requests_seen
from tests.psp.scripted_server import Received, always, http, in_turn

EUR_12400 = Money(1240000, "EUR")


def said(kind: str, ref: str = TRANSFER_ID) -> NormalizedEvent:
    return NormalizedEvent(
        kind=kind,
        provider="adyen",
        provider_event_id="x",
        provider_ref=ref,
        raw_type="x",
        status="",
        occurred_at=None,
        live=False,
    )


@pytest.mark.parametrize(
    ("name", "status", "movement", "back"),
    [
        ("transfer_received", "pending", None, None),
        ("transfer_authorised", "in_transit", None, None),
        ("transfer_booked", "paid", "EVJN42CLX2223N5K003EUR", None),
        ("transfer_failed", "failed", None, None),
        (
            "transfer_returned",
            "returned",
            "EVJN42CLX2223N5K003EUR",
            "EVJN42CLX2223N5K004EUR",
        ),
        ("transfer_cancelled", "canceled", None, None),
    ],
)
def test_fetched_payout_in_each_state(name, status, movement, back):
    shown = json.loads(transfer(name))["data"]

    state = ask("fetch_payout", always(http(200, body(shown))), provider_ref=TRANSFER_ID)

    assert isinstance(state, PayoutState)
    assert (state.status, state.raw_status) == (status, shown["status"])
    assert (state.movement_ref, state.failure_movement_ref) == (movement, back)
    assert (state.our_ref, state.merchant_ref, state.amount) == (OUR_REF, None, EUR_12400)
    assert state.created_at == datetime(2025, 12, 29, 9, 39, 58, tzinfo=UTC)
    [request] = requests_seen
    assert request.target == f"/adyen/btl/v4/transfers/{TRANSFER_ID}"
    assert "idempotency-key" not in request.headers


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (error(404, "30_112"), NotFound(searched=TRANSFER_ID)),
        (http(404, b"{}"), NoAnswer(reason="status_404")),
        (http(404, body({"status": 404})), NoAnswer(reason="status_404")),
        (http(404, body({"errorCode": "x", "status": 200})), NoAnswer(reason="status_404")),
        (http(404, b"<html>"), NoAnswer(reason="answer_not_json")),
        (error(500, "30_900"), NoAnswer(reason="30_900")),
        (http(403, b"{}"), NoAnswer(reason="status_403")),
        (error(422, "30_081"), NoAnswer(reason="30_081")),
        (http(200, b"{}"), NoAnswer(reason="answer_unreadable")),
        (http(200, body(TRANSFER | {"id": "SOMEOTHER"})), NoAnswer(reason="answer_unreadable")),
        (http(200, body(TRANSFER | {"status": "new"})), NoAnswer(reason="answer_unreadable")),
        (http(200, body(TRANSFER | {"amount": None})), NoAnswer(reason="answer_unreadable")),
        (http(200, body(TRANSFER | {"direction": "x"})), NoAnswer(reason="answer_unreadable")),
    ],
)
def test_only_adyen_itself_can_say_not_found(answer, expected):
    assert ask("fetch_payout", always(answer), provider_ref=TRANSFER_ID) == expected
    assert ask("fetch_state", always(answer), said=said("payout.paid")) == expected


@pytest.mark.parametrize("ref", ["", "../events", "T?x=1", "a b", "T/returns", "x" * 300])
def test_reference_that_is_no_id_is_not_asked_for(ref):
    malformed = NoAnswer(reason="reference_malformed")

    assert ask("fetch_payout", always(), provider_ref=ref) == malformed
    assert ask("fetch_state", always(), said=said("payout.paid", ref)) == malformed
    assert requests_seen == []


STEPS = ["payout.initiated", "payout.in_transit", "payout.paid"]


@pytest.mark.parametrize(
    ("name", "reached"),
    [
        ("transfer_received", STEPS[:1]),
        ("transfer_authorised", STEPS[:2]),
        ("transfer_booked", STEPS),
        ("transfer_failed", [*STEPS[:2], "payout.failed"]),
        ("transfer_returned", [*STEPS, "payout.returned"]),
        ("transfer_cancelled", [STEPS[0], "payout.canceled"]),
    ],
)
def test_state_of_a_transfer_proves_what_its_history_holds(name, reached):
    shown = json.loads(transfer(name))["data"]

    state = ask("fetch_state", always(http(200, body(shown))), said=said("payout.paid"))

    assert isinstance(state, ObjectState)
    assert state.reached == frozenset(reached)
    assert (state.provider_ref, state.our_ref, state.amount) == (TRANSFER_ID, OUR_REF, EUR_12400)
    assert state.raw_status == shown["status"]


def test_failure_after_booking_proves_that_it_was_paid():
    late = BOOKED | {"status": "failed", "reason": "counterpartyAccountClosed"}

    state = ask("fetch_state", always(http(200, body(late))), said=said("payout.failed"))

    assert state.reached == frozenset([*STEPS, "payout.failed"])
    assert state.failure_code == "counterpartyAccountClosed"


@pytest.mark.parametrize(
    "kind", ["payment.captured", "refund.accepted", "dispute.opened", "report.available"]
)
def test_what_adyen_does_not_show_stays_open(kind):
    assert ask("fetch_state", always(), said=said(kind)) == NoAnswer(reason="not_offered")
    assert requests_seen == []


def find(script: Any, **named: Any) -> Any:
    return ask("find_payout", script, our_ref=OUR_REF, created_after=SINCE, **named)


def test_found_by_our_reference_on_a_later_page():
    other = TRANSFER | {"id": "OTHER", "reference": "x"}
    incoming = TRANSFER | {"id": "INCOMING", "direction": "incoming"}

    state = find(in_turn(always(listed(other, cursor="c%201")), always(listed(incoming, BOOKED))))

    assert isinstance(state, PayoutState)
    assert (state.provider_ref, state.status) == (TRANSFER_ID, "paid")
    first, second = [parse_qs(urlsplit(request.target).query) for request in requests_seen]
    assert first["balanceAccountId"] == [BALANCE_ACCOUNT]
    assert (first["createdSince"], first["limit"]) == (["2025-12-31T23:55:00Z"], ["100"])
    assert second == first | {"cursor": ["c 1"]}


def test_not_found_only_after_the_last_page():
    empty = in_turn(always(listed(cursor="c1")), always(listed()))

    assert find(empty) == NotFound(searched=OUR_REF)
    assert len(requests_seen) == 2


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        (error(500, "30_900"), "30_900"),
        (error(404, "30_112"), "status_404"),
        (http(200, b"{}"), "answer_unreadable"),
        (http(200, body({"data": [1]})), "answer_unreadable"),
        (http(200, b"[]"), "answer_not_an_object"),
        (listed(cursor="c1"), "answer_unreadable"),
        (http(200, body({"data": [], "_links": {"next": {}}})), "answer_unreadable"),
        (http(200, body({"data": [], "_links": {"next": {"href": "?x=1"}}})), "answer_unreadable"),
        (
            http(200, body({"data": [], "_links": {"next": {"href": "http://[bad"}}})),
            "answer_unreadable",
        ),
    ],
)
def test_list_that_cannot_be_read_to_its_end_is_never_not_found(second, reason):
    assert find(in_turn(always(listed(cursor="c1")), always(second))) == NoAnswer(reason=reason)


def test_list_without_an_end_is_no_answer():
    numbers = iter(range(100))

    def endless(request: Received) -> Iterator[bytes | float]:
        yield listed(cursor=f"c{next(numbers)}")

    assert find(endless) == NoAnswer(reason="list_too_long")
    assert len(requests_seen) == 20


def test_two_transfers_under_one_reference_go_to_a_person():
    found = find(always(listed(TRANSFER, BOOKED | {"id": "TWIN"})))

    assert found == NoAnswer(reason="more_than_one", provider_refs=(TRANSFER_ID, "TWIN"))


def test_match_that_cannot_be_read_is_no_answer():
    assert find(always(listed(TRANSFER | {"status": "?"}))) == NoAnswer(reason="answer_unreadable")


def test_without_a_balance_account_nothing_is_asked():
    missing = "balance_account_missing"

    assert find(always(), settings={}) == NoAnswer(reason=missing)
    page = ask("list_events", always(), created_after=SINCE, cursor=None, settings={})
    assert (page.bodies, page.cursor, page.error) == ((), None, missing)
    assert requests_seen == []


def test_listed_transfer_is_the_event_its_webhook_told():
    since = datetime(2025, 12, 30, tzinfo=UTC)

    page = ask("list_events", always(listed(BOOKED)), created_after=since, cursor=None)

    assert (len(page.bodies), page.cursor, page.error) == (1, None, None)
    [posted] = read_transfer(transfer()).items
    [found] = adapter("adyen").itemize(raw=page.bodies[0], account=ACCOUNT).items
    assert (found.dedupe_key, found.fingerprint) == (posted.dedupe_key, posted.fingerprint)
    assert (found.event_type, found.sequence) == (posted.event_type, 3)
    assert adapter("adyen").parse(page.bodies[0]).kind == "payout.paid"
    [first] = (
        adapter("adyen")
        .itemize(
            raw=ask(
                "list_events",
                always(listed(TRANSFER)),
                created_after=SINCE.replace(2025),
                cursor=None,
            ).bodies[0],
            account=ACCOUNT,
        )
        .items
    )
    assert first.event_type == "balancePlatform.transfer.created"


def test_listing_looks_back_for_transfers_that_still_change():
    """Created before the window, changed inside it: listed. Unchanged since: left out."""
    since = datetime(2025, 12, 30, tzinfo=UTC)
    stale = TRANSFER | {"id": "STALE"}

    page = ask("list_events", always(listed(stale, BOOKED)), created_after=since, cursor=None)

    assert [json.loads(raw)["data"]["id"] for raw in page.bodies] == [TRANSFER_ID]
    query = parse_qs(urlsplit(requests_seen[0].target).query)
    assert query["createdSince"] == ["2025-12-16T00:00:00Z"]


def test_listing_goes_on_within_one_window():
    page = ask("list_events", always(listed(BOOKED, cursor="c1")), created_after=SINCE, cursor=None)
    first = parse_qs(urlsplit(requests_seen[0].target).query)

    ask("list_events", always(listed()), created_after=SINCE, cursor=page.cursor)

    assert page.cursor == f"{first['createdUntil'][0]}~c1"
    assert parse_qs(urlsplit(requests_seen[0].target).query) == first | {"cursor": ["c1"]}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (error(500, "30_900"), "30_900"),
        (http(200, b"{}"), "answer_unreadable"),
        (http(404, b"{}"), "status_404"),
    ],
)
def test_transfers_that_cannot_be_listed_say_why(answer, reason):
    page = ask("list_events", always(answer), created_after=SINCE, cursor=None)

    assert (page.bodies, page.cursor, page.error) == ((), None, reason)
