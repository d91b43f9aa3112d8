"""Calls the API as an internal system does."""

from __future__ import annotations

import hashlib
import itertools
import json
import time
from typing import Any

from django.test import Client

from payops.commands.bootstrap import as_owner
from payops.core import clock
from payops.core.models import ApiKey, Book
from tests.conftest import API_KEY

SYSTEM = "shop-backend"
PAYOUTS = "/api/payouts/"
_numbers = itertools.count(1)


def facts(**changes: Any) -> dict[str, Any]:
    """A payout that may be asked for; a member given as None is left out."""
    asked = {
        "amount": "1200.00",
        "currency": "EUR",
        "beneficiary": "S-1001",
        "account": "stripe/demo",
        "merchant_ref": "P-20001",
        "reason": "weekly payout",
        "on_behalf_of": "amara",
    } | changes
    return {name: value for name, value in asked.items() if value is not None}


def fresh_key() -> str:
    return f"test-{next(_numbers)}-{time.time_ns()}"


def post(
    body: Any,
    *,
    key: str | None = "",
    api_key: str = API_KEY,
    content_type: str = "application/json",
    address: str = PAYOUTS,
    **headers: str,
) -> Any:
    """`key` "" takes a fresh one, None sends none; bytes and text are sent as they are."""
    raw = body if isinstance(body, (bytes, str)) else json.dumps(body)
    sent = {"Authorization": f"Bearer {api_key}"} | headers
    if key is not None:
        sent["Idempotency-Key"] = key or fresh_key()
    client = Client(raise_request_exception=False)
    return client.post(address, data=raw, content_type=content_type, headers=sent)


def get(address: str, *, api_key: str = API_KEY, **query: str) -> Any:
    client = Client(raise_request_exception=False)
    return client.get(address, query, headers={"Authorization": f"Bearer {api_key}"})


def problem(answer: Any) -> str:
    """The kind of problem; asserts that the answer is one, whole and well-formed."""
    assert answer.headers["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == answer.status_code
    assert body["title"] and body["detail"]
    assert body["type"].startswith("urn:payops:problem:")
    return body["type"].removeprefix("urn:payops:problem:")


def other_key(name: str, *, acts: list[str], book: str = "meridian", system: str = "") -> str:
    """A key as the audited bootstrap makes it; the product itself would need an approval."""
    text = f"pk_{name}"
    with as_owner():
        ApiKey.objects.create(
            book=Book.objects.get(code=book),
            system=system or name,
            key_hash=hashlib.sha256(text.encode()).hexdigest(),
            acts=acts,
        )
    return text


def revoke(system: str) -> None:
    key = ApiKey.objects.get(system=system)
    key.revoked_at = clock.utc_now()
    key.save()
