"""One refund as both providers show it, the order of it, and who is asked."""

from typing import Any

import pytest

from payops.core.http import HttpClient
from payops.core.money import Money
from payops.psp import registry
from payops.psp.calling import CallOutcome, RefundOrder
from tests.psp.payouts import API_KEY, KEY, body, requests_seen
from tests.psp.scripted_server import Script, http, scripted_server

REFUND_REF = "rf_0190d3a1b2c37d4e8f90a1b2c3d4e5f7"
THIRTY = Money(3000, "EUR")
PAYMENT = {"stripe": "ch_1", "standard": "spm_1"}
STRIPE_REFUND: dict[str, Any] = {
    "id": "re_1",
    "object": "refund",
    "amount": 3000,
    "currency": "eur",
    "charge": "ch_1",
    "payment_intent": "pi_1",
    "status": "succeeded",
    "created": 1767225600,
    "balance_transaction": "txn_1",
    "failure_balance_transaction": None,
    "failure_reason": None,
    "metadata": {"payops_reference": REFUND_REF, "merchant_reference": "R-1"},
}
STANDARD_REFUND: dict[str, Any] = {
    "id": "srf_1",
    "object": "refund",
    "payment": "spm_1",
    "amount": 3000,
    "currency": "EUR",
    "status": "succeeded",
    "created": 1767225600,
    "reference": REFUND_REF,
    "merchant_reference": "R-1",
}
REFUNDS = {"stripe": STRIPE_REFUND, "standard": STANDARD_REFUND}
MOVEMENT = {"stripe": "txn_1", "standard": "srf_1"}
BOTH = pytest.mark.parametrize("name", ["stripe", "standard"])
EVERYBODY = pytest.mark.parametrize("name", ["stripe", "standard", "adyen", "paypal"])


def order(name: str, **changes: Any) -> RefundOrder:
    told = {
        "our_ref": REFUND_REF,
        "merchant_ref": "R-1",
        "payment_provider_ref": PAYMENT[name],
        "amount": THIRTY,
        "idempotency_key": KEY,
    }
    return RefundOrder(**(told | changes))


def submit(name: str, script: Script, *, deadline_s: float = 5.0, **changes: Any) -> CallOutcome:
    wanted = order(name, **changes)
    outcome: CallOutcome = ask(name, "submit_refund", script, deadline_s=deadline_s, order=wanted)
    return outcome


def ask(name: str, question: str, script: Script, *, deadline_s: float = 5.0, **named: Any) -> Any:
    """One call of the adapter against the script; the requests are kept in `requests_seen`."""
    with scripted_server(script) as server:
        answer = getattr(registry.refunds(name), question)(
            **named,
            http=HttpClient(allow=server.allow),
            base_url=f"{server.origin}/base/",
            api_key=API_KEY,
            deadline_s=deadline_s,
        )
        requests_seen[:] = server.received
    return answer


def listed(*rows: dict[str, Any], more: bool = False) -> bytes:
    return http(200, body({"object": "list", "data": list(rows), "has_more": more}))
