"""What every write of an approval request shares: its locks, its end, its stored content, refusals.

The day's lock of a beneficiary is taken before the row lock, always. Serves AP-3, AU-5, AU-6, SC-4.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from approvals.hashing import content_hash_of
from approvals.models import ApprovalRequest
from approvals.refusals import ApprovalRefused
from payops.core import audit, locks, messages, state
from payops.core.actors import Actor
from payops.core.money import Money

TOPIC = "approval.decided"
State = ApprovalRequest.State


def hold_day_of(request_id: str | UUID) -> None:
    """Take the day's lock before the row lock, so that two totals never miss each other."""
    assert connection.in_atomic_block, "a named lock lives in a transaction"
    if name := day_lock(ApprovalRequest.objects.get(pk=key_of(request_id))):
        locks.name(name)


def ended(
    request: ApprovalRequest,
    *,
    actor: Actor,
    now: datetime,
    action: str,
    reason: str,
    trace_id: str = "",
) -> None:
    """Save a request that came to an end and tell the flows; once per end state."""
    key = request.public_id
    if request.decided_at is not None and request.state == State.VOID:
        key += ":VOID"
    state.save(
        request,
        actor=actor,
        now=now,
        action=action,
        reason=reason,
        evidence={
            "about": request.subject_id,
            "content_hash": request.content_hash,
            "rule": request.rule_fired,
            "policy_version": request.policy_version.version,
        },
        trace_id=trace_id,
    )
    news = messages.News(
        book=request.book,
        topic=TOPIC,
        key=key,
        payload={"approval_id": request.public_id},
        trace_id=trace_id,
    )
    messages.send([news], now=now)


def key_of(request_id: str | UUID) -> UUID:
    return request_id if isinstance(request_id, UUID) else ApprovalRequest.key_of(request_id)


def locked(request_id: str | UUID) -> ApprovalRequest:
    return locks.row(ApprovalRequest, key_of(request_id))


def day_lock(request: ApprovalRequest) -> str:
    """The name under which one beneficiary's requests of a day wait for each other; "" for none."""
    if not request.cumulative_key:
        return ""
    day = f"{request.business_day:%Y-%m-%d}"
    return f"approval-day:{request.book_id}:{request.kind}:{request.cumulative_key}:{day}"


def stored_hash(request: ApprovalRequest) -> str:
    """The hash recomputed from the stored facts; it differs only from a row tampered with."""
    return content_hash_of(request.kind, request.subject_id, request.facts, amount_of(request))


def amount_of(request: ApprovalRequest) -> Money | None:
    if request.amount_minor is None:
        return None
    return Money(request.amount_minor, request.currency)


def record_refusal(
    request_id: str | UUID,
    refusal: ApprovalRefused,
    *,
    actor: Actor,
    now: datetime,
    action: str,
    said: dict[str, Any] | None = None,
    trace_id: str = "",
) -> None:
    """Keep a refused attempt: who tried what, and the rule that refused it (AU-5, AU-6)."""
    with transaction.atomic(durable=True):
        request = ApprovalRequest.objects.select_related("book").get(pk=key_of(request_id))
        refused = audit.event(
            book=request.book,
            actor=actor,
            action=action,
            subject_id=request.public_id,
            now=now,
            reason=refusal.words,
            evidence={"rule": refusal.rule, "numbers": refusal.numbers, **(said or {})},
            trace_id=trace_id,
        )
        audit.record([refused])
