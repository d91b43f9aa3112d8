"""Adyen's words: transfers with their numbered history, and the items of classic notifications.

Owns how a stored object reads on Adyen's wire. Amounts are stored in ISO minor units and shown
with Adyen's own decimals. Writes nothing, sends nothing.
"""

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from payops.simulator.config import ADYEN
from payops.simulator.money import shown_minor
from payops.simulator.signing import adyen_item_signature
from payops.simulator.store import new_id

TRANSFER_CREATED = "balancePlatform.transfer.created"
TRANSFER_UPDATED = "balancePlatform.transfer.updated"
STATUSES = {
    "pending": "received",
    "in_transit": "authorised",
    "paid": "booked",
    "failed": "failed",
    "reversed": "returned",
    "canceled": "cancelled",
}
# Control's failure codes in Adyen's words; a code of its own passes unchanged.
REASONS = {
    "account_closed": "counterpartyAccountClosed",
    "account_frozen": "counterpartyAccountBlocked",
    "bank_account_restricted": "counterpartyAccountBlocked",
    "could_not_process": "counterpartyBankUnavailable",
    "declined": "refusedByCounterpartyBank",
    "insufficient_funds": "notEnoughBalance",
    "invalid_account_number": "counterpartyAccountNotFound",
    "no_account": "counterpartyAccountNotFound",
}
_BALANCE_PLATFORM = "MeridianPlatform"


def reference_new() -> str:
    """A pspReference or transfer id: 16 capitals and digits."""
    return new_id("S", size=16).upper()[:16]


def history_entry(body: dict[str, Any], *, at: float, movement: int) -> dict[str, Any]:
    """One line of a transfer's events[]; `movement` is what it changes in the balance."""
    entry: dict[str, Any] = {
        "id": f"EVJN{reference_new()}",
        "type": "accounting",
        "status": status_shown(body),
        "bookingDate": instant(at),
    }
    if movement:
        entry["transactionId"] = f"EVJN{reference_new()}"
        value = shown_minor(ADYEN, movement, body["currency"])
        entry["mutations"] = [{"balance": value, "currency": body["currency"]}]
    return entry


def status_shown(body: dict[str, Any]) -> str:
    """Adyen's word for the state of a transfer."""
    return str(body.get("wire_status") or STATUSES[body["status"]])


def transfer_shown(body: dict[str, Any]) -> dict[str, Any]:
    """A transfer as API and webhook tell it."""
    account = {"description": "Main balance account", "id": body["balance_account"]}
    shown: dict[str, Any] = {
        "id": body["id"],
        "accountHolder": {"description": "Meridian", "id": "AH00000000000000000000001"},
        "amount": amount(body["amount"], body["currency"]),
        "balanceAccount": account,
        "balancePlatform": _BALANCE_PLATFORM,
        "category": "bank",
        "categoryData": {"priority": body["priority"], "type": "bank"},
        "counterparty": body["counterparty"],
        "createdAt": instant(body["created"]),
        "creationDate": instant(body["created"]),
        "description": body["description"],
        "direction": "outgoing",
        "events": body["history"],
        "reason": body["failure_code"] or "approved",
        "reference": body["reference"],
        "referenceForBeneficiary": body["beneficiary_reference"],
        "sequenceNumber": body["sequence"],
        "status": status_shown(body),
        "type": "bankTransfer",
        "updatedAt": instant(body["updated"]),
    }
    if body["status"] == "paid":
        arrival = instant(body["updated"] + 86_400)
        shown["tracking"] = {"estimatedArrivalTime": arrival, "type": "estimation"}
    return {name: value for name, value in shown.items() if value is not None}


def transfer_event(body: dict[str, Any], *, type: str, at: float) -> dict[str, Any]:
    """The webhook about a transfer as it now is; its signature travels in a header."""
    return {
        "data": transfer_shown(body),
        "environment": "test",
        "timestamp": instant(at),
        "type": type,
    }


def item(
    payment: dict[str, Any],
    *,
    code: str,
    merchant: str,
    psp_reference: str,
    reference: str,
    value: int,
    at: float,
    success: bool = True,
    reason: str = "",
    additional: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """One unsigned classic item about a payment; booleans are strings at Adyen."""
    told: dict[str, Any] = {
        "additionalData": {
            "metadata.seller": payment["seller"],
            "metadata.platform_fee": str(payment["platform_fee"]),
            **(additional or {}),
        },
        "amount": amount(value, payment["currency"]),
        "eventCode": code,
        "eventDate": instant(at),
        "merchantAccountCode": merchant,
        "merchantReference": reference,
        "paymentMethod": payment.get("method", "visa"),
        "pspReference": psp_reference,
        "reason": reason,
        "success": "true" if success else "false",
    }
    if psp_reference != payment["id"]:
        told["originalReference"] = payment["id"]
    if code == "AUTHORISATION" and success:
        told["operations"] = ["CANCEL", "CAPTURE", "REFUND"]
    return told


def notification(items: Sequence[dict[str, Any]], *, secret: str) -> dict[str, Any]:
    """One body of one or more items, each signed by itself."""
    signed = []
    for told in items:
        mark = adyen_item_signature(secret=secret, item=told)
        more = {**told.get("additionalData", {}), "hmacSignature": mark}
        signed.append({"NotificationRequestItem": {**told, "additionalData": more}})
    return {"live": "false", "notificationItems": signed}


def amount(minor: int, currency: str) -> dict[str, Any]:
    """An amount member with Adyen's decimals."""
    return {"currency": currency, "value": shown_minor(ADYEN, minor, currency)}


def instant(at: float) -> str:
    """A moment as Adyen writes it."""
    moment = datetime.datetime.fromtimestamp(int(at), datetime.UTC)
    return moment.isoformat()
