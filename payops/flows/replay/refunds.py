"""Replays refunds: events, provider answers, listings and decisions give every entry once more.

Written apart from the flow it checks: a small account of what must be posted when, over the
timeline of all refunds of a charge, because each bears what those before it left. Takes a refund's
fixed facts, the stored bodies of its events, the trail of what the provider answered and listed,
what was paid by hand, and the approved ends of its obligation (AU-3, LJ-20).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, cast

from approvals.models import ApprovalRequest
from ledger import policies
from ledger.facts import Posting, Refs
from ledger.refund_shares import NOTHING, Shares
from payops.core import ids
from payops.core.models import AuditEvent, Book, ProviderAccount
from payops.flows.refunds import obligations as refund_obligations
from payops.flows.refunds import postings as refund_postings
from payops.flows.refunds.entries import captured_shares
from payops.flows.refunds.events import told_by
from payops.flows.refunds.outcome import FAILURES, LEFT, RETURNED, TOLD, Told, told_of
from payops.flows.replay.payments import chunks, events_of, known_at, works_of
from payops.flows.replay.scope import BookThen, Expected, Scope, Source
from payops.payments.models import Payment, Refund
from payops.webhooks.models import ProviderEvent

CHARGES_AT_ONCE = 200
NOT_APPLIED = "not applied:"
FOUND, PENDING = "refund.found_at_provider", "refund.ledger_pending"
CAUGHT_UP, BY_HAND = "refund.ledger_caught_up", "refund.paid_by_hand"
EVENT_MARK = f"{ProviderEvent.PREFIX}_"
CALL_MARK = "pc_"


@dataclass(slots=True)
class Course:
    """A refund's fixed facts, and where it stands while the timeline of its charge is read."""

    public_id: str
    payment: Payment
    account: ProviderAccount
    book: Book
    amount_minor: int
    currency: str
    promise_id: str
    approval_id: str
    offline: bool
    goodwill: bool
    retry_of: Course | None = None
    provider_ref: str = ""
    variant: str = ""
    shares: dict[str, int] = field(default_factory=dict)
    accepted_at: datetime | None = None
    left_at: datetime | None = None
    failed_at: datetime | None = None
    back_at: datetime | None = None
    back_ref: str = ""
    # Another sum than the refund's own, as its receipt says.
    told_minor: int | None = None
    lapsed: bool = False
    lapses_by_itself: bool = False
    waits: bool = False
    posted: dict[str, Expected] = field(default_factory=dict)

    @property
    def holder(self) -> Course:
        """The attempt under which the customer is owed."""
        found = self
        while found.accepted_at is None and found.retry_of is not None:
            found = found.retry_of
        return found


@dataclass(frozen=True, slots=True)
class Moment:
    """One thing that came about: what said so, when it was known, and what it does."""

    known_at: datetime
    source: str
    refs: Refs
    subject_id: str
    act: Callable[[Course, Moment, Charge], None]
    told: Told | None = None
    amount_minor: int | None = None
    at: datetime | None = None


@dataclass(slots=True)
class Charge:
    """A payment with all its refunds, and the captures as they were known at each moment."""

    courses: dict[str, Course]
    captures: list[tuple[datetime, int, int]]
    then: BookThen

    def captured(self, moment: datetime) -> Shares:
        known = [row for row in self.captures if row[0] <= moment]
        _, captured_minor, fee_minor = known[-1] if known else self.captures[0]
        return captured_shares(captured_minor, fee_minor)

    def before(self, course: Course) -> Shares:
        """What the other promises of the charge bear, each counted once unless it lapsed."""
        promises: dict[str, Shares] = {}
        for each in self.courses.values():
            if each is not course and each.shares:
                parts = {f: each.shares.get(f, 0) for f in Shares.__dataclass_fields__}
                promises[each.promise_id] = Shares(**parts)
        for each in self.courses.values():
            if each.lapsed:
                promises.pop(each.promise_id, None)
        return sum(promises.values(), start=NOTHING)


def expected(scope: Scope) -> Iterator[Expected]:
    subjects = scope.posted_subjects("rf_") | scope.told_subjects("rf_")
    keys = [ids.parse(subject, Refund.PREFIX)[1] for subject in subjects]
    of = Refund.objects.filter(pk__in=keys).values_list("payment_id", flat=True)
    charges = sorted(set(of))
    then = BookThen(scope.book)
    for first in range(0, len(charges), CHARGES_AT_ONCE):
        rows = Refund.objects.select_related("payment__beneficiary", "account", "book")
        known = rows.filter(payment_id__in=charges[first : first + CHARGES_AT_ONCE])
        yield from _of_charges(scope, list(known.order_by("created_at", "pk")), then)


def _of_charges(scope: Scope, refunds: Sequence[Refund], then: BookThen) -> Iterator[Expected]:
    timeline = _timeline(scope, refunds)
    grouped: dict[Any, list[Refund]] = defaultdict(list)
    for refund in refunds:
        grouped[refund.payment_id].append(refund)
    for of_charge in grouped.values():
        charge = Charge(_courses(of_charge), _captures(of_charge[0].payment), then)
        own = [moment for moment in timeline if moment.subject_id in charge.courses]
        for moment in own:
            if moment.act is _lapse:
                charge.courses[moment.subject_id].lapses_by_itself = False
        for moment in sorted(own, key=lambda each: each.known_at):
            moment.act(charge.courses[moment.subject_id], moment, charge)
        for course in charge.courses.values():
            yield from course.posted.values()


def _courses(refunds: Sequence[Refund]) -> dict[str, Course]:
    found = {
        refund.pk: Course(
            public_id=refund.public_id,
            payment=refund.payment,
            account=refund.account,
            book=refund.book,
            amount_minor=refund.amount_minor,
            currency=refund.currency,
            promise_id=refund.promise_id,
            approval_id=refund.approval_id,
            offline=refund.offline,
            goodwill=refund.goodwill,
            lapses_by_itself=refund.obligation == Refund.Obligation.LAPSED,
        )
        for refund in refunds
    }
    for refund in refunds:
        if refund.retry_of_id is not None:
            found[refund.pk].retry_of = found[refund.retry_of_id]
    return {course.public_id: course for course in found.values()}


def _captures(payment: Payment) -> list[tuple[datetime, int, int]]:
    rows = Payment.history.filter(id=payment.pk).order_by("history_id")
    told = rows.values_list("history_date", "captured_minor", "platform_fee_minor")
    return list(told) or [(payment.created_at, payment.captured_minor, payment.platform_fee_minor)]


def _timeline(scope: Scope, refunds: Sequence[Refund]) -> list[Moment]:
    """Events before the trail where both were known at once: the order in which they were read."""
    subjects = [refund.public_id for refund in refunds]
    return [*_events(scope, subjects), *_trail(subjects), *_decisions(subjects)]


def _events(scope: Scope, subjects: Sequence[str]) -> Iterator[Moment]:
    for chunk in chunks(events_of(scope, set(subjects))):
        for work, subject_id in works_of(scope, chunk):
            said, event = work.said, work.event
            if said.kind not in TOLD or event.state != ProviderEvent.State.PROCESSED:
                continue
            if event.outcome.startswith(NOT_APPLIED):
                continue
            yield Moment(
                known_at(work),
                event.public_id,
                work.refs(),
                subject_id,
                _learn,
                told_by(work),
                said.amount.minor if said.amount else None,
            )


def _trail(subjects: Sequence[str]) -> Iterator[Moment]:
    """What the provider answered and listed, each once, and what was paid by hand."""
    rows = AuditEvent.objects.filter(subject_id__in=subjects).order_by("created_at", "pk")
    seen: set[tuple[str, str]] = set()
    for row in rows:
        if row.action in (CAUGHT_UP, BY_HAND):
            act = _catch_up if row.action == CAUGHT_UP else _pay_by_hand
            refs = Refs(approval_id=row.evidence.get("approval_id", ""))
            yield Moment(row.created_at, row.public_id, refs, row.subject_id, act)
        if "told" not in row.evidence:
            continue
        told = told_of(row.evidence["told"])
        own = (row.subject_id, told.by)
        if told.by.startswith(EVENT_MARK) or own in seen:
            continue
        seen.add(own)
        # A list names its own references; our call's answer is known by its attempt alone.
        listed = not told.by.startswith(CALL_MARK)
        refs = Refs(psp_reference=told.provider_ref) if listed else Refs()
        act = _hold if row.action == PENDING else _learn
        minor = row.evidence.get("amount_minor") if row.action == FOUND else None
        yield Moment(row.created_at, told.by, refs, row.subject_id, act, told, minor)


def _decisions(subjects: Sequence[str]) -> Iterator[Moment]:
    """Obligations that people ended."""
    granted = ApprovalRequest.objects.filter(
        kind=refund_obligations.KIND,
        state=ApprovalRequest.State.APPROVED,
        facts__refund__in=list(subjects),
    ).exclude(executed_at=None)
    for request in granted:
        assert request.executed_at is not None
        lapses = request.facts["outcome"] == Refund.Obligation.LAPSED
        yield Moment(
            request.executed_at,
            request.public_id,
            Refs(approval_id=request.public_id),
            request.facts["refund"],
            _lapse if lapses else _keep_unclaimed,
            at=request.executed_at,
        )


def _learn(course: Course, moment: Moment, charge: Charge) -> None:
    _take(course, moment, charge)
    _post_due(course, moment, charge)


def _hold(course: Course, moment: Moment, charge: Charge) -> None:
    """Executed, and refused by the journal then."""
    course.waits = True
    _take(course, moment, charge)


def _catch_up(course: Course, moment: Moment, charge: Charge) -> None:
    course.waits = False
    _post_due(course, moment, charge)


def _pay_by_hand(course: Course, moment: Moment, charge: Charge) -> None:
    refund = Refund.get(course.public_id)
    assert refund.succeeded_at is not None, "what was paid says when"
    _accept(course, refund.succeeded_at, moment, charge)
    course.left_at = refund.succeeded_at
    _post_due(course, moment, charge)


def _take(course: Course, moment: Moment, charge: Charge) -> None:
    told = moment.told
    assert told is not None
    if moment.amount_minor not in (None, course.amount_minor):
        course.told_minor = moment.amount_minor
    course.provider_ref = course.provider_ref or told.provider_ref
    _accept(course, told.at, moment, charge)
    fails = told.reached & FAILURES
    if told.fails:
        course.back_ref = course.back_ref or told.failure_movement_ref
    if told.reached & LEFT:
        course.left_at = course.left_at or told.at
    if fails:
        course.failed_at = course.failed_at or told.at
    if RETURNED in told.reached:
        course.back_at = course.back_at or told.at
    elif course.failed_at and course.left_at and course.back_ref:
        course.back_at = course.back_at or course.failed_at


def _accept(course: Course, at: datetime, moment: Moment, charge: Charge) -> None:
    if course.accepted_at is not None:
        return
    holder = course.holder
    course.accepted_at = at
    book = charge.then.at(moment.known_at)
    course.variant = policies.refund_variant(book, goodwill=course.goodwill)
    if holder is not course:
        course.shares, course.variant = dict(holder.shares), holder.variant
        return
    course.shares = refund_postings.shares_of(
        captured=charge.captured(moment.known_at),
        before=charge.before(course),
        amount_minor=course.amount_minor,
        goodwill=course.goodwill,
        book=book,
    )


def _post_due(course: Course, moment: Moment, charge: Charge) -> None:
    """The entries that what is known by now asks for, each once."""
    accepted_at, left_at = course.accepted_at, course.left_at
    failed_at, back_at = course.failed_at, course.back_at
    if accepted_at is None or course.waits:
        return
    course.book = charge.then.at(moment.known_at)
    has, early = course.posted, "failed_early" in course.posted
    if course.retry_of is None and "accepted" not in has:
        _post(course, "accepted", moment, accepted_at)
        _post_as_told(course, moment, accepted_at)
    elif course.retry_of is not None and "retried" not in course.retry_of.holder.posted:
        granted = moment.refs.approval_id or course.approval_id
        refs = replace(moment.refs, approval_id=granted)
        _post(course.retry_of.holder, "retried", replace(moment, refs=refs), accepted_at)
    if left_at and "succeeded" not in has and "failed_reclassified" not in has:
        _post(course, "failed_reclassified" if early else "succeeded", moment, left_at)
    if failed_at and not left_at and not early:
        _post(course, "failed_early", moment, failed_at)
    told = "failed_early" in has or "failed_late" in has
    if back_at and "returned" not in has:
        _post(course, "returned", moment, back_at, failure_posted=told)
    elif failed_at and left_at and not back_at and not told:
        _post(course, "failed_late", moment, failed_at)
    if course.lapses_by_itself and (failed_at or back_at) and "lapsed" not in has:
        course.lapsed = True
        ended_at = failed_at or back_at or accepted_at
        _post(course, "lapsed", moment, ended_at, variant=course.variant)


def _post_as_told(course: Course, moment: Moment, at: datetime) -> None:
    """A receipt with another sum than the refund: two sources that tell one entry differently."""
    if course.told_minor is not None:
        shares = {"amount": course.told_minor, "seller_share": course.told_minor}
        other = replace(course, amount_minor=course.told_minor, shares=shares)
        entry = refund_postings.accepted(cast(Refund, other), moment.refs, at)
        course.posted["accepted, as told"] = Expected(entry, moment.source, moment.known_at)


def _lapse(course: Course, moment: Moment, charge: Charge) -> None:
    assert moment.at is not None
    holder = course.holder
    course.lapsed = True
    _post(holder, "lapsed", moment, moment.at, variant=holder.variant)


def _keep_unclaimed(course: Course, moment: Moment, charge: Charge) -> None:
    assert moment.at is not None
    refund = Refund.objects.select_related("payment", "book").get(
        pk=Refund.key_of(course.public_id)
    )
    outcome = Refund.Obligation.UNCLAIMED.value
    entry = refund_obligations.entry_of(refund, outcome, moment.refs, moment.at)
    course.posted["unclaimed"] = Expected(entry, moment.source, moment.known_at)


def _post(course: Course, name: str, moment: Moment, at: datetime, **more: Any) -> None:
    make: Callable[..., Posting] = getattr(refund_postings, name)
    entry = make(cast(Refund, course), moment.refs, at, **more)
    course.posted[name] = Expected(entry, moment.source, moment.known_at)


SOURCE = Source("refunds", expected)
