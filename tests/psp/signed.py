"""The sending side of the tests: the providers' own libraries sign, our adapters read."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import standardwebhooks
from stripe import WebhookSignature

from payops.psp.base import AccountFacts, Authentication, SecretValue
from payops.psp.registry import adapter

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
FIXTURES = Path(__file__).resolve().parents[2] / "payops" / "psp"
SAMPLES = Path(__file__).resolve().parents[3] / "shared" / "samples" / "webhooks"
STRIPE_SECRET = "whsec_c2lnbmluZ19zZWNyZXRfb2ZfdGVzdHM"
STANDARD_SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
STRIPE_ACCOUNT = AccountFacts(provider="stripe", slug="demo", live=False)
STANDARD_ACCOUNT = AccountFacts(provider="standard", slug="demo", live=False)


def fixture(provider: str, name: str) -> bytes:
    return (FIXTURES / provider / "fixtures" / f"{name}.json").read_bytes()


def changed(raw: bytes, **changes: Any) -> bytes:
    """The event with other top-level members; `object__x` changes a member of its object."""
    event = json.loads(raw)
    subject = event["data"].get("object") if "api_version" in event else event["data"]
    for name, value in changes.items():
        if name.startswith("object__"):
            subject[name.removeprefix("object__")] = value
        else:
            event[name] = value
    return json.dumps(event).encode()


def stripe_headers(
    raw: bytes, *, secret: str = STRIPE_SECRET, at: datetime = NOW
) -> dict[str, str]:
    """Signed by the official library; it takes text only, so other bytes are signed by hand."""
    stamp = int(at.timestamp())
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return {"stripe-signature": f"t={stamp},v1={_stripe_mac(stamp, raw, secret)}"}
    mac = WebhookSignature._compute_signature(f"{stamp}.{text}", secret)
    return {"stripe-signature": f"t={stamp},v1={mac}"}


def standard_headers(
    raw: bytes, *, event_id: str, secret: str = STANDARD_SECRET, at: datetime = NOW
) -> dict[str, str]:
    stamp = str(int(at.timestamp()))
    try:
        signature = standardwebhooks.Webhook(secret).sign(event_id, at, raw.decode("utf-8"))
    except UnicodeDecodeError:
        key = base64.b64decode(secret.removeprefix("whsec_"))
        mac = hmac.new(key, f"{event_id}.{stamp}.".encode() + raw, hashlib.sha256).digest()
        signature = f"v1,{base64.b64encode(mac).decode()}"
    return {
        "webhook-id": event_id,
        "webhook-timestamp": stamp,
        "webhook-signature": signature,
    }


def read_stripe(
    raw: bytes,
    headers: dict[str, str] | None = None,
    *,
    secrets: tuple[str, ...] = (STRIPE_SECRET,),
    account: AccountFacts = STRIPE_ACCOUNT,
    now: datetime = NOW,
) -> Authentication:
    return adapter("stripe").authenticate(
        raw=raw,
        headers=stripe_headers(raw) if headers is None else headers,
        secrets=named(secrets),
        now=now,
        account=account,
    )


def read_standard(
    raw: bytes,
    headers: dict[str, str] | None = None,
    *,
    secrets: tuple[str, ...] = (STANDARD_SECRET,),
    account: AccountFacts = STANDARD_ACCOUNT,
    now: datetime = NOW,
) -> Authentication:
    if headers is None:
        headers = standard_headers(raw, event_id=json.loads(raw)["id"])
    return adapter("standard").authenticate(
        raw=raw, headers=headers, secrets=named(secrets), now=now, account=account
    )


def named(secrets: tuple[str, ...]) -> list[SecretValue]:
    return [SecretValue(id=f"s{number}", value=value) for number, value in enumerate(secrets, 1)]


def _stripe_mac(stamp: int, raw: bytes, secret: str) -> str:

    return hmac.new(secret.encode(), f"{stamp}.".encode() + raw, hashlib.sha256).hexdigest()
