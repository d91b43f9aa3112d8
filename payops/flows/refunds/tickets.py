"""Refunds that agents ask for in tickets of other systems (RF-1, RF-2, RF-11, AP-10, D17b).

A wish comes through the webhook edge as an event of its own, deduped on ticket and request id. It
becomes one request of the person its e-mail names, is checked and decided as every other, and the
ticket is told. Submitted again it is the same refund. What was decided in the ticket is evidence
beside the request; it fills no seat here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection, transaction

from payops.cases import services as cases
from payops.cases.services import Finding, Line
from payops.core import clock, locks
from payops.core.actors import Actor, service
from payops.core.models import ProviderAccount
from payops.flows.batch import Batch, EventWork
from payops.flows.refunds import once as refund_once
from payops.flows.refunds import subject as refund_subject
from payops.flows.refunds import told as refund_told
from payops.flows.refunds.once import Asked, OtherFacts
from payops.flows.refunds.request import RefundAsk, RefundRefused
from payops.flows.refunds.subject import Ambiguous, NameRefused
from payops.payments.models import Payment, Refund
from payops.psp import registry
from payops.psp.base import EventRefused, RefundWish
from payops.webhooks.bodies import bodies_of
from payops.webhooks.models import Delivery, ProviderEvent

KIND = "refund.requested"
HEARD = "a refund is asked for"
SOURCE = "ticket"
CHANNEL = "ticket"
RULE = "refund_wish_unclear"
NOTE_CHARS_MAX = 400
OUTCOME_CHARS_MAX = 240
REFUSALS = (NameRefused, OtherFacts, RefundRefused)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a ticket asks for, with the event and the account that brought it."""

    event: ProviderEvent
    account: ProviderAccount
    said: RefundWish

    @property
    def system(self) -> str:
        return self.account.provider

    @property
    def actor(self) -> Actor:
        return service(self.system, channel=CHANNEL)

    @property
    def request_key(self) -> str:
        said = self.said
        return refund_once.key_of("ticket", self.account.address, said.ticket, said.request_id)


def find(works: Sequence[EventWork]) -> set[UUID]:
    """Keys of the charges that wishes of a batch are about, to be locked with its payments."""
    found: set[UUID] = set()
    for work in works:
        if work.said.wish is not None:
            named = refund_subject.payments_of(work.said.wish.payment_ref, book=work.account.book)
            found |= {payment.pk for payment in named}
    return found


def apply(batch: Batch, work: EventWork) -> None:
    """One wish, once what the batch gathered is written; the event says what came of it."""
    assert work.said.wish is not None, "only a ticket's wish becomes a request"
    wish = Wish(work.event, work.account, work.said.wish)
    outcome, subject_id = _answer(wish, batch.now)
    work.done(outcome, subject_id)


def asked_again(lines: Sequence[tuple[ProviderEvent, Delivery]], now: datetime) -> None:
    """The same wish was submitted once more: its refund is told as it stands, none is made twice.

    A wish that became no refund is looked at anew: what was unknown then may be known now.
    """
    heard = [(event, delivery) for event, delivery in lines if event.type == KIND]
    if not heard:
        return
    wishes = _wishes([event for event, _ in heard])
    named = {
        payment.pk
        for wish in wishes.values()
        for payment in refund_subject.payments_of(wish.said.payment_ref, book=wish.account.book)
    }
    locks.rows(Payment, named)
    for event, delivery in heard:
        if (wish := wishes.get(event.pk)) is not None:
            _again(wish, delivery, now)


def tell_conflict(event: ProviderEvent, delivery: Delivery, now: datetime) -> None:
    """The same request id with other facts: the first content stands, and the ticket learns it."""
    if event.type != KIND or (wish := _wishes([event]).get(event.pk)) is None:
        return
    refund_told.tell_refused(
        book=event.book,
        system=wish.system,
        ref=wish.said.ticket,
        about=event.public_id,
        key=f"conflict:{delivery.public_id}",
        words=f"request {wish.said.request_id} of this ticket was sent with other facts before, and"
        " those stand. What changed is asked for under a new request id.",
        now=now,
    )


def _answer(wish: Wish, now: datetime) -> tuple[str, str]:
    """(what came of it, the refund's id); the ticket is told either way."""
    try:
        asked = _ask(wish, now)
    except REFUSALS as refusal:
        _refuse(wish, refusal, now)
        return f"refused: {refusal}"[:OUTCOME_CHARS_MAX], ""
    refund = asked.refund
    if asked.is_new:
        refund_told.tell_ticket(refund, now)
    return f"{refund.public_id} is {refund.state}", refund.public_id


def _ask(wish: Wish, now: datetime) -> Asked:
    """Raises what REFUSALS names; nothing of it is written then."""
    said, book = wish.said, wish.account.book
    payment = refund_subject.payment_of(said.payment_ref, book=book)
    person = refund_subject.requester_of(said.requester, now=now)
    wanted = RefundAsk(
        payment=payment,
        amount=said.amount,
        reason_code=said.reason_code,
        note=said.note[:NOTE_CHARS_MAX],
        evidence=dict(said.evidence),
        request_key=wish.request_key,
        requested_by=person,
        source=SOURCE,
        ticket_system=wish.system,
        ticket_ref=said.ticket,
    )
    with transaction.atomic():
        return refund_once.ask(wanted, actor=wish.actor, now=now)


def _again(wish: Wish, delivery: Delivery, now: datetime) -> None:
    event = wish.event
    try:
        asked = _ask(wish, now)
    except REFUSALS as refusal:
        refund_told.tell_refused(
            book=event.book,
            system=wish.system,
            ref=wish.said.ticket,
            about=event.public_id,
            key=f"again:{delivery.public_id}",
            words=f"{refusal}.",
            now=now,
        )
        return
    refund = asked.refund
    if asked.is_new:
        refund_told.tell_ticket(refund, now)
        _now_about(event, refund)
    else:
        refund_told.tell_again(
            refund, system=wish.system, ref=wish.said.ticket, key=delivery.public_id, now=now
        )


def _now_about(event: ProviderEvent, refund: Refund) -> None:
    """The event leads to the refund that its wish became later."""
    outcome = f"{refund.public_id} is {refund.state}, asked again"
    ProviderEvent.objects.filter(pk=event.pk).update(subject_id=refund.public_id, outcome=outcome)


def _refuse(wish: Wish, refusal: ValueError, now: datetime) -> None:
    """The ticket is told why; a reference that fits several charges is a case for people."""
    event = wish.event
    refund_told.tell_refused(
        book=event.book,
        system=wish.system,
        ref=wish.said.ticket,
        about=event.public_id,
        words=f"{refusal}.",
        now=now,
    )
    if not isinstance(refusal, Ambiguous):
        return
    day = clock.business_day(now, time_zone=event.book.time_zone)
    case = cases.open_case(
        Finding(
            book=event.book,
            rule=RULE,
            fingerprint=event.public_id,
            period=clock.period_of(day),
            subject_id=event.public_id,
            title=f"Ticket {wish.said.ticket} asks for a refund of more than one possible charge",
            trace_id=event.trace_id,
        ),
        actor=wish.actor,
        now=now,
    )
    line = Line("wish", f"event:{event.public_id}", f"{refusal}.", event.public_id)
    cases.append(case, [line], actor=wish.actor, now=now)


def _wishes(events: Sequence[ProviderEvent]) -> dict[UUID, Wish]:
    """The wishes of stored events, as far as they can be read; the others are dead letters."""
    assert connection.in_atomic_block
    bodies = bodies_of(events)
    keys = {event.account_id for event in events}
    accounts = ProviderAccount.objects.select_related("book").in_bulk(keys)
    found = {}
    for event in events:
        account = accounts[event.account_id]
        adapter = registry.adapter(account.provider)
        try:
            said = adapter.parse(bodies[event.payload_id], event.item_index, account.settings)
        except EventRefused:
            continue
        if said.wish is not None:
            found[event.pk] = Wish(event, account, said.wish)
    return found
