"""Ordered faults: what is answered, what is stored under the key, and what really moved (I7)."""

import http.client
from typing import Any

import pytest

from tests.simulator.process import Process

PAYOUT: dict[str, Any] = {
    "amount": 5000,
    "currency": "eur",
    "metadata[payops_reference]": "po_1",
}
MOVED = [("payout", "po_1", 5000, "EUR", "k1")]
LOST = (TimeoutError, ConnectionError, http.client.HTTPException)


def order(simulator: Process, fault: str, **more: Any) -> None:
    match = {"provider": "stripe", "operation": "payout.create", "reference": "po_1"}
    simulator.control("POST", "/faults", {"match": match, "fault": fault, **more})


def create(simulator: Process, timeout_s: float = 10.0) -> Any:
    return simulator.stripe("POST", "/payouts", PAYOUT, key="k1", timeout_s=timeout_s)


@pytest.mark.parametrize(
    ("fault", "more"),
    [("timeout_after_success", {"delay_s": 30}), ("reset_after_success", {})],
)
def test_lost_answer_still_moved_the_money_once(
    simulator: Process, fault: str, more: dict[str, Any]
) -> None:
    order(simulator, fault, **more)

    with pytest.raises(LOST):
        create(simulator, timeout_s=0.5)
    moved_unseen = simulator.movements()
    retry = create(simulator)

    assert moved_unseen == MOVED
    assert (retry.status, retry.headers["idempotent-replayed"]) == (200, "true")
    assert simulator.movements() == MOVED


def test_reset_is_seen_as_a_reset(simulator: Process) -> None:
    order(simulator, "reset_after_success")

    with pytest.raises(ConnectionResetError):
        create(simulator)


def test_lost_payout_is_found_by_our_reference(simulator: Process) -> None:
    order(simulator, "reset_after_success")
    with pytest.raises(LOST):
        create(simulator)

    listed = simulator.stripe("GET", "/payouts", {"created[gte]": 1, "limit": 100}).json

    assert [row["metadata"]["payops_reference"] for row in listed["data"]] == ["po_1"]


def test_timeout_before_moves_nothing_and_leaves_the_key_free(simulator: Process) -> None:
    order(simulator, "timeout_before", delay_s=30)

    with pytest.raises(LOST):
        create(simulator, timeout_s=0.5)
    assert simulator.movements() == []

    retry = create(simulator)
    assert (retry.status, "idempotent-replayed" in retry.headers) == (200, False)
    assert simulator.movements() == MOVED


@pytest.mark.parametrize("status", [500, 503, 429])
def test_refusal_before_execution_is_not_stored(simulator: Process, status: int) -> None:
    order(simulator, str(status), times=2)

    statuses = [create(simulator).status for _ in range(3)]

    assert statuses == [status, status, 200]
    assert simulator.movements() == MOVED


@pytest.mark.parametrize("moves_money", [False, True])
def test_stored_500_is_replayed_for_ever(simulator: Process, moves_money: bool) -> None:
    order(simulator, "500_stored", moves_money=moves_money)

    first, second, third = (create(simulator) for _ in range(3))

    assert (first.status, second.status, third.status) == (500, 500, 500)
    assert (second.body, second.headers["idempotent-replayed"]) == (first.body, "true")
    assert simulator.movements() == (MOVED if moves_money else [])


def test_declined_is_final_and_stored(simulator: Process) -> None:
    order(simulator, "declined")

    first, second = create(simulator), create(simulator)

    assert (first.status, first.json["error"]["code"]) == (402, "declined")
    assert (second.status, second.headers["idempotent-replayed"]) == (402, "true")
    assert simulator.movements() == []


def test_wrong_amount_is_told_and_replayed_but_not_moved(simulator: Process) -> None:
    order(simulator, "wrong_amount", delta=7)

    first, second = create(simulator), create(simulator)

    assert (first.json["amount"], second.json["amount"]) == (5007, 5007)
    assert simulator.stripe("GET", f"/payouts/{first.json['id']}").json["amount"] == 5000
    assert simulator.movements() == MOVED


def test_wrong_amount_can_really_be_booked(simulator: Process) -> None:
    order(simulator, "wrong_amount", delta=7, booked=True)

    assert create(simulator).json["amount"] == 5007
    assert simulator.movements() == [("payout", "po_1", 5007, "EUR", "k1")]


def test_fault_matches_provider_operation_and_reference_only(simulator: Process) -> None:
    order(simulator, "503")

    other = simulator.payout(reference="po_2")
    read = simulator.stripe("GET", f"/payouts/{other['id']}").status
    struck = create(simulator).status

    assert (read, struck) == (200, 503)


def test_fault_on_reading_finds_the_payout_by_reference(simulator: Process) -> None:
    payout = create(simulator).json
    match = {"provider": "stripe", "operation": "payout.get", "reference": "po_1"}
    simulator.control("POST", "/faults", {"match": match, "fault": "500"})

    statuses = [simulator.stripe("GET", f"/payouts/{payout['id']}").status for _ in range(2)]

    assert statuses == [500, 200]


def test_fault_list_shows_use_and_can_be_cleared(simulator: Process) -> None:
    order(simulator, "503", times=2)
    create(simulator)

    (listed,) = simulator.control("GET", "/faults")["faults"]
    cleared = simulator.control("DELETE", "/faults")

    assert (listed["fault"], listed["used"], listed["remaining"]) == ("503", 1, 1)
    assert (cleared["cleared"], simulator.control("GET", "/faults")) == (1, {"faults": []})
    assert create(simulator).status == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"fault": "nonsense"},
        {"fault": "503", "times": 0},
        {"fault": "503", "delay_s": -1},
        {"fault": "503", "match": {"operation": "payout.steal"}},
        {"fault": "503", "match": {"colour": "red"}},
    ],
)
def test_unknown_fault_is_refused(simulator: Process, wrong: dict[str, Any]) -> None:
    with pytest.raises(AssertionError, match="400"):
        simulator.control("POST", "/faults", wrong)

    assert simulator.control("GET", "/faults") == {"faults": []}
