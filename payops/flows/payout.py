"""A payout from its request to the provider: request, approval, gates, dispatch, outcome.

The request is one act of one person (or of a system on a person's behalf); the release is decided
by others; nothing leaves without a passed gate decision written in the same transaction as the
dispatch. Serves PX-4, PX-6, PX-13, PX-15, AP-1, D2, D5, D6, D14, I7, I8, I13.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction

from approvals import services as approvals
from approvals.models import ApprovalRequest
from compliance import gates
from ledger import posting
from payops.cases import services as cases
from payops.cases.services import Finding
from payops.core import clock, ids, locks, messages, state
from payops.core.actors import Actor, service
from payops.core.messages import News
from payops.core.models import Message, Person, ProviderAccount
from payops.core.money import Money
from payops.core.queues import Postpone, backoff
from payops.flows import fx, intents, payout_postings
from payops.payments.models import Beneficiary, Intent, Payout, ProviderCall
from payops.payments.services import expected_arrival, next_submission_window, open_holds
from payops.psp import registry
from payops.psp.base import CallOutcome, NotFound, PayoutState
from payops.webhooks.services import release_waiting

ACTOR = service("payout-dispatch")
State = Payout.State
KIND = "payout_release"
ABSENT = "absent"
LOST = "lost"


class PayoutRefused(ValueError):
    """The request or act does not fit; the text names the rule with its figures."""


@dataclass(frozen=True, slots=True)
class PayoutAsk:
    """What is asked for; `request_key` makes asking twice the same payout."""

    account: ProviderAccount
    beneficiary: Beneficiary
    amount: Money
    merchant_ref: str
    request_key: str
    reason: str
    requested_by: Person
    source: str = "console"
    funding: str = "psp_balance"
    reissue_of: Payout | None = None


def request_payout(*, ask: PayoutAsk, actor: Actor, now: datetime) -> Payout:
    """Create the payout and ask for its release. Raises PayoutRefused."""
    with transaction.atomic(durable=True):
        return ask_release(ask, actor=actor, now=now)


def ask_release(ask: PayoutAsk, *, actor: Actor, now: datetime) -> Payout:
    """`request_payout` inside the caller's transaction (the runbook's re-issue step)."""
    beneficiary = locks.row(Beneficiary, ask.beneficiary.pk)
    known = Payout.objects.filter(book=ask.account.book, request_key=ask.request_key).first()
    if known is not None:
        return _same_request(known, ask)
    _check_ask(ask)
    payout = Payout(
        book=ask.account.book,
        account=ask.account,
        beneficiary=beneficiary,
        amount_minor=ask.amount.minor,
        currency=ask.amount.currency,
        funding=ask.funding,
        merchant_ref=ask.merchant_ref,
        reissue_of=ask.reissue_of,
        requested_by=ask.requested_by,
        source=ask.source,
        request_key=ask.request_key,
        bank_hash=beneficiary.bank_hash,
        created_at=now,
    )
    state.save(payout, actor=actor, now=now, action="payout.requested", reason=ask.reason)
    approval = approvals.request_approval(
        book=payout.book,
        kind=KIND,
        subject_id=payout.public_id,
        title=f"Pay {payout.amount} to {beneficiary.name} ({payout.merchant_ref})",
        facts=release_facts(payout),
        reason=ask.reason,
        actor=actor,
        now=now,
        requested_by=ask.requested_by,
        amount=payout.amount,
        cumulative_key=beneficiary.public_id,
        risk=beneficiary.risk,
        barred=[beneficiary.bank_changed_by_id] if beneficiary.bank_changed_by_id else [],
        consequences=release_consequences(payout, now),
    )
    payout.ask_approval(approval_id=approval.public_id)
    state.save(payout, actor=actor, now=now, action="payout.approval_asked")
    return payout


def release_facts(payout: Payout) -> dict[str, Any]:
    """Exactly what is approved (D6)."""
    return {
        "amount_minor": payout.amount_minor,
        "currency": payout.currency,
        "beneficiary": payout.beneficiary.public_id,
        "bank_hash": payout.bank_hash,
        "bank_masked": payout.beneficiary.bank_masked,
        "account": payout.account.address,
        "merchant_ref": payout.merchant_ref,
        "funding": payout.funding,
        "source": payout.source,
        "reissue_of": payout.reissue_of.public_id if payout.reissue_of else "",
        "template": payout_postings.TEMPLATE_VERSION,
    }


def release_consequences(payout: Payout, now: datetime) -> list[dict[str, Any]]:
    entry = payout_postings.initiated(payout, posting.Refs(), now)
    return [consequence_of(entry), {"kind": "call", "words": f"submitted to {payout.account}"}]


def consequence_of(entry: posting.Posting) -> dict[str, Any]:
    """One journal entry as the approver sees it before deciding (F7)."""
    return {
        "kind": "entry",
        "words": entry.description,
        "lines": [
            {
                "account": leg.account,
                "party": leg.party,
                "amount_minor": leg.amount_minor,
                "currency": leg.currency,
            }
            for leg in entry.legs
        ],
    }


def on_release_decided(approval: ApprovalRequest, now: datetime) -> None:
    """Carry the decision to the payout; a granted one goes on to its submission window."""
    with transaction.atomic(durable=True):
        payout = locks.row(Payout, ids.parse(approval.subject_id, "po")[1])
        if payout.state not in (State.AWAITING_APPROVAL, State.APPROVED, State.BLOCKED):
            return
        if approval.state == ApprovalRequest.State.APPROVED:
            if payout.state == State.AWAITING_APPROVAL:
                payout.approve()
                state.save(payout, actor=ACTOR, now=now, action="payout.approved")
            _send_dispatch(payout, now, attempt="1")
        else:
            payout.cancel(reason=f"the release was {approval.state.lower()}")
            state.save(payout, actor=ACTOR, now=now, action="payout.canceled")


def retry_release(*, payout_id: UUID, reason: str, actor: Actor, now: datetime) -> Payout:
    """A person asks for the gates of a blocked payout to be looked at again."""
    with transaction.atomic(durable=True):
        payout = locks.row(Payout, payout_id)
        if payout.state != State.BLOCKED or not payout.approval_id:
            raise PayoutRefused(f"{payout.merchant_ref} is {payout.state}, not BLOCKED")
        payout.approve()
        state.save(payout, actor=actor, now=now, action="payout.release_retried", reason=reason)
        _send_dispatch(payout, now, attempt=now.isoformat())
        return payout


def cancel(*, payout_id: UUID, reason: str, actor: Actor, now: datetime) -> Payout:
    """Take back a payout that has not left; its approval becomes void."""
    with transaction.atomic(durable=True):
        payout = locks.row(Payout, payout_id)
        before = (State.DRAFT, State.BLOCKED, State.AWAITING_APPROVAL, State.APPROVED)
        if payout.state not in before:
            raise PayoutRefused(
                f"{payout.merchant_ref} is {payout.state}; only a payout that has not left can be "
                "canceled here"
            )
        if not reason.strip():
            raise PayoutRefused("canceling a payout needs a reason")
        payout.cancel(reason=reason[:240])
        state.save(payout, actor=actor, now=now, action="payout.canceled", reason=reason)
        approvals.void_open(
            book=payout.book,
            subject_id=payout.public_id,
            reason="the payout was canceled",
            actor=actor,
            now=now,
        )
        return payout


def dispatch(batch: list[Message], now: datetime) -> None:
    """Submit one approved payout, or settle what a lost call left unknown; safe to repeat."""
    payout_id = ids.parse(batch[0].payload["payout_id"], "po")[1]
    call = _begin(payout_id, now)
    if call is None:
        return
    payout = Payout.objects.select_related("account", "beneficiary", "book").get(pk=payout_id)
    if call.operation == "submit":
        outcome = _submit(payout, call)
    else:
        outcome = _find(payout, call)
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
    refusal = gates.first_refusal(results)
    if refusal:
        payout.block(reason=refusal)
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
    )
    finished = clock.utc_now()
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
            response_masked={"status": found.raw_status, "amount": str(found.amount)},
        )
    absent = isinstance(found, NotFound)
    return CallOutcome(
        kind="failed" if absent else "unknown",
        started_at=started,
        finished_at=finished,
        error_code=None if absent else found.reason,  # type: ignore[union-attr]
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
            reporting_minor=fx.reporting_minor(payout.amount, payout.book, now),
        ),
        actor=ACTOR,
        now=now,
    )


def _send_dispatch(payout: Payout, now: datetime, *, attempt: str) -> None:
    due_at = next_submission_window(payout.account, now)
    news = News(
        payout.book,
        "payout.dispatch",
        f"{payout.public_id}:{attempt}",
        {"payout_id": payout.public_id},
        due_at=due_at,
    )
    messages.send([news], now=now)


def _same_request(known: Payout, ask: PayoutAsk) -> Payout:
    facts = (known.amount, known.beneficiary_id, known.account_id, known.merchant_ref)
    asked = (ask.amount, ask.beneficiary.pk, ask.account.pk, ask.merchant_ref)
    if facts != asked:
        raise PayoutRefused(
            f"request key {ask.request_key} was used for {known.amount} to "
            f"{known.beneficiary.reference} ({known.merchant_ref}); use a new key"
        )
    return known


def _check_ask(ask: PayoutAsk) -> None:
    if ask.amount.minor <= 0:
        raise PayoutRefused(f"a payout pays more than nothing; asked was {ask.amount}")
    if ask.beneficiary.book_id != ask.account.book_id:
        raise PayoutRefused("beneficiary and provider account belong to different books")
    if not ask.merchant_ref.strip() or not ask.reason.strip():
        raise PayoutRefused("a payout needs a reference and a reason")
    original = ask.reissue_of
    if original is not None and Payout.objects.filter(reissue_of=original).exists():
        raise PayoutRefused(f"{original.merchant_ref} was re-issued already; once is the limit")
