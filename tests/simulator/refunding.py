"""One way to refund and to read at every shape of provider, as its own client would."""

import json
from collections.abc import Callable
from typing import Any

from tests.simulator.process import Process, Received, Receiver, Reply

PROVIDERS = ("stripe", "adyen", "paypal", "standard")


def paid(simulator: Process, provider: str, **more: Any) -> str:
    """The id of a payment of 100.00 EUR."""
    asked = {"amount": 10_000, "fee": 0, "platform_fee": 0, "reference": "ORDER-1"} | more
    return str(simulator.pay_in(provider, **asked)["payment"]["id"])


def refund(
    simulator: Process,
    provider: str,
    payment: str,
    amount: int,
    *,
    reference: str = "rf_1",
    key: str | None = "k1",
    currency: str = "EUR",
    timeout_s: float = 10.0,
) -> Reply:
    """Ask for a refund in the provider's own words."""
    asked: dict[str, Any]
    if provider == "stripe":
        asked = {"charge": payment, "amount": amount, "metadata[payops_reference]": reference}
        return simulator.stripe("POST", "/refunds", asked, key=key, timeout_s=timeout_s)
    if provider == "adyen":
        asked = {
            "merchantAccount": "MeridianDE",
            "amount": {"value": amount, "currency": currency},
            "reference": reference,
        }
        path = f"/checkout/v71/payments/{payment}/refunds"
        return simulator.adyen("POST", path, asked, key=key, timeout_s=timeout_s)
    if provider == "paypal":
        value = f"{amount // 100}.{amount % 100:02d}"
        asked = {
            "amount": {"value": value, "currency_code": currency},
            "custom_id": reference,
            "invoice_id": reference,
        }
        path = f"/v2/payments/captures/{payment}/refund"
        return simulator.paypal("POST", path, asked, key=key, timeout_s=timeout_s)
    asked = {"payment": payment, "reference": reference, "amount": amount, "currency": currency}
    return simulator.standard("POST", "/refunds", asked, key=key)


def found(simulator: Process, provider: str, payment: str) -> list[tuple[str, int]]:
    """(our reference, amount) of a payment's refunds as the provider lists them, oldest first."""
    if provider == "stripe":
        rows = simulator.stripe("GET", "/refunds", {"charge": payment}).json["data"]
        return [(row["metadata"]["payops_reference"], row["amount"]) for row in rows[::-1]]
    if provider == "standard":
        rows = simulator.standard("GET", f"/refunds?payment={payment}").json["data"]
        return [(row["reference"], row["amount"]) for row in rows[::-1]]
    assert provider == "paypal"
    capture = simulator.paypal("GET", f"/v2/payments/captures/{payment}").json
    number = capture["supplementary_data"]["related_ids"]["order_id"]
    (unit,) = simulator.paypal("GET", f"/v2/checkout/orders/{number}").json["purchase_units"]
    assert [row["id"] for row in unit["payments"]["captures"]] == [payment]
    return [
        (row["custom_id"], int(row["amount"]["value"].replace(".", "")))
        for row in unit["payments"]["refunds"]
    ]


def told(receiver: Receiver) -> list[str]:
    """The types of everything received, sorted, payments left out."""
    types = [type for webhook in receiver.received for type in types_of(webhook)]
    payments = {"charge.succeeded", "AUTHORISATION", "CAPTURE", "payment.captured"}
    return sorted(set_aside(types, payments | {"PAYMENT.CAPTURE.COMPLETED"}))


def set_aside(types: list[str], unwanted: set[str]) -> list[str]:
    return [type for type in types if type not in unwanted]


def types_of(webhook: Received) -> list[str]:
    event = json.loads(webhook.body)
    if "notificationItems" in event:
        return [item["NotificationRequestItem"]["eventCode"] for item in event["notificationItems"]]
    return [str(event.get("event_type") or event["type"])]


def last_told(receiver: Receiver, wanted: str) -> dict[str, Any]:
    """The subject of the last webhook of a type, as the provider shows it there."""
    for webhook in reversed(receiver.received):
        if wanted in types_of(webhook):
            return _SUBJECTS[webhook.path.split("/")[2]](json.loads(webhook.body))
    raise AssertionError(f"{wanted} was never told")


def moved(simulator: Process) -> list[tuple[str, str, int]]:
    """(kind, direction, amount) of every movement but the payments."""
    rows = simulator.control("GET", "/movements")["movements"]
    return [(r["kind"], r["direction"], r["amount"]) for r in rows if r["kind"] != "payment"]


_SUBJECTS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "stripe": lambda event: dict(event["data"]["object"]),
    "adyen": lambda event: dict(event["notificationItems"][0]["NotificationRequestItem"]),
    "paypal": lambda event: dict(event["resource"]),
    "standard": lambda event: dict(event["data"]),
}
