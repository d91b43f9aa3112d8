"""The Stripe-shaped API under /stripe/v1: payouts, refunds, charges, events.

Owns Stripe's parameters, objects and refusals as its library and documents give them.
Idempotency, faults and authentication are gateway.py's; a payout's life is lifecycle.py's.
"""

import datetime
import json
import re
from typing import Any

from payops.simulator import faults, lifecycle
from payops.simulator.config import STRIPE
from payops.simulator.events import event_add, event_get, events_since
from payops.simulator.gateway import Answer, Call, Face, operation, resource_missing
from payops.simulator.store import (
    Database,
    Record,
    movement_add,
    new_id,
    object_add,
    object_get,
    object_save,
)
from payops.simulator.wire import Params, Refused, form_body, text, whole

AMOUNT_MAX = 99_999_999_999
METADATA_MAX = 50
CURRENCY = r"[A-Za-z]{3}"
_COMPARE = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


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
    record = _object(db, "payout", call.id)
    lifecycle.payout_cancel(call.world, db, record=record, origin=call.origin)
    return record.body


def refund_create(db: Database, call: Call) -> Answer:
    """POST /v1/refunds; never more than was captured (I6)."""
    charge = _object(db, "charge", text(call.params, "charge"), param="charge")
    left = charge.body["amount_captured"] - charge.body["amount_refunded"]
    amount = whole(call.params, "amount", default=left or 1, low=1, high=AMOUNT_MAX)
    if amount > left:
        raise Refused(
            400,
            f"Charge {charge.id} has {left} left to refund, {amount} was asked for.",
            code="charge_already_refunded",
            param="amount",
            stored=True,
        )
    metadata = call.params.get("metadata", {})
    refund: dict[str, Any] = {
        "id": new_id("re_sim", size=20),
        "object": "refund",
        "amount": amount,
        "balance_transaction": None,
        "charge": charge.id,
        "created": call.now,
        "currency": charge.body["currency"],
        "destination_details": {"type": "card", "card": {"type": "refund"}},
        "failure_balance_transaction": None,
        "failure_reason": None,
        "metadata": metadata,
        "pending_reason": None,
        "reason": call.params.get("reason"),
        "status": "succeeded",
    }
    refund["balance_transaction"] = lifecycle.balance_transaction_add(
        db, body=refund, type="refund", amount=-amount, created=call.now
    )
    record = Record(
        seq=0,
        id=refund["id"],
        provider=STRIPE,
        kind="refund",
        reference=metadata.get("payops_reference"),
        merchant_reference=metadata.get("merchant_reference"),
        parent=charge.id,
        body=refund,
    )
    _refund_book(db, call, record=record, charge=charge)
    return refund


def _refund_book(db: Database, call: Call, *, record: Record, charge: Record) -> None:
    object_add(
        db,
        provider=STRIPE,
        kind="refund",
        body=record.body,
        reference=record.reference,
        merchant_reference=record.merchant_reference,
        parent=charge.id,
    )
    amount = record.body["amount"]
    movement_add(
        db,
        record=record,
        kind="refund",
        direction="out",
        amount=amount,
        currency=record.body["currency"],
        key=call.origin.key,
        at=call.world.clock(),
    )
    previous = {name: charge.body[name] for name in ("amount_refunded", "refunded")}
    charge.body["amount_refunded"] += amount
    charge.body["refunded"] = charge.body["amount_refunded"] == charge.body["amount_captured"]
    object_save(db, body=charge.body)
    event_add(call.world, db, record=record, type="refund.created", origin=call.origin)
    event_add(
        call.world,
        db,
        record=charge,
        type="charge.refunded",
        previous=previous,
        origin=call.origin,
    )


def payout_list(db: Database, call: Call) -> Answer:
    """GET /v1/payouts, newest first."""
    where, values = "provider = 'stripe' AND kind = 'payout'", []
    if status := text(call.params, "status", default="", pattern="[a-z_]{1,20}"):
        where, values = where + " AND json_extract(body, '$.status') = ?", [status]
    return _listed(db, call, where=where, values=values, url="/v1/payouts")


def refund_list(db: Database, call: Call) -> Answer:
    """GET /v1/refunds, all or those of one charge."""
    where, values = "provider = 'stripe' AND kind = 'refund'", []
    if charge := text(call.params, "charge", default="", pattern="[A-Za-z0-9_]{1,80}"):
        where, values = where + " AND parent = ?", [charge]
    return _listed(db, call, where=where, values=values, url="/v1/refunds")


def event_list(db: Database, call: Call) -> Answer:
    """GET /v1/events of the last 30 days, newest first."""
    where = "provider = 'stripe' AND created >= ?"
    values: list[Any] = [events_since(call.now)]
    if type := text(call.params, "type", default="", pattern="[a-z_.]{1,60}"):
        where, values = where + " AND type = ?", [*values, type]
    page, limit = _page(db, call, table="events", noun="event", where=where, values=values)
    rows = [json.loads(row["body"]) for row in page]
    return _list(rows, limit=limit, url="/v1/events")


def event_read(db: Database, call: Call) -> Answer:
    """GET /v1/events/<id>."""
    row = event_get(db, id=call.id, provider=STRIPE)
    if row is None or row["created"] < events_since(call.now):
        raise resource_missing("event", call.id)
    event: Answer = json.loads(row["body"])
    return event


def _reader(kind: str) -> Any:
    return lambda db, call: _object(db, kind, call.id).body


def _object(db: Database, kind: str, id: str, *, param: str = "id") -> Record:
    record = object_get(db, provider=STRIPE, kind=kind, id=id)
    if record is None:
        missing = resource_missing(kind, id)
        missing.error["param"] = param
        raise missing
    return record


def _listed(db: Database, call: Call, *, where: str, values: list[Any], url: str) -> Answer:
    page, limit = _page(db, call, table="objects", noun="object", where=where, values=values)
    return _list([json.loads(row["body"]) for row in page], limit=limit, url=url)


def _page(
    db: Database, call: Call, *, table: str, noun: str, where: str, values: list[Any]
) -> tuple[list[Any], int]:
    limit = whole(call.params, "limit", default=10, low=1, high=100)
    created = call.params.get("created", {})
    bounds = created if isinstance(created, dict) else {"gte": created, "lte": created}
    for name in bounds:
        if name not in _COMPARE:
            raise Refused(400, "Invalid created filter.", code="parameter_invalid", param="created")
        where += f" AND created {_COMPARE[name]} ?"
        values = [*values, whole(bounds, name, high=AMOUNT_MAX)]
    if after := text(call.params, "starting_after", default=""):
        row = db.execute(f"SELECT seq FROM {table} WHERE id = ?", (after,)).fetchone()
        if row is None:
            raise resource_missing(noun, after[:80])
        where, values = where + " AND seq < ?", [*values, row["seq"]]
    rows = db.execute(
        f"SELECT body FROM {table} WHERE {where} ORDER BY seq DESC LIMIT ?", (*values, limit + 1)
    ).fetchall()
    return rows, limit


def _list(rows: list[Any], *, limit: int, url: str) -> Answer:
    return {"object": "list", "data": rows[:limit], "has_more": len(rows) > limit, "url": url}


def _check_payout(params: Params) -> None:
    whole(params, "amount", low=1, high=AMOUNT_MAX)
    text(params, "currency", pattern=CURRENCY)
    text(params, "method", default="standard", pattern="standard|instant")
    text(params, "source_type", default="card", pattern="bank_account|card|fpx")
    text(params, "description", default="")
    text(params, "destination", default="", pattern=r"[\x21-\x7e]{1,80}")
    text(params, "statement_descriptor", default="", pattern=r".{1,22}")
    _check_metadata(params)


def _check_refund(params: Params) -> None:
    text(params, "charge", pattern=r"[A-Za-z0-9_]{1,80}")
    whole(params, "amount", default=1, low=1, high=AMOUNT_MAX)
    text(
        params,
        "reason",
        default="duplicate",
        pattern="duplicate|fraudulent|requested_by_customer",
    )
    _check_metadata(params)


def _check_metadata(params: Params) -> None:
    metadata = params.get("metadata", {})
    valid = isinstance(metadata, dict) and len(metadata) <= METADATA_MAX
    for name, value in metadata.items() if valid else ():
        valid = valid and re.fullmatch(r"[^\[\]]{1,40}", name) is not None
        valid = valid and isinstance(value, str) and len(value) <= 500
    if not valid:
        raise Refused(400, "Invalid metadata.", code="parameter_invalid", param="metadata")


_PAYOUT = "amount currency description destination metadata method source_type statement_descriptor"
_LIST = "created limit starting_after"
FACE = Face(
    provider=STRIPE,
    prefix="/stripe/v1",
    parse=form_body,
    operations=(
        operation("payout.create", "POST", "/payouts", _PAYOUT, payout_create, check=_check_payout),
        operation("payout.list", "GET", "/payouts", f"{_LIST} status", payout_list),
        operation("payout.get", "GET", "/payouts/<id>", "", _reader("payout")),
        operation("payout.cancel", "POST", "/payouts/<id>/cancel", "", payout_cancel),
        operation(
            "refund.create",
            "POST",
            "/refunds",
            "charge amount reason metadata",
            refund_create,
            check=_check_refund,
        ),
        operation("refund.list", "GET", "/refunds", f"{_LIST} charge", refund_list),
        operation("refund.get", "GET", "/refunds/<id>", "", _reader("refund")),
        operation("charge.get", "GET", "/charges/<id>", "", _reader("charge")),
        operation(
            "balance_transaction.get",
            "GET",
            "/balance_transactions/<id>",
            "",
            _reader("balance_transaction"),
        ),
        operation("event.list", "GET", "/events", f"{_LIST} type", event_list),
        operation("event.get", "GET", "/events/<id>", "", event_read),
    ),
)
