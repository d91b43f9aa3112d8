"""Asking for approvals and deciding them in tests, through the services."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction

from approvals import services
from approvals.decisions import typed_confirmation_needed
from approvals.models import ApprovalRequest
from approvals.services import Decided
from payops.core import ids
from payops.core.models import Book, Message, Person, RoleGrant
from payops.core.money import Money
from tests.people import actor, login, person

NOW = datetime.now(UTC).replace(hour=10, minute=0, second=0, microsecond=0) + timedelta(days=1)
EUR = "EUR"


def meridian() -> Book:
    return Book.objects.get(code="meridian")


def euros(text: str) -> Money:
    return Money.from_decimal(text, EUR)


def ask(
    amount: Money | str | None = "12400.00",
    *,
    kind: str = "payout_exception",
    by: str = "amara",
    subject_id: str = "",
    now: datetime = NOW,
    channel: str = "browser",
    facts: dict[str, Any] | None = None,
    **more: Any,
) -> ApprovalRequest:
    """A pending request; `amount` as text is euros."""
    with transaction.atomic():
        return services.request_approval(
            book=meridian(),
            kind=kind,
            subject_id=subject_id or ids.render("po", ids.uuid7()),
            title="Payout P-10492 failed after it was paid",
            facts=facts if facts is not None else {"bank_hash": "h1", "template": "reversal v1"},
            reason="the bank sent it back",
            actor=actor(by, channel=channel),
            now=now,
            requested_by=person(by),
            amount=euros(amount) if isinstance(amount, str) else amount,
            **more,
        )


def vote(
    request: ApprovalRequest,
    username: str,
    verdict: str = "approve",
    *,
    now: datetime = NOW + timedelta(hours=1),
    **more: Any,
) -> Decided:
    """Decide as a person who saw the request, typed what was asked and just gave the password."""
    said: dict[str, Any] = {
        "reason": f"{username} looked at the bank's message",
        "evidence": ["mail of the bank"],
        "content_hash": request.content_hash,
        "stepped_up_at": now - timedelta(minutes=1),
        "typed_confirmation": typed_confirmation_needed(request),
        **more,
    }
    return services.decide(
        request_id=request.public_id, user=login(username), verdict=verdict, now=now, **said
    )


def fresh(request: ApprovalRequest) -> ApprovalRequest:
    return ApprovalRequest.objects.get(pk=request.pk)


def news_of(request: ApprovalRequest) -> list[str]:
    """Keys of the news sent about a request, in order."""
    sent = Message.objects.filter(topic="approval.decided")
    mine = sent.filter(payload={"approval_id": request.public_id})
    return list(mine.order_by("created_at", "id").values_list("key", flat=True))


def grant(holder: str, role: str, *, asked_by: str, at: datetime) -> RoleGrant:
    """A role grant the way the product makes one: asked for, decided by compliance, written."""
    holder_person: Person = person(holder)
    request = ask(
        None,
        kind="role_grant",
        by=asked_by,
        subject_id=f"role:{holder}:{role}",
        facts={"person_id": str(holder_person.pk), "role": role},
    )
    vote(request, "fatima")
    return RoleGrant.objects.create(
        person=holder_person,
        role=role,
        granted_at=at,
        granted_by=person(asked_by),
        approval_id=request.public_id,
    )
