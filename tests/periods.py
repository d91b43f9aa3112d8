"""Periods moved as people would move them: through an approval that the database accepts.

A bare book of a test has neither people nor policies of its own; its requests are put to those of
the seeded company, by the same services from the first decision on.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from django.db import transaction

from approvals import services as approvals
from approvals.hashing import content_hash_of
from approvals.models import ApprovalDecision, ApprovalRequest, PolicyVersion
from approvals.policies import FIXED
from ledger.models import AccountingPeriod
from ledger.periods import ensure_open
from payops.core import clock, locks, state
from payops.core.actors import Actor, service
from payops.core.models import Book
from tests.people import actor, login, person

SERVICE = service("period-tests")
SEATS = {"finance_manager": "marco", "treasury": "sofia"}


def opened(book: Book, day: date, *, now: datetime | None = None) -> AccountingPeriod:
    with transaction.atomic():
        return ensure_open(book=book, day=day, actor=SERVICE, now=now or clock.utc_now())


def granted(
    book: Book, kind: str, facts: dict[str, Any], *, subject_id: str = "test", by: str = "priya"
) -> ApprovalRequest:
    """A granted request of the book that is being executed; asked by Priya, decided by others."""
    request = requested(book, kind, facts, subject_id=subject_id, by=by)
    now = clock.utc_now()
    with transaction.atomic():
        for seat in request.seats:
            _decide(request, seat, now)
        request.approve(at=now)
        state.save(request, actor=SERVICE, now=now, action="approval.approved")
        return approvals.begin_execution(
            request_id=request.pk, content_hash=request.content_hash, now=now, actor=SERVICE
        )


def requested(
    book: Book, kind: str, facts: dict[str, Any], *, subject_id: str = "test", by: str = "priya"
) -> ApprovalRequest:
    now = clock.utc_now()
    version = PolicyVersion.objects.get(
        book__is_system=False, book__code="meridian", name=f"approval.{kind}"
    )
    request = ApprovalRequest(
        book=book,
        kind=kind,
        subject_id=subject_id,
        title=f"{kind} of a test",
        facts=facts,
        content_hash=content_hash_of(kind, subject_id, facts, None),
        requested_by=person(by),
        requested_login=by,
        requested_channel="browser",
        reason="the month is checked",
        business_day=now.date(),
        policy_version=version,
        tier="fixed",
        rule_fired="fixed",
        seats=list(FIXED[kind]),
        expires_at=now.replace(year=now.year + 1),
        created_at=now,
    )
    with transaction.atomic():
        state.save(request, actor=actor(by), now=now, action="approval.requested")
    return request


def lock(book: Book, code: str, *, by: Actor = SERVICE, now: datetime | None = None) -> None:
    """Close and lock a month of any book, whatever day it is."""
    at = now or clock.utc_now()
    period = AccountingPeriod.objects.get(book=book, code=code)
    approval = granted(book, "period_lock", {"period": period.public_id})
    with transaction.atomic():
        held = locks.row(AccountingPeriod, period.pk)
        if held.state == AccountingPeriod.State.OPEN:
            held.begin_closing()
            state.save(held, actor=by, now=at, action="period.closing_begun")
        held.lock(at=at, approval_id=approval.public_id)
        state.save(held, actor=by, now=at, action="period.locked")


def reopen(book: Book, code: str, *, by: Actor = SERVICE, now: datetime | None = None) -> None:
    at = now or clock.utc_now()
    period = AccountingPeriod.objects.get(book=book, code=code)
    approval = granted(book, "period_reopen", {"period": period.public_id})
    with transaction.atomic():
        held = locks.row(AccountingPeriod, period.pk)
        held.reopen(approval_id=approval.public_id)
        state.save(held, actor=by, now=at, action="period.reopened")


def _decide(request: ApprovalRequest, seat: str, now: datetime) -> None:
    username = SEATS[seat]
    ApprovalDecision.objects.create(
        book=request.book,
        request=request,
        requester_id=request.requested_by_id,
        person=person(username),
        user=login(username),
        login=username,
        seat=seat,
        verdict="approve",
        reason="checked",
        content_hash=request.content_hash,
        policy_version=request.policy_version.version,
        stepped_up_at=now,
        created_at=now,
    )
