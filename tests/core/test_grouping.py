"""SC-1: threads that write together share a statement, and nobody pays for a neighbour."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from payops.core.grouping import Grouped


class Slow:
    """Writes that wait until they are let go, and remember their groups."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.entered = threading.Semaphore(0)
        self.go = threading.Semaphore(0)

    def __call__(self, works: Sequence[int]) -> list[int]:
        self.groups.append(list(works))
        self.entered.release()
        assert self.go.acquire(timeout=10)
        if 13 in works:
            raise ValueError("13 cannot be written")
        return [work * 10 for work in works]


def test_alone_it_writes_at_once() -> None:
    groups: list[list[int]] = []

    def write(works: Sequence[int]) -> list[int]:
        groups.append(list(works))
        return [work * 10 for work in works]

    grouped = Grouped(write)
    assert [grouped(1), grouped(2)] == [10, 20]
    assert groups == [[1], [2]]


def test_those_who_come_meanwhile_go_together() -> None:
    slow = Slow()
    grouped = Grouped(slow)
    with ThreadPoolExecutor(8) as threads:
        first = threads.submit(grouped, 1)
        assert slow.entered.acquire(timeout=10)
        others = [threads.submit(grouped, work) for work in range(2, 8)]
        _until(lambda: len(grouped._waiting) == 6)
        for _ in range(2):
            slow.go.release()
        assert first.result(10) == 10
        assert [other.result(10) for other in others] == [20, 30, 40, 50, 60, 70]
    assert [sorted(group) for group in slow.groups] == [[1], [2, 3, 4, 5, 6, 7]]


def test_a_group_is_no_larger_than_its_limit() -> None:
    slow = Slow()
    grouped = Grouped(slow, group_max=2)
    with ThreadPoolExecutor(8) as threads:
        results = [threads.submit(grouped, 0)]
        assert slow.entered.acquire(timeout=10)
        results += [threads.submit(grouped, work) for work in range(1, 6)]
        _until(lambda: len(grouped._waiting) == 5)
        for _ in range(4):
            slow.go.release()
        assert sorted(result.result(10) for result in results) == [0, 10, 20, 30, 40, 50]
    assert [len(group) for group in slow.groups] == [1, 2, 2, 1]


def test_nobody_pays_for_a_neighbour() -> None:
    slow = Slow()
    grouped = Grouped(slow)
    with ThreadPoolExecutor(8) as threads:
        first = threads.submit(grouped, 1)
        assert slow.entered.acquire(timeout=10)
        bad, good = threads.submit(grouped, 13), threads.submit(grouped, 5)
        _until(lambda: len(grouped._waiting) == 2)
        for _ in range(4):
            slow.go.release()
        assert (first.result(10), good.result(10)) == (10, 50)
        with pytest.raises(ValueError, match="13 cannot be written"):
            bad.result(10)
    assert sorted(map(sorted, slow.groups)) == [[1], [5], [5, 13], [13]]
    slow.go.release()
    assert grouped(2) == 20


def test_hammered_by_sixteen_threads_every_answer_is_its_own() -> None:
    sizes: list[int] = []

    def write(works: Sequence[int]) -> list[int]:
        sizes.append(len(works))
        if any(work % 50 == 7 for work in works):
            raise ValueError(works)
        return [work * 10 for work in works]

    grouped = Grouped(write)

    def one(work: int) -> int:
        try:
            return grouped(work)
        except ValueError:
            return -work

    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(one, range(4000)))
    assert answers == [-w if w % 50 == 7 else w * 10 for w in range(4000)]
    assert not grouped._led and not grouped._waiting


def _until(true: object) -> None:
    assert callable(true)
    waited = threading.Event()
    for _ in range(1000):
        if true():
            return
        waited.wait(0.01)
    raise AssertionError("it never came true")
