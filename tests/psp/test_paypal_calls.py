"""PayPal calls against a server with each fault, and what we conclude (D14, WH-15, WH-27, I7)."""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from payops.core.http import HttpClient
from payops.core.money import Money, MoneyError
from payops.psp.base import (
    NoAnswer,
    NotFound,
    ObjectState,
    PayoutOrder,
    PayoutState,
    RefundOrder,
)
from payops.psp.paypal.oauth import TOKENS, TokenAway, Tokens
from payops.psp.registry import adapter, calls, provider
from tests.psp.paypal_api import API_KEY, TOKEN, body, ok, paypal_api, problem, token
from tests.psp.paypal_signed import account, event
from tests.psp.scripted_server import always, http, scripted_server
from tests.psp.signed import fixture

OUR_REF = "po_0190d3a1b2c37d4e8f90a1b2c3d4e5f6"
REFUND_REF = "rf_0190d3a1b2c37d4e8f90a1b2c3d4e5f7"
KEY = f"payops-{OUR_REF}"
SINCE = datetime(2026, 1, 1, tzinfo=UTC)
ORDER = PayoutOrder(
    our_ref=OUR_REF,
    merchant_ref="P-10492",
    amount=Money(1240000, "EUR"),
    destination_token="RD465XN5VS364",
    description="Payout P-10492",
    idempotency_key=KEY,
)
REFUND = RefundOrder(
    our_ref=REFUND_REF,
    merchant_ref="R-1",
    payment_provider_ref="2GG279541U471931P",
    amount=Money(3000, "EUR"),
    idempotency_key="payops-refund-1",
)
ITEM = json.loads(fixture("paypal", "payout_item_succeeded"))["resource"]
PENDING = ITEM | {"transaction_status": "PENDING"}
HEADER = json.loads(fixture("paypal", "payout_batch_processing"))["resource"]["batch_header"]
BATCH = {"batch_header": HEADER, "items": [PENDING]}
POSTED = {"batch_header": {k: HEADER[k] for k in ("payout_batch_id", "sender_batch_header")}}
POST = "POST /v1/payments/payouts"
GET_BATCH = "GET /v1/payments/payouts/Q8KPQ2ZXLZ3JE"
GET_ITEM = "GET /v1/payments/payouts-item/8AELMXH8UB2P8"
LIST = "GET /v1/notifications/webhooks-events"
EVENTS_URL = "https://api.paypal.com/v1/notifications/webhooks-events"
ACCEPTED = {POST: ok(POSTED, 201), GET_BATCH: ok(BATCH)}
DUPLICATE = {
    "field": "SENDER_BATCH_ID",
    "location": "body",
    "issue": "Batch with given sender_batch_id already exists",
    "link": [
        {
            "href": "https://api-m.sandbox.paypal.com/v1/payments/payouts/Q8KPQ2ZXLZ3JE",
            "rel": "self",
            "method": "GET",
        }
    ],
}


def submit(answers, order=ORDER):
    with paypal_api(answers) as api:
        return calls("paypal").submit_payout(order=order, **api.caller()), api


def test_accepted_payout_is_known_by_its_item():
    outcome, api = submit(ACCEPTED)

    assert (outcome.kind, outcome.status_code, outcome.error_code) == ("succeeded", 201, None)
    assert (outcome.provider_ref, outcome.provider_status) == ("8AELMXH8UB2P8", "PENDING")
    assert (outcome.echo_amount, outcome.echo_reference) == (Money(1240000, "EUR"), OUR_REF)
    assert api.asked == [POST, GET_BATCH]
    [request] = api.of("/v1/payments/payouts")
    assert request.headers["paypal-request-id"] == KEY
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert json.loads(request.body) == {
        "sender_batch_header": {"sender_batch_id": KEY},
        "items": [
            {
                "recipient_type": "PAYPAL_ID",
                "receiver": "RD465XN5VS364",
                "amount": {"currency": "EUR", "value": "12400.00"},
                "note": "Payout P-10492",
                "sender_item_id": OUR_REF,
            }
        ],
    }


def test_token_is_asked_for_once_with_the_clients_credentials():
    with paypal_api(ACCEPTED) as api:
        calls("paypal").submit_payout(order=ORDER, **api.caller())
        calls("paypal").submit_payout(order=ORDER, **api.caller())
        [asked] = api.of("/v1/oauth2/token")

    basic = base64.b64encode(API_KEY.encode()).decode()
    assert asked.headers["authorization"] == f"Basic {basic}"
    assert asked.body == b"grant_type=client_credentials"


@pytest.mark.parametrize(
    ("destination", "kind"),
    [("seller@example.com", "EMAIL"), ("+4915112345678", "PHONE"), ("RD465XN5VS364", "PAYPAL_ID")],
)
def test_destination_tells_its_kind(destination, kind):
    _, api = submit(ACCEPTED, replace(ORDER, destination_token=destination))

    [request] = api.of("/v1/payments/payouts")
    assert json.loads(request.body)["items"][0]["recipient_type"] == kind


def test_record_of_a_call_shows_neither_credentials_nor_destination():
    answers = ACCEPTED | {POST: ok(POSTED | {"secret_field": "hidden"}, 201)}
    outcome, _ = submit(answers, replace(ORDER, destination_token="seller@example.com"))

    shown = repr(outcome)
    for hidden in ("client-secret", TOKEN, "seller@example.com", "hidden"):
        assert hidden not in shown
    assert outcome.request_masked["destination"] == "….com"
    assert outcome.response_masked == {
        "payout_batch_id": "Q8KPQ2ZXLZ3JE",
        "payout_item_id": "8AELMXH8UB2P8",
        "status": "PENDING",
    }
    assert outcome.request_masked["idempotency_key"] == KEY


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"amount": {"currency": "EUR", "value": "12400.01"}}, "amount_mismatch"),
        ({"amount": {"currency": "USD", "value": "12400.00"}}, "amount_mismatch"),
        ({"amount": None}, "amount_mismatch"),
        ({"amount": {"currency": "EUR", "value": 12400}}, "amount_mismatch"),
        ({"sender_item_id": "po_other"}, "reference_mismatch"),
        ({"sender_item_id": None}, "reference_mismatch"),
    ],
)
def test_item_of_something_else_is_a_mismatch(change, code):
    item = PENDING | {"payout_item": PENDING["payout_item"] | change}
    outcome, _ = submit(ACCEPTED | {GET_BATCH: ok(BATCH | {"items": [item]})})

    assert (outcome.kind, outcome.error_code) == ("mismatch", code)
    assert outcome.provider_ref == "8AELMXH8UB2P8"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (ok(BATCH | {"items": []}), "item_not_listed_yet"),
        (ok({"batch_header": HEADER}), "item_not_listed_yet"),
        (ok(BATCH | {"items": [PENDING, PENDING]}), "more_than_one_item"),
        (ok(BATCH | {"items": [{"payout_item_id": None}]}), "answer_unreadable"),
        (problem(404, "INVALID_RESOURCE_ID"), "batch_not_found"),
        (problem(500, "INTERNAL_SERVICE_ERROR"), "batch_INTERNAL_SERVICE_ERROR"),
        (http(502, b"<html>"), "batch_answer_not_json"),
    ],
)
def test_posted_batch_whose_item_cannot_be_read_is_unknown_never_lost(answer, code):
    outcome, _ = submit(ACCEPTED | {GET_BATCH: answer})

    assert (outcome.kind, outcome.error_code) == ("unknown", code)


@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [
        (
            problem(400, "VALIDATION_ERROR", {"field": "a", "issue": "b c"}),
            "refused",
            "VALIDATION_ERROR",
        ),
        (
            problem(400, "VALIDATION_ERROR", {"field": "sender_batch_id", "issue": "too long"}),
            "refused",
            "VALIDATION_ERROR",
        ),
        (problem(403, "AUTHORIZATION_ERROR"), "refused", "AUTHORIZATION_ERROR"),
        (problem(422, "INSUFFICIENT_FUNDS"), "refused", "INSUFFICIENT_FUNDS"),
        (problem(409, "RESOURCE_CONFLICT"), "unknown", "RESOURCE_CONFLICT"),
        (problem(429, "RATE_LIMIT_REACHED"), "failed", "RATE_LIMIT_REACHED"),
        (problem(500, "INTERNAL_SERVICE_ERROR"), "unknown", "INTERNAL_SERVICE_ERROR"),
        (http(503, b""), "unknown", "no_clear_answer"),
        (http(404, b"<html>proxy</html>"), "unknown", "no_clear_answer"),
        (http(302, b"", Location="https://elsewhere.example/"), "unknown", "no_clear_answer"),
        (http(200, b"{}"), "unknown", "answer_unreadable"),
        (http(201, b"not json"), "unknown", "answer_unreadable"),
        (ok({"batch_header": {"payout_batch_id": "../x"}}, 201), "unknown", "answer_unreadable"),
        (
            b"HTTP/1.1 201 Created\r\nContent-Length: 50\r\n\r\n{",
            "unknown",
            "remote_protocol_error",
        ),
    ],
)
def test_each_other_answer_is_refused_failed_or_unknown(answer, kind, code):
    outcome, api = submit({POST: answer})

    assert (outcome.kind, outcome.error_code) == (kind, code)
    assert outcome.provider_ref is None
    assert api.asked == [POST]


@pytest.mark.parametrize("member", ["link", "links"])
def test_duplicate_batch_is_the_first_one_read_again(member):
    detail = {k: v for k, v in DUPLICATE.items() if k != "link"} | {member: DUPLICATE["link"]}
    outcome, api = submit({POST: problem(400, "USER_BUSINESS_ERROR", detail), GET_BATCH: ok(BATCH)})

    assert (outcome.kind, outcome.replayed, outcome.error_code) == ("succeeded", True, None)
    assert outcome.provider_ref == "8AELMXH8UB2P8"
    assert outcome.response_masked["first_batch"] == "Q8KPQ2ZXLZ3JE"
    # The link's host is never asked, only the id in its path is taken.
    assert api.asked == [POST, GET_BATCH]


@pytest.mark.parametrize(
    ("post", "batch", "code"),
    [
        ({**DUPLICATE, "link": []}, BATCH, "duplicate_without_link"),
        (
            {**DUPLICATE, "link": [{"href": "https://x.example/v1/payments/payouts/a/../b"}]},
            BATCH,
            "duplicate_without_link",
        ),
        (
            DUPLICATE,
            {
                **BATCH,
                "batch_header": {**HEADER, "sender_batch_header": {"sender_batch_id": "theirs"}},
            },
            "linked_batch_is_not_ours",
        ),
        (DUPLICATE, {**BATCH, "items": []}, "item_not_listed_yet"),
    ],
)
def test_duplicate_that_cannot_be_read_is_unknown_never_refused(post, batch, code):
    outcome, _ = submit({POST: problem(400, "USER_BUSINESS_ERROR", post), GET_BATCH: ok(batch)})

    assert (outcome.kind, outcome.error_code, outcome.provider_ref) == ("unknown", code, None)


def test_duplicate_of_another_sum_is_a_mismatch():
    item = PENDING | {
        "payout_item": PENDING["payout_item"] | {"amount": {"currency": "EUR", "value": "1.00"}}
    }
    outcome, _ = submit(
        {
            POST: problem(400, "USER_BUSINESS_ERROR", DUPLICATE),
            GET_BATCH: ok(BATCH | {"items": [item]}),
        }
    )

    assert (outcome.kind, outcome.error_code) == ("mismatch", "amount_mismatch")


@pytest.mark.parametrize(
    ("answer", "code", "status"),
    [
        (http(401, b'{"error":"invalid_client"}'), "token_status_401", 401),
        (http(503, b""), "token_status_503", 503),
        (http(200, b"<html>"), "token_unreadable", 200),
        (ok({"access_token": "bad\r\nX: y"}), "token_unreadable", 200),
        (ok({"access_token": None}), "token_unreadable", 200),
        (b"", "token_remote_protocol_error", None),
    ],
)
def test_without_a_token_nothing_was_sent_and_a_retry_is_safe(answer, code, status):
    outcome, api = submit(ACCEPTED | {"POST /v1/oauth2/token": answer})

    assert (outcome.kind, outcome.error_code, outcome.status_code) == ("failed", code, status)
    assert api.asked == []


def test_token_that_is_no_longer_taken_is_renewed_once():
    answers = {
        "POST /v1/oauth2/token": [token("first"), token("second")],
        POST: [problem(401, "AUTHENTICATION_FAILURE"), ok(POSTED, 201)],
        GET_BATCH: ok(BATCH),
    }
    outcome, api = submit(answers)

    assert outcome.kind == "succeeded"
    tokens = [each.headers["authorization"] for each in api.of("/v1/payments/payouts")]
    assert tokens == ["Bearer first", "Bearer second"]


def test_second_401_is_the_answer():
    outcome, api = submit({POST: problem(401, "AUTHENTICATION_FAILURE")})

    assert (outcome.kind, outcome.error_code) == ("refused", "AUTHENTICATION_FAILURE")
    assert api.asked == [POST, POST]
    assert len(api.of("/v1/oauth2/token")) == 2


def test_token_is_kept_until_shortly_before_its_end():
    now = [0.0]
    tokens = Tokens(clock=lambda: now[0])

    with paypal_api({"POST /v1/oauth2/token": [token("one"), token("two")]}) as api:

        def bearer() -> str:
            return tokens.bearer(**api.caller())

        assert [bearer(), bearer()] == ["one", "one"]
        now[0] = 32400 - 61.0
        assert bearer() == "one"
        now[0] = 32400 - 60.0
        assert bearer() == "two"


def test_each_client_has_a_token_of_its_own():
    tokens = Tokens()
    with paypal_api({"POST /v1/oauth2/token": [token("one"), token("two")]}) as api:
        first = tokens.bearer(**api.caller())
        second = tokens.bearer(**api.caller() | {"api_key": "client-id:other-secret"})

    assert (first, second) == ("one", "two")


def test_credentials_without_a_colon_are_refused_before_a_call():
    with scripted_server(always(token())) as server, pytest.raises(TokenAway, match="malformed"):
        TOKENS.bearer(
            http=HttpClient(allow=server.allow),
            base_url=server.origin,
            api_key="only-an-id",
            deadline_s=1.0,
        )
    assert server.connections == 0


def test_sum_paypal_cannot_express_is_refused_before_anything_is_sent():
    with paypal_api(ACCEPTED) as api, pytest.raises(MoneyError, match="whole units"):
        calls("paypal").submit_payout(
            order=replace(ORDER, amount=Money(100050, "HUF")), **api.caller()
        )
    assert api.server.received == []


def test_key_is_reused_for_twenty_hours_of_paypals_thirty_days():
    assert calls("paypal").key_window_s == 20 * 3600


# ---- refunds ---------------------------------------------------------------------------------

REFUND_POST = "POST /v2/payments/captures/2GG279541U471931P/refund"
REFUNDED = json.loads(fixture("paypal", "capture_refunded"))["resource"]


def refund(answers, order=REFUND):
    refunds = provider("paypal").refunds
    assert refunds is not None
    with paypal_api(answers) as api:
        return refunds.submit_refund(order=order, **api.caller()), api


def test_accepted_refund_repeats_sum_and_reference():
    outcome, api = refund({REFUND_POST: ok(REFUNDED, 201)})

    assert (outcome.kind, outcome.provider_ref) == ("succeeded", "1JU08902781691411")
    assert outcome.provider_status == "COMPLETED"
    [request] = api.of(REFUND_POST.removeprefix("POST "))
    assert request.headers["paypal-request-id"] == "payops-refund-1"
    assert request.headers["prefer"] == "return=representation"
    assert json.loads(request.body) == {
        "amount": {"currency_code": "EUR", "value": "30.00"},
        "custom_id": REFUND_REF,
    }


@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [
        (ok(REFUNDED | {"amount": None}, 201), "mismatch", "amount_mismatch"),
        (ok(REFUNDED | {"custom_id": "rf_other"}, 201), "mismatch", "reference_mismatch"),
        (
            problem(422, "UNPROCESSABLE_ENTITY", {"issue": "CAPTURE_FULLY_REFUNDED"}),
            "refused",
            "CAPTURE_FULLY_REFUNDED",
        ),
        (
            problem(422, "UNPROCESSABLE_ENTITY", {"issue": "REFUND_AMOUNT_EXCEEDED"}),
            "refused",
            "REFUND_AMOUNT_EXCEEDED",
        ),
        (problem(500, "INTERNAL_SERVER_ERROR"), "unknown", "INTERNAL_SERVER_ERROR"),
        (problem(409, "RESOURCE_CONFLICT"), "unknown", "RESOURCE_CONFLICT"),
    ],
)
def test_each_other_answer_to_a_refund(answer, kind, code):
    outcome, _ = refund({REFUND_POST: answer})

    assert (outcome.kind, outcome.error_code) == (kind, code)


def test_refund_of_a_reference_that_is_no_id_is_refused_before_a_call():
    outcome, api = refund({}, replace(REFUND, payment_provider_ref="../v1/oauth2"))

    assert (outcome.kind, outcome.error_code) == ("refused", "reference_malformed")
    assert api.server.received == []


# ---- questions -------------------------------------------------------------------------------


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
