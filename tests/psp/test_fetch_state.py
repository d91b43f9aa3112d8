"""The object of an event as the provider shows it now, Stripe and the generic provider (WH-15)."""

import json
from typing import Any

import pytest

from payops.core.http import HttpClient
from payops.core.money import Money
from payops.psp.base import NormalizedEvent
from payops.psp.calling import NoAnswer, NotFound, ObjectState, StateLookup
from payops.psp.registry import adapter, calls
from tests.psp.payouts import (
    API_KEY,
    BOTH,
    OUR_REF,
    PAYOUTS,
    PREFIX,
    STRIPE_PAYOUT,
    body,
    error,
    requests_seen,
)
from tests.psp.refund_orders import REFUND_REF, STANDARD_REFUND, STRIPE_REFUND
from tests.psp.scripted_server import Script, always, http, scripted_server
from tests.psp.signed import fixture

STEPS = {
    "pending": ["initiated"],
    "in_transit": ["initiated", "in_transit"],
    "paid": ["initiated", "in_transit", "paid"],
    "failed": ["initiated", "failed"],
    "canceled": ["initiated", "canceled"],
}
EUR_12400 = Money(1240000, "EUR")
CHARGE = {"id": "ch_1", "amount": 10000, "currency": "eur", "status": "succeeded", "captured": True}
REFUND = {"id": "re_1", "amount": 3000, "currency": "eur", "status": "succeeded"}
DISPUTE = {"id": "du_1", "amount": 10000, "currency": "eur", "status": "needs_response"}


def said(kind: str, ref: str) -> NormalizedEvent:
    return NormalizedEvent(
        kind=kind,
        provider="x",
        provider_event_id="x",
        provider_ref=ref,
        raw_type="x",
        status="",
        occurred_at=None,
        live=False,
    )


def state_of(name: str, kind: str, script: Script, ref: str) -> StateLookup:
    with scripted_server(script) as server:
        found = calls(name).fetch_state(
            said=said(kind, ref),
            http=HttpClient(allow=server.allow),
            base_url=server.origin,
            api_key=API_KEY,
            deadline_s=5.0,
        )
        requests_seen[:] = server.received
    return found


def shown(name: str, kind: str, value: dict[str, Any]) -> StateLookup:
    return state_of(name, kind, always(http(200, body(value))), value["id"])


@BOTH
@pytest.mark.parametrize("status", STEPS)
def test_state_of_a_payout_proves_its_steps(name, status):
    state = shown(name, "payout.initiated", PAYOUTS[name] | {"status": status})

    assert isinstance(state, ObjectState)
    assert state.reached == {f"payout.{step}" for step in STEPS[status]}
    assert (state.amount, state.our_ref, state.raw_status) == (EUR_12400, OUR_REF, status)
    [request] = requests_seen
    assert request.target == f"{PREFIX[name]}/payouts/{PAYOUTS[name]['id']}"
    assert request.method == "GET"


@BOTH
@pytest.mark.parametrize("step", ["in_transit", "paid"])
def test_failed_payout_hides_whether_it_was_paid_before(name, step):
    failed = PAYOUTS[name] | {"status": "failed", "failure_code": "account_closed"}

    assert shown(name, f"payout.{step}", failed) == NoAnswer(reason=f"failed_hides_{step}")
    state = shown(name, "payout.failed", failed)
    assert isinstance(state, ObjectState)
    assert (state.failure_code, "payout.failed" in state.reached) == ("account_closed", True)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("stripe", {"status": "paid", "reversed_by": "po_2"}),
        ("stripe", {"status": "failed", "reversed_by": "po_2"}),
        ("standard", {"status": "reversed"}),
    ],
)
def test_returned_payout_had_been_paid(name, change):
    state = shown(name, "payout.paid", PAYOUTS[name] | change)

    assert isinstance(state, ObjectState)
    assert state.reached == {
        "payout.initiated",
        "payout.in_transit",
        "payout.paid",
        "payout.returned",
    }


@BOTH
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (error(404, "resource_missing"), NotFound(searched="po_1")),
        (error(404, "route_missing"), NoAnswer(reason="status_404")),
        (http(404, b"<html>"), NoAnswer(reason="answer_not_json")),
        (error(500, "", "api_error"), NoAnswer(reason="api_error")),
        (http(403, b"{}"), NoAnswer(reason="status_403")),
        (http(200, b"{}"), NoAnswer(reason="answer_unreadable")),
        (http(200, body({"id": "po_1", "status": "?"})), NoAnswer(reason="answer_unreadable")),
    ],
)
def test_only_the_provider_itself_can_say_not_found(name, answer, expected):
    assert state_of(name, "payout.paid", always(answer), "po_1") == expected


@BOTH
def test_answer_about_another_object_is_no_answer(name):
    other = http(200, body(PAYOUTS[name] | {"status": "paid"}))

    found = state_of(name, "payout.paid", always(other), "po_somebody_elses")

    assert found == NoAnswer(reason="answer_unreadable")


@BOTH
@pytest.mark.parametrize("ref", ["", "../events", "po_1?x=1", "po 1", "x" * 300])
def test_reference_that_is_no_id_is_not_asked_for(name, ref):
    found = state_of(name, "payout.paid", always(), ref)

    assert found == NoAnswer(reason="reference_malformed")
    assert requests_seen == []


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("standard", "payment.captured"),
        ("standard", "refund.observed"),
        ("standard", "refund.requested"),
        ("standard", "dispute.opened"),
        ("stripe", "refund.requested"),
        ("stripe", "refund.returned"),
        ("stripe", "invoice.paid"),
        ("stripe", "report.available"),
        ("stripe", "ignored"),
    ],
)
def test_what_is_not_offered_stays_open(name, kind):
    assert state_of(name, kind, always(), "x_1") == NoAnswer(reason="not_offered")
    assert requests_seen == []


@pytest.mark.parametrize(
    ("kind", "change", "reached", "amount"),
    [
        ("payment.captured", {}, {"authorized", "captured"}, 10000),
        ("payment.captured", {"amount_captured": 8000}, {"authorized", "captured"}, 8000),
        ("payment.authorized", {"amount_captured": 8000}, {"authorized", "captured"}, 10000),
        ("payment.captured", {"captured": False}, {"authorized"}, 10000),
        ("payment.captured", {"status": "pending"}, set(), 10000),
        ("payment.failed", {"status": "failed", "captured": False}, {"failed"}, 10000),
    ],
)
def test_state_of_a_charge(kind, change, reached, amount):
    state = shown("stripe", kind, CHARGE | change)

    assert isinstance(state, ObjectState)
    assert state.reached == {f"payment.{step}" for step in reached}
    assert state.amount == Money(amount, "EUR")
    assert requests_seen[0].target == "/v1/charges/ch_1"


def test_refunded_charge_is_observed_without_a_sum_of_the_step():
    state = shown("stripe", "refund.observed", CHARGE | {"amount_refunded": 3000})

    assert isinstance(state, ObjectState)
    assert state.reached == {"payment.authorized", "payment.captured", "refund.observed"}
    assert state.amount is None
    untouched = shown("stripe", "refund.observed", CHARGE | {"amount_refunded": 0})
    assert isinstance(untouched, ObjectState)
    assert "refund.observed" not in untouched.reached


@pytest.mark.parametrize(
    ("status", "reached"),
    [
        ("pending", {"accepted"}),
        ("requires_action", {"accepted"}),
        ("succeeded", {"accepted", "succeeded"}),
        ("failed", {"accepted", "failed", "failed_late"}),
        ("canceled", {"accepted", "canceled"}),
    ],
)
def test_state_of_a_refund(status, reached):
    change = {"status": status, "failure_reason": "declined"}

    state = shown("stripe", "refund.accepted", REFUND | change)

    assert isinstance(state, ObjectState)
    assert state.reached == {f"refund.{step}" for step in reached}
    assert (state.amount, state.failure_code) == (Money(3000, "EUR"), "declined")
    assert requests_seen[0].target == "/v1/refunds/re_1"


@pytest.mark.parametrize(
    ("status", "reached"),
    [
        ("pending", {"accepted"}),
        ("succeeded", {"accepted", "succeeded"}),
        ("failed", {"accepted", "failed", "failed_late"}),
        ("reversed", {"accepted", "succeeded", "failed_late", "returned"}),
        ("canceled", {"accepted", "canceled"}),
    ],
)
def test_state_of_a_refund_at_the_generic_provider(status, reached):
    state = shown("standard", "refund.accepted", STANDARD_REFUND | {"status": status})

    assert isinstance(state, ObjectState)
    assert state.reached == {f"refund.{step}" for step in reached}
    assert (state.amount, state.our_ref) == (Money(3000, "EUR"), REFUND_REF)
    assert requests_seen[0].target == "/refunds/srf_1"


@pytest.mark.parametrize("name", ["stripe", "standard"])
def test_failed_refund_hides_whether_it_had_succeeded(name):
    failed = {"stripe": STRIPE_REFUND, "standard": STANDARD_REFUND}[name] | {"status": "failed"}

    assert shown(name, "refund.succeeded", failed) == NoAnswer(reason="failed_hides_succeeded")
    assert isinstance(shown(name, "refund.failed_late", failed), ObjectState)


@pytest.mark.parametrize(
    ("change", "more"),
    [
        ({}, set()),
        ({"status": "won"}, {"won"}),
        ({"status": "lost"}, {"lost"}),
        ({"status": "warning_closed"}, {"closed"}),
        ({"balance_transactions": [{"amount": -10000}]}, {"funds_withdrawn"}),
        (
            {"balance_transactions": [{"amount": -10000}, {"amount": 10000}]},
            {"funds_withdrawn", "funds_returned"},
        ),
        ({"balance_transactions": ["txn_1", {"amount": "5"}, {"amount": 0}]}, set()),
        ({"balance_transactions": 5}, set()),
    ],
)
def test_state_of_a_dispute(change, more):
    state = shown("stripe", "dispute.updated", DISPUTE | change)

    assert isinstance(state, ObjectState)
    assert state.reached == {f"dispute.{step}" for step in {"opened", "updated", *more}}
    assert requests_seen[0].target == "/v1/disputes/du_1"


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("payment.captured", CHARGE | {"status": "new"}),
        ("refund.accepted", REFUND | {"status": None}),
        ("dispute.opened", DISPUTE | {"status": None}),
    ],
)
def test_object_in_a_state_we_do_not_know_is_no_answer(kind, value):
    assert shown("stripe", kind, value) == NoAnswer(reason="answer_unreadable")


def test_settlement_is_asked_for_as_a_payout():
    paid = STRIPE_PAYOUT | {"status": "paid", "reconciliation_status": "completed", "metadata": {}}

    state = shown("stripe", "settlement.paid", paid)

    assert isinstance(state, ObjectState)
    assert state.reached == {
        "settlement.initiated",
        "settlement.in_transit",
        "settlement.paid",
        "settlement.reconciled",
    }


@pytest.mark.parametrize(
    "name",
    [
        "payout_created",
        "payout_in_transit",
        "payout_paid",
        "payout_failed_after_paid",
        "payout_canceled",
        "payout_reversed_by",
        "charge_succeeded",
        "charge_authorized",
        "charge_failed",
        "refund_created",
        "refund_succeeded",
        "refund_failed_late",
        "dispute_created",
        "settlement_paid",
    ],
)
def test_event_agrees_with_the_object_it_was_made_from(name):
    raw = fixture("stripe", name)
    event = adapter("stripe").parse(raw)
    subject = json.loads(raw)["data"]["object"]

    state = shown("stripe", event.kind, subject)

    assert isinstance(state, ObjectState)
    assert event.kind in state.reached
    assert (state.provider_ref, state.amount) == (event.provider_ref, event.amount)
    assert state.failure_code == event.failure_code
