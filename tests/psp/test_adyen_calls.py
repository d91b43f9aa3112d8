"""Adyen's calls against a server with each fault, and what we conclude (D14, WH-15, WH-27)."""

import json
from dataclasses import replace

import pytest

from payops.core.http import HttpClient
from payops.core.money import Money, MoneyError
from payops.psp.calling import NoAnswer
from payops.psp.registry import calls, refunds
from tests.psp.adyen_answers import (
    BALANCE_ACCOUNT,
    REFUND,
    REFUND_ORDER,
    SETTINGS,
    TRANSFER,
    TRANSFER_ID,
    body,
    error,
    pay_out,
    refund,
)
from tests.psp.payouts import API_KEY, KEY, ORDER, OUR_REF, requests_seen
from tests.psp.scripted_server import always, http, scripted_server

EUR_12400 = Money(1240000, "EUR")


def test_accepted_transfer_with_the_right_echo_succeeded():
    outcome = pay_out(always(http(202, body(TRANSFER))))

    assert (outcome.kind, outcome.status_code, outcome.error_code) == ("succeeded", 202, None)
    assert (outcome.provider_ref, outcome.provider_status) == (TRANSFER_ID, "received")
    assert (outcome.echo_amount, outcome.echo_reference) == (EUR_12400, OUR_REF)
    [request] = requests_seen
    assert (request.method, request.target) == ("POST", "/adyen/btl/v4/transfers")
    assert request.headers["idempotency-key"] == KEY
    assert request.headers["x-api-key"] == API_KEY
    assert "authorization" not in request.headers
    assert json.loads(request.body) == {
        "amount": {"value": 1240000, "currency": "EUR"},
        "balanceAccountId": BALANCE_ACCOUNT,
        "category": "bank",
        "counterparty": {"transferInstrumentId": "ba_1QkDestination0042"},
        "reference": OUR_REF,
        "referenceForBeneficiary": "P10492",
        "description": "Payout P-10492",
    }


def test_record_of_a_call_shows_neither_key_nor_destination():
    outcome = pay_out(always(http(202, body(TRANSFER | {"secret_field": "hidden"}))))

    shown = repr(outcome)
    assert API_KEY not in shown and "hidden" not in shown
    assert "ba_1QkDestination0042" not in shown and "SE322JV223222F5HK0042" not in shown
    assert outcome.request_masked["counterparty"] == "…0042"
    assert outcome.request_masked["idempotency_key"] == KEY
    assert outcome.response_masked == {
        "id": TRANSFER_ID,
        "status": "received",
        "amount": 1240000,
        "currency": "EUR",
        "reference": OUR_REF,
    }


def test_texts_for_banks_lose_what_banks_do_not_take():
    order = replace(ORDER, description="Größe <b>№7</b>; " + "x" * 300, merchant_ref="P#10_492")

    pay_out(always(http(202, body(TRANSFER))), order)

    sent = json.loads(requests_seen[0].body)
    assert sent["description"][:17] == "Gr  e  b  7 /b   "
    assert len(sent["description"]) == 140
    assert sent["referenceForBeneficiary"] == "P10492"


@pytest.mark.parametrize("merchant_ref", ["P-" + "1" * 15, "№—", ""])
def test_reference_that_not_every_bank_takes_whole_is_left_out(merchant_ref):
    pay_out(always(http(202, body(TRANSFER))), replace(ORDER, merchant_ref=merchant_ref))

    assert "referenceForBeneficiary" not in json.loads(requests_seen[0].body)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"amount": {"value": 1240001, "currency": "EUR"}}, "amount_mismatch"),
        ({"amount": {"value": 1240000, "currency": "USD"}}, "amount_mismatch"),
        ({"amount": {"value": "12400.00", "currency": "EUR"}}, "amount_mismatch"),
        ({"amount": None}, "amount_mismatch"),
        ({"reference": "po_other"}, "reference_mismatch"),
        ({"reference": None}, "reference_mismatch"),
    ],
)
def test_echo_of_something_else_is_a_mismatch(change, code):
    outcome = pay_out(always(http(202, body(TRANSFER | change))))

    assert (outcome.kind, outcome.error_code) == ("mismatch", code)
    assert outcome.provider_ref == TRANSFER_ID


@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [
        (error(400, "30_011"), "refused", "30_011"),
        (error(401, "000"), "refused", "000"),
        (error(403, "10_003"), "refused", "10_003"),
        (error(422, "30_081"), "refused", "30_081"),
        # The first request with this key may be running: nobody refused the payout.
        (error(422, "704"), "unknown", "704"),
        (error(409, "704"), "unknown", "704"),
        (error(429, "30_429"), "failed", "30_429"),
        (error(500, "30_900"), "unknown", "30_900"),
        (http(502, b"<html>bad gateway</html>"), "unknown", "no_clear_answer"),
        (http(404, b"<html>proxy</html>"), "unknown", "no_clear_answer"),
        (http(302, b"", Location="https://elsewhere.example/"), "unknown", "no_clear_answer"),
        (http(202, b"{}"), "unknown", "answer_unreadable"),
        (http(202, b"not json"), "unknown", "answer_unreadable"),
        (http(202, b'{"id":"x","id":"y"}'), "unknown", "answer_unreadable"),
    ],
)
def test_answers_and_what_they_mean(answer, kind, code):
    for outcome in (pay_out(always(answer)), refund(always(answer))):
        assert (outcome.kind, outcome.error_code) == (kind, code)
        assert outcome.provider_ref is None


@pytest.mark.parametrize(
    ("steps", "code"),
    [
        ((30.0,), "deadline"),
        ((), "remote_protocol_error"),
        ((b"HTTP/1.1 202 OK\r\nContent-Length: 900\r\n\r\n{", 30.0), "deadline"),
    ],
    ids=["silence", "cut", "half an answer"],
)
def test_no_full_answer_is_unknown(steps, code):
    outcome = pay_out(always(*steps), deadline_s=0.4)

    assert (outcome.kind, outcome.error_code, outcome.status_code) == ("unknown", code, None)
    assert len(requests_seen) == 1


def test_no_connection_is_failed():
    with scripted_server(always()) as gone:
        origin, allow = gone.origin, gone.allow

    outcome = calls("adyen").submit_payout(
        order=ORDER,
        http=HttpClient(allow=allow),
        base_url=origin,
        api_key=API_KEY,
        deadline_s=2.0,
        settings=SETTINGS,
    )

    assert (outcome.kind, outcome.error_code) == ("failed", "connect_error")


def test_call_without_its_account_never_leaves_us():
    payout = pay_out(always(), balance_account="")
    refunded = refund(always(), merchant_account="")
    odd = refund(always(), replace(REFUND_ORDER, payment_provider_ref="../payments"))

    assert (payout.kind, payout.error_code) == ("refused", "balance_account_missing")
    assert (refunded.kind, refunded.error_code) == ("refused", "merchant_account_missing")
    assert (odd.kind, odd.error_code) == ("refused", "reference_malformed")
    assert requests_seen == []


def test_amounts_leave_in_adyens_decimals():
    order = replace(ORDER, amount=Money(500, "ISK"))
    echo = TRANSFER | {"amount": {"value": 50000, "currency": "ISK"}}

    outcome = pay_out(always(http(202, body(echo))), order)

    assert (outcome.kind, outcome.echo_amount) == ("succeeded", Money(500, "ISK"))
    assert json.loads(requests_seen[0].body)["amount"] == {"value": 50000, "currency": "ISK"}
    with pytest.raises(MoneyError):
        pay_out(always(), replace(ORDER, amount=Money(150, "IDR")))


def test_refund_goes_to_its_payment_under_our_reference():
    outcome = refund(always(http(201, body(REFUND))))

    assert (outcome.kind, outcome.provider_ref) == ("succeeded", "K7TRREFUND000001")
    [request] = requests_seen
    assert request.target == "/adyen/checkout/v71/payments/K7TRPAYMENT00001/refunds"
    assert request.headers["idempotency-key"] == KEY
    assert json.loads(request.body) == {
        "merchantAccount": "MeridianECOM",
        "amount": {"value": 3000, "currency": "EUR"},
        "reference": REFUND_ORDER.our_ref,
    }


@pytest.mark.parametrize(
    ("change", "kind", "code"),
    [
        ({"paymentPspReference": "K7TRPAYMENT00009"}, "mismatch", "reference_mismatch"),
        ({"reference": "R-2"}, "mismatch", "reference_mismatch"),
        ({"amount": {"currency": "EUR", "value": 2999}}, "mismatch", "amount_mismatch"),
        ({"pspReference": None}, "unknown", "answer_unreadable"),
        ({"status": "done"}, "unknown", "status_unknown"),
    ],
)
def test_refund_of_something_else_is_a_mismatch(change, kind, code):
    outcome = refund(always(http(201, body(REFUND | change))))

    assert (outcome.kind, outcome.error_code) == (kind, code)


def test_received_refund_is_accepted_and_no_more():
    """Whether it was made is told by its notification alone (RF-7)."""
    outcome = refund(always(http(201, body(REFUND))))

    assert (outcome.kind, outcome.provider_status) == ("succeeded", "received")
    assert (outcome.reached, outcome.movement_ref) == ({"refund.accepted"}, None)


@pytest.mark.parametrize("question", ["find_refund", "fetch_refund", "list_refunds"])
def test_adyen_shows_no_refund_and_is_not_asked(question):
    named = {
        "find_refund": {
            "our_ref": REFUND_ORDER.our_ref,
            "payment_provider_ref": "K7TRPAYMENT00001",
        },
        "fetch_refund": {"provider_ref": "K7TRREFUND000001"},
        "list_refunds": {"payment_provider_ref": "K7TRPAYMENT00001"},
    }[question]
    with scripted_server(always()) as server:
        answer = getattr(refunds("adyen"), question)(
            **named,
            http=HttpClient(allow=server.allow),
            base_url=server.origin,
            api_key=API_KEY,
            deadline_s=5.0,
            settings=SETTINGS,
        )

    assert answer == NoAnswer(reason="not_offered")
    assert server.connections == 0


def test_refund_may_have_a_host_of_its_own():
    with scripted_server(always(http(201, body(REFUND)))) as checkout:
        outcome = refunds("adyen").submit_refund(
            order=REFUND_ORDER,
            http=HttpClient(allow=checkout.allow),
            base_url="https://balance.example",
            api_key=API_KEY,
            deadline_s=5.0,
            settings=SETTINGS | {"checkout_url": f"{checkout.origin}/"},
        )

    assert outcome.kind == "succeeded"
    assert checkout.received[0].target.startswith("/checkout/v71/payments/")


def test_key_is_reused_for_less_than_adyen_keeps_it():
    assert calls("adyen").key_window_s == 72_000
