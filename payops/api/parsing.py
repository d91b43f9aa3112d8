"""Reads the body of a request: strict JSON within limits, or a named refusal.

Refuses what would be read in two ways or break later: duplicate members, fractions (amounts are
text, D17), NaN, text that is not Unicode or holds NUL, deep nesting. Never builds a float.
"""

from __future__ import annotations

import json
from typing import IO, Any

from rest_framework.parsers import BaseParser
from rest_framework.request import Request

from payops.api.problems import Problem

BODY_BYTES_MAX = 16 * 1024
DEPTH_MAX = 8
INTEGER_DIGITS_MAX = 18


class StrictJSONParser(BaseParser):
    media_type = "application/json"

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Any = None
    ) -> dict[str, Any]:
        raw = stream.read(BODY_BYTES_MAX + 1)
        if len(raw) > BODY_BYTES_MAX:
            raise Problem("too-large", f"A body has at most {BODY_BYTES_MAX} bytes.")
        return read_object(raw)


def facts_of(request: Request) -> dict[str, Any]:
    """The JSON object of the body. Raises Problem."""
    if request.META.get("HTTP_TRANSFER_ENCODING") and not request.META.get("CONTENT_LENGTH"):
        raise Problem("length-required", "Send the body with a Content-Length, not in chunks.")
    facts = request.data
    if type(facts) is not dict or not facts:
        raise Problem("malformed-json", "The body must be a JSON object with members.")
    return facts


def read_object(raw: bytes) -> dict[str, Any]:
    try:
        value = _DECODER.decode(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise Problem("malformed-json", f"Byte {error.start} is not UTF-8.") from error
    except json.JSONDecodeError as error:
        words = f"{error.msg} at line {error.lineno}, column {error.colno}."
        raise Problem("malformed-json", words) from error
    except RecursionError as error:
        raise _too_deep() from error
    if not isinstance(value, dict):
        raise Problem("malformed-json", "The body must be a JSON object.")
    _check(value)
    return value


def _check(value: object) -> None:
    """Level by level, without recursion: depth and text that a database can hold."""
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > DEPTH_MAX:
            raise _too_deep()
        below: list[object] = []
        for item in level:
            if isinstance(item, dict):
                below += [*item, *item.values()]
            elif isinstance(item, list):
                below += item
            elif isinstance(item, str):
                _check_text(item)
        level = below


def _check_text(text: str) -> None:
    if "\x00" in text:
        raise Problem("malformed-json", "Text must not hold the NUL character.")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise Problem("malformed-json", "Text must not hold half of a surrogate pair.")


def _too_deep() -> Problem:
    return Problem("malformed-json", f"The body is nested deeper than {DEPTH_MAX} levels.")


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            raise Problem("malformed-json", f"The member {name[:64]!r} appears twice.")
        members[name] = value
    return members


def _fraction(text: str) -> None:
    words = f'{text[:40]} is not taken as a number; write amounts as text such as "1200.00".'
    raise Problem("malformed-json", words)


def _integer(text: str) -> int:
    if len(text) > INTEGER_DIGITS_MAX:
        raise Problem("malformed-json", f"A number has {len(text)} digits.")
    return int(text)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_members,
    parse_float=_fraction,
    parse_constant=_fraction,
    parse_int=_integer,
)
