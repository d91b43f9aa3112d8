"""Pictures of the money of one charge: a bar as it is now, and columns over time (OB-8).

The same rules as `svg`: classes instead of colours, escaped text, a title and a description for
screen readers, a table with the same figures beside each picture. What is reserved is hatched, so
that it is told apart without colour. Both are stretched to the room there is; words stand beside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from payops.console.svg import clean

WIDTH, BAR_HEIGHT = 1000, 16
COLUMN_WIDTH, HEIGHT, GAP = 20, 120, 2
COLUMNS_MIN, COLUMNS_MAX = 12, 60
# What is not nil is seen: a small amount must not vanish.
LEAST = 2
KINDS = ("refunded", "reserved", "asked", "disputed", "left")


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the charge's money; `kind` is one of KINDS and picks its look."""

    kind: str
    minor: int
    text: str


@dataclass(frozen=True, slots=True)
class Column:
    """The charge at one moment: `text` is what happened and the figures."""

    text: str
    parts: Sequence[Part]


def bar(*, parts: Sequence[Part], title: str, name: str = "money") -> SafeString:
    """One bar of the whole charge; parts of nothing are left out of it."""
    whole = sum(part.minor for part in parts) or 1
    drawn, x = [], 0
    for part in parts:
        width = _share(part.minor, whole, WIDTH)
        if width:
            drawn.append(_rect(part, name, x, 0, min(width, WIDTH - x), BAR_HEIGHT))
            x += width
    told = ", ".join(f"{clean(part.kind)}: {clean(part.text)}" for part in parts)
    return _picture(drawn, name=name, title=title, told=told, size=(WIDTH, BAR_HEIGHT))


def columns(*, moments: Sequence[Column], title: str, name: str = "money-time") -> SafeString:
    """One column per moment at which something changed, the latest ones at the right."""
    shown = list(moments[-COLUMNS_MAX:])
    highest = max((sum(part.minor for part in each.parts) for each in shown), default=0) or 1
    drawn = [
        format_html(
            "<g><title>{}</title>{}</g>",
            clean(each.text),
            _column(each, name, place * COLUMN_WIDTH, highest),
        )
        for place, each in enumerate(shown)
    ]
    width = max(len(shown), COLUMNS_MIN) * COLUMN_WIDTH
    told = f"{len(shown)} moments; the table has every figure"
    base = format_html('<path class="base" d="M0 {0}H{1}"/>', HEIGHT, width)
    return _picture([*drawn, base], name=name, title=title, told=told, size=(width, HEIGHT))


def _column(each: Column, name: str, x: int, highest: int) -> SafeString:
    """From the floor up; edges are shares of the sum below, so that equal sums are equally high."""
    rects, y, below = [], HEIGHT, 0
    for part in each.parts:
        if part.minor <= 0:
            continue
        below += part.minor
        top = max(min(HEIGHT - below * HEIGHT // highest, y - LEAST), 0)
        if y > top:
            rects.append(_rect(part, name, x + GAP, top, COLUMN_WIDTH - 2 * GAP, y - top))
        y = top
    return format_html_join("", "{}", ((rect,) for rect in rects))


def _rect(part: Part, name: str, x: int, y: int, width: int, height: int) -> SafeString:
    plain = format_html(
        '<rect class="m-{}" x="{}" y="{}" width="{}" height="{}"/>',
        *(part.kind if part.kind in KINDS else "left", x, y, width, height),
    )
    if part.kind not in ("reserved", "asked"):
        return plain
    hatch = format_html(
        '<rect fill="url(#{}-hatch)" x="{}" y="{}" width="{}" height="{}"/>',
        *(name, x, y, width, height),
    )
    return plain + hatch


def _picture(
    drawn: Sequence[SafeString], *, name: str, title: str, told: str, size: tuple[int, int]
) -> SafeString:
    hatch = format_html(
        '<defs><pattern id="{}-hatch" width="6" height="6" patternUnits="userSpaceOnUse">'
        '<path class="hatch" d="M0 6L6 0"/></pattern></defs>',
        name,
    )
    return format_html(
        '<svg class="pic {5}" role="img" aria-labelledby="{0}-t {0}-d" width="{1}" height="{2}" '
        'viewBox="0 0 {1} {2}" preserveAspectRatio="none"><title id="{0}-t">{3}</title>'
        '<desc id="{0}-d">{4}</desc>{6}{7}</svg>',
        *(name, *size, clean(title), told or "Nothing to show."),
        "money-bar" if size[1] == BAR_HEIGHT else "money-columns",
        hatch,
        format_html_join("", "{}", ((part,) for part in drawn)),
    )


def _share(value: int, whole: int, size: int) -> int:
    return max(value * size // whole, LEAST) if value > 0 else 0
