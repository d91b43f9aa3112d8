"""The life of a payout at the provider, the same for every provider (PX-3, PX-15).

Owns the legal moves pending -> in_transit -> paid | failed | canceled, the late failure and the
reversal after paid, and for each the money movement and the event that tell of it. What a provider
calls them is habits.py's. Each move is one transaction of the caller. Never speaks HTTP.
"""

from dataclasses import dataclass
from typing import Any

from payops.simulator import adyen_objects, paypal_batches, paypal_objects
from payops.simulator.config import ADYEN, PAYPAL, STRIPE
from payops.simulator.events import ONCE, Origin, Spread, event_add
from payops.simulator.habits import FAILED, HABITS
from payops.simulator.jobs import job_add
from payops.simulator.store import (
    Database,
    Record,
    movement_add,
    movement_is_back,
    new_id,
    object_add,
    object_save,
)
from payops.simulator.wire import Refused
from payops.simulator.world import World

OPEN = ("pending", "in_transit", "unclaimed")
FAILURES = {
    "account_closed": "The bank account has been closed.",
    "account_frozen": "The bank account has been frozen.",
    "bank_account_restricted": "The bank account has restrictions on its use.",
    "bank_ownership_changed": "The destination bank account changed its owner.",
    "could_not_process": "The bank could not process this payout.",
    "debit_not_authorized": "Debit transactions are not approved on the bank account.",
    "declined": "The bank has declined this transfer.",
    "incorrect_account_holder_address": "The account holder address does not match.",
    "incorrect_account_holder_name": "The account holder name does not match.",
    "incorrect_account_holder_tax_id": "The account holder tax id does not match.",
    "incorrect_account_type": "The bank account type is wrong.",
    "insufficient_funds": "The account has insufficient funds to cover the payout.",
    "invalid_account_number": "The bank account number is not valid.",
    "invalid_account_number_length": "The bank account number has a wrong length.",
    "invalid_currency": "The bank cannot process this currency.",
    "no_account": "The bank account could not be located.",
    "unsupported_card": "The bank no longer supports payouts to this card.",
}


@dataclass(frozen=True)
class Failure:
    """How a payout fails: reason, the event that tells it, and whether it is told again.

    Without an event it is the usual one of its provider.
    """

    code: str = "could_not_process"
    event: str = ""
    spread: Spread = ONCE
    repeat: bool = False


def payout_open(world: World, db: Database, *, record: Record, origin: Origin) -> None:
    """A new payout left the balance: object, movement, event, and its next moves on the clock."""
    now = world.clock()
    body = record.body
    if record.provider == STRIPE:
        body["balance_transaction"] = balance_transaction_add(
            db, body=body, type="payout", amount=-body["amount"], created=int(now)
        )
    object_add(
        db,
        provider=record.provider,
        kind="payout",
        body=body,
        reference=record.reference,
        merchant_reference=record.merchant_reference,
    )
    _move(db, record, kind="payout", direction="out", key=origin.key, at=now)
    if record.provider != PAYPAL:
        # PayPal tells of the batch, once for all its items.
        created = HABITS[record.provider].created
        event_add(world, db, record=record, type=created, origin=origin)
    settle_s = world.settle_s(db)
    if settle_s >= 0:
        job_add(db, due_at=now + settle_s / 2, verb="send", object_id=record.id)
        job_add(db, due_at=now + settle_s, verb="pay", object_id=record.id)


def payout_send(world: World, db: Database, *, record: Record) -> str | None:
    """pending -> in_transit; only Stripe and Adyen tell of it."""
    _require(record, "pending", act="sent")
    previous = _change(world, db, record, {"status": "in_transit"})
    told = HABITS[record.provider].sent
    if told is None:
        return None
    return event_add(world, db, record=record, type=told, previous=previous)


def payout_pay(world: World, db: Database, *, record: Record) -> str:
    """pending, in_transit or unclaimed -> paid."""
    _require(record, *OPEN, act="paid")
    changes: dict[str, Any] = {"status": "paid"}
    if record.provider == STRIPE:
        changes["trace_id"] = {"status": "supported", "value": new_id("SIM", size=12).upper()}
    if record.provider == PAYPAL:
        changes["transaction_id"] = paypal_objects.paypal_id()
    previous = _change(world, db, record, changes, movement=-record.body["amount"])
    told = event_add(world, db, record=record, type=HABITS[record.provider].paid, previous=previous)
    paypal_batches.batch_end(world, db, record)
    return told


def payout_unclaim(world: World, db: Database, *, record: Record) -> str:
    """pending or in_transit -> unclaimed: PayPal's receiver has no account yet."""
    if record.provider != PAYPAL:
        raise Refused(400, f"{record.provider} knows no unclaimed payout.", code="act_unknown")
    _require(record, "pending", "in_transit", act="left unclaimed")
    changes = {"status": "unclaimed", "transaction_id": paypal_objects.paypal_id()}
    _change(world, db, record, changes)
    told = event_add(world, db, record=record, type=f"{paypal_objects.ITEM}UNCLAIMED")
    paypal_batches.batch_end(world, db, record)
    return told


def payout_fail(world: World, db: Database, *, record: Record, failure: Failure) -> str:
    """pending, in_transit, unclaimed or paid -> failed (or returned), told however often.

    The money comes back at once and once; only the standard provider returns the money of a payout
    that was paid later, when it is reversed.
    """
    failure_check(record=record, failure=failure)
    habits = HABITS[record.provider]
    event = failure.event or next(iter(habits.failures))
    becomes, wire = habits.failures[event]
    told_as = habits.failure_type(event)
    word = {"wire_status": wire} if wire or record.body.get("wire_status") else {}
    if record.body["status"] == becomes and failure.repeat:
        _change(world, db, record, word)
        return event_add(world, db, record=record, type=told_as, spread=failure.spread)
    _require(record, *OPEN, "paid", act=becomes)
    changes: dict[str, Any] = {
        "status": becomes,
        "failure_code": habits.code(failure.code),
        "failure_message": FAILURES.get(failure.code, "The bank returned this payout."),
    }
    changes |= word
    was_paid = record.body["status"] == "paid"
    if habits.late_failure_returns_money or not was_paid:
        kind = "payout_failure" if becomes == FAILED else "payout_reversal"
        changes |= _money_back(world, db, record, kind=kind)
    booked = record.body["amount"] if was_paid else 0
    previous = _change(world, db, record, changes, movement=booked)
    told = event_add(
        world, db, record=record, type=told_as, previous=previous, spread=failure.spread
    )
    paypal_batches.batch_end(world, db, record)
    return told


def failure_check(*, record: Record, failure: Failure) -> None:
    """Refuse an event this provider does not know."""
    allowed = HABITS[record.provider].failures
    if failure.event and failure.event not in allowed:
        text = f"event must be one of: {', '.join(allowed)}."
        raise Refused(400, text, code="parameter_invalid", param="event")


def payout_reverse(world: World, db: Database, *, record: Record, spread: Spread) -> str:
    """paid -> reversed, also when it failed since and the money is still out; at Stripe paid stays
    and reversed_by is set.
    """
    late = ("failed",) if record.provider != STRIPE else ()
    _require(record, "paid", *late, act="reversed")
    if record.body.get("reversed_by") or (late and movement_is_back(db, object_id=record.id)):
        raise Refused(409, f"{record.id} is reversed already.", code="already_reversed")
    type = HABITS[record.provider].reversed
    changes: dict[str, Any] = {"status": "reversed"}
    if record.provider == STRIPE:
        changes = {"reversed_by": _counter_payout(world, db, record)}
    elif record.provider == PAYPAL:
        # An older error would read as if nobody had ever claimed the money.
        changes |= {"failure_code": None, "failure_message": None}
    _move(db, record, kind="payout_reversal", direction="in", key=None, at=world.clock())
    previous = _change(world, db, record, changes, movement=record.body["amount"])
    return event_add(world, db, record=record, type=type, previous=previous, spread=spread)


def payout_cancel(world: World, db: Database, *, record: Record, origin: Origin | None) -> str:
    """pending (at PayPal: unclaimed) -> canceled; the money stays in the balance."""
    habits = HABITS[record.provider]
    _require(record, *habits.cancelable, act="canceled")
    changes: dict[str, Any] = {"status": "canceled"}
    changes |= _money_back(world, db, record, kind="payout_cancel")
    previous = _change(world, db, record, changes)
    return event_add(
        world, db, record=record, type=habits.canceled, previous=previous, origin=origin
    )


def balance_transaction_add(
    db: Database,
    *,
    body: dict[str, Any],
    type: str,
    amount: int,
    created: int,
    fee: int = 0,
    category: str = "",
) -> str:
    """An immutable Stripe balance transaction about the object in `body`; its id.

    `category` is its reporting category where that does not follow from the type.
    """
    fees = [
        {
            "amount": fee,
            "application": None,
            "currency": body["currency"],
            "description": "Processing fees",
            "type": "stripe_fee",
        }
    ]
    categories = {"payout_failure": "payout_reversal", "payout_cancel": "payout_reversal"}
    entry = {
        "id": new_id("txn_sim", size=20),
        "object": "balance_transaction",
        "amount": amount,
        "available_on": created,
        "balance_type": "payments",
        "created": created,
        "currency": body["currency"],
        "description": None,
        "exchange_rate": None,
        "fee": fee,
        "fee_details": fees if fee else [],
        "net": amount - fee,
        "reporting_category": category or categories.get(type, type),
        "source": body["id"],
        "status": "available",
        "type": type,
    }
    object_add(db, provider=STRIPE, kind="balance_transaction", body=entry, parent=body["id"])
    return str(entry["id"])


def _require(record: Record, *allowed: str, act: str) -> None:
    status = record.body["status"]
    if status not in allowed:
        raise Refused(
            400,
            f"Payouts with status {status} cannot be {act}.",
            code="payout_status_invalid",
            stored=True,
        )


def _change(
    world: World,
    db: Database,
    record: Record,
    changes: dict[str, Any],
    *,
    movement: int = 0,
) -> dict[str, Any]:
    """Write the changes; what the changed members were before.

    Adyen numbers and lists each, with what it books in the balance (`movement`).
    """
    body = record.body
    if "status" in changes and body.get("wire_status"):
        # The provider's own word was for the state that is left now.
        changes = {"wire_status": None, **changes}
    previous = {name: body.get(name) for name in changes}
    body.update(changes)
    if record.provider in (ADYEN, PAYPAL):
        body["updated"] = int(world.clock())
    if record.provider == ADYEN:
        body["sequence"] += 1
        entry = adyen_objects.history_entry(body, at=world.clock(), movement=movement)
        body["history"].append(entry)
    object_save(db, body=body)
    return previous


def _money_back(world: World, db: Database, record: Record, *, kind: str) -> dict[str, Any]:
    now = world.clock()
    _move(db, record, kind=kind, direction="in", key=None, at=now)
    if record.provider != STRIPE:
        return {}
    entry = balance_transaction_add(
        db, body=record.body, type=kind, amount=record.body["amount"], created=int(now)
    )
    return {"failure_balance_transaction": entry}


def _move(
    db: Database, record: Record, *, kind: str, direction: str, key: str | None, at: float
) -> None:
    movement_add(
        db,
        record=record,
        kind=kind,
        direction=direction,
        amount=record.body["amount"],
        currency=record.body["currency"],
        key=key,
        at=at,
    )


def _counter_payout(world: World, db: Database, record: Record) -> str:
    created = int(world.clock())
    body = record.body | {
        "id": new_id("po_sim"),
        "amount": -int(record.body["amount"]),
        "created": created,
        "original_payout": record.id,
        "metadata": {},
    }
    body["balance_transaction"] = balance_transaction_add(
        db, body=body, type="payout_reversal", amount=record.body["amount"], created=created
    )
    object_add(db, provider=STRIPE, kind="payout", body=body, parent=record.id)
    return str(body["id"])
