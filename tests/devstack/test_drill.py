"""The drill (SC-4, I1, I2, I7): a short one over the whole stack, and proof that it can fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from payops.commands.management.commands.drill import BOUNDS
from payops.devstack.datadir import CHECKOUT
from payops.devstack.drill import verdict
from payops.devstack.drill.killer import BLOWS, WIPE, plan
from payops.devstack.environment import Addresses, DatabaseUrls, product_environment
from payops.devstack.recipe import PRODUCT, Setting
from payops.devstack.secretfile import load_secrets
from payops.devstack.testrun import cleaned

pytestmark = pytest.mark.xdist_group("devstack")  # one heavy stack at a time on two cores
TIMEOUT_S = 540
KILLS = 4


def test_short_drill_loses_nothing_and_doubles_nothing() -> None:
    """SC-4: broker wiped and processes killed under traffic; every body, entry and payout once."""
    command = ("manage.py", "drill", "--seed", "7", "--kills", str(KILLS), "--seconds", "15")

    drilled = subprocess.run(
        [sys.executable, *command, "--json"],
        cwd=CHECKOUT,
        env=cleaned(os.environ),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )

    assert drilled.stdout, drilled.stderr[-3000:]
    told = json.loads(drilled.stdout)
    broken = [check for check in told["checks"] if not check["ok"]]
    assert (broken, told["ok"], drilled.returncode) == ([], True, 0)
    assert (told["kills"], told["lost"], told["doubled"]) == (KILLS, 0, 0)
    assert sum(blow["what"] == WIPE.words for blow in told["struck"]) == 4
    assert all(blow["back_after_s"] is not None for blow in told["struck"])
    assert min(told["traffic"]["payments"], told["traffic"]["payouts"]) >= 5
    looked_at = {check["words"]: check["checked"] for check in told["checks"]}
    assert looked_at["every delivery answered 2xx has its receipt"] >= 20
    assert looked_at["money moved = executed intents"] >= 5
    assert looked_at["I4 one journal outcome per movement"] >= 10
    assert told["quiet_s"]["broker losses"] <= 60


def test_default_drill_kills_each_process_of_the_stack_three_times(tmp_path: Path) -> None:
    """SC-4: at least forty kills; a process that joins the stack is killed as well."""
    addresses = Addresses(
        host="127.0.0.1",
        web_port=1,
        simulator_port=2,
        database=DatabaseUrls(owner="o", app="a", facts="f"),
        broker="redis://127.0.0.1:3/0",
    )
    environment = product_environment(
        base={}, var=tmp_path, addresses=addresses, secrets=load_secrets(directory=tmp_path)
    )
    programs = PRODUCT.programs(Setting(addresses=addresses, environment=environment, var=tmp_path))
    kills = BOUNDS["kills"][0]
    planned = plan(seed=5, kills=kills, wipes=2)

    assert kills >= 40
    assert {planned.count(blow) for blow in BLOWS} == {3}
    assert {blow.process for blow in BLOWS} == {
        *(program.name for program in programs),
        *("database", "broker"),
    }


def test_same_seed_strikes_the_same_and_every_kind_comes_before_any_repeats() -> None:
    planned = plan(seed=3, kills=15, wipes=2)
    kills = [blow for blow in planned if not blow.wipes]

    assert planned == plan(seed=3, kills=15, wipes=2)
    assert planned != plan(seed=4, kills=15, wipes=2)
    assert (len(kills), planned.count(WIPE)) == (15, 2)
    assert set(kills[: len(BLOWS)]) == set(BLOWS)


def test_delivery_answered_but_not_kept_is_a_loss() -> None:
    """I1: twelve deliveries of one event answered 2xx, eleven receipts."""
    answered = {"evt_a": 12, "evt_b": 1}

    assert verdict.missing_receipts(answered, {"evt_a": 12, "evt_b": 2}) == []
    assert verdict.missing_receipts(answered, {"evt_a": 11, "evt_b": 1}) == [
        "evt_a: 12 deliveries were answered 2xx, 11 receipts"
    ]
    assert verdict.missing_receipts({"evt_c": 1}, {}) == [
        "evt_c: 1 deliveries were answered 2xx, 0 receipts"
    ]


def test_event_that_is_missing_doubled_or_changed_is_found() -> None:
    """I1, I3: one event, once, with the bytes that were sent."""
    sent = {"evt_a": "aa"}

    assert verdict.missing_events(sent, {"evt_a": 1}, {"evt_a": {"aa"}}) == []
    assert verdict.missing_events(sent, {}, {}) == ["evt_a is there 0 times"]
    assert verdict.missing_events(sent, {"evt_a": 2}, {"evt_a": {"aa"}}) == [
        "evt_a is there 2 times"
    ]
    assert verdict.missing_events(sent, {"evt_a": 1}, {"evt_a": {"ab"}}) == [
        "the bytes kept of evt_a are not those that were sent"
    ]


def test_money_that_moved_twice_unasked_or_not_at_all_is_found() -> None:
    """I7: movements at the provider = executed intents, one to one."""
    assert verdict.wrong_movements({"po_a": 1}, {"po_a"}) == []
    assert verdict.wrong_movements({"po_a": 2, "po_b": 1}, {"po_a", "po_c"}) == [
        "po_a moved 2 times",
        "po_b moved without an executed intent",
        "po_c was executed and moved nothing",
    ]


def test_payment_lost_or_posted_twice_is_found() -> None:
    """I4: one capture, one entry."""
    assert verdict.wrong_postings({"O-1"}, {"O-1": 1}, {"O-1": 1}) == []
    assert verdict.wrong_postings({"O-1", "O-2"}, {"O-1": 1}, {"O-1": 2}) == [
        "O-1: 1 payments, 2 entries",
        "O-2: 0 payments, 0 entries",
    ]
