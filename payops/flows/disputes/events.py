"""Dispute events from providers: opened, money taken and given back, decided; in any order (D9).

Each event adds a fact; state, rounds and entries follow from all facts (`disputes.course`,
`disputes.books`), so every order of the same events ends alike. A second round after a won one is
the same dispute. Before its charge is known and captured an event waits. Serves WH-29, RF-15, F1,
F31, LJ-12.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import UUID

from django.db.models import Q

from ledger import posting
from ledger.reversing import reversal_of
from payops.cases.services import Line
from payops.core import ids
from payops.core.money import Money
from payops.flows.batch import Batch, CaseWork, EventWork
from payops.flows.disputes import books as dispute_books
from payops.flows.disputes import cases as dispute_cases
from payops.flows.disputes import course as dispute_course
from payops.flows.disputes import postings as dispute_postings
from payops.flows.disputes.course import RESHARED, Course, Fact
from payops.flows.payment_events import payment_known
from payops.payments.models import Dispute, Payment, Refund

State = Dispute.State
# Takes the money under a number of its own, without naming the case it belongs to.
UNNAMED_AT = ("paypal",)
BEARER_SETTING = "disputes_borne_by"


@dataclass(frozen=True, slots=True)
class Told:
    """One fact of this batch, who told it, and whether refunds were barred before it."""

    fact: Fact
    refs: posting.Refs
    barred: bool


def find(works: Sequence[EventWork]) -> dict[tuple[UUID, str], UUID]:
    """(account, provider's reference) of the charges that the dispute events are about."""
    wanted = [work for work in works if work.said.kind.startswith("dispute.")]
    if not wanted:
        return {}
    accounts = {work.account.pk for work in wanted}
    charges = [ref for work in wanted if (ref := _charge_ref(work))]
    own = [work.said.provider_ref for work in wanted]
    known = Dispute.objects.filter(account_id__in=accounts, provider_ref__in=own)
    rows = Payment.objects.filter(
        Q(provider_ref__in=charges) | Q(pk__in=known.values_list("payment_id")),
        account_id__in=accounts,
    )
    found = rows.values_list("account", "provider_ref", "pk")
    return {(account, ref): key for account, ref, key in found}


def of_charges(payments: set[UUID]) -> list[UUID]:
    """Every dispute of the charges, read behind their locks."""
    if not payments:
        return []
    return list(Dispute.objects.filter(payment_id__in=payments).values_list("pk", flat=True))


def apply(batch: Batch, work: EventWork) -> None:
    dispute = _known(batch, work)
    payment = _payment(batch, work, dispute)
    if payment is None or payment.state != Payment.State.CAPTURED:
        _wait(work, payment)
        return
    fact = dispute_course.fact_of(work.said, at=work.event.created_at)
    if words := _differs(work, dispute, payment):
        _tell_mismatch(batch, work, dispute, payment, words)
        return
    is_new = dispute is None
    if dispute is None:
        dispute = _new(batch, work, payment)
    dispute.payment, dispute.account, dispute.book = payment, work.account, work.account.book
    if _is_unnamed(dispute) and not _only_money(work):
        dispute.provider_ref = work.said.provider_ref
    if fact.kept() in dispute.facts:
        work.ignore("told already in the same words", dispute.public_id)
        return
    before, barred = dispute.state, dispute.blocks_refunds and not is_new
    dispute.facts = [*dispute.facts, fact.kept()]
    course = take_over(dispute)
    batch.disputes_told.setdefault(dispute.pk, []).append(Told(fact, work.refs(), barred))
    line = work.line("event", f"{work.said.raw_type}: {_words(dispute, course)}")
    tell(batch, dispute, course, line, trace_id=work.event.trace_id)
    moved = f", was {before.lower()}" if before != dispute.state and not is_new else ""
    work.done(f"dispute {_words(dispute, course)}{moved}", dispute.public_id)


def settle_all(batch: Batch, works: Sequence[EventWork]) -> None:
    """Once a batch, when all of it is applied: the books follow the facts, and changed refunds."""
    for key, told in batch.disputes_told.items():
        latest = max(told, key=lambda each: each.fact.place)
        dispute = batch.disputes[key]
        settle(batch, dispute, refs=latest.refs, at=latest.fact.at, barred=told[0].barred)
    tellers = {_refunded(batch, work): work for work in works if _is_of_refund(work)}
    for dispute in batch.disputes.values():
        teller = tellers.get(dispute.payment_id)
        if teller is not None and dispute.pk not in batch.disputes_told:
            _reshare(batch, dispute, teller)


def settle(
    batch: Batch, dispute: Dispute, *, refs: posting.Refs, at: datetime, barred: bool
) -> Course:
    """Bring state and entries to what the facts ask for; the batch writes both."""
    course, refunds = take_over(dispute), _refunds(dispute)
    _bring(batch, dispute, course, refunds, refs=refs, at=at)
    batch.changed_disputes[dispute.pk] = dispute
    if barred and not dispute.blocks_refunds and not _still_barred(batch, dispute):
        batch.news.extend(dispute_cases.freed(dispute, refunds, batch.now))
    return course


def _reshare(batch: Batch, dispute: Dispute, teller: EventWork) -> None:
    """A refund of the charge has changed: what the dispute leaves to whom follows."""
    dispute.payment = batch.payments[dispute.payment_id]
    course = dispute_course.course_of(dispute_course.read(dispute.facts))
    before, event = dispute.refunded_before_minor, teller.event.public_id
    refs = posting.Refs(event_id=event, trace_id=teller.event.trace_id)
    if _bring(batch, dispute, course, _refunds(dispute), refs=refs, at=batch.now):
        fact = Fact(kind=RESHARED, at=batch.now, key=event, ref=event)
        dispute.facts = [*dispute.facts, fact.kept()]
        batch.changed_disputes[dispute.pk] = dispute
    elif dispute.refunded_before_minor != before:
        batch.changed_disputes[dispute.pk] = dispute


def _is_of_refund(work: EventWork) -> bool:
    return work.said.kind.startswith("refund.") and bool(work.event.subject_id)


def _refunded(batch: Batch, work: EventWork) -> UUID | None:
    """The charge whose refund the event was about."""
    refund = next((r for r in batch.refunds.values() if r.public_id == work.event.subject_id), None)
    return refund.payment_id if refund is not None else None


def _bring(
    batch: Batch,
    dispute: Dispute,
    course: Course,
    refunds: Sequence[Refund],
    *,
    refs: posting.Refs,
    at: datetime,
) -> bool:
    """Put into the batch what has to be posted or taken back; whether there was anything."""
    dispute.refunded_before_minor = dispute_cases.left_before(dispute, refunds)
    standing = dispute_books.standing_of(dispute)
    split = partial(_split, batch, dispute, refunds)
    found = dispute_books.steps(dispute, course, standing, refs=refs, at=at, split=split)
    for step in found:
        if step.post is not None:
            batch.postings.append(step.post)
        elif step.undo is not None:
            told = with_subject(refs, step.undo)
            back = reversal_of(step.undo, reason=step.reason, occurred_at=at, refs=told)
            batch.postings.append(back)
    dispute.hold_minor = dispute.rounds[-1]["hold"] if dispute.rounds else 0
    return bool(found)


def _refunds(dispute: Dispute) -> list[Refund]:
    return list(Refund.objects.filter(payment_id=dispute.payment_id).order_by("created_at"))


def tell(batch: Batch, dispute: Dispute, course: Course, line: Line, *, trace_id: str = "") -> None:
    """Put it on the cases of the dispute, and on the one of a refund that it meets."""
    works = dispute_cases.works(
        dispute, lines=[line], refunds=_refunds(dispute), now=batch.now, trace_id=trace_id
    )
    batch.case_works.extend(works)
    finish = partial(
        dispute_cases.follow_up,
        dispute,
        lines=[line],
        is_out=course.is_out,
        actor=batch.actor,
        now=batch.now,
    )
    batch.afterwards.append(finish)


def take_over(dispute: Dispute) -> Course:
    """The columns that people and guards read, from the facts."""
    course = dispute_course.course_of(dispute_course.read(dispute.facts))
    last = course.rounds[-1] if course.rounds else None
    dispute.round = max(len(course.rounds), 1)
    dispute.withdrawn_at = last.taken.at if last else None
    dispute.returned_at = last.back.at if last and last.back else None
    dispute.movement_ref = last.taken.ref if last else ""
    dispute.opened_at = course.opened_at or dispute.opened_at
    dispute.evidence_due_at, dispute.evidence_sent_at = course.due_at, course.evidence_sent_at
    dispute.refundable = course.refundable
    dispute.reason_code, dispute.provider_status = course.reason[:64], course.status[:64]
    if course.amount_minor is not None:
        dispute.amount_minor = course.amount_minor
    _move(dispute, course)
    return course


def _move(dispute: Dispute, course: Course) -> None:
    to = course.state
    if to == dispute.state:
        dispute.decided_at = course.ended_at
    elif course.ended_at is not None:
        {State.WON: dispute.win, State.LOST: dispute.lose, State.CLOSED: dispute.close}[to](
            at=course.ended_at
        )
    else:
        {
            State.INQUIRY: dispute.inquire,
            State.OPEN: dispute.open,
            State.UNDER_REVIEW: dispute.review,
        }[to]()


def with_subject(refs: posting.Refs, entry: posting.JournalEntry) -> posting.Refs:
    """The event that brought it about, the objects of the entry it takes back."""
    return posting.Refs(
        **{
            name: getattr(refs, name) or getattr(entry, name)
            for name in posting.Refs.__dataclass_fields__
        }
    )


def _split(
    batch: Batch, dispute: Dispute, refunds: Sequence[Refund], at: datetime
) -> dict[str, int]:
    stored = Dispute.objects.filter(payment_id=dispute.payment_id)
    others = {each.pk: each for each in stored} | {
        key: each for key, each in batch.disputes.items() if each.payment_id == dispute.payment_id
    }
    return dispute_postings.split_at(at, dispute, refunds=refunds, others=others.values())


def _known(batch: Batch, work: EventWork) -> Dispute | None:
    """By its own reference; where the provider names only the charge, the dispute it fits."""
    own = [each for each in batch.disputes.values() if each.account_id == work.account.pk]
    ref = work.said.provider_ref
    for dispute in own:
        if dispute.provider_ref == ref or (_only_money(work) and _has_told(dispute, ref)):
            return dispute
    charge = batch.payment_keys.get((work.account.pk, work.said.original_provider_ref or ""))
    of_charge = sorted(
        (d for d in own if d.payment_id == charge), key=lambda d: (d.created_at, d.pk)
    )
    if _only_money(work):
        return next((d for d in of_charge if d.withdrawn_at is None), None)
    return next((d for d in of_charge if _is_unnamed(d)), None)


def _only_money(work: EventWork) -> bool:
    """It names the movement and the charge, not the dispute."""
    said = work.said
    named = said.provider_ref != said.movement_ref
    return work.account.provider in UNNAMED_AT and said.kind.startswith("dispute.f") and not named


def _has_told(dispute: Dispute, ref: str) -> bool:
    return any(fact.get("ref") == ref for fact in dispute.facts)


def _is_unnamed(dispute: Dispute) -> bool:
    """Known by its money alone so far."""
    return dispute.account.provider in UNNAMED_AT and _has_told(dispute, dispute.provider_ref)


def _payment(batch: Batch, work: EventWork, dispute: Dispute | None) -> Payment | None:
    if dispute is not None:
        return batch.payments.get(dispute.payment_id)
    key = batch.payment_keys.get((work.account.pk, work.said.original_provider_ref or ""))
    return batch.payments.get(key) if key else None


def _charge_ref(work: EventWork) -> str:
    return work.said.original_provider_ref or ""


def _wait(work: EventWork, payment: Payment | None) -> None:
    ref = _charge_ref(work)
    if not ref:
        key = f"dispute:{work.account.address}:{work.said.provider_ref}"
        work.park(key, f"names no charge; waits for dispute {work.said.provider_ref} to be known")
        return
    what = "to be known here" if payment is None else f"to be captured; it is {payment.state}"
    words = f"dispute {work.said.provider_ref} waits for charge {ref} {what}"
    work.park(payment_known(work.account.address, ref), words)


def _new(batch: Batch, work: EventWork, payment: Payment) -> Dispute:
    said, account = work.said, work.account
    borne_by = account.settings.get(BEARER_SETTING, Dispute.Bearer.SELLER)
    dispute = Dispute(
        id=_key(batch, work),
        book=account.book,
        payment=payment,
        account=account,
        provider_ref=said.provider_ref,
        amount_minor=said.amount.minor if said.amount else payment.captured_minor,
        currency=payment.currency,
        borne_by=borne_by if borne_by in Dispute.Bearer.values else Dispute.Bearer.SELLER,
        opened_at=work.occurred_at,
        created_at=batch.now,
    )
    dispute.trace_id = work.event.trace_id
    batch.disputes[dispute.pk] = dispute
    key = f"dispute:{account.address}:{said.provider_ref}"
    batch.released.append((account.book, key))
    return dispute


def _key(batch: Batch, work: EventWork) -> UUID:
    """A new one, or the one that a granted late posting of the event names."""
    shown = batch.shown_as.get(work.event.public_id, "").partition("/")[0]
    return Dispute.key_of(shown) if shown.startswith(f"{Dispute.PREFIX}_") else ids.uuid7()


def _differs(work: EventWork, dispute: Dispute | None, payment: Payment) -> str:
    """Another currency or amount than told before, or more than the charge: people look."""
    said = work.said.amount
    if said is None:
        return ""
    ref = work.said.provider_ref
    captured = Money(payment.captured_minor, payment.currency)
    if said.currency != payment.currency or not 0 < said.minor <= payment.captured_minor:
        return f"the event says {said} of dispute {ref}; its charge was captured with {captured}"
    told = [f["amount_minor"] for f in dispute.facts if "amount_minor" in f] if dispute else []
    if told and said.minor != told[0]:
        before = Money(told[0], payment.currency)
        return f"the event says {said} of dispute {ref}; it was told as {before} before"
    return ""


def _tell_mismatch(
    batch: Batch, work: EventWork, dispute: Dispute | None, payment: Payment, words: str
) -> None:
    finding = dispute_cases.mismatch(dispute, payment, work.said.provider_ref, words, batch.now)
    batch.case_works.append(CaseWork(finding, [work.line("mismatch", words)]))
    work.done(f"not applied: {words}", dispute.public_id if dispute else "")


def _still_barred(batch: Batch, dispute: Dispute) -> bool:
    """Another dispute of the charge stands; those of this batch as they are by now."""
    return any(
        each.blocks_refunds
        for each in batch.disputes.values()
        if each.payment_id == dispute.payment_id and each.pk != dispute.pk
    )


def _words(dispute: Dispute, course: Course) -> str:
    where = dispute.state.lower().replace("_", " ")
    number = f", round {len(course.rounds)}" if len(course.rounds) > 1 else ""
    money = ""
    if course.rounds:
        money = ", the money is with the provider" if course.is_out else ", the money is back"
    return f"{where}{number}{money}"
