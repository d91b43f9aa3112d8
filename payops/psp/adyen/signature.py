"""Adyen's two signatures: over eight fields of each classic item, over the raw body elsewhere.

Owns the key form (hex, either case) and the exact text that is signed. The fields are joined with
colons and nothing is escaped, so only the merchant's own reference may contain one: with a colon
in any other field the same signature would fit another reading. Serves WH-2 and SE-1.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any

from payops.psp import signing
from payops.psp.base import EventRefused, SecretValue
from payops.psp.strictjson import child

HEX_KEY = re.compile(r"(?:[0-9a-fA-F]{2}){16,64}", re.ASCII)
FREE_FIELD = "merchantReference"
SIGNED_FIELDS = (
    "pspReference",
    "originalReference",
    "merchantAccountCode",
    "merchantReference",
    "value",
    "currency",
    "eventCode",
    "success",
)

Keys = Sequence[tuple[str, bytes]]


def usable_keys(secrets: Sequence[SecretValue]) -> list[tuple[str, bytes]]:
    """(secret id, key) of every secret in the form Adyen shows it; others verify nothing."""
    return [
        (secret.id, bytes.fromhex(secret.value))
        for secret in secrets
        if HEX_KEY.fullmatch(secret.value)
    ]


def verifying_secret(text: bytes, signature: str, keys: Keys) -> str | None:
    """The id of the first secret whose signature of `text` this is, comparing with all of them."""
    if not signature.isascii():
        return None
    given, verified = signature.encode("ascii"), None
    for secret_id, key in keys:
        expected = base64.b64encode(signing.hmac_sha256(key, text))
        if signing.any_equal(expected, [given]) and verified is None:
            verified = secret_id
    return verified


def signed_text(item: Mapping[str, Any]) -> bytes:
    """What Adyen signs of a classic item. Raises EventRefused when it is ambiguous or no text."""
    amount = child(item, "amount")
    given = {**item, "value": amount.get("value"), "currency": amount.get("currency")}
    parts = []
    for name in SIGNED_FIELDS:
        text = _as_text(given.get(name))
        if ":" in text and name != FREE_FIELD:
            raise EventRefused("item_ambiguous")
        parts.append(text)
    return ":".join(parts).encode("utf-8")


def _as_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | str):
        return str(value)
    raise EventRefused("item_malformed")
