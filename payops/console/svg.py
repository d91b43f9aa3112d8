"""Server-side pictures: trace chain, ageing bars, histogram, sparkline, meter (F20, OB-8).

Functions take plain frozen values and return safe SVG markup. Every text is escaped, cut and
cleaned of control characters; only links into this site are kept. No picture carries a style or
a colour: shapes have classes, and the stylesheet colours them in light, dark and print. Beside
every picture stands a table with the same facts (`parts/trace.html`, `parts/bars.html`).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from payops.console import tones

NODES_MAX = 200
BARS_MAX = 60
POINTS_MAX = 400
TEXT_MAX = 300

NODE_WIDTH, NODE_HEIGHT, LINE_HEIGHT = 144, 56, 15
LANE_GAP, LANE_HEAD, ROW_GAP, EDGE_PAD = 20, 24, 10, 4
LABEL_COLUMNS, KIND_COLUMNS = 17, 18
CHART_WIDTH = 340  # fits a 390 px screen unscaled
END = mark_safe(' text-anchor="end"')  # the last label ends where the chart does
OTHER_LANE = "Other"
LANES = {
    "Request": ("Beneficiary", "Payment", "Payout"),
    "Approval": ("Approval", "Decision"),
    "Gate and call": ("Gate decision", "Intent", "Provider call", "Provider reference"),
    "Provider events": ("Receipts", "Event"),
    "Case and runbook": ("Case", "Hold", "Runbook step", "Ticket", "Message", "Evidence"),
    "Journal": ("Journal entry",),
    "Match and export": ("Match status", "ERP export"),
    OTHER_LANE: (),
}
_LANE_OF = {kind: lane for lane, kinds in LANES.items() for kind in kinds}
# The lane says the rest, and the time needs the room.
_SHORT_KINDS = {"Gate decision": "Gate", "Provider call": "Call", "Journal entry": "Entry"}
_SHORT_KINDS |= {"Runbook step": "Step"}
_REPLACED = ("Cc", "Cf", "Cs", "Co", "Cn")


@dataclass(frozen=True, slots=True)
class TraceNode:
    """One record of a chain. `key` is unique in the chain; `time` is text for people."""

    key: str
    kind: str
    label: str
    state: str = ""
    time: str = ""
    href: str = ""
    current: bool = False


@dataclass(frozen=True, slots=True)
class TraceEdge:
    """`source` and `target` are node keys; an edge to a node that is absent is left out."""

    source: str
    target: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node is drawn: which lane, which row of it, and its box."""

    lane: int
    row: int
    x: int
    y: int
    height: int


@dataclass(frozen=True, slots=True)
class Bar:
    """`value` sets the length, `text` is what people read ("7", "12,400.00 EUR")."""

    label: str
    value: int
    text: str
    tone: str = "info"


def clean(text: object, *, columns: int = TEXT_MAX) -> str:
    """Printable text of at most `columns` character cells, controls and direction marks removed."""
    kept: list[str] = []
    used = 0
    for char in str(text)[: TEXT_MAX * 2]:
        shown = "\ufffd" if unicodedata.category(char) in _REPLACED else char
        cells = 2 if unicodedata.east_asian_width(shown) in "WF" else 1
        if unicodedata.combining(shown):
            cells = 0
        if used + cells > columns - 1 and len(str(text)) > len(kept) + 1:
            return "".join(kept) + "\u2026"
        kept.append(shown)
        used += cells
    return "".join(kept)


def _inside(href: str) -> str:
    """Links stay on this site: an absolute path, never another host or scheme."""
    return href if href.startswith("/") and not href.startswith(("//", "/\\")) else ""


# ---- trace chain ---------------------------------------------------------------------------


def trace_chain(
    *,
    nodes: Sequence[TraceNode],
    edges: Sequence[TraceEdge],
    title: str,
    description: str = "",
    name: str = "trace",
) -> SafeString:
    """The chain in lanes by kind of record, from the request at the left to the export.

    `name` makes the ids of this picture unique on its page.
    """
    shown = list({node.key: node for node in nodes}.values())[:NODES_MAX]
    known = {node.key for node in shown}
    links = [e for e in edges if e.source in known and e.target in known and e.source != e.target]
    heads, places, width, height = _places(shown)
    drawn_heads = format_html_join("", '<text class="lane" x="{}" y="14">{}</text>', heads)
    drawn_edges = format_html_join("", "{}", ((_edge(edge, places),) for edge in links))
    drawn_nodes = format_html_join("", "{}", ((_node(n, places[n.key]),) for n in shown))
    told = f"{len(shown)} records, {len(links)} links, oldest at the top of each lane."
    return format_html(
        '<svg class="pic trace" role="group" aria-labelledby="{0}-t {0}-d" width="{1}" '
        'height="{2}" viewBox="0 0 {1} {2}"><title id="{0}-t">{3}</title>'
        '<desc id="{0}-d">{4}</desc>{5}{6}{7}</svg>',
        *(name, width, height, clean(title), clean(description or told)),
        *(drawn_heads, drawn_edges, drawn_nodes),
    )


def _places(
    nodes: Sequence[TraceNode],
) -> tuple[list[tuple[int, str]], dict[str, Place], int, int]:
    """Lanes that hold something, side by side; the nodes of a lane below one another."""
    stacks: dict[str, list[TraceNode]] = {lane: [] for lane in LANES}
    for node in nodes:
        stacks[_LANE_OF.get(node.kind, OTHER_LANE)].append(node)
    heads: list[tuple[int, str]] = []
    places: dict[str, Place] = {}
    lowest = LANE_HEAD
    for lane, stack in stacks.items():
        if not stack:
            continue
        x, y = EDGE_PAD + len(heads) * (NODE_WIDTH + LANE_GAP), LANE_HEAD
        heads.append((x, lane))
        for row, node in enumerate(stack):
            height = NODE_HEIGHT + LINE_HEIGHT * (len(_label_lines(node.label)) - 1)
            places[node.key] = Place(len(heads), row, x, y, height)
            y += height + ROW_GAP
        lowest = max(lowest, y - ROW_GAP)
    width = max(len(heads), 1) * (NODE_WIDTH + LANE_GAP) - LANE_GAP + 2 * EDGE_PAD
    return heads, places, width, lowest + EDGE_PAD


def _edge(edge: TraceEdge, places: dict[str, Place]) -> SafeString:
    return format_html(
        '<g class="edge"><title>{}</title><path d="{}"/><path class="tip" d="{}"/></g>',
        clean(edge.label or f"{edge.source} to {edge.target}"),
        *_route(places[edge.source], places[edge.target]),
    )


def _route(source: Place, target: Place) -> tuple[str, str]:
    """The line and its tip: between lanes sideways, within a lane down or round at the left."""
    y1, y2 = source.y + source.height // 2, target.y + target.height // 2
    if source.lane == target.lane and target.row == source.row + 1:
        x, top = source.x + NODE_WIDTH // 2, target.y
        return f"M{x} {source.y + source.height}V{top}", f"M{x} {top}l-4 -6h8Z"
    if source.lane == target.lane:
        x, out = source.x, source.x - LANE_GAP + 4
        return f"M{x} {y1}C{out} {y1} {out} {y2} {x - 6} {y2}", f"M{x} {y2}l-6 -4v8Z"
    ahead = target.lane > source.lane
    x1, x2 = source.x + NODE_WIDTH * ahead, target.x + NODE_WIDTH * (not ahead)
    bend = LANE_GAP if ahead else -LANE_GAP
    end = x2 - 6 if ahead else x2 + 6
    line = f"M{x1} {y1}C{x1 + bend} {y1} {end - bend} {y2} {end} {y2}"
    return line, f"M{x2} {y2}l{'-6' if ahead else '6'} -4v8Z"


def _label_lines(label: str) -> list[str]:
    """One line, or two broken between words; what does not fit ends in an ellipsis."""
    text = clean(label)
    if clean(text, columns=LABEL_COLUMNS) == text:
        return [text]
    taken = ""
    for word in text.split(" "):
        longer = f"{taken} {word}" if taken else word
        if clean(longer, columns=LABEL_COLUMNS) != longer:
            break
        taken = longer
    if not taken:
        return [clean(text, columns=LABEL_COLUMNS - 2)]  # an id: digits are wide
    return [taken, clean(text[len(taken) :].strip(), columns=LABEL_COLUMNS)]


def _node(node: TraceNode, place: Place) -> SafeString:
    x, y, look = place.x, place.y, tones.look_of(node.state)
    words = [node.kind, node.label, look.word if node.state else "", node.time]
    lines = _label_lines(node.label)
    labels = format_html_join(
        "",
        '<text class="label" x="{}" y="{}">{}</text>',
        ((x + 10, y + 32 + LINE_HEIGHT * i, line) for i, line in enumerate(lines)),
    )
    drawn = format_html(
        '<title>{}</title><rect class="box" x="{}" y="{}" width="{}" height="{}" rx="6"/>'
        '<text class="kind" x="{}" y="{}">{}</text>{}{}',
        clean(" · ".join(word for word in words if word)),
        *(x, y, NODE_WIDTH, place.height),
        *(x + 10, y + 16, clean(_SHORT_KINDS.get(node.kind, node.kind), columns=KIND_COLUMNS)),
        labels,
        _foot(node, look, place),
    )
    inner = format_html('<a href="{}">{}</a>', _inside(node.href), drawn)
    return format_html(
        '<g class="node{}">{}</g>',
        " current" if node.current else "",
        inner if _inside(node.href) else drawn,
    )


def _foot(node: TraceNode, look: tones.Look, place: Place) -> SafeString:
    """The state below the label and the time above it; the time below where there is no state."""
    x, y, time = place.x + 10, place.y + place.height - 8, clean(node.time, columns=12)
    if not node.state:
        return format_html('<text class="kind" x="{}" y="{}">{}</text>', x, y, time)
    return format_html(
        '<text class="time" x="{}" y="{}">{}</text>'
        '<g class="tone-{}"><g transform="translate({} {}) scale(.84)">'
        '<path fill-rule="evenodd" d="{}"/></g><text class="state" x="{}" y="{}">{}</text></g>',
        *(place.x + NODE_WIDTH - 10, place.y + 16, time),
        look.tone,
        *(x, y - 9, tones.SHAPE_PATHS[look.shape]),
        *(x + 14, y, clean(look.word, columns=LABEL_COLUMNS)),
    )


# ---- bars and lines ------------------------------------------------------------------------


def ageing_bars(*, bars: Sequence[Bar], title: str, name: str = "ageing") -> SafeString:
    """Horizontal bars with their label at the left and their number at the right."""
    shown = bars[:BARS_MAX]
    largest = max((abs(bar.value) for bar in shown), default=0) or 1
    rows = format_html_join(
        "",
        '<text class="axis" x="0" y="{}">{}</text><rect class="track" x="88" y="{}" width="148" '
        'height="8" rx="2"/><rect class="tone-{}" x="88" y="{}" width="{}" height="8" rx="2"/>'
        '<text class="figure" x="{}" y="{}">{}</text>',
        (
            (
                *(24 * i + 16, clean(bar.label, columns=14), 24 * i + 8, _tone(bar.tone)),
                *(24 * i + 8, _share(bar.value, largest, 148), CHART_WIDTH, 24 * i + 16),
                clean(bar.text, columns=16),
            )
            for i, bar in enumerate(shown)
        ),
    )
    return _chart(
        rows, name=name, title=title, size=(CHART_WIDTH, 24 * max(len(shown), 1)), bars=shown
    )


def histogram(*, bars: Sequence[Bar], title: str, name: str = "histogram") -> SafeString:
    """Upright bars of equal width; the labels of the first, middle and last stand below."""
    shown = bars[:BARS_MAX]
    largest = max((abs(bar.value) for bar in shown), default=0) or 1
    step = CHART_WIDTH // max(len(shown), 1)
    heights = [_share(bar.value, largest, 80) for bar in shown]
    rects = format_html_join(
        "",
        '<g><title>{}: {}</title><rect class="tone-{}" x="{}" y="{}" width="{}" height="{}"/></g>',
        (
            (
                *(clean(bar.label), clean(bar.text), _tone(bar.tone)),
                *(i * step, 88 - heights[i], max(step - 2, 1), heights[i]),
            )
            for i, bar in enumerate(shown)
        ),
    )
    marks = sorted({0, (len(shown) - 1) // 2, len(shown) - 1}) if shown else []
    labels = format_html_join(
        "",
        '<text class="axis" x="{}" y="104"{}>{}</text>',
        (
            (
                *((CHART_WIDTH, END) if 0 < i == len(shown) - 1 else (i * step, "")),
                clean(shown[i].label, columns=14),
            )
            for i in marks
        ),
    )
    base = mark_safe('<path class="base" d="M0 88.5H340"/>')
    return _chart(
        rects + base + labels, name=name, title=title, size=(CHART_WIDTH, 108), bars=shown
    )


def sparkline(*, values: Sequence[int], title: str, name: str = "spark") -> SafeString:
    """A line without axes, 120 by 28; a flat series lies in the middle."""
    shown = list(values[-POINTS_MAX:])
    low, high = min(shown, default=0), max(shown, default=0)
    points = [
        (
            2 + 116 * i // max(len(shown) - 1, 1),
            25 - 22 * (value - low) // (high - low) if high > low else 14,
        )
        for i, value in enumerate(shown)
    ]
    line = format_html(
        '<polyline class="line" points="{}"/>', " ".join(f"{x},{y}" for x, y in points)
    )
    last = format_html('<circle class="dot" cx="{}" cy="{}" r="2"/>', *points[-1]) if points else ""
    text = f"{len(shown)} values, lowest {low}, highest {high}" + (
        f", latest {shown[-1]}" if shown else ""
    )
    return format_html(
        '<svg class="pic spark" role="img" aria-labelledby="{0}-t {0}-d" width="120" height="28" '
        'viewBox="0 0 120 28"><title id="{0}-t">{1}</title><desc id="{0}-d">{2}</desc>{3}{4}</svg>',
        *(name, clean(title), text, line, last),
    )


def meter(*, percent: int, tone: str, label: str) -> SafeString:
    """A thin bar filled to `percent`, for clocks and progress."""
    filled = min(max(percent, 0), 100)
    return format_html(
        '<svg class="pic meter" role="img" aria-label="{}" width="100" height="4" '
        'viewBox="0 0 100 4" preserveAspectRatio="none"><rect class="track" width="100" '
        'height="4" rx="2"/><rect class="tone-{}" width="{}" height="4" rx="2"/></svg>',
        clean(label),
        _tone(tone),
        filled,
    )


def _chart(
    drawn: SafeString, *, name: str, title: str, size: tuple[int, int], bars: Sequence[Bar]
) -> SafeString:
    told = ", ".join(f"{clean(bar.label, columns=40)}: {clean(bar.text)}" for bar in bars)
    return format_html(
        '<svg class="pic chart" role="img" aria-labelledby="{0}-t {0}-d" width="{1}" height="{2}" '
        'viewBox="0 0 {1} {2}"><title id="{0}-t">{3}</title><desc id="{0}-d">{4}</desc>{5}</svg>',
        *(name, *size, clean(title), told or "Nothing to show.", drawn),
    )


def _share(value: int, largest: int, size: int) -> int:
    """At least one unit for a value that is not nil: a small amount must not vanish."""
    return max(abs(value) * size // largest, 1) if value else 0


def _tone(tone: str) -> str:
    return tone if tone in tones.TONES else "quiet"
