"""The ledger: posting one by one, in batches and by many at once; balances and statements.

`python bench/ledger.py [--quick] [--json]`. Beside django-hordak and django-ledger, each in an
environment of its own, and raw psycopg with a balance trigger, on the same server in turns. All
guards of the product are on; every metric checks itself.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import benchlib as b
from bench.peers import posting_limit
from payops.devstack.recipe import PRODUCT
from payops.devstack.steps import run_step

HORDAK, DJANGO_LEDGER, LIMIT = "bench_hordak", "bench_djangoledger", "bench_limit"
PYTHONS = {HORDAK: "BENCH_HORDAK_PYTHON", DJANGO_LEDGER: "BENCH_DJANGO_LEDGER_PYTHON"}
MODULES = {HORDAK: "bench.peers.hordak", DJANGO_LEDGER: "bench.peers.djangoledger"}
POSTERS = 16
STARTS_IN_S = 6.0
MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Plan:
    rounds: int
    single: int
    batch: int
    posters: int
    peer_legs: int
    sizes: tuple[int, ...]
    month: int


QUICK = Plan(2, 400, 10_000, 800, 100_000, (10_000, 200_000), 100_000)
FULL = Plan(5, 2000, 50_000, 6400, MILLION, (10_000, 2 * MILLION, 5 * MILLION), MILLION)
Told = dict[str, Any]


def main() -> int:
    given = b.options(__doc__ or "")
    plan = QUICK if given.quick else FULL
    with b.servers() as servers:
        b.say("servers ready; migrating and seeding")
        for step in (PRODUCT.migrate, PRODUCT.seed_people):
            run_step(step, name="prepare", environment=servers.environment, meanwhile=_breathe)
        for name in (HORDAK, DJANGO_LEDGER, LIMIT):
            servers.postgres.create_database(name)
        posting_limit.prepare(_address(servers, LIMIT))
        peers = {name for name in PYTHONS if _peer(servers, name, "prepare")}
        with servers.owner() as link:
            on = b.machine(link)
        metrics = posting(servers, plan, peers)
        metrics |= many_at_once(servers, plan)
        metrics |= figures(servers, plan, peers)
    return b.report(metrics, on=on, as_json=given.json)


def posting(servers: b.Servers, plan: Plan, peers: set[str]) -> dict[str, b.Metric]:
    """Each side in turn, round by round; medians over the rounds."""
    sides: dict[str, Callable[[], Told | None]] = {
        "single": lambda: _ours(servers, "ledger_posting", "single", plan.single),
        "hordak_single": lambda: _peer(servers, HORDAK, "single", plan.single),
        "djangoledger": lambda: _peer(servers, DJANGO_LEDGER, "single", plan.single // 10),
        "single_limit": lambda: _limit(servers, plan.single, batch=1, processes=1),
        "batch": lambda: _batch(servers, plan.batch, processes=1),
        "hordak_bulk": lambda: _peer(servers, HORDAK, "bulk", plan.batch),
        "limit": lambda: _limit(servers, plan.batch, batch=1000, processes=1),
        "batch_2": lambda: _batch(servers, plan.batch, processes=2),
        "limit_2": lambda: _limit(servers, plan.batch, batch=1000, processes=2),
    }
    seen: dict[str, list[Told]] = {name: [] for name in sides}
    for number in range(plan.rounds):
        b.say(f"posting, round {number + 1} of {plan.rounds}")
        for name, act in sides.items():
            told = act()
            if told is not None:
                seen[name].append(told)
    rate = {
        name: b.median([told["per_s"] for told in tolds]) if tolds else None
        for name, tolds in seen.items()
    }

    def metric(ours: str, peer: str | None, limit: str | None, words: str) -> b.Metric:
        sides_of = [name for name in (ours, peer, limit) if name]
        right = all(told["correct"] for name in sides_of for told in seen[name])
        return b.Metric(
            rate[ours],
            "entries/s",
            rate[peer] if peer else None,
            rate[limit] if limit else None,
            right,
            words,
        )

    return {
        "post_single_per_s": metric(
            "single", "hordak_single", "single_limit", "peer: hordak transfer_to"
        ),
        "post_single_per_s_djangoledger": metric(
            "single", "djangoledger", None, "peer: django-ledger commit_txs"
        ),
        "post_batch_per_s": metric(
            "batch", "hordak_bulk", "limit", "one process each; peer: hordak bulk_create"
        ),
        "post_batch_2_processes_per_s": metric(
            "batch_2", None, "limit_2", "two processes each, a book of its own"
        ),
    }


def many_at_once(servers: b.Servers, plan: Plan) -> dict[str, b.Metric]:
    """One hot party of each account beside parties of their own, in turns."""
    seen: dict[str, list[Told]] = {"hot": [], "cold": []}
    for _ in range(plan.rounds):
        for where, told in seen.items():
            b.say(f"{POSTERS} posters, {where}")
            given = ("posters", plan.posters, POSTERS, where, 0)
            told.append(_rated([_ours(servers, "ledger_posting", *given)]))
    rates = {name: b.median([one["per_s"] for one in told]) for name, told in seen.items()}
    return {
        "hot_account_16_posters_per_s": b.Metric(
            rates["hot"],
            "entries/s",
            rates["cold"],
            None,
            all(one["correct"] for told in seen.values() for one in told),
            "peer: the same on cold accounts; every entry in a transaction of its own",
        )
    }


def figures(servers: b.Servers, plan: Plan, peers: set[str]) -> dict[str, b.Metric]:
    b.say("balances over a growing journal")
    grown = _ours(servers, "ledger_balances", "grow", *plan.sizes)
    hordak = _peer(servers, HORDAK, "balance", plan.peer_legs) if HORDAK in peers else None
    b.say("statements of one month")
    month = _ours(servers, "ledger_balances", "month", plan.month)
    metrics = {}
    for size, told in grown.items():
        at_peers = int(size) == 2 * plan.peer_legs and hordak is not None
        right = told["correct"] and (not at_peers or bool(hordak and hordak["correct"]))
        peer = hordak if at_peers and hordak else {"balance_ms": None, "trial_ms": None}
        words = f"{told['legs']:,} legs, {told['tail']:,} lines unfolded"
        words += f"; a plain SUM of all lines {told['sum_ms']:,.0f} ms"
        metrics[f"balance_{size}_lines_ms"] = b.Metric(
            told["balance_ms"], "ms", peer["balance_ms"], 2.0, right, words
        )
        metrics[f"trial_balance_{size}_lines_ms"] = b.Metric(
            told["trial_ms"], "ms", peer["trial_ms"], 50.0, right, "limit: the aim"
        )
    smallest, largest = grown[str(plan.sizes[0])], grown[str(plan.sizes[-1])]
    for what in ("balance", "trial"):
        metrics[f"{what}_flat"] = b.Metric(
            largest[f"{what}_ms"] / smallest[f"{what}_ms"],
            "x",
            correct=largest["correct"] and smallest["correct"],
            words=f"time at {plan.sizes[-1]:,} lines over time at {plan.sizes[0]:,}",
        )
    for kind in sorted(set(month) - {"correct"}):
        metrics[f"{kind.replace('-', '_')}_{plan.month}_lines_ms"] = b.Metric(
            month[kind], "ms", None, 2000.0, month["correct"], "limit: the aim"
        )
    return metrics


def _batch(servers: b.Servers, count: int, *, processes: int) -> Told:
    at = time.time() + STARTS_IN_S if processes > 1 else 0
    given = ("batch", count, at)
    return _rated(_side_by_side([_command("bench.ledger_posting", *given)] * processes, servers))


def _limit(servers: b.Servers, count: int, *, batch: int, processes: int) -> Told:
    address = _address(servers, LIMIT)
    before = posting_limit.entries(address)
    at = time.time() + STARTS_IN_S / 2 if processes > 1 else 0
    command = _command("bench.peers.posting_limit", address, count, batch, at)
    told = _rated(_side_by_side([command] * processes, servers))
    told["correct"] = posting_limit.whole(address, before + processes * count)
    return told


def _rated(told: Sequence[Told]) -> Told:
    """From the first start to the last end of those that ran side by side."""
    seconds = max(one["ended"] for one in told) - min(one["began"] for one in told)
    return {
        "per_s": sum(one["count"] for one in told) / seconds,
        "correct": all(one.get("correct", True) for one in told),
    }


def _ours(servers: b.Servers, module: str, *given: object) -> Told:
    return _side_by_side([_command(f"bench.{module}", *given)], servers)[0]


def _peer(servers: b.Servers, name: str, *given: object) -> Told | None:
    """What the peer tells, or None where it is not installed or does not start."""
    python = os.environ.get(PYTHONS[name], "")
    if not python or not Path(python).exists():
        if given == ("prepare",):
            b.say(f"{name} is not installed here ({PYTHONS[name]} names a Python that has it)")
        return None
    environment = servers.environment | {"BENCH_PEER_DATABASE": _address(servers, name)}
    ran = subprocess.run(
        [python, "-m", MODULES[name], *map(str, given)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=b.CHECKOUT,
    )
    if ran.returncode:
        b.say(f"{name} {given[0]} failed:\n" + "\n".join(ran.stderr.splitlines()[-5:]))
        return None
    told: Told = json.loads(ran.stdout.strip().splitlines()[-1])
    return told


def _side_by_side(commands: Sequence[list[str]], servers: b.Servers) -> list[Told]:
    environment = servers.environment | {"DJANGO_SETTINGS_MODULE": "bench.settings"}
    running = [
        subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=environment, cwd=b.CHECKOUT
        )
        for command in commands
    ]
    told = []
    for process in running:
        out, _ = process.communicate()
        assert process.returncode == 0, f"{process.args!r} ended with {process.returncode}"
        told.append(json.loads(out.strip().splitlines()[-1]))
    return told


def _command(module: str, *given: object) -> list[str]:
    return [sys.executable, "-m", module, *map(str, given)]


def _address(servers: b.Servers, database: str) -> str:
    return servers.postgres.urls(database).owner


def _breathe() -> None:
    time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main())
