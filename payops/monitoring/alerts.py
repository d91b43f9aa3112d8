"""Alerts: opened and closed by their rule, acknowledged by a person, told once per change (F34).

Owns the row, its audit row and its notice, written together. An open alert is silent however often
its rule is looked at again; two schedulers open it once, by the database. Never decides whether a
rule holds; that is `findings`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from payops.core import audit
from payops.core.actors import Actor, service
from payops.core.models import Book
from payops.core.roles import Act
from payops.flows import notices
from payops.monitoring import history
from payops.monitoring.findings import Finding
from payops.monitoring.models import Alert
from payops.monitoring.rules import RULE, Rule

ACTOR = service("monitoring")
TITLE_CHARS, SUBJECT_CHARS = 200, 200
PICTURE_BEFORE, POINTS_MAX = 36, 300


class AcknowledgeRefused(ValueError):
    """The alert is closed already, or the person may not; the text says which."""


def settle(
    *, rule: Rule, book: Book, findings: Sequence[Finding], now: datetime
) -> tuple[int, int]:
    """Open what is breached and closed, close what is open and calm; answers (opened, closed)."""
    assert connection.in_atomic_block, "an alert is written with its audit row and its notice"
    held = Alert.objects.select_for_update(no_key=True).filter(book=book, rule=rule.key)
    known = {alert.scope: alert for alert in held.exclude(state=Alert.State.CLOSED)}
    opened = closed = 0
    for finding in findings:
        alert = known.get(finding.scope)
        if alert is None and finding.breached:
            opened += _open(rule, book, finding, now)
        elif alert is not None and finding.calm and not finding.breached:
            _close(rule, alert, finding, now)
            closed += 1
    return opened, closed


def acknowledge(*, alert_id: UUID, actor: Actor, now: datetime) -> Alert:
    """A person looks after it; the rule goes on as before. Raises AcknowledgeRefused."""
    with transaction.atomic(durable=True):
        alert = Alert.objects.select_for_update(no_key=True).select_related("book").get(pk=alert_id)
        person = actor.human()
        if alert.state == Alert.State.ACKNOWLEDGED:
            return alert
        if alert.state == Alert.State.CLOSED:
            raise AcknowledgeRefused(
                f"{alert.public_id} closed by itself at {alert.closed_at:%Y-%m-%d %H:%M} UTC; "
                "there is nothing left to look after"
            )
        was, alert.state = alert.state, Alert.State.ACKNOWLEDGED
        alert.acknowledged_at, alert.acknowledged_by_id = now, person
        alert.save(update_fields=["state", "acknowledged_at", "acknowledged_by_id"])
        _record(alert, was=was, actor=actor, now=now, reason="somebody looks after it")
        return alert


def may_acknowledge(acts: frozenset[Act] | set[Act]) -> bool:
    return bool({Act.WORK_CASE, Act.REDRIVE_EVENT} & acts)


def link_of(alert: Alert) -> str:
    """Where to look: the screen with the rows behind the numbers."""
    account = alert.scope.partition("|")[0]
    return RULE[alert.rule].link.format(account=account, scope=alert.scope)


def picture_of(alert: Alert, *, now: datetime) -> dict[str, Any]:
    """The series around the alert in running windows, with its band, for svg.band."""
    facts = alert.facts
    if "series" not in facts:
        return {}
    if not alert.is_open and "picture" in facts:
        return dict(facts["picture"])
    return _picture(alert, now)


def _open(rule: Rule, book: Book, finding: Finding, now: datetime) -> int:
    alert = Alert(
        book=book,
        rule=rule.key,
        rule_version=rule.version,
        scope=finding.scope,
        title=finding.title[:TITLE_CHARS],
        explanation=finding.explanation,
        facts=finding.facts,
        since=finding.since,
        created_at=now,
    )
    if not Alert.objects.bulk_create([alert], ignore_conflicts=True):
        return 0
    if not Alert.objects.filter(pk=alert.pk).exists():
        return 0  # another scheduler opened it first
    _record(alert, was="", actor=ACTOR, now=now, reason=finding.explanation)
    _tell(rule, alert, "opened", f"{finding.explanation}\n\nNext: {rule.next_step}.", now)
    return 1


def _close(rule: Rule, alert: Alert, finding: Finding, now: datetime) -> None:
    was, alert.state = alert.state, Alert.State.CLOSED
    alert.closed_at, alert.closing_words = now, finding.explanation
    if "series" in alert.facts:
        alert.facts = alert.facts | {"picture": _picture(alert, now)}
    alert.save(update_fields=["state", "closed_at", "closing_words", "facts"])
    _record(alert, was=was, actor=ACTOR, now=now, reason=finding.explanation)
    _tell(rule, alert, "closed", f"It is over. {finding.explanation}", now)


def _tell(rule: Rule, alert: Alert, change: str, body: str, now: datetime) -> None:
    if not rule.tells:
        return
    address = f"{settings.PUBLIC_URL}/monitoring/alerts/{alert.public_id}/"
    since = f"Since {alert.since:%Y-%m-%d %H:%M} UTC, rule {rule.key} version {rule.version}."
    notices.send(
        book=alert.book,
        case=None,
        key=f"alert:{alert.public_id}:{change}",
        audience=rule.audience,
        subject=f"{'Alert' if change == 'opened' else 'Over'}: {alert.title}"[:SUBJECT_CHARS],
        body=f"{body}\n{since}\nWhere to look: {address}",
        now=now,
    )


def _record(alert: Alert, *, was: str, actor: Actor, now: datetime, reason: str) -> None:
    audit.record(
        [
            audit.event(
                book=alert.book,
                actor=actor,
                action=f"alert.{alert.state.lower()}",
                subject_id=alert.public_id,
                now=now,
                from_state=was,
                to_state=alert.state,
                reason=reason,
                evidence={"rule": alert.rule, "version": alert.rule_version, "scope": alert.scope},
            )
        ]
    )


def _picture(alert: Alert, now: datetime) -> dict[str, Any]:
    facts, length = alert.facts, int(alert.facts["window_slots"])
    end = history.number_of(alert.closed_at or now) + 1
    start = max(history.number_of(alert.since) - PICTURE_BEFORE, end - POINTS_MAX)
    found = history.between(
        book_id=alert.book_id, name=facts["series"], ranges=[(start - length, end)]
    )
    return {
        "from": start,
        "values": found.rolling(alert.scope, end, length, end - start),
        "expected": facts["expected"],
        "opens_at": facts["opens_at"],
        "closes_below": facts["closes_below"],
    }
