"""Reads JSON that somebody else wrote, within limits, into values that every later step can hold.

Refuses duplicate keys, NaN and Infinity, lone surrogates, NUL, deep nesting and long integers
before they can reach a parser or a database that chokes on them. Numbers with a fraction stay
text, so no float can come near money. Serves design "Webhook edge" and D17.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from payops.psp.base import LIMITS, EventRefused

_BRACKETS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)
WORD = re.compile(r"[A-Za-z0-9_-]{1,32}", re.ASCII)
_RISKY_ESCAPE = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")


def read_object(raw: bytes) -> dict[str, Any]:
    """The body as a dict. Raises EventRefused with a machine code, and nothing else."""
    if len(raw) > LIMITS.body_bytes_max:
        raise EventRefused("body_too_large")
    if raw.count(b"[") + raw.count(b"{") > LIMITS.depth_max and _depth(raw) > LIMITS.depth_max:
        raise EventRefused("nested_too_deep")
    try:
        value = _DECODER.decode(raw.decode("utf-8"))
    except EventRefused:
        raise
    except UnicodeDecodeError as error:
        raise EventRefused("not_utf8") from error
    except (ValueError, RecursionError) as error:
        raise EventRefused("not_json") from error
    if not isinstance(value, dict):
        raise EventRefused("not_an_object")
    if _RISKY_ESCAPE.search(raw):
        _check_text(value)
    return value


def fingerprint(facts: Mapping[str, object]) -> str:
    """sha256 of the canonical JSON of the business fields given (I3)."""
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def text_or_none(value: object, limit: int = LIMITS.text_chars_max) -> str | None:
    """Non-empty text cut to the limit, else None."""
    return value[:limit] if isinstance(value, str) and value else None


def id_or_none(value: object) -> str | None:
    """An identifier: short printable ASCII without blanks, else None. Ids are never cut."""
    if not isinstance(value, str) or not 0 < len(value) <= LIMITS.id_chars_max:
        return None
    return value if value.isascii() and value.isprintable() and " " not in value else None


def word_or_none(value: object) -> str | None:
    """A short word of a closed kind, such as a payment method; anything else is None."""
    return value if isinstance(value, str) and WORD.fullmatch(value) else None


def int_or_none(value: object) -> int | None:
    """A whole number; true and false are not numbers."""
    return value if type(value) is int else None


def child(value: object, name: str) -> dict[str, Any]:
    """The named member when it is an object, else an empty one."""
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in members if names.count(name) > 1)
        raise EventRefused("duplicate_key", id_or_none(twice) or "")
    return members


def _integer(text: str) -> int:
    if len(text) > LIMITS.integer_digits_max:
        raise EventRefused("integer_too_long")
    return int(text)


def _no_constant(text: str) -> None:
    raise EventRefused("not_a_number")


def _depth(raw: bytes) -> int:
    depth = deepest = 0
    for match in _BRACKETS.finditer(raw):
        token = match.group()
        if token in (b"[", b"{"):
            depth += 1
            deepest = max(deepest, depth)
        elif token in (b"]", b"}"):
            depth -= 1
    return deepest


def _check_text(value: object) -> None:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            waiting.extend(item)
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
        elif isinstance(item, str):
            if "\x00" in item:
                raise EventRefused("nul_character")
            if not item.isascii() and any("\ud800" <= character <= "\udfff" for character in item):
                raise EventRefused("lone_surrogate")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=str, parse_constant=_no_constant
)
