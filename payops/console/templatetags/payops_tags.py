"""Template tags: the only way amounts, ids, times and states reach a screen.

Owns formatting for people (true minus sign, thousands separators, currency beside the amount,
ISO dates with weekday and age, ids shortened in the middle, status as word and shape). Never
computes money and never reads the database. Serves the ground rules of the screens, D17 and F20.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django import template
from django.http import QueryDict
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from payops.console import svg, tones
from payops.core.clock import utc_now
from payops.core.money import Money, MoneyError

register = template.Library()

MINUS = "\u2212"
ELLIPSIS = "\u2026"
DASH = mark_safe(
    '<span class="none"><span aria-hidden="true">&ndash;</span><span class="vh">none</span></span>'
)
ID_SHOWN_MAX = 18
ID_TAIL = 6
CURSORS = ("after", "before", "page")
JSON_MAX_CHARS = 200_000
DUE_SOON_SHARE = 4

ICONS = {
    "search": "M7 2.5a4.5 4.5 0 1 1 0 9 4.5 4.5 0 0 1 0-9Zm3.3 7.8 3.2 3.2",
    "copy": "M5.5 5.5h7v8h-7zM3.5 10.5v-8h7",
    "down": "m4 6 4 4 4-4",
    "right": "m6 4 4 4-4 4",
    "left": "m10 4-4 4 4 4",
    "close": "m4 4 8 8m0-8-8 8",
    "menu": "M2.5 4h11M2.5 8h11M2.5 12h11",
    "file": "M4 2h5l3 3v9H4zM9 2v3h3",
    "download": "M8 2.5v8m-3.5-3L8 11l3.5-3.5M3 13.5h10",
    "external": "M9 3h4v4m0-4L7.5 8.5M11 9.5V13H3V5h3.500",
    "lock": "M4 7.5h8v6H4zM5.5 7V5a2.5 2.5 0 0 1 5 0v2",
}


# ---- money ---------------------------------------------------------------------------------


def _amount_text(amount: Money) -> str:
    whole, point, fraction = amount.decimal_text().lstrip("-").partition(".")
    sign = MINUS if amount.minor < 0 else ""
    return f"{sign}{int(whole):,}{point}{fraction}"


def _as_money(amount: object, currency: str) -> Money | None:
    """A Money, or minor units with a currency; None stays None; text is refused, not guessed."""
    if amount is None or amount == "":
        return None
    if isinstance(amount, Money):
        return amount
    if type(amount) is not int:
        raise MoneyError(f"{amount!r} is not a whole number of minor units")
    return Money(amount, str(currency))


def _money_markup(amount: Money | None) -> SafeString:
    if amount is None:
        return DASH
    return format_html(
        '<data class="money{}" value="{} {}">{} <span class="cur">{}</span></data>',
        " neg" if amount.minor < 0 else "",
        amount.decimal_text(),
        amount.currency,
        _amount_text(amount),
        amount.currency,
    )


@register.simple_tag(name="money")
def money_tag(amount: object, currency: str = "") -> SafeString:
    """`{% money payout.amount_minor payout.currency %}` or `{% money some_money %}`."""
    return _money_markup(_as_money(amount, currency))


@register.filter(name="money")
def money_filter(amount: object, currency: str = "") -> SafeString:
    """`{{ payout.amount_minor|money:payout.currency }}`, for use inside `{% include … with %}`."""
    return _money_markup(_as_money(amount, currency))


@register.filter
def money_text(amount: object, currency: str = "") -> str:
    """Plain words for buttons and titles: `12,400.00 EUR`."""
    value = _as_money(amount, currency)
    return f"{_amount_text(value)} {value.currency}" if value else "no amount"


# ---- ids -----------------------------------------------------------------------------------


def shorten(value: str) -> str:
    """Middle-shortened: the prefix and the tail tell rows apart, the middle is only time."""
    if len(value) <= ID_SHOWN_MAX:
        return value
    prefix, mark, digits = value.partition("_")
    head = f"{prefix}_{digits[:4]}" if mark and len(prefix) <= 6 else value[:8]
    return f"{head}{ELLIPSIS}{value[-ID_TAIL:]}"


@register.filter
def of_count(noun: str, count: object) -> str:
    """A noun given in the plural, as it stands behind a count: 1 job, 2 jobs, 1 entry."""
    if str(count) != "1":
        return noun
    if noun == "people":
        return "person"
    return f"{noun[:-3]}y" if noun.endswith("ies") else noun.removesuffix("s")


@register.filter
def short_id(value: object) -> str:
    return shorten(str(value))


@register.simple_tag
def public_id(value: object, href: str = "") -> SafeString:
    """A chip for any id, ours or a provider's; copied whole on click, linked when `href` is set."""
    if not value:
        return DASH
    text = str(value)
    if href:
        return format_html(
            '<span class="id"><a href="{}" title="{}">{}</a>'
            '<button type="button" data-copy="{}" title="Copy" aria-label="Copy {}">{}</button>'
            "</span>",
            href,
            text,
            shorten(text),
            text,
            text,
            icon("copy"),
        )
    return format_html(
        '<button type="button" class="id" data-copy="{}" title="{}" aria-label="Copy {}">{}{}'
        "</button>",
        text,
        text,
        text,
        shorten(text),
        icon("copy"),
    )


# ---- time ----------------------------------------------------------------------------------


def span_text(span: timedelta) -> str:
    """The two largest units: `45 s`, `12 min`, `3 h 5 min`, `2 d 4 h`, `40 d`."""
    seconds = int(abs(span).total_seconds())
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if minutes < 1:
        return f"{seconds} s"
    if hours < 1:
        return f"{minutes} min"
    if days < 1:
        return f"{hours} h {minutes % 60} min" if hours < 10 and minutes % 60 else f"{hours} h"
    return f"{days} d {hours % 24} h" if days < 10 and hours % 24 else f"{days} d"


def _now(context: Mapping[str, Any]) -> datetime:
    """A view may fix `now` for the page, so that every age on it is measured at one instant."""
    given = context.get("now")
    return given if isinstance(given, datetime) and timezone.is_aware(given) else utc_now()


def _relative(at: datetime, now: datetime) -> str:
    if abs(at - now) < timedelta(seconds=1):
        return "now"
    return f"in {span_text(at - now)}" if at > now else f"{span_text(now - at)} ago"


def _relative_day(day: date, today: date) -> str:
    days = (today - day).days
    if days in (0, 1, -1):
        return {0: "today", 1: "yesterday", -1: "tomorrow"}[days]
    return f"{days} d ago" if days > 0 else f"in {-days} d"


@register.simple_tag(takes_context=True)
def when(context: Mapping[str, Any], at: datetime | date | None, age: bool = True) -> SafeString:
    """`2026-03-04 Wed 10:22 · 3 h ago` in the current time zone; `age=False` leaves the age out."""
    if not at:
        return DASH
    now = _now(context)
    if isinstance(at, datetime):
        local = timezone.localtime(at)
        shown, exact = f"{local:%Y-%m-%d %a %H:%M}", f"{local:%Y-%m-%d %H:%M:%S.%f %Z}"
        relative, machine = _relative(at, now), at.isoformat()
    else:
        shown, exact = f"{at:%Y-%m-%d %a}", f"{at:%Y-%m-%d}"
        relative, machine = _relative_day(at, timezone.localtime(now).date()), at.isoformat()
    aged = format_html(' <span class="age">{}</span>', relative) if age else ""
    return format_html(
        '<time datetime="{}" title="{}"><span class="nowrap">{}</span>{}</time>',
        *(machine, exact, shown, aged),
    )


@register.simple_tag(takes_context=True)
def age(context: Mapping[str, Any], at: datetime | None) -> SafeString:
    """Only the age, `3 h 5 min`, with the exact time behind it; a future time reads `in 5 min`."""
    if not at:
        return DASH
    now = _now(context)
    soon = at - now >= timedelta(seconds=1)
    text = f"in {span_text(at - now)}" if soon else span_text(max(now - at, timedelta(0)))
    exact = f"{timezone.localtime(at):%Y-%m-%d %a %H:%M:%S %Z}"
    return format_html(
        '<time class="age" datetime="{}" title="{}">{}</time>', at.isoformat(), exact, text
    )


@dataclass(frozen=True, slots=True)
class SlaClock:
    """What `parts/sla.html` shows; `bar` is the share of the allowed time that has passed."""

    tone: str
    word: str
    text: str
    bar: SafeString


@register.simple_tag(takes_context=True)
def sla_clock(
    context: Mapping[str, Any],
    opened_at: datetime,
    due_at: datetime,
    closed_at: datetime | None = None,
) -> SlaClock:
    """Due soon begins with the last quarter of the allowed time; a closed clock stands still."""
    at = closed_at or _now(context)
    left, allowed = due_at - at, max(due_at - opened_at, timedelta(seconds=1))
    passed = min(max(at - opened_at, timedelta(0)), allowed)
    percent = 100 * passed // allowed
    if left < timedelta(0):
        tone, word, text = "bad", "Overdue", f"by {span_text(left)}"
    elif closed_at:
        tone, word, text = "good", "In time", f"{span_text(left)} to spare"
    elif left * DUE_SOON_SHARE < allowed:
        tone, word, text = "warn", "Due soon", f"{span_text(left)} left"
    else:
        tone, word, text = "info", "On time", f"{span_text(left)} left"
    bar = svg.meter(percent=percent, tone=tone, label=f"{percent} % of the allowed time has passed")
    return SlaClock(tone=tone, word=word, text=text, bar=bar)


# ---- state, icons, links, bodies -----------------------------------------------------------


@register.simple_tag
def pill(state: object, label: str = "", tone: str = "") -> SafeString:
    """Status as word and shape; `label` and `tone` (good, info, warn, bad, quiet) overrule."""
    look = tones.look_of(state, label=label, tone=tone)
    return format_html(
        '<span class="pill pill-{}">{}{}</span>',
        look.tone,
        tones.shape_markup(look.shape),
        look.word,
    )


@register.filter
def state_word(state: object) -> str:
    return tones.look_of(state).word


@register.simple_tag
def shape(tone: str) -> SafeString:
    """The mark of a tone alone, for banners and tiles whose words stand beside it."""
    return tones.shape_markup(tone)


@register.simple_tag
def timeline_mark(state: object = "") -> SafeString:
    """The mark at the left of a timeline entry; an entry without a state has a quiet ring."""
    look = tones.look_of(state)
    mark = tones.shape_markup(look.shape)
    return format_html('<span class="mark tone-{}">{}</span>', look.tone, mark)


@register.simple_tag
def icon(name: str) -> SafeString:
    """A 16 by 16 line icon, always beside words or inside a labelled control."""
    return mark_safe(
        f'<svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" '
        f'focusable="false"><path d="{ICONS[name]}"/></svg>'
    )


@register.simple_tag(takes_context=True)
def url_with(context: Mapping[str, Any], **changes: object) -> str:
    """The current query with changes, `?state=OPEN&owner=me`; None or "" removes a parameter.

    Paging cursors are dropped unless they are what changes: another filter starts at the top.
    """
    request = context.get("request")
    query = request.GET.copy() if request else QueryDict(mutable=True)
    for cursor in CURSORS:
        query.pop(cursor, None)
    for name, value in changes.items():
        query.pop(name, None)
        if value not in (None, ""):
            query[name] = str(value)
    return f"?{query.urlencode()}"


@register.filter
def pretty_json(value: object) -> str:
    """Indented JSON for a body already redacted by its owner; text that is not JSON stays."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", errors="replace")
    if isinstance(value, str):
        if len(value) > JSON_MAX_CHARS:
            return value[:JSON_MAX_CHARS] + f"\n{ELLIPSIS} cut at {JSON_MAX_CHARS:,} characters"
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return str(value)
    try:
        return json.dumps(value, indent=2, ensure_ascii=False, default=str)
    except (ValueError, RecursionError):
        return str(value)
