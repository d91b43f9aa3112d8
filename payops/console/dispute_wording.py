"""Sentences about disputes: where one stands, whose turn it is, what comes next (D9, F1).

One row per state. Says what, which numbers, what now; never decides.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from payops.console.wording import Words
from payops.core.money import Money
from payops.payments.models import Dispute

State = Dispute.State


class Look(NamedTuple):
    """How a state is told; `turn` is whose it is."""

    tone: str
    title: str
    text: str
    turn: str


LOOKS = {
    State.INQUIRY: Look(
        "warn",
        "The customer's bank asks; no money has moved",
        "Answer before the deadline. As long as the provider allows it, a refund ends the inquiry.",
        "payments operations",
    ),
    State.OPEN: Look(
        "warn",
        "Evidence is awaited",
        "Send it at the provider before the deadline and say so here, or accept the loss. Refunds"
        " of the charge are barred: the customer would be paid twice.",
        "payments operations",
    ),
    State.UNDER_REVIEW: Look(
        "info",
        "The bank is deciding",
        "Nothing is left to do. Refunds of the charge stay barred until it is decided.",
        "the customer's bank",
    ),
    State.WON: Look(
        "good",
        "Won",
        "The charge may be refunded again. A bank may still open a second round.",
        "nobody",
    ),
    State.LOST: Look(
        "bad",
        "Lost",
        "The money stays with the customer; the charge cannot be refunded on top of it.",
        "nobody",
    ),
    State.CLOSED: Look(
        "info", "Closed without a chargeback", "The charge may be refunded again.", "nobody"
    ),
}


def look_of(dispute: Dispute) -> Look:
    return LOOKS[State(dispute.state)]


def wrong(dispute: Dispute, *, now: datetime) -> list[Words]:
    """Banners, the gravest first: what people must not overlook."""
    look, found = look_of(dispute), []
    if dispute.refunded_before_minor and dispute.state != State.WON:
        twice = Money(dispute.refunded_before_minor, dispute.currency)
        text = f"{twice} had been refunded before the money was taken. "
        text += (
            "Recover it from the customer or the seller."
            if dispute.state == State.LOST
            else "Answer the dispute with the refund's proof."
        )
        found.append(Words("bad", "The customer is paid twice", text))
    due = dispute.evidence_due_at
    if due is not None and due <= now and _waits_for_us(dispute):
        text = f"It was {due:%Y-%m-%d %H:%M} UTC and no evidence was sent."
        found.append(Words("bad", "The provider's deadline is over", text))
    is_out = dispute.withdrawn_at is not None and dispute.returned_at is None
    if dispute.state in (State.WON, State.CLOSED) and is_out:
        text = f"{dispute.amount} is still with the provider; it stands in 1300 until it is back."
        found.append(Words("warn", "The money is not back yet", text))
    found.append(Words(look.tone, look.title, look.text))
    return found


def _waits_for_us(dispute: Dispute) -> bool:
    return dispute.state in (State.INQUIRY, State.OPEN) and dispute.evidence_sent_at is None
