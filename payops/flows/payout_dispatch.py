"""Submitting an approved payout, exactly once: gates, the call, its outcome, and what was lost.

Everything that must be true is committed before the call leaves; what comes back is recorded in a
second transaction, under the payout's lock and the attempt's fence. Unknown is asked about, never
guessed. Serves PX-4, PX-6, PX-15, D14, F5, F29, I7, I8, I13.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction

from approvals import services as approvals
from approvals.models import ApprovalRequest
from compliance import gates
from ledger import posting
from payops.cases import services as cases
from payops.cases.services import Finding
from payops.core import clock, ids, locks, rates, state
from payops.core.actors import service
from payops.core.models import Message
from payops.core.queues import Postpone, backoff
from payops.flows import calls, intents, payout_postings
from payops.flows.payout import KIND, release_facts
from payops.payments.models import Beneficiary, Intent, Payout, ProviderCall
from payops.payments.services import expected_arrival, next_submission_window, open_holds
from payops.psp import registry
from payops.psp.base import CallOutcome, NoAnswer, NotFound, PayoutState
from payops.webhooks.services import release_waiting

ACTOR = service("payout-dispatch")
State = Payout.State
ABSENT = "absent"
LOST = "lost"


def dispatch(batch: list[Message], now: datetime) -> None:
    """Submit one approved payout, or settle what a lost call left unknown; safe to repeat."""
    payout_id = ids.parse(batch[0].payload["payout_id"], "po")[1]
    whole = Payout.objects.select_related("account", "account__book", "beneficiary", "book")
    payout = whole.get(pk=payout_id)
    if payout.state in (State.APPROVED, State.DISPATCHING, State.UNKNOWN):
        calls.take_turn(payout.account)
    call = _begin(payout_id, now)
    if call is None:
        return
    payout = whole.get(pk=payout_id)
    outcome = _submit(payout, call) if call.operation == "submit" else _find(payout, call)
    calls.tell(payout.account, outcome, subject=payout.public_id)
    _record(payout_id, call, outcome, clock.utc_now())


def _begin(payout_id: UUID, now: datetime) -> ProviderCall | None:
    """Everything that must be committed before the call leaves; None when nothing is to be sent."""
    with transaction.atomic(durable=True):
        seller = Payout.objects.values_list("beneficiary_id", flat=True).get(pk=payout_id)
        locks.row(Beneficiary, seller)
        payout = locks.row(Payout, payout_id)
        if payout.state == State.APPROVED:
            window = next_submission_window(payout.account, now)
            if window > now:
                raise Postpone(f"{payout.account}'s cutoff has passed", window)
            if not _release(payout, now):
                return None
            intent = intents.open_intent(payout, actor=ACTOR, now=now)
            return intents.begin_attempt(intent, operation="submit", actor=ACTOR, now=now)
        if payout.state not in (State.DISPATCHING, State.UNKNOWN):
            return None
        return _begin_verification(payout, now)


def _release(payout: Payout, now: datetime) -> bool:
    results = gates.evaluate(_gate_facts(payout, now))
    gates.record(
        book=payout.book,
        payout_id=payout.pk,
        results=results,
        amount_minor=payout.amount_minor,
        currency=payout.currency,
        bank_hash=payout.bank_hash,
        approval_id=payout.approval_id,
        now=now,
    )
    refusal = gates.refusals(results)
    if refusal:
        payout.block(reason=refusal[:240])
        state.save(payout, actor=ACTOR, now=now, action="payout.blocked", reason=refusal)
        return False
    approvals.begin_execution(
        request_id=ids.parse(payout.approval_id, "ap")[1],
        content_hash=approvals.content_hash_of(
            KIND, payout.public_id, release_facts(payout), payout.amount
        ),
        now=now,
        actor=ACTOR,
    )
    payout.dispatch(at=now, expected_on=expected_arrival(payout.account, now))
    state.save(payout, actor=ACTOR, now=now, action="payout.dispatched")
    refs = posting.Refs(approval_id=payout.approval_id)
    posting.post(payout_postings.initiated(payout, refs, now), actor=ACTOR, now=now)
    return True


def _gate_facts(payout: Payout, now: datetime) -> gates.GateFacts:
    approval = ApprovalRequest.objects.filter(pk=ids.parse(payout.approval_id, "ap")[1]).first()
    seller, original = payout.beneficiary, payout.reissue_of
    terminal: bool | None = True
    if original is not None:
        settled = original.state in (State.FAILED, State.RETURNED)
        terminal = settled and original.verified_terminal_at is not None
    return gates.GateFacts(
        approval_granted=approval is not None and approval.state == "APPROVED",
        open_holds=tuple(hold.public_id for hold in open_holds(payout)),
        details_verified_at=seller.verified_at,
        details_must_be_newer_than=original.failed_at if original else None,
        bank_hash_approved=payout.bank_hash,
        bank_hash_now=seller.bank_hash,
        payable_from=seller.payable_from,
        original_terminal=terminal,
        now=now,
    )


def _begin_verification(payout: Payout, now: datetime) -> ProviderCall | None:
    """A call of this payout was lost: ask first; send the same key only when it is not there."""
    intent = intents.open_intent(payout, actor=ACTOR, now=now)
    last = intent.calls.order_by("-attempt").first()
    if last is not None and not last.outcome:
        if last.deadline_at > now:
            raise Postpone(f"attempt {last.attempt} is still under way", last.deadline_at)
        last.outcome = LOST
        last.save(update_fields=["outcome"])
    asked_and_absent = last is not None and last.operation == "find" and last.outcome == ABSENT
    window_s = registry.calls(payout.account.provider).key_window_s
    if asked_and_absent and intents.within_key_window(intent, window_s=window_s, now=now):
        return intents.begin_attempt(intent, operation="submit", actor=ACTOR, now=now)
    if asked_and_absent or intent.calls.count() >= intents.ATTEMPTS_MAX:
        _park(payout, intent, now)
        return None
    return intents.begin_attempt(intent, operation="find", actor=ACTOR, now=now)


def _submit(payout: Payout, call: ProviderCall) -> CallOutcome:
    provider = payout.account.provider
    return registry.calls(provider).submit_payout(
        order=intents.order_of(payout, call.intent.idempotency_key),
        http=intents.http_client(),
        base_url=settings.PSP[provider]["base_url"],
        api_key=settings.PSP[provider]["api_key"],
        deadline_s=intents.CALL_DEADLINE_S,
        settings=payout.account.settings,
    )


def _find(payout: Payout, call: ProviderCall) -> CallOutcome:
    """The provider's own view, told as a call outcome; "absent" is recorded by `_record`."""
    provider, started = payout.account.provider, clock.utc_now()
    found = registry.calls(provider).find_payout(
        our_ref=payout.public_id,
        created_after=payout.initiated_at or payout.created_at,
        http=intents.http_client(),
        base_url=settings.PSP[provider]["base_url"],
        api_key=settings.PSP[provider]["api_key"],
        deadline_s=intents.CALL_DEADLINE_S,
        settings=payout.account.settings,
    )
    finished = clock.utc_now()
    silent = isinstance(found, NoAnswer) and not found.provider_refs
    if isinstance(found, PayoutState):
        same = found.amount == payout.amount
        return CallOutcome(
            kind="succeeded" if same else "mismatch",
            started_at=started,
            finished_at=finished,
            provider_ref=found.provider_ref,
            provider_status=found.raw_status,
            echo_amount=found.amount,
            echo_reference=found.our_ref,
            status_code=200,
            response_masked={"status": found.raw_status, "amount": str(found.amount)},
        )
    absent = isinstance(found, NotFound)
    return CallOutcome(
        kind="failed" if absent else "unknown",
        started_at=started,
        finished_at=finished,
        error_code=None if absent else found.reason,  # type: ignore[union-attr]
        status_code=None if silent else 200,
        response_masked={"found": "nothing" if absent else "no answer"},
    )


def _record(payout_id: UUID, call: ProviderCall, outcome: CallOutcome, now: datetime) -> None:
    """The second transaction: what came back, applied once under the payout's lock and fence."""
    with transaction.atomic(durable=True):
        payout = locks.row(Payout, payout_id)
        intent = locks.row(Intent, call.intent_id)
        absent = call.operation == "find" and outcome.kind == "failed"
        finished = intents.finish_attempt(call.pk, outcome, word=ABSENT if absent else outcome.kind)
        stale = finished.fence != intent.fence
        if payout.state not in (State.DISPATCHING, State.UNKNOWN):
            _compare_late(payout, outcome, now)
            return
        if stale:
            return
        settled = _apply_outcome(payout, intent, finished, outcome, now)
    if not settled:
        words = outcome.error_code or outcome.status_code or finished.outcome
        raise Postpone(
            f"payout {payout.merchant_ref}: {finished.operation} ended {words}; verified later",
            now + max(backoff(finished.attempt), timedelta(seconds=outcome.retry_after_s or 0)),
        )


def _apply_outcome(
    payout: Payout, intent: Intent, call: ProviderCall, outcome: CallOutcome, now: datetime
) -> bool:
    if outcome.kind == "succeeded":
        payout.accept(provider_ref=outcome.provider_ref or "")
        state.save(payout, actor=ACTOR, now=now, action="payout.accepted")
        intents.confirm(payout, actor=ACTOR, now=now)
        waits_for = f"payout:{payout.account.address}:{payout.provider_ref}"
        release_waiting(book=payout.book, keys=[waits_for], actor=ACTOR, now=now)
        return True
    if outcome.kind == "refused":
        _refuse(payout, intent, outcome, now)
        return True
    if outcome.kind == "mismatch":
        _open_mismatch(payout, outcome, now)
    if payout.state == State.DISPATCHING:
        payout.lose_track()
        state.save(payout, actor=ACTOR, now=now, action="payout.outcome_unknown")
    if intent.state == Intent.State.DISPATCHING:
        words = outcome.error_code or f"{outcome.kind} {outcome.status_code or ''}".strip()
        intent.lose_track(outcome=words[:240])
        state.save(intent, actor=ACTOR, now=now, action="intent.outcome_unknown")
    return outcome.kind == "mismatch"


def _compare_late(payout: Payout, outcome: CallOutcome, now: datetime) -> None:
    """An event was faster than our own response, which must still tell the same."""
    told = outcome.provider_ref or payout.provider_ref
    if outcome.kind == "mismatch" or told != payout.provider_ref:
        _open_mismatch(payout, outcome, now)


def _refuse(payout: Payout, intent: Intent, outcome: CallOutcome, now: datetime) -> None:
    words = f"refused by {payout.account}: {outcome.error_code or outcome.status_code}"
    intent.refuse(outcome=words[:240])
    state.save(intent, actor=ACTOR, now=now, action="intent.refused", reason=words)
    payout.refuse(failure_code=(outcome.error_code or "refused")[:64], failure_message=words[:240])
    state.save(payout, actor=ACTOR, now=now, action="payout.refused", reason=words)
    refs = posting.Refs(approval_id=payout.approval_id)
    posting.post(payout_postings.canceled(payout, refs, now), actor=ACTOR, now=now)


def _park(payout: Payout, intent: Intent, now: datetime) -> None:
    """Past the key window nothing is sent again: a person verifies (D14)."""
    intent.park(outcome="not found at the provider and past its key window")
    state.save(intent, actor=ACTOR, now=now, action="intent.parked")
    _open(payout, "payout_unknown", f"Payout {payout.merchant_ref}: outcome unknown", now)


def _open_mismatch(payout: Payout, outcome: CallOutcome, now: datetime) -> None:
    words = (
        f"Payout {payout.merchant_ref} is {payout.amount}, the provider answered "
        f"{outcome.echo_amount} for {outcome.echo_reference or 'no reference'} "
        f"({outcome.provider_ref or 'no id'})"
    )
    _open(payout, "provider_mismatch", words, now)


def _open(payout: Payout, rule: str, title: str, now: datetime) -> None:
    day = clock.business_day(now, time_zone=payout.book.time_zone)
    cases.open_case(
        Finding(
            book=payout.book,
            rule=rule,
            fingerprint=payout.public_id,
            period=clock.period_of(day),
            subject_id=payout.public_id,
            title=title,
            amount_minor=payout.amount_minor,
            currency=payout.currency,
            reporting_minor=rates.reporting_minor(payout.amount, payout.book, now),
        ),
        actor=ACTOR,
        now=now,
    )
