"""Server-side pictures of series: a band with its threshold, quantiles, a trend, a heat grid.

The same rules as `svg`: escaped text, classes instead of colours, a title and a description for
screen readers, and a table with the same facts beside each picture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from payops.console.svg import CHART_WIDTH, POINTS_MAX, clean

TOP, FLOOR, LEFT, RIGHT = 12, 112, 4, 300
HEAT_LABEL, HEAT_CELL, HEAT_ROW = 96, 10, 18
HEAT_ROWS_MAX = 24
NAME_HEIGHT = 12


@dataclass(frozen=True, slots=True)
class Line:
    """One line of `quantiles`: its name stands at its end."""

    name: str
    values: Sequence[int | None]
    text: str


@dataclass(frozen=True, slots=True)
class HeatCell:
    """`tone` picks the colour, "" leaves the cell empty; `text` is what it says."""

    tone: str
    text: str


def band(
    *,
    values: Sequence[int],
    expected: int,
    opens_at: int,
    ends: tuple[str, str],
    title: str,
    name: str = "band",
) -> SafeString:
    """A series with what was expected (the shaded part) and the threshold above it."""
    shown = list(values[-POINTS_MAX:])
    highest = max([*shown, opens_at, expected, 1])
    points = _points(shown, highest)
    at_expected, at_threshold = _y(expected, highest), _y(opens_at, highest)
    drawn = format_html(
        '<rect class="track" x="{}" y="{}" width="{}" height="{}"/>'
        '<path class="base" d="M{} {}H{}"/>'
        '<text class="axis" x="{}" y="{}">opens at {}</text>'
        '<text class="axis" x="{}" y="{}">expected {}</text>{}',
        *(LEFT, at_expected, RIGHT - LEFT, max(FLOOR - at_expected, 1)),
        *(LEFT, at_threshold, RIGHT),
        *(LEFT, _above(at_threshold), opens_at),
        *(LEFT, _below(at_threshold, at_expected), expected),
        _line(points),
    )
    last = shown[-1] if shown else 0
    told = f"{len(shown)} windows, highest {max(shown, default=0)}, latest {last}; "
    told += f"expected {expected}, opens at {opens_at}"
    return _frame(drawn, ends=ends, title=title, told=told, name=name)


def _above(at_threshold: int) -> int:
    """The threshold's label lies on its line, with room for the other one below it."""
    return max(min(at_threshold - 3, FLOOR - 2 - NAME_HEIGHT), 9)


def _below(at_threshold: int, at_expected: int) -> int:
    return min(max(at_expected - 3, _above(at_threshold) + NAME_HEIGHT), FLOOR - 2)


def quantiles(
    *, lines: Sequence[Line], ends: tuple[str, str], title: str, name: str = "quantiles"
) -> SafeString:
    """Lines over the same moments on a logarithmic scale, so that fast and slow are both seen."""
    every = [_log(v) for line in lines for v in line.values if v is not None]
    drawn = []
    names: list[tuple[int, str]] = []
    for line in lines:
        places = [None if value is None else _log(value) for value in line.values]
        points = _points(places, max([*every, 1]))
        drawn.append(_line(points))
        if points:
            names.append((points[-1][1] + 4, line.name))
    for y, text in _apart(names):
        drawn.append(format_html('<text class="axis" x="{}" y="{}">{}</text>', RIGHT + 4, y, text))
    told = "; ".join(f"{line.name}: {line.text}" for line in lines) or "nothing yet"
    together = format_html_join("", "{}", ((part,) for part in drawn))
    return _frame(together, ends=ends, title=title, told=told, name=name)


def trend(
    *,
    values: Sequence[int],
    words: Sequence[str],
    ends: tuple[str, str],
    title: str,
    name: str = "trend",
) -> SafeString:
    """A line between its own lowest and highest value; `words` say each value as people read it."""
    shown, said = list(values[-POINTS_MAX:]), list(words[-POINTS_MAX:])
    low, high = min(shown, default=0), max(shown, default=0)
    # A flat line lies in the middle.
    points = (
        _points([value - low for value in shown], high - low)
        if high > low
        else [(x, (TOP + FLOOR) // 2) for x, _ in _points([0] * len(shown), 1)]
    )
    highest, lowest = (said[shown.index(edge)] if shown else "" for edge in (high, low))
    drawn = format_html(
        '<text class="axis" x="{}" y="{}">{}</text><text class="axis" x="{}" y="{}">{}</text>{}',
        *(LEFT, TOP - 3, clean(f"highest {highest}")),
        *(LEFT + 84, FLOOR + 15, clean(f"lowest {lowest}")),
        _line(points),
    )
    told = f"{len(shown)} values, lowest {lowest}, highest {highest}"
    told += f", latest {said[-1]}" if said else ""
    return _frame(drawn, ends=ends, title=title, told=told, name=name)


def heat(
    *, rows: Sequence[tuple[str, Sequence[HeatCell]]], title: str, name: str = "heat"
) -> SafeString:
    """One row per name, one cell per hour of the day; the marks below stand at 0, 6, 12, 18."""
    shown = rows[:HEAT_ROWS_MAX]
    cells = format_html_join(
        "",
        '<g><title>{}</title><rect class="{}" x="{}" y="{}" width="{}" height="{}" rx="1"/></g>',
        (
            (
                f"{clean(label)}, {hour:02d} h: {clean(cell.text)}",
                f"tone-{cell.tone}" if cell.tone else "track",
                HEAT_LABEL + hour * HEAT_CELL,
                row * HEAT_ROW,
                HEAT_CELL - 1,
                HEAT_ROW - 4,
            )
            for row, (label, cells_of) in enumerate(shown)
            for hour, cell in enumerate(cells_of)
        ),
    )
    labels = format_html_join(
        "",
        '<text class="axis" x="0" y="{}">{}</text>',
        ((row * HEAT_ROW + 11, clean(label, columns=15)) for row, (label, _) in enumerate(shown)),
    )
    below = len(shown) * HEAT_ROW + 10
    marks = format_html_join(
        "",
        '<text class="axis" x="{}" y="{}">{}</text>',
        ((HEAT_LABEL + hour * HEAT_CELL, below, f"{hour:02d}") for hour in (0, 6, 12, 18)),
    )
    return _svg(
        cells + labels + marks,
        size=(CHART_WIDTH, below + 4),
        title=title,
        told=f"{len(shown)} rows of 24 hours; the table has the figures",
        name=name,
    )


def _points(values: Sequence[int | None], highest: int) -> list[tuple[int, int]]:
    steps = max(len(values) - 1, 1)
    return [
        (LEFT + (RIGHT - LEFT) * place // steps, _y(value, highest))
        for place, value in enumerate(values)
        if value is not None
    ]


def _apart(names: Sequence[tuple[int, str]]) -> list[tuple[int, str]]:
    """Names moved down until none lies on another; the slowest line stands highest."""
    placed: list[tuple[int, str]] = []
    for y, text in sorted(names, key=_slowest_first):
        lowest = placed[-1][0] + NAME_HEIGHT if placed else y
        placed.append((max(y, lowest), text))
    return placed


def _slowest_first(name: tuple[int, str]) -> tuple[int, int]:
    return name[0], -int(name[1].lstrip("p") or 0)


def _log(value: int) -> int:
    return round(100 * math.log10(value + 1))


def _y(value: int, highest: int) -> int:
    return FLOOR - (FLOOR - TOP) * value // highest


def _line(points: Sequence[tuple[int, int]]) -> SafeString:
    if not points:
        return SafeString("")
    return format_html(
        '<polyline class="line" points="{}"/><circle class="dot" cx="{}" cy="{}" r="2"/>',
        " ".join(f"{x},{y}" for x, y in points),
        *points[-1],
    )


def _frame(
    drawn: SafeString, *, ends: tuple[str, str], title: str, told: str, name: str
) -> SafeString:
    axis = format_html(
        '<path class="base" d="M{} {}.5H{}"/><text class="axis" x="{}" y="{}">{}</text>'
        '<text class="figure" x="{}" y="{}">{}</text>',
        *(LEFT, FLOOR, RIGHT, LEFT, FLOOR + 15, clean(ends[0])),
        *(RIGHT, FLOOR + 15, clean(ends[1])),
    )
    return _svg(drawn + axis, size=(CHART_WIDTH, FLOOR + 20), title=title, told=told, name=name)


def _svg(
    drawn: SafeString, *, size: tuple[int, int], title: str, told: str, name: str
) -> SafeString:
    return format_html(
        '<svg class="pic chart" role="img" aria-labelledby="{0}-t {0}-d" width="{1}" height="{2}" '
        'viewBox="0 0 {1} {2}"><title id="{0}-t">{3}</title><desc id="{0}-d">{4}</desc>{5}</svg>',
        *(name, *size, clean(title), told, drawn),
    )
