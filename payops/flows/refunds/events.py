"""Refund events from providers: accepted, succeeded, failed, returned; in any order (WH-29, D8).

Finds the refund an event is about, then hands what it says to `refunds.outcome`. An event is also
proof that a lost call went through, and teaches its reference (F5). A refund nobody asked for here
is recorded as one (`refunds.external`); while a call of the same sum has no outcome, it waits,
because it may be that one. The money back of a dispute is never taken for a refund (RF-15).
Serves WH-10, WH-29, F3, F31.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from uuid import UUID

from django.db.models import Q

from payops.cases import services as cases
from payops.cases.models import Case
from payops.core import ids
from payops.core.queues import StructuralMismatch
from payops.flows import intents
from payops.flows.batch import Batch, CaseWork, EventWork
from payops.flows.payment_events import payment_known
from payops.flows.refunds import cases as refund_cases
from payops.flows.refunds import closing as refund_closing
from payops.flows.refunds import entries as refund_entries
from payops.flows.refunds import external as external_refunds
from payops.flows.refunds import outcome as refund_outcome
from payops.flows.refunds import told as refund_told
from payops.flows.refunds.outcome import Applied, Told
from payops.payments.models import Payment, Refund

OBSERVED = "refund.observed"
State = Refund.State


@dataclass(slots=True)
class Found:
    """What the refund events of a batch are about, before it is locked.

    `payments` by the provider's reference; `charges` by event, where the refund named it alone.
    """

    payments: dict[tuple[UUID, str], UUID] = field(default_factory=dict)
    charges: dict[UUID, UUID] = field(default_factory=dict)

    @property
    def keys(self) -> set[UUID]:
        return {*self.payments.values(), *self.charges.values()}


def is_about(work: EventWork) -> bool:
    return work.said.kind in refund_outcome.TOLD or work.said.kind == OBSERVED


def find(works: Sequence[EventWork]) -> Found:
    """The charges of the events: as the event names them, or as the refund it names has them."""
    wanted = [work for work in works if is_about(work)]
    if not wanted:
        return Found()
    accounts = {work.account.pk for work in wanted}
    charges = {ref for work in wanted if (ref := _charge_ref(work))}
    rows = Payment.objects.filter(account_id__in=accounts, provider_ref__in=charges)
    found = Found(
        {(acc, ref): key for acc, ref, key in rows.values_list("account", "provider_ref", "pk")}
    )
    named = [key for work in wanted if (key := _our_key(work))]
    refs = [work.said.provider_ref for work in wanted if work.said.provider_ref]
    known = Refund.objects.filter(
        Q(pk__in=named) | Q(provider_ref__in=refs), account_id__in=accounts
    )
    refunds = list(known)
    for work in wanted:
        refund = _match(work, refunds)
        if refund is not None:
            found.charges[work.event.pk] = refund.payment_id
    return found


def of_charges(payments: set[UUID]) -> list[UUID]:
    """Every refund of the charges, read behind their locks."""
    if not payments:
        return []
    return list(Refund.objects.filter(payment_id__in=payments).values_list("pk", flat=True))


def apply(batch: Batch, work: EventWork) -> None:
    payment = _payment(batch, work)
    if payment is None:
        _wait_for_payment(work)
        return
    refunds = [r for r in batch.refunds.values() if r.payment_id == payment.pk]
    if work.said.kind == OBSERVED:
        external_refunds.observed(batch, work, payment, refunds)
        return
    refund = _match(work, refunds)
    if refund is None and (twin := _unsettled(work, refunds)) is not None:
        work.park(
            refund_outcome.settled_key(twin),
            f"waits until {twin.public_id} has an outcome: it may be that refund",
            twin.public_id,
        )
    elif refund is None:
        _external(batch, work, payment)
    else:
        _known(batch, work, refund, payment)


def _known(batch: Batch, work: EventWork, refund: Refund, payment: Payment) -> None:
    said = work.said
    _place(refund, payment, work)
    words = refund_outcome.differs(refund, provider_ref=said.provider_ref, amount=said.amount)
    charge = _charge_ref(work)
    if not words and charge and charge != payment.provider_ref:
        words = f"the event is about charge {charge}, {refund.public_id} is of another"
    if words:
        finding = refund_cases.finding(
            refund, refund_cases.MISMATCH, words, now=batch.now, trace_id=work.event.trace_id
        )
        batch.case_works.append(CaseWork(finding, [work.line("mismatch", words)]))
        work.done(f"not applied: {words}", refund.public_id)
        return
    told = told_by(work)
    if refund.state == State.LEDGER_PENDING and told.fails:
        words = "waits until the journal has what was executed"
        work.park(refund_outcome.ledger_key(refund), words, refund.public_id)
        return
    batch.write_payments()
    waited = refund.state in refund_outcome.SENT
    applied = refund_outcome.apply(
        refund,
        told,
        refs=work.refs(),
        actor=batch.actor,
        now=batch.now,
        posted=posted_in(batch, refund),
        trace_id=work.event.trace_id,
    )
    if waited:
        intents.confirm(
            refund,
            kind=intents.KIND_REFUND,
            provider_ref=refund.provider_ref,
            actor=batch.actor,
            now=batch.now,
            trace_id=work.event.trace_id,
        )
    follow(batch, work, refund, applied)
    if applied.changed:
        work.done(applied.words, refund.public_id)
    else:
        work.ignore(applied.words, refund.public_id)


def follow(batch: Batch, work: EventWork, refund: Refund, applied: Applied) -> None:
    """What an outcome leads to, gathered with the batch."""
    batch.recounted.add(refund.payment_id)
    batch.postings.extend(applied.postings)
    batch.released.extend((refund.book, key) for key in applied.released)
    line = work.line("event", f"{work.said.raw_type}: {applied.words}")
    if applied.finding is not None:
        batch.case_works.append(CaseWork(applied.finding, [line]))
    elif refund.obligation:
        batch.afterwards.append(partial(_append, batch, refund, line))
    if applied.changed:
        refund_told.tell_ticket(refund, batch.now)
    if applied.kept:
        batch.afterwards.append(
            partial(
                refund_closing.resolve,
                refund,
                applied.kept,
                refers_to=refund.public_id,
                actor=batch.actor,
                now=batch.now,
            )
        )


def told_by(work: EventWork) -> Told:
    said = work.said
    return Told(
        reached=frozenset({said.kind}),
        at=work.occurred_at,
        by=work.event.public_id,
        provider_ref=said.provider_ref,
        movement_ref=said.movement_ref or "",
        failure_movement_ref=said.failure_movement_ref or "",
        failure_code=said.failure_code or "",
        failure_message=said.failure_message or "",
    )


def posted_in(batch: Batch, refund: Refund) -> set[str]:
    """What stands in the journal, and what this batch is about to post."""
    posted = refund_entries.posted_classes(refund)
    coming = {(each.subject_id, each.event_class) for each in batch.postings}
    posted |= {name for subject_id, name in coming if subject_id == refund.public_id}
    if refund.retry_of_id is not None:
        holder = refund_entries.holder_of(refund)
        if (holder.public_id, refund_entries.RETRIED) in coming:
            posted.add(refund_entries.ACCEPTED)
    return posted


def _external(batch: Batch, work: EventWork, payment: Payment) -> None:
    said = work.said
    if said.amount is None:
        raise StructuralMismatch(f"{said.raw_type} {said.provider_ref} names no amount")
    if payment.state != Payment.State.CAPTURED:
        words = f"its charge is {payment.state}; a refund waits for the capture"
        work.park(payment_known(work.account.address, payment.provider_ref), words)
        return
    if said.amount.currency != payment.currency:
        words = f"the event says {said.amount}, its charge was captured in {payment.currency}"
        finding = external_refunds.mismatch(
            payment, said.provider_ref, words, now=batch.now, trace_id=work.event.trace_id
        )
        batch.case_works.append(CaseWork(finding, [work.line("mismatch", words)]))
        work.done(f"not applied: {words}", payment.public_id)
        return
    batch.write_payments()
    made = external_refunds.record(
        payment,
        told_by(work),
        amount=said.amount,
        key=_new_key(batch, work),
        refs=work.refs(),
        actor=batch.actor,
        now=batch.now,
        trace_id=work.event.trace_id,
    )
    batch.refunds[made.refund.pk] = made.refund
    batch.recounted.add(payment.pk)
    batch.postings.extend(made.postings)
    line = work.line("event", f"{said.raw_type}: {made.words}")
    batch.case_works.extend(CaseWork(finding, [line]) for finding in made.findings)
    for canceled in made.canceled:
        batch.refunds[canceled.pk] = canceled
    batch.afterwards.append(partial(made.finish, batch.actor, batch.now))
    batch.released.extend((payment.book, key) for key in made.released)
    work.done(made.words, made.refund.public_id)


def _wait_for_payment(work: EventWork) -> None:
    said, address = work.said, work.account.address
    charge = _charge_ref(work)
    if charge:
        words = f"refund {said.provider_ref} waits for charge {charge} to be known here"
        work.park(payment_known(address, charge), words)
    else:
        words = f"names no charge; waits for refund {said.provider_ref} to be known here"
        work.park(refund_outcome.provider_key(address, said.provider_ref), words)


def _payment(batch: Batch, work: EventWork) -> Payment | None:
    """The refund's own charge before the one that the event names: they may differ."""
    found = batch.refund_charges.get(work.event.pk)
    key = found or batch.payment_keys.get((work.account.pk, _charge_ref(work)))
    if key is None and not _charge_ref(work):
        # Recorded by an earlier event of this batch.
        refund = _match(work, batch.refunds.values())
        key = refund.payment_id if refund else None
    return batch.payments.get(key) if key else None


def _match(work: EventWork, refunds: Iterable[Refund]) -> Refund | None:
    """Our reference, then the provider's."""
    own = [refund for refund in refunds if refund.account_id == work.account.pk]
    key = _our_key(work)
    for refund in own:
        if refund.pk == key:
            return refund
    for refund in own:
        if refund.provider_ref and refund.provider_ref == work.said.provider_ref:
            return refund
    return None


def _unsettled(work: EventWork, refunds: Sequence[Refund]) -> Refund | None:
    """A call of the same sum that has no outcome yet, where the event names no refund of ours."""
    for refund in refunds:
        if refund.state in refund_outcome.SENT and refund.amount == work.said.amount:
            return refund
    return None


def _our_key(work: EventWork) -> UUID | None:
    """Our reference on the refund, or the key of our call that the event says it came from."""
    named = work.said.our_ref or ""
    from_call = work.event.request_idempotency_key or ""
    prefix = intents.key_of("")
    if not named and from_call.startswith(prefix):
        named = from_call.removeprefix(prefix)
    try:
        return ids.parse(named, Refund.PREFIX)[1]
    except ids.UnknownId:
        return None


def _charge_ref(work: EventWork) -> str:
    if work.said.kind == OBSERVED:
        return work.said.provider_ref
    return work.said.original_provider_ref or ""


def _new_key(batch: Batch, work: EventWork) -> UUID:
    """A new one, or the one that a granted late posting of the event names."""
    shown = batch.shown_as.get(work.event.public_id, "").partition("/")[0]
    return Refund.key_of(shown) if shown.startswith(f"{Refund.PREFIX}_") else ids.uuid7()


def _place(refund: Refund, payment: Payment, work: EventWork) -> None:
    """The rows of the batch, so that all see the same payment and no query is made twice."""
    refund.payment, refund.account, refund.book = payment, work.account, work.account.book


def _append(batch: Batch, refund: Refund, line: cases.Line) -> None:
    """To the case of the failure, whatever its state: it is the record of what became of it."""
    found = Case.objects.filter(
        book=refund.book, rule=refund_cases.FAILED, subject_id=refund.public_id
    )
    case = found.order_by("-created_at").first()
    if case is not None:
        cases.append(case, [line], actor=batch.actor, now=batch.now)
