"""Looks at every rule once: which scopes, which slots, what to open and what to close.

One transaction per look; the caller takes the schedule's slot, so that schedulers running twice
look once. Rules of a lane belong to the system book, all others to the book they count. Serves
OB-3, OB-4, OB-7, WH-31, AI-5, F34.
"""

from __future__ import annotations

from datetime import datetime

from django.db import connection

from payops.core.lanes import LANES
from payops.core.models import Book, ProviderAccount
from payops.monitoring import alerts, findings, folds, history, signals
from payops.monitoring.findings import SCOPES_MAX, Finding, Ground, Window
from payops.monitoring.models import Alert
from payops.monitoring.rules import RULES, Rule
from payops.monitoring.signals import Reading

JUDGES = {
    "surge": findings.surge,
    "rate": findings.rate,
    "testing": findings.testing,
    "silence": findings.silence,
}


def evaluate(*, now: datetime) -> tuple[int, int]:
    """Open and close alerts; answers how many of each."""
    assert connection.in_atomic_block, "alerts travel with the slot of their evaluation"
    window = Window.at(now, folds.folded_until(now=now))
    opened = closed = 0
    for book in Book.objects.order_by("created_at"):
        for rule in RULES:
            found = _of_lanes(rule, book, now) if rule.kind == "backlog" else None
            found = _judged(rule, book, window) if found is None else found
            more, fewer = alerts.settle(rule=rule, book=book, findings=found, now=now)
            opened, closed = opened + more, closed + fewer
    return opened, closed


def _judged(rule: Rule, book: Book, window: Window) -> list[Finding]:
    still_open = tuple(
        Alert.objects.filter(book=book, rule=rule.key)
        .exclude(state=Alert.State.CLOSED)
        .values_list("scope", flat=True)
    )
    if rule.kind == "structural":
        return findings.structural(
            rule=rule, book_id=book.pk, open_scopes=still_open, now=window.now
        )
    series = history.read(
        book_id=book.pk, name=rule.series, until=window.until, scopes=(*still_open,)
    )
    beside = history.Book()
    if rule.beside:
        beside = history.read(book_id=book.pk, name=rule.beside, until=window.until)
    scopes = {
        scope
        for scope in series.slots
        if rule.kind == "silence" or series.total(scope, window.until, rule.slots) >= rule.least
    }
    if rule.kind == "silence":
        scopes &= {account.address for account in ProviderAccount.objects.filter(book=book)}
    ground = Ground(
        rule, window, series, beside, tuple(sorted({*scopes, *still_open}))[:SCOPES_MAX]
    )
    return JUDGES[rule.kind](ground)


def _of_lanes(rule: Rule, book: Book, now: datetime) -> list[Finding]:
    """Read the lanes once, for the system book, and keep what was read as a series."""
    if not book.is_system:
        return []
    found = []
    for lane in LANES:
        finding, ready = findings.backlog(rule=rule, lane=lane, now=now)
        signals.keep_largest([Reading(book.pk, rule.series, lane, now, ready)])
        found.append(finding)
    return found
