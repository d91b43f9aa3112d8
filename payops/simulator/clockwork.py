"""Makes the moves whose time has come.

Owns the table of moves; each is a function of lifecycle.py or refunds.py. A move that is no longer
legal, because a person or an API call was faster, is dropped.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from payops.simulator import lifecycle, refunds
from payops.simulator.events import Spread
from payops.simulator.lifecycle import Failure
from payops.simulator.refunds import Ending
from payops.simulator.store import Database, Record, objects_select
from payops.simulator.wire import Refused
from payops.simulator.world import World

JOB_BATCH = 200
Move = Callable[[World, Database, Record, dict[str, Any]], Any]


def jobs_run(world: World) -> float | None:
    """Make every move that is due; the time of the next one, or None."""
    with world.store.transaction() as db:
        due = db.execute(
            "SELECT * FROM jobs WHERE due_at <= ? ORDER BY due_at, seq LIMIT ?",
            (world.clock(), JOB_BATCH),
        ).fetchall()
        for job in due:
            db.execute("DELETE FROM jobs WHERE seq = ?", (job["seq"],))
            _run(world, db, verb=job["verb"], id=job["object_id"], arguments=job["arguments"])
        following: float | None = db.execute("SELECT MIN(due_at) FROM jobs").fetchone()[0]
    if due:
        world.wake()
    return following


def _run(world: World, db: Database, *, verb: str, id: str, arguments: str) -> None:
    where = "id = ? AND kind IN ('payout', 'refund')"
    for record in objects_select(db, where=where, values=(id,), limit=1):
        try:
            MOVES[verb](world, db, record, json.loads(arguments))
        except Refused:
            # A person or an API call was faster; the object is no longer where this move starts.
            return


def _fail(world: World, db: Database, record: Record, told: dict[str, Any]) -> None:
    failure = Failure(
        code=told["code"], event=told["event"], spread=_spread(told), repeat=told["repeat"]
    )
    lifecycle.payout_fail(world, db, record=record, failure=failure)


def _refund(act: Callable[..., Any]) -> Move:
    def move(world: World, db: Database, record: Record, told: dict[str, Any]) -> None:
        ending = Ending()
        if told:
            ending = Ending(reason=told["reason"], spread=_spread(told))
        act(world, db, refund=record, ending=ending)

    return move


def _spread(told: dict[str, Any]) -> Spread:
    return Spread(
        copies=told["copies"], spread_s=told["spread_s"], parallel=told.get("parallel", 0)
    )


MOVES: Mapping[str, Move] = {
    "send": lambda world, db, record, told: lifecycle.payout_send(world, db, record=record),
    "pay": lambda world, db, record, told: lifecycle.payout_pay(world, db, record=record),
    "fail": _fail,
    "refund_succeed": _refund(refunds.refund_succeed),
    "refund_fail": _refund(refunds.refund_fail),
    "refund_return": _refund(refunds.refund_return),
    "refund_cancel": _refund(refunds.refund_cancel),
}
