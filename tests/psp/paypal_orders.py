"""One payout and one refund as PayPal shows them, and the addresses that are asked for them."""

import json
from datetime import UTC, datetime

from payops.core.money import Money
from payops.psp.calling import (
    PayoutOrder,
    RefundOrder,
)
from tests.psp.paypal_api import ok
from tests.psp.signed import fixture

OUR_REF = "po_0190d3a1b2c37d4e8f90a1b2c3d4e5f6"
REFUND_REF = "rf_0190d3a1b2c37d4e8f90a1b2c3d4e5f7"
KEY = f"payops-{OUR_REF}"
SINCE = datetime(2026, 1, 1, tzinfo=UTC)
ORDER = PayoutOrder(
    our_ref=OUR_REF,
    merchant_ref="P-10492",
    amount=Money(1240000, "EUR"),
    destination_token="RD465XN5VS364",
    description="Payout P-10492",
    idempotency_key=KEY,
)
REFUND = RefundOrder(
    our_ref=REFUND_REF,
    merchant_ref="R-1",
    payment_provider_ref="2GG279541U471931P",
    amount=Money(3000, "EUR"),
    idempotency_key="payops-refund-1",
)
ITEM = json.loads(fixture("paypal", "payout_item_succeeded"))["resource"]
PENDING = ITEM | {"transaction_status": "PENDING"}
HEADER = json.loads(fixture("paypal", "payout_batch_processing"))["resource"]["batch_header"]
BATCH = {"batch_header": HEADER, "items": [PENDING]}
POSTED = {"batch_header": {k: HEADER[k] for k in ("payout_batch_id", "sender_batch_header")}}
POST = "POST /v1/payments/payouts"
GET_BATCH = "GET /v1/payments/payouts/Q8KPQ2ZXLZ3JE"
GET_ITEM = "GET /v1/payments/payouts-item/8AELMXH8UB2P8"
LIST = "GET /v1/notifications/webhooks-events"
EVENTS_URL = "https://api.paypal.com/v1/notifications/webhooks-events"
ACCEPTED = {POST: ok(POSTED, 201), GET_BATCH: ok(BATCH)}
DUPLICATE = {
    "field": "SENDER_BATCH_ID",
    "location": "body",
    "issue": "Batch with given sender_batch_id already exists",
    "link": [
        {
            "href": "https://api-m.sandbox.paypal.com/v1/payments/payouts/Q8KPQ2ZXLZ3JE",
            "rel": "self",
            "method": "GET",
        }
    ],
}


REFUND_POST = "POST /v2/payments/captures/2GG279541U471931P/refund"
REFUNDED = json.loads(fixture("paypal", "capture_refunded"))["resource"]
