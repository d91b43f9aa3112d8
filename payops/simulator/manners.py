"""How each provider wants to be spoken to and how it refuses: credentials, keys, error shapes.

Owns the credential checks and the wording of refusals; gateway.py applies them in one order for
all. Never looks at an object.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass

from payops.simulator.config import Config
from payops.simulator.store import new_id
from payops.simulator.wire import Refused, Request, Response, json_response

PROBLEM = "application/problem+json"
_ADYEN_CODES = {
    "api_key_invalid": ("010", "security"),
    "resource_missing": ("167", "validation"),
    "merchant_invalid": ("901", "security"),
    "declined": ("905", "configuration"),
    "key_in_use": ("704", "validation"),
}
_PAYPAL_NAMES = {
    400: "INVALID_REQUEST",
    401: "AUTHENTICATION_FAILURE",
    403: "NOT_AUTHORIZED",
    404: "RESOURCE_NOT_FOUND",
    409: "RESOURCE_CONFLICT",
    422: "UNPROCESSABLE_ENTITY",
    429: "RATE_LIMIT_REACHED",
    500: "INTERNAL_SERVER_ERROR",
    503: "SERVICE_UNAVAILABLE",
}


@dataclass(frozen=True)
class Manners:
    """What one face of a provider does in its own way."""

    authenticate: Callable[[Config, Request, float], None]
    refuse: Callable[[Refused], Response]
    key_changed: Callable[[], Refused]
    key_in_use: Callable[[], Refused]
    key_header: str = "Idempotency-Key"
    key_max: int = 255
    request_header: str = "Request-Id"
    tells_replay: bool = False


def bearer_or_basic(config: Config, request: Request, now: float) -> None:
    """Stripe and the standard provider: the key as bearer token or as Basic user name."""
    scheme, offered = _credential(request)
    if scheme == "basic":
        offered = _basic(offered).partition(":")[0]
    elif scheme != "bearer":
        offered = ""
    _same(offered, config.api_key)


def adyen_key(config: Config, request: Request, now: float) -> None:
    """Adyen: the key in a header of its own."""
    _same(request.headers.get("x-api-key", ""), config.adyen_key)


def paypal_client(config: Config, request: Request, now: float) -> None:
    """PayPal's token call: client id and secret by Basic."""
    scheme, offered = _credential(request)
    _same(_basic(offered) if scheme == "basic" else "", config.paypal_key)


def paypal_token_make(config: Config, now: float) -> str:
    """An access token that needs no memory: it names its own end and is sealed with the secret."""
    return _paypal_token(config, until=f"{now + config.token_s:.3f}")


def paypal_token(config: Config, request: Request, now: float) -> None:
    """PayPal's other calls: a token that was issued here and has not expired."""
    scheme, offered = _credential(request)
    until = offered.removeprefix("A21AA").partition("-")[0]
    try:
        is_fresh = float(until) > now
    except ValueError:
        is_fresh = False
    expected = _paypal_token(config, until=until)
    if scheme != "bearer" or not is_fresh or not _equal(offered, expected):
        raise Refused(401, "The access token is not valid.", code="api_key_invalid")


def _refuse_plainly(refusal: Refused) -> Response:
    return refusal.response()


def _refuse_checkout(refusal: Refused) -> Response:
    """Adyen's Checkout and classic APIs."""
    status = _adyen_status(refusal)
    code, kind = _ADYEN_CODES.get(str(refusal.error["code"]), ("702", "validation"))
    if status >= 500:
        code, kind = "000", "internal"
    answer = {
        "status": status,
        "errorCode": code,
        "message": refusal.error["message"],
        "errorType": kind,
    }
    return json_response(answer, status=status)


def _refuse_transfers(refusal: Refused) -> Response:
    """Adyen's balance platform: problem details."""
    status = _adyen_status(refusal)
    code, kind = _ADYEN_CODES.get(str(refusal.error["code"]), ("30_081", "validation"))
    answer: dict[str, object] = {
        "type": f"https://docs.adyen.com/errors/{kind}",
        "title": "Invalid request" if status < 500 else "Internal error",
        "status": status,
        "detail": refusal.error["message"],
        "requestId": new_id("", size=16).upper(),
        "errorCode": code,
    }
    if refusal.error["param"]:
        field = {"name": refusal.error["param"], "message": refusal.error["message"]}
        answer["invalidFields"] = [field]
    body = json.dumps(answer, indent=2, ensure_ascii=False).encode()
    return Response(status=status, body=body, content_type=PROBLEM)


def _refuse_paypal(refusal: Refused) -> Response:
    status = 422 if refusal.status == 402 else refusal.status
    code, message = refusal.error["code"], refusal.error["message"]
    if status == 401:
        answer: dict[str, object] = {"error": "invalid_token", "error_description": message}
        return json_response(answer, status=status)
    if code == "batch_known":
        # Both the name and the field are as PayPal's payouts reference gives them.
        detail = {"field": "SENDER_BATCH_ID", "location": "body", "issue": message}
        answer = {
            "name": "USER_BUSINESS_ERROR",
            "message": "User business error.",
            "debug_id": new_id("", size=14),
            "information_link": "",
            "details": [detail],
            "links": [{"href": refusal.error["param"], "rel": "self", "method": "GET"}],
        }
        return json_response(answer, status=status)
    detail = {"issue": str(code or "UNKNOWN").upper(), "description": str(message)}
    if refusal.error["param"]:
        detail |= {"field": str(refusal.error["param"]), "location": "body"}
    answer = {
        "name": _PAYPAL_NAMES.get(status, "INVALID_REQUEST"),
        "message": message,
        "debug_id": new_id("", size=14),
        "details": [detail],
        "links": [],
    }
    return json_response(answer, status=status)


def _adyen_status(refusal: Refused) -> int:
    return 422 if refusal.status in (400, 402) else refusal.status


def _credential(request: Request) -> tuple[str, str]:
    scheme, _, credential = request.headers.get("authorization", "").partition(" ")
    return scheme.lower(), credential.strip()


def _basic(credential: str) -> str:
    try:
        return base64.b64decode(credential, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _paypal_token(config: Config, *, until: str) -> str:
    seal = hmac.new(config.paypal_key.encode(), until.encode(), hashlib.sha256)
    return f"A21AA{until}-{seal.hexdigest()}"


def _same(offered: str, expected: str) -> None:
    if not _equal(offered, expected):
        raise Refused(401, "Invalid API key provided.", code="api_key_invalid")


def _equal(offered: str, expected: str) -> bool:
    return hmac.compare_digest(offered.encode(), expected.encode())


def _changed(message: str, *, status: int = 400, code: str | None = None) -> Callable[[], Refused]:
    return lambda: Refused(status, message, code=code, kind="idempotency_error")


def _in_use(message: str, code: str) -> Callable[[], Refused]:
    return lambda: Refused(409, message, code=code)


PLAIN = Manners(
    authenticate=bearer_or_basic,
    refuse=_refuse_plainly,
    key_changed=_changed(
        "Keys for idempotent requests can only be used with the same parameters they were first"
        " used with."
    ),
    key_in_use=_in_use(
        "There is currently another in-progress request using this Idempotent Key.",
        "idempotency_key_in_use",
    ),
    tells_replay=True,
)
_ADYEN_CHANGED = _changed("The idempotency key was used for another request.", status=422)
_ADYEN_IN_USE = _in_use("Request already processed or in progress.", "key_in_use")
ADYEN_TRANSFERS = Manners(
    authenticate=adyen_key,
    refuse=_refuse_transfers,
    key_changed=_ADYEN_CHANGED,
    key_in_use=_ADYEN_IN_USE,
    key_max=64,
)
ADYEN_CHECKOUT = Manners(
    authenticate=adyen_key,
    refuse=_refuse_checkout,
    key_changed=_ADYEN_CHANGED,
    key_in_use=_ADYEN_IN_USE,
    key_max=64,
)
_PAYPAL_CHANGED = _changed(
    "The PayPal-Request-Id was used for another request.", status=422, code="duplicate_request_id"
)
_PAYPAL_IN_USE = _in_use("A request with this PayPal-Request-Id is in progress.", "request_in_use")
PAYPAL_API = Manners(
    authenticate=paypal_token,
    refuse=_refuse_paypal,
    key_changed=_PAYPAL_CHANGED,
    key_in_use=_PAYPAL_IN_USE,
    key_header="PayPal-Request-Id",
    key_max=108,
    request_header="Paypal-Debug-Id",
)
PAYPAL_TOKEN = Manners(
    authenticate=paypal_client,
    refuse=_refuse_paypal,
    key_changed=_PAYPAL_CHANGED,
    key_in_use=_PAYPAL_IN_USE,
    key_header="PayPal-Request-Id",
    request_header="Paypal-Debug-Id",
)
