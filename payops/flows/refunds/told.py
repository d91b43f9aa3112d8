"""What a ticket outside is told of the refund it asked for: each outcome once (RF-8, AP-10).

The words are a local message, which is the record and the local timeline; its copy goes to the
ticket through `outside`, where that system has an address. Never decides, and never tells twice:
the key of a message is the refund and what became of it.
"""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import connection

from payops.cases.models import LocalMessage
from payops.cases.services import send_local_message
from payops.core import audit
from payops.core.actors import service
from payops.core.models import Book
from payops.core.money import Money
from payops.flows import outside
from payops.payments.models import Refund

ACTOR = service("refund-tickets")
State = Refund.State
SUBJECT_CHARS_MAX = 200
AUDIENCE_CHARS_MAX = 64
# States that a requester waits for; the ones in between are not told.
OUTCOMES = frozenset(
    {
        State.REFUSED,
        State.AWAITING_APPROVAL,
        State.UNKNOWN,
        State.SUCCEEDED,
        State.LEDGER_PENDING,
        State.FAILED,
        State.FAILED_LATE,
        State.RETURNED,
        State.CANCELED,
    }
)


def tell_ticket(refund: Refund, now: datetime) -> LocalMessage | None:
    """The outcome `refund` stands at, to the ticket that asked; None where nobody waits for it."""
    if not refund.ticket_system or refund.state not in OUTCOMES:
        return None
    happened = _outcome(refund)
    return _tell(
        book=refund.book,
        system=refund.ticket_system,
        ref=refund.ticket_ref,
        about=refund.public_id,
        key=happened,
        subject=f"Refund of {_amount(refund)}: {_short(refund)}",
        body=f"Refund {refund.public_id} of {_amount(refund)}: {words_of(refund)}",
        path=f"/refunds/{refund.public_id}/",
        now=now,
    )


def tell_again(refund: Refund, *, system: str, ref: str, key: str, now: datetime) -> LocalMessage:
    """The same request came once more: the one refund and how it stands now (RF-11)."""
    return _tell(
        book=refund.book,
        system=system,
        ref=ref,
        about=refund.public_id,
        key=f"again:{key}",
        subject=f"Asked again: refund of {_amount(refund)} is {refund.state}",
        body=f"This was asked before and is not done twice. Refund {refund.public_id} of"
        f" {_amount(refund)}: {words_of(refund)}",
        path=f"/refunds/{refund.public_id}/",
        now=now,
    )


def tell_refused(
    *,
    book: Book,
    system: str,
    ref: str,
    about: str,
    words: str,
    now: datetime,
    key: str = "refused",
) -> LocalMessage:
    """A wish that became no refund: `about` is the event that carried it."""
    return _tell(
        book=book,
        system=system,
        ref=ref,
        about=about,
        key=key,
        subject="No refund was made of this request",
        body=f"No refund was made: {words}",
        path=f"/inbox/{about}/",
        now=now,
    )


def words_of(refund: Refund) -> str:
    """How it stands, with its times and what happens next, for somebody outside."""
    state = refund.state
    if state == State.REFUSED:
        return f"refused. {_sentence(refund.refusal)} Nothing was sent."
    if state == State.CANCELED:
        return f"canceled. {_sentence(refund.refusal)} Nothing was sent."
    if state in (State.REQUESTED, State.AWAITING_APPROVAL):
        return "waiting. Others have to approve it in PayOps; a decision here has no effect there."
    if state == State.APPROVED:
        return "granted; it is sent next."
    if state == State.DISPATCHING:
        return f"being sent since {_at(refund.dispatched_at)}."
    if state == State.UNKNOWN:
        return (
            f"sent {_at(refund.dispatched_at)}, and the provider's answer was lost. The provider"
            " is asked before anything else is tried; do not refund it elsewhere."
        )
    if state == State.ACCEPTED:
        return f"taken by the provider {_at(refund.accepted_at)} as {refund.provider_ref}."
    if state in (State.SUCCEEDED, State.LEDGER_PENDING):
        when = _at(refund.succeeded_at or refund.accepted_at)
        how = f" by hand as {refund.offline_ref}" if refund.offline else f" as {_ref(refund)}"
        return f"done {when}{how}."
    back = _at(refund.money_back_at or refund.failed_at)
    why = refund.failure_message or refund.failure_code or "the provider gives no reason"
    return f"did not reach the customer ({back}): {why}. The customer is still owed the amount."


def _outcome(refund: Refund) -> str:
    """What happened, so that the books catching up is not told as a second success."""
    if refund.state == State.LEDGER_PENDING:
        return refund.heading_for or str(State.SUCCEEDED)
    return str(refund.state)


def _tell(
    *,
    book: Book,
    system: str,
    ref: str,
    about: str,
    key: str,
    subject: str,
    body: str,
    path: str,
    now: datetime,
) -> LocalMessage:
    assert connection.in_atomic_block, "what a ticket is told is written with what happened"
    name = f"{about}:{key}"
    told = LocalMessage.objects.filter(book=book, correlation_id=name).first()
    if told is not None:
        return told
    words = send_local_message(
        book=book,
        case=None,
        correlation_id=name,
        audience=f"{system} {ref}"[:AUDIENCE_CHARS_MAX],
        subject=subject[:SUBJECT_CHARS_MAX],
        body=body,
        link=f"{settings.PUBLIC_URL}{path}",
        now=now,
    )
    copies = outside.tell_ticket(words=words, system=system, ref=ref, now=now)
    leaves = "" if copies else "; the system has no address here, so it is kept here alone"
    audit.record(
        [
            audit.event(
                book=book,
                actor=ACTOR,
                action="refund.ticket_told",
                subject_id=about,
                now=now,
                reason=f"{subject}{leaves}"[:SUBJECT_CHARS_MAX],
                evidence={"system": system, "ticket": ref, "key": key},
            )
        ]
    )
    return words


def _short(refund: Refund) -> str:
    return words_of(refund).partition(".")[0]


def _amount(refund: Refund) -> str:
    return str(Money(refund.amount_minor, refund.currency))


def _ref(refund: Refund) -> str:
    return refund.provider_ref or refund.movement_ref or "without a reference"


def _sentence(text: str) -> str:
    text = (text or "No reason was recorded").strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _at(when: datetime | None) -> str:
    return f"{when:%Y-%m-%d %H:%M:%S} UTC" if when else "at an unknown moment"
