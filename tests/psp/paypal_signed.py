"""The sending side of the PayPal tests: its events, signed by a key of our own authority."""

import base64
import json
import zlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from payops.psp.base import AccountFacts, Authentication
from payops.psp.registry import adapter
from tests.psp import paypal_authority as authority
from tests.psp.paypal_authority import NOW, Issued
from tests.psp.signed import fixture, named

WEBHOOK_ID = "5GP028458E2496506"
OTHER_ID = "1JE4291016473214C"
CERT_URL = "https://api.sandbox.paypal.com/v1/notifications/certs/CERT-360caa42-fca2a594-7a1c3bc2"
TRANSMISSION_ID = "69cd13f0-d67a-11e5-baa3-778b53f4ae55"
OUR_REF = "po_0190d3a1b2c37d4e8f90a1b2c3d4e5f6"
ROOT_PEM = authority.root().pem.decode()


def account(*, live: bool = False, **settings: str) -> AccountFacts:
    held = {"trust_anchors": ROOT_PEM, "webhook_id": WEBHOOK_ID} | settings
    return AccountFacts(provider="paypal", slug="demo", live=live, settings=held)


def event(name: str, **changes: Any) -> bytes:
    """A fixture with other top-level members; `resource__x` changes a member of its resource."""
    told = json.loads(fixture("paypal", name))
    for key, value in changes.items():
        if key.startswith("resource__"):
            told["resource"][key.removeprefix("resource__")] = value
        else:
            told[key] = value
    return json.dumps(told).encode()


PAID = fixture("paypal", "payout_item_succeeded")


def time_of(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def headers_of(
    raw: bytes,
    *,
    by: Issued | None = None,
    webhook_id: str = WEBHOOK_ID,
    at: datetime = NOW - timedelta(seconds=2),
    crc: str | None = None,
    **changes: str,
) -> dict[str, str]:
    """As PayPal sends them; `changes` replace headers after signing (`cert_url="…"`)."""
    checksum = str(zlib.crc32(raw) & 0xFFFFFFFF) if crc is None else crc
    text = f"{TRANSMISSION_ID}|{time_of(at)}|{webhook_id}|{checksum}".encode()
    signature = (by or authority.good()).signs(text)
    found = {
        "paypal-transmission-id": TRANSMISSION_ID,
        "paypal-transmission-time": time_of(at),
        "paypal-transmission-sig": base64.b64encode(signature).decode(),
        "paypal-cert-url": CERT_URL,
        "paypal-auth-algo": "SHA256withRSA",
    }
    return found | {f"paypal-{key.replace('_', '-')}": value for key, value in changes.items()}


def read(
    raw: bytes = PAID,
    headers: Mapping[str, str] | None = None,
    *,
    pem: bytes | None = None,
    fetched: Mapping[str, bytes] | None = None,
    secrets: tuple[str, ...] = (WEBHOOK_ID,),
    facts: AccountFacts | None = None,
    now: datetime = NOW,
) -> Authentication:
    if fetched is None:
        whole = authority.chain(authority.good(), authority.issuer())
        fetched = {"certificate": whole if pem is None else pem}
    return adapter("paypal").authenticate(
        raw=raw,
        headers=headers_of(raw) if headers is None else headers,
        secrets=named(secrets),
        now=now,
        account=facts or account(),
        fetched=fetched,
    )
