"""The life of a refund at the provider, the same for every provider (RF-5, RF-12, D8, F3, F4).

Owns the legal moves pending -> succeeded | failed | canceled, the late failure and the return
after succeeded, and for each the money movement and the events. What a refund looks like and how
it is told is refund_news.py's, when it is refused refund_rules.py's. Never speaks HTTP.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from payops.simulator import refund_rules
from payops.simulator.config import ADYEN, PAYPAL, STANDARD, STRIPE
from payops.simulator.events import ONCE, Origin, Spread
from payops.simulator.jobs import job_add
from payops.simulator.lifecycle import balance_transaction_add
from payops.simulator.refund_news import (
    CANCELED,
    FAILED,
    PENDING,
    REVERSED,
    SUCCEEDED,
    News,
    refund_body,
    refund_tell,
)
from payops.simulator.refund_rules import Wish
from payops.simulator.rules import USUAL, rules_read
from payops.simulator.store import (
    Database,
    Record,
    movement_add,
    movement_is_back,
    object_find,
    object_save,
    objects_select,
    record_add,
)
from payops.simulator.wire import Refused
from payops.simulator.world import World

# What a refund is when it is made and nobody ordered otherwise.
BORN: Mapping[str, str] = {
    STRIPE: SUCCEEDED,
    ADYEN: SUCCEEDED,
    PAYPAL: SUCCEEDED,
    STANDARD: PENDING,
}
REASONS = (
    *("expired_or_canceled_card", "lost_or_stolen_card", "declined", "insufficient_funds"),
    *("charge_for_pending_refund_disputed", "merchant_request", "unknown"),
)


@dataclass(frozen=True)
class Ending:
    """How a refund goes on: why (a reason in the provider's words), and how often it is told."""

    reason: str = REASONS[0]
    spread: Spread = ONCE


def refund_open(
    world: World,
    db: Database,
    *,
    payment: Record,
    wish: Wish,
    origin: Origin | None,
    status: str = USUAL,
    spread: Spread = ONCE,
) -> Record:
    """A new refund: object, movement, events. Without an `origin` it was made in the dashboard.

    Adyen takes every refund and tells later that it was refused; the others refuse at once.
    """
    rules = rules_read(db)
    refusal = None
    if not rules.permissive:
        refusal = refund_rules.refusal(db, payment=payment, wish=wish)
    if refusal and payment.provider != ADYEN:
        raise refusal
    wanted = next((each for each in (status, rules.refund_status) if each != USUAL), None)
    born = FAILED if refusal else wanted or BORN[payment.provider]
    now = int(world.clock())
    body = refund_body(payment, wish=wish, status=born, created=now)
    refund = Record(
        seq=0,
        id=body["id"],
        provider=payment.provider,
        kind="refund",
        reference=wish.reference,
        merchant_reference=wish.merchant_reference,
        parent=payment.id,
        body=body,
    )
    if refusal:
        body["failure_code"] = str(refusal)
        record_add(db, refund)
        refund_tell(world, db, News(refund=refund, payment=payment, word=FAILED))
        return refund
    if refund.provider == STRIPE:
        body["balance_transaction"] = balance_transaction_add(
            db, body=body, type="refund", amount=-wish.amount, created=now
        )
    before = _payment_book(world, db, payment, wish.amount)
    if refund.provider == PAYPAL:
        body["total"] = payment.body["refunded"]
    record_add(db, refund)
    kind = "refund" if origin else "refund_external"
    _move(world, db, refund, kind=kind, direction="out", key=origin.key if origin else None)
    news = News(
        refund=refund,
        payment=payment,
        word=born,
        is_new=True,
        payment_before=before,
        origin=origin,
        spread=spread,
    )
    refund_tell(world, db, news)
    settle_s = world.settle_s(db)
    if born == PENDING and settle_s >= 0:
        due_at = world.clock() + settle_s
        job_add(db, due_at=due_at, verb="refund_succeed", object_id=refund.id)
    return refund


def refund_succeed(world: World, db: Database, *, refund: Record, ending: Ending) -> str | None:
    """pending -> succeeded; the id of the last event."""
    _require(refund, PENDING, act="succeed")
    return _change(world, db, refund, SUCCEEDED, ending, changes={})


def refund_fail(world: World, db: Database, *, refund: Record, ending: Ending) -> str | None:
    """pending or succeeded -> failed. The money is back at once and once.

    Only the standard provider keeps the money of a refund that had succeeded until it is reversed.
    """
    if refund.body["status"] in (FAILED, REVERSED):
        raise Refused(409, f"{refund.id} has failed already.", code="already_failed")
    _require(refund, PENDING, SUCCEEDED, act="fail")
    is_late = refund.body["status"] == SUCCEEDED
    changes: dict[str, Any] = {}
    if not (is_late and refund.provider == STANDARD):
        changes = _money_back(world, db, refund, kind="refund_failure")
    changes |= _reason(refund, ending.reason)
    return _change(world, db, refund, FAILED, ending, changes=changes, is_late=is_late)


def refund_return(world: World, db: Database, *, refund: Record, ending: Ending) -> str | None:
    """succeeded -> reversed: the money came back; at the standard provider also after a failure."""
    if refund.provider not in (ADYEN, STANDARD):
        text = f"{refund.provider} tells no returned refund: there it has failed."
        raise Refused(400, text, code="act_unknown")
    if movement_is_back(db, object_id=refund.id):
        raise Refused(409, f"{refund.id} has failed already.", code="already_failed")
    failed = (FAILED,) if refund.provider == STANDARD else ()
    _require(refund, SUCCEEDED, *failed, act="be returned")
    _money_back(world, db, refund, kind="refund_reversal")
    return _change(world, db, refund, REVERSED, ending, changes={}, is_late=True)


def refund_cancel(world: World, db: Database, *, refund: Record, ending: Ending) -> str | None:
    """pending -> canceled; the money stays with us."""
    _require(refund, PENDING, act="be canceled")
    changes = _money_back(world, db, refund, kind="refund_cancel")
    return _change(world, db, refund, CANCELED, ending, changes=changes)


def refund_named(db: Database, *, name: str) -> Record:
    """The refund with this id or reference."""
    return object_find(db, kinds=("refund",), name=name)


def refunds_of(db: Database, *, payment: Record) -> list[Record]:
    """Every refund of a payment, newest first."""
    where, values = "kind = 'refund' AND parent = ?", (payment.id,)
    return objects_select(db, where=where, values=values, limit=1_000)


def _change(
    world: World,
    db: Database,
    refund: Record,
    status: str,
    ending: Ending,
    *,
    changes: dict[str, Any],
    is_late: bool = False,
) -> str | None:
    changes = {"status": status, **changes}
    if refund.provider == STRIPE:
        changes["pending_reason"] = None
    before = {name: refund.body.get(name) for name in changes}
    refund.body.update(changes)
    if "updated" in refund.body:
        refund.body["updated"] = int(world.clock())
    object_save(db, body=refund.body)
    news = News(
        refund=refund,
        payment=_payment(db, refund),
        word=status,
        is_late=is_late,
        before=before,
        spread=ending.spread,
    )
    return refund_tell(world, db, news)


def _reason(refund: Record, reason: str) -> dict[str, Any]:
    if refund.provider == STRIPE:
        return {"failure_reason": reason}
    text = "Refund was refused by the scheme" if refund.provider == ADYEN else reason
    return {"failure_code": text} | (
        {"failure_message": "The refund could not be paid."} if refund.provider == STANDARD else {}
    )


def _money_back(world: World, db: Database, refund: Record, *, kind: str) -> dict[str, Any]:
    """The money is ours again, and may be refunded again."""
    amount = int(refund.body["amount"])
    _move(world, db, refund, kind=kind, direction="in", key=None)
    _payment_book(world, db, _payment(db, refund), -amount)
    if refund.provider != STRIPE:
        return {}
    entry = balance_transaction_add(
        db,
        body=refund.body,
        type="refund_failure",
        amount=amount,
        created=int(world.clock()),
    )
    return {"failure_balance_transaction": entry}


def _payment_book(world: World, db: Database, payment: Record, amount: int) -> dict[str, Any]:
    """Count the amount as refunded; what the changed members of the payment were before."""
    body, total = payment.body, refund_rules.refunded(payment) + amount
    changes: dict[str, Any] = {"refunded": total}
    if payment.provider == STRIPE:
        changes = {"amount_refunded": total, "refunded": total >= body["amount_captured"]}
    if payment.provider == PAYPAL:
        words = ("COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED")
        changes["status"] = words[(total > 0) + (total >= body["amount"])]
        changes["updated"] = int(world.clock())
    before = {name: body.get(name) for name in changes}
    body.update(changes)
    object_save(db, body=body)
    return before


def _payment(db: Database, refund: Record) -> Record:
    assert refund.parent is not None
    return object_find(db, kinds=("payment", "charge"), name=refund.parent)


def _require(refund: Record, *allowed: str, act: str) -> None:
    status = refund.body["status"]
    if status not in allowed:
        text = f"A refund with status {status} cannot {act}."
        raise Refused(409, text, code="refund_status_invalid")


def _move(
    world: World, db: Database, refund: Record, *, kind: str, direction: str, key: str | None
) -> None:
    movement_add(
        db,
        record=refund,
        kind=kind,
        direction=direction,
        amount=refund.body["amount"],
        currency=refund.body["currency"],
        key=key,
        at=world.clock(),
    )
