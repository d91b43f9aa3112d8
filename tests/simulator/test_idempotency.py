"""The provider remembers keys as real providers document it (I7: movements = executed intents)."""

import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.simulator.process import Process, until

PAYOUT: dict[str, Any] = {
    "amount": 5000,
    "currency": "eur",
    "metadata[payops_reference]": "po_1",
}
MOVED = [("payout", "po_1", 5000, "EUR", "k1")]


def test_same_key_and_params_replays_status_and_body(simulator: Process) -> None:
    first = simulator.stripe("POST", "/payouts", PAYOUT, key="k1")
    second = simulator.stripe("POST", "/payouts", dict(reversed(PAYOUT.items())), key="k1")

    assert "idempotent-replayed" not in first.headers
    assert second.headers["idempotent-replayed"] == "true"
    assert second.headers["original-request"] == first.headers["request-id"]
    assert (second.status, second.body) == (200, first.body)
    assert simulator.movements() == MOVED


def test_replay_shows_the_first_answer_not_the_present_state(simulator: Process) -> None:
    first = simulator.stripe("POST", "/payouts", PAYOUT, key="k1")
    simulator.control("POST", "/payouts/po_1/pay")

    replay = simulator.stripe("POST", "/payouts", PAYOUT, key="k1")

    assert replay.json["status"] == "pending"
    assert simulator.stripe("GET", f"/payouts/{first.json['id']}").json["status"] == "paid"


def test_changed_params_are_refused(simulator: Process) -> None:
    simulator.stripe("POST", "/payouts", PAYOUT, key="k1")

    reply = simulator.stripe("POST", "/payouts", PAYOUT | {"amount": 5001}, key="k1")

    assert (reply.status, reply.json["error"]["type"]) == (400, "idempotency_error")
    assert simulator.movements() == MOVED


def test_another_path_under_the_key_is_refused(simulator: Process) -> None:
    payout = simulator.stripe("POST", "/payouts", PAYOUT, key="k1").json

    reply = simulator.stripe("POST", f"/payouts/{payout['id']}/cancel", key="k1")

    assert (reply.status, reply.json["error"]["type"]) == (400, "idempotency_error")


def test_concurrent_use_is_refused_and_moves_once(simulator: Process) -> None:
    simulator.control("POST", "/faults", {"fault": "slow", "times": 8, "delay_s": 1})

    with ThreadPoolExecutor(8) as pool:
        replies = list(
            pool.map(lambda _: simulator.stripe("POST", "/payouts", PAYOUT, key="k1"), range(8))
        )

    codes = sorted((r.status, (r.json.get("error") or {}).get("code")) for r in replies)
    assert codes == [(200, None)] + [(409, "idempotency_key_in_use")] * 7
    assert simulator.movements() == MOVED


def test_validation_failure_leaves_the_key_free(simulator: Process) -> None:
    refused = simulator.stripe("POST", "/payouts", PAYOUT | {"amount": 0}, key="k1")
    accepted = simulator.stripe("POST", "/payouts", PAYOUT, key="k1")

    assert (refused.status, refused.json["error"]["param"]) == (400, "amount")
    assert accepted.status == 200
    assert simulator.movements() == MOVED


def test_refusal_of_execution_is_stored(simulator: Process) -> None:
    payout = simulator.stripe("POST", "/payouts", PAYOUT, key="k1").json
    simulator.control("POST", "/payouts/po_1/pay")

    first = simulator.stripe("POST", f"/payouts/{payout['id']}/cancel", key="k2")
    second = simulator.stripe("POST", f"/payouts/{payout['id']}/cancel", key="k2")

    assert (first.status, first.json["error"]["code"]) == (400, "payout_status_invalid")
    assert (second.status, second.body) == (400, first.body)
    assert second.headers["idempotent-replayed"] == "true"


def test_standard_provider_keeps_its_own_keys(simulator: Process) -> None:
    simulator.stripe("POST", "/payouts", PAYOUT, key="k1")
    asked = {
        "reference": "po_2",
        "amount": 700,
        "currency": "USD",
        "destination": {"token": "tok_1"},
        "description": "P-2",
    }

    first = simulator.standard("POST", "/payouts", asked, key="k1")
    second = simulator.standard("POST", "/payouts", asked, key="k1")
    third = simulator.standard("POST", "/payouts", asked | {"amount": 701}, key="k1")

    assert (first.status, second.status, second.body) == (201, 201, first.body)
    assert second.headers["idempotent-replayed"] == "true"
    assert (third.status, third.json["error"]["type"]) == (400, "idempotency_error")
    assert simulator.movements() == [*MOVED, ("payout", "po_2", 700, "USD", "k1")]


def test_key_is_pruned_after_its_window(launch) -> None:
    simulator = launch(SIM_KEY_WINDOW_S="2")

    def create() -> str:
        return str(simulator.stripe("POST", "/payouts", PAYOUT, key="k1").json["id"])

    first, within = create(), create()
    until(lambda: create() != first, what="the key to be forgotten")

    assert within == first
    assert simulator.movements() == MOVED * 2


def test_movements_cannot_be_rewritten(simulator: Process) -> None:
    simulator.payout()
    books = sqlite3.connect(simulator.directory / "simulator.sqlite3")

    for attack in ("UPDATE movements SET amount = 1", "DELETE FROM movements"):
        try:
            books.execute(attack)
        except sqlite3.IntegrityError as refusal:
            assert str(refusal) == "movements are append-only"
        else:
            raise AssertionError(f"{attack} went through")
    books.close()
    assert simulator.movements() == [("payout", "po_1", 1_240_000, "USD", None)]


def test_long_key_is_refused(simulator: Process) -> None:
    reply = simulator.stripe("POST", "/payouts", PAYOUT, key="k" * 256)

    assert reply.status == 400
    assert json.loads(reply.body)["error"]["message"].startswith("Idempotency-Key")
    assert simulator.movements() == []
