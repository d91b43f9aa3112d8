"""When a provider refuses a refund, and in which of its own words.

Owns the refusals: more than is left (I6), a disputed payment (D9), a payment that was never
captured, an invoice number that was used before. A permissive world asks nothing of this.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from payops.simulator.config import ADYEN, PAYPAL, STANDARD, STRIPE
from payops.simulator.store import Database, Record
from payops.simulator.wire import Refused


@dataclass(frozen=True)
class Wish:
    """A refund as it is asked for: ISO minor units, the reference it is searched by.

    `more` holds members of the provider's own that only its objects have.
    """

    amount: int
    reference: str | None = None
    merchant_reference: str | None = None
    more: Mapping[str, Any] = field(default_factory=dict)


def captured(payment: Record) -> int:
    """What the buyer paid and could get back."""
    if payment.provider == STRIPE:
        return int(payment.body["amount_captured"])
    return 0 if payment.body["status"] in ("failed", "DECLINED") else int(payment.body["amount"])


def refunded(payment: Record) -> int:
    """What is refunded, or on its way."""
    name = "amount_refunded" if payment.provider == STRIPE else "refunded"
    return int(payment.body.get(name, 0))


def left(payment: Record) -> int:
    """What may still be refunded."""
    return captured(payment) - refunded(payment)


def is_blocked(db: Database, *, payment: Record) -> bool:
    """A dispute about it stands, or was lost: a refund would pay twice."""
    row = db.execute(
        "SELECT 1 FROM objects WHERE kind = 'dispute' AND parent = ?"
        " AND NOT json_extract(body, '$.refundable') LIMIT 1",
        (payment.id,),
    ).fetchone()
    return row is not None


def refusal(db: Database, *, payment: Record, wish: Wish) -> Refused | None:
    """Why this provider does not make this refund; None when it does."""
    words = _WORDS[payment.provider]
    if is_blocked(db, payment=payment):
        return words(payment, wish, "disputed")
    if left(payment) <= 0:
        return words(payment, wish, "nothing_left")
    if wish.amount > left(payment):
        return words(payment, wish, "too_much")
    invoice = wish.more.get("invoice_id")
    if payment.provider == PAYPAL and invoice and _is_used(db, invoice):
        return words(payment, wish, "invoice_known")
    return None


def _is_used(db: Database, invoice: str) -> bool:
    row = db.execute(
        "SELECT 1 FROM objects WHERE kind = 'refund' AND json_extract(body, '$.invoice_id') = ?"
        " LIMIT 1",
        (invoice,),
    ).fetchone()
    return row is not None


def _stripe(payment: Record, wish: Wish, why: str) -> Refused:
    if why == "disputed":
        text = f"Charge {payment.id} has been charged back; cannot issue a refund."
        return Refused(400, text, code="charge_disputed", stored=True)
    return Refused(
        400,
        f"Charge {payment.id} has {left(payment)} left to refund, {wish.amount} was asked for.",
        code="charge_already_refunded",
        param="amount",
        stored=True,
    )


def _adyen(payment: Record, wish: Wish, why: str) -> Refused:
    """Told by notification later, so only the text is used."""
    return Refused(422, "Insufficient balance on payment", stored=True)


def _paypal(payment: Record, wish: Wish, why: str) -> Refused:
    amount, rest = wish.amount, left(payment)
    code, text, param = {
        "disputed": (
            "refund_not_permitted_due_to_chargeback"
            if amount >= rest
            else "capture_disputed_partial_refund_not_allowed",
            "The capture has an open case.",
            None,
        ),
        "nothing_left": (
            "capture_fully_refunded",
            "The capture has nothing left to refund.",
            None,
        ),
        "too_much": (
            "refund_amount_exceeded",
            f"The refund of {amount} minor units exceeds the {rest} left of the capture.",
            "/amount/value",
        ),
        "invoice_known": (
            "duplicate_invoice_id",
            "Requested invoice number has been previously processed.",
            "/invoice_id",
        ),
    }[why]
    return Refused(422, text, code=code, param=param, stored=why != "nothing_left")


def _standard(payment: Record, wish: Wish, why: str) -> Refused:
    code, text = {
        "disputed": ("payment_disputed", f"{payment.id} is disputed and cannot be refunded."),
        "nothing_left": ("payment_already_refunded", f"{payment.id} has nothing left to refund."),
        "too_much": (
            "amount_too_large",
            f"{payment.id} has {left(payment)} left to refund, {wish.amount} was asked for.",
        ),
    }[why]
    return Refused(400, text, code=code, param="amount", stored=True)


_WORDS: Mapping[str, Callable[[Record, Wish, str], Refused]] = {
    STRIPE: _stripe,
    ADYEN: _adyen,
    PAYPAL: _paypal,
    STANDARD: _standard,
}
