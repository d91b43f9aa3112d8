"""What the simulator shows of its world: counts, payouts, movements, events, deliveries.

Read only. The movements are the witness tests hold against the product's own intents (I7). Lists
are bounded and say their total, so a caller cannot take a page for the whole.
"""

import re
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from payops.simulator import delivery, losses, outages, refund_rules
from payops.simulator.events import DELIVERED, DROPPED, GIVEN_UP, LOST, QUEUED, queue_length
from payops.simulator.store import Database, Record, objects_select, record_of, setting_get
from payops.simulator.wire import Params, text, whole
from payops.simulator.world import World

ROWS_MAX = 10_000
DELIVERY_SWITCHES: dict[str, Any] = {
    "hold": False,
    "reorder": False,
    "forge_signature": False,
    "drop_next": 0,
    "lateness_s": 0.0,
    "stale_s": 0,
}


@dataclass(frozen=True)
class Act:
    """One control call after parsing; `name` is the id or reference in the path."""

    world: World
    params: Params
    name: str


def state(db: Database, act: Act) -> dict[str, Any]:
    """Counts and switches; `idle` means nothing is queued, under way or on the clock."""
    world = act.world
    queued = queue_length(db)
    jobs = count(db, "jobs")
    deliveries = {
        row["state"]: row["n"]
        for row in db.execute("SELECT state, COUNT(*) AS n FROM deliveries GROUP BY state")
    }
    statuses = db.execute(
        "SELECT json_extract(body, '$.status') AS status, COUNT(*) AS n FROM objects"
        " WHERE kind = 'payout' AND parent IS NULL GROUP BY status"
    )
    return {
        "now": world.clock(),
        "idle": not queued and not jobs,
        "target": world.config.target,
        "accounts": {name: each.account for name, each in world.config.endpoints.items()},
        "settle_s": world.settle_s(db),
        "payouts": {row["status"]: row["n"] for row in statuses},
        "movements": count(db, "movements"),
        "events": count(db, "events"),
        "deliveries": {
            name: deliveries.get(name, 0) for name in (QUEUED, DELIVERED, GIVEN_UP, DROPPED, LOST)
        },
        "jobs": jobs,
        "faults": count(db, "faults WHERE remaining > 0"),
        "losses": losses.losses_list(db),
        "outages": outages.outages_list(world, db),
        "delivery": switches(db),
    }


def switches(db: Database) -> dict[str, Any]:
    """How deliveries are spoilt at present."""
    return {name: setting_get(db, name, default) for name, default in DELIVERY_SWITCHES.items()}


def payout_shown(record: Record) -> dict[str, Any]:
    """A payout as tests compare it with their own books: ISO currency, minor units."""
    body = record.body
    return {
        "id": record.id,
        "provider": record.provider,
        "reference": record.reference,
        "merchant_reference": record.merchant_reference,
        "amount": body["amount"],
        "currency": body["currency"].upper(),
        "status": body["status"],
        "failure_code": body["failure_code"],
        "reversed_by": body.get("reversed_by"),
        "created": body["created"],
    }


def refund_shown(record: Record) -> dict[str, Any]:
    """A refund as tests compare it with their own books."""
    body = record.body
    return {
        "id": record.id,
        "provider": record.provider,
        "payment": record.parent,
        "reference": record.reference,
        "merchant_reference": record.merchant_reference,
        "amount": body["amount"],
        "currency": body["currency"].upper(),
        "status": body["status"],
        "reason": body.get("failure_reason") or body.get("failure_code"),
        "created": body["created"],
    }


def dispute_shown(record: Record) -> dict[str, Any]:
    """A dispute as tests compare it with their own books."""
    body = record.body
    names = ("amount", "currency", "stage", "status", "reason", "due_at", "created")
    return {
        "id": record.id,
        "provider": record.provider,
        "payment": record.parent,
        "reference": record.reference,
        **{name: body[name] for name in names},
        "refundable": body["refundable"],
        "withdrawn": body["is_withdrawn"],
    }


def payment_shown(record: Record) -> dict[str, Any]:
    """A payment with what of it was refunded."""
    body = record.body
    return {
        "id": record.id,
        "provider": record.provider,
        "reference": record.reference,
        "amount": body["amount"],
        "currency": body["currency"].upper(),
        "status": body["status"],
        "captured": refund_rules.captured(record),
        "refunded": refund_rules.refunded(record),
        "created": body["created"],
    }


def last_event(db: Database, record: Record) -> sqlite3.Row | None:
    """The newest event about a payout, or else about the PayPal batch it came in."""
    row: sqlite3.Row | None = db.execute(
        "SELECT id, type FROM events WHERE object_id IN (?, ?)"
        " ORDER BY object_id = ? DESC, seq DESC LIMIT 1",
        (record.id, record.body.get("batch") or record.id, record.id),
    ).fetchone()
    return row


def payouts(db: Database, act: Act) -> dict[str, Any]:
    """Payouts, newest first, without the counter-entries of reversals."""
    values: list[Any] = []
    where = "kind = 'payout' AND parent IS NULL"
    for name, column in (
        ("provider", "provider"),
        ("reference", "reference"),
        ("merchant_reference", "merchant_reference"),
    ):
        if wanted := text(act.params, name, default=""):
            where, values = f"{where} AND {column} = ?", [*values, wanted]
    limit = whole(act.params, "limit", default=ROWS_MAX, low=1, high=ROWS_MAX)
    found = objects_select(db, where=where, values=values, limit=limit)
    total = db.execute(f"SELECT COUNT(*) FROM objects WHERE {where}", values).fetchone()[0]
    return {"payouts": [payout_shown(record) for record in found], "total": total}


def payments(db: Database, act: Act) -> dict[str, Any]:
    """Payments, oldest first."""
    return _objects(db, act, "payments", ("payment", "charge"), payment_shown)


def refunds(db: Database, act: Act) -> dict[str, Any]:
    """Refunds, those of the dashboards included, oldest first."""
    return _objects(db, act, "refunds", ("refund",), refund_shown)


def disputes(db: Database, act: Act) -> dict[str, Any]:
    """Disputes, oldest first."""
    return _objects(db, act, "disputes", ("dispute",), dispute_shown)


def movements(db: Database, act: Act) -> dict[str, Any]:
    """The append-only log of money that moved: the witness for I7."""
    names = ("provider", "kind", "direction", "reference", "object_id")
    where, values = _filters(act, names)
    if key := text(act.params, "key", default=""):
        where, values = f"{where} AND idempotency_key = ?", [*values, key]
    return _ascending(db, act, table="movements", where=where, values=values)


def events(db: Database, act: Act) -> dict[str, Any]:
    """Stored events with the exact bytes that are sent."""
    where, values = _filters(act, ("provider", "type", "object_id"))
    page = _ascending(db, act, table="events", where=where, values=values)
    for row in page["events"]:
        row["body"] = row["body"].decode()
    return page


def deliveries(db: Database, act: Act) -> dict[str, Any]:
    """Deliveries with every attempt: the newest, or page by page from the oldest (?after=0)."""
    where, values = _filters(act, ("provider", "type", "object_id", "event_id", "state"))
    where = re.sub(r"\b(provider|type|object_id)\b", r"e.\1", where)
    where = re.sub(r"\b(event_id|state)\b", r"d.\1", where)
    limit = whole(act.params, "limit", default=200, low=1, high=ROWS_MAX)
    total = count(db, "deliveries")
    if "after" not in act.params:
        found = delivery.deliveries_list(db, where=where, values=tuple(values), limit=limit)
        return {"deliveries": found, "total": total}
    after = whole(act.params, "after", high=2**53)
    found = delivery.deliveries_list(
        db,
        where=f"{where} AND d.seq > ?",
        values=(*values, after),
        limit=limit + 1,
        oldest_first=True,
    )
    page = found[:limit]
    following = page[-1]["id"] if len(found) > limit else None
    return {"deliveries": page, "total": total, "next_after": following}


def calls(db: Database, act: Act) -> dict[str, Any]:
    """Every API call in order: when, under which key, about what, how answered (null: not)."""
    where, values = _filters(act, ("provider", "operation", "key", "reference", "object_id"))
    return _ascending(db, act, table="calls", where=where, values=values)


def _objects(
    db: Database,
    act: Act,
    noun: str,
    kinds: tuple[str, ...],
    show: Callable[[Record], dict[str, Any]],
) -> dict[str, Any]:
    """Objects of these kinds, oldest first; ?payment= takes a payment's id."""
    where, values = _filters(act, ("provider", "reference"))
    where += f" AND kind IN ({', '.join('?' for _ in kinds)})"
    values += kinds
    if parent := text(act.params, "payment", default=""):
        where, values = f"{where} AND parent = ?", [*values, parent]
    page = _ascending(db, act, table="objects", where=where, values=values)
    shown = [show(record_of(row)) for row in page.pop("objects")]
    return {noun: shown, **page}


def _filters(act: Act, names: tuple[str, ...]) -> tuple[str, list[Any]]:
    where = "1 = 1"
    values: list[Any] = []
    for name in names:
        if wanted := text(act.params, name, default=""):
            where, values = f"{where} AND {name} = ?", [*values, wanted]
    return where, values


def _ascending(
    db: Database, act: Act, *, table: str, where: str, values: list[Any]
) -> dict[str, Any]:
    """Oldest first; go on with ?after=<next_after> while it is not null."""
    after = whole(act.params, "after", default=0, high=2**53)
    limit = whole(act.params, "limit", default=ROWS_MAX, low=1, high=ROWS_MAX)
    rows = db.execute(
        f"SELECT * FROM {table} WHERE {where} AND seq > ? ORDER BY seq LIMIT ?",
        (*values, after, limit + 1),
    ).fetchall()
    total = db.execute(f"SELECT COUNT(*) FROM {table} WHERE {where}", values).fetchone()[0]
    page = [dict(row) for row in rows[:limit]]
    following = page[-1]["seq"] if len(rows) > limit else None
    return {table: page, "total": total, "next_after": following}


def count(db: Database, what: str) -> int:
    """Rows of a table, or of a table with a constant condition."""
    return int(db.execute(f"SELECT COUNT(*) FROM {what}").fetchone()[0])
