"""Refunds that sent no event: a charge's refunds here beside the provider's own list (F4, RF-12).

Asked when a charge says that it was refunded and no refund of it explains that, and in rounds for
charges that were lately captured or refunded. What is found goes through the same gates as an
event: a refund of ours takes its outcome, any other is recorded as made at the provider. A refund
of ours that differs is a case, and nothing is applied. Serves RF-12, F4, F5, WH-27.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from ledger import posting
from ledger.errors import LedgerRefused
from payops.cases import services as cases
from payops.cases.services import Finding, Line
from payops.core import clock, ids, locks
from payops.core.actors import service
from payops.core.models import Message, ProviderAccount
from payops.core.queues import Postpone
from payops.flows import intents, questions, rounds
from payops.flows.refunds import cases as refund_cases
from payops.flows.refunds import closing as refund_closing
from payops.flows.refunds import external as external_refunds
from payops.flows.refunds import outcome as refund_outcome
from payops.flows.refunds import told as refund_told
from payops.flows.refunds.outcome import Told
from payops.payments.models import Payment, Refund
from payops.psp.calling import NoAnswer, RefundList, RefundState
from payops.webhooks.models import ProviderEvent
from payops.webhooks.services import release_waiting

ACTOR = service("silent-refunds")
TOPIC = "account.compare_refunds"
# Of one account in one round: those whose refund has no end first, the others in no order.
PAYMENTS_MAX = 60
BUDGET_S = 40.0
CAPTURED_LATELY = timedelta(days=30)
# A refund that the provider took is usually over by then.
UNENDED_AFTER = timedelta(hours=1)
ASK_AGAIN = timedelta(minutes=5)
UNDECIDED = (ProviderEvent.State.RECEIVED, ProviderEvent.State.PARKED, ProviderEvent.State.DEAD)
# Adyen shows no refunds; its notifications and reports alone tell of them.
NOT_OFFERED = "not_offered"


def ask_all(now: datetime) -> int:
    """Send the news that it is time to compare, once an hour per account with charges to ask of."""

    def wanted(account: ProviderAccount, at: datetime) -> bool:
        return to_compare(account, at).exists()

    return rounds.ask_hourly(topic=TOPIC, slot="compare-refunds", wanted=wanted, now=now)


def compare(batch: list[Message], now: datetime) -> None:
    """One round of an account; safe to repeat, what is known already changes nothing."""
    known = ProviderAccount.objects.select_related("book")
    account = known.get(pk=batch[0].payload["account_id"])
    until = time.monotonic() + BUDGET_S
    for key, ref in _chosen(account, now):
        if time.monotonic() > until:
            return
        found = questions.list_refunds(account=account, payment_ref=ref)
        if isinstance(found, NoAnswer):
            if found.reason == NOT_OFFERED:
                return
            continue
        settle(key, found, clock.utc_now())


def compare_payment(batch: list[Message], now: datetime) -> None:
    """The charge said that it was refunded: which refund was it? Raises Postpone."""
    message = batch[0]
    payment = Payment.objects.select_related("account", "account__book").get(
        pk=Payment.key_of(message.payload["payment_id"])
    )
    refunds = list(Refund.objects.filter(payment=payment))
    if external_refunds.explained(refunds, *external_refunds.observation(message.payload)):
        return
    found = questions.list_refunds(account=payment.account, payment_ref=payment.provider_ref)
    if isinstance(found, RefundList):
        settle(payment.pk, found, clock.utc_now())
    elif found.reason != NOT_OFFERED:
        raise Postpone(f"its refunds were not listed: {found.reason}", now + ASK_AGAIN)


def to_compare(account: ProviderAccount, now: datetime) -> QuerySet[Payment]:
    """Charges lately captured, or with a refund that has no end yet."""
    unended = Refund.objects.filter(
        payment=OuterRef("pk"),
        state=Refund.State.ACCEPTED,
        accepted_at__lt=now - UNENDED_AFTER,
    )
    rows = Payment.objects.filter(account=account, state=Payment.State.CAPTURED)
    lately = Q(captured_at__gte=now - CAPTURED_LATELY)
    wanted = rows.annotate(unended=Exists(unended)).filter(lately | Q(unended=True))
    return wanted.order_by("-unended", "?")


def settle(payment_id: UUID, listed: RefundList, now: datetime) -> int:
    """Apply the list under the charge's lock; answers how many refunds it changed or added."""
    with transaction.atomic(durable=True):
        payment = locks.row(Payment, payment_id)
        keys = Refund.objects.filter(payment=payment).values_list("pk", flat=True)
        refunds = list(locks.rows(Refund, keys).values())
        for refund in refunds:
            refund.payment = payment
        return sum(_settled(payment, refunds, shown, now) for shown in listed.refunds)


def _settled(payment: Payment, refunds: list[Refund], shown: RefundState, now: datetime) -> bool:
    """One that the ledger refuses (its month is closed) is a case and leaves the others alone."""
    try:
        with transaction.atomic():
            return _settle_one(payment, refunds, shown, now)
    except LedgerRefused as refusal:
        words = f"refund {shown.provider_ref} of {shown.amount} is not posted: {refusal}"
        finding = external_refunds.mismatch(payment, shown.provider_ref, words, now=now)
        _open([finding], _line(shown, words), now)
        return False


def _settle_one(payment: Payment, refunds: list[Refund], shown: RefundState, now: datetime) -> bool:
    known = _match(refunds, shown)
    if known is None:
        in_flight = any(
            each.state in refund_outcome.SENT and each.amount == shown.amount for each in refunds
        )
        if in_flight or shown.our_ref is not None or _is_told(payment, shown):
            # Its own call, or its own event, says so better.
            return False
        return _found(payment, refunds, shown, now)
    words = refund_outcome.differs(known, provider_ref=shown.provider_ref, amount=shown.amount)
    if words:
        finding = refund_cases.finding(known, refund_cases.MISMATCH, words, now=now)
        _open([finding], _line(shown, words), now)
        return False
    told = _told(shown, now)
    if known.state == Refund.State.LEDGER_PENDING and told.fails:
        return False
    waited = known.state in refund_outcome.SENT
    applied = refund_outcome.apply(known, told, refs=_refs(shown), actor=ACTOR, now=now)
    if not applied.changed:
        return False
    if waited:
        intents.confirm(
            known,
            kind=intents.KIND_REFUND,
            provider_ref=known.provider_ref,
            actor=ACTOR,
            now=now,
            trace_id="",
        )
    findings = [applied.finding] if applied.finding else []
    _open(findings, _line(shown, applied.words), now)
    if applied.kept:
        ref = known.public_id
        refund_closing.resolve(known, applied.kept, refers_to=ref, actor=ACTOR, now=now)
    posting.post_many(applied.postings, actor=ACTOR, now=now)
    release_waiting(book=known.book, keys=applied.released, actor=ACTOR, now=now)
    refund_told.tell_ticket(known, now)
    return True


def _found(payment: Payment, refunds: list[Refund], shown: RefundState, now: datetime) -> bool:
    if shown.amount.currency != payment.currency:
        words = f"the provider shows {shown.amount}, the charge was captured in {payment.currency}"
        finding = external_refunds.mismatch(payment, shown.provider_ref, words, now=now)
        _open([finding], _line(shown, words), now)
        return False
    made = external_refunds.record(
        payment,
        _told(shown, now),
        amount=shown.amount,
        key=ids.uuid7(),
        refs=_refs(shown),
        actor=ACTOR,
        now=now,
    )
    refunds.append(made.refund)
    _open(made.findings, _line(shown, f"{made.words}; no event of it came"), now)
    made.finish(ACTOR, now)
    posting.post_many(made.postings, actor=ACTOR, now=now)
    release_waiting(book=payment.book, keys=made.released, actor=ACTOR, now=now)
    return True


def _match(refunds: Sequence[Refund], shown: RefundState) -> Refund | None:
    for refund in refunds:
        if refund.public_id == shown.our_ref:
            return refund
    for refund in refunds:
        if refund.provider_ref and refund.provider_ref == shown.provider_ref:
            return refund
    return None


def _is_told(payment: Payment, shown: RefundState) -> bool:
    """An event of it is here and undecided: it is not silent."""
    return ProviderEvent.objects.filter(
        account_id=payment.account_id, object_id=shown.provider_ref, state__in=UNDECIDED
    ).exists()


def _told(shown: RefundState, now: datetime) -> Told:
    """The list dates the birth of a refund alone; a failure is dated by the asking."""
    ended = shown.reached & (refund_outcome.FAILURES | {refund_outcome.RETURNED})
    return Told(
        reached=shown.reached & refund_outcome.TOLD,
        at=now if ended or shown.created_at is None else shown.created_at,
        by=f"list:{shown.provider_ref}",
        provider_ref=shown.provider_ref,
        movement_ref=shown.movement_ref or "",
        failure_movement_ref=shown.failure_movement_ref or "",
        failure_code=shown.failure_code or "",
        failure_message=shown.failure_message or "",
    )


def _refs(shown: RefundState) -> posting.Refs:
    return posting.Refs(
        psp_reference=shown.provider_ref, provider_transaction_id=shown.movement_ref or ""
    )


def _line(shown: RefundState, words: str) -> Line:
    facts = {"provider_ref": shown.provider_ref, "status": shown.raw_status}
    return Line("listed", f"listed:{shown.provider_ref}:{shown.raw_status}", words, "", facts)


def _open(findings: Sequence[Finding], line: Line, now: datetime) -> None:
    opened = cases.open_many(list(findings), actor=ACTOR, now=now) if findings else {}
    for case in opened.values():
        cases.append(case, [line], actor=ACTOR, now=now)


def _chosen(account: ProviderAccount, now: datetime) -> list[tuple[UUID, str]]:
    rows = to_compare(account, now)
    return list(rows.values_list("pk", "provider_ref")[:PAYMENTS_MAX])
