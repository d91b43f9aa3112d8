"""The provider's side: bodies signed by the providers' own libraries, posted to our address."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from django.http import HttpResponse
from django.test import Client

from payops.core import clock
from tests.conftest import STANDARD_SECRET, STRIPE_SECRET
from tests.psp import signed

STRIPE_URL = "/webhooks/stripe/demo/"
STANDARD_URL = "/webhooks/standard/demo/"


def stripe_body(number: int = 1, *, type: str = "payout.failed", amount: int = 1_240_000) -> bytes:
    return json.dumps(
        {
            "id": f"evt_{number:06d}",
            "object": "event",
            "type": type,
            "created": 1_790_000_000,
            "livemode": False,
            "request": {"id": "req_1", "idempotency_key": "key-1"},
            "data": {
                "object": {
                    "id": "po_10492",
                    "object": "payout",
                    "amount": amount,
                    "currency": "eur",
                    "status": "failed",
                    "failure_code": "account_closed",
                }
            },
        }
    ).encode()


def standard_body(number: int = 1, *, amount: int = 500) -> bytes:
    return json.dumps(
        {
            "id": f"sev_{number:06d}",
            "type": "settlementFailed",
            "created": 1_790_000_000,
            "live": False,
            "data": {"id": "spo_1", "amount": amount, "currency": "EUR", "status": "failed"},
        }
    ).encode()


def stripe_headers(raw: bytes, *, secret: str = STRIPE_SECRET, at: datetime | None = None) -> Any:
    return signed.stripe_headers(raw, secret=secret, at=at or clock.utc_now())


def standard_headers(raw: bytes, *, event_id: str, secret: str = STANDARD_SECRET) -> Any:
    return signed.standard_headers(raw, event_id=event_id, secret=secret, at=clock.utc_now())


def post(raw: bytes, headers: dict[str, str], url: str = STRIPE_URL, **extra: Any) -> HttpResponse:
    return Client().post(url, data=raw, content_type="application/json", headers=headers, **extra)


def send_stripe(raw: bytes, **signing: Any) -> HttpResponse:
    return post(raw, stripe_headers(raw, **signing))


def send_standard(raw: bytes, **signing: Any) -> HttpResponse:
    event_id = json.loads(raw)["id"]
    return post(raw, standard_headers(raw, event_id=event_id, **signing), STANDARD_URL)
