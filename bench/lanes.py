"""Lanes: how fast two workers carry a bulk backlog to the journal, and what high events wait then.

`python bench/lanes.py [--quick] [--json]`. A backlog of bulk payments (a million, or 100,000 with
--quick) is drained by the two workers of the stack, the high one helping out, while high events
come in through the edge's own statement and the audit is sealed on its schedule.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import benchlib as b
from payops.devstack.recipe import PRODUCT
from payops.devstack.steps import run_step

AIM_PER_S = 3000.0
LIMIT_MS = 1000.0
ONE_BY_ONE = 200
POLL_S = 0.25
DRAINED_WITHIN_S = 1800
LINES_PER_ENTRY = 3
LEFT = "SELECT EXISTS (SELECT 1 FROM webhooks_providerevent WHERE lane = %s AND state = 'RECEIVED')"


@dataclass(frozen=True, slots=True)
class Plan:
    backlog: int
    high_per_s: float


QUICK = Plan(backlog=100_000, high_per_s=20)
FULL = Plan(backlog=1_000_000, high_per_s=50)


def main() -> int:
    given = b.options(__doc__ or "")
    plan = QUICK if given.quick else FULL
    with b.servers() as servers:
        b.say("servers ready; migrating and seeding")
        for name, step in (("migrate", PRODUCT.migrate), ("seed", PRODUCT.seed_people)):
            run_step(step, name=name, environment=servers.environment, meanwhile=_breathe)
        with servers.owner() as link:
            on = b.machine(link)
            metrics = lanes(servers, link, plan)
    return b.report(metrics, on=on, as_json=given.json)


def lanes(servers: b.Servers, link: b.psycopg.Connection, plan: Plan) -> dict[str, b.Metric]:
    b.say(f"a backlog of {plan.backlog:,} bulk events")
    _run(servers, "backlog", plan.backlog + ONE_BY_ONE)
    link.execute("ANALYZE")
    alone = _run(servers, "one_by_one", ONE_BY_ONE)["per_s"]
    b.say(f"two workers, {plan.high_per_s:.0f} high events a second")
    with (
        _process(servers, "seal", "-") as sealer,
        _process(servers, "work", "high") as high,
        _process(servers, "work", "bulk") as bulk,
        _process(servers, "inject", str(plan.high_per_s)) as feeder,
    ):
        start = _first_done(link)
        spent_s = _drained(link, "bulk", start[0])
        sent = _end(feeder)["sent"]
        _drained(link, "high", start[0])
        told = [_end(high), _end(bulk)]
        _end(sealer)
    waits = sorted(wait for worker in told for wait in worker["waits"])
    right = _right(_run(servers, "check", "-"), plan.backlog + ONE_BY_ONE, sent)
    rate = (plan.backlog - start[1]) / spent_s
    p50, p99 = (waits[int(len(waits) * share)] * 1000 for share in (0.5, 0.99))
    return {
        "bulk_per_s": b.Metric(
            rate,
            "events/s",
            alone,
            AIM_PER_S,
            right,
            f"two workers, batches of {[worker['sizes'] for worker in told]};"
            " peer: one event at a time; limit: the aim",
        ),
        "high_p99_ms": b.Metric(
            p99,
            "ms",
            plan.backlog / rate * 1000,
            LIMIT_MS,
            right and len(waits) == sent > 0,
            f"{sent} high events beside the backlog, p50 {p50:.0f} ms;"
            " peer: what one queue for all would make the last one wait; limit: the promise",
        ),
    }


def _right(told: dict[str, Any], bulk: int, high: int) -> bool:
    """One outcome per event, to the cent and to the row; the chain unbroken over all of it."""
    each = bulk + high
    counted = ("events", "processed", "payments", "histories", "entries", "keys")
    audited = ("audit_events", "audit_payments", "audit_entries")
    wrong = [f"{name} {told[name]}" for name in (*counted, *audited) if told[name] != each]
    expected = {
        "lines": each * LINES_PER_ENTRY,
        "balance_minor": 0,
        "debits_minor": told["told_minor"],
        "attempts_max": 1,
        "unsealed": 0,
        "chain": "",
    }
    wrong += [f"{name} {told[name]!r}" for name, value in expected.items() if told[name] != value]
    if wrong:
        b.say(f"of {each} events: " + ", ".join(wrong))
    return not wrong


def _first_done(link: b.psycopg.Connection) -> tuple[float, int]:
    """When the workers are up and at work, and how many bulk events were done by then."""
    deadline = time.monotonic() + b.STARTS_WITHIN_S
    count = "SELECT count(*) FROM payments_payment"
    while True:
        row = link.execute(count).fetchone()
        assert row is not None
        if row[0] > ONE_BY_ONE + 500:
            return time.perf_counter(), int(row[0]) - ONE_BY_ONE
        assert time.monotonic() < deadline, "the workers do not begin"
        time.sleep(POLL_S)


def _drained(link: b.psycopg.Connection, lane: str, start: float) -> float:
    deadline = time.monotonic() + DRAINED_WITHIN_S
    while True:
        row = link.execute(LEFT, [lane]).fetchone()
        if row is not None and not row[0]:
            return time.perf_counter() - start
        assert time.monotonic() < deadline, f"the lane {lane} does not get empty"
        time.sleep(POLL_S)


def _run(servers: b.Servers, mode: str, given: object) -> dict[str, Any]:
    with _process(servers, mode, str(given)) as process:
        return _end(process)


@contextmanager
def _process(servers: b.Servers, mode: str, given: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.lanes_work", mode, given],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=servers.environment | {"DJANGO_SETTINGS_MODULE": "bench.settings"},
        cwd=b.CHECKOUT,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def _end(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Close its input and read what it has to tell."""
    told, _ = process.communicate()
    assert process.returncode == 0, f"{process.args!r} ended with {process.returncode}"
    answer: dict[str, Any] = json.loads(told.strip().splitlines()[-1])
    return answer


def _breathe() -> None:
    time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main())
