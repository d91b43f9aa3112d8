"""How a state looks: its word, its tone and its shape.

Owns the one table from state value to appearance, read by the template tags and by the pictures.
Never decides anything: a state missing here is shown in the neutral tone under its own name, so
that a new state is visible before it is styled. Status is a word and a shape; colour only helps.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.safestring import SafeString, mark_safe

TONES = ("good", "info", "warn", "bad", "quiet")

# Paths in a 12 by 12 box, drawn in currentColor; holes are cut with the even-odd rule.
SHAPE_PATHS = {
    "good": "M6 0a6 6 0 1 1 0 12A6 6 0 0 1 6 0ZM5.2 8.9l4.1-4.6-1.1-1-3 3.4-1.5-1.4-1 1.1Z",
    "info": "M6 0a6 6 0 1 1 0 12A6 6 0 0 1 6 0Zm0 1.6a4.4 4.4 0 1 0 0 8.8Z",
    "warn": "M6 .6 12 11.4H0ZM5.3 4.6l.2 3.2h1l.2-3.2Zm0 4.2v1.3h1.4V8.8Z",
    "bad": "M3.5 0h5L12 3.5v5L8.5 12h-5L0 8.5v-5ZM3.3 4.3 5 6 3.3 7.7l1 1L6 7l1.7 1.7 "
    "1-1L7 6l1.7-1.7-1-1L6 5 4.3 3.3Z",
    "quiet": "M6 0a6 6 0 1 1 0 12A6 6 0 0 1 6 0Zm0 1.6a4.4 4.4 0 1 0 0 8.8 4.4 4.4 0 0 0 0-8.8Z",
    "pause": "M1.5 1h3.2v10H1.5Zm5.8 0h3.2v10H7.3Z",
}

# (tone, shape, the states that look so)
_ROWS = (
    (
        "good",
        "good",
        "PROCESSED PAID SUCCEEDED RESOLVED APPROVED VERIFIED ACTIVE PASSED POSTED SEALED LOCKED "
        "DONE COMPLETED DELIVERED SENT ACCEPTED MATCHED CAPTURED CLEARED OK VALID APPROVE "
        "WON",
    ),
    (
        "info",
        "info",
        "RECEIVED REQUESTED OPEN TRIAGED DISPATCHING IN_TRANSIT EXECUTING RUNNING CLOSING "
        "AUTHORIZED READY SUBMITTED RETRYING IN_PROGRESS",
    ),
    (
        "warn",
        "warn",
        "AWAITING_APPROVAL PENDING UNKNOWN EXCEPTION LEDGER_PENDING RETURNED REPEATED STALE "
        "DUE_SOON COOLING UNVERIFIED REVERSED DISPUTED INQUIRY UNDER_REVIEW",
    ),
    ("warn", "pause", "BLOCKED PARKED WAITING HELD ON_HOLD SNOOZED PAUSED"),
    (
        "bad",
        "bad",
        "FAILED FAILED_LATE DEAD REFUSED REJECTED OVERDUE BREACHED INVALID ERROR BROKEN REJECT "
        "LOST",
    ),
    (
        "quiet",
        "quiet",
        "DRAFT IGNORED DISCARDED CANCELED WITHDRAWN VOID EXPIRED RELEASED CLOSED SKIPPED "
        "DUPLICATE SUPERSEDED INACTIVE NONE NOT_YET",
    ),
)
_LABELS = {
    "VOID": "Voided",
    "DEAD": "Dead letter",
    "OK": "OK",
    "IP_NOT_ALLOWED": "IP address not allowed",
}


@dataclass(frozen=True, slots=True)
class Look:
    """`tone` is one of TONES and picks the colour; `shape` is a key of SHAPE_PATHS."""

    word: str
    tone: str
    shape: str


_LOOKS = {state: (tone, shape) for tone, shape, states in _ROWS for state in states.split()}


def look_of(state: object, *, label: str = "", tone: str = "") -> Look:
    """The look of a state value such as "IN_TRANSIT"; `label` and `tone` overrule the table."""
    value = str(state).strip() if state is not None else ""
    found_tone, shape = _LOOKS.get(value.upper(), ("quiet", "quiet"))
    if tone in TONES:
        found_tone, shape = tone, shape if tone == found_tone else tone
    return Look(word=label or word_of(value), tone=found_tone, shape=shape)


def word_of(state: str) -> str:
    """ "AWAITING_APPROVAL" → "Awaiting approval"; words already meant for people stay."""
    if state.upper() in _LABELS:
        return _LABELS[state.upper()]
    if not state:
        return "None"
    if state.isupper() or "_" in state:
        return state.replace("_", " ").strip().capitalize()
    return state


def shape_markup(shape: str) -> SafeString:
    """The 12 by 12 mark, hidden from screen readers because the word stands beside it."""
    path = SHAPE_PATHS.get(shape, SHAPE_PATHS["quiet"])
    return mark_safe(
        f'<svg class="shape" viewBox="0 0 12 12" width="12" height="12" aria-hidden="true" '
        f'focusable="false"><path fill-rule="evenodd" d="{path}"/></svg>'
    )
