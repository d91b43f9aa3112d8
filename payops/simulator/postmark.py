"""What a webhook carries to prove who sent it, provider by provider (WH-1, WH-2).

Chooses the scheme and the keys for one attempt; the arithmetic is signing.py's. A forged one is
signed just as well, with keys nobody gave out.
"""

import json
import uuid
from dataclasses import dataclass
from functools import cache

from cryptography.hazmat.primitives.asymmetric import rsa

from payops.simulator import certificates, paypal_objects
from payops.simulator.config import ADYEN, PAYPAL, STRIPE
from payops.simulator.signing import (
    FORGED_HEX,
    FORGED_SECRET,
    PAYPAL_ALGORITHM,
    adyen_header,
    adyen_item_signature,
    paypal_signature,
    paypal_text,
    standard_headers,
    stripe_headers,
)
from payops.simulator.world import World

CERTIFICATES_PATH = "/certs/"


@dataclass(frozen=True)
class Seal:
    """One attempt to be signed; `at` is the time it claims to be signed at."""

    provider: str
    event_id: str
    number: int
    body: bytes
    at: int
    forged: bool


def sealed(world: World, seal: Seal) -> tuple[bytes, dict[str, str]]:
    """The body and the headers that prove it."""
    secrets = world.config.endpoints[seal.provider].secrets
    if seal.provider == ADYEN:
        return _adyen(seal, secrets[0])
    if seal.provider == PAYPAL:
        return seal.body, _paypal(world, seal, webhook_id=secrets[0])
    keys = (FORGED_SECRET,) if seal.forged else secrets
    if seal.provider == STRIPE:
        return seal.body, stripe_headers(secrets=keys, body=seal.body, at=seal.at)
    return seal.body, standard_headers(
        secrets=keys, message_id=seal.event_id, body=seal.body, at=seal.at
    )


def certificate_address(world: World) -> str:
    """Where the signing certificate is fetched."""
    assert world.signer is not None
    return f"{world.paypal_base}{CERTIFICATES_PATH}{world.signer.name}.pem"


def _adyen(seal: Seal, secret: str) -> tuple[bytes, dict[str, str]]:
    """Transfers are signed in a header; classic items carry their marks since they were made."""
    told = json.loads(seal.body)
    if "notificationItems" not in told:
        key = FORGED_HEX if seal.forged else secret
        return seal.body, adyen_header(secret=key, body=seal.body)
    if not seal.forged:
        return seal.body, {}
    for wrapped in told["notificationItems"]:
        item = wrapped["NotificationRequestItem"]
        mark = adyen_item_signature(secret=FORGED_HEX, item=item)
        item["additionalData"]["hmacSignature"] = mark
    return json.dumps(told, ensure_ascii=False).encode(), {}


def _paypal(world: World, seal: Seal, *, webhook_id: str) -> dict[str, str]:
    assert world.signer is not None
    # A repeated attempt is the same transmission; a resend is another delivery, hence another.
    transmission_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{seal.event_id}/{seal.number}"))
    time = paypal_objects.instant(seal.at)
    text = paypal_text(
        transmission_id=transmission_id, time=time, webhook_id=webhook_id, body=seal.body
    )
    key = _strangers_key() if seal.forged else world.signer.key
    return {
        "PAYPAL-TRANSMISSION-ID": transmission_id,
        "PAYPAL-TRANSMISSION-TIME": time,
        "PAYPAL-TRANSMISSION-SIG": paypal_signature(key=key, text=text),
        "PAYPAL-CERT-URL": certificate_address(world),
        "PAYPAL-AUTH-ALGO": PAYPAL_ALGORITHM,
    }


@cache
def _strangers_key() -> rsa.RSAPrivateKey:
    return certificates.stranger()
