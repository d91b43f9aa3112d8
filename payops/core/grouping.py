"""Lets threads that write at the same moment share one statement, without making any of them wait.

The first to come leads: it writes what is waiting, its own included, and hands the lead to the
next. Alone, a thread writes at once. A group that fails is written again one by one, so that
nobody pays for a neighbour. Owns no data; what is written must be safe to write twice. Serves
SC-1 and WH-1.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")
GROUP_MAX = 16


class _Turn(Generic[T, R]):
    """One thread's work: `given` is released when it is done, failed with its group, or leads."""

    __slots__ = ("answer", "answered", "given", "leads", "work")

    def __init__(self, work: T) -> None:
        self.work = work
        self.given = threading.Lock()
        self.leads = self.answered = False
        self.answer: R | None = None


class Grouped(Generic[T, R]):
    """`write` takes one or many works in one go and answers one result each, or raises for all."""

    def __init__(
        self, write: Callable[[Sequence[T]], Sequence[R]], *, group_max: int = GROUP_MAX
    ) -> None:
        self._write = write
        self._group_max = group_max
        self._lock = threading.Lock()
        self._waiting: list[_Turn[T, R]] = []
        self._led = False

    def __call__(self, work: T) -> R:
        """The result of this work; raises what writing it alone raises."""
        turn = _Turn[T, R](work)
        with self._lock:
            self._waiting.append(turn)
            if self._led:
                turn.given.acquire()
            else:
                self._led = turn.leads = True
        if not turn.leads:
            turn.given.acquire()
        if turn.leads:
            self._lead()
        if not turn.answered:
            return self._write([work])[0]
        return turn.answer  # type: ignore[return-value]

    def _lead(self) -> None:
        """Write the group at the head of the queue; the leader's own turn is its first."""
        with self._lock:
            group = self._waiting[: self._group_max]
            del self._waiting[: self._group_max]
        try:
            answers = self._write([turn.work for turn in group])
            for turn, answer in zip(group, answers, strict=True):
                turn.answer, turn.answered = answer, True
        except Exception:
            if len(group) == 1:
                raise
        finally:
            self._pass_on()
            for turn in group[1:]:
                turn.given.release()

    def _pass_on(self) -> None:
        with self._lock:
            if not self._waiting:
                self._led = False
                return
            following = self._waiting[0]
            following.leads = True
        following.given.release()
