"""Killing the simulator loses nothing it answered for (I7, WH-8)."""

import http.client
import re
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.simulator.process import ROOT, Process, Receiver, until


def test_kill_keeps_payouts_keys_movements_faults_and_switches(simulator: Process) -> None:
    payout = simulator.payout(key="k1")
    simulator.control("POST", "/faults", {"fault": "503", "times": 3})
    simulator.control("POST", "/delivery", {"reorder": True})

    simulator.kill()
    simulator.start()

    assert simulator.control("GET", "/faults")["faults"][0]["remaining"] == 3
    assert simulator.control("GET", "/delivery")["reorder"] is True
    simulator.control("DELETE", "/faults")
    params = {
        "amount": 1_240_000,
        "currency": "usd",
        "metadata[payops_reference]": "po_1",
        "metadata[merchant_reference]": "P-10492",
    }
    replay = simulator.stripe("POST", "/payouts", params, key="k1")
    assert (replay.json["id"], replay.headers["idempotent-replayed"]) == (payout["id"], "true")
    assert simulator.movements() == [("payout", "po_1", 1_240_000, "USD", "k1")]


def test_kill_resumes_queued_deliveries(simulator: Process, receiver: Receiver) -> None:
    receiver.plan = [503]
    simulator.control("POST", "/delivery", {"hold": True})
    simulator.payout()
    simulator.control("POST", "/payouts/po_1/pay")
    simulator.kill()
    assert receiver.received == []

    simulator.start()
    simulator.control("POST", "/delivery", {"hold": False, "order": "original"})
    simulator.quiet()

    assert sorted(set(receiver.types())) == ["payout.created", "payout.paid"]
    assert simulator.control("GET", "/state")["deliveries"]["delivered"] == 2


def test_kill_during_an_attempt_repeats_it(simulator: Process, receiver: Receiver) -> None:
    receiver.barrier = threading.Barrier(2)
    simulator.payout()
    until(lambda: receiver.barrier.n_waiting == 1, what="an attempt under way")

    simulator.kill()
    receiver.barrier.wait(5)
    receiver.barrier = None
    simulator.start()
    simulator.quiet()

    ids = [webhook.event["id"] for webhook in receiver.received]
    assert (len(ids), len(set(ids))) == (2, 1)


def test_kill_keeps_the_clock(launch, receiver: Receiver) -> None:
    simulator = launch(SIM_SETTLE_S="1.0")
    simulator.payout()

    simulator.kill()
    simulator.start()
    simulator.quiet()

    assert receiver.types()[-1] == "payout.paid"
    assert simulator.control("GET", "/payouts")["payouts"][0]["status"] == "paid"


def test_kill_under_traffic_keeps_one_movement_per_answered_key(simulator: Process) -> None:
    answered: list[str] = []
    stopped = threading.Event()

    def pay(worker: int) -> None:
        number = 0
        while not stopped.is_set():
            key = f"k{worker}-{number}"
            params: dict[str, Any] = {
                "amount": 100,
                "currency": "eur",
                "metadata[payops_reference]": key,
            }
            try:
                if simulator.stripe("POST", "/payouts", params, key=key).status == 200:
                    answered.append(key)
                    number += 1
            except (OSError, http.client.HTTPException):
                stopped.wait(0.02)

    workers = [threading.Thread(target=pay, args=(n,)) for n in range(4)]
    for worker in workers:
        worker.start()
    for _ in range(3):
        seen = len(answered)
        until(lambda seen=seen: len(answered) > seen + 10, what="traffic")
        simulator.kill()
        simulator.start()
    stopped.set()
    for worker in workers:
        worker.join(15)

    moved = [key for *_, key in simulator.movements()]
    assert len(moved) == len(set(moved))
    assert set(answered) <= set(moved)
    assert len(set(moved) - set(answered)) <= len(workers)


def test_terminate_stops_cleanly(simulator: Process) -> None:
    simulator.payout()

    assert simulator.terminate() == 0

    simulator.start()
    assert [kind for kind, *_ in simulator.movements()] == ["payout"]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_only_the_main_thread_can_take_the_stop_signal(simulator: Process) -> None:
    # A signal another thread takes leaves a waiting main thread asleep: the stop would be lost.
    simulator.payout()
    simulator.quiet()
    assert simulator.child is not None
    main = str(simulator.child.pid)
    blocked = {}

    for thread in Path(f"/proc/{main}/task").iterdir():
        try:
            mask = re.search(r"SigBlk:\s*(\w+)", (thread / "status").read_text())
        except FileNotFoundError:
            continue  # A thread of a request that has just been answered.
        assert mask
        blocked[thread.name] = int(mask[1], 16)

    assert len(blocked) >= 5
    for stop in (signal.SIGTERM, signal.SIGINT):
        assert [name for name, mask in blocked.items() if not mask >> (stop - 1) & 1] == [main]


def test_terminate_is_heard_while_other_threads_are_busy(launch, receiver: Receiver) -> None:
    receiver.close()
    simulator = launch(SIM_SETTLE_S="1.0", SIM_BACKOFF_S="1,2,5")
    codes = []

    for number in range(20):
        simulator.payout(reference=f"po_{number}")
        simulator.control("POST", f"/payouts/po_{number}/fail", {"copies": 12})
        codes.append(simulator.terminate())
        simulator.start()

    assert codes == [0] * 20
    assert [kind for kind, *_ in simulator.movements()].count("payout_failure") == 20


def test_terminate_does_not_wait_for_a_slow_call(simulator: Process) -> None:
    simulator.control("POST", "/faults", {"fault": "timeout_before", "delay_s": 120})
    ends: list[Exception] = []

    def call() -> None:
        try:
            simulator.payout()
        except (OSError, http.client.HTTPException) as lost:
            ends.append(lost)

    caller = threading.Thread(target=call)
    caller.start()
    until(lambda: simulator.control("GET", "/faults")["faults"][0]["used"], what="the slow call")

    assert simulator.terminate() == 0
    caller.join(15)
    assert len(ends) == 1


def test_second_simulator_over_the_same_data_is_refused(simulator: Process) -> None:
    environ = {
        "SIM_TARGET": "http://127.0.0.1:1",
        "SIM_STRIPE_SECRET": "whsec_a",
        "SIM_STANDARD_SECRET": "whsec_" + "A" * 32,
        "SIM_API_KEY": "k",
    }
    command = [sys.executable, "-m", "payops.simulator", "--port", "0"]

    second = subprocess.run(
        [*command, "--data", str(simulator.directory)],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=15,
    )

    assert second.returncode == 2
    assert second.stderr == f"simulator: another simulator is running over {simulator.directory}\n"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("SIM_API_KEY", "", "SIM_API_KEY is not set"),
        ("SIM_TARGET", "ftp://x", "SIM_TARGET must be an http(s) address"),
        ("SIM_STANDARD_SECRET", "whsec_AAAA", "SIM_STANDARD_SECRET must decode to 24 to 64"),
        ("SIM_SETTLE_S", "soon", "SIM_SETTLE_S is not a number"),
        ("SIM_ADYEN_SECRET", "ab" * 31, "SIM_ADYEN_SECRET must be 64 hex digits"),
        ("SIM_PAYPAL_KEY", "no-colon", "SIM_PAYPAL_KEY must be a client id and a secret"),
    ],
)
def test_bad_setting_is_named(tmp_path, name: str, value: str, message: str) -> None:
    environ = {
        "SIM_TARGET": "http://127.0.0.1:1",
        "SIM_STRIPE_SECRET": "whsec_a",
        "SIM_STANDARD_SECRET": "whsec_" + "A" * 32,
        "SIM_API_KEY": "k",
        name: value,
    }

    done = subprocess.run(
        [sys.executable, "-m", "payops.simulator", "--port", "0", "--data", str(tmp_path)],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=15,
    )

    assert done.returncode == 2
    assert message in done.stderr


def test_part_that_dies_takes_the_process_with_it(simulator: Process) -> None:
    books = sqlite3.connect(simulator.directory / "simulator.sqlite3")
    books.execute("DROP TABLE jobs")
    books.close()

    assert simulator.child is not None
    assert simulator.child.wait(15) == 1


def test_store_of_an_older_simulator_is_taken_over(simulator: Process) -> None:
    """Its log of calls named neither key nor object; what it says is kept."""
    simulator.payout()
    simulator.terminate()
    books = sqlite3.connect(simulator.directory / "simulator.sqlite3")
    books.executescript(
        "DROP INDEX calls_key; ALTER TABLE calls DROP COLUMN key;"
        "ALTER TABLE calls DROP COLUMN reference; ALTER TABLE calls DROP COLUMN object_id;"
    )
    books.close()

    simulator.start()
    simulator.payout(reference="po_2", key="k2")

    calls = simulator.control("GET", "/calls")["calls"]
    assert [(call["key"], call["reference"]) for call in calls] == [(None, None), ("k2", "po_2")]


def test_kill_keeps_refunds_disputes_rules_and_clock(simulator: Process) -> None:
    charge = simulator.pay_in("stripe", amount=10_000)["payment"]["id"]
    simulator.control("POST", "/payments/ORDER-1/refund", {"amount": 1_000, "status": "pending"})
    simulator.control("POST", "/payments/ORDER-1/dispute")
    simulator.control("POST", "/rules", {"permissive": True})
    simulator.control("POST", "/clock", {"keys_ahead_s": 90_000})

    simulator.kill()
    simulator.start()

    (refund,) = simulator.control("GET", f"/refunds?payment={charge}")["refunds"]
    (dispute,) = simulator.control("GET", f"/disputes?payment={charge}")["disputes"]
    assert (refund["amount"], refund["status"]) == (1_000, "pending")
    assert (dispute["withdrawn"], dispute["refundable"]) == (True, False)
    assert simulator.control("GET", "/rules")["permissive"] is True
    assert simulator.control("GET", "/clock")["keys_ahead_s"] == 90_000
    assert [row[0] for row in simulator.movements()] == [
        "payment",
        "refund_external",
        "dispute_withdrawal",
    ]
