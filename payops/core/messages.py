"""The outbox: news sent in the transaction of the act that made it (D4, WH-25).

A message is unique per (book, topic, key): sending it again is a no-op. Payloads carry ids, never
persons' data. The lane is woken after the commit, best-effort; the sweep finds what a lost wake-up
missed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from django.db import connection, transaction

from payops.core.models import Book, Message
from payops.core.topics import topic_table
from payops.core.wake import wake


@dataclass(frozen=True, slots=True)
class News:
    """One message to send; `key` makes it unique within its topic and book."""

    book: Book
    topic: str
    key: str
    payload: dict[str, Any] = field(default_factory=dict)
    trace_id: str = ""
    due_at: datetime | None = None
    turn: str = ""


def send(news: Sequence[News], *, now: datetime) -> None:
    assert connection.in_atomic_block, "news travels with the transaction that made it"
    Message.objects.bulk_create(
        [
            Message(
                book=item.book,
                topic=item.topic,
                key=item.key,
                payload=item.payload,
                turn=item.turn,
                lane=topic_table()[item.topic].lane,
                due_at=item.due_at or now,
                trace_id=item.trace_id,
                created_at=now,
            )
            for item in news
        ],
        ignore_conflicts=True,
        batch_size=1000,
    )
    due_now = [item for item in news if item.due_at is None or item.due_at <= now]
    for lane in sorted({topic_table()[item.topic].lane for item in due_now}):
        transaction.on_commit(partial(wake, lane))
