"""Events that are lost at sending: stored and listed at the provider, never delivered.

Owns the orders for such losses. A lost event can still be resent by hand. Serves the recovery of
missed events (WH-12).
"""

from typing import Any

from payops.simulator.config import PROVIDERS
from payops.simulator.store import Database, setting_get, setting_put
from payops.simulator.wire import Params, Refused, text, whole

ORDERS_MAX = 50
TIMES_MAX = 100_000
_SETTING = "losses"


def losses_list(db: Database) -> list[dict[str, Any]]:
    """Every order with the events it still takes and those it took."""
    orders: list[dict[str, Any]] = setting_get(db, _SETTING, [])
    return orders


def loss_add(db: Database, *, params: Params) -> dict[str, Any]:
    """Order that the next `times` events of a provider (and type) are never sent."""
    orders = losses_list(db)
    if len(orders) >= ORDERS_MAX:
        raise Refused(409, f"There are {ORDERS_MAX} losses already.", code="losses_full")
    order = {
        "provider": text(params, "provider", default="*", pattern="|".join((*PROVIDERS, r"\*"))),
        "type": text(params, "type", default="*", pattern=r"[A-Za-z0-9_.,*-]{1,120}"),
        "remaining": whole(params, "times", default=1, low=1, high=TIMES_MAX),
        "used": 0,
    }
    setting_put(db, _SETTING, [*orders, order])
    return order


def losses_clear(db: Database) -> int:
    """Withdraw all; the number withdrawn."""
    count = len(losses_list(db))
    setting_put(db, _SETTING, [])
    return count


def loss_take(db: Database, *, provider: str, type: str) -> bool:
    """Whether a new event is lost; uses up the oldest matching order."""
    orders = losses_list(db)
    for order in orders:
        fits = order["provider"] in (provider, "*") and order["type"] in (type, "*")
        if fits and order["remaining"]:
            order["remaining"] -= 1
            order["used"] += 1
            setting_put(db, _SETTING, orders)
            return True
    return False
