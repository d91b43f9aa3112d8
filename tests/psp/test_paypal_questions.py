"""What PayPal is asked about payouts, and what its answers prove (D14, WH-15, WH-27)."""

import json
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from payops.core.http import HttpClient
from payops.core.money import Money
from payops.psp.calling import (
    NoAnswer,
    NotFound,
    ObjectState,
    PayoutState,
)
from payops.psp.paypal.oauth import TOKENS
from payops.psp.registry import adapter, calls
from tests.psp.paypal_api import API_KEY, body, ok, paypal_api, problem
from tests.psp.paypal_orders import (
    EVENTS_URL,
    GET_ITEM,
    ITEM,
    LIST,
    OUR_REF,
    SINCE,
)
from tests.psp.paypal_signed import account, event
from tests.psp.scripted_server import http, scripted_server
from tests.psp.signed import fixture


def fetch(answers, ref="8AELMXH8UB2P8"):
    with paypal_api(answers) as api:
        return calls("paypal").fetch_payout(provider_ref=ref, **api.caller())


@pytest.mark.parametrize(
    ("raw_status", "status", "back"),
    [
        ("PENDING", "pending", None),
        ("UNCLAIMED", "in_transit", None),
        ("ONHOLD", "in_transit", None),
        ("SUCCESS", "paid", None),
        ("FAILED", "failed", None),
        ("BLOCKED", "failed", None),
        ("RETURNED", "returned", "4TB12345AB678901C:back"),
        ("REFUNDED", "returned", "4TB12345AB678901C:back"),
        ("REVERSED", "returned", "4TB12345AB678901C:back"),
    ],
)
def test_fetched_item_in_each_state(raw_status, status, back):
    state = fetch({GET_ITEM: ok(ITEM | {"transaction_status": raw_status})})

    assert isinstance(state, PayoutState)
    assert (state.status, state.raw_status) == (status, raw_status)
    assert (state.our_ref, state.amount) == (OUR_REF, Money(1240000, "EUR"))
    assert (state.movement_ref, state.failure_movement_ref) == ("4TB12345AB678901C", back)


def test_item_nobody_could_claim_failed_and_is_back():
    unclaimed = json.loads(fixture("paypal", "payout_item_returned_unclaimed"))["resource"]
    state = fetch({GET_ITEM: ok(unclaimed)})

    assert isinstance(state, PayoutState)
    assert (state.status, state.failure_code) == ("failed", "RECEIVER_UNREGISTERED")
    assert state.failure_movement_ref == "4TB12345AB678901C:back"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (problem(404, "RESOURCE_NOT_FOUND"), NotFound(searched="8AELMXH8UB2P8")),
        (problem(404, "INVALID_RESOURCE_ID"), NotFound(searched="8AELMXH8UB2P8")),
        (problem(404, "ROUTE_MISSING"), NoAnswer(reason="status_404")),
        (http(404, b"<html>"), NoAnswer(reason="answer_not_json")),
        (problem(500, "INTERNAL_SERVICE_ERROR"), NoAnswer(reason="INTERNAL_SERVICE_ERROR")),
        (ok({}), NoAnswer(reason="answer_unreadable")),
        (ok(ITEM | {"transaction_status": "NEWS"}), NoAnswer(reason="answer_unreadable")),
    ],
)
def test_only_paypal_itself_can_say_not_found(answer, expected):
    assert fetch({GET_ITEM: answer}) == expected


def test_reference_that_is_no_id_is_not_put_into_a_path():
    assert fetch({}, ref="../captures/1") == NoAnswer(reason="reference_malformed")


def listed(*events: bytes, following: str | None = None) -> bytes:
    links = [{"href": "https://api.sandbox.paypal.com/self", "rel": "self"}]
    if following:
        links.append({"href": following, "rel": "next", "method": "GET"})
    return ok({"events": [json.loads(each) for each in events], "count": 1, "links": links})


def find(answers):
    with paypal_api(answers) as api:
        found = calls("paypal").find_payout(our_ref=OUR_REF, created_after=SINCE, **api.caller())
        return found, api


def test_payout_is_found_by_the_events_of_its_item_and_read_as_it_is_now():
    others = (fixture("paypal", "capture_completed"), fixture("paypal", "payout_batch_processing"))
    mine = fixture("paypal", "payout_item_unclaimed")
    answers = {LIST: listed(*others, mine, mine), GET_ITEM: ok(ITEM)}
    found, api = find(answers)

    assert isinstance(found, PayoutState)
    assert (found.provider_ref, found.status) == ("8AELMXH8UB2P8", "paid")
    query = parse_qs(urlsplit(api.asked[0]).query)
    assert query["start_time"] == ["2025-12-31T23:55:00Z"]
    assert query["page_size"] == ["100"]


def test_payout_without_an_event_is_not_found_only_at_the_end_of_the_list():
    following = "https://api.sandbox.paypal.com/v1/notifications/webhooks-events?page=2"
    empty = {LIST: [listed(following=following), listed()]}
    broken = {LIST: [listed(following=following), problem(500, "INTERNAL_SERVICE_ERROR")]}

    assert find(empty)[0] == NotFound(searched=OUR_REF)
    assert find(broken)[0] == NoAnswer(reason="INTERNAL_SERVICE_ERROR")


def test_two_items_under_our_reference_are_for_a_person():
    item = ITEM | {"payout_item_id": "OTHERITEM0001"}
    answers = {
        LIST: listed(
            fixture("paypal", "payout_item_succeeded"),
            body(json.loads(fixture("paypal", "payout_item_failed")) | {"resource": item}),
        )
    }

    expected = NoAnswer(reason="more_than_one", provider_refs=("8AELMXH8UB2P8", "OTHERITEM0001"))
    assert find(answers)[0] == expected


def test_item_that_told_of_itself_cannot_be_absent():
    answers = {
        LIST: listed(fixture("paypal", "payout_item_succeeded")),
        GET_ITEM: problem(404, "RESOURCE_NOT_FOUND"),
    }

    found = find(answers)[0]
    assert isinstance(found, NoAnswer)
    assert found.reason == "item_told_of_but_missing"


def test_list_that_never_ends_is_given_up():
    pages = [listed(following=f"{EVENTS_URL}?page={n}") for n in range(30)]
    found, api = find({LIST: pages})

    assert found == NoAnswer(reason="list_too_long")
    assert len(api.asked) == 20


def pages_of(answers, cursor=None):
    with paypal_api(answers) as api:
        page = calls("paypal").list_events(created_after=SINCE, cursor=cursor, **api.caller())
        return page, api


def test_listed_events_read_like_webhooks_and_go_on_at_our_own_host():
    mine = fixture("paypal", "payout_item_succeeded")
    following = f"{EVENTS_URL}?page_size=100&start=x%3D1"
    page, _ = pages_of({LIST: listed(mine, following=following)})

    assert (page.error, page.cursor) == (None, "page_size=100&start=x%3D1")
    [body_] = page.bodies
    [item] = adapter("paypal").itemize(raw=body_, account=account()).items
    [posted] = adapter("paypal").itemize(raw=mine, account=account()).items
    assert (item.dedupe_key, item.fingerprint) == (posted.dedupe_key, posted.fingerprint)

    second, api = pages_of({LIST: listed()}, cursor=page.cursor)
    assert (second.bodies, second.cursor, second.error) == ((), None, None)
    assert api.asked == [f"{LIST}?page_size=100&start=x%3D1"]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (
            listed(following=f"{EVENTS_URL}?page=2".replace("api.paypal.com", "evil.example")),
            "next_link_elsewhere",
        ),
        (listed(following="https://api.paypal.com/v1/oauth2/token?page=2"), "answer_unreadable"),
        (listed(following=EVENTS_URL), "answer_unreadable"),
        (ok({"events": None}), "answer_unreadable"),
        (ok({"events": [1]}), "answer_unreadable"),
        (problem(429, "RATE_LIMIT_REACHED"), "RATE_LIMIT_REACHED"),
        (http(404, b"<html>"), "answer_not_json"),
    ],
)
def test_page_that_cannot_be_trusted_is_an_error_never_an_empty_list(answer, error):
    page, _ = pages_of({LIST: answer})

    assert (page.bodies, page.cursor, page.error) == ((), None, error)


@pytest.mark.parametrize("cursor", ["page=1 HTTP/1.1", "a\r\nb", "x" * 1501, "#", ""])
def test_cursor_that_was_never_given_out_is_refused(cursor):
    page, api = pages_of({LIST: listed()}, cursor=cursor)

    assert page.error == "cursor_malformed"
    assert api.server.received == []


def state_of(name, answers, **changes):
    said = adapter("paypal").parse(event(name, **changes))
    with paypal_api(answers) as api:
        return calls("paypal").fetch_state(said=said, **api.caller())


@pytest.mark.parametrize(
    ("raw_status", "reached"),
    [
        ("PENDING", set()),
        ("UNCLAIMED", {"payout.in_transit"}),
        ("SUCCESS", {"payout.in_transit", "payout.paid"}),
        ("FAILED", {"payout.failed"}),
        ("RETURNED", {"payout.in_transit", "payout.returned"}),
        ("REFUNDED", {"payout.in_transit", "payout.paid", "payout.returned"}),
        ("REVERSED", {"payout.in_transit", "payout.paid", "payout.returned"}),
    ],
)
def test_state_of_a_payout_says_what_must_have_happened(raw_status, reached):
    answers = {GET_ITEM: ok(ITEM | {"transaction_status": raw_status})}
    state = state_of("payout_item_succeeded", answers)

    assert isinstance(state, ObjectState)
    assert state.reached == reached | {"payout.initiated"}
    assert (state.our_ref, state.amount) == (OUR_REF, Money(1240000, "EUR"))


def test_returned_item_agrees_with_a_cancel_that_was_told():
    state = state_of(
        "payout_item_canceled", {GET_ITEM: ok(ITEM | {"transaction_status": "RETURNED"})}
    )

    assert isinstance(state, ObjectState)
    assert "payout.canceled" in state.reached


@pytest.mark.parametrize(
    ("name", "path", "resource", "reached"),
    [
        (
            "capture_completed",
            "/v2/payments/captures/2GG279541U471931P",
            {"status": "COMPLETED"},
            {"payment.captured"},
        ),
        (
            "capture_completed",
            "/v2/payments/captures/2GG279541U471931P",
            {"status": "REFUNDED"},
            {"payment.captured", "refund.observed"},
        ),
        (
            "capture_completed",
            "/v2/payments/captures/2GG279541U471931P",
            {"status": "DECLINED"},
            {"payment.failed"},
        ),
        (
            "capture_refunded",
            "/v2/payments/refunds/1JU08902781691411",
            {"status": "COMPLETED"},
            {"refund.accepted", "refund.succeeded"},
        ),
        (
            "refund_failed",
            "/v2/payments/refunds/1JU08902781691411",
            {"status": "FAILED"},
            {"refund.accepted", "refund.failed", "refund.failed_late"},
        ),
        (
            "capture_reversed",
            "/v2/payments/refunds/1JU08902781691411",
            {"status": "COMPLETED"},
            {"dispute.funds_withdrawn"},
        ),
        (
            "dispute_created",
            "/v1/customer/disputes/PP-D-27803",
            {"status": "OPEN"},
            {"dispute.opened"},
        ),
        (
            "dispute_resolved_lost",
            "/v1/customer/disputes/PP-D-27803",
            {"status": "RESOLVED", "update_time": "2026-01-03T00:00:00Z"},
            {"dispute.opened", "dispute.updated", "dispute.lost"},
        ),
    ],
)
def test_state_of_everything_else(name, path, resource, reached):
    told = json.loads(fixture("paypal", name))["resource"] | resource
    state = state_of(name, {f"GET {path}": ok(told)})

    assert isinstance(state, ObjectState)
    assert state.reached == reached


def test_event_about_nothing_that_can_be_fetched_leaves_the_question_open():
    assert state_of("sale_completed", {}) == NoAnswer(reason="not_offered")


def test_whole_conversation_shares_one_deadline():
    def slow(_request):
        yield 3.0

    TOKENS.forget()
    with scripted_server(slow) as server:
        started = datetime.now(UTC)
        found = calls("paypal").find_payout(
            our_ref=OUR_REF,
            created_after=SINCE,
            http=HttpClient(allow=server.allow),
            base_url=server.origin,
            api_key=API_KEY,
            deadline_s=0.6,
        )
        took = datetime.now(UTC) - started

    assert isinstance(found, NoAnswer)
    assert took < timedelta(seconds=2)
