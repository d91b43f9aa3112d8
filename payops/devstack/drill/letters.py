"""Signed webhook bodies for the soak: captured payments of three providers, and poison.

Written from the providers' documents and apart from the adapters, whose mistakes it would hide.
PayPal's signing key is the simulator's, so PayPal comes with the usual traffic alone. No Django.
Serves WH-1, WH-14 and SC-4.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

SELLERS = ("S-1001", "S-1002", "S-1003", "S-1005")
MERCHANT_ACCOUNT = "MeridianDE"
AMOUNT_MINOR = (10_00, 900_00)
PLATFORM_SHARE = 10
UNPARSEABLE = "unparseable:"
Secrets = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Letter:
    """One body; `names` are its events as the product names them, `reference` is empty in poison.

    `message_id` is the standard provider's header.
    """

    provider: str
    body: bytes
    names: tuple[str, ...]
    message_id: str
    reference: str = ""
    amount_minor: int = 0

    @property
    def sha256(self) -> str:
        return sha256_of(self.body)


def good(*, prefix: str, number: int, at: int, secrets: Secrets, dice: random.Random) -> Letter:
    """One captured payment."""
    provider = dice.choice(("stripe", "stripe", "standard", "adyen"))
    paid = _Paid(
        reference=f"{prefix}{number}",
        seller=dice.choice(SELLERS),
        amount=dice.randint(*AMOUNT_MINOR),
        at=at,
        secrets=secrets,
    )
    names, told = _MAKERS[provider](paid)
    return Letter(provider, _bytes(told), names, names[0], paid.reference, paid.amount)


def poison(*, prefix: str, number: int, at: int, dice: random.Random) -> Letter:
    """A body whose signature is right and whose content can never be processed."""
    name = f"evt_{prefix}x{number}"
    kind = dice.choice(("torn", "no amount", "negative", "no such money", "contradicts itself"))
    subject: dict[str, Any] = {"id": f"spm_{prefix}x{number}", "amount": 1200, "currency": "EUR"}
    told = {"id": name, "type": "payment.captured", "created": at, "live": False, "data": subject}
    if kind == "no amount":
        del subject["amount"]
    if kind == "negative":
        subject["amount"] = -1200
    if kind == "no such money":
        subject["currency"] = "EURO"
    if kind == "contradicts itself":
        told["type"], subject["status"] = "payout.paid", "failed"
    body = _bytes(told)
    if kind == "torn":
        body = body[:-9]
        # It is named by what it is: nothing in it can be read.
        return Letter("standard", body, (UNPARSEABLE + sha256_of(body),), name)
    return Letter("standard", body, (name,), name)


def sha256_of(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def headers(letter: Letter, *, at: int, secrets: Secrets) -> dict[str, str]:
    """What proves one attempt; Adyen's items carry their marks themselves."""
    secret = secrets[letter.provider]
    if letter.provider == "stripe":
        mark = hmac.new(secret.encode(), b"%d." % at + letter.body, hashlib.sha256).hexdigest()
        return {"Stripe-Signature": f"t={at},v1={mark}"}
    if letter.provider == "standard":
        key = base64.b64decode(secret.removeprefix("whsec_"))
        signed = f"{letter.message_id}.{at}.".encode() + letter.body
        digest = hmac.new(key, signed, hashlib.sha256).digest()
        return {
            "webhook-id": letter.message_id,
            "webhook-timestamp": str(at),
            "webhook-signature": "v1," + base64.b64encode(digest).decode(),
        }
    return {}


@dataclass(frozen=True, slots=True)
class _Paid:
    reference: str
    seller: str
    amount: int
    at: int
    secrets: Secrets

    @property
    def platform_fee(self) -> int:
        return self.amount // PLATFORM_SHARE


def _stripe(paid: _Paid) -> tuple[tuple[str, ...], dict[str, Any]]:
    name = f"evt_{paid.reference}"
    charge = {
        "id": f"ch_{paid.reference}",
        "object": "charge",
        "amount": paid.amount,
        "currency": "eur",
        "status": "succeeded",
        "captured": True,
        "paid": True,
        "balance_transaction": f"txn_{paid.reference}",
        "metadata": {
            "payops_reference": paid.reference,
            "seller": paid.seller,
            "platform_fee": str(paid.platform_fee),
        },
    }
    return (name,), {
        "id": name,
        "object": "event",
        "type": "charge.succeeded",
        "created": paid.at,
        "livemode": False,
        "data": {"object": charge},
    }


def _standard(paid: _Paid) -> tuple[tuple[str, ...], dict[str, Any]]:
    name = f"sev_{paid.reference}"
    payment = {
        "id": f"spm_{paid.reference}",
        "object": "payment",
        "reference": paid.reference,
        "amount": paid.amount,
        "currency": "EUR",
        "status": "captured",
        "platform_fee": paid.platform_fee,
        "seller": paid.seller,
        "created": paid.at,
    }
    return (name,), {
        "id": name,
        "type": "payment.captured",
        "created": paid.at,
        "live": False,
        "data": payment,
    }


def _adyen(paid: _Paid) -> tuple[tuple[str, ...], dict[str, Any]]:
    """AUTHORISATION and CAPTURE in one body, each item signed by itself."""
    payment = hashlib.sha256(paid.reference.encode()).hexdigest()[:15].upper()
    items = [
        _item(paid, "AUTHORISATION", f"A{payment}"),
        _item(paid, "CAPTURE", f"C{payment}") | {"originalReference": f"A{payment}"},
    ]
    key = bytes.fromhex(paid.secrets["adyen"])
    for item in items:
        amount = item["amount"]
        parts = (
            *(item["pspReference"], item.get("originalReference", "")),
            *(item["merchantAccountCode"], item["merchantReference"]),
            *(str(amount["value"]), amount["currency"], item["eventCode"], item["success"]),
        )
        digest = hmac.new(key, ":".join(parts).encode(), hashlib.sha256).digest()
        item["additionalData"]["hmacSignature"] = base64.b64encode(digest).decode()
    names = tuple(f"{item['pspReference']}:{item['eventCode']}:true" for item in items)
    wrapped = [{"NotificationRequestItem": item} for item in items]
    return names, {"live": "false", "notificationItems": wrapped}


def _item(paid: _Paid, code: str, psp_reference: str) -> dict[str, Any]:
    return {
        "additionalData": {
            "metadata.seller": paid.seller,
            "metadata.platform_fee": str(paid.platform_fee),
        },
        "amount": {"value": paid.amount, "currency": "EUR"},
        "eventCode": code,
        "eventDate": datetime.fromtimestamp(paid.at, tz=UTC).isoformat(),
        "merchantAccountCode": MERCHANT_ACCOUNT,
        "merchantReference": paid.reference,
        "paymentMethod": "visa",
        "pspReference": psp_reference,
        "reason": "",
        "success": "true",
    }


def _bytes(told: Mapping[str, Any]) -> bytes:
    return json.dumps(told, separators=(",", ":")).encode()


_Maker = Callable[[_Paid], tuple[tuple[str, ...], dict[str, Any]]]
_MAKERS: Mapping[str, _Maker] = {"stripe": _stripe, "standard": _standard, "adyen": _adyen}
