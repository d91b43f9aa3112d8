"""The shape of a row in the table of message topics (`payops/wiring.py`), and how it is loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.checks import Error, register
from django.utils.module_loading import import_string

if TYPE_CHECKING:
    from payops.core.callers import Caller
    from payops.core.models import Message


class Run(StrEnum):
    """How a handler runs: inside the engine's transaction with its batch, by its own steps, or as
    a call that flies beside others."""

    IN_TRANSACTION = "in_transaction"
    OWN_STEPS = "own_steps"
    CALL = "call"


@dataclass(frozen=True, slots=True)
class Topic:
    """`handler` takes a batch (IN_TRANSACTION) or a batch of one (OWN_STEPS) and `now`.

    With CALL it is a Caller: it begins, is asked for room, and records.
    """

    name: str
    handler: Callable[[list[Message], datetime], None] | Caller
    lane: str
    attempts_max: int
    run: Run
    words: str


@cache
def topic_table() -> dict[str, Topic]:
    return {topic.name: topic for topic in import_string(settings.PAYOPS_TOPICS)}


@register()
def topics_load(app_configs: object, **kwargs: object) -> list[Error]:
    try:
        topic_table()
    except ImportError as error:
        return [Error(f"the table of message topics does not load: {error}", id="payops.E001")]
    return []
