"""Adyen's side of the tests: its own library signs, our adapter reads."""

import copy
import json
from typing import Any

from Adyen.util import generate_notification_sig, generate_payload_sig

from payops.psp.base import AccountFacts, Authentication
from payops.psp.registry import adapter
from tests.psp.signed import NOW, fixture, named

KEY = "8f2a61c07b9d4e35a1f0c6d2e4b8739590fe12ab34cd56ef7801928374655a6b"
OTHER_KEY = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
MERCHANT = "MeridianECOM"
ACCOUNT = AccountFacts(
    provider="adyen", slug="demo", live=False, settings={"merchant_account": MERCHANT}
)
PLAIN_ITEM = {
    "amount": {"currency": "EUR", "value": 8000},
    "eventCode": "CAPTURE",
    "eventDate": "2025-12-29T10:40:00+01:00",
    "merchantAccountCode": MERCHANT,
    "merchantReference": "ORD-7781",
    "originalReference": "K7TRPAYMENT00001",
    "pspReference": "K7TRCAPTURE00001",
    "success": "true",
}


def item(**changes: Any) -> dict[str, Any]:
    """An unsigned item; a change to None leaves the member out."""
    changed = copy.deepcopy(PLAIN_ITEM) | changes
    return {name: value for name, value in changed.items() if value is not None}


def signed(told: dict[str, Any], *, key: str = KEY, **additional: Any) -> dict[str, Any]:
    """The item with Adyen's own signature of it."""
    mark = generate_notification_sig(told, key).decode()
    more = {**told.get("additionalData", {}), **additional, "hmacSignature": mark}
    return {**told, "additionalData": more}


def notification(*items: dict[str, Any], live: object = "false") -> bytes:
    listed = [{"NotificationRequestItem": told} for told in items]
    return json.dumps({"live": live, "notificationItems": listed}).encode()


def signed_fixture(name: str, *, key: str = KEY) -> bytes:
    body = json.loads(fixture("adyen", name))
    for holder in body["notificationItems"]:
        holder["NotificationRequestItem"] = signed(holder["NotificationRequestItem"], key=key)
    return json.dumps(body).encode()


def transfer(name: str = "transfer_booked", **changes: Any) -> bytes:
    """A platform webhook; `data__x` changes a member of its object, None leaves a member out."""
    body = json.loads(fixture("adyen", name))
    for name_of, value in changes.items():
        holder = body["data"] if name_of.startswith("data__") else body
        member = name_of.removeprefix("data__")
        if value is None:
            holder.pop(member, None)
        else:
            holder[member] = value
    return json.dumps(body).encode()


def header(raw: bytes, *, key: str = KEY) -> dict[str, str]:
    return {"hmacsignature": generate_payload_sig(raw, key).decode()}


def read(
    raw: bytes,
    headers: dict[str, str] | None = None,
    *,
    secrets: tuple[str, ...] = (KEY,),
    account: AccountFacts = ACCOUNT,
) -> Authentication:
    return adapter("adyen").authenticate(
        raw=raw, headers=headers or {}, secrets=named(secrets), now=NOW, account=account
    )


def read_transfer(raw: bytes, **arguments: Any) -> Authentication:
    return read(raw, header(raw), **arguments)
