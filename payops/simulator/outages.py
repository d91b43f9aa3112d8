"""A whole provider that is down: every call answers 503, or no call answers at all.

Owns the outages and when they end. Strikes before anything else of a call, its credentials
included, and changes nothing. PayPal's certificates have an outage of their own, because they come
from another host. Serves the rehearsal of "PSP down for ten minutes".
"""

from typing import Any

from payops.simulator.config import PROVIDERS
from payops.simulator.store import Database, setting_get, setting_put
from payops.simulator.wire import CLOSE, Params, Response, json_response, seconds, text
from payops.simulator.world import World

PAYPAL_CERTIFICATES = "paypal_certs"
TARGETS = (*PROVIDERS, PAYPAL_CERTIFICATES)
KINDS = {"503": "answers 503", "hang": "never answers"}
LONGEST_S = 86_400.0
HANG_S = 60.0
_SETTING = "outages"


def outages_list(world: World, db: Database) -> dict[str, Any]:
    """The outages that last now: target -> kind, until when, how many calls they met."""
    outages: dict[str, Any] = setting_get(db, _SETTING, {})
    return {name: each for name, each in outages.items() if each["until"] > world.clock()}


def outage_add(world: World, db: Database, *, params: Params) -> dict[str, Any]:
    """Begin an outage of one provider, or end it with `seconds` 0."""
    target = text(params, "provider", pattern="|".join(TARGETS))
    outage = {
        "kind": text(params, "kind", default="503", pattern="|".join(KINDS)),
        "until": world.clock() + seconds(params, "seconds", default=60.0, high=LONGEST_S),
        "hang_s": seconds(params, "hang_s", default=HANG_S, high=LONGEST_S),
        "calls": 0,
    }
    outages = outages_list(world, db)
    setting_put(db, _SETTING, {**outages, target: outage})
    return {"provider": target, **outage}


def outage_answer(world: World, *, target: str) -> Response | None:
    """What a call meets while its provider is down; None while it is up."""
    with world.store.transaction() as db:
        outages = outages_list(world, db)
        if target not in outages:
            return None
        outage = outages[target]
        outage["calls"] += 1
        setting_put(db, _SETTING, outages)
    if outage["kind"] == "hang":
        return Response(status=504, body=b"", ending=CLOSE, pause_s=outage["hang_s"])
    problem = {"error": {"type": "api_error", "message": "The service is unavailable."}}
    return json_response(problem, status=503, headers={"Retry-After": "1"})
