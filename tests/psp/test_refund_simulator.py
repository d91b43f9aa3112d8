"""Our refund calls and readers against every shape of provider the simulator has (RF-4 to RF-12).

The simulator is written without the product: what the two agree on is the providers' own wire.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from payops.core.http import HttpClient
from payops.core.money import Money
from payops.psp import registry
from payops.psp.base import NormalizedEvent
from payops.psp.calling import CallOutcome, NoAnswer, NotFound, RefundList, RefundOrder, RefundState
from payops.psp.paypal.oauth import TOKENS
from tests.simulator.process import API_KEY, PAYPAL_CLIENT, Process, Receiver
from tests.simulator.refunding import paid

OURS = "rf_0190d3a1b2c37d4e8f90a1b2c3d4e5f7"
OTHER = "rf_0190d3a1b2c37d4e8f90a1b2c3d4e5f8"
THIRTY = Money(3000, "EUR")
EVERYBODY = pytest.mark.parametrize("name", ["stripe", "adyen", "paypal", "standard"])
ASKABLE = pytest.mark.parametrize("name", ["stripe", "paypal", "standard"])
BASE = {"stripe": "/stripe", "adyen": "/adyen", "paypal": "/paypal", "standard": "/standard"}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.close()


@pytest.fixture
def simulator(tmp_path: Path, receiver: Receiver) -> Iterator[Process]:
    TOKENS.forget()
    process = Process(tmp_path / "simulator", receiver.url, {})
    process.start()
    yield process
    process.kill()
    TOKENS.forget()


def caller(simulator: Process, name: str, *, deadline_s: float = 10.0) -> dict[str, Any]:
    return {
        "http": HttpClient(allow=[f"127.0.0.1:{simulator.port}"]),
        "base_url": f"http://127.0.0.1:{simulator.port}{BASE[name]}",
        "api_key": f"{PAYPAL_CLIENT}:{API_KEY}" if name == "paypal" else API_KEY,
        "deadline_s": deadline_s,
        "settings": {"merchant_account": "MeridianDE"},
    }


def submit(
    simulator: Process,
    name: str,
    payment: str,
    *,
    our_ref: str = OURS,
    amount: Money = THIRTY,
    deadline_s: float = 10.0,
) -> CallOutcome:
    order = RefundOrder(
        our_ref=our_ref,
        merchant_ref="R-1",
        payment_provider_ref=payment,
        amount=amount,
        idempotency_key=f"key-{our_ref}",
    )
    return registry.refunds(name).submit_refund(
        order=order, **caller(simulator, name, deadline_s=deadline_s)
    )


def find(simulator: Process, name: str, payment: str, our_ref: str = OURS) -> Any:
    return registry.refunds(name).find_refund(
        our_ref=our_ref, payment_provider_ref=payment, **caller(simulator, name)
    )


def made(simulator: Process) -> int:
    rows = simulator.control("GET", "/movements")["movements"]
    return len([row for row in rows if row["kind"] == "refund"])


def told(receiver: Receiver, name: str, family: str) -> list[NormalizedEvent]:
    """What the webhooks of a provider said of refunds or disputes, in the product's words."""
    found = []
    for webhook in receiver.received:
        items = len(json.loads(webhook.body).get("notificationItems", [None]))
        for number in range(items):
            event = registry.adapter(name).parse(webhook.body, number)
            if event.kind.startswith(family):
                found.append(event)
    return found


@EVERYBODY
def test_refund_is_made_once_and_echoed(simulator: Process, name: str) -> None:
    payment = paid(simulator, name)

    first = submit(simulator, name, payment)
    again = submit(simulator, name, payment)

    assert (first.kind, first.error_code) == ("succeeded", None)
    assert "refund.accepted" in first.reached
    assert (first.echo_amount, first.echo_reference) == (THIRTY, OURS)
    assert (again.kind, again.provider_ref) == ("succeeded", first.provider_ref)
    simulator.quiet()
    assert made(simulator) == 1


@ASKABLE
def test_lost_answer_is_found_by_our_reference(simulator: Process, name: str) -> None:
    payment = paid(simulator, name)
    fault = {
        "match": {"provider": name, "operation": "refund.create"},
        "fault": "reset_after_success",
        "times": 1,
    }
    simulator.control("POST", "/faults", fault)

    outcome = submit(simulator, name, payment)

    assert (outcome.kind, outcome.provider_ref) == ("unknown", None)
    found = find(simulator, name, payment)
    assert isinstance(found, RefundState)
    assert (found.our_ref, found.amount, found.payment_provider_ref) == (OURS, THIRTY, payment)
    fetched = registry.refunds(name).fetch_refund(
        provider_ref=found.provider_ref, **caller(simulator, name)
    )
    assert fetched == found
    assert find(simulator, name, payment, OTHER) == NotFound(searched=OTHER)


def test_paypal_that_forgot_the_key_still_knows_our_invoice_number(simulator: Process) -> None:
    """D14: the second call moves nothing and is not taken for a refusal."""
    payment = paid(simulator, "paypal")
    first = submit(simulator, "paypal", payment)
    simulator.control("POST", "/keys/forget")

    again = submit(simulator, "paypal", payment)

    assert (again.kind, again.error_code) == ("unknown", "DUPLICATE_INVOICE_ID")
    assert find(simulator, "paypal", payment).provider_ref == first.provider_ref
    assert made(simulator) == 1


def test_adyen_can_be_asked_nothing(simulator: Process) -> None:
    payment = paid(simulator, "adyen")
    submit(simulator, "adyen", payment)

    assert find(simulator, "adyen", payment) == NoAnswer(reason="not_offered")


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("stripe", "charge_already_refunded"),
        ("paypal", "REFUND_AMOUNT_EXCEEDED"),
        ("standard", "amount_too_large"),
    ],
)
def test_more_than_is_left_is_refused_in_the_providers_word(
    simulator: Process, name: str, code: str
) -> None:
    payment = paid(simulator, name)

    outcome = submit(simulator, name, payment, amount=Money(10001, "EUR"))

    assert (outcome.kind, outcome.error_code) == ("refused", code)
    assert made(simulator) == 0


@ASKABLE
def test_refund_made_in_the_dashboard_is_listed_without_our_reference(
    simulator: Process, name: str
) -> None:
    """RF-12: detected, so that it reduces what is left."""
    payment = paid(simulator, name)
    simulator.control("POST", f"/payments/{payment}/refund", {"amount": 2500})
    submit(simulator, name, payment)

    listed = registry.refunds(name).list_refunds(
        payment_provider_ref=payment, **caller(simulator, name)
    )

    assert isinstance(listed, RefundList) and listed.complete
    shown = {(state.our_ref, state.amount.minor) for state in listed.refunds}
    assert shown == {(None, 2500), (OURS, 3000)}


@EVERYBODY
def test_every_refund_event_of_a_late_failure_names_one_refund(
    simulator: Process, receiver: Receiver, name: str
) -> None:
    payment = paid(simulator, name)
    outcome = submit(simulator, name, payment)
    simulator.quiet()
    if name == "standard" or (name == "adyen" and not told(receiver, name, "refund.")):
        simulator.control("POST", f"/refunds/{OURS}/succeed")
        simulator.quiet()
    simulator.control("POST", f"/refunds/{OURS}/fail")
    simulator.quiet()

    events = [each for each in told(receiver, name, "refund.") if each.kind != "refund.observed"]

    assert {each.provider_ref for each in events} == {outcome.provider_ref}
    assert {each.original_provider_ref for each in events} == {payment}
    assert {each.our_ref for each in events} == {OURS}
    assert {each.amount for each in events} == {THIRTY}
    assert events[-1].kind in ("refund.failed_late", "refund.failed")


@EVERYBODY
def test_dispute_is_told_with_payment_reason_and_stage(
    simulator: Process, receiver: Receiver, name: str
) -> None:
    payment = paid(simulator, name)
    simulator.control("POST", f"/payments/{payment}/dispute", {"due_s": 86400})
    simulator.quiet()

    events = told(receiver, name, "dispute.")

    kinds = [each.kind for each in events]
    assert "dispute.opened" in kinds and "dispute.funds_withdrawn" in kinds
    assert {each.original_provider_ref for each in events} == {payment}
    opened = next(each for each in events if each.kind == "dispute.opened")
    assert (opened.stage, opened.refundable) == ("chargeback", False)
    assert opened.due_at is not None and opened.failure_code


@pytest.mark.parametrize("name", ["stripe", "adyen", "standard"])
def test_second_round_of_a_dispute_is_another_movement(
    simulator: Process, receiver: Receiver, name: str
) -> None:
    """PayPal tells of a second round in its case, not as a movement of its own."""
    payment = paid(simulator, name)
    dispute = simulator.control("POST", f"/payments/{payment}/dispute")["dispute"]["id"]
    for step in ("return", "win", "again"):
        simulator.control("POST", f"/disputes/{dispute}/{step}")
        simulator.quiet()

    out = [
        each.movement_ref
        for each in told(receiver, name, "dispute.")
        if each.kind == "dispute.funds_withdrawn"
    ]

    assert len(out) == len(set(out)) == 2 and all(out)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"fault": "wrong_currency"}, "mismatch"),
        ({"fault": "wrong_reference"}, "mismatch"),
        ({"fault": "redirect"}, "unknown"),
        ({"fault": "empty"}, "unknown"),
        ({"fault": "html"}, "unknown"),
        ({"fault": "trickle", "delay_s": 1}, "unknown"),
        ({"fault": "huge"}, "unknown"),
    ],
    ids=lambda value: value["fault"] if isinstance(value, dict) else value,
)
@EVERYBODY
def test_each_fault_ends_in_a_named_state_within_the_deadline(
    simulator: Process, name: str, fault: dict[str, Any], kind: str
) -> None:
    payment = paid(simulator, name)
    match = {"match": {"provider": name, "operation": "refund.create"}, "times": 1}
    simulator.control("POST", "/faults", match | fault)

    outcome = submit(simulator, name, payment, deadline_s=2.0)

    assert outcome.kind == kind, outcome
    assert (outcome.finished_at - outcome.started_at).total_seconds() < 4.0
