"""Refunds on their way: calls in flight per worker process, and a drain at the configured rate.

`python bench/refunds_dispatch.py [--quick] [--json]`; also a part of `bench/refunds.py`. A provider
in a process of its own answers each refund after 200 ms and counts what it sees. First one worker
process sends a backlog without a cap, while its database connections are counted from outside;
then the two of the stack drain 10,000 granted refunds (800 with --quick) under the account's cap.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import benchlib as b
from payops.devstack.recipe import PRODUCT
from payops.devstack.steps import run_step

PROMISED_IN_FLIGHT = 64
UNCAPPED_PER_S = 5_000
ANSWER_S = 0.2
TOLERANCE = 0.05
AMOUNT_MINOR = 1_000
WORKERS = 2
# Of a worker: its own, the one that asks questions, a heartbeat now and then.
CONNECTIONS_MAX = 3
POLL_S = 0.05
DONE_WITHIN_S = 1_200
NAME = "bench-calls"
CONNECTED = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
OPEN_TRANSACTIONS = f"{CONNECTED} AND state LIKE 'idle in transaction%%'"
WITH_CAP = "UPDATE core_provideraccount SET calls_per_s = %s WHERE provider = 'stripe'"
NEW_BUCKET = "DELETE FROM payments_callgate"


@dataclass(frozen=True, slots=True)
class Plan:
    uncapped: int
    capped: int
    cap_per_s: int


QUICK = Plan(uncapped=500, capped=800, cap_per_s=60)
FULL = Plan(uncapped=3_000, capped=10_000, cap_per_s=100)


def main() -> int:
    given = b.options(__doc__ or "")
    with b.servers() as servers:
        b.say("servers ready; migrating and seeding")
        for name, step in (("migrate", PRODUCT.migrate), ("seed", PRODUCT.seed_people)):
            run_step(step, name=name, environment=servers.environment, meanwhile=_breathe)
        with servers.owner() as link:
            on = b.machine(link)
            metrics = dispatch(servers, link, quick=given.quick)
    return b.report(metrics, on=on, as_json=given.json)


def dispatch(servers: b.Servers, link: b.psycopg.Connection, *, quick: bool) -> dict[str, b.Metric]:
    """On seeded servers without payments; leaves its charges and refunds behind."""
    plan = QUICK if quick else FULL
    b.say(f"{plan.uncapped + plan.capped:,} charges")
    _run(servers, "charged", plan.uncapped + plan.capped)
    link.execute("ANALYZE")
    return {**_in_flight(servers, link, plan), **_drained(servers, link, plan)}


def _in_flight(servers: b.Servers, link: b.psycopg.Connection, plan: Plan) -> dict[str, b.Metric]:
    count = plan.uncapped
    b.say(f"{count:,} granted refunds, one worker, no cap")
    seen, told, right = _sent(servers, link, count, 0, UNCAPPED_PER_S, workers=1)
    worker = told[0]
    during = [each for each in seen["open_for"].items() if int(each[0])]
    spent = sum(seconds for _, seconds in during)
    at_provider = sum(int(many) * seconds for many, seconds in during) / spent
    per_s = (count - 1) / seen["came"][-1]
    return {
        "in_flight": b.Metric(
            worker["aloft"],
            "calls",
            limit=PROMISED_IN_FLIGHT,
            correct=right and worker["aloft"] >= PROMISED_IN_FLIGHT,
            words="sent and not yet recorded, in one worker process",
        ),
        "at_provider": b.Metric(
            at_provider,
            "calls",
            limit=PROMISED_IN_FLIGHT,
            correct=right,
            words=f"open there at a time, as the provider counts them, {seen['most']} at most;"
            f" {per_s:.0f} refunds/s from one worker process",
        ),
        "connections": b.Metric(
            seen["connections"],
            "sessions",
            limit=CONNECTIONS_MAX,
            correct=right and seen["connections"] <= CONNECTIONS_MAX,
            words=f"of that process to the database, at most; {seen['waiting']} at once idle in a"
            " transaction",
        ),
    }


def _drained(servers: b.Servers, link: b.psycopg.Connection, plan: Plan) -> dict[str, b.Metric]:
    count, cap = plan.capped, plan.cap_per_s
    b.say(f"{count:,} granted refunds, {WORKERS} workers, {cap} calls/s")
    seen, _, right = _sent(servers, link, count, plan.uncapped, cap, workers=WORKERS)
    came = sorted(seen["came"])
    first, last = len(came) // 20, len(came) * 19 // 20
    rate = (last - first) / (came[last] - came[first])
    busiest = _busiest_second(came)
    return {
        "drain_per_s": b.Metric(
            rate,
            "calls/s",
            limit=float(cap),
            correct=right and abs(rate - cap) <= TOLERANCE * cap,
            words=f"{count:,} refunds under a cap of {cap}/s; limit: the cap, kept within 5 %;"
            f" {busiest} came in the busiest second",
        )
    }


def _sent(
    servers: b.Servers,
    link: b.psycopg.Connection,
    count: int,
    before: int,
    cap_per_s: int,
    *,
    workers: int,
) -> tuple[dict[str, Any], list[dict[str, Any]], bool]:
    """Grant, let the workers send, and check; what the provider saw and the workers told."""
    _run(servers, "granted", count)
    link.execute(WITH_CAP, [cap_per_s])
    link.execute(NEW_BUCKET)
    link.execute("ANALYZE")
    with _provider() as (psp, port), ExitStack() as stack:
        more = {
            "PAYOPS_PSP_STRIPE_URL": f"http://127.0.0.1:{port}",
            "PAYOPS_HTTP_ALLOW": f"127.0.0.1:{port}",
            "PGAPPNAME": NAME,
        }
        made = [
            stack.enter_context(_process(servers, "work", str(DONE_WITHIN_S), more))
            for _ in range(workers)
        ]
        connections, waiting = _watch(link, made)
        told = [_end(each) for each in made]
        seen = _end(psp)
    seen |= {"connections": connections / workers, "waiting": waiting}
    return seen, told, _right(_run(servers, "check", "-"), seen, count, before)


def _right(told: dict[str, Any], seen: dict[str, Any], count: int, before: int) -> bool:
    """Every refund once: at the provider, in the counters and in the journal."""
    whole = count + before
    expected = {
        **dict.fromkeys(("succeeded", "intents", "attempts", "accepted", "posted"), whole),
        **dict.fromkeys(("others", "balance_minor", "miscounted", "cases"), 0),
    }
    wrong = [f"{name} {told[name]}" for name, value in expected.items() if told[name] != value]
    at_provider = {"calls": count, "keys": count, "repeated": 0}
    at_provider["moved_minor"] = count * AMOUNT_MINOR
    wrong += [f"{name} {seen[name]}" for name, value in at_provider.items() if seen[name] != value]
    if wrong:
        b.say(f"of {count} refunds: " + ", ".join(wrong))
    return not wrong


def _watch(link: b.psycopg.Connection, made: list[subprocess.Popen[str]]) -> tuple[int, int]:
    """Until the workers end: the most sessions they had, and the most that sat in a transaction."""
    most, waiting = 0, 0
    deadline = time.monotonic() + DONE_WITHIN_S
    while any(each.poll() is None for each in made):
        assert time.monotonic() < deadline, "the refunds are not all sent"
        for statement in (CONNECTED, OPEN_TRANSACTIONS):
            row = link.execute(statement, [NAME]).fetchone()
            assert row is not None
            if statement is CONNECTED:
                most = max(most, int(row[0]))
            else:
                waiting = max(waiting, int(row[0]))
        time.sleep(POLL_S)
    return most, waiting


def _busiest_second(came: list[float]) -> int:
    first, most = 0, 0
    for last, at in enumerate(came):
        while at - came[first] >= 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most


def _run(servers: b.Servers, mode: str, given: object) -> dict[str, Any]:
    with _process(servers, mode, str(given), {}) as process:
        return _end(process)


@contextmanager
def _provider() -> Iterator[tuple[subprocess.Popen[str], int]]:
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).parent / "refunds_psp.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process, int(process.stdout.readline())
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


@contextmanager
def _process(
    servers: b.Servers, mode: str, given: str, more: dict[str, str]
) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.refunds_calls", mode, given],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=servers.environment | {"DJANGO_SETTINGS_MODULE": "bench.settings"} | more,
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
