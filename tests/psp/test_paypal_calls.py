"""PayPal payouts against a server with each fault, and what we conclude (D14, I7)."""

import base64
import json
from dataclasses import replace

import pytest

from payops.core.http import HttpClient
from payops.core.money import Money, MoneyError
from payops.psp.paypal.oauth import TOKENS, TokenAway, Tokens
from payops.psp.registry import calls
from tests.psp.paypal_api import API_KEY, TOKEN, ok, paypal_api, problem, token
from tests.psp.paypal_orders import (
    ACCEPTED,
    BATCH,
    DUPLICATE,
    GET_BATCH,
    HEADER,
    KEY,
    ORDER,
    OUR_REF,
    PENDING,
    POST,
    POSTED,
)
from tests.psp.scripted_server import always, http, scripted_server


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
