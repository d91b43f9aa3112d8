"""Carries one Dispatch outside: begun is committed, then the network, then the outcome (F32).

A ticket is searched for by our correlation id before it is created, so that it exists once however
often a worker dies. Chat and mail have neither key nor query: an attempt whose end nobody saw is
UNKNOWN and is not made again unless policy says so, and then marked as a repeat under the same
Message-ID. Serves PX-10, PX-11, RB-5 and design "Exactly once, honestly".
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, cast
from uuid import UUID

from django.conf import settings
from django.db import transaction

from payops.cases import services as cases
from payops.cases.models import CaseEntry, Dispatch, TicketLink
from payops.cases.services import Line
from payops.connectors import base, registry
from payops.connectors.base import AddressMalformed, ConnectorOutcome
from payops.core import audit, clock, ids, messages, schedule
from payops.core.actors import service
from payops.core.http import HttpClient
from payops.core.messages import News
from payops.core.models import Message
from payops.core.queues import Postpone
from payops.flows import outside

ACTOR = service("dispatch")
DEADLINE_S = 15.0
# A worker that lives has ended its attempt long before this.
PATIENCE = timedelta(seconds=60)
# How long a ticket system's search may lag behind its own writes.
SEARCH_LAG = timedelta(minutes=3)
TICKET_WAIT = timedelta(seconds=30)
REPEAT_WAIT = timedelta(minutes=1)
# A message is sent no more often than this, the repeats that policy allows included.
SENDS_MAX = 3
REPEATED_WITHIN = timedelta(days=1)
REPEATED_AT_ONCE = 200
# Waiting because they asked us to is not charged; this ends even that.
ATTEMPTS_MAX = 100
CLOSED_STATUS = "resolved"
PRIORITIES = ("low", "normal", "high", "urgent")
State = Dispatch.State


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt that was committed before it began; `number` fences a late writer."""

    dispatch: Dispatch
    number: int


def carry(batch: list[Message], now: datetime) -> None:
    """One attempt at one Dispatch; safe to repeat at any moment."""
    (message,) = batch
    attempt = _begin(UUID(message.payload["dispatch_id"]), now)
    if attempt is None:
        return
    outcome = _try(attempt.dispatch)
    _record(attempt, outcome, clock.utc_now())


def resend_unknown(now: datetime) -> int:
    """Where policy resends, wake the messages that wait for it; answers how many."""
    if not settings.RESEND_UNKNOWN:
        return 0
    with schedule.slot("resend-unknown", now, every_s=60) as mine:
        if not mine:
            return 0
        rows = Dispatch.objects.filter(
            state=State.UNKNOWN,
            message__isnull=False,
            attempts__lt=SENDS_MAX,
            created_at__gt=now - REPEATED_WITHIN,
        ).select_related("book")
        waiting = list(rows.order_by("created_at")[:REPEATED_AT_ONCE])
        news = [
            News(
                row.book,
                outside.NOTICES,
                f"{row.pk.hex}:{row.attempts}",
                {"dispatch_id": str(row.pk)},
            )
            for row in waiting
        ]
        messages.send(news, now=now)
        return len(news)


def _begin(key: UUID, now: datetime) -> Attempt | None:
    """Everything that must be committed before anything leaves; None: nothing is to be done."""
    with transaction.atomic(durable=True):
        held = _locked(key)
        if held.state in (State.SENT, State.REFUSED):
            return None
        if held.begun_at is not None:
            patience = SEARCH_LAG if outside.is_opening(held) else PATIENCE
            if now < held.begun_at + patience:
                words = f"attempt {held.attempts} may still be under way"
                raise Postpone(words, held.begun_at + patience)
            _settle(held, State.UNKNOWN, "interrupted: nobody saw how it ended", now)
        if _waits_for_its_ticket(held):
            raise Postpone("its ticket is not open yet", now + TICKET_WAIT)
        if held.state == State.UNKNOWN and not outside.is_opening(held):
            if not _may_repeat(held, now):
                return None
            held.is_repeat = True
        held.attempts += 1
        held.begun_at = now
        held.save(update_fields=["attempts", "begun_at", "is_repeat"])
        return Attempt(held, held.attempts)


def _waits_for_its_ticket(held: Dispatch) -> bool:
    if held.ticket is None or outside.is_opening(held):
        return False
    return _opening_of(held).state in (State.PENDING, State.UNKNOWN)


def _opening_of(held: Dispatch) -> Dispatch:
    assert held.ticket is not None
    return Dispatch.objects.get(
        book=held.book, connector=held.connector, correlation_id=held.ticket.correlation_id
    )


def _may_repeat(held: Dispatch, now: datetime) -> bool:
    fresh = now < held.created_at + REPEATED_WITHIN
    is_message = held.message is not None and not outside.is_trial(held)
    return settings.RESEND_UNKNOWN and is_message and fresh and held.attempts < SENDS_MAX


def _try(held: Dispatch) -> ConnectorOutcome:
    """The attempt itself, outside any transaction. Raises nothing a provider could cause."""
    address = outside.address_of(held.connector)
    if not address:
        return _refused(f"{held.connector} has no address any more")
    http = HttpClient(allow=settings.HTTP_ALLOW, deadline_s=DEADLINE_S)
    try:
        if outside.is_word_to_ticket(held):
            return _say(held, address, http)
        if held.message is not None:
            connector = registry.message_connector(name=held.connector, address=address, http=http)
            return connector.send(message=_message(held), deadline_s=DEADLINE_S)
        tickets = registry.ticket_connector(name=held.connector, address=address, http=http)
    except (AddressMalformed, registry.ConnectorUnknown) as error:
        return _refused(str(error))
    if held.ticket is None:
        return _checked(tickets.find(correlation_id=_outside_id(held), deadline_s=DEADLINE_S))
    if outside.is_opening(held):
        return base.ensure_ticket(
            connector=tickets, ticket=_ticket(held), now=clock.utc_now(), deadline_s=DEADLINE_S
        )
    opening = _opening_of(held)
    if opening.state != State.SENT:
        return _refused("the ticket was never opened there")
    return tickets.update(update=_update(held, opening), deadline_s=DEADLINE_S)


def _outside_id(held: Dispatch) -> str:
    """Our public id of the link the ticket gets; known before the first attempt."""
    return ids.render(TicketLink.PREFIX, held.pk)


def _message(held: Dispatch) -> base.Message:
    assert held.message is not None
    return base.Message(
        message_id=held.pk.hex,
        recipient=held.recipient,
        subject=held.message.subject,
        text=held.message.body,
        deep_link=held.message.link,
        is_repeat=held.is_repeat,
    )


def _say(held: Dispatch, address: str, http: HttpClient) -> ConnectorOutcome:
    """Words to a ticket of theirs; a reference that is none of their form is never sent."""
    tickets = registry.ticket_connector(name=held.connector, address=address, http=http)
    try:
        return tickets.comment(comment=_comment(held), deadline_s=DEADLINE_S)
    except ValueError as error:
        return _refused(f"{held.recipient[:60]} cannot be told: {error}")


def _comment(held: Dispatch) -> base.Comment:
    assert held.message is not None
    again = "Sent again, as nobody saw whether it arrived.\n\n" if held.is_repeat else ""
    text = f"{again}{held.message.body}\n\n{held.message.link}".strip()
    return base.Comment(external_ref=held.recipient, text=text)


def _ticket(held: Dispatch) -> base.Ticket:
    assert held.ticket is not None and held.case is not None
    wanted = held.ticket.priority
    return base.Ticket(
        correlation_id=_outside_id(held),
        title=held.ticket.title,
        body=held.ticket.body,
        priority=cast(base.Priority, wanted if wanted in PRIORITIES else "normal"),
        deep_link=f"{settings.PUBLIC_URL}/cases/{held.case.public_id}/",
    )


def _update(held: Dispatch, opening: Dispatch) -> base.TicketUpdate:
    assert held.case is not None
    key = held.correlation_id.partition("|")[2]
    line = CaseEntry.objects.get(case=held.case, key=key)
    link = f"{settings.PUBLIC_URL}/cases/{held.case.public_id}/"
    return base.TicketUpdate(
        correlation_id=_outside_id(opening),
        external_ref=opening.external_ref,
        comment=f"The case was closed: {line.text}\n\n{link}",
        status=CLOSED_STATUS,
    )


def _checked(found: base.TicketSearch) -> ConnectorOutcome:
    now = clock.utc_now()
    if isinstance(found, base.SearchUnanswered):
        return _refused(found.reason)
    return ConnectorOutcome(kind="sent", started_at=now, finished_at=now, reason="search answered")


def _refused(reason: str) -> ConnectorOutcome:
    now = clock.utc_now()
    return ConnectorOutcome(kind="refused", started_at=now, finished_at=now, reason=reason)


def _record(attempt: Attempt, outcome: ConnectorOutcome, now: datetime) -> None:
    """The second transaction; then the queue is told when to come again, if at all."""
    with transaction.atomic(durable=True):
        held = _locked(attempt.dispatch.pk)
        if held.attempts != attempt.number or held.begun_at is None:
            return
        held.external_ref = (outcome.external_ref or held.external_ref)[:160]
        held.external_url = (outcome.external_url or held.external_url)[:400]
        if outcome.kind == "sent":
            held.sent_at = now
            _link(held, already=outcome.already, now=now)
        _settle(held, _state_after(held, outcome), outcome.reason, now)
    _come_again(held, outcome, now)


def _state_after(held: Dispatch, outcome: ConnectorOutcome) -> str:
    if outcome.kind == "sent":
        return State.SENT
    if outcome.kind == "refused" or (outcome.kind == "failed" and outside.is_trial(held)):
        return State.REFUSED
    # An attempt that failed takes nothing back of one that may have arrived.
    return State.UNKNOWN if outcome.kind == "unknown" else held.state


def _come_again(held: Dispatch, outcome: ConnectorOutcome, now: datetime) -> None:
    if held.state in (State.SENT, State.REFUSED):
        return
    words = f"{held.connector}: {outcome.kind} {outcome.reason}"
    if held.attempts >= ATTEMPTS_MAX:
        raise ConnectionError(f"{words}; {held.attempts} attempts")
    if outcome.kind == "unknown":
        if outside.is_opening(held):
            raise Postpone(f"{words}; searched for before anything is created", now + SEARCH_LAG)
        if _may_repeat(held, now):
            raise Postpone(f"{words}; repeated by policy", now + REPEAT_WAIT)
        return
    if outcome.retry_after_s:
        raise Postpone(words, now + timedelta(seconds=outcome.retry_after_s))
    raise ConnectionError(words)


def _settle(held: Dispatch, state: str, reason: str, now: datetime) -> None:
    was, held.state = held.state, state
    held.begun_at = None
    held.reason = reason[:400]
    held.save()
    if was == state:
        return
    about = _about(held)
    audit.record(
        [
            audit.event(
                book=held.book,
                actor=ACTOR,
                action=f"dispatch.{state.lower()}",
                subject_id=about,
                now=now,
                from_state=str(was),
                to_state=str(state),
                reason=f"{_kind(held)} through {held.connector}: {reason or state.lower()}",
                evidence={"dispatch": str(held.pk), "attempts": held.attempts},
            )
        ]
    )


def _link(held: Dispatch, *, already: bool, now: datetime) -> None:
    """The case shows the ticket of the other system beside our own (PX-10)."""
    if held.case is None or held.ticket is None:
        return
    label = registry.entry(held.connector).label
    if outside.is_opening(held):
        TicketLink.objects.get_or_create(
            book=held.book,
            system=held.connector,
            correlation_id=held.correlation_id,
            defaults={
                "id": held.pk,
                "case": held.case,
                "number": held.external_ref[:64],
                "created_at": now,
            },
        )
        words = f"{label} ticket {held.external_ref} {'found' if already else 'opened'}"
    else:
        words = f"{label} ticket {held.external_ref} was told that the case is closed"
    line = Line("ticket", f"dispatch:{held.pk}", words)
    cases.append(held.case, [line], actor=ACTOR, now=now)


def _about(held: Dispatch) -> str:
    """The record whose trail says what became of it: words to a ticket name theirs in their key."""
    if outside.is_word_to_ticket(held):
        return held.correlation_id.partition(":")[0]
    return held.case.public_id if held.case is not None else held.connector


def _kind(held: Dispatch) -> Literal["message", "ticket", "comment", "check"]:
    if held.message is not None:
        return "comment" if outside.is_word_to_ticket(held) else "message"
    if held.ticket is None:
        return "check"
    return "ticket" if outside.is_opening(held) else "comment"


def _locked(key: UUID) -> Dispatch:
    rows = Dispatch.objects.select_for_update(no_key=True, of=("self",))
    return rows.select_related("book", "case", "ticket", "message").get(pk=key)
