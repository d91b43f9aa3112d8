"""PayPal's payout batches: what they hold, what is told of them, when they are done.

The money moves with the items, whose life is lifecycle.py's.
"""

from typing import Any

from payops.simulator import paypal_objects
from payops.simulator.config import PAYPAL
from payops.simulator.events import event_add
from payops.simulator.store import Database, Record, object_get, object_save
from payops.simulator.world import World

_WAITING = ("pending", "in_transit")


def batch_items(db: Database, batch: Record) -> list[dict[str, Any]]:
    """The stored bodies of a batch's items, in their order."""
    found = (object_get(db, provider=PAYPAL, kind="payout", id=id) for id in batch.body["item_ids"])
    return [item.body for item in found if item is not None]


def batch_tell(world: World, db: Database, *, batch: Record, type: str) -> None:
    """An event about a batch; it says nothing of the items."""
    base = world.paypal_base
    shown = paypal_objects.batch_shown(batch.body, batch_items(db, batch), base=base)
    event_add(world, db, record=batch, type=type, resource=shown)


def batch_end(world: World, db: Database, record: Record) -> None:
    """After a move of this payout: its batch succeeds when none of its items waits any longer."""
    if record.provider != PAYPAL:
        return
    batch = object_get(db, provider=PAYPAL, kind="batch", id=record.body["batch"])
    if batch is None or batch.body["status"] != "PROCESSING":
        return
    if any(item["status"] in _WAITING for item in batch_items(db, batch)):
        return
    batch.body.update(status="SUCCESS", updated=int(world.clock()))
    object_save(db, body=batch.body)
    batch_tell(world, db, batch=batch, type=f"{paypal_objects.BATCH}SUCCESS")
