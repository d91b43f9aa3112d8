"""The Adyen-shaped APIs: transfers of the balance platform and refunds of Checkout.

Owns Adyen's parameters and answers. A refund is only received here; whether it worked is told by
notification, as Adyen does. Idempotency, faults and authentication are gateway.py's.
"""

import base64
import binascii
import datetime
from typing import Any
from urllib.parse import urlencode

from payops.simulator import adyen_objects, faults, lifecycle, refunds
from payops.simulator.config import ADYEN
from payops.simulator.gateway import Answer, Call, Face, operation, resource_missing
from payops.simulator.manners import ADYEN_CHECKOUT, ADYEN_TRANSFERS
from payops.simulator.money import AMOUNT_MAX, iso_minor
from payops.simulator.refund_rules import Wish
from payops.simulator.store import Database, Record, object_get, objects_select
from payops.simulator.wire import Params, Refused, json_params, text, whole

PAGE, PAGE_MAX = 10, 100
CURRENCY = r"[A-Z]{3}"
_REFERENCE = r"(?s).{1,80}"
_ACCOUNT = r"[A-Za-z0-9]{1,64}"
_COUNTERPARTIES = ("bankAccount", "transferInstrumentId", "balanceAccountId", "card")
_PRIORITIES = "regular|fast|wire|instant|crossBorder|internal"


def transfer_create(db: Database, call: Call) -> Answer:
    """POST /btl/v4/transfers: a payout to a bank account, received and numbered 1."""
    params, currency = call.params, call.params["amount"]["currency"]
    value = whole(params["amount"], "value", high=AMOUNT_MAX)
    amount = faults.booked_amount(call.fault, iso_minor(ADYEN, value, currency))
    reference = text(params, "reference", default=adyen_objects.reference_new())
    body: dict[str, Any] = {
        "id": adyen_objects.reference_new(),
        "amount": amount,
        "currency": currency,
        "status": "pending",
        "failure_code": None,
        "created": call.now,
        "updated": call.now,
        "balance_account": params["balanceAccountId"],
        "counterparty": params["counterparty"],
        "priority": params.get("priority", "regular"),
        "description": params.get("description"),
        "reference": reference,
        "beneficiary_reference": params.get("referenceForBeneficiary"),
        "sequence": 1,
        "history": [],
    }
    body["history"].append(adyen_objects.history_entry(body, at=call.now, movement=0))
    record = Record(
        seq=0,
        id=str(body["id"]),
        provider=ADYEN,
        kind="payout",
        reference=reference,
        merchant_reference=body["beneficiary_reference"] or body["description"],
        parent=None,
        body=body,
    )
    lifecycle.payout_open(call.world, db, record=record, origin=call.origin)
    return adyen_objects.transfer_shown(body)


def transfer_read(db: Database, call: Call) -> Answer:
    """GET /btl/v4/transfers/<id>."""
    record = object_get(db, provider=ADYEN, kind="payout", id=call.id)
    if record is None:
        raise resource_missing("transfer", call.id)
    return adyen_objects.transfer_shown(record.body)


def transfer_list(db: Database, call: Call) -> Answer:
    """GET /btl/v4/transfers: those created within a span of time, oldest first, by cursor."""
    params = call.params
    since = _instant(params, "createdSince")
    until = _instant(params, "createdUntil")
    limit = whole(params, "limit", default=PAGE, low=1, high=PAGE_MAX)
    where = "provider = 'adyen' AND kind = 'payout' AND created >= ? AND created <= ? AND seq > ?"
    values: list[Any] = [since, until, _cursor_read(params)]
    if account := text(params, "balanceAccountId", default="", pattern=_ACCOUNT):
        where += " AND json_extract(body, '$.balance_account') = ?"
        values.append(account)
    found = objects_select(db, where=where, values=values, limit=limit + 1, oldest_first=True)
    page = found[:limit]
    links = {}
    if len(found) > limit:
        asked = {name: value for name, value in params.items() if name != "cursor"}
        query = urlencode({**asked, "cursor": _cursor(page[-1].seq)})
        links = {"next": {"href": f"{call.world.address}/adyen/btl/v4/transfers?{query}"}}
    return {
        "data": [adyen_objects.transfer_shown(record.body) for record in page],
        "_links": links,
    }


def refund_create(db: Database, call: Call) -> Answer:
    """POST /checkout/v71/payments/<pspReference>/refunds: received; its fate is told later."""
    params = call.params
    if params["merchantAccount"] != call.world.config.adyen_merchant:
        raise Refused(403, "Invalid Merchant Account", code="merchant_invalid")
    payment = object_get(db, provider=ADYEN, kind="payment", id=call.id)
    if payment is None:
        raise Refused(
            422, "Original pspReference required for this operation", code="resource_missing"
        )
    currency = params["amount"]["currency"]
    if currency != payment.body["currency"] and not call.rules.permissive:
        raise Refused(422, "Invalid currency: another one was captured.", param="amount.currency")
    value = whole(params["amount"], "value", high=AMOUNT_MAX)
    amount = faults.booked_amount(call.fault, iso_minor(ADYEN, value, currency))
    wish = Wish(
        amount=amount,
        reference=text(params, "reference", default="") or None,
        merchant_reference=payment.reference,
    )
    refund = refunds.refund_open(call.world, db, payment=payment, wish=wish, origin=call.origin)
    return {
        "merchantAccount": params["merchantAccount"],
        "paymentPspReference": payment.id,
        "pspReference": refund.id,
        "reference": refund.reference,
        "status": "received",
        "amount": adyen_objects.amount(amount, currency),
    }


def _check_transfer(params: Params) -> None:
    _check_amount(params)
    text(params, "balanceAccountId", pattern=_ACCOUNT)
    text(params, "category", pattern="bank")
    text(params, "reference", default="-", pattern=_REFERENCE)
    text(params, "referenceForBeneficiary", default="-", pattern=_REFERENCE)
    text(params, "description", default="-", pattern=r"(?s).{1,140}")
    text(params, "priority", default="regular", pattern=_PRIORITIES)
    counterparty = params.get("counterparty")
    if not isinstance(counterparty, dict) or not set(counterparty) & set(_COUNTERPARTIES):
        raise Refused(
            422,
            f"counterparty must name one of: {', '.join(_COUNTERPARTIES)}.",
            code="parameter_missing",
            param="counterparty",
        )


def _check_refund(params: Params) -> None:
    _check_amount(params)
    text(params, "merchantAccount", pattern=r"[A-Za-z0-9_-]{1,80}")
    text(params, "reference", default="-", pattern=_REFERENCE)


def _check_amount(params: Params) -> None:
    amount = params.get("amount")
    if not isinstance(amount, dict):
        raise Refused(422, "amount is required.", code="parameter_missing", param="amount")
    if type(amount.get("value")) is not int:
        raise Refused(422, "amount.value must be an integer.", param="amount.value")
    whole(amount, "value", low=1, high=AMOUNT_MAX)
    text(amount, "currency", pattern=CURRENCY)


def _instant(params: Params, name: str) -> int:
    value = text(params, name, pattern=r"[0-9T:.+Z-]{10,40}")
    try:
        moment = datetime.datetime.fromisoformat(value)
    except ValueError:
        raise Refused(422, f"{name} must be an ISO 8601 date and time.", param=name) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return int(moment.timestamp())


def _cursor(seq: int) -> str:
    return base64.urlsafe_b64encode(f"transfer:{seq}".encode()).decode()


def _cursor_read(params: Params) -> int:
    value = text(params, "cursor", default="")
    if not value:
        return 0
    try:
        word, _, seq = base64.urlsafe_b64decode(value).decode().partition(":")
        if word == "transfer":
            return int(seq)
    except (binascii.Error, ValueError):
        pass
    raise Refused(422, "The cursor was not given out here.", param="cursor")


TRANSFERS = Face(
    provider=ADYEN,
    prefix="/adyen/btl/v4",
    parse=json_params,
    manners=ADYEN_TRANSFERS,
    operations=(
        operation(
            "payout.create",
            "POST",
            "/transfers",
            "amount balanceAccountId category counterparty description priority reference"
            " referenceForBeneficiary type",
            transfer_create,
            check=_check_transfer,
            status=202,
        ),
        operation(
            "payout.list",
            "GET",
            "/transfers",
            "accountHolderId balanceAccountId balancePlatform category createdSince createdUntil"
            " cursor limit sortOrder",
            transfer_list,
        ),
        operation("payout.get", "GET", "/transfers/<id>", "", transfer_read),
    ),
)
CHECKOUT = Face(
    provider=ADYEN,
    prefix="/adyen/checkout/v71",
    parse=json_params,
    manners=ADYEN_CHECKOUT,
    operations=(
        operation(
            "refund.create",
            "POST",
            "/payments/<id>/refunds",
            "amount merchantAccount reference merchantRefundReason",
            refund_create,
            check=_check_refund,
            status=201,
        ),
    ),
)
