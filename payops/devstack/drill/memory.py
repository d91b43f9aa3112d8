"""Whether memory stays flat: the resident size of web and workers, sampled while a drill runs.

A process that was killed begins anew, so each pid is judged for itself, on what it did after its
warm-up and after the last kill. Serves SC-1.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from payops.devstack.drill.verdict import Check
from payops.devstack.privatefiles import read_json
from payops.devstack.stackfile import FILE

EVERY_S = 1.0
WARM_UP_S = 20.0
# What caches and the allocator may still take after the warm-up; a leak outgrows both.
NOISE_MB = 4.0
GROWTH_MB_PER_MINUTE = 1.0
MB = 1024 * 1024
WATCHED = (
    *("web", "worker-high", "worker-standard", "worker-calls", "worker-outside"),
    "worker-housekeeping",
)
Sample = tuple[float, int]  # seconds since the start, bytes


class MemoryWatch:
    """Samples until `stop`; keyed by process and pid."""

    def __init__(self, *, directory: Path) -> None:
        self.samples: dict[tuple[str, int], list[Sample]] = {}
        self._directory = directory
        self._started_s = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def passed_s(self) -> float:
        return time.monotonic() - self._started_s

    def _watch(self) -> None:
        while not self._over.wait(EVERY_S):
            told: dict[str, Any] = read_json(path=self._directory / FILE)
            for name in WATCHED:
                self._sample(name, told.get("pids", {}).get(name))

    def _sample(self, name: str, pid: int | None) -> None:
        try:
            if pid is None:
                return
            parent = psutil.Process(pid)
            for process in (parent, *parent.children()):
                key = (f"{name}" if process.pid == pid else f"{name}: a child", process.pid)
                sample = (self.passed_s(), process.memory_info().rss)
                self.samples.setdefault(key, []).append(sample)
        except psutil.Error:
            return  # killed between two looks; its successor is sampled from its start


def slope_per_minute(samples: Sequence[Sample]) -> float:
    """Bytes a minute, by least squares."""
    count = len(samples)
    assert count >= 2, "a slope needs two samples"
    mean_s = sum(at for at, _ in samples) / count
    mean = sum(size for _, size in samples) / count
    spread = sum((at - mean_s) ** 2 for at, _ in samples)
    return 60 * sum((at - mean_s) * (size - mean) for at, size in samples) / spread


def flat(
    samples: Mapping[tuple[str, int], Sequence[Sample]],
    *,
    since_s: float,
    until_s: float,
    at_least_s: float,
) -> tuple[Check, dict[str, str]]:
    """The check, and per process its size and slope in words.

    A process counts from its warm-up on, and only when it was watched for `at_least_s` after it.
    """
    breaks, figures = [], {}
    for (name, pid), taken in sorted(samples.items()):
        begins_s = max(since_s, taken[0][0] + WARM_UP_S)
        judged = [sample for sample in taken if begins_s <= sample[0] <= until_s]
        if len(judged) < 2 or judged[-1][0] - judged[0][0] < at_least_s:
            continue
        minutes = (judged[-1][0] - judged[0][0]) / 60
        slope_mb = slope_per_minute(judged) / MB
        sizes = f"{judged[0][1] / MB:.0f} MB, {judged[-1][1] / MB:.0f} MB"
        words = f"{sizes} after {minutes:.1f} min: {slope_mb:+.2f} MB/min"
        figures[f"memory of {name} {pid}"] = words
        if slope_mb * minutes > NOISE_MB + GROWTH_MB_PER_MINUTE * minutes:
            breaks.append(f"{name} {pid} grows: {words}")
    if not figures:
        breaks.append(f"no process was watched for {at_least_s:.0f} s after its warm-up")
    words = f"memory is flat: {NOISE_MB:g} MB and {GROWTH_MB_PER_MINUTE:g} MB a minute at most"
    return Check(words, len(figures), breaks), figures
