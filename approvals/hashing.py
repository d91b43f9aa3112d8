"""The hash an approval is bound to: exactly what was asked, nothing about when or by whom (D6).

Facts are plain JSON with text keys; a float is refused, so that the hash of an amount never
depends on rounding. Serves AP-9 and I9.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from payops.core.money import Money

FACTS_DEPTH_MAX = 12


class FactsError(ValueError):
    """Facts that cannot be hashed for ever the same; the text names the place and the value."""


def content_hash_of(
    kind: str, subject_id: str, facts: Mapping[str, Any], amount: Money | None
) -> str:
    """SHA-256 over kind, subject, amount and facts in canonical JSON."""
    return hash_of(
        {
            "kind": kind,
            "subject_id": subject_id,
            "amount": None if amount is None else [str(amount.minor), amount.currency],
            "facts": plain(facts),
        }
    )


def hash_of(content: Any) -> str:
    text = json.dumps(plain(content), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def plain(value: Any, *, place: str = "facts", depth: int = 0) -> Any:
    """The value as JSON gives it back; FactsError where it would come back changed."""
    if depth > FACTS_DEPTH_MAX:
        raise FactsError(f"{place} is nested deeper than {FACTS_DEPTH_MAX} levels")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, str):
        if "\x00" in value:
            raise FactsError(f"{place} holds a NUL character")
        return str(value)
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise FactsError(f"{place} has the key {key!r}, which is not text")
        return {
            str(key): plain(inner, place=f"{place}.{key}", depth=depth + 1)
            for key, inner in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [
            plain(inner, place=f"{place}[{i}]", depth=depth + 1) for i, inner in enumerate(value)
        ]
    raise FactsError(
        f"{place} is a {type(value).__name__}; text, whole numbers, lists and maps fit"
    )
