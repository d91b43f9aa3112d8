"""Adyen's API as the tests script it: transfers, their list, refunds and errors."""

import json
from typing import Any

from payops.core.http import HttpClient
from payops.core.money import Money
from payops.psp.calling import CallOutcome, PayoutOrder, RefundOrder
from payops.psp.registry import calls, provider
from tests.psp.payouts import API_KEY, KEY, ORDER, OUR_REF, requests_seen
from tests.psp.scripted_server import Script, http, scripted_server
from tests.psp.signed import fixture

BALANCE_ACCOUNT = "BA32272223222B5HK6Q7D2"
SETTINGS = {"balance_account": BALANCE_ACCOUNT, "merchant_account": "MeridianECOM"}
BOOKED: dict[str, Any] = json.loads(fixture("adyen", "transfer_booked"))["data"]
TRANSFER: dict[str, Any] = json.loads(fixture("adyen", "transfer_received"))["data"]
TRANSFER_ID = TRANSFER["id"]
REFUND_ORDER = RefundOrder(
    our_ref="rf_0190d3a1b2c37d4e8f90a1b2c3d4e5f7",
    merchant_ref="R-1",
    payment_provider_ref="K7TRPAYMENT00001",
    amount=Money(3000, "EUR"),
    idempotency_key=KEY,
)
REFUND = {
    "merchantAccount": "MeridianECOM",
    "paymentPspReference": "K7TRPAYMENT00001",
    "pspReference": "K7TRREFUND000001",
    "reference": REFUND_ORDER.our_ref,
    "status": "received",
    "amount": {"currency": "EUR", "value": 3000},
}
assert TRANSFER["reference"] == OUR_REF


def body(value: object) -> bytes:
    return json.dumps(value).encode()


def error(status: int, code: str, **headers: str) -> bytes:
    told = {
        "type": "https://docs.adyen.com/errors/general",
        "errorCode": code,
        "title": "No.",
        "detail": "No, because.",
        "requestId": "K7TRREQUEST00001",
        "status": status,
    }
    return http(status, body(told), **headers)


def listed(*rows: dict[str, Any], cursor: str | None = None) -> bytes:
    links = {"next": {"href": f"https://elsewhere.example/transfers?cursor={cursor}&limit=1"}}
    return http(200, body({"data": list(rows), "_links": links if cursor else {}}))


def ask(
    question: str, script: Script, *, settings: dict[str, str] | None = None, **named: Any
) -> Any:
    """One call of the adapter against the script; the requests are kept in `requests_seen`."""
    with scripted_server(script) as server:
        answer = getattr(calls("adyen"), question)(
            **named,
            http=HttpClient(allow=server.allow),
            base_url=f"{server.origin}/adyen/",
            api_key=API_KEY,
            deadline_s=named.pop("deadline_s", 5.0),
            settings=SETTINGS if settings is None else settings,
        )
        requests_seen[:] = server.received
    return answer


def pay_out(
    script: Script, order: PayoutOrder = ORDER, *, deadline_s: float = 5.0, **settings: str
) -> CallOutcome:
    with scripted_server(script) as server:
        outcome = calls("adyen").submit_payout(
            order=order,
            http=HttpClient(allow=server.allow),
            base_url=f"{server.origin}/adyen/",
            api_key=API_KEY,
            deadline_s=deadline_s,
            settings=SETTINGS | settings,
        )
        requests_seen[:] = server.received
    return outcome


def refund(script: Script, order: RefundOrder = REFUND_ORDER, **settings: str) -> CallOutcome:
    refunds = provider("adyen").refunds
    assert refunds is not None
    with scripted_server(script) as server:
        outcome = refunds.submit_refund(
            order=order,
            http=HttpClient(allow=server.allow),
            base_url=f"{server.origin}/adyen",
            api_key=API_KEY,
            deadline_s=5.0,
            settings=SETTINGS | settings,
        )
        requests_seen[:] = server.received
    return outcome
