"""A provider as calls in flight meet it, and a caller of which each test changes one thing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection

from payops.core.callers import Begun, Landed, Room
from payops.core.models import Message
from payops.core.queues import Postpone

ANSWER_S = 0.05


@dataclass
class Sky:
    """The provider as calls meet it: who is in the air, from which threads, and since when."""

    aloft: int = 0
    most: int = 0
    threads: set[str] = field(default_factory=set)
    left: list[tuple[str, float]] = field(default_factory=list)
    answer: Callable[[str], Any] = lambda key: "taken"
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fly(self, row: Message) -> Any:
        with self.lock:
            self.aloft += 1
            self.most = max(self.most, self.aloft)
            self.threads.add(threading.current_thread().name)
            self.left.append((row.key, time.monotonic()))
        try:
            time.sleep(ANSWER_S)
            return self.answer(row.key)
        finally:
            with self.lock:
                self.aloft -= 1

    def keys(self) -> list[str]:
        return sorted(key for key, _ in self.left)


@dataclass(frozen=True)
class Asked:
    sky: Sky
    row: Message

    def make(self) -> Any:
        return self.sky.fly(self.row)


@dataclass
class Teller:
    """A caller as flows write them, of which each test changes one thing."""

    sky: Sky = field(default_factory=Sky)
    batch_max: int = 8
    begun: list[list[str]] = field(default_factory=list)
    recorded: list[list[str]] = field(default_factory=list)
    outcomes: dict[str, Any] = field(default_factory=dict)
    rooms: Callable[..., Room] = lambda turn, wanted, take, now: Room(wanted)
    on_begin: Callable[[Message], Begun] | None = None
    on_record: Callable[[Landed], Postpone | None] = lambda landed: None

    def room(self, *, turn: str, wanted: int, take: bool, now: datetime) -> Room:
        return self.rooms(turn, wanted, take, now)

    def begin(self, rows: Sequence[Message], now: datetime) -> list[Begun]:
        assert not connection.in_atomic_block
        self.begun.append([row.key for row in rows])
        if self.on_begin is None:
            return [Asked(self.sky, row) for row in rows]
        return [self.on_begin(row) for row in rows]

    def record(self, landed: Sequence[Landed], now: datetime) -> list[Postpone | None]:
        self.recorded.append([each.row.key for each in landed])
        answers = [self.on_record(each) for each in landed]
        self.outcomes.update({each.row.key: each.outcome for each in landed})
        return answers
