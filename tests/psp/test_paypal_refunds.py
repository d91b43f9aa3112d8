"""PayPal refunds with each fault, and what PayPal can be asked (RF-4 to RF-7, RF-12, D14)."""

import json
from dataclasses import replace

import pytest

from payops.core.money import Money
from payops.psp.calling import NoAnswer, NotFound, RefundList, RefundState
from payops.psp.registry import refunds
from tests.psp.paypal_api import body, ok, paypal_api, problem
from tests.psp.paypal_orders import REFUND, REFUND_POST, REFUND_REF, REFUNDED
from tests.psp.scripted_server import http

CAPTURE = "2GG279541U471931P"
ORDER_ID = "5O190127TN364715T"
GET_CAPTURE = f"GET /v2/payments/captures/{CAPTURE}"
GET_ORDER = f"GET /v2/checkout/orders/{ORDER_ID}"
GET_REFUND = "GET /v2/payments/refunds/1JU08902781691411"
CAPTURED = {
    "id": CAPTURE,
    "status": "PARTIALLY_REFUNDED",
    "supplementary_data": {"related_ids": {"order_id": ORDER_ID}},
}
OUTSIDE = REFUNDED | {"id": "4KB12345AB678901D", "custom_id": None, "invoice_id": "ORD-7781"}


def order(*rows, captures=({"id": CAPTURE},)):
    unit = {"payments": {"captures": list(captures), "refunds": list(rows)}}
    return {"id": ORDER_ID, "purchase_units": [unit]}


def refund(answers, wanted=REFUND):
    with paypal_api(answers) as api:
        return refunds("paypal").submit_refund(order=wanted, **api.caller()), api


def find(answers):
    with paypal_api(answers) as api:
        found = refunds("paypal").find_refund(
            our_ref=REFUND_REF, payment_provider_ref=CAPTURE, **api.caller()
        )
        return found, api


def list_(answers):
    with paypal_api(answers) as api:
        return refunds("paypal").list_refunds(payment_provider_ref=CAPTURE, **api.caller())


def fetch(answers, ref="1JU08902781691411"):
    with paypal_api(answers) as api:
        return refunds("paypal").fetch_refund(provider_ref=ref, **api.caller())


def test_accepted_refund_repeats_sum_and_reference():
    outcome, api = refund({REFUND_POST: ok(REFUNDED, 201)})

    assert (outcome.kind, outcome.provider_ref) == ("succeeded", "1JU08902781691411")
    assert outcome.provider_status == "COMPLETED"
    assert outcome.reached == {"refund.accepted", "refund.succeeded"}
    assert outcome.movement_ref == "1JU08902781691411"
    [request] = api.of(REFUND_POST.removeprefix("POST "))
    assert request.headers["paypal-request-id"] == "payops-refund-1"
    assert request.headers["prefer"] == "return=representation"
    assert json.loads(request.body) == {
        "amount": {"currency_code": "EUR", "value": "30.00"},
        "custom_id": REFUND_REF,
        "invoice_id": REFUND_REF,
    }


@pytest.mark.parametrize(
    ("status", "reached"),
    [
        ("PENDING", {"refund.accepted"}),
        ("COMPLETED", {"refund.accepted", "refund.succeeded"}),
        ("FAILED", {"refund.accepted", "refund.failed"}),
        ("CANCELLED", {"refund.accepted", "refund.canceled"}),
    ],
)
def test_status_of_the_answer_says_what_it_proves(status, reached):
    outcome, _ = refund({REFUND_POST: ok(REFUNDED | {"status": status}, 201)})

    assert (outcome.kind, outcome.reached) == ("succeeded", reached)


@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [
        (ok(REFUNDED | {"amount": None}, 201), "mismatch", "amount_mismatch"),
        (
            ok(REFUNDED | {"amount": {"currency_code": "USD", "value": "30.00"}}, 201),
            "mismatch",
            "amount_mismatch",
        ),
        (ok(REFUNDED | {"custom_id": "rf_other"}, 201), "mismatch", "reference_mismatch"),
        (
            ok(
                REFUNDED
                | {"links": [{"rel": "up", "href": "https://x/v2/payments/captures/OTHER"}]},
                201,
            ),
            "mismatch",
            "reference_mismatch",
        ),
        (ok(REFUNDED | {"status": "LATER"}, 201), "unknown", "status_unknown"),
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
        (
            problem(422, "UNPROCESSABLE_ENTITY", {"issue": "TRANSACTION_DISPUTED"}),
            "refused",
            "TRANSACTION_DISPUTED",
        ),
        (problem(422, "UNPROCESSABLE_ENTITY", {"issue": "4019"}), "refused", "4019"),
        (problem(500, "INTERNAL_SERVER_ERROR"), "unknown", "INTERNAL_SERVER_ERROR"),
        (problem(409, "RESOURCE_CONFLICT"), "unknown", "RESOURCE_CONFLICT"),
        (http(200, b"<html>"), "unknown", "answer_unreadable"),
    ],
)
def test_each_other_answer_to_a_refund(answer, kind, code):
    outcome, _ = refund({REFUND_POST: answer})

    assert (outcome.kind, outcome.error_code) == (kind, code)


@pytest.mark.parametrize("issue", ["DUPLICATE_INVOICE_ID", "PREVIOUS_REQUEST_IN_PROGRESS"])
def test_our_reference_used_already_is_looked_up_never_refused(issue):
    """PayPal forgot the key but knows the invoice number: a refund of ours exists (D14)."""
    outcome, _ = refund({REFUND_POST: problem(422, "UNPROCESSABLE_ENTITY", {"issue": issue})})

    assert (outcome.kind, outcome.error_code) == ("unknown", issue)


def test_refund_of_a_reference_that_is_no_id_is_refused_before_a_call():
    outcome, api = refund({}, replace(REFUND, payment_provider_ref="../v1/oauth2"))

    assert (outcome.kind, outcome.error_code) == ("refused", "reference_malformed")
    assert api.server.received == []


def test_refund_is_found_in_the_order_of_its_capture():
    found, api = find({GET_CAPTURE: ok(CAPTURED), GET_ORDER: ok(order(OUTSIDE, REFUNDED))})

    assert isinstance(found, RefundState)
    assert (found.provider_ref, found.payment_provider_ref) == ("1JU08902781691411", CAPTURE)
    assert (found.our_ref, found.amount) == (REFUND_REF, Money(3000, "EUR"))
    assert api.asked == [GET_CAPTURE, GET_ORDER]


def test_reference_in_the_invoice_number_is_ours_too():
    told = REFUNDED | {"custom_id": None, "invoice_id": REFUND_REF}

    found, _ = find({GET_CAPTURE: ok(CAPTURED), GET_ORDER: ok(order(told))})

    assert isinstance(found, RefundState)
    assert found.our_ref == REFUND_REF


def test_order_without_our_refund_says_not_found():
    found, _ = find({GET_CAPTURE: ok(CAPTURED), GET_ORDER: ok(order(OUTSIDE))})

    assert found == NotFound(searched=REFUND_REF)


def test_refund_of_another_capture_of_the_order_is_not_counted():
    other = REFUNDED | {"links": [{"rel": "up", "href": "https://x/v2/payments/captures/OTHER"}]}

    found = list_({GET_CAPTURE: ok(CAPTURED), GET_ORDER: ok(order(other))})

    assert found == RefundList(refunds=(), complete=True)


def test_refunds_made_outside_are_listed_without_a_reference_of_ours():
    found = list_({GET_CAPTURE: ok(CAPTURED), GET_ORDER: ok(order(OUTSIDE, REFUNDED))})

    assert isinstance(found, RefundList)
    assert [state.our_ref for state in found.refunds] == [None, REFUND_REF]


@pytest.mark.parametrize(
    ("capture", "shown", "reason"),
    [
        (problem(404, "RESOURCE_NOT_FOUND"), None, "payment_missing"),
        (ok(CAPTURED | {"supplementary_data": {}}), None, "order_not_named"),
        (ok(CAPTURED | {"id": "OTHER"}), None, "answer_unreadable"),
        (problem(500, "INTERNAL_SERVER_ERROR"), None, "INTERNAL_SERVER_ERROR"),
        (ok(CAPTURED), problem(404, "RESOURCE_NOT_FOUND"), "order_missing"),
        (ok(CAPTURED), ok({"id": "OTHER", "purchase_units": []}), "answer_unreadable"),
        (ok(CAPTURED), ok({"id": ORDER_ID}), "answer_unreadable"),
        (ok(CAPTURED), ok(order(REFUNDED, captures=())), "capture_not_shown"),
        (ok(CAPTURED), ok(order(REFUNDED | {"links": []})), "answer_unreadable"),
        (ok(CAPTURED), ok(order(REFUNDED | {"status": "LATER"})), "answer_unreadable"),
        (ok(CAPTURED), ok(order(5)), "answer_unreadable"),
        (ok(CAPTURED), http(200, b"<html>"), "answer_not_json"),
    ],
)
def test_answer_that_does_not_show_all_refunds_is_never_not_found(capture, shown, reason):
    answers = {GET_CAPTURE: capture} | ({GET_ORDER: shown} if shown else {})

    found, _ = find(answers)

    assert found == NoAnswer(reason=reason)


def test_two_refunds_under_our_reference_go_to_a_person():
    twin = REFUNDED | {"id": "TWIN"}

    found, _ = find({GET_CAPTURE: ok(CAPTURED), GET_ORDER: ok(order(REFUNDED, twin))})

    assert found == NoAnswer(reason="more_than_one", provider_refs=("1JU08902781691411", "TWIN"))


def test_fetched_refund_as_it_stands_now():
    failed = REFUNDED | {"status": "FAILED", "status_details": {"reason": "ECHECK"}}

    found = fetch({GET_REFUND: ok(failed)})

    assert isinstance(found, RefundState)
    assert found.reached == {"refund.accepted", "refund.failed", "refund.failed_late"}
    assert (found.failure_code, found.raw_status) == ("ECHECK", "FAILED")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (problem(404, "RESOURCE_NOT_FOUND"), NotFound(searched="1JU08902781691411")),
        (http(404, body({})), NoAnswer(reason="status_404")),
        (ok(REFUNDED | {"id": "OTHER"}), NoAnswer(reason="answer_unreadable")),
        (ok(REFUNDED | {"links": []}), NoAnswer(reason="answer_unreadable")),
    ],
)
def test_only_paypal_itself_can_say_not_found(answer, expected):
    assert fetch({GET_REFUND: answer}) == expected


def test_reference_that_is_no_id_is_not_put_into_a_path():
    assert fetch({}, "../captures") == NoAnswer(reason="reference_malformed")
