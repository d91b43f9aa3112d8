"""The provider-call protocol: a key before the first try, the outcome once, unknown is verified.

One protocol for everything that moves money: intent and attempt are committed before the call
leaves; the outcome is recorded in a second transaction; our own response and a webhook meet in
`confirm`. What was lost is asked for first, and the same key is sent again only inside the
provider's window, with the same request; otherwise a person looks. A fence keeps a paused worker
from writing late. Never a new key, never a guess (D14, RF-5 to RF-7, RF-17, F5, F29, I7).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Protocol
from uuid import UUID

from django.conf import settings
from django.db import connection

from payops.core import bulk, locks, state
from payops.core.actors import Actor
from payops.core.callers import NotSent
from payops.core.flights import LEFT_WITHIN_S
from payops.core.http import HttpClient
from payops.core.models import Book, ProviderAccount
from payops.core.queues import Postpone, backoff
from payops.payments.models import Intent, Payout, ProviderCall
from payops.psp.calling import CallOutcome, PayoutOrder, RefundOrder

KIND_PAYOUT = "payout"
KIND_REFUND = "refund"
SUBMIT = "submit"
FIND = "find"
# Outcomes of an attempt beside those of CallOutcome: the provider has none of it; nobody knows;
# it was begun and never left.
ABSENT = "absent"
LOST = "lost"
UNSENT = "unsent"
# A refusal after one of these may be about the call that was lost, and is verified.
DOUBTFUL = frozenset({"unknown", "mismatch", LOST})
CALL_DEADLINE_S = 10.0
WRITE_OUTCOMES = """
UPDATE payments_providercall c SET outcome = v.outcome, status_code = v.status_code,
  error_code = v.error_code, provider_ref = v.provider_ref, response_masked = v.response_masked,
  finished_at = v.finished_at
FROM unnest(%s::uuid[], %s::text[], %s::smallint[], %s::text[], %s::text[], %s::jsonb[],
    %s::timestamptz[])
  AS v(id, outcome, status_code, error_code, provider_ref, response_masked, finished_at)
WHERE c.id = v.id
"""
ATTEMPTS_MAX = 200


class Subject(Protocol):
    """What an intent moves: a payout or a refund."""

    book: Book
    account: ProviderAccount
    approval_id: str

    @property
    def public_id(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Asked:
    """What may be done about an intent whose last call was lost.

    `finds`: the provider can be asked for our reference. `same_request`: what would be sent is
    what the key stands for.
    """

    window_s: int
    finds: bool = True
    same_request: bool = True


@dataclass(frozen=True, slots=True)
class Stop:
    """The product asks no more: `refused` for good by the provider, else a person looks."""

    words: str
    refused: bool = False


def http_client() -> HttpClient:
    return _client(settings.HTTP_ALLOW, CALL_DEADLINE_S)


@lru_cache(maxsize=4)
def _client(allow: frozenset[str], deadline_s: float) -> HttpClient:
    """Shared between calls and threads: to load the roots costs more than most calls."""
    return HttpClient(allow=allow, deadline_s=deadline_s)


def address_of(account: ProviderAccount) -> dict[str, Any]:
    """Where and how a call to the account goes."""
    known = settings.PSP[account.provider]
    return {
        "http": http_client(),
        "base_url": known["base_url"],
        "api_key": known["api_key"],
        "deadline_s": CALL_DEADLINE_S,
        "settings": account.settings,
    }


def key_of(public_id: str) -> str:
    """The one key of a subject, for ever."""
    return f"payops-{public_id}"


def order_of(payout: Payout, idempotency_key: str) -> PayoutOrder:
    return PayoutOrder(
        our_ref=payout.public_id,
        merchant_ref=payout.merchant_ref,
        amount=payout.amount,
        destination_token=payout.beneficiary.destination_token,
        description=f"Payout {payout.merchant_ref}",
        idempotency_key=idempotency_key,
    )


def request_hash(order: PayoutOrder | RefundOrder) -> str:
    facts = asdict(order)
    facts["amount"] = [order.amount.minor, order.amount.currency]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def held(kind: str, subject: Subject) -> Intent | None:
    """The subject's intent, locked."""
    found = held_many(kind, [subject])
    return found.get(subject.public_id)


def held_many(kind: str, subjects: Sequence[Subject]) -> dict[str, Intent]:
    """The intents of subjects by their public ids, locked."""
    names = [subject.public_id for subject in subjects]
    keys = Intent.objects.filter(kind=kind, subject_id__in=names).values_list("pk", flat=True)
    return {intent.subject_id: intent for intent in locks.rows(Intent, keys).values()}


def open_many(
    kind: str, hashes: Sequence[tuple[Subject, str]], *, actor: Actor, now: datetime
) -> list[Intent]:
    """The one intent of each subject, made with its key where there is none yet."""
    known = held_many(kind, [subject for subject, _ in hashes])
    fresh = [
        Intent(
            book=subject.book,
            account=subject.account,
            kind=kind,
            subject_id=subject.public_id,
            approval_id=subject.approval_id,
            idempotency_key=key_of(subject.public_id),
            request_hash=hashed,
            created_at=now,
        )
        for subject, hashed in hashes
        if subject.public_id not in known
    ]
    state.save_many(fresh, actor=actor, now=now, action="intent.created")
    known.update({intent.subject_id: intent for intent in fresh})
    return [known[subject.public_id] for subject, _ in hashes]


def begin_many(
    intents: Sequence[Intent], *, operation: str, actor: Actor, now: datetime
) -> list[ProviderCall]:
    """The next attempt of each: committed with the caller's transaction before the call leaves."""
    attempts = _attempts([intent for intent in intents if intent.first_sent_at is not None])
    if operation == SUBMIT:
        for intent in intents:
            intent.send(at=now)
        state.save_many(intents, actor=actor, now=now, action="intent.sent")
    made = [
        ProviderCall(
            book=intent.book,
            intent=intent,
            operation=operation,
            attempt=attempts.get(intent.pk, 0) + 1,
            fence=intent.fence,
            deadline_at=now + timedelta(seconds=LEFT_WITHIN_S + CALL_DEADLINE_S),
            request_masked={"idempotency_key": intent.idempotency_key},
            created_at=now,
        )
        for intent in intents
    ]
    columns = [str(field.column) for field in ProviderCall._meta.concrete_fields]
    bulk.copy(ProviderCall._meta.db_table, columns, [_copied(call) for call in made])
    for call in made:
        call._state.adding, call._state.db = False, connection.alias
    return made


def next_attempt(
    intent: Intent, asked: Asked, *, actor: Actor, now: datetime
) -> ProviderCall | Stop:
    """Ask first; send the same key again only when it is not there. Raises Postpone."""
    made = list(intent.calls.order_by("attempt"))
    last = made[-1] if made else None
    if last is not None and not last.outcome:
        if last.deadline_at > now:
            raise Postpone(f"attempt {last.attempt} is still under way", last.deadline_at)
        last.outcome = LOST
        last.save(update_fields=["outcome"])
    told = [call for call in made if call.outcome != UNSENT]
    if len(told) >= ATTEMPTS_MAX:
        return Stop(f"{len(told)} attempts did not settle it")
    sent = next((call for call in reversed(told) if call.operation == SUBMIT), None)
    again = asked.same_request and within_key_window(intent, window_s=asked.window_s, now=now)
    if sent is None:
        return _begin(intent, SUBMIT, actor, now)
    absent = told[-1].operation == FIND and told[-1].outcome == ABSENT
    if absent and sent.outcome == "refused":
        return Stop(f"refused by the provider: {sent.error_code or sent.status_code}", refused=True)
    if not asked.finds or absent:
        if again:
            return _begin(intent, SUBMIT, actor, now)
        where = "not found at the provider" if absent else "the provider cannot be asked for it"
        why = "past its key window" if asked.same_request else "its request has changed"
        return Stop(f"{where} and {why}")
    return _begin(intent, FIND, actor, now)


def hold_back(calls: Sequence[tuple[ProviderCall, NotSent]], *, now: datetime) -> None:
    """Attempts that were begun and never left say so; they count for nothing."""
    words = {call.pk: told.words for call, told in calls}
    locked = ProviderCall.objects.select_for_update().filter(pk__in=words, outcome="")
    rows = list(locked.order_by("pk"))
    for row in rows:
        row.outcome, row.error_code, row.finished_at = UNSENT, words[row.pk][:120], now
    ProviderCall.objects.bulk_update(rows, ["outcome", "error_code", "finished_at"])


def finish_many(outcomes: Mapping[UUID, CallOutcome]) -> dict[UUID, ProviderCall]:
    """Write what came back, once; a late writer finds the outcome taken and changes nothing."""
    locked = ProviderCall.objects.select_for_update().filter(pk__in=list(outcomes))
    calls = {call.pk: call for call in locked.order_by("pk")}
    fresh = [call for call in calls.values() if not call.outcome]
    for call in fresh:
        outcome = outcomes[call.pk]
        call.outcome = ABSENT if is_absence(call, outcome) else outcome.kind
        call.status_code = outcome.status_code
        call.error_code = (outcome.error_code or "")[:120]
        call.provider_ref = outcome.provider_ref or ""
        call.response_masked = {
            "request": dict(outcome.request_masked),
            "response": dict(outcome.response_masked),
            "replayed": outcome.replayed,
        }
        call.finished_at = outcome.finished_at
    if fresh:
        _write_outcomes(fresh)
    return calls


def is_absence(call: ProviderCall, outcome: CallOutcome) -> bool:
    """The provider was asked, and says that it has nothing under our reference."""
    return call.operation == FIND and outcome.kind == "failed"


def is_final(intent: Intent, call: ProviderCall, outcome: CallOutcome) -> bool:
    """A refusal is about this call alone: none before it may have gone through."""
    if outcome.kind != "refused":
        return False
    before = intent.calls.filter(operation=SUBMIT, attempt__lt=call.attempt)
    return not before.filter(outcome__in=DOUBTFUL).exists()


def unsettled(words: str, call: ProviderCall, outcome: CallOutcome, now: datetime) -> Postpone:
    """Come back to verify: ever later, and never before the provider wants it."""
    ended = outcome.error_code or outcome.status_code or call.outcome
    pause = max(backoff(call.attempt), timedelta(seconds=outcome.retry_after_s or 0))
    return Postpone(f"{words}: {call.operation} ended {ended}; verified later", now + pause)


def lose_track(intent: Intent, outcome: CallOutcome, *, actor: Actor, now: datetime) -> None:
    """Unknown is a state; nothing is concluded."""
    if intent.state == Intent.State.DISPATCHING:
        words = outcome.error_code or f"{outcome.kind} {outcome.status_code or ''}".strip()
        intent.lose_track(outcome=words[:240])
        state.save(intent, actor=actor, now=now, action="intent.outcome_unknown")


def refuse(intent: Intent, words: str, *, actor: Actor, now: datetime) -> None:
    intent.refuse(outcome=words[:240])
    state.save(intent, actor=actor, now=now, action="intent.refused", reason=words)


def park(intent: Intent, words: str, *, actor: Actor, now: datetime) -> None:
    """Nothing is sent or asked any more: a person verifies (D14)."""
    intent.park(outcome=words[:240])
    state.save(intent, actor=actor, now=now, action="intent.parked")


def confirm(
    subject: Subject, *, kind: str, provider_ref: str, actor: Actor, now: datetime, trace_id: str
) -> None:
    """The provider has it, told by its response or by an event: the same one outcome."""
    intent = held(kind, subject)
    if intent is not None:
        confirm_many([(intent, provider_ref)], actor=actor, now=now, trace_id=trace_id)


def confirm_many(
    told: Sequence[tuple[Intent, str]], *, actor: Actor, now: datetime, trace_id: str = ""
) -> None:
    """`confirm` for intents that are locked already."""
    fresh = []
    for intent, provider_ref in told:
        if intent.state in (Intent.State.DISPATCHING, Intent.State.UNKNOWN, Intent.State.PARKED):
            intent.succeed(provider_ref=provider_ref)
            fresh.append(intent)
    state.save_many(fresh, actor=actor, now=now, action="intent.succeeded", trace_id=trace_id)


def within_key_window(intent: Intent, *, window_s: int, now: datetime) -> bool:
    return intent.first_sent_at is None or now < intent.first_sent_at + timedelta(seconds=window_s)


def _write_outcomes(calls: Sequence[ProviderCall]) -> None:
    columns: list[Any] = [
        [call.pk for call in calls],
        [call.outcome for call in calls],
        [call.status_code for call in calls],
        [call.error_code for call in calls],
        [call.provider_ref for call in calls],
        [json.dumps(call.response_masked) for call in calls],
        [call.finished_at for call in calls],
    ]
    with connection.cursor() as cursor:
        cursor.execute(WRITE_OUTCOMES, columns)


def _begin(intent: Intent, operation: str, actor: Actor, now: datetime) -> ProviderCall:
    return begin_many([intent], operation=operation, actor=actor, now=now)[0]


def _copied(call: ProviderCall) -> list[Any]:
    """Its columns, as `bulk.copy` takes them."""
    values = {field.attname: getattr(call, field.attname) for field in call._meta.concrete_fields}
    masked = {name: json.dumps(values[name]) for name in ("request_masked", "response_masked")}
    return list((values | masked).values())


def _attempts(intents: Sequence[Intent]) -> dict[UUID, int]:
    if not intents:
        return {}
    rows = ProviderCall.objects.filter(intent__in=[intent.pk for intent in intents])
    latest: dict[UUID, int] = {}
    for key, attempt in rows.values_list("intent_id", "attempt"):
        latest[key] = max(attempt, latest.get(key, 0))
    return latest
