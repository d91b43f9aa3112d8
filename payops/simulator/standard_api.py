"""The generic JSON provider under /standard, whose webhooks follow Standard Webhooks.

Owns its parameters and objects. Idempotency, faults and authentication are gateway.py's.
"""

import datetime
import json

from payops.simulator import faults, lifecycle, standard_refunds
from payops.simulator.config import STANDARD
from payops.simulator.events import event_get, events_since
from payops.simulator.gateway import Answer, Call, Face, operation, resource_missing
from payops.simulator.store import Database, Record, new_id, object_get, objects_select
from payops.simulator.wire import Params, Refused, json_params, only, text, whole

AMOUNT_MAX = 99_999_999_999
PAGE_MAX = 100
CURRENCY = r"[A-Z]{3}"
_REFERENCE = r"[\x21-\x7e]{1,80}"


def payout_create(db: Database, call: Call) -> Answer:
    """POST /standard/payouts."""
    params = call.params
    arrival = datetime.datetime.fromtimestamp(call.now, datetime.UTC) + datetime.timedelta(days=2)
    body = {
        "id": new_id("spo_"),
        "object": "payout",
        "reference": params["reference"],
        "amount": faults.booked_amount(call.fault, whole(params, "amount", high=AMOUNT_MAX)),
        "currency": params["currency"],
        "status": "pending",
        "failure_code": None,
        "failure_message": None,
        "description": params.get("description"),
        "created": call.now,
        "arrival_on": arrival.date().isoformat(),
    }
    record = Record(
        seq=0,
        id=str(body["id"]),
        provider=STANDARD,
        kind="payout",
        reference=params["reference"],
        merchant_reference=params.get("merchant_reference") or params.get("description"),
        parent=None,
        body=body,
    )
    lifecycle.payout_open(call.world, db, record=record, origin=call.origin)
    return body


def payout_read(db: Database, call: Call) -> Answer:
    """GET /standard/payouts/<id>."""
    return _payout(db, call.id).body


def payment_read(db: Database, call: Call) -> Answer:
    """GET /standard/payments/<id>."""
    record = object_get(db, provider=STANDARD, kind="payment", id=call.id)
    if record is None:
        raise resource_missing("payment", call.id)
    return record.body


def payout_list(db: Database, call: Call) -> Answer:
    """GET /standard/payouts?reference=, newest first."""
    where, values = "provider = 'standard' AND kind = 'payout'", []
    if reference := text(call.params, "reference", default=""):
        where, values = where + " AND reference = ?", [reference]
    limit = whole(call.params, "limit", default=PAGE_MAX, low=1, high=PAGE_MAX)
    found = objects_select(db, where=where, values=values, limit=limit + 1)
    rows = [record.body for record in found[:limit]]
    return {"object": "list", "data": rows, "has_more": len(found) > limit}


def payout_cancel(db: Database, call: Call) -> Answer:
    """POST /standard/payouts/<id>/cancel; only while pending."""
    record = _payout(db, call.id)
    lifecycle.payout_cancel(call.world, db, record=record, origin=call.origin)
    return record.body


def event_list(db: Database, call: Call) -> Answer:
    """GET /standard/events?after=<event id>, oldest first, for whoever missed webhooks."""
    limit = whole(call.params, "limit", default=PAGE_MAX, low=1, high=PAGE_MAX)
    seq = 0
    if after := text(call.params, "after", default=""):
        row = event_get(db, id=after, provider=STANDARD)
        if row is None:
            raise resource_missing("event", after[:80])
        seq = row["seq"]
    rows = db.execute(
        "SELECT body FROM events WHERE provider = ? AND seq > ? AND created >= ?"
        " ORDER BY seq LIMIT ?",
        (STANDARD, seq, events_since(call.now), limit + 1),
    ).fetchall()
    page = [json.loads(row["body"]) for row in rows[:limit]]
    return {"object": "list", "data": page, "has_more": len(rows) > limit}


def _payout(db: Database, id: str) -> Record:
    record = object_get(db, provider=STANDARD, kind="payout", id=id)
    if record is None:
        raise resource_missing("payout", id)
    return record


def _check_payout(params: Params) -> None:
    text(params, "reference", pattern=_REFERENCE)
    if not isinstance(params.get("amount"), int):
        raise Refused(400, "amount must be an integer.", code="parameter_invalid", param="amount")
    whole(params, "amount", low=1, high=AMOUNT_MAX)
    text(params, "currency", pattern=CURRENCY)
    text(params, "description", default="")
    text(params, "merchant_reference", default="")
    destination = params.get("destination")
    if not isinstance(destination, dict):
        raise Refused(
            400, "destination is required.", code="parameter_missing", param="destination"
        )
    only(destination, frozenset({"token"}))
    text(destination, "token", pattern=_REFERENCE)


FACE = Face(
    provider=STANDARD,
    prefix="/standard",
    parse=json_params,
    operations=(
        operation(
            "payout.create",
            "POST",
            "/payouts",
            "reference amount currency destination description merchant_reference",
            payout_create,
            check=_check_payout,
            status=201,
        ),
        operation("payout.list", "GET", "/payouts", "reference limit", payout_list),
        operation("payout.get", "GET", "/payouts/<id>", "", payout_read),
        operation("payment.get", "GET", "/payments/<id>", "", payment_read),
        operation("payout.cancel", "POST", "/payouts/<id>/cancel", "", payout_cancel),
        *standard_refunds.OPERATIONS,
        operation("event.list", "GET", "/events", "after limit", event_list),
    ),
)
