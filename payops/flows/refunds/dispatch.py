"""Sending granted refunds, each exactly once: gates again, the call, its outcome, what was lost.

Everything that must be true is committed before a call leaves, in one transaction for a batch;
what comes back is recorded in a second one, under the locks of payment and refund and the
attempt's fence. The protocol of the call is `intents`, the one outcome `outcome`. Unknown is asked
about, never guessed. Serves RF-5 to RF-7, RF-16, RF-17, D9, D14, F5, F29, I7.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction

from payops.cases import services as cases
from payops.core import bulk, clock, ids, locks, state
from payops.core.actors import service
from payops.core.callers import Begun, Landed, NotSent
from payops.core.models import Book, Message, ProviderAccount
from payops.core.money import MoneyError
from payops.core.queues import Postpone
from payops.flows import calls, intents
from payops.flows.intents import Stop
from payops.flows.refunds import acts as refund_acts
from payops.flows.refunds import cases as refund_cases
from payops.flows.refunds import closing as refund_closing
from payops.flows.refunds import ledger as refund_ledger
from payops.flows.refunds import outcome as refund_outcome
from payops.flows.refunds.outcome import SENT, Applied, Told
from payops.flows.refunds.told import tell_ticket
from payops.payments import refundable
from payops.payments.models import Dispute, Intent, ProviderCall, Refund
from payops.psp import registry
from payops.psp.calling import CallOutcome, NoAnswer, NotFound, RefundOrder, RefundState
from payops.webhooks.services import release_waiting

ACTOR = service("refund-dispatch")
State = Refund.State
BATCH_MAX = 16
UNKNOWN = "refund_unknown"
REFUSED = "refund_refused"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a call; `found` is the refund as the provider shows it, when it was asked."""

    outcome: CallOutcome
    found: RefundState | None = None


@dataclass(frozen=True, slots=True)
class RefundCall:
    """One call about a refund, with everything it needs loaded."""

    refund: Refund
    attempt: ProviderCall

    def make(self) -> Answer:
        submits = self.attempt.operation == intents.SUBMIT
        return (_submit if submits else _find)(self.refund, self.attempt)


class RefundDispatch(calls.AccountTurns):
    """Submits granted refunds, or settles what a lost call left unknown; safe to repeat."""

    batch_max = BATCH_MAX

    def begin(self, rows: Sequence[Message], now: datetime) -> list[Begun]:
        keys = [ids.parse(row.payload["refund_id"], Refund.PREFIX)[1] for row in rows]
        with bulk.uncollected(), transaction.atomic(durable=True):
            held = refund_acts.locked_many(keys)
            leaving = _released([held[key] for key in dict.fromkeys(keys)], now)
            begun: dict[UUID, Begun] = _first_attempts(leaving, now)
            for key in keys:
                if key not in begun and held[key].state in SENT:
                    begun[key] = _verification(held[key], now)
        # A refund that two messages are about is sent by the first of them.
        return [begun.pop(key, None) for key in keys]

    def record(self, landed: Sequence[Landed], now: datetime) -> list[Postpone | None]:
        unsent = [each for each in landed if isinstance(each.outcome, NotSent)]
        came = [each for each in landed if not isinstance(each.outcome, NotSent)]
        _tell_valves(came, now)
        with bulk.uncollected(), transaction.atomic(durable=True):
            held_back = [(each.call.attempt, each.outcome) for each in unsent]
            intents.hold_back(held_back, now=now)
            later = _record([(each.call, each.outcome) for each in came], now)
        for attempt, told in held_back:
            later[attempt.pk] = Postpone(told.words, told.again_at)
        return [later.get(each.call.attempt.pk) for each in landed]


DISPATCH = RefundDispatch()


def order_of(refund: Refund, idempotency_key: str) -> RefundOrder:
    return RefundOrder(
        our_ref=refund.public_id,
        merchant_ref=refund.payment.merchant_ref,
        payment_provider_ref=refund.payment.provider_ref,
        amount=refund.amount,
        idempotency_key=idempotency_key,
    )


def _released(refunds: Sequence[Refund], now: datetime) -> list[Refund]:
    """Looked at once more under their locks: which leave now; others are refused for good."""
    granted = [refund for refund in refunds if refund.state == State.APPROVED]
    barred = _barred(granted)
    # A dispute holds what was granted; its good end sends it on.
    free = [refund for refund in granted if refund.payment_id not in barred]
    leaving = []
    for batch in refundable.one_by_payment(free, lambda refund: refund.payment_id):
        rechecked = refund_acts.recheck_many(batch, now)
        for refund, words in zip(batch, rechecked, strict=True):
            if words:
                refund_acts.refuse(refund, words, actor=ACTOR, now=now)
                continue
            refund.dispatch(at=now)
            leaving.append(refund)
    return leaving


def _barred(refunds: Sequence[Refund]) -> set[UUID]:
    """The payments whose disputes hold back their refunds."""
    known = Dispute.objects.filter(payment__in=[refund.payment_id for refund in refunds])
    return {dispute.payment_id for dispute in known if dispute.blocks_refunds}


def _first_attempts(leaving: Sequence[Refund], now: datetime) -> dict[UUID, Begun]:
    """Reserved they were and stay, so that no payment's counters change."""
    state.save_many(leaving, actor=ACTOR, now=now, action="refund.dispatched")
    opened = _intents(leaving, now)
    made = intents.begin_many(opened, operation=intents.SUBMIT, actor=ACTOR, now=now)
    return {refund.pk: RefundCall(refund, call) for refund, call in zip(leaving, made, strict=True)}


def _intents(refunds: Sequence[Refund], now: datetime) -> list[Intent]:
    orders = [order_of(refund, intents.key_of(refund.public_id)) for refund in refunds]
    hashes = [intents.request_hash(order) for order in orders]
    asked = list(zip(refunds, hashes, strict=True))
    return intents.open_many(intents.KIND_REFUND, asked, actor=ACTOR, now=now)


def _verification(refund: Refund, now: datetime) -> Begun:
    """A call of this refund was lost: ask first; send the same key only when it is not there."""
    intent = _intents([refund], now)[0]
    provider = registry.refunds(refund.account.provider)
    hashed = intents.request_hash(order_of(refund, intent.idempotency_key))
    asked = intents.Asked(
        window_s=provider.refund_key_window_s,
        finds=provider.finds_refunds,
        same_request=hashed == intent.request_hash,
    )
    if intent.state not in (Intent.State.DISPATCHING, Intent.State.UNKNOWN):
        return None
    try:
        following = intents.next_attempt(intent, asked, actor=ACTOR, now=now)
    except Postpone as later:
        return later
    if isinstance(following, ProviderCall):
        return RefundCall(refund, following)
    _stop(refund, intent, following, now)
    return None


def _submit(refund: Refund, attempt: ProviderCall) -> Answer:
    started = clock.utc_now()
    try:
        outcome = registry.refunds(refund.account.provider).submit_refund(
            order=order_of(refund, attempt.intent.idempotency_key),
            **intents.address_of(refund.account),
        )
    except MoneyError as error:
        # The provider has no way to say this sum; nothing left.
        outcome = CallOutcome(
            kind="refused",
            started_at=started,
            finished_at=clock.utc_now(),
            error_code=f"amount_not_expressible: {error}",
        )
    return Answer(outcome)


def _find(refund: Refund, attempt: ProviderCall) -> Answer:
    """The provider's own view, told as a call outcome; "failed" says that it has nothing."""
    started = clock.utc_now()
    found = registry.refunds(refund.account.provider).find_refund(
        our_ref=refund.public_id,
        payment_provider_ref=refund.payment.provider_ref,
        **intents.address_of(refund.account),
    )
    finished = clock.utc_now()
    if isinstance(found, RefundState):
        outcome = CallOutcome(
            kind="succeeded" if found.amount == refund.amount else "mismatch",
            started_at=started,
            finished_at=finished,
            provider_ref=found.provider_ref,
            provider_status=found.raw_status,
            echo_amount=found.amount,
            echo_reference=found.our_ref,
            status_code=200,
            response_masked={"status": found.raw_status, "amount": str(found.amount)},
            reached=found.reached,
            movement_ref=found.movement_ref,
        )
        return Answer(outcome, found)
    absent = isinstance(found, NotFound)
    reason = found.reason if isinstance(found, NoAnswer) else None
    silent = isinstance(found, NoAnswer) and not found.provider_refs
    outcome = CallOutcome(
        kind="failed" if absent else "unknown",
        started_at=started,
        finished_at=finished,
        error_code=reason,
        status_code=None if silent else 200,
        response_masked={"found": "nothing" if absent else "no answer"},
    )
    return Answer(outcome)


def _tell_valves(came: Sequence[Landed], now: datetime) -> None:
    by_account: dict[UUID, tuple[ProviderAccount, list[tuple[str, CallOutcome]]]] = {}
    for each in came:
        refund = each.call.refund
        told = by_account.setdefault(refund.account_id, (refund.account, []))[1]
        told.append((refund.public_id, each.outcome.outcome))
    for account, outcomes in by_account.values():
        calls.tell(account, outcomes, now=now)


def _record(
    came: Sequence[tuple[RefundCall, Answer]], now: datetime
) -> dict[UUID, Postpone | None]:
    """What came back, each applied once under the refund's lock and fence; by attempt."""
    held = refund_acts.locked_many([call.refund.pk for call, _ in came])
    locked = locks.rows(Intent, [call.attempt.intent_id for call, _ in came])
    for intent in locked.values():
        intent.book = held[Refund.key_of(intent.subject_id)].book
    finished = intents.finish_many({call.attempt.pk: told.outcome for call, told in came})
    references = refund_outcome.holders(
        (call.refund.account_id, told.outcome.provider_ref or "") for call, told in came
    )
    later: dict[UUID, Postpone | None] = {}
    news: list[tuple[Refund, Told]] = []
    for call, answer in came:
        refund, attempt = held[call.refund.pk], finished[call.attempt.pk]
        intent = locked[attempt.intent_id]
        if attempt.fence != intent.fence:
            continue
        if answer.outcome.kind == "succeeded":
            told = _news(refund, attempt, answer, references, now)
            news += [(refund, told)] if told is not None else []
        elif refund.state in SENT:
            later[attempt.pk] = _unsuccessful(refund, intent, attempt, answer.outcome, now)
        elif answer.outcome.kind == "mismatch":
            _open_mismatch(refund, _differing(refund, answer.outcome), now)
    if news:
        _settled(refund_ledger.settle(news, actor=ACTOR, now=now), locked.values(), now)
    return later


def _news(
    refund: Refund,
    attempt: ProviderCall,
    answer: Answer,
    references: Mapping[tuple[UUID, str], Refund],
    now: datetime,
) -> Told | None:
    """What the provider confirmed, unless it cannot be about this refund: that is a case."""
    outcome, found = answer.outcome, answer.found
    words = refund_outcome.differs(
        refund,
        provider_ref=outcome.provider_ref or "",
        amount=outcome.echo_amount,
        held=references,
    )
    if words:
        _open_mismatch(refund, words, now)
        return None
    told = Told(
        reached=outcome.reached | {refund_outcome.ACCEPTED},
        at=outcome.finished_at,
        by=attempt.public_id,
        provider_ref=outcome.provider_ref or "",
        movement_ref=outcome.movement_ref or "",
        failure_movement_ref=(found.failure_movement_ref if found else None) or "",
        failure_code=(found.failure_code if found else None) or "",
        failure_message=(found.failure_message if found else None) or "",
    )
    # While the journal refuses the acceptance, a failure waits for its event.
    waits = refund.state == State.LEDGER_PENDING and told.fails
    return None if waits else told


def _settled(
    told: Sequence[tuple[Refund, Applied]], intents_locked: Iterable[Intent], now: datetime
) -> None:
    """What follows from outcomes: intents, waiting events, cases, tickets."""
    by_subject = {intent.subject_id: intent for intent in intents_locked}
    confirmed = [(by_subject[refund.public_id], refund.provider_ref) for refund, _ in told]
    intents.confirm_many(confirmed, actor=ACTOR, now=now)
    waited_for: dict[UUID, tuple[Book, list[str]]] = {}
    for refund, applied in told:
        waited_for.setdefault(refund.book_id, (refund.book, []))[1].extend(applied.released)
    for book, keys in waited_for.values():
        if keys:
            release_waiting(book=book, keys=keys, actor=ACTOR, now=now)
    findings = [applied.finding for _, applied in told if applied.finding is not None]
    cases.open_many(findings, actor=ACTOR, now=now)
    for refund, applied in told:
        if applied.kept:
            refund_closing.resolve(
                refund, applied.kept, refers_to=refund.public_id, actor=ACTOR, now=now
            )
        tell_ticket(refund, now)


def _unsuccessful(
    refund: Refund, intent: Intent, attempt: ProviderCall, outcome: CallOutcome, now: datetime
) -> Postpone | None:
    """Refused for good, or not known: then it is verified, by a person where figures differ."""
    if intents.is_final(intent, attempt, outcome):
        words = f"refused by {refund.account}: {outcome.error_code or outcome.status_code}"
        _refuse(refund, intent, words, outcome.error_code or "refused", now)
        return None
    _lose_track(refund, now)
    intents.lose_track(intent, outcome, actor=ACTOR, now=now)
    if outcome.kind == "mismatch":
        _open_mismatch(refund, _differing(refund, outcome), now)
        return None
    return intents.unsettled(f"refund {refund.public_id}", attempt, outcome, now)


def _lose_track(refund: Refund, now: datetime) -> None:
    if refund.state == State.DISPATCHING:
        refund.lose_track()
        state.save(refund, actor=ACTOR, now=now, action="refund.outcome_unknown")
        refundable.recount(refund.payment_id)
        tell_ticket(refund, now)


def _stop(refund: Refund, intent: Intent, stop: Stop, now: datetime) -> None:
    """The product asks no more: refused for good, or parked for a person (D14)."""
    if stop.refused:
        _refuse(refund, intent, stop.words, "refused", now)
        return
    _lose_track(refund, now)
    intents.park(intent, stop.words, actor=ACTOR, now=now)
    title = f"Refund of {refund.amount} for {refund_cases.named(refund.payment)}: outcome unknown"
    _open(refund, UNKNOWN, f"{title}, {stop.words}", now)


def _refuse(refund: Refund, intent: Intent, words: str, code: str, now: datetime) -> None:
    """Nothing was accepted and nothing is posted: what it had reserved is free again."""
    intents.refuse(intent, words, actor=ACTOR, now=now)
    refund.fail(code=code, message=words, at=now)
    if refund.retry_of_id is not None:
        refund.obligation = Refund.Obligation.OWED
    state.save(refund, actor=ACTOR, now=now, action="refund.refused_by_provider", reason=words)
    refundable.recount(refund.payment_id)
    title = f"Refund of {refund.amount} for {refund_cases.named(refund.payment)} {words}"
    _open(refund, REFUSED, title, now)
    keys = [refund_outcome.settled_key(refund)]
    release_waiting(book=refund.book, keys=keys, actor=ACTOR, now=now)
    tell_ticket(refund, now)


def _differing(refund: Refund, outcome: CallOutcome) -> str:
    return (
        f"Refund {refund.public_id} is {refund.amount}, the provider answered"
        f" {outcome.echo_amount} for {outcome.echo_reference or 'no reference'}"
        f" ({outcome.provider_ref or 'no id'})"
    )


def _open_mismatch(refund: Refund, words: str, now: datetime) -> None:
    _open(refund, refund_cases.MISMATCH, words, now)


def _open(refund: Refund, rule: str, title: str, now: datetime) -> None:
    finding = refund_cases.finding(refund, rule, title, now=now)
    cases.open_case(finding, actor=ACTOR, now=now)
