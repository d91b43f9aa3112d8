"""Replays disputes: their events, what people said and who was to bear them, read once more.

Each dispute is built from nothing in memory by the stored bodies of its events; charge, refunds
and other disputes stand beside it as their histories had them at that moment. What follows is what
the journal must hold (AU-3, LJ-20).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from ledger import posting
from ledger.models import JournalEntry
from ledger.reversing import reversal_of
from payops.core import ids
from payops.flows.disputes import books as dispute_books
from payops.flows.disputes import course as dispute_course
from payops.flows.disputes import events as dispute_events
from payops.flows.disputes import postings as dispute_postings
from payops.flows.disputes.books import Standing, Step
from payops.flows.disputes.course import ACCEPTED, EVIDENCE_SENT, RESHARED, Fact
from payops.flows.replay.payments import chunks, events_of, known_at, works_of
from payops.flows.replay.scope import BookThen, Expected, Scope, Source
from payops.payments.models import Dispute, Payment, Refund

NOT_APPLIED = "not applied:"
# Without a fact of its own: another bearer alone.
NO_PLACE = (datetime.min.replace(tzinfo=UTC), 0, "")


@dataclass(frozen=True, slots=True)
class Told:
    """One thing that came about: a fact, or (without one) another bearer."""

    known_at: datetime
    source: str
    refs: posting.Refs
    at: datetime
    fact: Fact | None = None


@dataclass(slots=True)
class Course:
    """A dispute on its way through its timeline, with what it has posted so far."""

    row: Dispute
    standing: Standing = field(default_factory=Standing)
    posted: list[Expected] = field(default_factory=list)


def expected(scope: Scope) -> Iterator[Expected]:
    named = scope.posted_subjects("dp_") | scope.told_subjects("dp_")
    subjects = {subject.partition("/")[0] for subject in named}
    timelines = _timelines(scope, subjects)
    then = BookThen(scope.book)
    for subject_id in sorted(subjects):
        row = Dispute.objects.select_related("account", "payment__beneficiary").filter(
            pk=ids.parse(subject_id, Dispute.PREFIX)[1]
        )
        for dispute in row:
            course = Course(_unborn(dispute))
            told = sorted(timelines.get(subject_id, []), key=lambda each: each.known_at)
            for _, at_once in groupby(told, key=lambda each: each.known_at):
                _live(course, list(at_once), dispute, then)
            yield from course.posted


def _timelines(scope: Scope, subjects: set[str]) -> dict[str, list[Told]]:
    found: dict[str, list[Told]] = {subject: _by_people(subject) for subject in subjects}
    for chunk in chunks(events_of(scope, subjects)):
        for subject_id, told in groupby(works_of(scope, chunk), key=lambda pair: pair[1]):
            for work, _ in told:
                applied = work.event.state == "PROCESSED"
                if applied and not work.event.outcome.startswith(NOT_APPLIED):
                    fact = dispute_course.fact_of(work.said, at=work.event.created_at)
                    at, source = known_at(work), work.event.public_id
                    found[subject_id].append(Told(at, source, work.refs(), work.occurred_at, fact))
    return found


def _by_people(subject_id: str) -> list[Told]:
    """What was said here, as the dispute keeps it, and each time another bearer was set."""
    key = ids.parse(subject_id, Dispute.PREFIX)[1]
    told = []
    for dispute in Dispute.objects.filter(pk=key):
        for fact in dispute_course.read(dispute.facts):
            if fact.kind in (ACCEPTED, EVIDENCE_SENT, RESHARED):
                name = {ACCEPTED: "approval_id", RESHARED: "event_id"}.get(fact.kind)
                refs = posting.Refs(**({name: fact.ref} if name else {}))
                told.append(Told(fact.at, fact.key, refs, fact.at, fact))
    borne_by = ""
    for row in Dispute.history.filter(id=key).order_by("history_id"):
        if borne_by and row.borne_by != borne_by:
            at = row.history_date
            told.append(Told(at, f"{subject_id}:{row.borne_by}", posting.Refs(), at))
        borne_by = row.borne_by
    return told


def _live(course: Course, told: list[Told], dispute: Dispute, then: BookThen) -> None:
    """Everything that was told in one batch, then its books once."""
    row, moment = course.row, told[0].known_at
    row.book, row.borne_by = then.at(moment), _bearer(dispute, moment)
    row.payment = _charge(dispute, moment)
    facts = [each.fact for each in told if each.fact is not None]
    row.facts = [*row.facts, *(fact.kept() for fact in facts)]
    state = dispute_events.take_over(row)
    latest = max(told, key=lambda each: each.fact.place if each.fact else NO_PLACE)

    def split(at: datetime) -> dict[str, int]:
        beside = {"payment_id": row.payment.pk}
        refunds, others = _then(Refund, moment, **beside), _then(Dispute, moment, **beside)
        return dispute_postings.split_at(at, row, refunds=refunds, others=others)

    found = dispute_books.steps(
        row, state, course.standing, refs=latest.refs, at=latest.at, split=split
    )
    for step in found:
        _take(course, step, latest)


def _take(course: Course, step: Step, told: Told) -> None:
    if step.post is not None:
        course.posted.append(Expected(step.post, told.source, told.known_at))
        return
    taken: posting.Posting = step.undo
    entry = JournalEntry.objects.filter(book=taken.book, idempotency_key=taken.key).first()
    if entry is not None:
        refs = dispute_events.with_subject(told.refs, entry)
        back = reversal_of(entry, reason=step.reason, occurred_at=told.at, refs=refs)
        course.posted.append(Expected(back, told.source, told.known_at))


def _unborn(dispute: Dispute) -> Dispute:
    """Its fixed facts alone: nothing was told of it yet."""
    return Dispute(
        id=dispute.pk,
        book=dispute.book,
        payment=dispute.payment,
        account=dispute.account,
        provider_ref=dispute.provider_ref,
        amount_minor=dispute.payment.captured_minor,
        currency=dispute.currency,
        opened_at=dispute.created_at,
        created_at=dispute.created_at,
    )


def _bearer(dispute: Dispute, moment: datetime) -> str:
    history = Dispute.history.filter(id=dispute.pk, history_date__lte=moment)
    latest = history.order_by("-history_id").first()
    return str(latest.borne_by if latest else dispute.borne_by)


def _charge(dispute: Dispute, moment: datetime) -> Payment:
    """The charge with what was captured by then; who it was collected for never changes."""
    found = _then(Payment, moment, id=dispute.payment_id)
    charge: Payment = found[0] if found else dispute.payment
    charge.beneficiary = dispute.payment.beneficiary
    return charge


def _then(model: Any, moment: datetime, **which: Any) -> Sequence[Any]:
    """The rows as their histories had them at the moment."""
    latest: dict[Any, Any] = {}
    rows = model.history.filter(history_date__lte=moment, **which).order_by("history_id")
    for row in rows:
        latest[row.id] = row.instance
    return list(latest.values())


SOURCE = Source("disputes", expected)
