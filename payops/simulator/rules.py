"""Switches of the whole world: how strict, how slow and how late its providers are.

Owns the rules and the clock. `permissive` makes every provider a hostile one: it refunds what was
never captured, or is disputed, and remembers no key. The clock can run ahead for everything, or
for the memory of keys alone, so that a provider forgets them. Serves I6, I7, RF-5 and D14.
"""

from dataclasses import dataclass
from typing import Any

from payops.simulator.store import Database, setting_get, setting_put
from payops.simulator.wire import Params, flag, seconds, text
from payops.simulator.world import World

LATENCY_MAX_S = 60.0
AHEAD_MAX_S = 400 * 86_400.0
USUAL, PENDING, SUCCEEDED = "usual", "pending", "succeeded"
STATUSES = (USUAL, PENDING, SUCCEEDED)
DEFAULTS: dict[str, Any] = {"permissive": False, "latency_s": 0.0, "refund_status": USUAL}


@dataclass(frozen=True)
class Rules:
    """`refund_status`: what new refunds are; `latency_s`: how long an API call takes at least."""

    permissive: bool
    latency_s: float
    refund_status: str


def rules_read(db: Database) -> Rules:
    """The rules as they are set."""
    return Rules(**rules_shown(db))


def rules_shown(db: Database) -> dict[str, Any]:
    """The rules as the control API tells them."""
    return {name: setting_get(db, name, default) for name, default in DEFAULTS.items()}


def rules_set(db: Database, *, params: Params) -> dict[str, Any]:
    """Change the rules that are named; all of them as they are now."""
    if (permissive := flag(params, "permissive")) is not None:
        setting_put(db, "permissive", permissive)
    if "latency_s" in params:
        setting_put(db, "latency_s", seconds(params, "latency_s", high=LATENCY_MAX_S))
    if "refund_status" in params:
        setting_put(db, "refund_status", text(params, "refund_status", pattern="|".join(STATUSES)))
    return rules_shown(db)


def clock_shown(world: World) -> dict[str, float]:
    """What the providers take for now, and how far their clocks are ahead."""
    return {
        "now": world.clock(),
        "ahead_s": world.ahead_s,
        "keys_now": world.key_clock(),
        "keys_ahead_s": world.keys_ahead_s,
    }


def clock_set(world: World, db: Database, *, params: Params) -> dict[str, float]:
    """Put the clock of everything, or that of the keys alone, ahead of the real time."""
    if "ahead_s" in params:
        world.ahead_s = seconds(params, "ahead_s", high=AHEAD_MAX_S)
        setting_put(db, "ahead_s", world.ahead_s)
    if "keys_ahead_s" in params:
        world.keys_ahead_s = seconds(params, "keys_ahead_s", high=AHEAD_MAX_S)
        setting_put(db, "keys_ahead_s", world.keys_ahead_s)
    return clock_shown(world)
