"""The outbox as a queue: PENDING messages, handed to the handler of their topic.

The table of topics says who handles what, how often, and whether inside the engine's transaction
(a batch per topic), by its own steps (one by one) or as calls in flight. Serves D4, WH-16, WH-17
and WH-19.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from payops.core import audit, clock, messages, queues
from payops.core.actors import Actor, service
from payops.core.callers import Caller
from payops.core.messages import News
from payops.core.models import Book, Message, Person
from payops.core.queues import Calls, Queue, StructuralMismatch, attempts_allowed
from payops.core.state import StaleState
from payops.core.topics import Run, Topic, topic_table

ACTOR = service("outbox")
UNKNOWN_TOPIC_ATTEMPTS = 1
ALERT = "dead_letter.structural"
LANES_IN_TURN = frozenset({"calls"})


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
        lanes_in_turn=LANES_IN_TURN,
        calls=Calls(topics=_flying_topics, caller_of=_caller_of),
    )


def alert(row: Any, *, source: str, subject_id: str, now: datetime) -> None:
    """News of a row that can never succeed as it is, once per cause and day (WH-21).

    A dead alert raises none: its cause would be its own.
    """
    if row.failure_kind != "structural" or getattr(row, "topic", "") == ALERT:
        return
    if ALERT not in topic_table():
        return
    day = clock.business_day(now, time_zone=row.book.time_zone)
    cause = hashlib.sha256(row.cause.encode()).hexdigest()[:24]
    payload = {"source": source, "id": subject_id}
    news = News(row.book, ALERT, f"{source}:{cause}:{day}", payload, row.trace_id)
    messages.send([news], now=now)


def redrive(*, message_ids: Sequence[UUID], note: str, actor: Actor, now: datetime) -> int:
    """DEAD → PENDING, all or none, with an audit row each. Raises MessageRefused."""
    assert connection.in_atomic_block, "a redrive is written with its audit rows"
    held = _dead(message_ids)
    for message in held:
        queues.readmit(message, note=note, by=actor.login or actor.service, now=now)
        message.state = Message.State.PENDING
    Message.objects.bulk_update(held, [*queues.READMIT_COLUMNS, "state"], batch_size=500)
    _record(held, actor, now, "message.redriven", Message.State.DEAD, note)
    return len(held)


def assign(
    *, message_ids: Sequence[UUID], owner: Person | None, actor: Actor, now: datetime
) -> list[Message]:
    """Say whose work dead messages are, all or none (WH-20). Raises MessageRefused."""
    assert connection.in_atomic_block, "an owner is written with its audit row"
    held = _dead(message_ids)
    for message in held:
        message.owner = owner
    Message.objects.bulk_update(held, ["owner"], batch_size=500)
    words = f"assigned to {owner.name}" if owner else "owner removed"
    _record(held, actor, now, "message.assigned", Message.State.DEAD, words)
    return held


def _dead(message_ids: Sequence[UUID]) -> list[Message]:
    """The dead messages of these keys, locked; every one of them or MessageRefused."""
    wanted = set(message_ids)
    rows = Message.objects.select_for_update(no_key=True).filter(pk__in=wanted)
    held = list(rows.order_by("pk"))
    unfit = [f"{m.topic} {m.key} is {m.state}" for m in held if m.state != Message.State.DEAD]
    if unfit or len(held) != len(wanted):
        raise MessageRefused("; ".join(unfit[:5]) or "a message was not found")
    return held


def _topic(message: Message) -> Topic | None:
    return topic_table().get(message.topic)


def _own_steps(message: Message) -> bool:
    topic = _topic(message)
    return topic is not None and topic.run is Run.OWN_STEPS


def _flying_topics() -> tuple[str, ...]:
    return tuple(topic.name for topic in topic_table().values() if topic.run is Run.CALL)


def _caller_of(message: Message) -> Caller:
    topic = topic_table()[message.topic]
    assert topic.run is Run.CALL and not callable(topic.handler), f"{topic.name} does not fly"
    return topic.handler


def _attempts_max(message: Message) -> int:
    topic = _topic(message)
    return attempts_allowed(message, topic.attempts_max if topic else UNKNOWN_TOPIC_ATTEMPTS)


def _run(batch: list[Message], now: datetime) -> None:
    by_topic: dict[str, list[Message]] = {}
    for message in batch:
        by_topic.setdefault(message.topic, []).append(message)
    for name, same in by_topic.items():
        topic = topic_table().get(name)
        if topic is None:
            raise StructuralMismatch(f"no handler for topic {name!r}")
        assert callable(topic.handler), f"{name} flies and is never run as a batch"
        topic.handler(same, now)


def _finish(batch: list[Message], now: datetime) -> None:
    keys = [message.pk for message in batch]
    pending = Message.objects.filter(pk__in=keys, state=Message.State.PENDING)
    written = pending.update(
        state=Message.State.DONE, finished_at=now, leased_until=None, interruptions=0
    )
    if written != len(keys):
        raise StaleState(f"{len(keys) - written} messages were finished by another worker")


def _give_up(message: Message, now: datetime) -> None:
    message.state = Message.State.DEAD
    message.last_failed_at = message.last_failed_at or now
    message.save(update_fields=["state", "last_failed_at"])
    alert(message, source="message", subject_id=str(message.pk), now=now)
    _record([message], ACTOR, now, "message.dead", Message.State.PENDING, message.last_error[:240])


def _record(
    rows: Sequence[Message], actor: Actor, now: datetime, action: str, was: str, reason: str
) -> None:
    books = Book.objects.in_bulk({message.book_id for message in rows})
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
        for message in rows
    )
