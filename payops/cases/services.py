"""Services of cases: open exactly one, keep its timeline, assign, comment, link tickets.

`open_many` decides a whole batch at once, so that the storm cap is all or nothing (D11). Serves
PX-1, PX-9, PX-10, WH-7, F16, F17, OB-8.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

from django.db import connection

from payops.cases.models import Case, CaseEntry, LocalMessage, LocalTicket, TicketLink
from payops.cases.rules import CASE_RULES, priority_of, time_to_resolve
from payops.core import audit, ids, locks, messages, state
from payops.core.actors import Actor
from payops.core.messages import News
from payops.core.models import Book, Person

COMMENT_MAX = 4000
Identity = tuple[UUID, str, str]


class CaseRefused(ValueError):
    """The act does not fit the case; the text names its state and what to do next."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule found. (rule, fingerprint, period) is the case's identity (D10)."""

    book: Book
    rule: str
    fingerprint: str
    period: str
    subject_id: str
    title: str
    amount_minor: int | None = None
    currency: str = ""
    reporting_minor: int | None = None
    root_cause: str = ""
    disposition: str = ""
    trace_id: str = ""

    @property
    def identity(self) -> Identity:
        """What tells it apart from the other findings of a batch, whatever their period."""
        return (self.book.pk, self.rule, self.fingerprint)


@dataclass(frozen=True, slots=True)
class Line:
    """A line for a timeline; the same key is written once per case."""

    kind: str
    key: str
    text: str
    refers_to: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    at: datetime | None = None


def open_many(findings: list[Finding], *, actor: Actor, now: datetime) -> dict[Identity, Case]:
    """The open case of each finding, by its identity; new ones where there was none.

    A closed case of the same identity is opened again: the finding came back (D10). When one rule
    would open more than the book's cap within its window, none of the new ones is opened: all
    point at one systemic case instead.
    """
    assert connection.in_atomic_block
    answer: dict[Identity, Case] = {}
    fresh: dict[Identity, Finding] = {}
    for finding in sorted(findings, key=lambda f: f.identity):
        locks.name(f"case:{finding.book.pk}:{finding.rule}:{finding.fingerprint}")
        known = _open_case(finding) or _reopened(finding, actor=actor, now=now)
        if known is not None:
            answer[finding.identity] = known
        else:
            fresh.setdefault(finding.identity, finding)
    for _, named in groupby(fresh.values(), key=lambda f: f.identity[:2]):
        group = list(named)
        if _is_storm(group, now):
            systemic = _systemic_case(group, actor=actor, now=now)
            answer.update({finding.identity: systemic for finding in group})
        else:
            answer.update({f.identity: _create(f, actor=actor, now=now) for f in group})
    return answer


def open_case(finding: Finding, *, actor: Actor, now: datetime) -> Case:
    return open_many([finding], actor=actor, now=now)[finding.identity]


def open_split(finding: Finding, *, actor: Actor, now: datetime) -> Case:
    """Open one case out of a systemic one; a person asked for it, so the storm cap is past."""
    assert connection.in_atomic_block
    locks.name(f"case:{finding.book.pk}:{finding.rule}:{finding.fingerprint}")
    return _open_case(finding) or _create(finding, actor=actor, now=now)


def learn_cause(case: Case, finding: Finding, *, actor: Actor, now: datetime) -> Case:
    """Put the cause a later event named in the place of the one the case was opened with."""
    assert connection.in_atomic_block
    told = (finding.root_cause, finding.disposition)
    if case.rule != finding.rule or (case.root_cause, case.disposition) == told:
        return case
    case = locks.row(Case, case.pk)
    case.root_cause, case.disposition = told
    case.title = finding.title[:200]
    state.save(case, actor=actor, now=now, action="case.cause_learned", reason=finding.title)
    return case


def append(case: Case, lines: list[Line], *, actor: Actor, now: datetime) -> None:
    """Add lines to the timeline; a line whose key is there already changes nothing."""
    assert connection.in_atomic_block
    CaseEntry.objects.bulk_create(
        [
            CaseEntry(
                book_id=case.book_id,
                case=case,
                kind=line.kind,
                key=line.key,
                text=line.text,
                refers_to=line.refers_to,
                facts=line.facts,
                person_id=actor.person_id,
                service=actor.service,
                created_at=line.at or now,
            )
            for line in lines
        ],
        ignore_conflicts=True,
    )


def comment(*, case: Case, text: str, actor: Actor, now: datetime) -> None:
    text = text.strip()
    if not 1 <= len(text) <= COMMENT_MAX:
        raise CaseRefused(f"a comment has 1 to {COMMENT_MAX} characters; this one has {len(text)}")
    key = f"comment:{actor.person_id}:{now.isoformat()}"
    append(case, [Line("comment", key, text)], actor=actor, now=now)
    _audit(case, "case.commented", text[:200], actor, now)


def assign(*, case: Case, owner: Person | None, actor: Actor, now: datetime) -> Case:
    """Give the case an owner (or none); the first owner triages it."""
    if case.state in Case.CLOSED:
        raise CaseRefused(f"{case.public_id} is {case.state}; a closed case has no new owner")
    if case.state == Case.State.OPEN and owner is not None:
        case.triage(owner=owner)
    else:
        case.owner = owner
    words = f"assigned to {owner.name}" if owner else "owner removed"
    state.save(case, actor=actor, now=now, action="case.assigned", reason=words)
    append(case, [Line("assigned", f"assigned:{now.isoformat()}", words)], actor=actor, now=now)
    return case


def snooze(*, case: Case, until: datetime, note: str, actor: Actor, now: datetime) -> Case:
    if case.state in Case.CLOSED or until <= now or not note.strip():
        raise CaseRefused("a snooze needs an open case, a later moment and a note")
    case.snoozed_until = until
    state.save(case, actor=actor, now=now, action="case.snoozed", reason=note)
    words = f"snoozed until {until:%Y-%m-%d %H:%M} UTC: {note}"
    append(case, [Line("snoozed", f"snoozed:{now.isoformat()}", words)], actor=actor, now=now)
    return case


def open_local_ticket(
    *, case: Case, correlation_id: str, title: str, body: str, priority: str, now: datetime
) -> LocalTicket:
    """Create the ticket or return the one that has this correlation id."""
    assert connection.in_atomic_block
    key = ids.uuid7()
    ticket, _ = LocalTicket.objects.get_or_create(
        book=case.book,
        correlation_id=correlation_id,
        defaults={
            "id": key,
            "number": f"T-{key.hex[-8:].upper()}",
            "title": title[:200],
            "body": body,
            "priority": priority,
            "created_at": now,
        },
    )
    TicketLink.objects.get_or_create(
        book=case.book,
        system="local",
        correlation_id=correlation_id,
        defaults={"case": case, "number": ticket.number, "created_at": now},
    )
    return ticket


def send_local_message(
    *,
    book: Book,
    case: Case | None,
    correlation_id: str,
    audience: str,
    subject: str,
    body: str,
    link: str,
    now: datetime,
) -> LocalMessage:
    assert connection.in_atomic_block
    sent, _ = LocalMessage.objects.get_or_create(
        book=book,
        correlation_id=correlation_id,
        defaults={
            "case": case,
            "audience": audience,
            "subject": subject[:200],
            "body": body,
            "link": link,
            "created_at": now,
        },
    )
    return sent


def _open_case(finding: Finding) -> Case | None:
    """For payouts the period is that of the first failure: an open case of any period counts."""
    cases = Case.objects.filter(
        book=finding.book, rule=finding.rule, fingerprint=finding.fingerprint
    ).exclude(state__in=Case.CLOSED)
    if finding.rule != "payout_failure":
        cases = cases.filter(period=finding.period)
    return cases.order_by("created_at").first()


def _reopened(finding: Finding, *, actor: Actor, now: datetime) -> Case | None:
    """The latest closed case of exactly this identity, opened again; None when there is none."""
    closed = Case.objects.filter(
        book=finding.book,
        rule=finding.rule,
        fingerprint=finding.fingerprint,
        period=finding.period,
        state__in=Case.CLOSED,
    )
    latest = closed.order_by("-created_at").first()
    if latest is None:
        return None
    case = locks.row(Case, latest.pk)
    case.reopen(due_at=now + time_to_resolve(finding.rule, case.priority))
    words = f"found again: {finding.title}"
    state.save(case, actor=actor, now=now, action="case.reopened", reason=words)
    line = Line("reopened", f"reopened:{now.isoformat()}", words, finding.subject_id)
    append(case, [line], actor=actor, now=now)
    return case


def _create(finding: Finding, *, actor: Actor, now: datetime) -> Case:
    priority = priority_of(finding.reporting_minor)
    case = Case(
        book=finding.book,
        rule=finding.rule,
        fingerprint=finding.fingerprint,
        period=finding.period,
        subject_id=finding.subject_id,
        title=finding.title[:200],
        amount_minor=finding.amount_minor,
        currency=finding.currency,
        root_cause=finding.root_cause,
        disposition=finding.disposition,
        priority=priority,
        due_at=now + time_to_resolve(finding.rule, priority),
        last_event_at=now,
        created_at=now,
    )
    words = f"{CASE_RULES[finding.rule].words}: {finding.title}"
    state.save(
        case, actor=actor, now=now, action="case.opened", reason=words, trace_id=finding.trace_id
    )
    append(case, [Line("opened", "opened", words, finding.subject_id)], actor=actor, now=now)
    news = News(case.book, "case.opened", case.public_id, {"case_id": case.public_id})
    messages.send([news], now=now)
    return case


def _is_storm(group: list[Finding], now: datetime) -> bool:
    book, rule = group[0].book, group[0].rule
    if rule == "systemic":
        return False
    locks.name(f"storm:{book.pk}:{rule}")
    since = now - timedelta(seconds=book.case_storm_window_s)
    recent = Case.objects.filter(book=book, rule=rule, created_at__gt=since).count()
    gathered = CaseEntry.objects.filter(
        book=book,
        kind="storm_member",
        case__rule="systemic",
        case__fingerprint=rule,
        created_at__gt=since,
    ).count()
    return recent + gathered + len(group) > book.case_storm_cap


def _systemic_case(group: list[Finding], *, actor: Actor, now: datetime) -> Case:
    first = group[0]
    case = open_case(
        Finding(
            book=first.book,
            rule="systemic",
            fingerprint=first.rule,
            period=first.period,
            subject_id=first.rule,
            title=f"More than {first.book.case_storm_cap} new cases of “{first.rule}” at once",
        ),
        actor=actor,
        now=now,
    )
    lines = [Line("storm_member", f"member:{f.fingerprint}", f.title, f.subject_id) for f in group]
    append(case, lines, actor=actor, now=now)
    return case


def _audit(case: Case, action: str, reason: str, actor: Actor, now: datetime) -> None:
    audit.record(
        [
            audit.event(
                book=case.book,
                actor=actor,
                action=action,
                subject_id=case.public_id,
                now=now,
                reason=reason,
            )
        ]
    )
