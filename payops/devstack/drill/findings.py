"""What a drill hands back, whichever it was: what was done, what was measured, and the verdict."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from payops.devstack.drill.killer import Struck
from payops.devstack.drill.verdict import Check

Figure = int | float | str


@dataclass(slots=True)
class Findings:
    """`figures` are measured; what is promised of them stands in `checks`."""

    seed: int
    struck: list[Struck] = field(default_factory=list)
    traffic: dict[str, int] = field(default_factory=dict)
    quiet_s: dict[str, float] = field(default_factory=dict)
    figures: dict[str, Figure] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)
    started_s: float = field(default_factory=time.monotonic)
    took_s: float = 0.0

    @property
    def ok(self) -> bool:
        return bool(self.checks) and all(check.ok for check in self.checks)

    def kills(self) -> int:
        return sum(not struck.blow.wipes for struck in self.struck)

    def broken(self, kind: str) -> int:
        return sum(len(check.breaks) for check in self.checks if check.kind == kind)

    def close(self) -> None:
        self.took_s = round(time.monotonic() - self.started_s, 1)


def as_ordered(findings: Findings, *, asked: int) -> Check:
    """A drill that killed less than it was asked for has shown nothing."""
    kills = findings.kills()
    breaks = [] if kills >= asked else [f"{kills} kills landed, {asked} were asked for"]
    return Check("every kill landed on a living process", kills, breaks)


def ended_within(*, what: str, bound_s: float, checked: int, left: dict[str, int]) -> Check:
    return Check(
        f"everything ended within {bound_s:.0f} s of {what}",
        checked,
        [f"{count} {name} left" for name, count in left.items()],
    )
