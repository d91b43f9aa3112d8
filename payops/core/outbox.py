"""The outbox as a queue: PENDING messages, handed to the handler of their topic.

The table of topics says who handles what, how often, and whether inside the engine's transaction
(a batch per topic) or by its own steps (one by one). Serves D4, WH-16, WH-17 and WH-19.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.db import connection

from payops.core import audit, queues
from payops.core.actors import Actor, service
from payops.core.models import Book, Message
from payops.core.queues import Queue, StructuralMismatch, attempts_allowed
from payops.core.state import StaleState
from payops.core.topics import Run, Topic, topic_table

ACTOR = service("outbox")
UNKNOWN_TOPIC_ATTEMPTS = 1


class MessageRefused(ValueError):
    """Only dead messages go back to work."""


def outbox_queue() -> Queue:
    return Queue(
        name="outbox",
        model=Message,
        ready_state=Message.State.PENDING,
        run=_run,
        own_steps=_own_steps,
        attempts_max=_attempts_max,
        finish=_finish,
        give_up=_give_up,
    )


def redrive(*, message_ids: Sequence[UUID], note: str, actor: Actor, now: datetime) -> int:
    """DEAD → PENDING, all or none, with an audit row each. Raises MessageRefused."""
    assert connection.in_atomic_block, "a redrive is written with its audit rows"
    wanted = set(message_ids)
    held = Message.objects.select_for_update(no_key=True).filter(pk__in=wanted)
    messages = list(held.order_by("pk"))
    unfit = [f"{m.topic} {m.key} is {m.state}" for m in messages if m.state != Message.State.DEAD]
    if unfit or len(messages) != len(wanted):
        raise MessageRefused("; ".join(unfit[:5]) or "a message was not found")
    for message in messages:
        queues.readmit(message, note=note, by=actor.login or actor.service, now=now)
        message.state = Message.State.PENDING
    Message.objects.bulk_update(messages, [*queues.READMIT_COLUMNS, "state"], batch_size=500)
    _record(messages, actor, now, "message.redriven", Message.State.DEAD, note)
    return len(messages)


def _topic(message: Message) -> Topic | None:
    return topic_table().get(message.topic)


def _own_steps(message: Message) -> bool:
    topic = _topic(message)
    return topic is not None and topic.run is Run.OWN_STEPS


def _attempts_max(message: Message) -> int:
    topic = _topic(message)
    return attempts_allowed(message, topic.attempts_max if topic else UNKNOWN_TOPIC_ATTEMPTS)


def _run(messages: list[Message], now: datetime) -> None:
    by_topic: dict[str, list[Message]] = {}
    for message in messages:
        by_topic.setdefault(message.topic, []).append(message)
    for name, batch in by_topic.items():
        topic = topic_table().get(name)
        if topic is None:
            raise StructuralMismatch(f"no handler for topic {name!r}")
        topic.handler(batch, now)


def _finish(messages: list[Message], now: datetime) -> None:
    keys = [message.pk for message in messages]
    pending = Message.objects.filter(pk__in=keys, state=Message.State.PENDING)
    written = pending.update(
        state=Message.State.DONE, finished_at=now, leased_until=None, interruptions=0
    )
    if written != len(keys):
        raise StaleState(f"{len(keys) - written} messages were finished by another worker")


def _give_up(message: Message, now: datetime) -> None:
    message.state = Message.State.DEAD
    message.save(update_fields=["state"])
    _record([message], ACTOR, now, "message.dead", Message.State.PENDING, message.last_error[:240])


def _record(
    messages: Sequence[Message], actor: Actor, now: datetime, action: str, was: str, reason: str
) -> None:
    books = Book.objects.in_bulk({message.book_id for message in messages})
    audit.record(
        audit.event(
            book=books[message.book_id],
            actor=actor,
            action=action,
            subject_id=f"message {message.pk.hex}",
            now=now,
            from_state=str(was),
            to_state=str(message.state),
            reason=reason,
            evidence={"topic": message.topic, "key": message.key, "attempts": message.attempts},
            trace_id=message.trace_id,
        )
        for message in messages
    )
