"""Signatures of outgoing webhooks, in every scheme the simulated providers use (WH-1, WH-2).

Written apart from the product on purpose: a shared signing mistake would hide itself. Bytes and
strings in, headers out; never sees a table or a socket.
"""

import base64
import hashlib
import hmac
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

FORGED_SECRET = "whsec_" + base64.b64encode(b"not the secret of anybody!!!").decode()
FORGED_HEX = "0BAD" * 16
PAYPAL_ALGORITHM = "SHA256withRSA"


def stripe_headers(*, secrets: Sequence[str], body: bytes, at: int) -> dict[str, str]:
    """`Stripe-Signature` with one v1 per secret; the secret text itself is the key."""
    signed = str(at).encode() + b"." + body
    marks = [hmac.new(s.encode(), signed, hashlib.sha256).hexdigest() for s in secrets]
    return {"Stripe-Signature": ",".join([f"t={at}", *(f"v1={mark}" for mark in marks)])}


def standard_headers(
    *, secrets: Sequence[str], message_id: str, body: bytes, at: int
) -> dict[str, str]:
    """Standard Webhooks 1.0.0 headers; the base64 after `whsec_` is the key."""
    signed = f"{message_id}.{at}.".encode() + body
    marks = []
    for secret in secrets:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        digest = hmac.new(key, signed, hashlib.sha256).digest()
        marks.append("v1," + base64.b64encode(digest).decode())
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(at),
        "webhook-signature": " ".join(marks),
    }


def adyen_header(*, secret: str, body: bytes) -> dict[str, str]:
    """`HmacSignature` of a transfer webhook: over the whole body, the hex secret decoded."""
    return {"HmacSignature": _adyen_mark(secret, body)}


def adyen_item_signature(*, secret: str, item: Mapping[str, Any]) -> str:
    """The mark a classic notification item carries: eight members joined by colons, unescaped."""
    amount = item.get("amount") or {}
    members = (
        item.get("pspReference"),
        item.get("originalReference"),
        item.get("merchantAccountCode"),
        item.get("merchantReference"),
        amount.get("value"),
        amount.get("currency"),
        item.get("eventCode"),
        item.get("success"),
    )
    text = ":".join("" if member is None else str(member) for member in members)
    return _adyen_mark(secret, text.encode())


def paypal_text(*, transmission_id: str, time: str, webhook_id: str, body: bytes) -> bytes:
    """What PayPal's certificate signs: the body takes part by its checksum only."""
    return f"{transmission_id}|{time}|{webhook_id}|{zlib.crc32(body)}".encode()


def paypal_signature(*, key: rsa.RSAPrivateKey, text: bytes) -> str:
    """RSA with SHA-256 and PKCS #1 v1.5 padding, base64."""
    return base64.b64encode(key.sign(text, padding.PKCS1v15(), hashes.SHA256())).decode()


def _adyen_mark(secret: str, signed: bytes) -> str:
    digest = hmac.new(bytes.fromhex(secret), signed, hashlib.sha256).digest()
    return base64.b64encode(digest).decode()
