"""Submitting an approved payout, exactly once: gates, the call, its outcome, and what was lost.

Everything that must be true is committed before the call leaves; what comes back is recorded in a
second transaction, under the payout's lock and the attempt's fence. Unknown is asked about, never
guessed. Serves PX-4, PX-6, PX-15, D14, F5, F29, I7, I8, I13.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction

from approvals import services as approvals
from approvals.models import ApprovalRequest
from compliance import gates
from ledger import posting
from payops.cases import services as cases
from payops.cases.services import Finding
from payops.core import clock, ids, locks, rates, state
from payops.core.actors import service
from payops.core.callers import Begun, Landed, NotSent
from payops.core.models import Message
from payops.core.queues import Postpone
from payops.flows import calls, intents
from payops.flows.payouts import postings as payout_postings
from payops.flows.payouts.request import KIND, release_facts
from payops.payments.models import Beneficiary, Intent, Payout, ProviderCall
from payops.payments.services import expected_arrival, next_submission_window, open_holds
from payops.psp import registry
from payops.psp.calling import CallOutcome, NoAnswer, NotFound, PayoutState
from payops.webhooks.services import release_waiting

ACTOR = service("payout-dispatch")
State = Payout.State


@dataclass(frozen=True, slots=True)
class PayoutCall:
    """One call about a payout, with everything it needs loaded."""

    payout: Payout
    attempt: ProviderCall

    def make(self) -> CallOutcome:
        submits = self.attempt.operation == intents.SUBMIT
        return (_submit if submits else _find)(self.payout, self.attempt)


class PayoutDispatch(calls.AccountTurns):
    """Submits approved payouts, or settles what a lost call left unknown; safe to repeat."""

    batch_max = 1

    def begin(self, rows: Sequence[Message], now: datetime) -> list[Begun]:
        payout_id = ids.parse(rows[0].payload["payout_id"], "po")[1]
        call = _begin(payout_id, now)
        whole = Payout.objects.select_related("account", "account__book", "beneficiary", "book")
        return [PayoutCall(whole.get(pk=payout_id), call) if call is not None else None]

    def record(self, landed: Sequence[Landed], now: datetime) -> list[Postpone | None]:
        call, outcome = landed[0].call, landed[0].outcome
        if isinstance(outcome, NotSent):
            with transaction.atomic(durable=True):
                intents.hold_back([(call.attempt, outcome)], now=now)
            return [Postpone(outcome.words, outcome.again_at)]
        calls.tell(call.payout.account, [(call.payout.public_id, outcome)], now=now)
        _record(call.payout.pk, call.attempt, outcome, now)
        return [None]


DISPATCH = PayoutDispatch()


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
            intent = _intent(payout, now)
            return intents.begin_many([intent], operation=intents.SUBMIT, actor=ACTOR, now=now)[0]
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


def _intent(payout: Payout, now: datetime) -> Intent:
    order = intents.order_of(payout, intents.key_of(payout.public_id))
    asked = [(payout, intents.request_hash(order))]
    return intents.open_many(intents.KIND_PAYOUT, asked, actor=ACTOR, now=now)[0]


def _begin_verification(payout: Payout, now: datetime) -> ProviderCall | None:
    """A call of this payout was lost: ask first; send the same key only when it is not there."""
    intent = _intent(payout, now)
    order = intents.order_of(payout, intent.idempotency_key)
    asked = intents.Asked(
        window_s=registry.calls(payout.account.provider).key_window_s,
        same_request=intents.request_hash(order) == intent.request_hash,
    )
    following = intents.next_attempt(intent, asked, actor=ACTOR, now=now)
    if isinstance(following, ProviderCall):
        return following
    if following.refused:
        _refuse(payout, intent, following.words, "refused", now)
    else:
        _park(payout, intent, following.words, now)
    return None


def _submit(payout: Payout, call: ProviderCall) -> CallOutcome:
    return registry.calls(payout.account.provider).submit_payout(
        order=intents.order_of(payout, call.intent.idempotency_key),
        **intents.address_of(payout.account),
    )


def _find(payout: Payout, call: ProviderCall) -> CallOutcome:
    """The provider's own view, told as a call outcome; "absent" is recorded by `_record`."""
    started = clock.utc_now()
    found = registry.calls(payout.account.provider).find_payout(
        our_ref=payout.public_id,
        created_after=payout.initiated_at or payout.created_at,
        **intents.address_of(payout.account),
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
        finished = intents.finish_many({call.pk: outcome})[call.pk]
        stale = finished.fence != intent.fence
        if payout.state not in (State.DISPATCHING, State.UNKNOWN):
            _compare_late(payout, outcome, now)
            return
        if stale:
            return
        settled = _apply_outcome(payout, intent, finished, outcome, now)
    if not settled:
        raise intents.unsettled(f"payout {payout.merchant_ref}", finished, outcome, now)


def _apply_outcome(
    payout: Payout, intent: Intent, call: ProviderCall, outcome: CallOutcome, now: datetime
) -> bool:
    if outcome.kind == "succeeded":
        payout.accept(provider_ref=outcome.provider_ref or "")
        state.save(payout, actor=ACTOR, now=now, action="payout.accepted")
        told = [(intent, payout.provider_ref)]
        intents.confirm_many(told, actor=ACTOR, now=now)
        waits_for = f"payout:{payout.account.address}:{payout.provider_ref}"
        release_waiting(book=payout.book, keys=[waits_for], actor=ACTOR, now=now)
        return True
    if intents.is_final(intent, call, outcome):
        words = f"refused by {payout.account}: {outcome.error_code or outcome.status_code}"
        _refuse(payout, intent, words, outcome.error_code or "refused", now)
        return True
    if outcome.kind == "mismatch":
        _open_mismatch(payout, outcome, now)
    if payout.state == State.DISPATCHING:
        payout.lose_track()
        state.save(payout, actor=ACTOR, now=now, action="payout.outcome_unknown")
    intents.lose_track(intent, outcome, actor=ACTOR, now=now)
    return outcome.kind == "mismatch"


def _compare_late(payout: Payout, outcome: CallOutcome, now: datetime) -> None:
    """An event was faster than our own response, which must still tell the same."""
    told = outcome.provider_ref or payout.provider_ref
    if outcome.kind == "mismatch" or told != payout.provider_ref:
        _open_mismatch(payout, outcome, now)


def _refuse(payout: Payout, intent: Intent, words: str, code: str, now: datetime) -> None:
    intents.refuse(intent, words, actor=ACTOR, now=now)
    payout.refuse(failure_code=code[:64], failure_message=words[:240])
    state.save(payout, actor=ACTOR, now=now, action="payout.refused", reason=words)
    refs = posting.Refs(approval_id=payout.approval_id)
    posting.post(payout_postings.canceled(payout, refs, now), actor=ACTOR, now=now)


def _park(payout: Payout, intent: Intent, words: str, now: datetime) -> None:
    """Past the key window nothing is sent again: a person verifies (D14)."""
    intents.park(intent, words, actor=ACTOR, now=now)
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
