"""Webhook delivery: retries, order, holding back, dropping, resending (WH-6, WH-8)."""

import threading
from typing import Any

from tests.simulator.process import Process, Receiver, until


def attempts(simulator: Process) -> list[Any]:
    (delivery,) = simulator.control("GET", "/deliveries")["deliveries"]
    return [delivery["state"], [attempt["status"] for attempt in delivery["attempts"]]]


def test_refused_webhook_is_sent_again_until_taken(simulator: Process, receiver: Receiver) -> None:
    receiver.plan = [500, 401, 200]

    simulator.payout()
    simulator.quiet()

    assert attempts(simulator) == ["delivered", [500, 401, 200]]
    assert len({webhook.body for webhook in receiver.received}) == 1


def test_tries_are_bounded(launch, receiver: Receiver) -> None:
    simulator = launch(SIM_TRIES="3")
    receiver.plan = [500] * 10

    simulator.payout()
    simulator.quiet()

    assert attempts(simulator) == ["given_up", [500, 500, 500]]
    assert len(receiver.received) == 3


def test_receiver_that_is_down_gets_it_when_it_is_up(launch, receiver: Receiver) -> None:
    receiver.close()
    simulator = launch(SIM_TRIES="3")

    simulator.payout()
    simulator.quiet()

    (delivery,) = simulator.control("GET", "/deliveries")["deliveries"]
    assert (delivery["state"], len(delivery["attempts"])) == ("given_up", 3)
    assert delivery["attempts"][0]["status"] is None
    assert delivery["attempts"][0]["error"].startswith("ConnectionRefusedError")


def test_held_deliveries_are_released_in_reverse(simulator: Process, receiver: Receiver) -> None:
    simulator.control("POST", "/delivery", {"hold": True})
    simulator.payout()
    for act in ("send", "pay", "fail"):
        simulator.control("POST", f"/payouts/po_1/{act}")
    assert (simulator.control("GET", "/state")["deliveries"]["queued"], receiver.types()) == (4, [])

    released = simulator.control("POST", "/delivery", {"hold": False, "order": "reversed"})
    simulator.quiet()

    assert released["released"] == 4
    assert receiver.types() == ["payout.failed", "payout.paid", "payout.updated", "payout.created"]


def test_shuffled_release_depends_on_the_seed_alone(simulator: Process, receiver: Receiver) -> None:
    orders = []
    for seed in (7, 7, 8):
        simulator.control("POST", "/reset")
        receiver.received.clear()
        simulator.control("POST", "/delivery", {"hold": True})
        for number in range(8):
            simulator.payout(reference=f"po_{number}")
        release = {"hold": False, "order": "shuffled", "seed": seed}
        simulator.control("POST", "/delivery", release)
        simulator.quiet()
        metadata = [w.event["data"]["object"]["metadata"] for w in receiver.received]
        orders.append([entry["payops_reference"] for entry in metadata])

    assert sorted(orders[0]) == [f"po_{number}" for number in range(8)]
    assert orders[0] == orders[1]
    assert orders[0] != orders[2]


def test_reorder_shuffles_without_losing(simulator: Process, receiver: Receiver) -> None:
    simulator.control("POST", "/delivery", {"reorder": True, "seed": 3})
    sent = [f"po_{number}" for number in range(12)]

    for reference in sent:
        simulator.payout(reference=reference)
    simulator.quiet()

    metadata = [w.event["data"]["object"]["metadata"] for w in receiver.received]
    came = [entry["payops_reference"] for entry in metadata]
    assert sorted(came) == sorted(sent)
    assert came != sent


def test_dropped_deliveries_are_never_sent_but_can_be_resent(
    simulator: Process, receiver: Receiver
) -> None:
    simulator.control("POST", "/delivery", {"drop_next": 2})
    for number in range(3):
        simulator.payout(reference=f"po_{number}")
    simulator.quiet()

    states = [d["state"] for d in simulator.control("GET", "/deliveries")["deliveries"]]
    assert states == ["delivered", "dropped", "dropped"]
    assert len(receiver.received) == 1
    lost = simulator.control("GET", "/events")["events"][0]["id"]
    simulator.control("POST", f"/events/{lost}/resend")
    simulator.quiet()
    assert [webhook.event["id"] for webhook in receiver.received][1:] == [lost]


def test_resend_sends_twelve_in_parallel(simulator: Process, receiver: Receiver) -> None:
    simulator.payout()
    simulator.quiet()
    (event,) = simulator.control("GET", "/events")["events"]
    receiver.received.clear()
    # Nobody passes the barrier before the twelfth delivery is under way.
    receiver.barrier = threading.Barrier(12)

    told = simulator.control(
        "POST", f"/events/{event['id']}/resend", {"copies": 12, "parallel": 12}
    )
    simulator.quiet()

    assert len(told["deliveries"]) == 12
    assert {webhook.body.decode() for webhook in receiver.received} == {event["body"]}
    assert len(receiver.received) == 12


def test_late_delivery_waits(simulator: Process, receiver: Receiver) -> None:
    simulator.control("POST", "/delivery", {"lateness_s": 3600})
    simulator.payout()

    state = simulator.control("GET", "/state")
    (delivery,) = simulator.control("GET", "/deliveries")["deliveries"]
    assert (state["deliveries"]["queued"], delivery["attempts"]) == (1, [])
    assert 3590 < delivery["due_at"] - state["now"] <= 3600
    simulator.control("POST", "/delivery", {"retry_now": True})
    simulator.quiet()
    assert receiver.types() == ["payout.created"]


def test_reset_forgets_everything(simulator: Process, receiver: Receiver) -> None:
    simulator.payout(key="k1")
    simulator.quiet()

    simulator.control("POST", "/reset")

    state = simulator.control("GET", "/state")
    counts = (state["movements"], state["events"], state["payouts"], state["idle"])
    assert counts == (0, 0, {}, True)
    simulator.payout(key="k1")
    until(lambda: len(receiver.received) == 2, what="the webhook of the new payout")
