"""Refunds submitted to Stripe and to the generic provider, with each fault (RF-4 to RF-7, D14)."""

import json
from urllib.parse import parse_qsl

import pytest

from payops.core.http import HttpClient
from payops.core.money import Money, MoneyError
from payops.psp import registry
from tests.psp.payouts import API_KEY, KEY, body, error, requests_seen
from tests.psp.refund_orders import (
    BOTH,
    EVERYBODY,
    MOVEMENT,
    REFUND_REF,
    REFUNDS,
    STANDARD_REFUND,
    STRIPE_REFUND,
    THIRTY,
    order,
    submit,
)
from tests.psp.scripted_server import always, http, scripted_server

ELSEWHERE = {"charge": "ch_2", "payment_intent": "pi_2", "payment": "spm_2"}
ANOTHER = {"reference": "rf_other", "metadata": {"payops_reference": "rf_other"}}


@BOTH
def test_refund_that_is_born_succeeded_says_what_it_proves(name):
    outcome = submit(name, always(http(201, body(REFUNDS[name]))))

    assert (outcome.kind, outcome.status_code, outcome.error_code) == ("succeeded", 201, None)
    assert (outcome.provider_ref, outcome.provider_status) == (REFUNDS[name]["id"], "succeeded")
    assert (outcome.echo_amount, outcome.echo_reference) == (THIRTY, REFUND_REF)
    assert outcome.reached == {"refund.accepted", "refund.succeeded"}
    assert outcome.movement_ref == MOVEMENT[name]
    [request] = requests_seen
    assert request.method == "POST"
    assert request.headers["idempotency-key"] == KEY
    assert request.headers["authorization"] == f"Bearer {API_KEY}"


def test_stripe_refund_is_a_form_under_our_reference():
    submit("stripe", always(http(200, body(STRIPE_REFUND))))

    [request] = requests_seen
    assert request.target == "/base/v1/refunds"
    assert dict(parse_qsl(request.body.decode())) == {
        "charge": "ch_1",
        "amount": "3000",
        "metadata[payops_reference]": REFUND_REF,
        "metadata[merchant_reference]": "R-1",
    }


def test_stripe_payment_intent_is_named_as_one():
    outcome = submit("stripe", always(http(200, body(STRIPE_REFUND))), payment_provider_ref="pi_1")

    assert outcome.kind == "succeeded"
    told = dict(parse_qsl(requests_seen[0].body.decode()))
    assert (told["payment_intent"], "charge" in told) == ("pi_1", False)


def test_standard_refund_is_json_under_our_reference():
    submit("standard", always(http(201, body(STANDARD_REFUND))))

    [request] = requests_seen
    assert request.target == "/base/refunds"
    assert json.loads(request.body) == {
        "payment": "spm_1",
        "reference": REFUND_REF,
        "merchant_reference": "R-1",
        "amount": 3000,
        "currency": "EUR",
    }


@BOTH
@pytest.mark.parametrize(
    ("status", "reached"),
    [
        ("pending", {"refund.accepted"}),
        ("succeeded", {"refund.accepted", "refund.succeeded"}),
        ("failed", {"refund.accepted", "refund.failed"}),
        ("canceled", {"refund.accepted", "refund.canceled"}),
    ],
)
def test_each_status_of_an_answer_proves_its_steps_and_never_a_late_failure(name, status, reached):
    outcome = submit(name, always(http(200, body(REFUNDS[name] | {"status": status}))))

    assert (outcome.kind, outcome.reached) == ("succeeded", reached)


@BOTH
@pytest.mark.parametrize("status", ["invented", None, 7])
def test_refund_in_a_state_we_do_not_know_is_verified_first(name, status):
    outcome = submit(name, always(http(200, body(REFUNDS[name] | {"status": status}))))

    assert (outcome.kind, outcome.error_code) == ("unknown", "status_unknown")
    assert (outcome.provider_ref, outcome.reached) == (REFUNDS[name]["id"], frozenset())


@BOTH
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"amount": 3001}, "amount_mismatch"),
        ({"amount": None}, "amount_mismatch"),
        ({"amount": "3000"}, "amount_mismatch"),
        ({"currency": "USD"}, "amount_mismatch"),
        (ANOTHER, "reference_mismatch"),
        ({"reference": None, "metadata": {}}, "reference_mismatch"),
        (ELSEWHERE, "reference_mismatch"),
    ],
)
def test_echo_of_something_else_is_a_mismatch_that_proves_nothing(name, change, code):
    """Wrong currency, wrong sum, another's reference, another payment: a case, not a success."""
    outcome = submit(name, always(http(200, body(REFUNDS[name] | change))))

    assert (outcome.kind, outcome.error_code) == ("mismatch", code)
    assert outcome.provider_ref == REFUNDS[name]["id"]
    assert outcome.reached == frozenset()


@BOTH
@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [
        (error(400, "charge_already_refunded"), "refused", "charge_already_refunded"),
        (error(400, "charge_disputed"), "refused", "charge_disputed"),
        (error(400, ""), "refused", "invalid_request_error"),
        (error(400, "", "idempotency_error"), "refused", "idempotency_error"),
        (error(402, "insufficient_funds"), "refused", "insufficient_funds"),
        (error(404, "resource_missing"), "refused", "resource_missing"),
        (error(409, "idempotency_key_in_use"), "unknown", "idempotency_key_in_use"),
        (error(429, "rate_limit"), "failed", "rate_limit"),
        (error(500, "", "api_error"), "unknown", "api_error"),
        (http(502, b"<html>bad gateway</html>"), "unknown", "no_clear_answer"),
        (http(302, b"", Location="https://elsewhere.example/"), "unknown", "no_clear_answer"),
        (http(200, b""), "unknown", "answer_unreadable"),
        (http(200, b"<html>welcome</html>"), "unknown", "answer_unreadable"),
        (http(200, b"{}"), "unknown", "answer_unreadable"),
    ],
)
def test_answers_and_what_they_mean(name, answer, kind, code):
    outcome = submit(name, always(answer))

    assert (outcome.kind, outcome.error_code) == (kind, code)
    assert (outcome.provider_ref, outcome.reached) == (None, frozenset())


@BOTH
@pytest.mark.parametrize(
    ("steps", "code"),
    [
        ((30.0,), "deadline"),
        ((), "remote_protocol_error"),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n", *[b"{", 0.05] * 100), "deadline"),
        ((http(200, b" " * 2_000_000),), "answer_too_large"),
    ],
    ids=["silence", "cut", "a byte at a time", "too large"],
)
def test_no_full_answer_is_unknown_within_the_deadline(name, steps, code):
    outcome = submit(name, always(*steps), deadline_s=0.5)

    assert (outcome.kind, outcome.error_code) == ("unknown", code)
    assert (outcome.finished_at - outcome.started_at).total_seconds() < 3.0
    assert len(requests_seen) == 1


@BOTH
def test_retry_after_of_a_429_is_kept(name):
    outcome = submit(name, always(error(429, "rate_limit", Retry_After="7")))

    assert (outcome.kind, outcome.retry_after_s) == ("failed", 7)


@BOTH
def test_replayed_answer_says_so(name):
    script = always(http(200, body(REFUNDS[name]), Idempotent_Replayed="true"))

    outcome = submit(name, script)

    assert (outcome.kind, outcome.replayed) == ("succeeded", True)


@BOTH
def test_record_of_a_call_shows_no_key_of_ours_and_no_unlisted_field(name):
    outcome = submit(name, always(http(201, body(REFUNDS[name] | {"card": "4242"}))))

    assert API_KEY not in repr(outcome)
    assert "4242" not in repr(outcome)
    assert outcome.request_masked["idempotency_key"] == KEY
    assert outcome.response_masked["id"] == REFUNDS[name]["id"]


@BOTH
@pytest.mark.parametrize("ref", ["", "ch 1", "ch_1\r\nX: y", "x" * 300])
def test_payment_reference_that_is_no_id_never_leaves_us(name, ref):
    outcome = submit(name, always(), payment_provider_ref=ref)

    assert (outcome.kind, outcome.error_code) == ("refused", "reference_malformed")
    assert requests_seen == []


def test_sum_stripe_cannot_express_never_leaves_us():
    with scripted_server(always()) as server, pytest.raises(MoneyError):
        registry.refunds("stripe").submit_refund(
            order=order("stripe", amount=Money(150, "MGA")),
            http=HttpClient(allow=server.allow),
            base_url=server.origin,
            api_key=API_KEY,
            deadline_s=1.0,
        )

    assert server.connections == 0


@pytest.mark.parametrize(
    ("name", "window_s", "finds"),
    [
        ("stripe", 69_120, True),
        ("standard", 21_600, True),
        ("paypal", 72_000, True),
        ("adyen", 72_000, False),
    ],
)
def test_key_window_of_refunds_per_provider(name, window_s, finds):
    """0.8 of the provider's own window, 20 hours at most (D14)."""
    refunds = registry.refunds(name)

    assert (refunds.refund_key_window_s, refunds.finds_refunds) == (window_s, finds)


@EVERYBODY
def test_every_provider_takes_refunds(name):
    assert registry.provider(name).refunds is registry.refunds(name)


@pytest.mark.parametrize("name", ["servicenow", "jira", "nobody"])
def test_ticket_system_takes_neither_calls_nor_refunds(name):
    for asked in (registry.calls, registry.refunds):
        with pytest.raises(registry.ProviderUnknown):
            asked(name)
    assert not registry.has_calls(name)
    assert name not in registry.with_calls()
