"""Refunds that nobody asked for here: made in the provider's console, or by the provider (F4).

Each is recorded as a refund of its own, posted, and reduces what can be refunded; a person finds
out who made it. Requests that no longer fit the capture are canceled while they are unsent, the
newest first. What exceeds the capture is a fact and a case, never a negative rest. Serves RF-12,
RF-10, RF-16, D9.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.utils.dateparse import parse_datetime

from approvals import services as approvals
from ledger import posting
from payops.cases.services import Finding
from payops.core import locks, state
from payops.core.actors import Actor
from payops.core.messages import News
from payops.core.money import Money
from payops.flows.batch import Batch, EventWork
from payops.flows.refunds import cases as refund_cases
from payops.flows.refunds import entries as refund_entries
from payops.flows.refunds import outcome as refund_outcome
from payops.flows.refunds import told as refund_told
from payops.flows.refunds.outcome import Told
from payops.payments import refundable
from payops.payments.models import Payment, Refund

TOPIC = "payment.compare_refunds"
REASON = "made_at_provider"
# The event of a refund itself comes with the one that only says how much of a charge is refunded.
OWN_EVENT_WITHIN = timedelta(seconds=60)
TOLD_WITHIN = timedelta(hours=1)
REQUEST_KEY_CHARS_MAX = 200


@dataclass(frozen=True, slots=True)
class Made:
    """A refund that was found, and what follows from it."""

    refund: Refund
    postings: tuple[posting.Posting, ...]
    findings: tuple[Finding, ...]
    canceled: tuple[Refund, ...]
    released: tuple[str, ...]
    words: str

    def finish(self, actor: Actor, now: datetime) -> None:
        """Approvals are locked after cases: what was asked for nothing ends then."""
        for refund in self.canceled:
            approvals.void_open(
                book=refund.book,
                subject_id=refund.public_id,
                reason=refund.refusal,
                actor=actor,
                now=now,
            )


def record(
    payment: Payment,
    told: Told,
    *,
    amount: Money,
    key: UUID,
    refs: posting.Refs,
    actor: Actor,
    now: datetime,
    trace_id: str = "",
) -> Made:
    """Born accepted, with everything the news says of it; under the payment's lock."""
    refund = Refund(
        id=key,
        book=payment.book,
        payment=payment,
        account=payment.account,
        state=Refund.State.ACCEPTED,
        amount_minor=amount.minor,
        currency=amount.currency,
        source=Refund.Source.PROVIDER,
        reason_code=REASON,
        request_key=f"provider:{payment.account.address}:{told.provider_ref}"[
            :REQUEST_KEY_CHARS_MAX
        ],
        provider_ref=told.provider_ref,
        movement_ref=told.movement_ref,
        accepted_at=told.at,
        created_at=now,
    )
    refund.promise_id = refund.public_id
    refund.shares = refund_entries.share(refund)
    state.save(
        refund,
        actor=actor,
        now=now,
        action="refund.found_at_provider",
        reason=f"{amount} of {payment.provider_ref} as {told.provider_ref}",
        evidence={
            "told": told.facts(),
            "payment": payment.provider_ref,
            "amount_minor": amount.minor,
            "currency": amount.currency,
        },
        trace_id=trace_id,
    )
    counted = refundable.recount(payment.pk)
    canceled = _cancel_unfit(payment, counted.over_refunded_minor, refund, actor=actor, now=now)
    applied = refund_outcome.apply(
        refund, told, refs=refs, actor=actor, now=now, posted=(), trace_id=trace_id
    )
    over_minor = refundable.recount(payment.pk).over_refunded_minor
    findings = [refund_cases.external(refund, now=now, trace_id=trace_id)]
    if applied.finding is not None:
        findings.append(applied.finding)
    if over_minor:
        findings.append(refund_cases.over_captured(payment, over_minor, now=now, trace_id=trace_id))
    entries = applied.postings or tuple(refund_entries.due(refund, (), refs=refs))
    released = (refund_outcome.provider_key(payment.account.address, told.provider_ref),)
    words = f"a refund of {amount} was made at the provider"
    return Made(refund, entries, tuple(findings), tuple(canceled), released, words)


def observed(batch: Batch, work: EventWork, payment: Payment, refunds: Sequence[Refund]) -> None:
    """The charge says that it was refunded, without saying by which refund.

    Its own event usually comes as well; when it does not, the provider's list is asked for.
    """
    if _is_told(work, refunds):
        work.ignore("told by the event of the refund itself", payment.public_id)
        return
    batch.news.append(
        News(
            payment.book,
            TOPIC,
            work.event.public_id,
            {"payment_id": payment.public_id, **_observation(work)},
            work.event.trace_id,
            due_at=batch.now + OWN_EVENT_WITHIN,
            turn=str(work.account.pk),
        )
    )
    work.done("its refunds are compared with the provider's list", payment.public_id)


def observation(payload: dict[str, Any]) -> tuple[Money | None, datetime]:
    """The sum that was seen, where the event said one, and when; of a message of TOPIC."""
    at = parse_datetime(payload["at"])
    assert at is not None, "an observation says when"
    minor, currency = payload["amount_minor"], payload["currency"]
    return (Money(minor, currency) if currency else None), at


def _observation(work: EventWork) -> dict[str, Any]:
    amount = work.said.amount
    return {
        "at": work.occurred_at.isoformat(),
        "amount_minor": amount.minor if amount else 0,
        "currency": amount.currency if amount else "",
    }


def explained(refunds: Sequence[Refund], amount: Money | None, at: datetime) -> bool:
    """A refund of that sum is known that the provider took at about that time."""
    return any(
        refund.accepted_at is not None
        and refund.amount == amount
        and abs(refund.accepted_at - at) <= TOLD_WITHIN
        for refund in refunds
    )


def mismatch(
    payment: Payment, provider_ref: str, words: str, *, now: datetime, trace_id: str = ""
) -> Finding:
    """A refund at the provider that cannot be one of its charge."""
    found = refund_cases.over_captured(payment, 0, now=now, trace_id=trace_id)
    return Finding(
        book=payment.book,
        rule=refund_cases.MISMATCH,
        fingerprint=f"{payment.public_id}:{provider_ref}"[:120],
        period=found.period,
        subject_id=payment.public_id,
        title=words[: refund_cases.TITLE_CHARS_MAX],
        trace_id=trace_id,
    )


def _is_told(work: EventWork, refunds: Sequence[Refund]) -> bool:
    return explained(refunds, work.said.amount, work.occurred_at)


def _cancel_unfit(
    payment: Payment, over_minor: int, found: Refund, *, actor: Actor, now: datetime
) -> list[Refund]:
    """The newest unsent requests, until the rest fits; a retry keeps its promise reserved."""
    if over_minor <= 0:
        return []
    unsent = Refund.objects.filter(
        payment_id=payment.pk, state__in=Refund.UNSENT, retry_of=None
    ).order_by("-created_at", "-pk")
    chosen, freed = [], 0
    for key, amount_minor in unsent.values_list("pk", "amount_minor"):
        if freed >= over_minor:
            break
        chosen.append(key)
        freed += amount_minor
    held = locks.rows(Refund, chosen)
    for refund in held.values():
        _cancel(refund, found, actor=actor, now=now)
    return list(held.values())


def _cancel(refund: Refund, found: Refund, *, actor: Actor, now: datetime) -> None:
    words = (
        f"{found.amount} of the charge were refunded at the provider as {found.provider_ref};"
        f" {refund.amount} no longer fit the capture"
    )
    if refund.state == Refund.State.REQUESTED:
        refund.refuse(words=words)
    else:
        refund.cancel(words=words)
    state.save(
        refund,
        actor=actor,
        now=now,
        action="refund.canceled",
        reason=words,
        evidence={"refund_id": found.public_id},
    )
    refund_told.tell_ticket(refund, now)
