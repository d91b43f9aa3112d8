"""Calls against a server with each fault, and what we conclude from it (D14, WH-15, I7)."""

import json
from dataclasses import replace
from urllib.parse import parse_qsl

import pytest

from payops.core.http import HttpClient
from payops.core.money import Money, MoneyError
from payops.psp.calling import CallOutcome, PayoutOrder
from payops.psp.callkit import safe_key_window_s
from payops.psp.registry import calls
from tests.psp.payouts import (
    API_KEY,
    BOTH,
    KEY,
    ORDER,
    OUR_REF,
    PAYOUTS,
    PREFIX,
    STANDARD_PAYOUT,
    STRIPE_PAYOUT,
    body,
    error,
    requests_seen,
)
from tests.psp.scripted_server import Script, always, http, scripted_server


def submit(name: str, script: Script, order: PayoutOrder = ORDER, **limits: float) -> CallOutcome:
    with scripted_server(script) as server:
        outcome = calls(name).submit_payout(
            order=order,
            http=HttpClient(allow=server.allow, **limits),
            base_url=f"{server.origin}/base/",
            api_key=API_KEY,
            deadline_s=limits.get("deadline_s", 5.0),
        )
        requests_seen[:] = server.received
    return outcome


@BOTH
def test_accepted_payout_with_the_right_echo_succeeded(name):
    outcome = submit(name, always(http(201, body(PAYOUTS[name]))))

    assert (outcome.kind, outcome.status_code, outcome.error_code) == ("succeeded", 201, None)
    assert (outcome.provider_ref, outcome.provider_status) == (PAYOUTS[name]["id"], "pending")
    assert (outcome.echo_amount, outcome.echo_reference) == (Money(1240000, "EUR"), OUR_REF)
    assert outcome.started_at <= outcome.finished_at
    assert not outcome.replayed
    [request] = requests_seen
    assert (request.method, request.target) == ("POST", f"/base{PREFIX[name]}/payouts")
    assert request.headers["idempotency-key"] == KEY
    assert request.headers["authorization"] == f"Bearer {API_KEY}"


def test_stripe_payout_is_form_encoded_with_our_references():
    submit("stripe", always(http(200, body(STRIPE_PAYOUT))))

    [request] = requests_seen
    assert dict(parse_qsl(request.body.decode())) == {
        "amount": "1240000",
        "currency": "eur",
        "destination": "ba_1QkDestination0042",
        "description": "Payout P-10492",
        "metadata[payops_reference]": OUR_REF,
        "metadata[merchant_reference]": "P-10492",
    }


def test_standard_payout_is_json_under_our_reference():
    submit("standard", always(http(201, body(STANDARD_PAYOUT))))

    [request] = requests_seen
    assert json.loads(request.body) == {
        "reference": OUR_REF,
        "merchant_reference": "P-10492",
        "amount": 1240000,
        "currency": "EUR",
        "destination": {"token": "ba_1QkDestination0042"},
        "description": "Payout P-10492",
    }


@BOTH
def test_record_of_a_call_shows_neither_key_nor_destination(name):
    outcome = submit(name, always(http(201, body(PAYOUTS[name] | {"secret_field": "hidden"}))))

    shown = repr(outcome)
    assert API_KEY not in shown
    assert "ba_1QkDestination0042" not in shown
    assert "hidden" not in shown
    assert outcome.request_masked["destination"] == "…0042"
    assert outcome.request_masked["idempotency_key"] == KEY
    assert outcome.response_masked["id"] == PAYOUTS[name]["id"]
    assert "ba_1QkDestination0042" not in repr(ORDER)


@BOTH
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"amount": 1240001}, "amount_mismatch"),
        ({"amount": None}, "amount_mismatch"),
        ({"amount": "1240000"}, "amount_mismatch"),
        ({"currency": "USD"}, "amount_mismatch"),
        (
            {"reference": "po_other", "metadata": {"payops_reference": "po_other"}},
            "reference_mismatch",
        ),
        ({"reference": None, "metadata": {}}, "reference_mismatch"),
    ],
)
def test_echo_of_something_else_is_a_mismatch(name, change, code):
    outcome = submit(name, always(http(200, body(PAYOUTS[name] | change))))

    assert (outcome.kind, outcome.error_code) == ("mismatch", code)
    assert outcome.provider_ref == PAYOUTS[name]["id"]


@BOTH
@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [
        (error(400, "amount_too_small"), "refused", "amount_too_small"),
        (error(400, "", "idempotency_error"), "refused", "idempotency_error"),
        (error(401, "", "authentication_error"), "refused", "authentication_error"),
        (error(402, "balance_insufficient"), "refused", "balance_insufficient"),
        (error(404, "resource_missing"), "refused", "resource_missing"),
        (error(422, "invalid"), "refused", "invalid"),
        (error(409, "idempotency_key_in_use"), "unknown", "idempotency_key_in_use"),
        (error(408, ""), "unknown", "invalid_request_error"),
        (error(425, "too_early"), "unknown", "too_early"),
        (error(429, "rate_limit"), "failed", "rate_limit"),
        (error(500, "", "api_error"), "unknown", "api_error"),
        (http(502, b"<html>bad gateway</html>"), "unknown", "no_clear_answer"),
        (http(503, b""), "unknown", "no_clear_answer"),
        (http(404, b"<html>proxy</html>"), "unknown", "no_clear_answer"),
        (http(302, b"", Location="https://elsewhere.example/"), "unknown", "no_clear_answer"),
        (http(200, b"{}"), "unknown", "answer_unreadable"),
        (http(200, b"not json"), "unknown", "answer_unreadable"),
        (http(200, b"[]"), "unknown", "answer_unreadable"),
        (http(204, b""), "unknown", "answer_unreadable"),
        (http(200, b'{"id":"x","id":"y"}'), "unknown", "answer_unreadable"),
    ],
)
def test_answers_and_what_they_mean(name, answer, kind, code):
    outcome = submit(name, always(answer))

    assert (outcome.kind, outcome.error_code) == (kind, code)
    assert outcome.provider_ref is None


@BOTH
@pytest.mark.parametrize(
    ("steps", "code"),
    [
        ((30.0,), "deadline"),
        ((), "remote_protocol_error"),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{", 30.0), "deadline"),
    ],
    ids=["silence", "cut", "half an answer"],
)
def test_no_full_answer_is_unknown(name, steps, code):
    outcome = submit(name, always(*steps), deadline_s=0.4)

    assert (outcome.kind, outcome.error_code, outcome.status_code) == ("unknown", code, None)
    assert len(requests_seen) == 1


@BOTH
def test_no_connection_is_failed_and_a_private_address_refused(name):
    with scripted_server(always()) as gone:
        address = gone.origin
    arguments = {"order": ORDER, "base_url": address, "api_key": API_KEY, "deadline_s": 2.0}

    failed = calls(name).submit_payout(http=HttpClient(allow=gone.allow), **arguments)
    refused = calls(name).submit_payout(http=HttpClient(), **arguments)

    assert (failed.kind, failed.error_code) == ("failed", "connect_error")
    assert (refused.kind, refused.error_code) == ("refused", "https_required")


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7), ("999999", 3600), ("soon", None), ("-1", None), ("\xb2", None), ("", None)],
)
def test_retry_after_is_read_within_bounds(header, seconds):
    outcome = submit("stripe", always(error(429, "rate_limit", Retry_After=header)))

    assert (outcome.kind, outcome.retry_after_s) == ("failed", seconds)


def test_replayed_answers_say_so_stored_500_too():
    good = submit("stripe", always(http(200, body(STRIPE_PAYOUT), Idempotent_Replayed="true")))
    bad = submit("stripe", always(error(500, "", "api_error", Idempotent_Replayed="true")))

    assert (good.kind, good.replayed) == ("succeeded", True)
    assert (bad.kind, bad.replayed) == ("unknown", True)


def test_stripe_counts_some_currencies_in_another_unit():
    order = replace(ORDER, amount=Money(500, "ISK"))
    echo = STRIPE_PAYOUT | {"amount": 50000, "currency": "isk"}

    outcome = submit("stripe", always(http(200, body(echo))), order)

    assert (outcome.kind, outcome.echo_amount) == ("succeeded", Money(500, "ISK"))
    assert dict(parse_qsl(requests_seen[0].body.decode()))["amount"] == "50000"


def test_sum_stripe_cannot_express_never_leaves_us():
    with scripted_server(always()) as server, pytest.raises(MoneyError):
        calls("stripe").submit_payout(
            order=replace(ORDER, amount=Money(150, "MGA")),
            http=HttpClient(allow=server.allow),
            base_url=server.origin,
            api_key=API_KEY,
            deadline_s=1.0,
        )

    assert server.connections == 0


@pytest.mark.parametrize(
    ("window_s", "safe_s"),
    [(24 * 3600, 69_120), (45 * 86_400, 72_000), (None, 21_600), (6 * 3600, 17_280)],
)
def test_key_window(window_s, safe_s):
    assert safe_key_window_s(window_s) == safe_s


def test_key_window_per_provider():
    assert (calls("stripe").key_window_s, calls("standard").key_window_s) == (69_120, 21_600)
