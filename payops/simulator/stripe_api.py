"""The Stripe-shaped API under /stripe/v1: payouts, charges, events, and the table of all calls.

Owns Stripe's parameters, objects and refusals as its library and documents give them. Refunds and
disputes are stripe_refunds.py's, a payout's life is lifecycle.py's; idempotency, faults and
authentication are gateway.py's.
"""

import datetime
import json
from typing import Any

from payops.simulator import faults, lifecycle, stripe_refunds
from payops.simulator.config import STRIPE
from payops.simulator.events import event_get, events_since
from payops.simulator.gateway import Answer, Call, Face, operation, resource_missing
from payops.simulator.store import Database, Record, new_id
from payops.simulator.stripe_reads import (
    AMOUNT_MAX,
    LIST,
    check_metadata,
    list_shown,
    listed,
    object_of,
    page_of,
    reader,
)
from payops.simulator.wire import Params, form_body, text, whole

CURRENCY = r"[A-Za-z]{3}"


def payout_create(db: Database, call: Call) -> Answer:
    """POST /v1/payouts."""
    params = call.params
    metadata = params.get("metadata", {})
    arrival = datetime.datetime.fromtimestamp(call.now, datetime.UTC) + datetime.timedelta(days=2)
    body = {
        "id": new_id("po_sim"),
        "object": "payout",
        "amount": faults.booked_amount(call.fault, whole(params, "amount", high=AMOUNT_MAX)),
        "application_fee": None,
        "application_fee_amount": None,
        "arrival_date": int(arrival.replace(hour=0, minute=0, second=0).timestamp()),
        "automatic": False,
        "balance_transaction": None,
        "created": call.now,
        "currency": text(params, "currency").lower(),
        "description": params.get("description"),
        "destination": params.get("destination") or "ba_sim000000000000000000",
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "livemode": False,
        "metadata": metadata,
        "method": params.get("method", "standard"),
        "original_payout": None,
        "reconciliation_status": "not_applicable",
        "reversed_by": None,
        "source_type": params.get("source_type", "card"),
        "statement_descriptor": params.get("statement_descriptor"),
        "status": "pending",
        "trace_id": {"status": "pending", "value": None},
        "type": "bank_account",
    }
    record = Record(
        seq=0,
        id=str(body["id"]),
        provider=STRIPE,
        kind="payout",
        reference=metadata.get("payops_reference"),
        merchant_reference=metadata.get("merchant_reference"),
        parent=None,
        body=body,
    )
    lifecycle.payout_open(call.world, db, record=record, origin=call.origin)
    return body


def payout_cancel(db: Database, call: Call) -> Answer:
    """POST /v1/payouts/<id>/cancel; only while pending."""
    record = object_of(db, "payout", call.id)
    lifecycle.payout_cancel(call.world, db, record=record, origin=call.origin)
    return record.body


def payout_list(db: Database, call: Call) -> Answer:
    """GET /v1/payouts, newest first."""
    where, values = "provider = 'stripe' AND kind = 'payout'", []
    if status := text(call.params, "status", default="", pattern="[a-z_]{1,20}"):
        where, values = where + " AND json_extract(body, '$.status') = ?", [status]
    return listed(db, call, where=where, values=values, url="/v1/payouts")


def event_list(db: Database, call: Call) -> Answer:
    """GET /v1/events of the last 30 days, newest first."""
    where = "provider = 'stripe' AND created >= ?"
    values: list[Any] = [events_since(call.now)]
    if type := text(call.params, "type", default="", pattern="[a-z_.]{1,60}"):
        where, values = where + " AND type = ?", [*values, type]
    page, limit = page_of(db, call, table="events", noun="event", where=where, values=values)
    rows = [json.loads(row["body"]) for row in page]
    return list_shown(rows, limit=limit, url="/v1/events")


def event_read(db: Database, call: Call) -> Answer:
    """GET /v1/events/<id>."""
    row = event_get(db, id=call.id, provider=STRIPE)
    if row is None or row["created"] < events_since(call.now):
        raise resource_missing("event", call.id)
    event: Answer = json.loads(row["body"])
    return event


def _check_payout(params: Params) -> None:
    whole(params, "amount", low=1, high=AMOUNT_MAX)
    text(params, "currency", pattern=CURRENCY)
    text(params, "method", default="standard", pattern="standard|instant")
    text(params, "source_type", default="card", pattern="bank_account|card|fpx")
    text(params, "description", default="")
    text(params, "destination", default="", pattern=r"[\x21-\x7e]{1,80}")
    text(params, "statement_descriptor", default="", pattern=r".{1,22}")
    check_metadata(params)


_PAYOUT = "amount currency description destination metadata method source_type statement_descriptor"
FACE = Face(
    provider=STRIPE,
    prefix="/stripe/v1",
    parse=form_body,
    operations=(
        operation("payout.create", "POST", "/payouts", _PAYOUT, payout_create, check=_check_payout),
        operation("payout.list", "GET", "/payouts", f"{LIST} status", payout_list),
        operation("payout.get", "GET", "/payouts/<id>", "", reader("payout")),
        operation("payout.cancel", "POST", "/payouts/<id>/cancel", "", payout_cancel),
        *stripe_refunds.OPERATIONS,
        operation("charge.get", "GET", "/charges/<id>", "", reader("charge")),
        operation(
            "balance_transaction.get",
            "GET",
            "/balance_transactions/<id>",
            "",
            reader("balance_transaction"),
        ),
        operation("event.list", "GET", "/events", f"{LIST} type", event_list),
        operation("event.get", "GET", "/events/<id>", "", event_read),
    ),
)
