"""Asks the provider about one event and writes down what it says; deciding is the event's flow.

The question leaves outside any transaction, through the account's valve. Silence and lag are asked
about again, ever more slowly and never in step, and counted on the question; an answer is one
append-only row that travels with the release of its event. Serves WH-10, WH-15, WH-22.
"""

from __future__ import annotations

import random
from datetime import datetime, timedelta

from django.db import transaction

from payops.core import clock, crypto, ids, messages
from payops.core.actors import service
from payops.core.models import Message
from payops.core.queues import Postpone, StructuralMismatch
from payops.flows import questions
from payops.flows.verification import (
    DEADLINE,
    NOT_OFFERED,
    Judgement,
    Verdict,
    can_ask,
    judge,
    last_redrive,
    question,
)
from payops.psp import registry
from payops.psp.base import EventRefused, NormalizedEvent
from payops.webhooks import services as inbox
from payops.webhooks.models import ProviderEvent, Verification

ACTOR = service("event-verification")
# A state that is behind its own event is given this long before it counts as disagreement.
LAG_MAX = timedelta(minutes=5)
# Silence is a case after this long; the question goes on being asked.
SILENCE_MAX = timedelta(minutes=15)
PAUSE_MIN_S = 1.0
PAUSE_MAX_S = 3600.0
RELEASED_WAIT = timedelta(seconds=2)
OVERDUE_MAX = 1000
HELD_BACK = Judgement(Verdict.UNANSWERED, "not asked yet: calls to the provider are held back")


def ask(batch: list[Message], now: datetime) -> None:
    """One question about one parked event; safe to repeat, for nothing is changed by asking."""
    message = batch[0]
    event = _event(message)
    if event.state == ProviderEvent.State.RECEIVED:
        raise Postpone("the event is being looked at", now + RELEASED_WAIT)
    if event.state != ProviderEvent.State.PARKED:
        return
    said = _said(event)
    if not can_ask(event.account, said):
        _record(event, message, Judgement(Verdict.UNANSWERED, NOT_OFFERED), clock.utc_now())
        return
    try:
        found = questions.fetch_state(account=event.account, said=said)
    except Postpone:
        if clock.utc_now() - message.created_at >= SILENCE_MAX:
            _record(event, message, HELD_BACK, clock.utc_now())
        raise
    told, asked_at = judge(said=said, found=found), clock.utc_now()
    _count(message, told, asked_at)
    age = asked_at - message.created_at
    patience = SILENCE_MAX if told.verdict == Verdict.UNANSWERED else LAG_MAX
    if told.pending and age < patience:
        raise Postpone(told.words, asked_at + pause(age))
    _record(event, message, told, asked_at)
    if told.verdict == Verdict.UNANSWERED:
        raise Postpone(told.words, asked_at + pause(age))


def ask_overdue(now: datetime) -> int:
    """Send the question about every event parked past its account's deadline; answers how many."""
    overdue = inbox.parked_past_deadline(now=now, limit=OVERDUE_MAX)
    messages.send([question(event, DEADLINE, event.book) for event in overdue], now=now)
    return len(overdue)


def pause(age: timedelta) -> timedelta:
    """About as long again as was waited so far, within bounds, never the same for two."""
    ceiling = min(max(age.total_seconds(), PAUSE_MIN_S), PAUSE_MAX_S)
    return timedelta(seconds=random.uniform(0.5, 1.0) * ceiling)


def _event(message: Message) -> ProviderEvent:
    known = ProviderEvent.objects.select_related("account__book", "book", "payload__data_key")
    return known.get(pk=ids.parse(message.payload["event_id"], "ev")[1])


def _said(event: ProviderEvent) -> NormalizedEvent:
    raw = crypto.open_sealed(event.payload.data_key, event.payload.ciphertext)
    try:
        return registry.adapter(event.account.provider).parse(
            raw, event.item_index, event.account.settings
        )
    except EventRefused as error:
        raise StructuralMismatch(f"the event cannot be read: {error.reason}") from error


def _count(message: Message, told: Judgement, now: datetime) -> None:
    """Keep with the question how often it was answered and what was said last, for the console."""
    asked = {
        "asked": int(message.payload.get("asked", 0)) + 1,
        "asked_at": now.isoformat(),
        "said": told.words,
    }
    held = Message.objects.filter(pk=message.pk, lease_token=message.lease_token)
    held.update(payload={**message.payload, **asked})


def _record(event: ProviderEvent, message: Message, told: Judgement, now: datetime) -> None:
    """The answer and the release of its event, in one transaction; silence is written once."""
    cause = message.payload["cause"]
    with transaction.atomic(durable=True):
        if told.verdict == Verdict.UNANSWERED and _is_told(event, cause):
            return
        Verification(
            book=event.book,
            event=event,
            cause=cause,
            verdict=told.verdict,
            provider_status=told.status,
            amount_minor=told.amount_minor,
            currency=told.currency,
            reached=list(told.reached),
            words=told.words,
            asked_at=now,
            created_at=now,
        ).save(force_insert=True)
        reason = f"the provider was asked ({cause}): {told.verdict}"
        inbox.release(event_ids=[event.pk], reason=reason, actor=ACTOR, now=now)


def _is_told(event: ProviderEvent, cause: str) -> bool:
    rows = event.verifications.filter(cause=cause)
    redriven_at = last_redrive(event)
    return (rows.filter(asked_at__gte=redriven_at) if redriven_at else rows).exists()
