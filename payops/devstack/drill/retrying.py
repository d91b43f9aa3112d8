"""Acts under fire: done again until they succeed, because what they speak to is being killed.

Every act handed in is safe to repeat. One that does not succeed in time is kept as a trouble of the
drill, never dropped.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import Error as DatabaseError
from django.db import connections

from approvals.refusals import ApprovalRefused
from payops.cases.services import CaseRefused
from payops.core.state import StaleState
from payops.devstack.seed.provider import ProviderSilent

T = TypeVar("T")
PATIENCE_S = 120.0  # a database that recovers on a busy machine takes its time
PAUSE_S = 0.25
# The last two: what was looked at changed before it was acted on; the next look sees it.
PASSING = (DatabaseError, ProviderSilent, OSError, StaleState, CaseRefused, ApprovalRefused)


class Troubles:
    """What the drill itself could not do; any of them fails it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.lines: list[str] = []

    def add(self, line: str) -> None:
        with self._lock:
            self.lines.append(line)


def persist(act: Callable[[], T], *, what: str, patience_s: float = PATIENCE_S) -> T:
    """The act's answer; raises its last error when it did not succeed within the patience."""
    until = time.monotonic() + patience_s
    while True:
        try:
            return act()
        except PASSING as error:
            connections.close_all()
            if time.monotonic() > until:
                raise TimeoutError(f"{what}: {type(error).__name__}: {error}") from error
            time.sleep(PAUSE_S)
