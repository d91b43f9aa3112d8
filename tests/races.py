"""Races on real PostgreSQL: the same act from many threads, each with its own connection."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from django.db import connections

JOIN_S = 60


def race(count: int, act: Callable[[int], Any]) -> list[Any]:
    """Run `act(i)` in `count` threads released together; results or exceptions, in order of i."""
    results: list[Any] = [None] * count
    gate = threading.Barrier(count)

    def run(i: int) -> None:
        try:
            gate.wait(timeout=JOIN_S)
            results[i] = act(i)
        except Exception as error:  # noqa: BLE001 - the test judges what each thread raised
            results[i] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=JOIN_S)
        assert not thread.is_alive(), "a racing thread hangs"
    return results
