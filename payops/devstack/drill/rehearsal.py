"""The course of one drill: the broker is lost under traffic, then everything is killed, then quiet.

Two acts, because two bounds are promised: after a loss of the broker alone everything ends within
60 s, after any other fault within 5 minutes. Serves SC-4, WH-24 and I2.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from payops.core import clock
from payops.devstack.drill import verdict
from payops.devstack.drill.findings import Findings, as_ordered, ended_within
from payops.devstack.drill.killer import BROKER, WIPE, Killer, plan
from payops.devstack.drill.quiet import wait_until_quiet
from payops.devstack.drill.retrying import Troubles, persist
from payops.devstack.drill.traffic import Traffic
from payops.devstack.drill.verdict import Check

BROKER_LOST = (WIPE, BROKER, WIPE)
BROKER_SHARE = 0.2  # of the seconds under fire
WIPES_AMONG_KILLS = 2
BROKER_BOUND_S = 60.0
FAULT_BOUND_S = 300.0
WARM_UP_S = 2.0
OTHER_FAULTS = "every other fault"


@dataclass(frozen=True, slots=True)
class Orders:
    """What is asked of one drill."""

    directory: Path
    seed: int
    kills: int
    seconds: float


def run(orders: Orders, *, say: Callable[[str], None]) -> Findings:
    """Drill the running stack over `orders.directory`; always returns, with everything found."""
    since, troubles, findings = clock.utc_now(), Troubles(), Findings(orders.seed)
    killer = Killer(directory=orders.directory, seed=orders.seed, troubles=troubles)
    traffic = Traffic(seed=orders.seed, started_at=since, troubles=troubles)
    findings.struck = killer.struck
    traffic.start()
    try:
        time.sleep(WARM_UP_S)
        acts = (
            ("broker losses", BROKER_LOST[: orders.kills + 1], BROKER_SHARE, BROKER_BOUND_S),
            (
                OTHER_FAULTS,
                plan(seed=orders.seed, kills=orders.kills - 1, wipes=WIPES_AMONG_KILLS),
                1 - BROKER_SHARE,
                FAULT_BOUND_S,
            ),
        )
        for name, blows, share, bound_s in acts:
            say(f"{name}: {len(blows)} blows under traffic")
            traffic.resume()
            killer.strike(blows, seconds=orders.seconds * share)
            if name == OTHER_FAULTS:
                traffic.until_enough()
            traffic.no_more()
            killer.wait_until_all_are_back()
            say("traffic ended; waiting until everything has ended")
            waited_s, left = wait_until_quiet(traffic=traffic, since=since, bound_s=bound_s)
            findings.quiet_s[name] = waited_s
            findings.checks.append(
                ended_within(what=name, bound_s=bound_s, checked=len(blows), left=left)
            )
    finally:
        traffic.stop()
    findings.checks += persist(
        lambda: verdict.look(traffic=traffic, since=since), what="the verdict"
    )
    findings.checks.append(
        Check("there was traffic to lose", traffic.counts.total(), traffic.too_little())
    )
    findings.checks.append(as_ordered(findings, asked=orders.kills))
    findings.checks.append(Check("the drill itself went through", 1, list(troubles.lines)))
    findings.traffic = dict(sorted(traffic.counts.items()))
    findings.close()
    return findings
