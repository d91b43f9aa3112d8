"""The PayPal-shaped API: tokens, payouts, events, and the table of all calls.

Owns PayPal's parameters and answers. A batch id that was used before is refused with a link to the
batch it made. Captures, refunds and cases are paypal_refunds.py's; idempotency, faults and
authentication are gateway.py's.
"""

import datetime
import json
from typing import Any
from urllib.parse import urlencode

from payops.simulator import (
    faults,
    lifecycle,
    paypal_batches,
    paypal_objects,
    paypal_proof,
    paypal_refunds,
)
from payops.simulator.config import PAYPAL
from payops.simulator.events import events_since
from payops.simulator.gateway import Answer, Call, Face, operation, resource_missing
from payops.simulator.manners import PAYPAL_API, PAYPAL_TOKEN, paypal_token_make
from payops.simulator.money import minor_of_text
from payops.simulator.paypal_refunds import object_of
from payops.simulator.store import Database, Record, object_add, object_get, objects_select
from payops.simulator.wire import Params, Refused, form_body, text, whole

BATCH_DAYS = 30
ITEMS_MAX = 500
EVENTS_PAGE, EVENTS_MAX = 10, 300
CURRENCY = r"[A-Z]{3}"
_ID = r"[\x21-\x7e]{1,256}"
_RECIPIENTS = "EMAIL|PHONE|PAYPAL_ID|USER_HANDLE"


def token_create(db: Database, call: Call) -> Answer:
    """POST /v1/oauth2/token with client credentials."""
    text(call.params, "grant_type", pattern="client_credentials")
    return {
        "scope": "https://uri.paypal.com/services/payments/refund",
        "access_token": paypal_token_make(call.world.config, call.world.clock()),
        "token_type": "Bearer",
        "app_id": "APP-80W284485P519543T",
        "expires_in": int(call.world.config.token_s),
        "nonce": f"{paypal_objects.instant(call.now)}{paypal_objects.paypal_id()}",
    }


def batch_create(db: Database, call: Call) -> Answer:
    """POST /v1/payments/payouts: one batch of one or more items."""
    header = call.params["sender_batch_header"]
    sender_batch_id = header["sender_batch_id"]
    _refuse_known(db, call, sender_batch_id)
    batch: dict[str, Any] = {
        "id": paypal_objects.paypal_id(),
        "sender_batch_id": sender_batch_id,
        "header": header,
        "status": "PENDING",
        "currency": call.params["items"][0]["amount"]["currency"],
        "created": call.now,
        "updated": call.now,
        "item_ids": [],
    }
    items = [_item(call, batch, asked) for asked in call.params["items"]]
    batch["item_ids"] = [item.id for item in items]
    answer = paypal_objects.batch_shown(
        batch, [item.body for item in items], base=call.world.paypal_base
    )
    batch["status"] = "PROCESSING"
    object_add(db, provider=PAYPAL, kind="batch", body=batch, reference=sender_batch_id)
    for item in items:
        lifecycle.payout_open(call.world, db, record=item, origin=call.origin)
    record = object_get(db, provider=PAYPAL, kind="batch", id=batch["id"])
    assert record is not None
    told = f"{paypal_objects.BATCH}PROCESSING"
    paypal_batches.batch_tell(call.world, db, batch=record, type=told)
    named = ("payout_batch_id", "batch_status", "sender_batch_header", "time_created")
    answer["batch_header"] = {name: answer["batch_header"][name] for name in named}
    return answer


def batch_read(db: Database, call: Call) -> Answer:
    """GET /v1/payments/payouts/<batch>?page=&page_size=: the batch with a page of its items."""
    batch = object_of(db, "batch", call.id)
    size = whole(call.params, "page_size", default=100, low=1, high=1_000)
    number = whole(call.params, "page", default=1, low=1, high=ITEMS_MAX)
    items, base = paypal_batches.batch_items(db, batch), call.world.paypal_base
    shown = paypal_objects.batch_shown(batch.body, items, base=base)
    start = (number - 1) * size
    page = items[start : start + size]
    shown["items"] = [paypal_objects.item_shown(item, base=base) for item in page]
    if text(call.params, "total_required", default="false") == "true":
        shown |= {"total_items": len(items), "total_pages": -(-len(items) // size)}
    if start + size < len(items):
        query = urlencode({"page": number + 1, "page_size": size})
        address = f"{base}/v1/payments/payouts/{batch.id}?{query}"
        shown["links"].append({"href": address, "rel": "next", "method": "GET"})
    return shown


def item_read(db: Database, call: Call) -> Answer:
    """GET /v1/payments/payouts-item/<item>."""
    item = object_of(db, "payout", call.id)
    return paypal_objects.item_shown(item.body, base=call.world.paypal_base)


def item_cancel(db: Database, call: Call) -> Answer:
    """POST /v1/payments/payouts-item/<item>/cancel; only while unclaimed."""
    item = object_of(db, "payout", call.id)
    if item.body["status"] != "unclaimed":
        raise Refused(
            400,
            f"Only an unclaimed item can be canceled; this one is"
            f" {paypal_objects.status_shown(item.body)}.",
            code="item_not_unclaimed",
            stored=True,
        )
    lifecycle.payout_cancel(call.world, db, record=item, origin=call.origin)
    return paypal_objects.item_shown(item.body, base=call.world.paypal_base)


def event_list(db: Database, call: Call) -> Answer:
    """GET /v1/notifications/webhooks-events of the last 30 days, newest first, page by page."""
    params = call.params
    size = whole(params, "page_size", default=EVENTS_PAGE, low=1, high=EVENTS_MAX)
    where = "provider = 'paypal' AND created >= ? AND created <= ? AND seq < ?"
    values: list[Any] = [
        max(_instant(params, "start_time", default=0), events_since(call.now)),
        _instant(params, "end_time", default=call.now),
        whole(params, "next_page_token", default=2**53, high=2**53),
    ]
    if type := text(params, "event_type", default="", pattern=r"[A-Z.-]{1,80}"):
        where += " AND type = ?"
        values.append(type)
    rows = db.execute(
        f"SELECT seq, body FROM events WHERE {where} ORDER BY seq DESC LIMIT ?", (*values, size + 1)
    ).fetchall()
    page = [json.loads(row["body"]) for row in rows[:size]]
    address = f"{call.world.paypal_base}/v1/notifications/webhooks-events"
    links = [{"href": f"{address}?{urlencode(params)}", "rel": "self", "method": "GET"}]
    if len(rows) > size:
        query = urlencode({**params, "next_page_token": rows[size - 1]["seq"]})
        links.append({"href": f"{address}?{query}", "rel": "next", "method": "GET"})
    return {"events": page, "count": len(page), "links": links}


def event_read(db: Database, call: Call) -> Answer:
    """GET /v1/notifications/webhooks-events/<id>."""
    row = db.execute(
        "SELECT body FROM events WHERE id = ? AND provider = 'paypal' AND created >= ?",
        (call.id, events_since(call.now)),
    ).fetchone()
    if row is None:
        raise resource_missing("event", call.id)
    event: Answer = json.loads(row["body"])
    return event


def _item(call: Call, batch: dict[str, Any], asked: dict[str, Any]) -> Record:
    currency = asked["amount"]["currency"]
    amount = minor_of_text(PAYPAL, asked["amount"]["value"], currency)
    reference = asked.get("sender_item_id")
    body: dict[str, Any] = {
        "id": paypal_objects.paypal_id(),
        "amount": faults.booked_amount(call.fault, amount),
        "currency": currency,
        "status": "pending",
        "failure_code": None,
        "failure_message": None,
        "created": call.now,
        "updated": call.now,
        "batch": batch["id"],
        "sender_batch_id": batch["sender_batch_id"],
        "sender_item_id": reference,
        "recipient_type": asked.get("recipient_type", "EMAIL"),
        "receiver": asked["receiver"],
        "note": asked.get("note"),
        "transaction_id": None,
    }
    others = (asked.get("note"), batch["sender_batch_id"])
    return Record(
        seq=0,
        id=str(body["id"]),
        provider=PAYPAL,
        kind="payout",
        reference=reference or batch["sender_batch_id"],
        merchant_reference=next((name for name in others if name and name != reference), None),
        parent=None,
        body=body,
    )


def _refuse_known(db: Database, call: Call, sender_batch_id: str) -> None:
    since = call.now - BATCH_DAYS * 86_400
    known = objects_select(
        db,
        where="provider = 'paypal' AND kind = 'batch' AND reference = ? AND created >= ?",
        values=(sender_batch_id, since),
        limit=1,
    )
    if known:
        raise Refused(
            400,
            "Batch with given sender_batch_id already exists",
            code="batch_known",
            param=f"{call.world.paypal_base}/v1/payments/payouts/{known[0].id}",
        )


def _check_batch(params: Params) -> None:
    header, items = params.get("sender_batch_header"), params.get("items")
    if not isinstance(header, dict):
        raise Refused(400, "sender_batch_header is required.", param="/sender_batch_header")
    text(header, "sender_batch_id", pattern=_ID)
    if not isinstance(items, list) or not 1 <= len(items) <= ITEMS_MAX:
        raise Refused(400, f"items must hold 1 to {ITEMS_MAX} items.", param="/items")
    currencies = set()
    for item in items:
        amount = item.get("amount") if isinstance(item, dict) else None
        if not isinstance(amount, dict):
            raise Refused(400, "Every item needs an amount.", param="/items/amount")
        currency = text(amount, "currency", pattern=CURRENCY)
        if minor_of_text(PAYPAL, amount.get("value"), currency) <= 0:
            raise Refused(400, "amount.value must be positive.", param="/items/amount/value")
        currencies.add(currency)
        text(item, "receiver", pattern=r"[\x21-\x7e]{1,127}")
        text(item, "recipient_type", default="EMAIL", pattern=_RECIPIENTS)
        text(item, "sender_item_id", default="-", pattern=_ID)
        text(item, "note", default="-", pattern=r"(?s).{1,4000}")
    if len(currencies) > 1:
        raise Refused(400, "All items of a batch have one currency.", param="/items")


def _instant(params: Params, name: str, *, default: int) -> int:
    value = text(params, name, default="-", pattern=r"[0-9T:.+Z-]{1,40}")
    if value == "-":
        return default
    try:
        return int(datetime.datetime.fromisoformat(value).timestamp())
    except ValueError:
        raise Refused(400, f"{name} must be an RFC 3339 time.", param=name) from None


TOKENS = Face(
    provider=PAYPAL,
    prefix="/paypal/v1/oauth2",
    parse=form_body,
    manners=PAYPAL_TOKEN,
    operations=(operation("token.create", "POST", "/token", "grant_type", token_create),),
)
API = Face(
    provider=PAYPAL,
    prefix="/paypal",
    parse=paypal_proof.parse,
    manners=PAYPAL_API,
    operations=(
        operation(
            "payout.create",
            "POST",
            "/v1/payments/payouts",
            "sender_batch_header items",
            batch_create,
            check=_check_batch,
            status=201,
        ),
        operation(
            "batch.get",
            "GET",
            "/v1/payments/payouts/<id>",
            "page page_size total_required fields",
            batch_read,
        ),
        operation("payout.get", "GET", "/v1/payments/payouts-item/<id>", "", item_read),
        operation(
            "payout.cancel", "POST", "/v1/payments/payouts-item/<id>/cancel", "", item_cancel
        ),
        *paypal_refunds.OPERATIONS,
        operation(
            "event.list",
            "GET",
            "/v1/notifications/webhooks-events",
            "start_time end_time page_size event_type next_page_token",
            event_list,
        ),
        operation("event.get", "GET", "/v1/notifications/webhooks-events/<id>", "", event_read),
        operation(
            "signature.verify",
            "POST",
            "/v1/notifications/verify-webhook-signature",
            " ".join(paypal_proof.PARAMS),
            paypal_proof.signature_verify,
            check=paypal_proof.check_signature,
        ),
    ),
)
