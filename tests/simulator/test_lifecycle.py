"""A payout's life at the provider, late failure after PAID included (PX-1, PX-3, WH-8)."""

import threading

import pytest

from tests.simulator.process import Process, Receiver, until

STANDARD = {
    "reference": "po_9",
    "amount": 700,
    "currency": "USD",
    "destination": {"token": "tok_1"},
    "description": "P-9",
}


def test_payout_is_created_sent_and_paid_on_the_clock(launch, receiver: Receiver) -> None:
    simulator = launch(SIM_SETTLE_S="0.4")

    payout = simulator.payout(key="k1")
    until(lambda: "payout.paid" in receiver.types(), what="payout.paid")

    assert payout["status"] == "pending"
    assert receiver.types() == ["payout.created", "payout.updated", "payout.paid"]
    stages = [webhook.event["data"]["object"]["status"] for webhook in receiver.received]
    assert stages == ["pending", "in_transit", "paid"]
    before = receiver.received[2].event["data"]["previous_attributes"]["status"]
    assert before == "in_transit"
    assert simulator.movements() == [("payout", "po_1", 1_240_000, "USD", "k1")]


def test_late_failure_after_paid_brings_the_money_back(
    simulator: Process, receiver: Receiver
) -> None:
    payout = simulator.payout(key="k1")
    simulator.control("POST", "/payouts/P-10492/pay")
    simulator.quiet()

    told = simulator.control("POST", "/payouts/P-10492/fail", {"failure_code": "account_closed"})
    simulator.quiet()

    event = receiver.received[-1].event
    failed = event["data"]["object"]
    assert (event["id"], event["type"]) == (told["event"], "payout.failed")
    assert (failed["id"], failed["failure_code"]) == (payout["id"], "account_closed")
    assert failed["failure_message"] == "The bank account has been closed."
    assert event["data"]["previous_attributes"]["status"] == "paid"
    entry = simulator.stripe(
        "GET", f"/balance_transactions/{failed['failure_balance_transaction']}"
    ).json
    assert (entry["type"], entry["amount"]) == ("payout_failure", 1_240_000)
    assert simulator.movements() == [
        ("payout", "po_1", 1_240_000, "USD", "k1"),
        ("payout_failure", "po_1", 1_240_000, "USD", None),
    ]


def test_twelve_copies_are_one_event_with_the_same_bytes_at_once(
    simulator: Process, receiver: Receiver
) -> None:
    simulator.payout()
    simulator.control("POST", "/payouts/po_1/pay")
    simulator.quiet()
    receiver.received.clear()
    receiver.barrier = threading.Barrier(12)

    simulator.control("POST", "/payouts/po_1/fail", {"copies": 12})
    simulator.quiet()

    assert len(receiver.received) == 12
    assert len({webhook.body for webhook in receiver.received}) == 1
    assert simulator.control("GET", "/events?type=payout.failed")["total"] == 1
    assert [kind for kind, *_ in simulator.movements()] == ["payout", "payout_failure"]


def test_second_failure_is_refused_unless_it_is_told_again(
    simulator: Process, receiver: Receiver
) -> None:
    simulator.payout()
    first = simulator.control("POST", "/payouts/po_1/fail")

    with pytest.raises(AssertionError, match="payout_status_invalid"):
        simulator.control("POST", "/payouts/po_1/fail")
    again = simulator.control("POST", "/payouts/po_1/fail", {"repeat": True})
    simulator.quiet()

    assert first["event"] != again["event"]
    assert receiver.types().count("payout.failed") == 2
    assert [kind for kind, *_ in simulator.movements()] == ["payout", "payout_failure"]


def test_standard_settlement_failed_is_told_under_its_own_name(
    simulator: Process, receiver: Receiver
) -> None:
    simulator.standard("POST", "/payouts", STANDARD, key="k9")
    simulator.control("POST", "/payouts/P-9/pay")

    simulator.control(
        "POST",
        "/payouts/P-9/fail",
        {"event": "settlementFailed", "failure_code": "no_account"},
    )
    simulator.quiet()

    event = next(w.event for w in receiver.received if w.type == "settlementFailed")
    assert event["data"]["status"] == "failed"
    assert event["previous"]["status"] == "paid"
    assert (event["live"], event["request"]) == (False, None)
    created = next(w.event for w in receiver.received if w.type == "payout.created")
    assert created["request"]["idempotency_key"] == "k9"


def test_stripe_does_not_know_settlement_failed(simulator: Process) -> None:
    simulator.payout()

    with pytest.raises(AssertionError, match=r"one of: payout\.failed\."):
        simulator.control("POST", "/payouts/po_1/fail", {"event": "settlementFailed"})

    assert [kind for kind, *_ in simulator.movements()] == ["payout"]


def test_standard_reversal_after_paid(simulator: Process, receiver: Receiver) -> None:
    simulator.standard("POST", "/payouts", STANDARD)
    simulator.control("POST", "/payouts/P-9/pay")

    simulator.control("POST", "/payouts/P-9/reverse")
    simulator.quiet()

    event = next(w.event for w in receiver.received if w.type == "payout.reversed")
    assert (event["data"]["status"], event["previous"]) == ("reversed", {"status": "paid"})
    assert [kind for kind, *_ in simulator.movements()] == ["payout", "payout_reversal"]


def test_stripe_reversal_is_a_counter_payout(simulator: Process, receiver: Receiver) -> None:
    payout = simulator.payout()
    simulator.control("POST", "/payouts/po_1/pay")

    simulator.control("POST", "/payouts/po_1/reverse")
    simulator.quiet()

    original = simulator.stripe("GET", f"/payouts/{payout['id']}").json
    counter = simulator.stripe("GET", f"/payouts/{original['reversed_by']}").json
    assert (original["status"], counter["original_payout"]) == ("paid", payout["id"])
    assert counter["amount"] == -1_240_000
    assert simulator.control("GET", "/payouts")["total"] == 1
    with pytest.raises(AssertionError, match="already_reversed"):
        simulator.control("POST", "/payouts/po_1/reverse")
    assert [kind for kind, *_ in simulator.movements()] == ["payout", "payout_reversal"]


def test_only_a_pending_payout_is_canceled(simulator: Process, receiver: Receiver) -> None:
    first, second = simulator.payout(), simulator.payout(reference="po_2")
    simulator.control("POST", "/payouts/po_2/send")

    done = simulator.stripe("POST", f"/payouts/{first['id']}/cancel")
    refused = simulator.stripe("POST", f"/payouts/{second['id']}/cancel")
    simulator.quiet()

    assert (done.status, done.json["status"]) == (200, "canceled")
    assert (refused.status, refused.json["error"]["code"]) == (400, "payout_status_invalid")
    assert receiver.types().count("payout.canceled") == 1
    assert [kind for kind, *_ in simulator.movements()] == ["payout", "payout", "payout_cancel"]


def test_failure_can_be_set_for_later(simulator: Process, receiver: Receiver) -> None:
    simulator.payout()
    simulator.control("POST", "/payouts/po_1/pay")

    told = simulator.control("POST", "/payouts/po_1/fail", {"delay_s": 0.3, "copies": 2})
    assert (told["event"], told["payout"]["status"]) == (None, "paid")
    simulator.quiet()

    assert receiver.types().count("payout.failed") == 2
    assert simulator.control("GET", "/payouts")["payouts"][0]["status"] == "failed"


def test_a_person_is_faster_than_the_clock(launch, receiver: Receiver) -> None:
    simulator = launch(SIM_SETTLE_S="0.6")
    simulator.payout()

    simulator.control("POST", "/payouts/po_1/fail")
    simulator.quiet()

    assert simulator.control("GET", "/payouts")["payouts"][0]["status"] == "failed"
    assert sorted(receiver.types()) == ["payout.created", "payout.failed"]
