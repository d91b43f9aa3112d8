"""Sentences about refunds: what is wrong with one, whose turn it is and what comes next.

One row per state. Says what, which numbers, what now; never decides.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from payops.console.wording import Words, value
from payops.payments.models import Refund

State, Obligation = Refund.State, Refund.Obligation


class Look(NamedTuple):
    """`text` and `after` may name columns of the refund in braces; "" title: nothing is wrong."""

    tone: str
    title: str
    text: str
    turn: str
    after: str


LOOKS = {
    State.REQUESTED: Look(
        "info", "Being decided", "", "the system", "It is granted, refused or put to people."
    ),
    State.REFUSED: Look(
        "bad",
        "Refused: nothing was sent",
        "{refusal}",
        "the requester",
        "Nothing is reserved. Ask again once the reason is gone.",
    ),
    State.AWAITING_APPROVAL: Look(
        "info",
        "Waits for its approval",
        "Its amount is reserved under the charge; nothing has been sent.",
        "the approvers",
        "Once granted it is looked at again, and then it leaves.",
    ),
    State.APPROVED: Look(
        "info",
        "Granted, not sent yet",
        "Its amount is reserved under the charge.",
        "the system",
        "It is looked at once more and leaves with the next free call.",
    ),
    State.DISPATCHING: Look(
        "info",
        "On its way to the provider",
        "The call is out; the provider has not answered yet.",
        "the provider",
        "The answer decides. Without one it is asked for, never sent anew.",
    ),
    State.UNKNOWN: Look(
        "warn",
        "Nobody knows yet whether the provider has it",
        "The answer was lost. Its amount stays reserved.",
        "the system: verifying at the provider",
        "It is asked for at the provider with the same key, never sent anew.",
    ),
    State.ACCEPTED: Look(
        "info",
        "The provider has it",
        "It is on its way to the customer; a bank may take days.",
        "the provider and the bank",
        "The provider tells when it arrived, or that it failed.",
    ),
    State.SUCCEEDED: Look(
        "info", "", "", "nobody", "It is done. A late failure would open it again with a case."
    ),
    State.LEDGER_PENDING: Look(
        "warn",
        "Executed; the journal has not taken it",
        "The provider has the refund. Only its journal entry is missing.",
        "finance: see the case",
        "The entry is tried again by itself until the journal takes it.",
    ),
    State.FAILED: Look(
        "bad",
        "The provider did not execute it",
        "{failure_code}: {failure_message}",
        "nobody",
        "Nothing left. The requester asks again where it still makes sense.",
    ),
    State.FAILED_LATE: Look(
        "bad",
        "It failed after it had left",
        "{failure_code}: {failure_message}",
        "nobody",
        "The money is back at the provider.",
    ),
    State.RETURNED: Look(
        "bad",
        "The money came back",
        "{failure_code}: {failure_message}",
        "nobody",
        "The customer does not have it.",
    ),
    State.CANCELED: Look(
        "info", "Canceled: nothing was sent", "{refusal}", "nobody", "Nothing is reserved any more."
    ),
}
# What became of the promise after a failure: (turn, what comes next).
AFTER_FAILURE = {
    Obligation.OWED: (
        "payments operations",
        "The customer is still owed {amount}: try again, or show how the promise ended.",
    ),
    Obligation.RETRIED: ("nobody", "Another attempt took its place; see the attempts below."),
    Obligation.LAPSED: ("nobody", "Declared lapsed: the customer is not owed it any more."),
    Obligation.UNCLAIMED: ("nobody", "Declared unclaimed: kept until the customer asks."),
}
DOORS = {
    Refund.Source.CONSOLE: "in the console",
    Refund.Source.API: "through the API",
    Refund.Source.TICKET: "by a ticket",
    Refund.Source.BULK: "in a file",
    Refund.Source.PROVIDER: "in the provider's own console",
}
SOURCES = {
    "console": "Console",
    "api": "API",
    "ticket": "Ticket",
    "bulk": "File",
    "provider": "Provider's console",
}
TICKET_SYSTEMS = {"servicenow": "ServiceNow", "jira": "Jira"}
VERDICTS = {"refused": "Refused", "auto": "Granted by rule", "approval": "Put to people"}
STAGES = {"request": "when it was asked for", "send": "looked at again before it left"}


def wrong(refund: Refund) -> Words:
    look = LOOKS[State(refund.state)]
    text = look.text.format_map(_Columns(refund)).strip(" :")
    if refund.state in (State.REFUSED, State.CANCELED) or not refund.failure_code:
        return Words(look.tone, look.title, text)
    return Words(look.tone, look.title, text or f"{refund.failure_code}: no words were given.")


def turn(refund: Refund, seats: tuple[str, ...]) -> str:
    """Whose turn; a pending approval names its seats."""
    if refund.obligation:
        return AFTER_FAILURE[Obligation(refund.obligation)][0]
    if seats:
        return ", ".join(seats)
    if refund.state == State.APPROVED and refund.offline:
        return "whoever pays it by hand"
    if refund.state == State.APPROVED and refund.send_by_person:
        return "whoever may send refunds"
    return LOOKS[State(refund.state)].turn


def after(refund: Refund) -> str:
    """What comes next, in one sentence."""
    if refund.obligation:
        return AFTER_FAILURE[Obligation(refund.obligation)][1].format(amount=refund.amount)
    if refund.state == State.APPROVED and refund.offline:
        return "Somebody pays it outside the provider and records the payment's reference here."
    if refund.state == State.APPROVED and refund.send_by_person:
        return "A person sends what others granted; grant and send are two permissions."
    if refund.state == State.AWAITING_APPROVAL and refund.offline:
        return "Once granted, somebody pays it outside the provider and records it here."
    return LOOKS[State(refund.state)].after


def door(refund: Refund) -> str:
    said = DOORS.get(Refund.Source(refund.source), value(refund.source))
    if refund.ticket_system or refund.ticket_ref:
        system = TICKET_SYSTEMS.get(refund.ticket_system, refund.ticket_system)
        return f"{said}, {system} {refund.ticket_ref}".rstrip()
    return said


class _Columns(dict[str, str]):
    def __init__(self, record: Any) -> None:
        super().__init__()
        self._record = record

    def __missing__(self, name: str) -> str:
        return str(getattr(self._record, name) or "")
