"""The table of latency buckets and what can be read from a histogram over them.

Buckets are upper bounds in milliseconds; the last one is everything above. A quantile is told as
the bound of the bucket it falls into, which is the truth to one bucket, never an invented figure.
"""

from __future__ import annotations

from collections.abc import Sequence

LATENCY_MS = (
    10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 900_000,
    3_600_000, 21_600_000,
)  # fmt: skip
COUNT = len(LATENCY_MS) + 1


def added(histograms: Sequence[Sequence[int]]) -> list[int]:
    """The sum, bucket by bucket; all buckets nil when there is none."""
    return [sum(each) for each in zip(*histograms, strict=True)] or [0] * COUNT


def quantile_ms(histogram: Sequence[int], per_mille: int) -> int | None:
    """The bound under which that many of a thousand lie; None when nothing was counted.

    What lies above the last bound answers that bound: "at least".
    """
    total = sum(histogram)
    if total == 0:
        return None
    wanted, seen = -(-total * per_mille // 1000), 0
    for index, count in enumerate(histogram):
        seen += count
        if seen >= wanted:
            return LATENCY_MS[min(index, len(LATENCY_MS) - 1)]
    raise AssertionError("a histogram holds what it sums up to")


def at_most(histogram: Sequence[int], per_mille: int) -> str:
    """The bound that so many of a thousand kept, "over 6 h" where the last bucket has none."""
    total = sum(histogram)
    beyond = total and histogram[-1] * 1000 > total * (1000 - per_mille)
    bound = words(quantile_ms(histogram, per_mille))
    return f"over {bound}" if beyond else bound


def words(ms: int | None) -> str:
    """A bound as people read it: "250 ms", "5 s", "15 min"."""
    if ms is None:
        return "–"  # noqa: RUF001
    for size, unit in ((3_600_000, "h"), (60_000, "min"), (1_000, "s")):
        if ms >= size:
            whole, rest = divmod(ms, size)
            return f"{whole}.{rest * 10 // size} {unit}" if rest else f"{whole} {unit}"
    return f"{ms} ms"


def label(index: int) -> str:
    """The upper bound of a bucket; the last one has none."""
    if index == len(LATENCY_MS):
        return f"{words(LATENCY_MS[-1])}+"
    return words(LATENCY_MS[index])
