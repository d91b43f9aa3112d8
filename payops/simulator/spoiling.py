"""What an ordered fault does to one call: before it is executed, in place of it, and to its answer.

Owns the wrong answers. An answer that is wrong in itself (amount, currency, reference) is stored
under the key and replayed wrong; one that is lost or spoilt on its way is stored as it was right.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from payops.simulator.faults import Fault
from payops.simulator.wire import CLOSE, RESET, Refused, Response, json_response

# Faults that put something else in the place of an answer.
SPOILT = ("redirect", "trickle", "huge", "empty", "html")
ELSEWHERE = "/elsewhere"
PAGE = b"<!doctype html><html><head><title>Service</title></head><body>Please wait.</body></html>"
REFERENCES = ("payops_reference", "reference", "custom_id", "sender_item_id")
Refuse = Callable[[Refused], Response]


def before_execution(fault: Fault | None, refuse: Refuse, *, address: str) -> Response | None:
    """The answer of a fault that strikes before anything is executed or stored."""
    if fault is None:
        return None
    if fault.kind == "timeout_before":
        return Response(status=504, body=b"", ending=CLOSE, pause_s=fault.delay_s)
    refusals = {
        "500": Refused(500, "An unexpected error occurred.", kind="api_error"),
        "503": Refused(503, "The service is unavailable, try again.", kind="api_error"),
        "429": Refused(429, "Too many requests.", code="rate_limit"),
        "401": Refused(401, "The credentials have expired.", code="api_key_invalid"),
    }
    if fault.kind in SPOILT and not fault.executed:
        return after_execution(fault, json_response({}), address=address)
    refusal = refusals.get(fault.kind)
    if refusal is None:
        return None
    headers = {"Retry-After": str(fault.retry_after_s)} if fault.kind in ("429", "503") else {}
    return replace(refuse(refusal), headers=headers, pause_s=fault.delay_s)


def during_execution(fault: Fault | None, work: Callable[[], Response], refuse: Refuse) -> Response:
    """Run the work, or what the fault makes of it."""
    if fault is None:
        return work()
    if fault.kind == "500_stored":
        if fault.moves_money:
            work()
        return refuse(Refused(500, "An unexpected error occurred.", kind="api_error"))
    if fault.kind == "declined":
        return refuse(Refused(402, "The request was declined.", code="declined"))
    response = work()
    if fault.kind == "wrong_amount" and not fault.booked:
        return _other_amount(response, delta=fault.delta)
    if fault.kind == "wrong_currency":
        return _rewritten(response, _other_currency)
    if fault.kind == "wrong_reference":
        return _rewritten(response, _other_reference)
    return response


def after_execution(fault: Fault | None, response: Response, *, address: str) -> Response:
    """Lose or spoil the answer of work that was done; a replay of it is spoilt alike."""
    if fault is None:
        return response
    if fault.kind == "timeout_after_success":
        return replace(response, ending=CLOSE, pause_s=fault.delay_s)
    if fault.kind == "reset_after_success":
        return replace(response, ending=RESET, pause_s=fault.delay_s)
    if fault.kind == "trickle":
        return replace(response, byte_s=fault.delay_s)
    if fault.kind == "huge":
        # Blanks after the answer are still the same JSON: only its size is wrong.
        return replace(response, padding=fault.bytes)
    if fault.kind == "redirect":
        headers = {**response.headers, "Location": f"{address}{ELSEWHERE}"}
        return replace(response, status=307, body=b"", headers=headers, pause_s=fault.delay_s)
    if fault.kind == "empty":
        return replace(response, status=200, body=b"", pause_s=fault.delay_s)
    if fault.kind == "html":
        kind = "text/html; charset=utf-8"
        return replace(response, status=200, body=PAGE, content_type=kind, pause_s=fault.delay_s)
    return response


def _other_amount(response: Response, *, delta: int) -> Response:
    """The answer with another amount, wherever this provider's objects carry theirs."""
    answer = json.loads(response.body)
    rows = [answer, *(answer.get("data") or ()), *(answer.get("items") or ())]
    for row in rows:
        for place in (row, row.get("payout_item"), row.get("batch_header")):
            if isinstance(place, dict) and "amount" in place:
                place["amount"] = _plus(place["amount"], delta)
    return replace(response, body=json.dumps(answer, indent=2).encode())


def _plus(amount: Any, delta: int) -> Any:
    """Minor units, an object of minor units, or one of decimal text."""
    if isinstance(amount, dict):
        return {**amount, "value": _plus(amount.get("value"), delta)}
    if isinstance(amount, str):
        whole, point, part = amount.partition(".")
        digits = str(int(whole + part) + delta).rjust(len(part) + 1, "0")
        return digits[: len(digits) - len(part)] + point + digits[len(digits) - len(part) :]
    return amount + delta if isinstance(amount, int) else amount


def _rewritten(response: Response, change: Callable[[Any], Any]) -> Response:
    """The answer with every member, at any depth, as `change` makes it of (name, value)."""
    answer = _walk(json.loads(response.body), change)
    return replace(response, body=json.dumps(answer, indent=2).encode())


def _walk(value: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(value, list):
        return [_walk(each, change) for each in value]
    if isinstance(value, dict):
        return {name: change((name, _walk(each, change))) for name, each in value.items()}
    return value


def _other_currency(member: tuple[str, Any]) -> Any:
    name, value = member
    if name not in ("currency", "currency_code") or not isinstance(value, str):
        return value
    other = "CHF" if value.upper() != "CHF" else "USD"
    return other.lower() if value.islower() else other


def _other_reference(member: tuple[str, Any]) -> Any:
    name, value = member
    return f"{value}x" if name in REFERENCES and isinstance(value, str) else value
