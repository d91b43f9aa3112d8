"""All four providers as senders to the whole product: valid events, signed by official libraries.

`stripe`, `standardwebhooks` and `Adyen` sign what they can express; other bytes are signed with the
same key by hand. PayPal's side is `cryptography` with a certificate that is fetched over HTTP.
"""

from __future__ import annotations

import base64
import copy
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from django.db import transaction
from django.http import HttpResponse
from django.test import RequestFactory

from payops import settings as product
from payops.commands.bootstrap import as_owner
from payops.core import clock
from payops.core.topics import topic_table
from payops.simulator.certificates import Signer, open_signer
from payops.webhooks.directory import directory
from payops.webhooks.edge import WebhookEdge
from payops.webhooks.fetched import collector
from payops.webhooks.secrets import add_secret
from payops.webhooks.throttle import throttle
from tests.accounts import account_of
from tests.conftest import STANDARD_SECRET, STRIPE_SECRET
from tests.psp import signed as official
from tests.psp.adyen_signed import KEY as ADYEN_KEY
from tests.psp.adyen_signed import header as adyen_header
from tests.psp.adyen_signed import signed as adyen_signed
from tests.psp.scripted_server import always, http, scripted_server

PROVIDERS = ("stripe", "standard", "adyen", "paypal")
WEBHOOK_ID = "5GP028458E2496506"
SELLER = "S-1001"
MERCHANT_ACCOUNT = "MeridianDE"
FIXTURES = official.FIXTURES
Headers = dict[str, str]


def url_of(provider: str) -> str:
    return f"/webhooks/{provider}/demo/"


@dataclass(frozen=True)
class PayPal:
    """PayPal's key, and where its certificate is served."""

    signer: Signer
    cert_url: str

    def headers(
        self, raw: bytes, *, at: datetime | None = None, webhook_id: str = WEBHOOK_ID
    ) -> Headers:
        time = f"{at or clock.utc_now():%Y-%m-%dT%H:%M:%SZ}"
        text = f"69cd13f0-d67a-11e5|{time}|{webhook_id}|{zlib.crc32(raw)}".encode()
        mark = self.signer.key.sign(text, padding.PKCS1v15(), hashes.SHA256())
        return {
            "paypal-transmission-id": "69cd13f0-d67a-11e5",
            "paypal-transmission-time": time,
            "paypal-transmission-sig": base64.b64encode(mark).decode(),
            "paypal-cert-url": self.cert_url,
            "paypal-auth-algo": "SHA256withRSA",
        }


@dataclass(frozen=True)
class Senders:
    """The providers of one test, posting to the product behind its own middleware."""

    paypal: PayPal

    def headers(self, provider: str, raw: bytes, *, event_id: str = "") -> Headers:
        """A valid signature of the body as it is."""
        now = clock.utc_now()
        if provider == "stripe":
            return official.stripe_headers(raw, secret=STRIPE_SECRET, at=now)
        if provider == "standard":
            return official.standard_headers(
                raw, event_id=event_id or "sev_unnamed", secret=STANDARD_SECRET, at=now
            )
        return self.paypal.headers(raw) if provider == "paypal" else adyen_header(raw)

    def post(self, provider: str, raw: bytes, headers: Headers) -> HttpResponse:
        """Through the edge as it stands in front of every other middleware."""
        meta: Any = {
            f"HTTP_{name.upper().replace('-', '_')}": text for name, text in headers.items()
        }
        request = RequestFactory().post(
            url_of(provider), data=raw, content_type="application/json", **meta
        )
        return WebhookEdge(_nothing_behind)(request)

    def send(self, provider: str, raw: bytes, *, event_id: str = "") -> HttpResponse:
        return self.post(provider, raw, self.headers(provider, raw, event_id=event_id))


def _nothing_behind(request: Any) -> HttpResponse:
    raise AssertionError(f"the edge let {request.path} through")


@pytest.fixture(scope="session")
def paypal_signer(tmp_path_factory: pytest.TempPathFactory) -> tuple[Signer, Path]:
    """A signer with its authority, valid now; making the keys is what takes time."""
    directory_ = tmp_path_factory.mktemp("paypal-authority")
    return open_signer(directory_), directory_ / "paypal-ca.pem"


@pytest.fixture
def senders(settings: Any, paypal_signer: tuple[Signer, Path]) -> Iterator[Senders]:
    """The product with all its middleware, topics and screens, and a secret for each provider."""
    signer, ca_file = paypal_signer
    settings.ROOT_URLCONF = product.ROOT_URLCONF
    settings.MIDDLEWARE = list(product.MIDDLEWARE)
    settings.PAYOPS_TOPICS = product.PAYOPS_TOPICS
    topic_table.cache_clear()
    with scripted_server(always(http(200, signer.chain))) as server:
        settings.HTTP_ALLOW = server.allow
        settings.PAYPAL_CA_FILE = str(ca_file)
        settings.PAYPAL_CERT_HOSTS = f"127.0.0.1:{server.port}"
        with as_owner(), transaction.atomic():
            for provider, value in (("adyen", ADYEN_KEY), ("paypal", WEBHOOK_ID)):
                add_secret(account=account_of(provider), value=value, now=clock.utc_now())
        _forget()
        yield Senders(PayPal(signer, f"{server.origin}/paypal/certs/{signer.name}.pem"))
    topic_table.cache_clear()
    _forget()


def _forget() -> None:
    directory.forget()
    throttle.forget()
    collector.forget()


def fixture(provider: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        (FIXTURES / provider / "fixtures" / f"{name}.json").read_bytes()
    )
    return found


def capture(provider: str, mark: str, *, amount: int = 100) -> dict[str, Any]:
    """A valid event of a captured payment of `amount` cents for our seller; unsigned for Adyen."""
    body = fixture(
        provider,
        {
            "stripe": "charge_succeeded",
            "standard": "payment_captured",
            "adyen": "capture",
            "paypal": "capture_completed",
        }[provider],
    )
    if provider == "stripe":
        told = body["data"]["object"]
        body["id"], told["id"] = f"evt_{mark}", f"ch_{mark}"
        told |= {"amount": amount, "amount_captured": amount}
        told["metadata"] |= {"seller": SELLER, "platform_fee": "0"}
    elif provider == "standard":
        body["id"], body["data"]["id"] = f"sev_{mark}", f"spm_{mark}"
        body["data"] |= {"amount": amount, "fee": 0, "platform_fee": 0, "seller": SELLER}
    elif provider == "adyen":
        item = body["notificationItems"][0]["NotificationRequestItem"]
        item["amount"]["value"] = amount
        item |= {"pspReference": f"C{mark}", "originalReference": f"P{mark}"}
        item |= {"merchantAccountCode": MERCHANT_ACCOUNT}
        item["additionalData"] = {"metadata.seller": SELLER}
    else:
        told = body["resource"]
        body["id"], told["id"] = f"WH-{mark}", mark
        told |= {"custom_id": f"seller={SELLER};ref=ORD-{mark}"}
        told["amount"]["value"] = f"{amount // 100}.{amount % 100:02}"
        del told["seller_receivable_breakdown"]
    return body


def sealed(body: dict[str, Any], *, key: str = ADYEN_KEY) -> dict[str, Any]:
    """An Adyen notification with the official library's signature on every item it can sign."""
    whole = copy.deepcopy(body)
    for holder in whole["notificationItems"]:
        holder["NotificationRequestItem"] = adyen_signed(holder["NotificationRequestItem"], key=key)
    return whole
