"""A refund's life and its refusals at each shape of provider (RF-5, RF-12, D8, D9, F3, F4, I6)."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.simulator.process import Process, Receiver
from tests.simulator.refunding import (
    PROVIDERS,
    found,
    last_told,
    moved,
    paid,
    refund,
    told,
)

ANSWERING = ("stripe", "paypal", "standard")
CREATED = {
    "stripe": ["charge.refunded", "refund.created"],
    "adyen": ["REFUND"],
    "paypal": ["PAYMENT.CAPTURE.REFUNDED"],
    "standard": ["refund.created"],
}
BORN = {
    "stripe": "succeeded",
    "adyen": "succeeded",
    "paypal": "succeeded",
    "standard": "pending",
}
ISSUES = {
    "too_much": {
        "stripe": "charge_already_refunded",
        "paypal": "REFUND_AMOUNT_EXCEEDED",
        "standard": "amount_too_large",
    },
    "disputed": {
        "stripe": "charge_disputed",
        "paypal": "CAPTURE_DISPUTED_PARTIAL_REFUND_NOT_ALLOWED",
        "standard": "payment_disputed",
    },
    "currency": {
        "paypal": "REFUND_CAPTURE_CURRENCY_MISMATCH",
        "standard": "currency_mismatch",
        "adyen": "702",
    },
}


def issue(reply: Any) -> str:
    """The code of a refusal in the provider's own place for it."""
    body = reply.json
    if "details" in body:
        return str(body["details"][0]["issue"])
    return str(body.get("errorCode") or body["error"]["code"])


def shown(simulator: Process) -> dict[str, Any]:
    (row,) = simulator.control("GET", "/refunds")["refunds"]
    return dict(row)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_refund_moves_once_under_its_key_and_is_told(
    simulator: Process, receiver: Receiver, provider: str
) -> None:
    """RF-5, I7: the second call under the key gives the first answer and moves nothing."""
    payment = paid(simulator, provider)

    first = refund(simulator, provider, payment, 3_000)
    second = refund(simulator, provider, payment, 3_000)
    simulator.quiet()

    assert (first.status, second.body) == (second.status, first.body)
    assert simulator.movements()[1:] == [("refund", "rf_1", 3_000, "EUR", "k1")]
    assert told(receiver) == CREATED[provider]
    assert shown(simulator)["status"] == BORN[provider]
    (row,) = simulator.control("GET", "/payments")["payments"]
    assert (row["captured"], row["refunded"]) == (10_000, 3_000)


@pytest.mark.parametrize("provider", ANSWERING)
def test_refunds_of_a_payment_are_found_with_our_reference(
    simulator: Process, provider: str
) -> None:
    """RF-6: what a lost answer made is found again by asking."""
    payment, other = paid(simulator, provider), paid(simulator, provider, reference="ORDER-2")
    for number in (1, 2):
        refund(simulator, provider, payment, 1_000, reference=f"rf_{number}", key=f"k{number}")
    refund(simulator, provider, other, 500, reference="rf_3", key="k3")

    assert found(simulator, provider, payment) == [("rf_1", 1_000), ("rf_2", 1_000)]


def test_standard_refund_is_searched_by_reference_at_either_path(simulator: Process) -> None:
    payment = paid(simulator, "standard")
    made = refund(simulator, "standard", payment, 1_000).json
    refund(simulator, "standard", payment, 1_000, reference="rf_2", key="k2")

    listed = simulator.standard("GET", "/refunds?reference=rf_1").json
    one = simulator.standard("GET", f"/v1/refunds/{made['id']}").json

    assert (listed["data"], listed["has_more"]) == ([made], False)
    assert one == made
    assert simulator.standard("GET", "/refunds?reference=rf_9").json["data"] == []


@pytest.mark.parametrize("provider", ANSWERING)
def test_more_than_is_left_is_refused_and_the_refusal_kept(
    simulator: Process, provider: str
) -> None:
    """I6: at no instant more refunded than captured."""
    payment = paid(simulator, provider)
    refund(simulator, provider, payment, 7_001)

    first = refund(simulator, provider, payment, 3_000, reference="rf_2", key="k2")
    again = refund(simulator, provider, payment, 3_000, reference="rf_2", key="k2")

    assert (first.status >= 400, issue(first)) == (True, ISSUES["too_much"][provider])
    assert again.body == first.body
    assert moved(simulator) == [("refund", "out", 7_001)]


@pytest.mark.parametrize("provider", ("paypal", "standard", "adyen"))
def test_another_currency_is_refused(simulator: Process, provider: str) -> None:
    payment = paid(simulator, provider)

    reply = refund(simulator, provider, payment, 1_000, currency="USD")

    assert (reply.status >= 400, issue(reply)) == (True, ISSUES["currency"][provider])
    assert moved(simulator) == []


def test_stripe_takes_no_currency_at_all(simulator: Process) -> None:
    asked = {"charge": paid(simulator, "stripe"), "amount": 100, "currency": "usd"}

    reply = simulator.stripe("POST", "/refunds", asked, key="k1")

    assert (reply.status, reply.json["error"]["code"]) == (400, "parameter_unknown")
    assert moved(simulator) == []


@pytest.mark.parametrize("provider", ANSWERING)
def test_disputed_payment_is_not_refunded_until_the_dispute_is_won(
    simulator: Process, provider: str
) -> None:
    """D9, F1: a refund beside a chargeback would pay twice; a won dispute frees it."""
    payment = paid(simulator, provider)
    simulator.control("POST", "/payments/ORDER-1/dispute", {"amount": 1_000})

    refused = refund(simulator, provider, payment, 1_000)
    simulator.control("POST", "/disputes/ORDER-1/win")
    allowed = refund(simulator, provider, payment, 1_000, reference="rf_2", key="k2")

    assert (refused.status >= 400, issue(refused)) == (True, ISSUES["disputed"][provider])
    assert allowed.status in (200, 201)
    assert [kind for kind, *_ in moved(simulator)] == [
        "dispute_withdrawal",
        "dispute_return",
        "refund",
    ]


def test_adyen_receives_a_refund_it_will_refuse(simulator: Process, receiver: Receiver) -> None:
    """D9: Adyen's answer never says it; the notification does."""
    payment = paid(simulator, "adyen")
    simulator.control("POST", "/payments/ORDER-1/dispute")

    reply = refund(simulator, "adyen", payment, 1_000)
    simulator.quiet()

    item = last_told(receiver, "REFUND")
    assert (reply.status, reply.json["status"]) == (201, "received")
    assert (item["success"], item["merchantReference"]) == ("false", "rf_1")
    assert item["pspReference"] == reply.json["pspReference"]
    assert [kind for kind, *_ in moved(simulator)] == ["dispute_withdrawal"]


def test_paypal_takes_an_invoice_number_once(simulator: Process) -> None:
    payment = paid(simulator, "paypal")
    refund(simulator, "paypal", payment, 1_000)

    again = refund(simulator, "paypal", payment, 1_000, key="k2")

    assert (again.status, issue(again)) == (422, "DUPLICATE_INVOICE_ID")
    assert moved(simulator) == [("refund", "out", 1_000)]


def test_stripe_tells_one_late_failure_by_two_events(
    simulator: Process, receiver: Receiver
) -> None:
    """F3: both name the entry that gave the money back; it may be refunded again."""
    payment = paid(simulator, "stripe")
    made = refund(simulator, "stripe", payment, 3_000).json
    simulator.control("POST", "/refunds/rf_1/fail", {"reason": "lost_or_stolen_card"})
    simulator.quiet()

    failed = last_told(receiver, "refund.failed")
    assert failed == last_told(receiver, "charge.refund.updated")
    assert (failed["status"], failed["failure_reason"]) == ("failed", "lost_or_stolen_card")
    back = simulator.stripe("GET", f"/balance_transactions/{failed['failure_balance_transaction']}")
    assert (back.json["amount"], back.json["type"]) == (3_000, "refund_failure")
    assert failed["balance_transaction"] == made["balance_transaction"]
    charge = simulator.stripe("GET", f"/charges/{payment}").json
    assert (charge["amount_refunded"], charge["refunded"]) == (0, False)
    assert moved(simulator) == [("refund", "out", 3_000), ("refund_failure", "in", 3_000)]
    assert refund(simulator, "stripe", payment, 10_000, key="k2").status == 200


@pytest.mark.parametrize("provider", PROVIDERS)
def test_pending_refund_succeeds_or_is_canceled_by_hand(
    simulator: Process, receiver: Receiver, provider: str
) -> None:
    simulator.control("POST", "/rules", {"refund_status": "pending"})
    payment = paid(simulator, provider)
    for number in (1, 2):
        refund(simulator, provider, payment, 1_000, reference=f"rf_{number}", key=f"k{number}")

    simulator.control("POST", "/refunds/rf_1/succeed")
    simulator.control("POST", "/refunds/rf_2/cancel")
    simulator.quiet()

    rows = simulator.control("GET", "/refunds")["refunds"]
    assert [(row["reference"], row["status"]) for row in rows] == [
        ("rf_1", "succeeded"),
        ("rf_2", "canceled"),
    ]
    ends = {
        "stripe": ["charge.refund.updated"] * 2 + ["charge.refunded"] * 2,
        "adyen": ["REFUND", "VOID_PENDING_REFUND"],
        "paypal": [
            "PAYMENT.CAPTURE.REFUNDED",
            "PAYMENT.REFUND.CANCELLED",
            *["PAYMENT.REFUND.PENDING"] * 2,
        ],
        "standard": ["refund.canceled", *["refund.created"] * 2, "refund.succeeded"],
    }[provider]
    stripe = ["refund.created"] * 2 + ["refund.updated"] * 2 if provider == "stripe" else []
    assert told(receiver) == ends + stripe
    assert moved(simulator)[2:] == [("refund_cancel", "in", 1_000)]
    with pytest.raises(AssertionError, match="refund_status_invalid"):
        simulator.control("POST", "/refunds/rf_1/cancel")


def test_standard_refund_succeeds_when_its_time_has_come(
    launch: Callable[..., Process], receiver: Receiver
) -> None:
    simulator = launch(SIM_SETTLE_S="0.1")
    refund(simulator, "standard", paid(simulator, "standard"), 1_000)
    simulator.quiet()

    assert told(receiver) == ["refund.created", "refund.succeeded"]
    assert shown(simulator)["status"] == "succeeded"


@pytest.mark.parametrize("provider", ("adyen", "standard"))
def test_returned_refund_gives_the_money_back_once(
    simulator: Process, receiver: Receiver, provider: str
) -> None:
    """F3: REFUNDED_REVERSED at Adyen, refund.reversed at the standard provider."""
    simulator.control("POST", "/rules", {"refund_status": "succeeded"})
    refund(simulator, provider, paid(simulator, provider), 1_000)

    simulator.control("POST", "/refunds/rf_1/return", {"copies": 2})
    simulator.quiet()

    word = {"adyen": "REFUNDED_REVERSED", "standard": "refund.reversed"}[provider]
    assert told(receiver).count(word) == 2
    assert moved(simulator) == [("refund", "out", 1_000), ("refund_reversal", "in", 1_000)]
    with pytest.raises(AssertionError, match="already_failed"):
        simulator.control("POST", "/refunds/rf_1/return")


def test_standard_provider_keeps_the_money_of_a_late_failure_until_it_is_reversed(
    simulator: Process,
) -> None:
    refund(simulator, "standard", paid(simulator, "standard"), 1_000)
    simulator.control("POST", "/refunds/rf_1/succeed")

    simulator.control("POST", "/refunds/rf_1/fail")
    kept = moved(simulator)
    simulator.control("POST", "/refunds/rf_1/return")

    assert kept == [("refund", "out", 1_000)]
    assert moved(simulator) == [*kept, ("refund_reversal", "in", 1_000)]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_refund_of_the_dashboard_is_told_without_our_reference(
    simulator: Process, receiver: Receiver, provider: str
) -> None:
    """RF-12, F4: it appears, it is told, it reduces what is left; no key of ours made it."""
    payment = paid(simulator, provider)

    made = simulator.control("POST", "/payments/ORDER-1/refund", {"amount": 4_000})
    simulator.quiet()

    reference = "DASHBOARD-ORDER-1" if provider == "adyen" else None
    assert made["refund"]["reference"] == reference
    assert told(receiver) == CREATED[provider]
    (_, row) = simulator.control("GET", "/movements")["movements"]
    assert (row["kind"], row["amount"]) == ("refund_external", 4_000)
    assert row["idempotency_key"] is None
    subject = last_told(receiver, CREATED[provider][-1])
    if provider == "stripe":
        assert subject["metadata"] == {}
    if provider == "adyen":
        assert subject["merchantReference"] == reference
    if provider == "paypal":
        assert not {"custom_id", "invoice_id"} & set(subject)
    over = refund(simulator, provider, payment, 6_001)
    assert (over.status >= 400) == (provider != "adyen")
    assert len(moved(simulator)) == 1


def test_late_failure_can_be_set_for_later(simulator: Process, receiver: Receiver) -> None:
    refund(simulator, "stripe", paid(simulator, "stripe"), 1_000)

    answer = simulator.control("POST", "/refunds/rf_1/fail", {"delay_s": 0.2, "copies": 3})
    assert answer["refund"]["status"] == "succeeded"
    simulator.quiet()

    assert told(receiver).count("refund.failed") == 3
    assert shown(simulator)["status"] == "failed"


def test_last_event_of_a_refund_is_sent_again_unchanged(
    simulator: Process, receiver: Receiver
) -> None:
    """S1-a: the same event, twice."""
    refund(simulator, "adyen", paid(simulator, "adyen"), 1_000)
    simulator.control("POST", "/refunds/rf_1/resend", {"copies": 2})
    simulator.quiet()

    bodies = [each.body for each in receiver.received if b'"REFUND"' in each.body]
    refunds = [body for body in bodies if b"rf_1" in body]
    assert (len(refunds), len(set(refunds))) == (3, 1)
