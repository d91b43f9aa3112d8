"""One payout as both providers show it, and the answers a provider gives about it."""

import json
from datetime import UTC, datetime

import pytest

from payops.core.money import Money
from payops.psp.calling import PayoutOrder
from tests.psp.scripted_server import Received, http

OUR_REF = "po_0190d3a1b2c37d4e8f90a1b2c3d4e5f6"
KEY = "pc_0190d3a1b2c37d4e8f90a1b2c3d4e5f8"
API_KEY = "sk_test_never_shown"
SINCE = datetime(2026, 1, 1, tzinfo=UTC)
ORDER = PayoutOrder(
    our_ref=OUR_REF,
    merchant_ref="P-10492",
    amount=Money(1240000, "EUR"),
    destination_token="ba_1QkDestination0042",
    description="Payout P-10492",
    idempotency_key=KEY,
)
STRIPE_PAYOUT = {
    "id": "po_1",
    "object": "payout",
    "amount": 1240000,
    "currency": "eur",
    "status": "pending",
    "created": 1767225600,
    "balance_transaction": "txn_1",
    "metadata": {"payops_reference": OUR_REF, "merchant_reference": "P-10492"},
}
STANDARD_PAYOUT = {
    "id": "spo_1",
    "object": "payout",
    "amount": 1240000,
    "currency": "EUR",
    "status": "pending",
    "created": 1767225600,
    "reference": OUR_REF,
}
PAYOUTS = {"stripe": STRIPE_PAYOUT, "standard": STANDARD_PAYOUT}
PREFIX = {"stripe": "/v1", "standard": ""}
# What the server of the last call received.
requests_seen: list[Received] = []
BOTH = pytest.mark.parametrize("name", ["stripe", "standard"])


def body(value: object) -> bytes:
    return json.dumps(value).encode()


def error(status: int, code: str, kind: str = "invalid_request_error", **headers: str) -> bytes:
    answer = body({"error": {"type": kind, "code": code, "message": "No."}})
    return http(status, answer, **headers)
