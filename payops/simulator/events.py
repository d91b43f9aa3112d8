"""Events of every provider: their envelope, their bytes, and the deliveries they queue.

An event's bytes are made once and stored, so every delivery and every resend carries exactly the
same body under the same id (WH-4, WH-8). Enqueues only; delivery.py sends.
"""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from payops.simulator import adyen_objects, losses, paypal_objects
from payops.simulator.config import ADYEN, COPIES_MAX, EVENT_DAYS, PAYPAL, STRIPE
from payops.simulator.store import Database, Record, new_id, setting_get, setting_put
from payops.simulator.wire import Params, seconds, whole
from payops.simulator.world import World

API_VERSION = "2025-09-30.clover"
QUEUE_MAX = 50_000
REORDER_S = 2.0
WAVE_S = 0.25
SPREAD_MAX_S = 86_400.0
QUEUED, DELIVERED, GIVEN_UP, DROPPED = "queued", "delivered", "given_up", "dropped"
LOST = "lost"


@dataclass(frozen=True)
class Origin:
    """The API request that caused an event."""

    request_id: str
    key: str | None


@dataclass(frozen=True)
class Spread:
    """How many deliveries of one event, over how long, and how many at the same instant."""

    copies: int = 1
    spread_s: float = 0.0
    parallel: int = 0


ONCE = Spread()


def spread_asked(params: Params) -> Spread:
    """The spread a control call asks for."""
    return Spread(
        copies=whole(params, "copies", default=1, low=1, high=COPIES_MAX),
        spread_s=seconds(params, "spread_s", high=SPREAD_MAX_S),
        parallel=whole(params, "parallel", default=0, high=COPIES_MAX),
    )


def event_add(
    world: World,
    db: Database,
    *,
    record: Record,
    type: str,
    previous: Mapping[str, Any] | None = None,
    origin: Origin | None = None,
    spread: Spread = ONCE,
    resource: Mapping[str, Any] | None = None,
) -> str:
    """Store an event about the object as it now is and queue its deliveries; returns its id.

    `resource` is what the event shows where that is not the stored object itself.
    """
    now = world.clock()
    if record.provider == ADYEN:
        event = adyen_objects.transfer_event(record.body, type=type, at=now)
    elif record.provider == PAYPAL:
        base = world.paypal_base
        shown = resource or paypal_objects.item_shown(record.body, base=base)
        event = paypal_objects.event(dict(shown), type=type, at=now, base=base)
    else:
        build = _stripe_event if record.provider == STRIPE else _standard_event
        told = record.body if resource is None else dict(resource)
        event = build(told, type, int(now), previous, origin)
    return event_put(
        world,
        db,
        provider=record.provider,
        type=type,
        object_id=record.id,
        event=event,
        spread=spread,
    )


def event_put(
    world: World,
    db: Database,
    *,
    provider: str,
    type: str,
    object_id: str,
    event: Mapping[str, Any],
    spread: Spread,
) -> str:
    """Store a finished event and queue its deliveries; its id (Adyen's events have none: ours)."""
    indent = 2 if provider == STRIPE else None
    body = json.dumps(event, indent=indent, ensure_ascii=False).encode()
    id = str(event.get("id") or new_id("adyen_sim_"))
    db.execute(
        "INSERT INTO events (id, provider, type, object_id, created, body)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (id, provider, type, object_id, int(world.clock()), body),
    )
    is_lost = losses.loss_take(db, provider=provider, type=type)
    enqueue(world, db, event_id=id, spread=spread, is_lost=is_lost)
    return id


def enqueue(
    world: World, db: Database, *, event_id: str, spread: Spread, is_lost: bool = False
) -> list[int]:
    """Queue deliveries of a stored event; their numbers. A full queue takes no more of them."""
    now = world.clock() + float(setting_get(db, "lateness_s", 0.0))
    drop_next = drop = int(setting_get(db, "drop_next", 0))
    shuffled = bool(setting_get(db, "reorder", False))
    room = QUEUE_MAX - queue_length(db)
    numbers = []
    for index in range(min(spread.copies, room)):
        due_at = now + _offset(spread, index)
        if shuffled:
            due_at += world.dice.random() * REORDER_S
        state = LOST if is_lost else DROPPED if drop > 0 else QUEUED
        drop -= state == DROPPED
        number = db.execute(
            "INSERT INTO deliveries (event_id, state, due_at, serial) VALUES (?, ?, ?, ?)",
            (event_id, state, due_at, int(spread.parallel == 1)),
        ).lastrowid
        numbers.append(int(number or 0))
    if drop != drop_next:
        setting_put(db, "drop_next", drop)
    return numbers


def queue_length(db: Database) -> int:
    """Deliveries still to be made."""
    return int(
        db.execute("SELECT COUNT(*) FROM deliveries WHERE state = ?", (QUEUED,)).fetchone()[0]
    )


def event_get(db: Database, *, id: str, provider: str | None = None) -> sqlite3.Row | None:
    """The stored event, or None."""
    row: sqlite3.Row | None = db.execute(
        "SELECT * FROM events WHERE id = ? AND provider = COALESCE(?, provider)", (id, provider)
    ).fetchone()
    return row


def events_since(now: float) -> int:
    """The oldest creation time the event lists still show."""
    return int(now) - EVENT_DAYS * 86_400


def _offset(spread: Spread, index: int) -> float:
    if spread.parallel > 1:
        return (index // spread.parallel) * WAVE_S
    return spread.spread_s * index / max(1, spread.copies - 1)


def _stripe_event(
    shown: Mapping[str, Any],
    type: str,
    created: int,
    previous: Mapping[str, Any] | None,
    origin: Origin | None,
) -> dict[str, Any]:
    told: dict[str, Any] = {"object": shown}
    if previous:
        told["previous_attributes"] = dict(previous)
    return {
        "id": new_id("evt_sim", size=20),
        "object": "event",
        "api_version": API_VERSION,
        "created": created,
        "data": told,
        "livemode": False,
        "pending_webhooks": 1,
        "request": {
            "id": origin.request_id if origin else None,
            "idempotency_key": origin.key if origin else None,
        },
        "type": type,
    }


def _standard_event(
    shown: Mapping[str, Any],
    type: str,
    created: int,
    previous: Mapping[str, Any] | None,
    origin: Origin | None,
) -> dict[str, Any]:
    return {
        "id": new_id("sev_"),
        "type": type,
        "created": created,
        "live": False,
        "data": shown,
        "previous": dict(previous) if previous else None,
        "request": {"id": origin.request_id, "idempotency_key": origin.key} if origin else None,
    }
