"""What the rules say about a record: three sentences, lines beside them, drafts to copy.

Text and nothing else: it is bounded here and escaped where it is shown; nothing is sent, filled in
or carried out (D1, AI-2). Pure.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from payops.core.money import Money

UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
TEXT_CHARS_MAX = 600
DRAFT_CHARS_MAX = 2400
LINES_MAX, DRAFTS_MAX = 12, 3
# Of what others wrote (references, codes), so much of one is repeated at most.
QUOTED_CHARS_MAX = 64


@dataclass(frozen=True, slots=True)
class Line:
    """One line under the sentences: what it is about, and its words with their figures."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Draft:
    """A message somebody may copy, change and send by themselves."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Said:
    summary: str
    likely_cause: str
    next_step: str
    suggests: str = ""
    lines: tuple[Line, ...] = ()
    drafts: tuple[Draft, ...] = ()

    @property
    def output(self) -> dict[str, Any]:
        """As a Recommendation keeps what stands beside its sentences."""
        return {
            "lines": [[line.title, clipped(line.text)] for line in self.lines[:LINES_MAX]],
            "drafts": [
                [draft.title, clipped(draft.text, DRAFT_CHARS_MAX)]
                for draft in self.drafts[:DRAFTS_MAX]
            ],
        }


def hash_of(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def clipped(text: str, chars_max: int = TEXT_CHARS_MAX) -> str:
    return text if len(text) <= chars_max else f"{text[: chars_max - 1]}…"


def quoted(text: str, chars_max: int = QUOTED_CHARS_MAX) -> str:
    """Text from outside, on one line, without characters that nobody sees, cut where it is long."""
    return clipped(" ".join(UNPRINTABLE.sub(" ", text).split()), chars_max)


def counted(count: int, noun: str) -> str:
    """ "1 refund", "no refunds", "3 refunds"."""
    return f"{count or 'no'} {noun}{'' if count == 1 else 's'}"


def sentence(words: str) -> str:
    """With a capital in front and a full stop behind; the rest as it is."""
    return f"{words[:1].upper()}{words[1:]}."


def money(minor: int, currency: str) -> str:
    return str(Money(minor, currency))


def day_text(iso_date: str) -> str:
    """ "2026-12-01" as "1 December 2026", the same in every locale."""
    year, month, day = iso_date[:10].split("-")
    return f"{int(day)} {MONTHS[int(month) - 1]} {year}"


MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August"),
    *("September", "October", "November", "December"),
)
