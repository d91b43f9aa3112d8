"""What each kind of rule makes of the counted series: a measurement with its own explanation.

Pure judgement: reads slots, writes nothing, tells nobody. Every finding carries the numbers its
sentence was made of, so that the alert's page can show them again. Serves OB-3, OB-4, OB-7, WH-31,
AI-5.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from payops.monitoring import history
from payops.monitoring.history import Baseline, Book
from payops.monitoring.rules import LANE_LIMIT_S, Rule
from payops.webhooks.models import ProviderEvent

SCOPES_MAX = 2_000
STRUCTURAL_MAX = 200
ERROR_CHARS = 300
RATE_SAMPLE_MIN = 5
WAITING = """
SELECT lane, count(*), min(due_at) FROM (
  SELECT lane, due_at FROM webhooks_providerevent
  WHERE state = 'RECEIVED' AND lane = %(lane)s AND due_at <= %(now)s
  UNION ALL
  SELECT lane, due_at FROM core_message
  WHERE state = 'PENDING' AND lane = %(lane)s AND due_at <= %(now)s
  ORDER BY due_at LIMIT %(most)s) w GROUP BY lane"""
WAITING_COUNTED_MAX = 100_000


@dataclass(frozen=True, slots=True)
class Finding:
    """`breached`: the rule opens. `calm`: an open alert closes. Neither: it stays as it is."""

    scope: str
    breached: bool
    calm: bool
    title: str
    explanation: str
    since: datetime
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Window:
    """The slots looked at: `until` is exclusive; `whole` leaves out the slot under way."""

    now: datetime
    until: int
    whole: int

    @classmethod
    def at(cls, now: datetime, counted_until: datetime) -> Window:
        """Receipts are counted a little later than they come: what is whole is what is counted."""
        return cls(now, history.number_of(now) + 1, history.number_of(min(now, counted_until)))


@dataclass(frozen=True, slots=True)
class Ground:
    """What a rule reads of one book: its series, the one beside it, and scopes that are open."""

    rule: Rule
    window: Window
    series: Book
    beside: Book
    scopes: tuple[str, ...]


def surge(ground: Ground) -> list[Finding]:
    """More than the least count and more than the baseline by `factor` spreads."""
    return [_surge(ground, scope) for scope in ground.scopes]


def silence(ground: Ground) -> list[Finding]:
    """Nothing, or next to nothing, where nine of ten comparable windows had at least `least`."""
    rule, window = ground.rule, ground.window
    found = []
    for scope in ground.scopes:
        base = ground.series.baseline(scope, window.whole, rule.slots)
        measured = ground.series.total(scope, window.whole, rule.slots)
        length = history.length_words(rule.slots)
        usual = base.usual_least
        last = _last_filled(ground.series, scope, window.whole)
        known = f"nine of ten had at least {usual}, the median is {base.expected}"
        words = (
            f"{measured} receipts came for {scope} in the {length} before "
            f"{_clock(window.whole)}. Of {base.words(length)}, {known}. "
            f"The rule opens when that least is {rule.least} or more and a tenth of it or less "
            f"came; it closes when a quarter came again."
        )
        found.append(
            Finding(
                scope,
                breached=usual >= rule.least and measured * rule.factor <= usual,
                calm=measured > 0 and measured * 4 >= usual,
                title=f"{rule.words}: {scope}",
                explanation=words,
                since=history.moment(last + 1 if last else window.whole - rule.slots),
                facts=_facts(rule, window.whole, measured, base, usual // rule.factor, usual // 4)
                | {"expected_least": usual},
            )
        )
    return found


def rate(ground: Ground) -> list[Finding]:
    """A count that surges, of which the share of all also doubled."""
    rule, window = ground.rule, ground.window
    found = []
    for scope in ground.scopes:
        told = _surge(ground, scope)
        failed = int(told.facts["measured"])
        total = failed + ground.beside.total(scope, window.until, rule.slots)
        usual = _usual_percent(ground, scope)
        limit = max(rule.percent, 2 * usual)
        percent = failed * 100 // total if total else 0
        account, _, method = scope.partition("|")
        words = (
            f"That is {percent} % of {total} payments by {method} at {account}; usual is "
            f"{usual} %. The share must reach {limit} % too, and closes below {limit // 2} %."
        )
        found.append(
            Finding(
                scope,
                breached=told.breached and percent >= limit,
                calm=told.calm or percent < limit // 2,
                title=f"{rule.words}: {method} at {account}",
                explanation=f"{told.explanation} {words}",
                since=told.since,
                facts=told.facts
                | {"total": total, "percent": percent, "usual_percent": usual}
                | {"percent_opens_at": limit},
            )
        )
    return found


def testing(ground: Ground) -> list[Finding]:
    """Many small payments that fail at one seller, and hardly one that succeeds."""
    rule, window = ground.rule, ground.window
    found = []
    for scope in ground.scopes:
        told = _surge(ground, scope)
        failed = int(told.facts["measured"])
        good = ground.beside.total(scope, window.until, rule.slots)
        account, _, seller = scope.partition("|")
        words = (
            f"{good} small payments of seller {seller} at {account} succeeded meanwhile; card "
            f"testing is meant when they are at most {rule.percent} % of those that failed."
        )
        found.append(
            Finding(
                scope,
                breached=told.breached and good * 100 <= failed * rule.percent,
                calm=told.calm,
                title=f"{rule.words}: seller {seller} at {account}",
                explanation=f"{told.explanation} {words}",
                since=told.since,
                facts=told.facts | {"succeeded": good},
            )
        )
    return found


def structural(
    *, rule: Rule, book_id: UUID, open_scopes: tuple[str, ...], now: datetime
) -> list[Finding]:
    """Dead letters that no retry helps, by account and type, with what did not fit (OB-7)."""
    rows = ProviderEvent.objects.filter(
        book_id=book_id, state=ProviderEvent.State.DEAD, failure_kind="structural"
    ).select_related("account")
    latest: dict[str, ProviderEvent] = {}
    for event in rows.order_by("-last_failed_at")[:STRUCTURAL_MAX]:
        latest.setdefault(f"{event.account.address}|{event.type}"[:160], event)
    found = []
    for scope in sorted({*latest, *open_scopes}):
        account, _, kind = scope.partition("|")
        failed = latest.get(scope)
        if failed is None:
            words = f"No dead letter of {kind} at {account} is structural any more."
        else:
            said = failed.last_error[:ERROR_CHARS]
            words = (
                f"{kind} of {account} cannot be processed as it is: {said}. The latest is "
                f"{failed.public_id}; no retry helps until the adapter knows it."
            )
        found.append(
            Finding(
                scope,
                breached=failed is not None,
                calm=failed is None,
                title=f"{rule.words}: {kind} at {account}",
                explanation=words,
                since=(failed.first_failed_at or failed.created_at) if failed else now,
                facts={"event_id": failed.public_id} if failed else {},
            )
        )
    return found


def backlog(*, rule: Rule, lane: str, now: datetime) -> tuple[Finding, int]:
    """The oldest ready row of a lane waits too long; answers how many are ready as well."""
    with connection.cursor() as cursor:
        values: dict[str, Any] = {"lane": lane, "now": now, "most": WAITING_COUNTED_MAX}
        cursor.execute(WAITING, values)
        row = cursor.fetchone()
    ready, oldest = (row[1], row[2]) if row else (0, now)
    waited, limit = int((now - oldest).total_seconds()), LANE_LIMIT_S[lane]
    words = (
        f"{ready} rows are ready in the lane {lane}, the oldest for {waited} s. The rule opens at "
        f"{limit} s and closes below {limit // 2} s."
    )
    finding = Finding(
        lane,
        breached=waited >= limit,
        calm=waited < limit // 2,
        title=f"{rule.words}: {lane}",
        explanation=words,
        since=oldest,
        facts={"measured": ready, "waited_s": waited, "opens_at_s": limit},
    )
    return finding, ready


def _surge(ground: Ground, scope: str) -> Finding:
    rule, window = ground.rule, ground.window
    base = ground.series.baseline(scope, window.until, rule.slots)
    opens_at = max(rule.least, base.expected + rule.factor * base.spread)
    closes_below = max(rule.least // 2, base.expected + rule.factor * base.spread // 2)
    measured = ground.series.total(scope, window.until, rule.slots)
    before = [ground.series.total(scope, window.whole - back, rule.slots) for back in (0, 1)]
    length = history.length_words(rule.slots)
    words = (
        f"{measured} {_of(rule)} for {_told(scope)} in the {length} up to "
        f"{window.now:%Y-%m-%d %H:%M} UTC. {_expectation(base, length)} The rule opens at "
        f"{opens_at}, the larger of {rule.least} and {base.expected} + {rule.factor} × "  # noqa: RUF001
        f"{base.spread}, and closes "
        f"below {closes_below}."
    )
    facts = _facts(rule, window.until, measured, base, opens_at, closes_below)
    if rule.series == "refunds":
        words, facts = _with_share(ground, scope, words, facts)
    return Finding(
        scope,
        breached=measured >= opens_at,
        calm=max(measured, *before) < closes_below,
        title=f"{rule.words}: {_told(scope)}",
        explanation=words,
        since=_rising_since(ground, scope, opens_at),
        facts=facts,
    )


def _expectation(base: Baseline, length: str) -> str:
    if base.kind == "none":
        return "There is no history yet, so the least count alone decides."
    return (
        f"Expected {base.expected}, usual spread {base.spread} (median and median deviation of "
        f"{base.words(length)})."
    )


def _with_share(
    ground: Ground, scope: str, words: str, facts: dict[str, Any]
) -> tuple[str, dict[str, Any]]:
    window, slots = ground.window, ground.rule.slots
    every = sum(ground.series.total(each, window.until, slots) for each in ground.series.slots)
    share = int(facts["measured"]) * 100 // every if every else 0
    return f"{words} {share} % of all {every} refunds of that hour are from there.", facts | {
        "share_percent": share,
        "all_countries": every,
    }


def _facts(
    rule: Rule, until: int, measured: int, base: Baseline, opens_at: int, closes_below: int
) -> dict[str, Any]:
    return {
        "series": rule.series,
        "window_slots": rule.slots,
        "window_until": until,
        "measured": measured,
        "expected": base.expected,
        "spread": base.spread,
        "history": base.kind,
        "samples": len(base.samples),
        "weeks": base.weeks,
        "opens_at": opens_at,
        "closes_below": closes_below,
    }


def _usual_percent(ground: Ground, scope: str) -> int:
    """The share in comparable windows, taken together; nil when hardly anything was seen."""
    window, slots = ground.window, ground.rule.slots
    failed = sum(ground.series.baseline(scope, window.until, slots).samples)
    good = sum(ground.beside.baseline(scope, window.until, slots).samples)
    return failed * 100 // (failed + good) if failed + good >= RATE_SAMPLE_MIN else 0


def _rising_since(ground: Ground, scope: str, opens_at: int) -> datetime:
    """The first slot of the window that by itself is above its share of the threshold."""
    window, slots = ground.window, ground.rule.slots
    for number in range(window.until - slots, window.until):
        if ground.series.total(scope, number + 1, 1) * slots >= opens_at:
            return history.moment(number)
    return history.moment(window.until - slots)


def _last_filled(series: Book, scope: str, until: int) -> int | None:
    filled = [n for n, value in series.slots.get(scope, {}).items() if value and n < until]
    return max(filled, default=None)


def _of(rule: Rule) -> str:
    from_table = {"receipts": "receipts", "refusals": "refused bodies", "refunds": "refund events"}
    from_table |= {"dead": "new dead letters", "payments_failed": "failed payments"}
    return from_table.get(rule.series, "small failed payments")


def _told(scope: str) -> str:
    return scope.replace("|", ", ")


def _clock(number: int) -> str:
    return f"{history.moment(number):%Y-%m-%d %H:%M} UTC"
