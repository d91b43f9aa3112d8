"""A table of topics for tests of the edge alone: two topics, whose handler does nothing."""

from __future__ import annotations

from datetime import datetime

from payops.core.models import Message
from payops.core.topics import Run, Topic


def noted(messages: list[Message], now: datetime) -> None:
    """Repetitions are handled by a flow, which has tests of its own."""


TOPICS = [
    Topic(
        name="delivery.repeated",
        handler=noted,
        lane="bulk",
        attempts_max=5,
        run=Run.IN_TRANSACTION,
        words="A provider delivered an event that is known already",
    ),
    Topic(
        name="dead_letter.structural",
        handler=noted,
        lane="bulk",
        attempts_max=5,
        run=Run.IN_TRANSACTION,
        words="An event can never succeed as it is",
    ),
]
