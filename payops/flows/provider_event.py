"""From a stored webhook event to exactly one outcome (design §3).

Reads a batch of inbox rows, parses them into canonical events, finds and locks what they are
about, applies each in order, posts the journal once for the batch. An event ends PROCESSED,
IGNORED with a reason, PARKED until its predecessor arrives or the provider confirms it, or it is
raised as structural and dead-lettered. Serves WH-4 to WH-11, WH-15, WH-17, WH-24, WH-29, F31.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from ledger import late
from ledger.errors import LateApprovalNeeded, PeriodLocked
from payops.cases import services as cases
from payops.cases.models import Case
from payops.cases.services import Finding, Line
from payops.core import audit, clock, ids, locks
from payops.core.actors import service
from payops.core.models import Book, Message, ProviderAccount
from payops.core.queues import Postpone, StructuralMismatch
from payops.flows import late_postings, parking, payment_events, verification
from payops.flows.batch import Batch, EventWork
from payops.flows.disputes import cases as dispute_cases
from payops.flows.disputes import events as dispute_events
from payops.flows.payouts import events as payout_events
from payops.flows.refunds import events as refund_events
from payops.flows.refunds import tickets as refund_tickets
from payops.payments.models import Beneficiary, Dispute, Payment, Payout, Refund
from payops.psp import registry
from payops.psp.base import EventRefused
from payops.webhooks.bodies import bodies_of
from payops.webhooks.models import Delivery, ProviderEvent

ACTOR = service("provider-events")
UNPARSEABLE = "unparseable"
NO_MEANING = "no meaning here yet"
NOT_OURS = "no payout of ours: the provider settles with us"
REPEAT_WAIT = timedelta(seconds=2)
# What a decision sets on an event, put back when the ledger has no day for it.
VERDICT = ("state", "outcome", "subject_id", "waits_for", "reprocessable")


def process(events: list[ProviderEvent], now: datetime) -> None:
    """Decide a batch inside the engine's transaction; the engine writes the rows' new states."""
    works = parking.in_sequence(_parsed(events))
    parked_before = [work.event for work in works if work.event.outcome]
    shown_as = late_postings.subjects(parked_before)
    unread = {work.event.pk: [getattr(work.event, name) for name in VERDICT] for work in works}
    held: dict[UUID, Held] = {}
    while True:
        batch = Batch(actor=ACTOR, now=now, shown_as=shown_as)
        try:
            with transaction.atomic():
                _decide(batch, works, parked_before, held)
            return
        except (LateApprovalNeeded, PeriodLocked):
            closed = _held(batch, now)
            if closed.keys() <= held.keys():
                raise
            held |= closed
        for work in works:
            for name, value in zip(VERDICT, unread[work.event.pk], strict=True):
                setattr(work.event, name, value)


def _decide(
    batch: Batch,
    works: Sequence[EventWork],
    parked_before: Sequence[ProviderEvent],
    held: dict[UUID, Held],
) -> None:
    _lock_subjects(batch, works)
    known = Known(parking.Sequences(works), verification.Verdicts(list(parked_before)), held=held)
    for work in works:
        _apply(batch, work, known)
    _apply_released(batch, works, known)
    dispute_events.settle_all(batch, works)
    if batch.recounted:
        batch.case_works.extend(dispute_cases.after_refunds(batch.recounted, batch.now))
    batch.flush()
    for work in works:
        if work.event.outcome == refund_tickets.HEARD:
            refund_tickets.apply(batch, work)
    known.verdicts.write()
    asks = [each for one in held.values() for each in one.asks]
    late_postings.note(asks, now=batch.now, parked=True)
    if parked_before:
        _append_repeats(_repeats_of(parked_before), batch.now)


def _held(batch: Batch, now: datetime) -> dict[UUID, Held]:
    """Events of the batch that a closed month keeps from being posted: they wait for people."""
    found: dict[UUID, Held] = {}
    for posting, refusal in late.refused(batch.postings, now=now):
        key = ProviderEvent.key_of(posting.refs.event_id)
        held = found.setdefault(key, Held(refusal.words, posting.subject_id))
        if isinstance(refusal, LateApprovalNeeded):
            held.asks.append(refusal)
    return found


def note_repeat(messages: list[Message], now: datetime) -> None:
    """Put repeated deliveries on the timeline and in the audit; another content opens a case."""
    keys = [ids.parse(message.payload["delivery_id"], "wd")[1] for message in messages]
    deliveries = Delivery.objects.filter(pk__in=keys).select_related("book", "account")
    events = _events_of(deliveries)
    if any(event.state == ProviderEvent.State.RECEIVED for event in events.values()):
        raise Postpone("the event itself is not decided yet", now + REPEAT_WAIT)
    rows, lines = [], []
    refund_tickets.asked_again(_same(deliveries, events), now)
    for delivery in sorted(deliveries, key=lambda d: d.pk):
        event = events[(delivery.account_id, delivery.dedupe_key)]
        same = event.fingerprint == delivery.fingerprint
        rows.append(_repeat_audit(delivery, event, same, now))
        if same:
            lines.append((event, delivery))
        else:
            _open_conflict(event, delivery, now)
            refund_tickets.tell_conflict(event, delivery, now)
    audit.record(rows)
    _append_repeats(lines, now)


def _same(
    deliveries: Iterable[Delivery], events: dict[tuple[UUID, str], ProviderEvent]
) -> list[tuple[ProviderEvent, Delivery]]:
    """Repeats with the content that is known."""
    pairs = [(events[each.account_id, each.dedupe_key], each) for each in deliveries]
    return [(event, each) for event, each in pairs if event.fingerprint == each.fingerprint]


def _parsed(events: list[ProviderEvent]) -> list[EventWork]:
    bodies = bodies_of(events)
    accounts = ProviderAccount.objects.select_related("book").in_bulk(
        {event.account_id for event in events}
    )
    works = []
    for event in events:
        raw = bodies[event.payload_id]
        account = accounts[event.account_id]
        try:
            said = registry.adapter(account.provider).parse(raw, event.item_index, account.settings)
        except EventRefused as error:
            said_of = (
                "is signed but cannot be read"
                if event.type == UNPARSEABLE
                else ("contradicts itself")
            )
            raise StructuralMismatch(f"the event {said_of}: {error.reason}", error.path) from error
        works.append(EventWork(event=event, said=said, account=account))
    return works


def _lock_subjects(batch: Batch, works: Sequence[EventWork]) -> None:
    """Beneficiaries of payouts, payments, payouts, refunds, disputes (the lock order), by key."""
    payouts = payout_events.find(works)
    if payouts:
        locks.rows(Beneficiary, {payout.beneficiary_id for payout in payouts.values()})
    disputed = dispute_events.find(works)
    refunded = refund_events.find(works)
    payments = payment_events.find(works) | disputed | refunded.payments
    others = {*refunded.charges.values(), *refund_tickets.find(works)}
    batch.payments = locks.rows(Payment, {*payments.values(), *others})
    batch.payment_keys = payments
    batch.sellers = payment_events.sellers(works)
    batch.payouts = locks.rows(Payout, {payout.pk for payout in payouts.values()})
    batch.payout_keys = {event_key: payout.pk for event_key, payout in payouts.items()}
    batch.refund_charges = refunded.charges
    batch.refunds = locks.rows(Refund, refund_events.of_charges(refunded.keys))
    concerned = {*disputed.values(), *refunded.keys}
    batch.disputes = locks.rows(Dispute, dispute_events.of_charges(concerned))


@dataclass(slots=True)
class Held:
    """Why the ledger has no day for an event, and what people are asked to grant (D12)."""

    reason: str
    subject_id: str
    asks: list[LateApprovalNeeded] = field(default_factory=list)


@dataclass(slots=True)
class Known:
    """What is known of the batch's events beside their bodies, read once under the locks."""

    sequences: parking.Sequences
    verdicts: verification.Verdicts
    released: set[str] = field(default_factory=set)
    held: dict[UUID, Held] = field(default_factory=dict)


def _apply_released(batch: Batch, works: Sequence[EventWork], known: Known) -> None:
    """What an event of this batch waits for may have been decided by another one of it."""
    tried: set[tuple[UUID, str]] = set()
    while True:
        released = {(book.pk, key) for book, key in batch.released}
        ready = [
            work
            for work in works
            if work.event.state == ProviderEvent.State.PARKED
            and (work.event.pk, work.event.waits_for) not in tried
            and (
                work.event.waits_for in known.released
                or (work.event.book_id, work.event.waits_for) in released
            )
        ]
        if not ready:
            return
        for work in ready:
            tried.add((work.event.pk, work.event.waits_for))
            _apply(batch, work, known)


def _apply(batch: Batch, work: EventWork, known: Known) -> None:
    """In its turn, believed, applied; what the provider said after a long wait opens the way."""
    event, overdue = work.event, known.verdicts.deadline(work.event)
    if (held := known.held.get(event.pk)) is not None:
        work.park(late_postings.waits_for(event.public_id), held.reason, held.subject_id)
        return
    proved = known.verdicts.proved(event)
    gap = None if proved else known.sequences.gap(work)
    first = len(batch.case_works)
    if gap is not None:
        work.park(*gap)
    elif verification.lets_pass(batch, work, known.verdicts):
        _apply_kind(batch, work, proved)
        told = known.verdicts.policy(event)
        if told is not None:
            verification.confirm(batch, work, told, first)
    if event.state == ProviderEvent.State.PARKED and overdue is not None:
        verification.tell_overdue(batch, work, overdue)
    if released := known.sequences.note(work):
        known.released.add(released)


def _apply_kind(batch: Batch, work: EventWork, proved: frozenset[str]) -> None:
    kind = work.said.kind
    if kind.startswith("payout."):
        payout_events.apply(batch, work, proved)
    elif kind.startswith("payment."):
        payment_events.apply(batch, work)
    elif refund_events.is_about(work):
        refund_events.apply(batch, work)
    elif kind.startswith("dispute."):
        dispute_events.apply(batch, work)
    elif kind == refund_tickets.KIND:
        work.done(refund_tickets.HEARD, "")
    else:
        why = NOT_OURS if kind.startswith("settlement.") else NO_MEANING
        reason = work.said.reason.replace("_", " ") or f"{kind}: {why}"
        work.ignore(reason, reprocessable=kind != "ignored")


def _events_of(deliveries: Iterable[Delivery]) -> dict[tuple[UUID, str], ProviderEvent]:
    keys = {delivery.dedupe_key for delivery in deliveries}
    accounts = {delivery.account_id for delivery in deliveries}
    found = ProviderEvent.objects.filter(account_id__in=accounts, dedupe_key__in=keys)
    return {(event.account_id, event.dedupe_key): event for event in found}


def _repeat_audit(
    delivery: Delivery, event: ProviderEvent, same: bool, now: datetime
) -> audit.AuditRow:
    return audit.event(
        book=delivery.book,
        actor=ACTOR,
        action="event.duplicate_ignored" if same else "event.conflict",
        subject_id=event.public_id,
        now=now,
        reason="duplicate webhook ignored" if same else "the same event id with another content",
        evidence={"delivery_id": delivery.public_id, "sha256": delivery.sha256},
        trace_id=event.trace_id,
    )


def _repeats_of(events: Sequence[ProviderEvent]) -> list[tuple[ProviderEvent, Delivery]]:
    """Repeats that came while the event was parked, before it had a case to be told on."""
    known = {(event.account_id, event.dedupe_key): event for event in events}
    again = Delivery.objects.filter(
        account_id__in={event.account_id for event in events},
        dedupe_key__in={event.dedupe_key for event in events},
        duplicate=True,
    )
    lines = []
    for delivery in again.order_by("pk"):
        event = known.get((delivery.account_id, delivery.dedupe_key))
        if event is not None and event.fingerprint == delivery.fingerprint:
            lines.append((event, delivery))
    return lines


def _append_repeats(lines: list[tuple[ProviderEvent, Delivery]], now: datetime) -> None:
    """Duplicates go to the open or latest case of the event's subject, when it has one."""
    subjects = {event.subject_id for event, _ in lines if event.subject_id}
    latest: dict[str, Case] = {}
    for case in Case.objects.filter(subject_id__in=subjects).order_by("created_at"):
        latest[case.subject_id] = case
    for event, delivery in lines:
        if event.subject_id in latest:
            line = Line(
                "duplicate",
                f"delivery:{delivery.public_id}",
                f"duplicate webhook ignored ({event.type} {event.provider_event_id})",
                event.public_id,
                at=delivery.created_at,
            )
            cases.append(latest[event.subject_id], [line], actor=ACTOR, now=now)


def _open_conflict(event: ProviderEvent, delivery: Delivery, now: datetime) -> None:
    book: Book = delivery.book
    day = clock.business_day(now, time_zone=book.time_zone)
    case = cases.open_case(
        Finding(
            book=book,
            rule="event_conflict",
            fingerprint=event.public_id,
            period=clock.period_of(day),
            subject_id=event.public_id,
            title=f"Event {event.provider_event_id} was sent with two different contents",
            trace_id=event.trace_id,
        ),
        actor=ACTOR,
        now=now,
    )
    line = Line(
        "conflict",
        f"delivery:{delivery.public_id}",
        f"fingerprint {delivery.fingerprint[:16]}… against {event.fingerprint[:16]}…; "
        "the first content stands, nothing was overwritten",
        delivery.public_id,
    )
    cases.append(case, [line], actor=ACTOR, now=now)
