"""How long things take and how often they fail: latency, failures by method, time to service.

OB-1 (provider's time to finalised record), OB-5 (failure rate by payment method and hour), OB-9
(execution log, mean time to service). All from rollups.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils.safestring import SafeString

from payops.cases.rules import CASE_RULES
from payops.console import svg, svg_series
from payops.console.svg import Bar
from payops.console.svg_series import HeatCell, Line
from payops.core.models import Book
from payops.monitoring import buckets, selectors
from payops.monitoring.selectors import Latency, ServiceTime

SHOWN = timedelta(hours=6)
STEP = timedelta(minutes=5)
HISTOGRAM_SHOWN = timedelta(hours=24)
HEAT_SHOWN = timedelta(days=7)
SERVICE_SHOWN = timedelta(days=30)
QUANTILES = (("p50", 500), ("p95", 950), ("p99", 990))
HOURS = tuple(range(24))
MOMENTS_MIN = 2
WARN_PERCENT, BAD_PERCENT = 5, 15


@dataclass(frozen=True, slots=True)
class MethodRow:
    """Failures of one method by the hour of the day; `cells` has 24."""

    label: str
    failed: int
    total: int
    percent: int
    cells: tuple[HeatCell, ...]


@dataclass(frozen=True, slots=True)
class ServiceRow:
    words: str
    times: ServiceTime
    first_mean: str
    first_median: str
    end_mean: str
    end_p90: str


@dataclass(frozen=True, slots=True)
class ExecutionRow:
    execution: selectors.Execution
    p95: str


def latency(book: Book, *, now: datetime) -> dict[str, Any]:
    """The picture over six hours, the histogram of a day, and the figures beside them."""
    until = now.replace(second=0, microsecond=0)
    series = selectors.latency_series(book=book, since=until - SHOWN, until=until, step=STEP)
    day = _together(
        list(selectors.latency_by("family", since=now - HISTOGRAM_SHOWN, book=book).values())
    )
    ends = (f"{until - SHOWN:%H:%M}", f"{until:%H:%M} UTC")
    return {
        "provider": _quantile_words(day.from_provider),
        "receipt": _quantile_words(day.from_receipt),
        "finished": day.finished,
        "dead": day.dead,
        "over_time": _over_time(series, ends),
        "steps": [
            (at, _quantile_words(each.from_provider), each.finished)
            for at, each in series
            if each.finished
        ],
        "histogram": _histogram(day.from_provider, "Provider's time to record", "by-provider"),
        "histogram_bars": _bars(day.from_provider),
        "histogram_ours": _histogram(day.from_receipt, "Our receipt to record", "by-receipt"),
        "histogram_ours_bars": _bars(day.from_receipt),
    }


def methods(book: Book, *, now: datetime) -> tuple[list[MethodRow], SafeString | None]:
    """Failure rate by payment method and hour of the day, over a week."""
    since = now - HEAT_SHOWN
    failed = _by_method(selectors.by_hour(name="payments_failed", since=since, book=book))
    good = _by_method(selectors.by_hour(name="payments_ok", since=since, book=book))
    rows = []
    for method in sorted({*failed, *good}):
        bad, fine = failed.get(method, {}), good.get(method, {})
        total = sum(bad.values()) + sum(fine.values())
        rows.append(
            MethodRow(
                label=method,
                failed=sum(bad.values()),
                total=total,
                percent=sum(bad.values()) * 100 // total,
                cells=tuple(_cell(bad.get(h, 0), bad.get(h, 0) + fine.get(h, 0)) for h in HOURS),
            )
        )
    if not rows:
        return [], None
    picture = svg_series.heat(
        rows=[(row.label, row.cells) for row in rows],
        title="Failed payments by method and hour of the day, last 7 days",
    )
    return rows, picture


def service_times(book: Book, *, now: datetime) -> list[ServiceRow]:
    return [
        ServiceRow(
            words=CASE_RULES[each.rule].words if each.rule in CASE_RULES else each.rule,
            times=each,
            first_mean=_seconds(each.to_act_mean_s),
            first_median=_seconds(each.to_act_median_s),
            end_mean=_seconds(each.to_end_mean_s),
            end_p90=_seconds(each.to_end_p90_s),
        )
        for each in selectors.service_times(book=book, since=now - SERVICE_SHOWN)
    ]


def executions(book: Book, *, now: datetime) -> list[ExecutionRow]:
    found = selectors.executions(book=book, since=now - HISTOGRAM_SHOWN)
    return [ExecutionRow(each, _span(each.p95)) for each in found]


def _by_method(counts: dict[tuple[str, int], int]) -> dict[str, dict[int, int]]:
    found: dict[str, dict[int, int]] = {}
    for (scope, hour), count in counts.items():
        method = scope.partition("|")[2] or "unknown"
        hours = found.setdefault(method, {})
        hours[hour] = hours.get(hour, 0) + count
    return found


def _cell(failed: int, total: int) -> HeatCell:
    if not total:
        return HeatCell("", "no payment")
    percent = failed * 100 // total
    tone = "bad" if percent >= BAD_PERCENT else "warn" if percent >= WARN_PERCENT else "good"
    return HeatCell(tone, f"{percent} % of {total}")


def _together(parts: list[Latency]) -> Latency:
    return Latency(
        sum(part.processed for part in parts),
        sum(part.ignored for part in parts),
        sum(part.dead for part in parts),
        buckets.added([part.from_receipt for part in parts]),
        buckets.added([part.from_provider for part in parts]),
    )


def _quantile_words(histogram: list[int]) -> dict[str, str]:
    return {name: buckets.at_most(histogram, per_mille) for name, per_mille in QUANTILES}


def _over_time(series: list[tuple[datetime, Latency]], ends: tuple[str, str]) -> SafeString | None:
    """None while fewer moments than a line needs have been counted."""
    if sum(1 for _, each in series if sum(each.from_provider)) < MOMENTS_MIN:
        return None
    lines = [
        Line(
            name,
            [buckets.quantile_ms(each.from_provider, per_mille) for _, each in series],
            f"{sum(1 for _, each in series if each.finished)} of {len(series)} moments",
        )
        for name, per_mille in QUANTILES
    ]
    return svg_series.quantiles(
        lines=lines, ends=ends, title="Provider's time to finalised record, logarithmic scale"
    )


def _bars(histogram: list[int]) -> list[Bar]:
    return [
        Bar(buckets.label(index), count, str(count))
        for index, count in enumerate(histogram)
        if count or index < len(buckets.LATENCY_MS)
    ]


def _histogram(histogram: list[int], title: str, name: str) -> SafeString:
    return svg.histogram(bars=_bars(histogram), title=title, name=name)


def _seconds(value: int | None) -> str:
    return "under 1 s" if value == 0 else buckets.words(None if value is None else value * 1000)


def _span(value: timedelta | None) -> str:
    return buckets.words(None if value is None else value // timedelta(milliseconds=1))
