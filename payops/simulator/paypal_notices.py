"""PayPal's captures: what happens to them without a refund, and the event that tells of it.

Owns the reversal that has no case. Refunds are refunds.py's, cases disputes.py's.
"""

from payops.simulator import paypal_objects
from payops.simulator.events import Spread, event_add
from payops.simulator.store import Database, Record, movement_add, object_save, record_add
from payops.simulator.wire import Refused
from payops.simulator.world import World

REVERSED = "PAYMENT.CAPTURE.REVERSED"


def payment_disturb(
    world: World, db: Database, *, payment: Record, type: str, spread: Spread
) -> str:
    """PayPal takes back what is left of a capture."""
    if type != REVERSED:
        raise Refused(400, f"event must be {REVERSED}.", code="act_unknown", param="event")
    body, now = payment.body, world.clock()
    left = body["amount"] - body["refunded"]
    if body["status"] not in ("COMPLETED", "PARTIALLY_REFUNDED") or not left:
        raise Refused(409, f"{payment.id} has nothing left to reverse.", code="already_reversed")
    taken = paypal_objects.reversal_body(
        capture=payment.id, amount=left, currency=body["currency"], at=int(now)
    )
    reversal = Record(
        seq=0,
        id=taken["id"],
        provider=payment.provider,
        kind="reversal",
        reference=None,
        merchant_reference=payment.reference,
        parent=payment.id,
        body=taken,
    )
    record_add(db, reversal)
    body |= {"refunded": body["amount"], "status": "REFUNDED", "updated": int(now)}
    object_save(db, body=body)
    movement_add(
        db,
        record=reversal,
        kind="payment_reversal",
        direction="out",
        amount=left,
        currency=body["currency"],
        key=None,
        at=now,
    )
    shown = paypal_objects.refund_shown(taken, base=world.paypal_base)
    return event_add(world, db, record=reversal, type=type, resource=shown, spread=spread)
