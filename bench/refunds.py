"""Refunds: requests decided per second, calls in flight, and a drain at the configured rate.

`python bench/refunds.py [--quick] [--json]`. The second half is `refunds_dispatch`, on the same
servers. Here two processes decide requests as the console does, each in a transaction of its own:
eligibility, policy, reservation, decision, audit, news. Beside them plain psycopg takes the same
lock and reserves the same amount, and nothing else.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import benchlib as b
from bench import refunds_dispatch
from bench.peers import reserving
from payops.devstack.recipe import PRODUCT
from payops.devstack.steps import run_step

AIM_PER_S = 300.0
PROCESSES = 2
BARE = "bench_reserving"


@dataclass(frozen=True, slots=True)
class Plan:
    """`each`: charges per process and round."""

    rounds: int
    each: int


QUICK = Plan(rounds=2, each=600)
FULL = Plan(rounds=5, each=3_000)


def main() -> int:
    given = b.options(__doc__ or "")
    with b.servers() as servers:
        b.say("servers ready; migrating and seeding")
        for name, step in (("migrate", PRODUCT.migrate), ("seed", PRODUCT.seed_people)):
            run_step(step, name=name, environment=servers.environment, meanwhile=_breathe)
        servers.postgres.create_database(BARE)
        with servers.owner() as link:
            on = b.machine(link)
            metrics = refunds_dispatch.dispatch(servers, link, quick=given.quick)
            metrics |= decided(servers, link, QUICK if given.quick else FULL)
    return b.report(metrics, on=on, as_json=given.json)


def decided(servers: b.Servers, link: b.psycopg.Connection, plan: Plan) -> dict[str, b.Metric]:
    """On servers that may hold refunded charges already; only its own are counted."""
    whole = PROCESSES * plan.each * plan.rounds
    b.say(f"{2 * whole:,} more charges")
    _alone(servers, "charged", str(2 * whole))
    link.execute("ANALYZE")
    bare = _address(servers)
    reserving.prepare(bare, charges=whole)
    rates: dict[str, list[float]] = {"rule": [], "mixed": [], "bare": []}
    waits: list[float] = []
    for turn in range(plan.rounds):
        b.say(f"round {turn + 1} of {plan.rounds}")
        for mix in ("rule", "mixed"):
            told = _together(servers, mix, plan.each)
            rates[mix].append(_rate(told))
            if mix == "rule":
                waits += [each["p99_ms"] for each in told]
        first = turn * PROCESSES * plan.each
        rates["bare"].append(reserving.rate(bare, first=first, each=plan.each))
    right = _right(_alone(servers, "check", "-"), whole)
    bare_rate = b.median(rates["bare"])
    return {
        "decided_per_s": b.Metric(
            b.median(rates["rule"]),
            "requests/s",
            bare_rate,
            AIM_PER_S,
            right,
            f"granted by rule, two processes, p99 {b.median(waits):.0f} ms;"
            " peer: plain psycopg that locks and reserves alone; limit: the aim",
        ),
        "decided_mixed_per_s": b.Metric(
            b.median(rates["mixed"]),
            "requests/s",
            bare_rate,
            AIM_PER_S,
            right,
            "of each charge one is granted by rule, one put to people, one refused",
        ),
    }


def _right(told: dict[str, Any], whole: int) -> bool:
    """Each request one row, one decision, one trail; reserved is what was granted and asked."""
    expected = {
        "by_rule": 2 * whole,
        "to_people": whole,
        "refused": whole,
        "decisions": 4 * whole,
        "trails": 4 * whole,
        "news": 2 * whole,
        "approvals": whole,
        "reserved_minor": 2 * whole * 3_000 + whole * 6_000,
        "miscounted": 0,
    }
    wrong = [f"{name} {told[name]}" for name, value in expected.items() if told[name] != value]
    if wrong:
        b.say(f"of {4 * whole} requests: " + ", ".join(wrong))
    return not wrong


def _rate(told: list[dict[str, Any]]) -> float:
    """Of both together: the slower one ends the round."""
    count = sum(each["requests"] for each in told)
    return float(count / max(each["seconds"] for each in told))


def _together(servers: b.Servers, mix: str, each: int) -> list[dict[str, Any]]:
    """Both processes load their charges first and begin on the same word."""
    made = [_process(servers, mix, f"{number}:{each}") for number in range(PROCESSES)]
    try:
        for process in made:
            assert process.stdout is not None
            assert process.stdout.readline().strip() == "ready", "a process does not begin"
        for process in made:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        return [_end(process) for process in made]
    finally:
        for process in made:
            if process.poll() is None:
                process.kill()
            process.wait()


def _alone(servers: b.Servers, mode: str, given: str) -> dict[str, Any]:
    process = _process(servers, mode, given)
    try:
        return _end(process)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def _process(servers: b.Servers, mode: str, given: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "bench.refunds_decide", mode, given],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=servers.environment | {"DJANGO_SETTINGS_MODULE": "bench.settings"},
        cwd=b.CHECKOUT,
    )


def _end(process: subprocess.Popen[str]) -> dict[str, Any]:
    told, _ = process.communicate()
    assert process.returncode == 0, f"{process.args!r} ended with {process.returncode}"
    answer: dict[str, Any] = json.loads(told.strip().splitlines()[-1])
    return answer


def _breathe() -> None:
    time.sleep(0.05)


def _address(servers: b.Servers) -> str:
    whole = servers.environment["DATABASE_OWNER_URL"]
    return whole.rsplit("/", 1)[0] + f"/{BARE}"


if __name__ == "__main__":
    sys.exit(main())
