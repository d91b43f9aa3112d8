"""One person's decision on one request: the only writer of ApprovalDecision.

Serialised by the day's lock of the beneficiary and the request's row lock, then everything is
looked at again: person, role, seat, hash, password, typed amount. A refused attempt is recorded in
its own transaction. A final verdict sends news and acts on nothing. Serves AP-3 to AP-5, F7, F25.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction

from approvals.eligibility import (
    Standing,
    grants_of,
    said_by,
    seats_of,
    standing,
)
from approvals.hashing import plain
from approvals.models import ApprovalDecision, ApprovalRequest
from approvals.refusals import (
    ApprovalRefused,
    ContentChanged,
    NotYourDecision,
    ReasonNeeded,
    RequestClosed,
    SeatChoiceNeeded,
    SeatTaken,
    SecondDecision,
    StepUpNeeded,
    TypedConfirmationNeeded,
)
from approvals.requests import amount_of, ended, hold_day_of, locked, record_refusal, stored_hash
from approvals.tiers import seat_words
from payops.core import audit, state
from payops.core.actors import Actor
from payops.core.models import Person, User
from payops.core.money import Money
from payops.core.roles import LABELS, Role

STEP_UP_MAX = timedelta(minutes=5)
VERDICTS = ("approve", "reject")
State = ApprovalRequest.State


@dataclass(frozen=True, slots=True)
class Decided:
    """`kind`: recorded (seats are left), approved, rejected, or already_decided (no effect)."""

    kind: str
    request: ApprovalRequest
    words: str


def decide(
    *,
    request_id: str | UUID,
    user: User,
    verdict: str,
    reason: str,
    evidence: Sequence[Any],
    content_hash: str,
    stepped_up_at: datetime | None,
    now: datetime,
    seat: str | None = None,
    typed_confirmation: str = "",
    trace_id: str = "",
) -> Decided:
    """Record one person's verdict in one seat; the last open seat makes it final.

    `content_hash` is the one shown to the person. Raises a named ApprovalRefused, which is audited;
    somebody having decided first is a result (already_decided), not an error (F25).
    """
    assert verdict in VERDICTS, f"a verdict is one of {VERDICTS}, not {verdict!r}"
    actor = actor_of(user, stepped_up_at)
    said = _Said(
        verdict=verdict,
        reason=reason.strip(),
        evidence=tuple(plain(list(evidence), place="evidence")),
        content_hash=content_hash,
        stepped_up_at=stepped_up_at,
        seat=seat,
        typed=typed_confirmation.strip(),
        trace_id=trace_id,
    )
    try:
        with transaction.atomic(durable=True):
            hold_day_of(request_id)
            request = locked(request_id)
            return _decide(request, user, actor, said, now)
    except ApprovalRefused as refusal:
        record_refusal(
            request_id,
            refusal,
            actor=actor,
            now=now,
            action="approval.decision_refused",
            said={"verdict": verdict, "seat": seat or "", "reason": said.reason},
            trace_id=trace_id,
        )
        raise


@dataclass(frozen=True, slots=True)
class _Said:
    verdict: str
    reason: str
    evidence: tuple[Any, ...]
    content_hash: str
    stepped_up_at: datetime | None
    seat: str | None
    typed: str
    trace_id: str


def _decide(
    request: ApprovalRequest, user: User, actor: Actor, said: _Said, now: datetime
) -> Decided:
    person = _person_of(user)
    at = standing(request)
    grants = grants_of(person, now)
    try:
        free = seats_of(at, person, grants, now)
        seat = _chosen(at, free, said.seat)
    except (SeatTaken, RequestClosed, SecondDecision) as refusal:
        if done := _decided_before(at, person, said, refusal):
            return done
        raise
    _check_content(request, said.content_hash)
    _check_step_up(said.stepped_up_at, now)
    if not said.reason:
        raise ReasonNeeded("Write the reason for the decision; it is kept with it for ever.")
    if said.verdict == "approve":
        check_typed(request, said.typed)
    return _record(at, person, user, actor, said, seat, now)


def _record(
    at: Standing,
    person: Person,
    user: User,
    actor: Actor,
    said: _Said,
    seat: str,
    now: datetime,
) -> Decided:
    request = at.request
    assert said.stepped_up_at is not None, "checked before"
    _retier(at, actor, now)
    decision = ApprovalDecision(
        book=request.book,
        request=request,
        requester_id=request.requested_by_id,
        person=person,
        user=user,
        login=user.username,
        seat=seat,
        verdict=said.verdict,
        reason=said.reason,
        evidence=[{"content_shown": said.content_hash}, *said.evidence],
        content_hash=said.content_hash,
        policy_version=request.policy_version.version,
        stepped_up_at=said.stepped_up_at,
        created_at=now,
    )
    decision.save(force_insert=True)
    _audit_decision(decision, at, actor, said, now)
    left = tuple(s for s in at.open_seats if s != seat)
    by = said_by(decision, request.book)
    if said.verdict == "reject":
        request.reject(at=now)
        action, kind, words = "approval.rejected", "rejected", f"Rejected: {by}."
    elif not left:
        request.approve(at=now)
        action, kind, words = "approval.approved", "approved", f"Approved: {by}."
    else:
        return Decided("recorded", request, f"Recorded: {by}. Still open: {seat_words(left)}.")
    ended(request, actor=actor, now=now, action=action, reason=said.reason, trace_id=said.trace_id)
    return Decided(kind, request, words)


def typed_confirmation_needed(request: ApprovalRequest) -> str:
    """The text to type ("12400.00") where the book's limit asks for it, else ""."""
    amount = amount_of(request)
    if amount is None:
        return ""
    limit = request.book.typed_confirmation_above_minor
    if request.reporting_minor is not None and request.reporting_minor <= limit:
        return ""
    return amount.decimal_text()


def check_typed(request: ApprovalRequest, typed: str) -> None:
    wanted = typed_confirmation_needed(request)
    if not wanted or typed == wanted:
        return
    limit = Money(request.book.typed_confirmation_above_minor, request.book.reporting_currency)
    shown = f"{typed[:40]!r} was typed" if typed else "nothing was typed"
    raise TypedConfirmationNeeded(
        f"Above {limit} the amount is typed to confirm it: type {wanted} ({request.currency}); "
        f"{shown}.",
        wanted=wanted,
        limit_minor=limit.minor,
    )


def actor_of(user: User, stepped_up_at: datetime | None) -> Actor:
    if user.person_id is None:
        return Actor(channel="browser", service="login without a person", login=user.username)
    return Actor(
        channel="browser",
        person_id=user.person_id,
        login=user.username,
        user_id=user.pk,
        stepped_up_at=stepped_up_at,
    )


def _person_of(user: User) -> Person:
    fresh = User.objects.select_related("person").get(pk=user.pk)
    if not fresh.is_active or fresh.person is None:
        raise NotYourDecision(
            f"The login {fresh.username} is not active or belongs to no person; persons decide. "
            "An access administrator links logins through an approval.",
            login=fresh.username,
        )
    return fresh.person


def _chosen(at: Standing, free: tuple[str, ...], seat: str | None) -> str:
    if seat is None:
        if len(free) == 1:
            return free[0]
        raise SeatChoiceNeeded(
            f"You could decide as {' or '.join(LABELS[Role(s)] for s in free)}; "
            "choose one, a person fills one seat.",
            open_to_you=list(free),
        )
    if seat in free:
        return seat
    if seat in at.filled:
        raise SeatTaken(f"The seat {seat} is filled.", seat=seat)
    raise NotYourDecision(
        f"The seat {seat!r} is not open to you here; open to you: {seat_words(free)}.",
        asked=seat,
        open_to_you=list(free),
    )


def _decided_before(
    at: Standing, person: Person, said: _Said, refusal: ApprovalRefused
) -> Decided | None:
    """Somebody was first: a result with a name and a time. None when it is a real refusal."""
    earlier: ApprovalDecision | None = None
    if isinstance(refusal, SecondDecision):
        own = next(d for d in at.decisions if d.person_id == person.pk)
        if said.seat in (None, own.seat) and said.verdict == own.verdict:
            earlier = own
    elif isinstance(refusal, SeatTaken):
        earlier = at.filled[refusal.numbers["seat"]]
    elif at.request.state in (State.APPROVED, State.REJECTED) and at.decisions:
        same_seat = [d for d in at.decisions if d.seat == said.seat]
        earlier = (same_seat or list(at.decisions))[-1]
    if earlier is None:
        return None
    words = f"Already decided: {said_by(earlier, at.request.book)}. Nothing was recorded again."
    return Decided("already_decided", at.request, words)


def _check_content(request: ApprovalRequest, shown: str) -> None:
    stored = stored_hash(request)
    if not shown == request.content_hash == stored:
        raise ContentChanged(
            f"What you were shown ({shown[:12]}…) is not what is asked for "
            f"({request.content_hash[:12]}…, stored facts {stored[:12]}…). Open the request again.",
            shown=shown[:64],
            asked=request.content_hash,
            stored=stored,
        )


def _check_step_up(stepped_up_at: datetime | None, now: datetime) -> None:
    minutes = STEP_UP_MAX // timedelta(minutes=1)
    if stepped_up_at is None:
        raise StepUpNeeded(f"Confirm your password; it counts for {minutes} minutes.")
    age = now - stepped_up_at
    if not timedelta(0) <= age <= STEP_UP_MAX:
        raise StepUpNeeded(
            f"Your password was confirmed {int(age.total_seconds())} seconds ago; it counts for "
            f"{minutes} minutes. Confirm it again.",
            age_s=int(age.total_seconds()),
        )


def _audit_decision(
    decision: ApprovalDecision, at: Standing, actor: Actor, said: _Said, now: datetime
) -> None:
    row = audit.event(
        book=decision.book,
        actor=actor,
        action=f"approval.decision.{decision.verdict}",
        subject_id=at.request.public_id,
        now=now,
        reason=decision.reason,
        evidence={
            "decision": decision.public_id,
            "seat": decision.seat,
            "evidence": decision.evidence,
            "content_hash": decision.content_hash,
            "policy": f"{at.request.policy_version.name} v{decision.policy_version}",
            "rule": at.needed.rule_fired,
            "stepped_up_at": decision.stepped_up_at.isoformat(),
        },
        trace_id=said.trace_id,
    )
    audit.record([row])


def _retier(at: Standing, actor: Actor, now: datetime) -> None:
    """Store the seats needed now, before the decision that is made under them."""
    request, needed = at.request, at.needed
    stored = (request.tier, tuple(request.seats), request.rule_fired)
    if stored == (needed.tier, needed.seats, needed.rule_fired):
        return
    request.tier, request.rule_fired = needed.tier, needed.rule_fired
    request.seats = list(needed.seats)
    state.save(request, actor=actor, now=now, action="approval.retiered", reason=needed.rule_fired)
