"""Reads a model's answer as the stranger's text it is: exactly the schema, or it is discarded.

Whatever the answer holds, it becomes four short texts beside a decision and nothing else; no code
acts on them (D1). Serves AI-2, AI-9.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from payops.triage.prompts import LIMITS
from payops.triage.said import UNPRINTABLE

ANSWER_CHARS_MAX = 8000
MEMBERS = frozenset({*LIMITS, "suggests"})
# Advice sends nobody anywhere: no links, no addresses, no markup that could become one.
LINK = re.compile(r"(?i)[a-z][a-z0-9+.-]{1,20}://|\bwww\.|[^\s@]+@[^\s@]+\.\w|\]\(|<[a-z/!]")


class AnswerDiscarded(ValueError):
    """The text says what did not fit; it never repeats the answer."""


@dataclass(frozen=True, slots=True)
class Advised:
    summary: str
    likely_cause: str
    next_step: str
    suggests: str


def read_answer(text: str, *, suggestions: Collection[str]) -> Advised:
    """Raises AnswerDiscarded."""
    if len(text) > ANSWER_CHARS_MAX:
        raise AnswerDiscarded(
            f"the answer has {len(text)} characters; {ANSWER_CHARS_MAX} are allowed"
        )
    said = _object(text)
    if said.keys() != MEMBERS:
        missing, more = len(MEMBERS - said.keys()), len(said.keys() - MEMBERS)
        raise AnswerDiscarded(f"the answer lacks {missing} members and has {more} unknown ones")
    for name, value in said.items():
        if not isinstance(value, str):
            raise AnswerDiscarded(f"{name} is no text")
    for name, chars_max in LIMITS.items():
        _check(name, said[name], chars_max)
    if said["suggests"] and said["suggests"] not in suggestions:
        raise AnswerDiscarded("it suggests what is not among the resolutions of this case")
    return Advised(**said)


def _check(name: str, text: str, chars_max: int) -> None:
    if not text.strip():
        raise AnswerDiscarded(f"{name} is empty")
    if len(text) > chars_max:
        raise AnswerDiscarded(f"{name} has {len(text)} characters; {chars_max} are allowed")
    if UNPRINTABLE.search(text):
        raise AnswerDiscarded(f"{name} holds characters that nobody sees")
    if LINK.search(text):
        raise AnswerDiscarded(f"{name} holds a link, an address or markup")


def _object(text: str) -> dict[str, Any]:
    try:
        said = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except AnswerDiscarded:
        raise
    except (ValueError, RecursionError):
        raise AnswerDiscarded("the answer is no JSON") from None
    if not isinstance(said, dict):
        raise AnswerDiscarded("the answer is no JSON object")
    return said


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise AnswerDiscarded("the answer has a member twice")
    return made


def _no_constant(name: str) -> Any:
    raise AnswerDiscarded(f"the answer holds {name}")
