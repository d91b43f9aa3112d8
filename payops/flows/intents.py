"""The provider-call protocol: a key before the first try, the outcome once, unknown is verified.

Intent and attempt are committed before the call leaves; the outcome is recorded in a second
transaction; our own response and a webhook meet in `confirm`. A fence keeps a paused worker from
writing late. Never a new key, never a guess (D14, RF-5 to RF-7, F5, F29, I7).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings

from payops.core import locks, state
from payops.core.actors import Actor
from payops.core.http import HttpClient
from payops.payments.models import Intent, Payout, ProviderCall
from payops.psp.base import CallOutcome, PayoutOrder

KIND_PAYOUT = "payout"
CALL_DEADLINE_S = 10.0
ATTEMPTS_MAX = 200


def http_client() -> HttpClient:
    return HttpClient(allow=settings.HTTP_ALLOW, deadline_s=CALL_DEADLINE_S)


def order_of(payout: Payout, idempotency_key: str) -> PayoutOrder:
    return PayoutOrder(
        our_ref=payout.public_id,
        merchant_ref=payout.merchant_ref,
        amount=payout.amount,
        destination_token=payout.beneficiary.destination_token,
        description=f"Payout {payout.merchant_ref}",
        idempotency_key=idempotency_key,
    )


def request_hash(order: PayoutOrder) -> str:
    facts = asdict(order)
    facts["amount"] = [order.amount.minor, order.amount.currency]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def open_intent(payout: Payout, *, actor: Actor, now: datetime) -> Intent:
    """The payout's one intent; made with its key when there is none yet."""
    known = Intent.objects.filter(
        book=payout.book, kind=KIND_PAYOUT, subject_id=payout.public_id
    ).first()
    if known is not None:
        return locks.row(Intent, known.pk)
    key = f"payops-{payout.public_id}"
    intent = Intent(
        book=payout.book,
        account=payout.account,
        kind=KIND_PAYOUT,
        subject_id=payout.public_id,
        approval_id=payout.approval_id,
        idempotency_key=key,
        request_hash=request_hash(order_of(payout, key)),
        created_at=now,
    )
    state.save(intent, actor=actor, now=now, action="intent.created")
    return intent


def begin_attempt(intent: Intent, *, operation: str, actor: Actor, now: datetime) -> ProviderCall:
    """Commit this with the caller's transaction before the call leaves."""
    attempt = intent.calls.count() + 1
    if operation == "submit":
        intent.send(at=now)
        state.save(intent, actor=actor, now=now, action="intent.sent")
    call = ProviderCall(
        book=intent.book,
        intent=intent,
        operation=operation,
        attempt=attempt,
        fence=intent.fence,
        deadline_at=now + timedelta(seconds=CALL_DEADLINE_S),
        request_masked={"idempotency_key": intent.idempotency_key},
        created_at=now,
    )
    call.save(force_insert=True)
    return call


def finish_attempt(call_key: UUID, outcome: CallOutcome, *, word: str) -> ProviderCall:
    """Write what came back, once; a late writer finds the outcome taken and changes nothing."""
    call = ProviderCall.objects.select_for_update().get(pk=call_key)
    if call.outcome:
        return call
    call.outcome = word
    call.status_code = outcome.status_code
    call.error_code = (outcome.error_code or "")[:120]
    call.provider_ref = outcome.provider_ref or ""
    call.response_masked = {
        "request": dict(outcome.request_masked),
        "response": dict(outcome.response_masked),
        "replayed": outcome.replayed,
    }
    call.finished_at = outcome.finished_at
    call.save()
    return call


def confirm(payout: Payout, *, actor: Actor, now: datetime, trace_id: str = "") -> None:
    """The provider has the payout, told by its response or by an event: the same one outcome."""
    intent = Intent.objects.filter(
        book=payout.book, kind=KIND_PAYOUT, subject_id=payout.public_id
    ).first()
    if intent is None or intent.state == Intent.State.SUCCEEDED:
        return
    intent = locks.row(Intent, intent.pk)
    if intent.state in (Intent.State.DISPATCHING, Intent.State.UNKNOWN, Intent.State.PARKED):
        intent.succeed(provider_ref=payout.provider_ref)
        state.save(intent, actor=actor, now=now, action="intent.succeeded", trace_id=trace_id)


def within_key_window(intent: Intent, *, window_s: int, now: datetime) -> bool:
    return intent.first_sent_at is None or now < intent.first_sent_at + timedelta(seconds=window_s)
