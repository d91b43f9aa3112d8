"""Advice beside a dead letter: what class of failure it is and why, the likely cause, what to try.

A table of rules, read from the top: duplicate risk, timing, mapping, compliance placement, then
what the error's class says. Text only: nothing is prefilled, nothing runs on it, and no flow can
import it. Serves AI-8, RB-7 and WH-21.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

VERSION = "1"


@dataclass(frozen=True, slots=True)
class Advice:
    """`nature` is structural, transient or interrupted, with the rule's reason for saying so."""

    rule: str
    nature: str
    why: str
    likely: str
    suggestion: str


@dataclass(frozen=True, slots=True)
class Rule:
    """Fits when its expression is found in the error; `nature` "" keeps what the queue found."""

    key: str
    triage: str
    found: re.Pattern[str]
    nature: str
    why: str
    likely: str
    suggestion: str


def _rule(key: str, triage: str, found: str, nature: str, *words: str) -> Rule:
    return Rule(key, triage, re.compile(found, re.IGNORECASE), nature, *words)


STRUCTURAL, TRANSIENT, INTERRUPTED = "structural", "transient", "interrupted"
RULES = (
    _rule(
        "conflict",
        "duplicate risk",
        r"duplicate|IdempotencyConflict|already posted|other facts under|unique constraint",
        STRUCTURAL,
        "the same key stands with other facts, and time does not change facts",
        "the movement was posted before, or two events tell of it differently",
        "Open the trace of its object and compare the entries first; redrive only when the books "
        "lack the movement.",
    ),
    _rule(
        "interrupted",
        "duplicate risk",
        r"^Interrupted",
        INTERRUPTED,
        "its last attempt never ended; nothing says what that attempt did outside the database",
        "it kills its worker (memory, time), or workers were restarted again and again",
        "Redrive it alone and watch the worker; many of them at once point at the deployment.",
    ),
    _rule(
        "database",
        "timing",
        r"OperationalError|InterfaceError|lock timeout|deadlock|could not connect|server closed",
        TRANSIENT,
        "the database was away or busy; the event itself is sound",
        "the database was restarted, or a long lock stood in the way",
        "Check that the database is well, then redrive all of this cause.",
    ),
    _rule(
        "stale",
        "timing",
        r"StaleState|changed by somebody else|decided by another",
        TRANSIENT,
        "another transaction was faster each time",
        "many events of one object at once",
        "Redrive; the object is at rest by now.",
    ),
    _rule(
        "provider_away",
        "timing",
        r"Timeout|ConnectionError|ConnectError|no answer|rate.?limit|503|circuit",
        TRANSIENT,
        "somebody outside did not answer",
        "the provider was away or slowed us down",
        "Wait until its status page is green, then redrive all of this cause.",
    ),
    _rule(
        "period",
        "timing",
        r"period .*(locked|closed|closing)|PeriodLocked",
        TRANSIENT,
        "the day it belongs to is closed, and another day would take it",
        "the event came after the close",
        "Let finance open the next day, then redrive.",
    ),
    _rule(
        "beneficiary",
        "mapping",
        r"is not a beneficiary|names no seller|unknown seller|no such beneficiary",
        STRUCTURAL,
        "the name it carries stands in no table of ours",
        "the seller was not created here, or the shop sends another reference",
        "Create the seller or correct the reference at its source, then redrive all of this cause.",
    ),
    _rule(
        "shape",
        "mapping",
        r"contradicts itself|cannot be read|_missing|_malformed|names no amount|unparseable",
        STRUCTURAL,
        "a member the event needs is missing or has another shape",
        "the provider changed its format, or the account uses another API version",
        "Compare the path that did not fit with the provider's documents; redrive after the "
        "reader is put right.",
    ),
    _rule(
        "sequence",
        "mapping",
        r"may not go|impossible|not allowed from|cannot follow|in state",
        STRUCTURAL,
        "what it tells cannot follow on what the books show",
        "an event before it is missing, or the object was changed by hand",
        "Open the trace, look for the missing event in the provider's list, then redrive.",
    ),
    _rule(
        "placement",
        "compliance placement",
        r"on hold|gate|sanction|compliance|frozen",
        STRUCTURAL,
        "a gate stands against it and only people open gates",
        "the beneficiary is on hold or not cleared",
        "Ask compliance; redrive once the hold is released.",
    ),
    _rule(
        "fault",
        "our fault",
        r"^(KeyError|TypeError|AttributeError|IndexError|AssertionError|ValueError|Undecided)\b",
        STRUCTURAL,
        "the code fell over it, and would again",
        "a case the reader was not written for",
        "Hand engineering the event's id; redrive after the fix is deployed.",
    ),
)
BY_KIND = {
    STRUCTURAL: (
        "it was refused as impossible; no retry helps",
        "something in the event does not fit what is known here",
        "Read the error and the body, put the cause right, then redrive.",
    ),
    TRANSIENT: (
        "it failed as often as its lane allows, and not for what it says",
        "something it needs was away for long",
        "Redrive one; when it passes, redrive all of this cause.",
    ),
    INTERRUPTED: (
        "its last attempt never ended",
        "its worker died with it in hand",
        "Redrive it alone and watch the worker.",
    ),
}


def advise(row: Any) -> Advice:
    """Advice on a dead event or message, by its last error and the kind the queue found."""
    return advice_on(row.last_error, row.failure_kind)


def advice_on(error: str, kind: str) -> Advice:
    for rule in RULES:
        if rule.found.search(error):
            return Advice(
                f"{rule.triage}: {rule.key}, version {VERSION}",
                rule.nature,
                rule.why,
                rule.likely,
                rule.suggestion,
            )
    why, likely, suggestion = BY_KIND.get(kind, BY_KIND[TRANSIENT])
    return Advice(f"by kind, version {VERSION}", kind or TRANSIENT, why, likely, suggestion)
