"""Amounts and JSON as text: whole minor units in, decimal digits out, never a float."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from decimal import ROUND_HALF_EVEN, Context, Decimal
from json.encoder import encode_basestring
from typing import Any

from payops.core.money import exponent_of

RATE_DIGITS = 12
_EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)


class Number(str):
    """Digits that JSON shows as a number."""

    __slots__ = ()


def decimal_text(minor: int, currency: str) -> str:
    """Plain major units without separators, of any size: "-12400.00"."""
    exponent = exponent_of(currency)
    sign, digits = ("-" if minor < 0 else ""), str(abs(minor)).zfill(exponent + 1)
    return f"{sign}{digits[:-exponent]}.{digits[-exponent:]}" if exponent else sign + digits


def minor_of(text: str, currency: str) -> int:
    """The amount a file states, in minor units; refuses digits beyond the currency's own."""
    scaled = _EXACT.scaleb(Decimal(text), exponent_of(currency))
    if scaled != scaled.to_integral_value():
        raise ValueError(f"{text!r} has too many decimals for {currency}")
    return int(scaled)


def rate_text(reporting_minor: int, reporting: str, amount_minor: int, currency: str) -> str:
    """Units of `reporting` per unit of `currency`, to 12 digits; "" where there is no amount."""
    if currency == reporting:
        return "1"
    if not amount_minor:
        return ""
    shift = exponent_of(currency) - exponent_of(reporting)
    exact = _EXACT.divide(Decimal(abs(reporting_minor)), Decimal(abs(amount_minor)))
    rounded = Context(prec=RATE_DIGITS).plus(_EXACT.scaleb(exact, shift))
    return f"{rounded.normalize():f}"


def json_text(value: Any) -> str:
    """JSON in the order given; numbers are `Number` or int, and no float is ever made."""
    parts: list[str] = []
    _add(value, "\n", parts)
    return "".join(parts)


def json_list(name: str, texts: Iterable[str]) -> Iterator[bytes]:
    """A JSON object with one list of `texts`, each a JSON value, as it is streamed."""
    yield f'{{"{name}": ['.encode()
    before = "\n"
    for text in texts:
        yield (before + text).encode()
        before = ",\n"
    yield b"\n]}\n"


def _add(value: Any, line: str, parts: list[str]) -> None:
    """`line` is a line's end with the blanks that the next one begins with."""
    kind = type(value)
    if kind is str:
        parts.append(encode_basestring(value))
    elif kind is Number:
        parts.append(value)
    elif kind is dict and value:
        before, inner = "{", line + "  "
        for name, each in value.items():
            parts += (before, inner, encode_basestring(name), ": ")
            _add(each, inner, parts)
            before = ","
        parts += (line, "}")
    elif kind is list and value:
        before, inner = "[", line + "  "
        for each in value:
            parts += (before, inner)
            _add(each, inner, parts)
            before = ","
        parts += (line, "]")
    elif value is None or kind in (bool, int, dict, list):
        parts.append(json.dumps(value))
    else:
        raise TypeError(f"{kind.__name__} has no exact JSON text")
