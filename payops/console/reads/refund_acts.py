"""What a reader may do with one refund now, and what each act causes.

Only says so: the flow that is called checks again, and refuses in its own words. Serves RF-16,
F26, D5, D14.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass
from uuid import UUID

from payops.console.reads.refund_file import RefundPage
from payops.core.roles import Act
from payops.payments.models import Intent, Refund

State = Refund.State


@dataclass(frozen=True, slots=True)
class RefundAct:
    """One act: who may, when it fits, and its consequences in words (`{…}`: see `words_of`)."""

    name: str
    act: Act
    fits: Callable[[RefundPage], bool]
    title: str
    button: str
    causes: str
    danger: bool = False
    primary: bool = False


@dataclass(frozen=True, slots=True)
class Offer:
    """An act as the page offers it."""

    act: RefundAct
    button: str
    causes: str


def _is_parked(page: RefundPage) -> bool:
    parked = page.intent is not None and page.intent.state == Intent.State.PARKED
    return page.refund.state == State.UNKNOWN and parked


def _is_owed(page: RefundPage) -> bool:
    return page.refund.obligation == Refund.Obligation.OWED


ACTS = {
    row.name: row
    for row in (
        RefundAct(
            "send",
            Act.SEND_REFUND,
            lambda page: (
                page.refund.state == State.APPROVED
                and page.refund.send_by_person
                and page.refund.sent_by_id is None
                and not page.refund.offline
            ),
            "Send this refund",
            "Send {amount}",
            "It is looked at once more, then {amount} leaves through {account}. A refund that has "
            "left cannot be taken back.",
            danger=True,
            primary=True,
        ),
        RefundAct(
            "record-offline",
            Act.SEND_REFUND,
            lambda page: page.refund.state == State.APPROVED and page.refund.offline,
            "Record this refund as paid by hand",
            "Record {amount} as paid",
            "Nothing is sent. {amount} counts as refunded and the journal takes it, with the "
            "reference of the payment you made.",
            danger=True,
            primary=True,
        ),
        RefundAct(
            "verify",
            Act.WORK_CASE,
            lambda page: page.refund.state == State.UNKNOWN and not _is_parked(page),
            "Ask the provider about this refund",
            "Verify now",
            "{account} is asked by the refund's own key and reference. Nothing is sent anew.",
            primary=True,
        ),
        RefundAct(
            "declare-unsent",
            Act.PROPOSE_RESOLUTION,
            _is_parked,
            "Declare this refund not sent",
            "Ask for the declaration",
            "Once others approve, the refund ends as failed and {amount} is free again under the "
            "charge.",
            danger=True,
        ),
        RefundAct(
            "retry",
            Act.REQUEST_REFUND,
            _is_owed,
            "Try this refund again",
            "Try again",
            "A new refund of {amount} takes the place of this one, decided and sent with a key of "
            "its own. The customer is never owed both.",
            primary=True,
        ),
        RefundAct(
            "end-promise",
            Act.PROPOSE_RESOLUTION,
            _is_owed,
            "Declare how this promise ended",
            "Ask for its end",
            "Once others approve, the customer is owed {amount} no more, and the journal says so.",
            danger=True,
        ),
        RefundAct(
            "cancel",
            Act.REQUEST_REFUND,
            lambda page: page.refund.state in (State.AWAITING_APPROVAL, State.APPROVED),
            "Cancel this refund",
            "Cancel refund",
            "Nothing leaves. Its approval becomes void, and {amount} is free again under the "
            "charge.",
            danger=True,
        ),
    )
}


def offers(page: RefundPage, *, acts: Set[Act], person_id: UUID | None) -> list[Offer]:
    """What this reader may do now, the usual one first; nobody sends what they asked for."""
    fitting = [row for row in ACTS.values() if row.act in acts and row.fits(page)]
    asked = person_id is not None and page.refund.requested_by_id == person_id
    return [
        offer_of(row, page.refund) for row in fitting if not (asked and row.act == Act.SEND_REFUND)
    ]


def offer_of(row: RefundAct, refund: Refund) -> Offer:
    said = {"amount": refund.amount, "account": refund.account.address}
    return Offer(row, row.button.format(**said), row.causes.format(**said))
