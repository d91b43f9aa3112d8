"""Signatures of outgoing webhooks, in both schemes the simulated providers use (WH-1, WH-2).

Written apart from the product on purpose: a shared signing mistake would hide itself. Bytes and
strings in, headers out; never sees a table or a socket.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence

FORGED_SECRET = "whsec_" + base64.b64encode(b"not the secret of anybody!!!").decode()


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
