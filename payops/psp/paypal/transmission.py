"""What PayPal says of a delivery in its headers, and the two texts made from it.

Owns the strict reading of the five PAYPAL-* headers, the text that is signed offline and the
question that is posted back. Never takes a webhook id from a request. Serves WH-2 and SE-1.
"""

import base64
import binascii
import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from payops.psp import signing
from payops.psp.paypal.timestamps import utc_from_rfc3339

# A "|" in an id or a time could shift the parts of the signed text.
TRANSMISSION_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
WEBHOOK_ID = re.compile(r"[A-Za-z0-9]{1,50}", re.ASCII)
ALGORITHM = re.compile(r"[A-Za-z0-9]{1,100}", re.ASCII)
URL_CHARS_MAX = 500
SIGNATURE_CHARS_MAX = 1024
NAMES = (
    "paypal-transmission-id",
    "paypal-transmission-time",
    "paypal-transmission-sig",
    "paypal-cert-url",
    "paypal-auth-algo",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Transmission:
    """The headers of one delivery, each in its own form; nothing of it is verified yet."""

    id: str
    time: str
    sent_at: datetime
    signature: bytes
    signature_text: str
    cert_url: str
    algorithm: str


def read(headers: Mapping[str, str]) -> tuple[Transmission | None, str]:
    """(the transmission, why not)."""
    values = []
    for name in NAMES:
        value, reason = signing.header(headers, name)
        if reason:
            return None, reason
        values.append(value)
    transmission_id, time, signature_text, cert_url, algorithm = values
    sent_at = utc_from_rfc3339(time)
    if sent_at is None:
        return None, "timestamp_malformed"
    signature = _decoded(signature_text)
    if (
        not signature
        or not TRANSMISSION_ID.fullmatch(transmission_id)
        or not ALGORITHM.fullmatch(algorithm)
        or len(cert_url) > URL_CHARS_MAX
    ):
        return None, "header_malformed"
    return Transmission(
        id=transmission_id,
        time=time,
        sent_at=sent_at,
        signature=signature,
        signature_text=signature_text,
        cert_url=cert_url,
        algorithm=algorithm,
    ), ""


def signed_text(sent: Transmission, webhook_id: str, raw: bytes) -> bytes:
    """transmissionId|transmissionTime|webhookId|CRC-32 of the body as an unsigned decimal."""
    return f"{sent.id}|{sent.time}|{webhook_id}|{zlib.crc32(raw)}".encode("ascii")


def question(sent: Transmission, webhook_id: str, raw: bytes) -> bytes:
    """The body of verify-webhook-signature; the event stands in it byte for byte.

    Only for bytes known to be one JSON object: anything else could close the question early and
    name another webhook id.
    """
    known = {
        "auth_algo": sent.algorithm,
        "cert_url": sent.cert_url,
        "transmission_id": sent.id,
        "transmission_sig": sent.signature_text,
        "transmission_time": sent.time,
        "webhook_id": webhook_id,
    }
    return json.dumps(known)[:-1].encode("ascii") + b', "webhook_event": ' + raw + b"}"


def _decoded(text: str) -> bytes:
    if len(text) > SIGNATURE_CHARS_MAX:
        return b""
    try:
        signature = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
    # Several texts decode to the same bytes; only the one that is written so is exact.
    return signature if base64.b64encode(signature).decode("ascii") == text else b""
