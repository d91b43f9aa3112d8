"""The soak: many signed events for a long time, with duplicates, poison and one kill of each kind.

The sender's own file is the witness: every body it was acknowledged for must be here once, every
payment posted once with its amount, every poisoned one a dead letter and nothing else. Serves SC-1,
SC-4, WH-14, WH-24, I1 and I2.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from payops.core import clock
from payops.devstack.datadir import CHECKOUT
from payops.devstack.drill import verdict
from payops.devstack.drill.findings import Findings, as_ordered, ended_within
from payops.devstack.drill.killer import BLOWS, Killer, plan
from payops.devstack.drill.memory import MemoryWatch, flat
from payops.devstack.drill.quiet import wait_until_quiet
from payops.devstack.drill.retrying import Troubles, persist
from payops.devstack.drill.traffic import Traffic
from payops.devstack.drill.verdict import Check
from payops.devstack.privatefiles import read_json, write_private_json
from payops.devstack.stackfile import FILE
from payops.devstack.supervisor import die_with_parent
from payops.payments.models import Payment
from payops.webhooks.models import ProviderEvent

DUPLICATES, POISON = 0.2, 0.01
ACK_P99_S = 1.0
BACKLOG_S = 300.0
KILLS_SHARE = 0.55  # of the time; afterwards memory is watched undisturbed
WATCHED_SHARE = 0.2  # of the time, at least, for a process to be judged
ENDS_WITHIN_S = 300.0  # the sender, after its last new event
SIGNED = ("stripe", "standard", "adyen")


@dataclass(frozen=True, slots=True)
class SoakOrders:
    directory: Path
    seed: int
    minutes: float
    rate: float


@dataclass(frozen=True, slots=True)
class Body:
    """One body of the sender: `reference` is empty in poison."""

    names: tuple[str, ...]
    sha256: str
    answered: int
    reference: str
    amount_minor: int


def run(orders: SoakOrders, *, say: Callable[[str], None]) -> Findings:
    """Soak the running stack over `orders.directory`."""
    since, troubles, findings = clock.utc_now(), Troubles(), Findings(orders.seed)
    killer = Killer(directory=orders.directory, seed=orders.seed, troubles=troubles)
    traffic = Traffic(seed=orders.seed, started_at=since, troubles=troubles)
    memory = MemoryWatch(directory=orders.directory)
    findings.struck = killer.struck
    seconds, prefix = orders.minutes * 60, f"SK{since:%H%M%S}n"
    with tempfile.TemporaryDirectory(prefix="payops-soak-") as home:
        sender = _start_sender(orders, Path(home), prefix=prefix)
        memory.start()
        traffic.start()
        traffic.resume()
        try:
            say(f"{orders.rate:g} signed events/s for {orders.minutes:g} min, {len(BLOWS)} kills")
            killer.strike(
                plan(seed=orders.seed, kills=len(BLOWS), wipes=1), seconds=seconds * KILLS_SHARE
            )
            struck_until_s = memory.passed_s()
            killer.wait_until_all_are_back()
            say("everything was killed once; the events go on")
            sender.wait(timeout=seconds + ENDS_WITHIN_S)
            sent_until_s = memory.passed_s()
            traffic.no_more()
            say("traffic ended; waiting until everything has ended")
            waited_s, left = wait_until_quiet(traffic=traffic, since=since, bound_s=BACKLOG_S)
        finally:
            traffic.stop()
            memory.stop()
            if sender.poll() is None:
                sender.kill()
        told = json.loads((Path(home) / "sent.json").read_text(encoding="utf-8"))
    say("looking at every event")
    findings.quiet_s["the soak"] = waited_s
    findings.checks.append(
        ended_within(what="the soak", bound_s=BACKLOG_S, checked=told["deliveries"], left=left)
    )
    check, sizes = flat(
        memory.samples,
        since_s=struck_until_s,
        until_s=sent_until_s,
        at_least_s=seconds * WATCHED_SHARE,
    )
    findings.figures = _figures(told) | sizes
    findings.checks += [*_answers(told, orders), check]
    bodies = [Body(tuple(names), *rest) for names, *rest in told["bodies"]]
    findings.checks += persist(
        lambda: [*_kept(bodies, prefix), *_look(traffic, since, bodies)], what="the verdict"
    )
    findings.checks.append(as_ordered(findings, asked=len(BLOWS)))
    findings.checks.append(Check("the drill itself went through", 1, list(troubles.lines)))
    findings.traffic = dict(sorted(traffic.counts.items()))
    findings.close()
    return findings


def _start_sender(orders: SoakOrders, home: Path, *, prefix: str) -> subprocess.Popen[bytes]:
    told = read_json(path=orders.directory / FILE)
    asked, answer = home / "orders.json", home / "sent.json"
    write_private_json(
        path=asked,
        content={
            "web": told["web"],
            "secrets": {name: told["webhooks"][f"{name}/demo"]["secrets"][0] for name in SIGNED},
            "rate": orders.rate,
            "seconds": orders.minutes * 60,
            "seed": orders.seed,
            "prefix": prefix,
            "duplicates": DUPLICATES,
            "poison": POISON / (1 - DUPLICATES),  # of all deliveries, not of the first ones
        },
    )
    command = (sys.executable, "-m", "payops.devstack.drill.sender", str(asked), str(answer))
    return subprocess.Popen(command, cwd=CHECKOUT, preexec_fn=die_with_parent(signal.SIGTERM))


def _figures(told: Mapping[str, Any]) -> dict[str, Any]:
    bodies = told["bodies"]
    poisoned = sum(not reference for _, _, _, reference, _ in bodies)
    share = told["slow"] / max(told["answered"], 1)
    failed = ", ".join(f"{n} {word}" for word, n in sorted(told["failed_attempts"].items()))
    return {
        "deliveries": told["deliveries"],
        "deliveries a second": round(told["deliveries"] / told["seconds"], 1),
        "duplicates": told["deliveries"] - len(bodies),
        "poisoned bodies": poisoned,
        "attempts that failed and were repeated": failed or "none",
        "acknowledgement, from when the attempt was due": _in_words(told["attempt_s"]),
        "acknowledgement, from when a connection was free": _in_words(told["service_s"]),
        "acknowledgements over 1 s": f"{told['slow']} ({share:.2%})",
        "first due to acknowledged, outages and retries": _in_words(told["acknowledged_s"]),
    }


def _in_words(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {seconds * 1000:.0f} ms" for name, seconds in shares.items())


def _answers(told: Mapping[str, Any], orders: SoakOrders) -> list[Check]:
    asked = int(orders.rate * orders.minutes * 60)
    rate = told["deliveries"] / told["seconds"]
    slow = [] if rate >= orders.rate * 0.99 else [f"{rate:.1f}/s came about"]
    p99_s = told["attempt_s"].get("p99", ACK_P99_S)
    late = [] if p99_s < ACK_P99_S else [f"p99 was {p99_s * 1000:.0f} ms"]
    unheard = [f"{told['unacknowledged']} were not"] if told["unacknowledged"] else []
    return [
        Check(f"the sender kept up {orders.rate:g}/s", asked, slow),
        Check("every delivery was acknowledged", told["deliveries"], unheard, "lost"),
        Check(f"p99 of the acknowledgement under {ACK_P99_S:g} s", told["answered"], late),
    ]


def _look(traffic: Traffic, since: datetime, bodies: list[Body]) -> list[Check]:
    poison = {name for body in bodies if not body.reference for name in body.names}
    return verdict.look(traffic=traffic, since=since, poison=poison)


def _kept(bodies: list[Body], prefix: str) -> list[Check]:
    """The sender's witness against receipts, events, payments and entries."""
    received, hashes = verdict.receipts()
    events = ProviderEvent.objects.values_list(verdict.NAME, "state")
    counted: Counter[str] = Counter()
    dead: set[str] = set()
    for name, state in events.iterator():
        counted[name] += 1
        if state == ProviderEvent.State.DEAD:
            dead.add(name)
    answered = {name: body.answered for body in bodies for name in body.names}
    sent = {name: body.sha256 for body in bodies if body.answered for name in body.names}
    paid = {body.reference: body.amount_minor for body in bodies if body.reference}
    poison = {name for body in bodies if not body.reference for name in body.names}
    captured, posted = verdict.captures_and_entries()
    amounts = Payment.objects.filter(merchant_ref__startswith=prefix).values_list(
        "merchant_ref", "captured_minor"
    )
    return [
        Check(
            "soak: every delivery answered 2xx has its receipt",
            sum(answered.values()),
            verdict.missing_receipts(answered, received),
            "lost",
        ),
        Check(
            "soak: every event is there once, with its bytes",
            len(sent),
            verdict.missing_events(sent, counted, hashes),
            "lost",
        ),
        Check(
            "soak: every payment is captured and posted once",
            len(paid),
            verdict.wrong_postings(paid, captured, posted),
            "lost",
        ),
        Check("soak: every amount is the one sent", len(paid), wrong_amounts(paid, dict(amounts))),
        Check(
            "soak: every poisoned event is a dead letter, with its body",
            len(poison),
            [f"{name} is not a dead letter" for name in sorted(poison - dead)],
            "lost",
        ),
    ]


def wrong_amounts(sent: Mapping[str, int], kept: Mapping[str, int]) -> list[str]:
    return [
        f"{reference}: {minor} minor units were sent, {kept.get(reference)} were captured"
        for reference, minor in sorted(sent.items())
        if kept.get(reference) != minor
    ]
