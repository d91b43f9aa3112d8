"""PayPal's words: payout batches and items, captures, refunds, disputes, and the event envelope.

Owns how a stored object reads on PayPal's wire. Amounts are stored in ISO minor units and shown as
decimal strings. Writes nothing, sends nothing.
"""

import datetime
from collections.abc import Sequence
from typing import Any

from payops.simulator.config import PAYPAL
from payops.simulator.money import decimal_text
from payops.simulator.store import new_id

ITEM = "PAYMENT.PAYOUTS-ITEM."
BATCH = "PAYMENT.PAYOUTSBATCH."
STATUSES = {
    "pending": "PENDING",
    "in_transit": "PENDING",
    "unclaimed": "UNCLAIMED",
    "paid": "SUCCESS",
    "failed": "FAILED",
    "reversed": "RETURNED",
    "canceled": "RETURNED",
}
# Control's failure codes in PayPal's words; a code of its own passes unchanged.
ERRORS = {
    "account_closed": "RECEIVER_ACCOUNT_INVALID",
    "account_frozen": "RECEIVER_ACCOUNT_LOCKED",
    "bank_account_restricted": "ACCOUNT_RESTRICTED",
    "could_not_process": "INTERNAL_ERROR",
    "declined": "RISK_DECLINE",
    "insufficient_funds": "INSUFFICIENT_FUNDS",
    "invalid_currency": "CURRENCY_NOT_SUPPORTED_FOR_RECEIVER",
    "no_account": "RECEIVER_ACCOUNT_INVALID",
}
REFUND_STATUSES = {
    "pending": "PENDING",
    "succeeded": "COMPLETED",
    "failed": "FAILED",
    "canceled": "CANCELLED",
}
ENDED = ("paid", "failed", "reversed", "canceled")
_RESOURCES = (
    ("PAYMENT.PAYOUTSBATCH.", "payouts", "1.0"),
    ("PAYMENT.PAYOUTS-ITEM.", "payouts_item", "1.0"),
    ("PAYMENT.CAPTURE.REFUNDED", "refund", "2.0"),
    ("PAYMENT.CAPTURE.REVERSED", "refund", "2.0"),
    ("PAYMENT.REFUND.", "refund", "2.0"),
    ("PAYMENT.CAPTURE.", "capture", "2.0"),
    ("CUSTOMER.DISPUTE.", "dispute", "1.0"),
)


def paypal_id() -> str:
    """An id of 17 capitals and digits."""
    return new_id("", size=18).upper()[:17]


def status_shown(body: dict[str, Any]) -> str:
    """PayPal's word for the state of a payout item."""
    return str(body.get("wire_status") or STATUSES[body["status"]])


def item_shown(body: dict[str, Any], *, base: str) -> dict[str, Any]:
    """A payout item as API and webhook tell it."""
    shown: dict[str, Any] = {
        "payout_item_id": body["id"],
        "transaction_id": body["transaction_id"],
        "activity_id": None,
        "transaction_status": status_shown(body),
        "payout_item_fee": {"currency": body["currency"], "value": _text(0, body["currency"])},
        "payout_batch_id": body["batch"],
        "sender_batch_id": body["sender_batch_id"],
        "payout_item": {
            "recipient_type": body["recipient_type"],
            "amount": {
                "currency": body["currency"],
                "value": _text(body["amount"], body["currency"]),
            },
            "note": body["note"],
            "receiver": body["receiver"],
            "sender_item_id": body["sender_item_id"],
            "recipient_wallet": "PAYPAL",
        },
        "time_processed": instant(body["updated"]),
        "links": [
            link(f"{base}/v1/payments/payouts-item/{body['id']}", "item"),
            link(f"{base}/v1/payments/payouts/{body['batch']}", "batch"),
        ],
    }
    if body["failure_code"]:
        shown["errors"] = {
            "name": body["failure_code"],
            "message": body["failure_message"],
            "information_link": "",
        }
    return {name: value for name, value in shown.items() if value is not None}


def batch_header(body: dict[str, Any], items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A batch's header; `items` are the stored bodies of its items."""
    header: dict[str, Any] = {
        "payout_batch_id": body["id"],
        "batch_status": body["status"],
        "time_created": instant(body["created"]),
        "sender_batch_header": body["header"],
        "funding_source": "BALANCE",
    }
    currency = body["currency"]
    total = sum(item["amount"] for item in items)
    header["amount"] = {"currency": currency, "value": _text(total, currency)}
    header["fees"] = {"currency": currency, "value": _text(0, currency)}
    if body["status"] == "SUCCESS":
        header["time_completed"] = instant(body["updated"])
    return header


def batch_shown(
    body: dict[str, Any], items: Sequence[dict[str, Any]], *, base: str
) -> dict[str, Any]:
    """A batch as the API tells it, without its items."""
    return {
        "batch_header": batch_header(body, items),
        "links": [link(f"{base}/v1/payments/payouts/{body['id']}", "self")],
    }


def capture_shown(body: dict[str, Any], *, base: str) -> dict[str, Any]:
    """A captured payment."""
    currency = body["currency"]
    net = body["amount"] - body["fee"] - body["platform_fee"]
    shown: dict[str, Any] = {
        "id": body["id"],
        "status": body["status"],
        "amount": money(body["amount"], currency),
        "final_capture": True,
        "invoice_id": body["reference"],
        "payee": {"merchant_id": body["seller"]},
        "payment_source": {body.get("method", "paypal"): {}},
        "supplementary_data": {"related_ids": {"order_id": order_id(body["id"])}},
        "seller_protection": {"status": "ELIGIBLE"},
        "seller_receivable_breakdown": {
            "gross_amount": money(body["amount"], currency),
            "paypal_fee": money(body["fee"], currency),
            "platform_fees": [{"amount": money(body["platform_fee"], currency)}],
            "net_amount": money(net, currency),
        },
        "create_time": instant(body["created"]),
        "update_time": instant(body["updated"]),
        "links": [
            link(f"{base}/v2/payments/captures/{body['id']}", "self"),
            link(f"{base}/v2/payments/captures/{body['id']}/refund", "refund", "POST"),
        ],
    }
    if body["status"] == "DECLINED":
        del shown["seller_receivable_breakdown"]
        shown["processor_response"] = {"response_code": "5400"}
    return shown


def refund_shown(body: dict[str, Any], *, base: str) -> dict[str, Any]:
    """A refund of a capture, or money taken back; the capture is named by a link only."""
    currency = body["currency"]
    shown: dict[str, Any] = {
        "id": body["id"],
        "status": REFUND_STATUSES.get(body["status"], body["status"]),
        "amount": money(body["amount"], currency),
        "invoice_id": body.get("invoice_id"),
        "custom_id": body["custom_id"],
        "note_to_payer": body["note"],
        "seller_payable_breakdown": {
            "gross_amount": money(body["amount"], currency),
            "paypal_fee": money(0, currency),
            "net_amount": money(body["amount"], currency),
            "total_refunded_amount": money(body["total"], currency),
        },
        "create_time": instant(body["created"]),
        "update_time": instant(body["updated"]),
        "links": [
            link(f"{base}/v2/payments/refunds/{body['id']}", "self"),
            link(f"{base}/v2/payments/captures/{body['capture']}", "up"),
        ],
    }
    if reason := body.get("failure_code") or (body["status"] == "pending" and "ECHECK"):
        shown["status_details"] = {"reason": str(reason).upper()}
    return {name: value for name, value in shown.items() if value is not None}


def reversal_body(*, capture: str, amount: int, currency: str, at: int) -> dict[str, Any]:
    """Money that PayPal took back of a capture; it is kept and reads like a refund."""
    return {
        "id": paypal_id(),
        "amount": amount,
        "currency": currency,
        "status": "succeeded",
        "failure_code": None,
        "capture": capture,
        "total": amount,
        "invoice_id": None,
        "custom_id": None,
        "note": None,
        "created": at,
        "updated": at,
    }


def order_id(capture_id: str) -> str:
    """The order a capture belongs to, its only one: read backwards, either names the other."""
    return capture_id[::-1]


def order_shown(
    capture: dict[str, Any], refunds: Sequence[dict[str, Any]], *, base: str
) -> dict[str, Any]:
    """The order of a capture: the one place where PayPal lists a capture's refunds."""
    unit = {
        "reference_id": "default",
        "amount": money(capture["amount"], capture["currency"]),
        "invoice_id": capture["reference"],
        "payments": {
            "captures": [capture_shown(capture, base=base)],
            "refunds": [refund_shown(refund, base=base) for refund in refunds],
        },
    }
    id = order_id(capture["id"])
    return {
        "id": id,
        "intent": "CAPTURE",
        "status": "COMPLETED",
        "purchase_units": [unit],
        "create_time": instant(capture["created"]),
        "update_time": instant(capture["updated"]),
        "links": [link(f"{base}/v2/checkout/orders/{id}", "self")],
    }


def event(resource: dict[str, Any], *, type: str, at: float, base: str) -> dict[str, Any]:
    """The envelope of a webhook; its signature travels in headers."""
    id = f"WH-{paypal_id()}-{paypal_id()}"
    kind, version = next(
        (kind, version) for start, kind, version in _RESOURCES if type.startswith(start)
    )
    address = f"{base}/v1/notifications/webhooks-events/{id}"
    return {
        "id": id,
        "event_version": "1.0",
        "create_time": instant(at),
        "resource_type": kind,
        "resource_version": version,
        "event_type": type,
        "summary": f"{type} for {kind.replace('_', ' ')}",
        "resource": resource,
        "links": [link(address, "self"), link(f"{address}/resend", "resend", "POST")],
    }


def instant(at: float) -> str:
    """A moment as PayPal writes it."""
    return datetime.datetime.fromtimestamp(int(at), datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def money(minor: int, currency: str) -> dict[str, str]:
    """An amount of PayPal's payments API."""
    return {"currency_code": currency, "value": _text(minor, currency)}


def _text(minor: int, currency: str) -> str:
    return decimal_text(PAYPAL, minor, currency)


def link(href: str, rel: str, method: str = "GET") -> dict[str, str]:
    """One row of an object's links."""
    return {"href": href, "rel": rel, "method": method}
