"""PayPal's captures, refunds, orders and cases: parameters, answers, rows in the table of calls.

PayPal cannot be asked for a refund by a reference of ours: the order of a capture lists its
refunds, each with the numbers it was made with. A refund's life is refunds.py's.
"""

from payops.simulator import faults, paypal_objects, refund_rules, refunds
from payops.simulator.config import PAYPAL
from payops.simulator.dispute_news import paypal_shown
from payops.simulator.gateway import Answer, Call, operation, resource_missing
from payops.simulator.money import minor_of_text
from payops.simulator.refund_rules import Wish
from payops.simulator.store import Database, Record, object_get, objects_select
from payops.simulator.wire import Params, Refused, text, whole

CURRENCY = r"[A-Z]{3}"
DISPUTES_MAX = 50


def capture_read(db: Database, call: Call) -> Answer:
    """GET /v2/payments/captures/<id>."""
    capture = object_of(db, "payment", call.id)
    return paypal_objects.capture_shown(capture.body, base=call.world.paypal_base)


def order_read(db: Database, call: Call) -> Answer:
    """GET /v2/checkout/orders/<id>: the capture and its refunds, oldest first."""
    # An order's number is that of its capture backwards.
    capture = object_get(db, provider=PAYPAL, kind="payment", id=call.id[::-1])
    if capture is None:
        raise resource_missing("order", call.id)
    made = [refund.body for refund in reversed(refunds.refunds_of(db, payment=capture))]
    return paypal_objects.order_shown(capture.body, made, base=call.world.paypal_base)


def refund_create(db: Database, call: Call) -> Answer:
    """POST /v2/payments/captures/<id>/refund; without an amount all that is left."""
    capture = object_of(db, "payment", call.id)
    amount = max(1, refund_rules.left(capture))
    if asked := call.params.get("amount"):
        currency = capture.body["currency"]
        if asked["currency_code"] != currency and not call.rules.permissive:
            raise Refused(
                422,
                "The refund must have the capture's currency.",
                code="refund_capture_currency_mismatch",
                param="/amount/currency_code",
            )
        amount = minor_of_text(PAYPAL, asked["value"], asked["currency_code"])
    numbers = {name: call.params.get(name) for name in ("custom_id", "invoice_id")}
    wish = Wish(
        amount=faults.booked_amount(call.fault, amount),
        reference=numbers["custom_id"] or numbers["invoice_id"],
        merchant_reference=capture.reference,
        more={**numbers, "note": call.params.get("note_to_payer")},
    )
    refund = refunds.refund_open(call.world, db, payment=capture, wish=wish, origin=call.origin)
    shown = paypal_objects.refund_shown(refund.body, base=call.world.paypal_base)
    if "return=representation" in call.headers.get("prefer", ""):
        return shown
    return {name: shown[name] for name in ("id", "status", "links")}


def refund_read(db: Database, call: Call) -> Answer:
    """GET /v2/payments/refunds/<id>; money that PayPal took back reads like a refund."""
    kind = "reversal" if _is_reversal(db, call.id) else "refund"
    refund = object_of(db, kind, call.id)
    return paypal_objects.refund_shown(refund.body, base=call.world.paypal_base)


def dispute_read(db: Database, call: Call) -> Answer:
    """GET /v1/customer/disputes/<id>."""
    return paypal_shown(object_of(db, "dispute", call.id).body, base=call.world.paypal_base)


def dispute_list(db: Database, call: Call) -> Answer:
    """GET /v1/customer/disputes?disputed_transaction_id=, newest first."""
    where, values = "provider = ? AND kind = 'dispute'", [PAYPAL]
    if capture := text(call.params, "disputed_transaction_id", default=""):
        where, values = where + " AND parent = ?", [*values, capture]
    limit = whole(call.params, "page_size", default=10, low=1, high=DISPUTES_MAX)
    found = objects_select(db, where=where, values=values, limit=limit)
    base = call.world.paypal_base
    return {"items": [paypal_shown(record.body, base=base) for record in found], "links": []}


def object_of(db: Database, kind: str, id: str) -> Record:
    """The object with this id; refuses an id nobody gave out."""
    record = object_get(db, provider=PAYPAL, kind=kind, id=id)
    if record is None:
        raise resource_missing(kind, id)
    return record


def _is_reversal(db: Database, id: str) -> bool:
    return object_get(db, provider=PAYPAL, kind="reversal", id=id) is not None


def _check_refund(params: Params) -> None:
    for name in ("invoice_id", "custom_id", "note_to_payer"):
        text(params, name, default="-", pattern=r"(?s).{1,255}")
    amount = params.get("amount")
    if amount is None:
        return
    if not isinstance(amount, dict):
        raise Refused(400, "amount must be an object.", param="/amount")
    currency = text(amount, "currency_code", pattern=CURRENCY)
    if minor_of_text(PAYPAL, amount.get("value"), currency) <= 0:
        raise Refused(400, "amount.value must be positive.", param="/amount/value")


OPERATIONS = (
    operation("payment.get", "GET", "/v2/payments/captures/<id>", "", capture_read),
    operation("order.get", "GET", "/v2/checkout/orders/<id>", "", order_read),
    operation(
        "refund.create",
        "POST",
        "/v2/payments/captures/<id>/refund",
        "amount invoice_id custom_id note_to_payer",
        refund_create,
        check=_check_refund,
        status=201,
    ),
    operation("refund.get", "GET", "/v2/payments/refunds/<id>", "", refund_read),
    operation(
        "dispute.list",
        "GET",
        "/v1/customer/disputes",
        "disputed_transaction_id page_size",
        dispute_list,
    ),
    operation("dispute.get", "GET", "/v1/customer/disputes/<id>", "", dispute_read),
)
