"""Replays payouts: request, decisions, provider answers and events give every entry once more.

Written apart from the flows it checks: a small account of what must be posted when, over the
payout's own timeline. Takes the payout's fixed facts, the granted approvals, the recorded ends of
its provider calls, the steps of its runbook and the stored bodies of its events.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any, cast

from approvals.models import ApprovalRequest
from ledger.facts import Posting, Refs
from payops.cases.models import RunbookStep
from payops.core import ids
from payops.core.models import Book, ProviderAccount
from payops.flows.batch import EventWork
from payops.flows.payouts import postings as payout_postings
from payops.flows.payouts import unsent as payout_unsent
from payops.flows.replay.payments import chunks, events_of, known_at, works_of
from payops.flows.replay.scope import Expected, Scope, Source
from payops.payments.models import Beneficiary, Intent, Payout
from payops.webhooks.models import Verification

SUBJECTS_AT_ONCE = 500
RELEASE_KIND = "payout_release"
STEPS = ("compensate", "release", "reissue", "restore")


@dataclass(slots=True)
class Course:
    """A payout's fixed facts, and where it stands while its timeline is read again."""

    public_id: str
    book: Book
    account: ProviderAccount
    beneficiary: Beneficiary
    merchant_ref: str
    funding: str
    amount_minor: int
    currency: str
    approval_id: str
    provider_ref: str = ""
    paid_at: datetime | None = None
    failed_at: datetime | None = None
    failure_movement_ref: str = ""
    money_back_at: datetime | None = None
    confirmed: str = ""
    ended: bool = False
    posted: list[Expected] = field(default_factory=list)

    def post(
        self,
        told: Told,
        movement: Callable[..., Posting],
        at: datetime,
        **more: Any,
    ) -> None:
        """What the flow posts for this movement, with the trace keys of what told of it."""
        posting = movement(cast(Payout, self), told.refs, at, **more)
        self.posted.append(Expected(posting, told.source, told.known_at))


@dataclass(frozen=True, slots=True)
class Told:
    """One thing that came about: what said so, when it was known, and what it does."""

    known_at: datetime
    source: str
    refs: Refs
    act: Callable[[Course, Told], None]
    at: datetime
    work: EventWork | None = None
    proved: frozenset[str] = frozenset()


def expected(scope: Scope) -> Iterator[Expected]:
    subjects = sorted(scope.posted_subjects("po_") | scope.told_subjects("po_"))
    for first in range(0, len(subjects), SUBJECTS_AT_ONCE):
        own = subjects[first : first + SUBJECTS_AT_ONCE]
        timelines = _timelines(scope, own)
        for course in _courses(own):
            for told in sorted(timelines[course.public_id], key=lambda told: told.known_at):
                told.act(course, told)
            yield from course.posted


def _courses(subjects: Sequence[str]) -> list[Course]:
    keys = [ids.parse(subject, "po")[1] for subject in subjects]
    found = Payout.objects.select_related("book", "account", "beneficiary").filter(pk__in=keys)
    return [
        Course(
            public_id=payout.public_id,
            book=payout.book,
            account=payout.account,
            beneficiary=payout.beneficiary,
            merchant_ref=payout.merchant_ref,
            funding=payout.funding,
            amount_minor=payout.amount_minor,
            currency=payout.currency,
            approval_id=payout.approval_id,
        )
        for payout in found
    ]


def _timelines(scope: Scope, subjects: Sequence[str]) -> dict[str, list[Told]]:
    timelines: dict[str, list[Told]] = defaultdict(list)
    for subject_id, told in _decisions(subjects):
        timelines[subject_id].append(told)
    for subject_id, told in _answers(subjects):
        timelines[subject_id].append(told)
    for subject_id, told in _steps(scope, subjects):
        timelines[subject_id].append(told)
    for subject_id, told in _events(scope, subjects):
        timelines[subject_id].append(told)
    return timelines


def _decisions(subjects: Sequence[str]) -> Iterator[tuple[str, Told]]:
    """Granted releases that were carried out, and payouts declared not sent."""
    kinds = {RELEASE_KIND: _initiate, payout_unsent.KIND: _cancel}
    granted = ApprovalRequest.objects.filter(
        subject_id__in=subjects, kind__in=kinds, state=ApprovalRequest.State.APPROVED
    ).exclude(executed_at=None)
    for request in granted:
        assert request.executed_at is not None
        at, refs = request.executed_at, Refs(approval_id=request.public_id)
        yield (
            request.subject_id,
            Told(at, request.public_id, refs, kinds[request.kind], at),
        )


def _answers(subjects: Sequence[str]) -> Iterator[tuple[str, Told]]:
    """Calls that the provider refused for good, as the intent's history recorded them."""
    history = Intent.history.filter(subject_id__in=subjects, state=Intent.State.REFUSED)
    for subject_id, rows in groupby(
        history.order_by("subject_id", "history_id"), key=lambda row: row.subject_id
    ):
        row = next(rows)
        if row.outcome == payout_unsent.WORDS:
            continue
        at, refs = row.history_date, Refs(approval_id=row.approval_id)
        source = ids.render(Intent.PREFIX, row.id)
        yield subject_id, Told(at, source, refs, _cancel, at)


def _steps(scope: Scope, subjects: Sequence[str]) -> Iterator[tuple[str, Told]]:
    """The runbook steps that moved the books, each under its run's approval."""
    done = RunbookStep.objects.filter(
        book=scope.book,
        name__in=STEPS,
        status=RunbookStep.Status.DONE,
        run__plan__payout__in=list(subjects),
    ).select_related("run__case")
    acts = {"compensate": _compensate, "restore": _restore}
    for step in done:
        assert step.done_at is not None, "a finished step says when"
        refs = Refs(case_id=step.run.case.public_id, approval_id=step.run.approval_id)
        act = acts.get(step.name, _release)
        told = Told(step.done_at, f"{step.run.approval_id}:{step.name}", refs, act, step.done_at)
        yield step.run.plan["payout"], told


def _events(scope: Scope, subjects: Sequence[str]) -> Iterator[tuple[str, Told]]:
    for chunk in chunks(events_of(scope, set(subjects))):
        proofs = _proofs([key for _, key in chunk])
        for work, subject_id in works_of(scope, chunk):
            act = ACTS.get(work.said.kind)
            if act is None or work.event.state != "PROCESSED":
                continue
            if work.event.outcome.startswith("not applied:"):
                continue
            proved = proofs.get(work.event.pk, frozenset())
            yield (
                subject_id,
                Told(
                    known_at(work),
                    work.event.public_id,
                    work.refs(),
                    act,
                    work.occurred_at,
                    work,
                    proved,
                ),
            )


def _proofs(events: Sequence[Any]) -> dict[Any, frozenset[str]]:
    """What the provider proved about events that had waited too long."""
    rows = Verification.objects.filter(
        event__in=events, cause="deadline", verdict=Verification.Verdict.AGREES
    )
    return {row.event_id: frozenset(row.reached) for row in rows}


def _initiate(course: Course, told: Told) -> None:
    course.post(told, payout_postings.initiated, told.at)


def _cancel(course: Course, told: Told) -> None:
    course.ended = True
    course.post(told, payout_postings.canceled, told.at)


def _paid(course: Course, told: Told) -> None:
    """In its order, or older than the failure: then the failure turns out to be a late one."""
    if course.paid_at is not None or course.ended:
        return
    course.paid_at = told.at
    _learn_reference(course, told)
    course.post(told, payout_postings.paid, told.at)
    decided = course.confirmed == "payout.failed"
    if decided:
        course.confirmed = "payout.returned"
        course.post(told, payout_postings.reclassified, told.at)
    if course.failure_movement_ref and course.money_back_at is None:
        course.money_back_at = course.failed_at
        course.post(told, payout_postings.money_back, told.at, decided=decided)


def _failed(course: Course, told: Told) -> None:
    assert told.work is not None
    _prove_paid(course, told)
    if course.failed_at is not None or course.ended:
        return
    _learn_reference(course, told)
    course.failed_at = told.at
    course.failure_movement_ref = told.work.said.failure_movement_ref or ""
    if course.paid_at is not None and course.failure_movement_ref:
        course.money_back_at = told.at
        course.post(told, payout_postings.money_back, told.at, decided=False)


def _returned(course: Course, told: Told) -> None:
    _prove_paid(course, told)
    if course.paid_at is None or course.money_back_at is not None:
        return
    course.failed_at = course.failed_at or told.at
    course.money_back_at = told.at
    decided = course.confirmed == "payout.returned"
    course.post(told, payout_postings.money_back, told.at, decided=decided)


def _prove_paid(course: Course, told: Told) -> None:
    if "payout.paid" in told.proved and course.paid_at is None:
        _paid(course, told)


def _canceled(course: Course, told: Told) -> None:
    if not course.ended:
        _cancel(course, told)


def _compensate(course: Course, told: Told) -> None:
    course.confirmed = "payout.failed" if course.paid_at is None else "payout.returned"
    course.post(told, payout_postings.compensation, course.failed_at or told.at)


def _release(course: Course, told: Told) -> None:
    course.post(told, payout_postings.released, told.at)


def _restore(course: Course, told: Told) -> None:
    """The provider shows it as paid after all; nothing is posted."""
    course.failed_at, course.failure_movement_ref = None, ""


def _learn_reference(course: Course, told: Told) -> None:
    if told.work is not None:
        course.provider_ref = course.provider_ref or told.work.said.provider_ref


ACTS: dict[str, Callable[[Course, Told], None]] = {
    "payout.paid": _paid,
    "payout.failed": _failed,
    "payout.returned": _returned,
    "payout.canceled": _canceled,
}
SOURCE = Source("payouts", expected)
