"""PayPal's captures: refunds answered in PayPal's own words, and a reversal that has no case."""

import pytest

from tests.simulator.process import Process, Receiver
from tests.simulator.refunding import types_of


def event_types(receiver: Receiver) -> list[str]:
    return [type for webhook in receiver.received for type in types_of(webhook)]


def test_capture_and_refund(simulator: Process, receiver: Receiver) -> None:
    capture = simulator.pay_in("paypal")["payment"]["id"]
    shown = simulator.paypal("GET", f"/v2/payments/captures/{capture}").json
    path = f"/v2/payments/captures/{capture}/refund"
    amount = {"value": "10.00", "currency_code": "EUR"}
    done = simulator.paypal("POST", path, {"amount": amount, "custom_id": "rf_1"}, key="k1")
    much = simulator.paypal("POST", path, {"amount": amount | {"value": "20.01"}}, key="k2")
    rest = simulator.paypal("POST", path, {}, key="k3", Prefer="return=representation")
    none = simulator.paypal("POST", path, {}, key="k4")
    simulator.quiet()

    assert shown["seller_receivable_breakdown"] == {
        "gross_amount": {"currency_code": "EUR", "value": "30.00"},
        "paypal_fee": {"currency_code": "EUR", "value": "0.87"},
        "platform_fees": [{"amount": {"currency_code": "EUR", "value": "3.00"}}],
        "net_amount": {"currency_code": "EUR", "value": "26.13"},
    }
    assert (done.status, set(done.json)) == (201, {"id", "status", "links"})
    assert (much.status, much.json["details"][0]["issue"]) == (422, "REFUND_AMOUNT_EXCEEDED")
    assert rest.json["amount"] == {"currency_code": "EUR", "value": "20.00"}
    assert (none.status, none.json["details"][0]["issue"]) == (422, "CAPTURE_FULLY_REFUNDED")
    assert sorted(event_types(receiver)) == [
        "PAYMENT.CAPTURE.COMPLETED",
        "PAYMENT.CAPTURE.REFUNDED",
        "PAYMENT.CAPTURE.REFUNDED",
    ]
    assert [(row[0], row[2]) for row in simulator.movements()] == [
        ("payment", 3_000),
        ("refund", 1_000),
        ("refund", 2_000),
    ]
    read = simulator.paypal("GET", f"/v2/payments/refunds/{done.json['id']}").json
    assert read["links"][1]["href"].endswith(f"/v2/payments/captures/{capture}")
    simulator.control("POST", "/refunds/rf_1/fail")
    failed = simulator.paypal("GET", f"/v2/payments/refunds/{done.json['id']}").json
    assert failed["status"] == "FAILED"


def test_reversal_without_a_case(simulator: Process, receiver: Receiver) -> None:
    simulator.pay_in("paypal")
    told = {"event": "PAYMENT.CAPTURE.REVERSED"}
    simulator.control("POST", "/payments/ORDER-1/tell", told)
    simulator.quiet()

    assert set(event_types(receiver)) == {"PAYMENT.CAPTURE.COMPLETED", "PAYMENT.CAPTURE.REVERSED"}
    assert [row[0] for row in simulator.movements()] == ["payment", "payment_reversal"]
    taken = next(w for w in receiver.received if b"CAPTURE.REVERSED" in w.body).event["resource"]
    read = simulator.paypal("GET", f"/v2/payments/refunds/{taken['id']}").json
    assert read == taken
    with pytest.raises(AssertionError, match="already_reversed"):
        simulator.control("POST", "/payments/ORDER-1/tell", told)
