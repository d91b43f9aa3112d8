"""Sentences about states: what is wrong with a record and whose turn it is.

One table per kind of record. Says what, which numbers, what now; never decides.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone

from payops.console.tones import word_of
from payops.payments.models import Beneficiary, Payment, Payout

State = Payout.State


@dataclass(frozen=True, slots=True)
class Words:
    """A banner; an empty title means that nothing is wrong."""

    tone: str = "info"
    title: str = ""
    text: str = ""


# state: (tone, title, text); {…} are columns of the payout.
PAYOUT_WRONG = {
    State.BLOCKED: ("warn", "Blocked before it left", "{blocked_reason}"),
    State.AWAITING_APPROVAL: ("info", "Waits for its approval", "Nothing has been sent."),
    State.UNKNOWN: (
        "warn",
        "Nobody knows yet whether the provider has it",
        "The answer was lost. It is verified at the provider with the same key, never sent anew.",
    ),
    State.EXCEPTION: (
        "bad",
        "The provider reports that it failed",
        "{failure_code}: {failure_message}",
    ),
    State.FAILED: ("bad", "Failed", "{failure_code}: {failure_message}"),
    State.RETURNED: (
        "warn",
        "Came back after it was paid",
        "{failure_code}: {failure_message}",
    ),
    State.CANCELED: ("info", "Canceled", "{blocked_reason} {failure_message}"),
}
PAYOUT_TURN = {
    State.DRAFT: "the requester",
    State.BLOCKED: "whoever can clear the block",
    State.AWAITING_APPROVAL: "the approvers",
    State.APPROVED: "the system: next submission window",
    State.DISPATCHING: "the provider",
    State.UNKNOWN: "the system: verifying at the provider",
    State.IN_TRANSIT: "the provider and the bank",
    State.EXCEPTION: "payments operations: decide the case",
}


VALUES = {"psp_balance": "PSP balance", "command": "command line", "api": "API"}

# Machine words that reach a screen, as people say them; unknown ones keep their own name.
CODES = {
    "StructuralMismatch": "it does not fit",
    "amount_malformed": "the amount cannot be read",
    "amount_missing": "the amount is missing",
    "amount_negative": "the amount is negative",
    "amount_not_whole": "the amount is no whole number",
    "api_error": "Error at the provider",
    "duplicate_key": "a member stands twice",
    "event_code_missing": "the event code is missing",
    "event_id_mismatch": "two event ids differ",
    "event_id_missing": "the event id is missing",
    "event_type_missing": "the event type is missing",
    "fee_in_another_currency": "the fee is in another currency",
    "listed_at_provider": "Listed at the provider",
    "lone_surrogate": "a broken character",
    "mode_mismatch": "Test event at a live account, or the other way round",
    "nested_too_deep": "nested too deep",
    "not_json": "it is not JSON",
    "nul_character": "a NUL character",
    "object_id_missing": "the object id is missing",
    "object_missing": "the object is missing",
    "platform_fee_exceeds_amount": "the platform fee exceeds the amount",
    "platform_fee_malformed": "the platform fee cannot be read",
    "sequence_missing": "the sequence is missing",
    "status_contradicts_type": "the status contradicts the type",
    "status_unknown": "the status is unknown",
}
# Work by the clock: name of its slot, how often at least, in words.
WORK = {
    "fold-secrets": "counts which secrets verified",
    "list": "lists events at the provider",
    "compare": "compares silent payouts with the provider",
    "missing-settled": "looks for payouts paid but not told",
    "monitoring-fold": "counts what happened",
    "monitoring-forget": "forgets old counts",
    "monitoring-rules": "looks at the alert rules",
    "prune-refusals": "forgets old counts of refusals",
    "recheck-parked": "looks at parked events again",
    "resend-unknown": "sends again what nobody answered",
    "resolve-allowlist": "resolves the names of allowlists",
    "verify-overdue": "asks about what was never verified",
}
# state of a valve: (words, tone)
GATE = {
    "CLOSED": ("Calls go out", "good"),
    "OPEN": ("No calls", "bad"),
    "HALF_OPEN": ("Probing", "warn"),
}
CODED = re.compile(r"\b(?:" + "|".join(map(re.escape, CODES)) + r")\b")


def plain(text: object) -> str:
    """A text of the machine with its codes as words."""
    return CODED.sub(_as_words, str(text))


def _as_words(found: re.Match[str]) -> str:
    return CODES[found[0]]


def work(name: str) -> str:
    return WORK.get(name, name.replace("-", " "))


def value(kept: object) -> str:
    """A value of a closed list as people say it."""
    text = str(kept)
    return VALUES.get(text) or CODES.get(text) or text.replace("_", " ")


def state(value: str) -> str:
    return word_of(value)


def payout_wrong(payout: Payout, *, open_holds: int) -> Words:
    if payout.state in PAYOUT_WRONG:
        tone, title, text = PAYOUT_WRONG[State(payout.state)]
        if payout.state == State.EXCEPTION and payout.exception_from == State.PAID:
            title = "The provider reports that it failed after it was paid"
        filled = text.format_map(_Columns(payout)).strip(" :")
        return Words(tone, title, _with_holds(filled, open_holds))
    if open_holds:
        return Words("warn", "On hold", _with_holds("", open_holds))
    return Words()


def payout_turn(payout: Payout, pending: Any) -> str:
    """Whose turn; a pending approval names its seats."""
    if pending is not None:
        return ", ".join(pending.seats)
    return PAYOUT_TURN.get(State(payout.state), "nobody")


def payment_wrong(payment: Payment) -> Words:
    if payment.state == Payment.State.FAILED:
        return Words("bad", "The payment failed", payment.failure_code or "No code was given.")
    return Words()


def beneficiary_wrong(row: Beneficiary, *, open_holds: int, now: datetime) -> Words:
    """Every reason why nothing is paid to this beneficiary; the first one is the title."""
    found = []
    if open_holds:
        found.append(("On hold: nothing is paid", _with_holds("", open_holds)))
    if row.verified_at is None:
        found.append(("Details are not verified", "Payouts stay blocked until they are."))
    if row.payable_from > now:
        until = f"{timezone.localtime(row.payable_from):%Y-%m-%d %H:%M}"
        found.append(("New bank details cool down", f"Payable again from {until}."))
    if not found:
        return Words()
    title, text = found[0]
    more = [f"{also}: {words[0].lower()}{words[1:]}" for also, words in found[1:]]
    return Words("warn", title, " ".join([text, *more]))


def _with_holds(text: str, count: int) -> str:
    if not count:
        return text
    said = f"{count} open {'hold covers' if count == 1 else 'holds cover'} it; see below."
    if text and not text.endswith("."):
        text = f"{text}."
    return f"{text} {said}".strip()


class _Columns(dict[str, str]):
    """Columns of a record by name, for the sentences above."""

    def __init__(self, record: Any) -> None:
        super().__init__()
        self._record = record

    def __missing__(self, name: str) -> str:
        return str(getattr(self._record, name) or "")
