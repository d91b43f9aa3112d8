"""Advice beside a dead letter: what class of failure it is and why, the likely cause, what to try.

A table of rules, read from the top: duplicate risk, timing, mapping, compliance placement, then
what the kind of failure says. Rules look at the structured error, never at free text. Text only:
nothing is prefilled, nothing runs on it, and no flow can import it. Serves AI-8, RB-7 and WH-21.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

VERSION = "2"


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
    """Fits an error by its class, by the code of its reason, or by a sentence of our own flows.

    What a provider wrote is never looked at: only a StructuralMismatch has sentences, and each is
    held against the whole of it.
    """

    key: str
    triage: str
    nature: str
    why: str
    likely: str
    suggestion: str
    classes: frozenset[str] = frozenset()
    reasons: re.Pattern[str] | None = None
    sentence: re.Pattern[str] | None = None

    def fits(self, said: Said) -> bool:
        if said.cls in self.classes:
            return True
        if said.cls not in ("", MISMATCH):
            return False
        if said.reason:
            return bool(self.reasons and self.reasons.fullmatch(said.reason))
        return bool(self.sentence and self.sentence.fullmatch(said.text))


@dataclass(frozen=True, slots=True)
class Said:
    """An error as the queue kept it: class, text, and the code of its reason where it has one."""

    cls: str
    text: str
    reason: str


MISMATCH = "StructuralMismatch"
KEPT = re.compile(r"(?P<cls>[A-Z]\w*[a-z]\w*)(?:: (?P<text>.*))?", re.DOTALL)
# "the event contradicts itself: amount_malformed at data.amount"; codes are lower case with "_".
CODED = re.compile(
    r"(?:the event [a-z ]+: )?(?P<reason>[a-z]+(?:_[a-z]+)+|data|id|type)(?: at [^\n]*)?"
)


def _kept(error: str) -> Said:
    found = KEPT.fullmatch(error)
    cls, text = (found["cls"], found["text"] or "") if found else ("", error)
    coded = CODED.fullmatch(text) if cls in ("", MISMATCH) else None
    return Said(cls, text, coded["reason"] if coded else "")


STRUCTURAL, TRANSIENT, INTERRUPTED = "structural", "transient", "interrupted"
RULES = (
    Rule(
        "conflict",
        "duplicate risk",
        STRUCTURAL,
        "the same key stands with other facts, and time does not change facts",
        "the movement was posted before, or two events tell of it differently",
        "Open the trace of its object and compare the entries first; redrive only when the books "
        "lack the movement.",
        classes=frozenset({"KeyConflict", "AlreadyReversed", "IntegrityError", "UniqueViolation"}),
    ),
    Rule(
        "interrupted",
        "duplicate risk",
        INTERRUPTED,
        "its last attempt never ended; nothing says what that attempt did outside the database",
        "it kills its worker (memory, time), or workers were restarted again and again",
        "Redrive it alone and watch the worker; many of them at once point at the deployment.",
        classes=frozenset({"Interrupted"}),
    ),
    Rule(
        "database",
        "timing",
        TRANSIENT,
        "the database was away or busy; the event itself is sound",
        "the database was restarted, or a long lock stood in the way",
        "Check that the database is well, then redrive all of this cause.",
        classes=frozenset(
            {"OperationalError", "InterfaceError", "DeadlockDetected", "LockNotAvailable"}
        ),
    ),
    Rule(
        "stale",
        "timing",
        TRANSIENT,
        "another transaction was faster each time",
        "many events of one object at once",
        "Redrive; the object is at rest by now.",
        classes=frozenset({"StaleState"}),
    ),
    Rule(
        "provider_away",
        "timing",
        TRANSIENT,
        "somebody outside did not answer",
        "the provider was away or slowed us down",
        "Wait until its status page is green, then redrive all of this cause.",
        classes=frozenset(
            {"TimeoutError", "ConnectionError", "ConnectionRefusedError", "ConnectionResetError"}
            | {"ConnectionAbortedError", "BrokenPipeError", "HttpFailed", "HttpUnknown"}
            | {"EvidenceAway", "TokenAway"}
        ),
    ),
    Rule(
        "period",
        "timing",
        TRANSIENT,
        "the day it belongs to is closed, and another day would take it",
        "the event came after the close",
        "Let finance open the next day, then redrive.",
        classes=frozenset({"PeriodLocked"}),
    ),
    Rule(
        "beneficiary",
        "mapping",
        STRUCTURAL,
        "the name it carries stands in no table of ours",
        "the seller was not created here, or the shop sends another reference",
        "Create the seller or correct the reference at its source, then redrive all of this cause.",
        sentence=re.compile(
            r"the event names seller .*, which is not a beneficiary of this book", re.DOTALL
        ),
    ),
    Rule(
        "repeated_member",
        "mapping",
        STRUCTURAL,
        "one member stands twice in the body, and readers disagree about which of them counts",
        "the provider's sender is at fault, or somebody between changed the body",
        "Ask the provider to send the event anew; no redrive of this body helps.",
        reasons=re.compile(r"duplicate_key"),
    ),
    Rule(
        "shape",
        "mapping",
        STRUCTURAL,
        "a member the event needs is missing or has another shape",
        "the provider changed its format, or the account uses another API version",
        "Compare the path that did not fit with the provider's documents; redrive after the "
        "reader is put right.",
        reasons=re.compile(r"[a-z_]+"),
        sentence=re.compile(r".* names no amount", re.DOTALL),
    ),
    Rule(
        "sequence",
        "mapping",
        STRUCTURAL,
        "what it tells cannot follow on what the books show",
        "an event before it is missing, or the object was changed by hand",
        "Open the trace, look for the missing event in the provider's list, then redrive.",
        classes=frozenset({"TransitionNotAllowed", "PredecessorMissing", "ImpossibleState"}),
        sentence=re.compile(r".* is not possible for (?:payout|payment) \S+ in [A-Z_]+", re.DOTALL),
    ),
    Rule(
        "amounts",
        "mapping",
        STRUCTURAL,
        "its amounts contradict what the books hold of the same object",
        "the provider captured or charged another amount than was authorised",
        "Compare the payment with the provider's record; redrive after the amount is explained.",
        sentence=re.compile(
            r"captured .* authorised for .*|platform fee \d+ exceeds the captured .*", re.DOTALL
        ),
    ),
    Rule(
        "placement",
        "compliance placement",
        STRUCTURAL,
        "a gate stands against it and only people open gates",
        "the beneficiary is on hold or not cleared",
        "Ask compliance; redrive once the hold is released.",
        classes=frozenset({"HoldRefused"}),
    ),
    Rule(
        "fault",
        "our fault",
        STRUCTURAL,
        "the code fell over it, and would again",
        "a case the reader was not written for",
        "Hand engineering the event's id; redrive after the fix is deployed.",
        classes=frozenset(
            {"KeyError", "TypeError", "AttributeError", "IndexError", "AssertionError"}
            | {"ValueError", "Undecided"}
        ),
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
    said = _kept(error)
    for rule in RULES:
        if rule.fits(said):
            return Advice(
                f"{rule.triage}: {rule.key}, version {VERSION}",
                rule.nature,
                rule.why,
                rule.likely,
                rule.suggestion,
            )
    why, likely, suggestion = BY_KIND.get(kind, BY_KIND[TRANSIENT])
    return Advice(f"by kind, version {VERSION}", kind or TRANSIENT, why, likely, suggestion)
