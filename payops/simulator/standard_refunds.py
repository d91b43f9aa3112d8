"""The standard provider's refunds and disputes: parameters, answers, rows in the table of calls.

Both can be searched: refunds by our reference or by payment. Their lives are refunds.py's and
disputes.py's.
"""

from payops.simulator import faults, refunds
from payops.simulator.config import STANDARD
from payops.simulator.dispute_news import standard_shown
from payops.simulator.gateway import Answer, Call, operation, resource_missing
from payops.simulator.refund_rules import Wish
from payops.simulator.store import Database, Record, object_get, objects_select
from payops.simulator.wire import Params, Refused, text, whole

AMOUNT_MAX = 99_999_999_999
PAGE_MAX = 100
_REFERENCE = r"[\x21-\x7e]{1,80}"
_REFUNDS, _DISPUTES = "(?:/v1)?/refunds", "(?:/v1)?/disputes"


def refund_create(db: Database, call: Call) -> Answer:
    """POST /standard/refunds: pending, and succeeded when its time has come."""
    params = call.params
    payment = _object(db, "payment", params["payment"], param="payment")
    held = payment.body["currency"]
    if params["currency"] != held and not call.rules.permissive:
        words = f"{payment.id} was paid in {held}, not in {params['currency']}."
        raise Refused(400, words, code="currency_mismatch", param="currency", stored=True)
    amount = whole(params, "amount", low=1, high=AMOUNT_MAX)
    wish = Wish(
        amount=faults.booked_amount(call.fault, amount),
        reference=params["reference"],
        merchant_reference=params.get("merchant_reference"),
    )
    refund = refunds.refund_open(call.world, db, payment=payment, wish=wish, origin=call.origin)
    return refund.body


def refund_read(db: Database, call: Call) -> Answer:
    """GET /standard/refunds/<id>."""
    return _object(db, "refund", call.id).body


def refund_list(db: Database, call: Call) -> Answer:
    """GET /standard/refunds?reference=|?payment=, newest first."""
    return _listed(db, call, "refund", (("reference", "reference"), ("payment", "parent")))


def dispute_read(db: Database, call: Call) -> Answer:
    """GET /standard/disputes/<id>."""
    return standard_shown(_object(db, "dispute", call.id).body)


def dispute_list(db: Database, call: Call) -> Answer:
    """GET /standard/disputes?payment=, newest first."""
    return _listed(db, call, "dispute", (("payment", "parent"),))


def _listed(db: Database, call: Call, kind: str, by: tuple[tuple[str, str], ...]) -> Answer:
    where, values = "provider = ? AND kind = ?", [STANDARD, kind]
    for name, column in by:
        if wanted := text(call.params, name, default=""):
            where, values = f"{where} AND {column} = ?", [*values, wanted]
    limit = whole(call.params, "limit", default=PAGE_MAX, low=1, high=PAGE_MAX)
    found = objects_select(db, where=where, values=values, limit=limit + 1)
    show = standard_shown if kind == "dispute" else dict
    rows = [show(record.body) for record in found[:limit]]
    return {"object": "list", "data": rows, "has_more": len(found) > limit}


def _object(db: Database, kind: str, id: str, *, param: str = "id") -> Record:
    record = object_get(db, provider=STANDARD, kind=kind, id=id)
    if record is None:
        missing = resource_missing(kind, id)
        missing.error["param"] = param
        raise missing
    return record


def _check_refund(params: Params) -> None:
    text(params, "payment", pattern=_REFERENCE)
    text(params, "reference", pattern=_REFERENCE)
    if not isinstance(params.get("amount"), int):
        raise Refused(400, "amount must be an integer.", code="parameter_invalid", param="amount")
    whole(params, "amount", low=1, high=AMOUNT_MAX)
    text(params, "currency", pattern="[A-Z]{3}")
    text(params, "merchant_reference", default="")
    text(params, "reason", default="")


OPERATIONS = (
    operation(
        "refund.create",
        "POST",
        _REFUNDS,
        "payment reference amount currency merchant_reference reason",
        refund_create,
        check=_check_refund,
        status=201,
    ),
    operation("refund.list", "GET", _REFUNDS, "reference payment limit", refund_list),
    operation("refund.get", "GET", f"{_REFUNDS}/<id>", "", refund_read),
    operation("dispute.list", "GET", _DISPUTES, "payment limit", dispute_list),
    operation("dispute.get", "GET", f"{_DISPUTES}/<id>", "", dispute_read),
)
