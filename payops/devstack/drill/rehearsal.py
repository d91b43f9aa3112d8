"""The course of one drill: the broker is lost under traffic, then everything is killed, then quiet.

Two acts, because two bounds are promised: after a loss of the broker alone everything ends within
60 s, after any other fault within 5 minutes. Serves SC-4 and I2.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from payops.core import clock
from payops.devstack.drill import verdict
from payops.devstack.drill.killer import BROKER, WIPE, Killer, Struck, plan
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


@dataclass(frozen=True, slots=True)
class Orders:
    """What is asked of one drill."""

    directory: Path
    seed: int
    kills: int
    seconds: float


@dataclass(slots=True)
class Findings:
    """What happened, and the verdict on it."""

    orders: Orders
    struck: list[Struck] = field(default_factory=list)
    traffic: dict[str, int] = field(default_factory=dict)
    quiet_s: dict[str, float] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)
    took_s: float = 0.0

    @property
    def ok(self) -> bool:
        return bool(self.checks) and all(check.ok for check in self.checks)

    def kills(self) -> int:
        return sum(not struck.blow.wipes for struck in self.struck)

    def broken(self, kind: str) -> int:
        return sum(len(check.breaks) for check in self.checks if check.kind == kind)


def run(orders: Orders, *, say: Callable[[str], None]) -> Findings:
    """Drill the running stack over `orders.directory`; always returns, with everything found."""
    started_s, since = time.monotonic(), clock.utc_now()
    troubles, findings = Troubles(), Findings(orders)
    killer = Killer(directory=orders.directory, seed=orders.seed, troubles=troubles)
    traffic = Traffic(seed=orders.seed, started_at=since, troubles=troubles)
    findings.struck = killer.struck
    traffic.start()
    try:
        time.sleep(WARM_UP_S)
        acts = (
            ("broker losses", BROKER_LOST[: orders.kills + 1], BROKER_SHARE, BROKER_BOUND_S),
            (
                "every other fault",
                plan(seed=orders.seed, kills=orders.kills - 1, wipes=WIPES_AMONG_KILLS),
                1 - BROKER_SHARE,
                FAULT_BOUND_S,
            ),
        )
        for name, blows, share, bound_s in acts:
            say(f"{name}: {len(blows)} blows under traffic")
            traffic.resume()
            killer.strike(blows, seconds=orders.seconds * share)
            traffic.no_more()
            killer.wait_until_all_are_back()
            say("traffic ended; waiting until everything has ended")
            waited_s, left = wait_until_quiet(traffic=traffic, since=since, bound_s=bound_s)
            findings.quiet_s[name] = waited_s
            findings.checks.append(
                Check(
                    f"everything ended within {bound_s:.0f} s of {name}",
                    len(blows),
                    [f"{count} {what} left" for what, count in left.items()],
                )
            )
    finally:
        traffic.stop()
    findings.checks += persist(
        lambda: verdict.look(traffic=traffic, since=since), what="the verdict"
    )
    findings.checks.append(_as_ordered(findings))
    findings.checks.append(Check("the drill itself went through", 1, list(troubles.lines)))
    findings.traffic = dict(sorted(traffic.counts.items()))
    findings.took_s = round(time.monotonic() - started_s, 1)
    return findings


def _as_ordered(findings: Findings) -> Check:
    """A drill that killed less than it was asked for has shown nothing."""
    kills, asked = findings.kills(), findings.orders.kills
    breaks = [] if kills >= asked else [f"{kills} kills landed, {asked} were asked for"]
    return Check("every kill landed on a living process", kills, breaks)
