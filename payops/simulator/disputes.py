"""The life of a dispute at the provider, the same for every provider (D9, F1, F19, RF-15).

Owns the moves inquiry | open -> under review -> won | lost | closed, the second round, and for each
the money that is withdrawn or returned. How it reads and is told is dispute_news.py's. A dispute
that stands, or was lost, blocks refunds; a closed inquiry or a won dispute frees them.
"""

from dataclasses import dataclass, replace
from typing import Any

from payops.simulator import paypal_objects
from payops.simulator.config import PAYPAL, STRIPE
from payops.simulator.dispute_news import (
    CHARGEBACK,
    INQUIRY,
    SECOND_ROUND,
    dispute_id,
    dispute_tell,
)
from payops.simulator.events import ONCE, Spread
from payops.simulator.lifecycle import balance_transaction_add
from payops.simulator.refund_rules import captured
from payops.simulator.store import (
    Database,
    Record,
    movement_add,
    object_find,
    object_save,
    record_add,
)
from payops.simulator.wire import Refused
from payops.simulator.world import World

NEEDS_RESPONSE, UNDER_REVIEW = "needs_response", "under_review"
WON, LOST, CLOSED = "won", "lost", "closed"
STANDING = (NEEDS_RESPONSE, UNDER_REVIEW)
DUE_S = 14 * 86_400.0
REASONS = (
    *("fraudulent", "product_not_received", "duplicate", "product_unacceptable"),
    *("subscription_canceled", "credit_not_processed", "general"),
)


@dataclass(frozen=True)
class Opening:
    """A dispute as the buyer's bank opens it; `amount` 0 disputes the whole payment."""

    amount: int = 0
    is_inquiry: bool = False
    withdraws: bool = True
    reason: str = REASONS[0]
    due_s: float = DUE_S
    fee: int = 0
    spread: Spread = ONCE


@dataclass(frozen=True)
class Step:
    """How a dispute goes on: the event that tells it where the provider has several, how often."""

    event: str = ""
    due_s: float | None = None
    fee: int = 0
    spread: Spread = ONCE


def dispute_open(world: World, db: Database, *, payment: Record, opening: Opening) -> Record:
    """A new dispute; unless it is an inquiry the money is withdrawn at once."""
    most = captured(payment)
    amount = opening.amount or most
    if not 0 < amount <= most:
        text = f"{payment.id} has {most} captured, {amount} cannot be disputed."
        raise Refused(400, text, code="amount_too_large", param="amount")
    now = int(world.clock())
    body: dict[str, Any] = {
        "id": dispute_id(payment.provider),
        "payment": payment.id,
        "reference": payment.reference,
        "amount": amount,
        "currency": payment.body["currency"].upper(),
        "stage": INQUIRY if opening.is_inquiry else CHARGEBACK,
        "status": NEEDS_RESPONSE,
        "reason": opening.reason,
        "due_at": now + int(opening.due_s),
        "refundable": opening.is_inquiry,
        "has_evidence": False,
        "is_withdrawn": False,
        "movements": [],
        "created": now,
        "updated": now,
    }
    dispute = Record(
        seq=0,
        id=body["id"],
        provider=payment.provider,
        kind="dispute",
        reference=payment.reference,
        merchant_reference=None,
        parent=payment.id,
        body=body,
    )
    record_add(db, dispute)
    if "disputed" in payment.body and not payment.body["disputed"]:
        payment.body["disputed"] = True
        object_save(db, body=payment.body)
    _tell(world, db, dispute, "opened", opening.spread)
    if opening.withdraws and not opening.is_inquiry:
        step = Step(fee=opening.fee, spread=opening.spread)
        _withdraw(world, db, dispute, step)
    return dispute


def dispute_update(world: World, db: Database, *, dispute: Record, step: Step) -> str | None:
    """Evidence was handed in, or the deadline moved: needs response -> under review."""
    _require(dispute, *STANDING, act="updated")
    changes: dict[str, Any] = {"status": UNDER_REVIEW, "has_evidence": True}
    if step.due_s is not None:
        # A new deadline asks for evidence again.
        due_at = int(world.clock() + step.due_s)
        changes = {"status": NEEDS_RESPONSE, "due_at": due_at}
    before = _change(world, db, dispute, changes)
    return _tell(world, db, dispute, "updated", step.spread, before=before, event=step.event)


def dispute_withdraw(world: World, db: Database, *, dispute: Record, step: Step) -> str | None:
    """The money is taken; an inquiry becomes a chargeback by it."""
    _require(dispute, *STANDING, act="charged back")
    if dispute.body["is_withdrawn"]:
        raise Refused(409, f"{dispute.id} is withdrawn already.", code="already_withdrawn")
    return _withdraw(world, db, dispute, step)


def dispute_return(world: World, db: Database, *, dispute: Record, step: Step) -> str | None:
    """The money is given back; what is decided about the dispute is another matter."""
    if not dispute.body["is_withdrawn"]:
        raise Refused(409, f"Nothing of {dispute.id} is withdrawn.", code="nothing_withdrawn")
    return _return(world, db, dispute, step)


def dispute_win(world: World, db: Database, *, dispute: Record, step: Step) -> str | None:
    """Decided for us: the money comes back, and the payment may be refunded again."""
    _require(dispute, *STANDING, act="won")
    if dispute.body["stage"] == INQUIRY:
        text = f"{dispute.id} is an inquiry; it can only be closed, or become a chargeback."
        raise Refused(409, text, code="dispute_status_invalid")
    changes = {"status": WON, "refundable": True, "has_evidence": True}
    before = _change(world, db, dispute, changes)
    if dispute.body["is_withdrawn"]:
        _return(world, db, dispute, Step(spread=step.spread))
    return _tell(world, db, dispute, "won", step.spread, before=before, event=step.event)


def dispute_lose(world: World, db: Database, *, dispute: Record, step: Step) -> str | None:
    """Decided against us: what was not withdrawn yet is withdrawn, and stays away."""
    _require(dispute, *STANDING, act="lost")
    if not dispute.body["is_withdrawn"]:
        _withdraw(world, db, dispute, Step(fee=step.fee, spread=step.spread))
    before = _change(world, db, dispute, {"status": LOST, "refundable": False})
    return _tell(world, db, dispute, "lost", step.spread, before=before, event=step.event)


def dispute_close(world: World, db: Database, *, dispute: Record, step: Step) -> str | None:
    """An inquiry ends without a chargeback."""
    _require(dispute, *STANDING, act="closed")
    if dispute.body["stage"] != INQUIRY:
        text = f"{dispute.id} is a chargeback; it can only be won or lost."
        raise Refused(409, text, code="dispute_status_invalid")
    before = _change(world, db, dispute, {"status": CLOSED, "refundable": True})
    return _tell(world, db, dispute, "closed", step.spread, before=before, event=step.event)


def dispute_again(world: World, db: Database, *, dispute: Record, step: Step) -> str | None:
    """The bank insists after the money was given back: a second round, withdrawn again."""
    if dispute.body["is_withdrawn"] or not dispute.body["movements"]:
        text = f"{dispute.id} was not given back, so there is no second round."
        raise Refused(409, text, code="dispute_status_invalid")
    changes: dict[str, Any] = {
        "stage": SECOND_ROUND,
        "status": NEEDS_RESPONSE,
        "refundable": False,
        "due_at": int(world.clock() + (DUE_S if step.due_s is None else step.due_s)),
    }
    before = _change(world, db, dispute, changes)
    _tell(world, db, dispute, "second", step.spread, before=before)
    return _withdraw(world, db, dispute, step)


def dispute_named(db: Database, *, name: str) -> Record:
    """The newest dispute with this id, or of the payment with this reference."""
    return object_find(db, kinds=("dispute",), name=name)


def _withdraw(world: World, db: Database, dispute: Record, step: Step) -> str | None:
    body = dispute.body
    stage = CHARGEBACK if body["stage"] == INQUIRY else body["stage"]
    moved = _move(world, db, dispute, direction="out", fee=step.fee)
    changes = {
        "stage": stage,
        "status": NEEDS_RESPONSE,
        "refundable": False,
        "is_withdrawn": True,
        "movements": [*body["movements"], moved],
    }
    before = _change(world, db, dispute, changes)
    return _tell(world, db, dispute, "withdrawn", step.spread, before=before, event=step.event)


def _return(world: World, db: Database, dispute: Record, step: Step) -> str | None:
    moved = _move(world, db, dispute, direction="in")
    changes = {"is_withdrawn": False, "movements": [*dispute.body["movements"], moved]}
    before = _change(world, db, dispute, changes)
    return _tell(world, db, dispute, "returned", step.spread, before=before, event=step.event)


def _change(world: World, db: Database, dispute: Record, changes: dict[str, Any]) -> dict[str, Any]:
    """Write the changes; the body as it was before."""
    before = dict(dispute.body)
    dispute.body.update(changes, updated=int(world.clock()))
    object_save(db, body=dispute.body)
    return before


def _move(
    world: World, db: Database, dispute: Record, *, direction: str, fee: int = 0
) -> dict[str, Any]:
    """One movement of the disputed amount, and one of the fee; how the provider books it."""
    body, now = dispute.body, world.clock()
    amount = int(body["amount"])
    kind = "dispute_withdrawal" if direction == "out" else "dispute_return"
    for moved_kind, moved in ((kind, amount), ("dispute_fee", fee)):
        if moved:
            movement_add(
                db,
                record=dispute,
                kind=moved_kind,
                direction=direction,
                amount=moved,
                currency=body["currency"],
                key=None,
                at=now,
            )
    signed = -amount if direction == "out" else amount
    booked: dict[str, Any] = {"id": "", "amount": signed, "fee": fee, "at": int(now)}
    if dispute.provider == STRIPE:
        category = "dispute" if direction == "out" else "dispute_reversal"
        booked["id"] = balance_transaction_add(
            db,
            body={**body, "currency": body["currency"].lower()},
            type="adjustment",
            amount=signed,
            fee=fee,
            created=int(now),
            category=category,
        )
    if dispute.provider == PAYPAL and direction == "out":
        taken = paypal_objects.reversal_body(
            capture=body["payment"], amount=amount, currency=body["currency"], at=int(now)
        )
        booked["id"] = taken["id"]
        record_add(db, replace(dispute, id=taken["id"], kind="reversal", body=taken))
    return booked


def _tell(
    world: World,
    db: Database,
    dispute: Record,
    word: str,
    spread: Spread,
    *,
    before: dict[str, Any] | None = None,
    event: str = "",
) -> str | None:
    payment = object_find(db, kinds=("payment", "charge"), name=dispute.body["payment"])
    return dispute_tell(
        world,
        db,
        dispute=dispute,
        payment=payment,
        word=word,
        before=before or dispute.body,
        event=event,
        spread=spread,
    )


def _require(dispute: Record, *allowed: str, act: str) -> None:
    status = dispute.body["status"]
    if status not in allowed:
        text = f"A dispute with status {status} cannot be {act}."
        raise Refused(409, text, code="dispute_status_invalid")
