"""Asking for an approval and everything that ends it but the decision itself (AP-3, AP-10, D5, D6).

Owns the writes to ApprovalRequest. Never acts on the subject: an end state sends the news
`approval.decided`, and the flow that asked re-checks and acts. `request_approval`, `void`,
`void_open` and `begin_execution` run inside the caller's transaction; `decide`, `withdraw`, `undo`
and `expire_due` open their own, and record a refusal in one of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from approvals.decisions import Decided, decide
from approvals.hashing import content_hash_of, plain
from approvals.models import ApprovalDecision, ApprovalRequest
from approvals.policies import active, policy_of
from approvals.refusals import (
    AlreadyExecuted,
    ApprovalRefused,
    ContentChanged,
    NotApproved,
    NotYourRequest,
    PendingDiffers,
    ReasonNeeded,
    RequestClosed,
)
from approvals.requests import day_lock, ended, locked, record_refusal, stored_hash
from approvals.tiers import RISKS, exposures_of, needed_by, tier_for
from payops.core import clock, locks, rates, state
from payops.core.actors import Actor, service
from payops.core.models import Book, Person
from payops.core.money import Money

__all__ = [
    "Decided",
    "begin_execution",
    "content_hash_of",
    "decide",
    "expire_due",
    "request_approval",
    "tier_for",
    "undo",
    "void",
    "void_open",
    "withdraw",
]

State = ApprovalRequest.State
EXPIRE_BATCH_MAX = 200
VOID_REASON_MAX = 240


def request_approval(
    *,
    book: Book,
    kind: str,
    subject_id: str,
    title: str,
    facts: Mapping[str, Any],
    reason: str,
    actor: Actor,
    now: datetime,
    requested_by: Person,
    amount: Money | None = None,
    cumulative_key: str = "",
    risk: str = "normal",
    barred: Iterable[Person | UUID] = (),
    consequences: Sequence[Any] = (),
    trace_id: str = "",
) -> ApprovalRequest:
    """Put exactly this content to the seats its policy names; asked again, the same request.

    Raises PendingDiffers while another content, requester or risk is pending for the subject,
    ReasonNeeded, PolicyMissing, FactsError.
    """
    assert connection.in_atomic_block, "an approval is asked for inside the flow's transaction"
    assert risk in RISKS, f"risk is one of {RISKS}, not {risk!r}"
    assert amount is None or amount.minor >= 0, "an amount to approve is never negative"
    if not reason.strip():
        raise ReasonNeeded("Say why this is asked for; the deciders and the auditors read it.")
    bars = {str(each.pk if isinstance(each, Person) else each) for each in barred}
    if actor.person_id is not None and actor.person_id != requested_by.pk:
        bars.add(str(actor.person_id))
    request = ApprovalRequest(
        book=book,
        kind=kind,
        subject_id=subject_id,
        title=title[:200],
        amount_minor=None if amount is None else amount.minor,
        currency="" if amount is None else amount.currency,
        reporting_minor=rates.reporting_minor(amount, book, now) if amount else None,
        cumulative_key=cumulative_key,
        business_day=clock.business_day(now, time_zone=book.time_zone),
        risk=risk,
        facts=plain(facts),
        consequences=plain(list(consequences), place="consequences"),
        content_hash=content_hash_of(kind, subject_id, facts, amount),
        requested_by=requested_by,
        requested_login=actor.login,
        requested_channel=actor.channel,
        barred=sorted(bars),
        reason=reason.strip(),
        created_at=now,
    )
    locks.name(f"approval-subject:{book.pk}:{kind}:{subject_id}")
    if open_request := _still_pending(request, now):
        return open_request
    if name := day_lock(request):
        locks.name(name)
    version = active(book=book, kind=kind, now=now)
    policy = policy_of(version)
    needed = needed_by(request, policy, exposures_of([request])[request.pk])
    request.policy_version = version
    request.tier, request.rule_fired = needed.tier, needed.rule_fired
    request.seats = list(needed.seats)
    request.expires_at = now + timedelta(hours=policy.expires_hours)
    state.save(
        request,
        actor=actor,
        now=now,
        action="approval.requested",
        reason=request.reason,
        evidence={
            "kind": kind,
            "about": subject_id,
            "content_hash": request.content_hash,
            "requested_by": str(requested_by.pk),
            "seats": request.seats,
            "rule": request.rule_fired,
            "policy": f"{version.name} v{version.version}",
        },
        trace_id=trace_id,
    )
    return request


def begin_execution(
    *, request_id: str | UUID, content_hash: str, now: datetime, actor: Actor
) -> ApprovalRequest:
    """Take a granted approval for execution, once, inside the flow's transaction.

    `content_hash` is that of what is about to be done. Raises NotApproved, AlreadyExecuted,
    ContentChanged.
    """
    request = locked(request_id)
    if request.state != State.APPROVED:
        raise NotApproved(
            f"{request.public_id} is {request.state}, not APPROVED; nothing is executed.",
            state=str(request.state),
        )
    _check_not_executed(request)
    if not content_hash == request.content_hash == stored_hash(request):
        raise ContentChanged(
            f"{request.public_id} approved the content {request.content_hash[:12]}…, what is about "
            f"to be done is {content_hash[:12]}…. Void the approval and ask again.",
            approved=request.content_hash,
            found=content_hash,
        )
    request.executed_at = now
    state.save(
        request,
        actor=actor,
        now=now,
        action="approval.execution_begun",
        evidence={"content_hash": content_hash, "about": request.subject_id},
    )
    return request


def void(*, request_id: str | UUID, reason: str, actor: Actor, now: datetime) -> ApprovalRequest:
    """End an open or granted request because its content changed (D6); void again is no change.

    Inside the flow's transaction. Raises AlreadyExecuted, RequestClosed, ReasonNeeded.
    """
    return _void(locked(request_id), reason=reason, actor=actor, now=now)


def void_open(
    *, book: Book, subject_id: str, reason: str, actor: Actor, now: datetime
) -> list[ApprovalRequest]:
    """Void every pending or granted and unexecuted request about a subject (D6)."""
    assert connection.in_atomic_block, "requests are voided in the transaction of the change"
    live = ApprovalRequest.objects.filter(
        book=book,
        subject_id=subject_id,
        state__in=[State.PENDING, State.APPROVED],
        executed_at=None,
    )
    rows = locks.rows(ApprovalRequest, live.values_list("pk", flat=True))
    return [
        _void(row, reason=reason, actor=actor, now=now)
        for row in rows.values()
        if row.state in (State.PENDING, State.APPROVED) and row.executed_at is None
    ]


def withdraw(
    *, request_id: str | UUID, reason: str, actor: Actor, now: datetime
) -> ApprovalRequest:
    """The requester takes a pending request back. Raises NotYourRequest, RequestClosed."""
    try:
        with transaction.atomic(durable=True):
            request = locked(request_id)
            _check_reason(reason)
            if actor.person_id != request.requested_by_id:
                raise NotYourRequest(
                    f"{request.requested_by.name} asked for this; only the requester withdraws it. "
                    "A decider may reject it instead.",
                    requester=str(request.requested_by_id),
                )
            if request.state == State.WITHDRAWN:
                return request
            _check_state(request, State.PENDING)
            request.withdraw(at=now)
            ended(request, actor=actor, now=now, action="approval.withdrawn", reason=reason)
            return request
    except ApprovalRefused as refusal:
        record_refusal(
            request_id, refusal, actor=actor, now=now, action="approval.withdraw_refused"
        )
        raise


def undo(*, request_id: str | UUID, reason: str, actor: Actor, now: datetime) -> ApprovalRequest:
    """A decider or the requester takes the approval back before its execution (F9).

    Raises NotYourRequest, AlreadyExecuted, RequestClosed, ReasonNeeded.
    """
    try:
        with transaction.atomic(durable=True):
            request = locked(request_id)
            _check_reason(reason)
            decided = ApprovalDecision.objects.filter(request=request)
            allowed = {request.requested_by_id, *decided.values_list("person_id", flat=True)}
            if actor.person_id not in allowed:
                raise NotYourRequest(
                    "Only the requester or somebody who decided this request takes it back. "
                    "A decider who disagrees rejects it while it is pending.",
                    person=str(actor.person_id),
                )
            return _void(
                request, reason=f"taken back: {reason.strip()}", actor=actor, now=now, undone=True
            )
    except ApprovalRefused as refusal:
        record_refusal(request_id, refusal, actor=actor, now=now, action="approval.undo_refused")
        raise


def expire_due(now: datetime) -> int:
    """Expire every pending request whose time is over; answers how many."""
    actor = service("approvals", channel="worker")
    expired = 0
    while True:
        with transaction.atomic(durable=True):
            due = ApprovalRequest.objects.filter(state=State.PENDING, expires_at__lte=now)
            keys = list(due.order_by("expires_at").values_list("pk", flat=True)[:EXPIRE_BATCH_MAX])
            for request in locks.rows(ApprovalRequest, keys).values():
                if request.state == State.PENDING:
                    _expire(request, actor=actor, now=now)
                    expired += 1
        if len(keys) < EXPIRE_BATCH_MAX:
            return expired


def _still_pending(request: ApprovalRequest, now: datetime) -> ApprovalRequest | None:
    """The pending request of the same subject when it asks the same; None when there is none."""
    keys = ApprovalRequest.objects.filter(
        book=request.book, kind=request.kind, subject_id=request.subject_id, state=State.PENDING
    ).values_list("pk", flat=True)
    rows = [r for r in locks.rows(ApprovalRequest, keys).values() if r.state == State.PENDING]
    if not rows:
        return None
    pending = rows[0]
    if now >= pending.expires_at:
        _expire(pending, actor=service("approvals", channel="worker"), now=now)
        return None
    differs = [
        words
        for words, different in (
            ("another content", pending.content_hash != request.content_hash),
            (
                f"another requester ({pending.requested_by.name})",
                pending.requested_by_id != request.requested_by_id,
            ),
            ("another risk tier", pending.risk != request.risk),
            ("other barred persons", not set(request.barred) <= set(pending.barred)),
            ("another cumulative key", pending.cumulative_key != request.cumulative_key),
        )
        if different
    ]
    if differs:
        raise PendingDiffers(
            f"{pending.public_id} is already pending for {request.subject_id} with "
            f"{' and '.join(differs)}. Withdraw or void it first, then ask again.",
            pending=pending.public_id,
            differs=differs,
        )
    return pending


def _expire(request: ApprovalRequest, *, actor: Actor, now: datetime) -> None:
    request.expire(at=now)
    ended(request, actor=actor, now=now, action="approval.expired", reason="its time is over")


def _void(
    request: ApprovalRequest, *, reason: str, actor: Actor, now: datetime, undone: bool = False
) -> ApprovalRequest:
    _check_reason(reason)
    if request.state == State.VOID:
        return request
    _check_not_executed(request)
    _check_state(request, State.PENDING, State.APPROVED)
    request.void(reason=reason.strip()[:VOID_REASON_MAX])
    action = "approval.undone" if undone else "approval.voided"
    ended(request, actor=actor, now=now, action=action, reason=reason.strip())
    return request


def _check_reason(reason: str) -> None:
    if not reason.strip():
        raise ReasonNeeded("Say why; the people who decided and the auditors read it.")


def _check_not_executed(request: ApprovalRequest) -> None:
    if request.executed_at is not None:
        raise AlreadyExecuted(
            f"{request.public_id} was taken for execution at {request.executed_at:%Y-%m-%d %H:%M} "
            "UTC. What was done is corrected by a new request, not undone here.",
            executed_at=request.executed_at.isoformat(),
        )


def _check_state(request: ApprovalRequest, *allowed: State) -> None:
    if request.state not in allowed:
        raise RequestClosed(
            f"{request.public_id} is {request.state}, not {' or '.join(allowed)}; "
            "there is nothing left to take back.",
            state=str(request.state),
        )
