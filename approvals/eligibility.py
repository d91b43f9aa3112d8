"""May this person decide this request now, in which seat, or why not (AP-4, D5, SE-4, F22, F24).

One rule set for the decision itself and for the page that shows it. Exclusion beats membership:
requester, barred persons, auditors and access administrators decide nothing, whatever else they
hold. A role counts when it is held now, for 24 hours, and was granted by neither the requester nor
the person. Being a superuser is not looked at.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import Q

from approvals.models import ApprovalDecision, ApprovalRequest
from approvals.policies import Policy, policy_of
from approvals.refusals import (
    ApprovalRefused,
    NotYourDecision,
    PersonBarred,
    RequestClosed,
    RequesterBarred,
    SeatTaken,
    SecondDecision,
)
from approvals.tiers import Exposure, Needed, exposures_of, needed_by, seat_words
from payops.core.models import Book, Person, RoleGrant
from payops.core.roles import LABELS, Role

ROLE_AGE_MIN = timedelta(hours=24)
EXCLUDED = (Role.AUDITOR, Role.ACCESS_ADMIN)


@dataclass(frozen=True, slots=True)
class Standing:
    """A request as it stands: the seats it needs now, who filled which, what is open."""

    request: ApprovalRequest
    policy: Policy
    exposure: Exposure
    needed: Needed
    decisions: tuple[ApprovalDecision, ...]

    @property
    def filled(self) -> dict[str, ApprovalDecision]:
        return {d.seat: d for d in self.decisions if d.verdict == "approve"}

    @property
    def open_seats(self) -> tuple[str, ...]:
        if self.request.state != ApprovalRequest.State.PENDING:
            return ()
        return tuple(seat for seat in self.needed.seats if seat not in self.filled)


@dataclass(frozen=True, slots=True)
class Eligibility:
    """The seats open to one person, or the rule and the words that say why there is none."""

    seats: tuple[str, ...]
    rule: str = ""
    reason: str = ""


def standings(requests: Iterable[ApprovalRequest]) -> list[Standing]:
    """How requests stand now; four queries however many they are."""
    asked = list(requests)
    exposures = exposures_of(asked)
    by_request: dict[UUID, list[ApprovalDecision]] = {r.pk: [] for r in asked}
    decisions = ApprovalDecision.objects.filter(request_id__in=list(by_request)).select_related(
        "person"
    )
    for decision in decisions.order_by("created_at", "id"):
        by_request[decision.request_id].append(decision)
    answer = []
    for request in asked:
        policy = policy_of(request.policy_version)
        exposure = exposures[request.pk]
        if request.state == ApprovalRequest.State.PENDING:
            needed = needed_by(request, policy, exposure)
        else:
            needed = Needed(request.tier, tuple(request.seats), request.rule_fired)
        answer.append(Standing(request, policy, exposure, needed, tuple(by_request[request.pk])))
    return answer


def standing(request: ApprovalRequest) -> Standing:
    return standings([request])[0]


def eligibility(request: ApprovalRequest, person: Person, now: datetime) -> Eligibility:
    """For the page of one request: the open seats of this person, or the reason why not."""
    grants = grants_of(person, now)
    return eligibility_in(standing(request), person, grants, now)


def eligibility_in(
    at: Standing, person: Person, grants: list[RoleGrant], now: datetime
) -> Eligibility:
    try:
        return Eligibility(seats_of(at, person, grants, now))
    except ApprovalRefused as refusal:
        return Eligibility((), refusal.rule, refusal.words)


def grants_of(person: Person, now: datetime) -> list[RoleGrant]:
    """The roles a person holds at this moment, read once for any number of requests."""
    held = RoleGrant.objects.filter(person=person, granted_at__lte=now)
    return list(held.filter(Q(revoked_at=None) | Q(revoked_at__gt=now)).order_by("role"))


def seats_of(
    at: Standing, person: Person, grants: list[RoleGrant], now: datetime
) -> tuple[str, ...]:
    """The open seats this person may fill. Raises the refusal that applies first."""
    request = at.request
    check_not_excluded(request, person, grants, now)
    mine = _counted_seats(at, person, grants, now)
    own = next((d for d in at.decisions if d.person_id == person.pk), None)
    if own is not None:
        raise SecondDecision(
            f"You decided this request {said_at(own, request.book)}; one person decides once. "
            "Undo it while it is not executed, or leave the other seats to others.",
            seat=own.seat,
        )
    check_open(request, at.decisions, now)
    free = tuple(seat for seat in mine if seat in at.open_seats)
    if not free:
        taken = at.filled[mine[0]]
        raise SeatTaken(
            f"The seat {LABELS[Role(taken.seat)]} is filled: {said_by(taken, request.book)}. "
            f"Still open: {seat_words(at.open_seats) or 'none'}.",
            seat=taken.seat,
            decision=taken.public_id,
        )
    return free


def check_not_excluded(
    request: ApprovalRequest, person: Person, grants: list[RoleGrant], now: datetime
) -> None:
    if person.left_at is not None and person.left_at <= now:
        raise PersonBarred(
            f"{person.name} left on {person.left_at:%Y-%m-%d}; who has left decides nothing."
        )
    if person.pk == request.requested_by_id:
        raise RequesterBarred(
            f"You asked for this ({request.public_id}), so you cannot decide it, through "
            "whichever login. Somebody else with one of the roles "
            f"{seat_words(request.seats)} decides; you may withdraw the request.",
            requester=str(person.pk),
        )
    if str(person.pk) in request.barred:
        raise PersonBarred(
            "You are barred from this request because you took part in what it is about "
            "(for example, you changed the bank details or typed the request in). "
            f"Somebody else with one of the roles {seat_words(request.seats)} decides.",
            person=str(person.pk),
        )
    excluding = [grant.role for grant in grants if grant.role in EXCLUDED]
    if excluding:
        raise PersonBarred(
            f"You hold the role {LABELS[Role(excluding[0])]}, which decides nothing, whatever "
            "other roles are held beside it.",
            role=excluding[0],
        )


def check_open(
    request: ApprovalRequest, decisions: Iterable[ApprovalDecision], now: datetime
) -> None:
    zone = ZoneInfo(request.book.time_zone)
    if request.state != ApprovalRequest.State.PENDING:
        last = list(decisions)[-1:]
        how = f" ({said_by(last[0], request.book)})" if last else ""
        why = f": {request.void_reason}" if request.void_reason else ""
        raise RequestClosed(
            f"The request is {request.state}{how}{why}; it takes no further decision. "
            "Ask again if the act is still needed.",
            state=str(request.state),
        )
    if now >= request.expires_at:
        expired = request.expires_at.astimezone(zone)
        raise RequestClosed(
            f"The request expired at {expired:%Y-%m-%d %H:%M}; it takes no further decision. "
            "Ask again if the act is still needed.",
            state="EXPIRED",
            expires_at=request.expires_at.isoformat(),
        )


def said_by(decision: ApprovalDecision, book: Book) -> str:
    at = decision.created_at.astimezone(ZoneInfo(book.time_zone))
    verb = "approved" if decision.verdict == "approve" else "rejected"
    seat = LABELS[Role(decision.seat)]
    return f"{verb} by {decision.person.name} as {seat} at {at:%Y-%m-%d %H:%M}"


def said_at(decision: ApprovalDecision, book: Book) -> str:
    at = decision.created_at.astimezone(ZoneInfo(book.time_zone))
    return f"as {LABELS[Role(decision.seat)]} at {at:%Y-%m-%d %H:%M}"


def _counted_seats(
    at: Standing, person: Person, grants: list[RoleGrant], now: datetime
) -> tuple[str, ...]:
    counted, discounted = set(), []
    for grant in grants:
        if why := _why_not_counted(grant, at.request, person, now):
            discounted.append(f"{LABELS[Role(grant.role)]} ({why})")
        else:
            counted.add(grant.role)
    mine = tuple(seat for seat in at.needed.seats if seat in counted)
    if mine:
        return mine
    held = [LABELS[Role(grant.role)] for grant in grants if grant.role in counted]
    words = f"This needs {seat_words(at.needed.seats)} ({at.needed.rule_fired}). "
    words += f"You hold {', '.join(held)}." if held else "You hold no role that counts here."
    if discounted:
        words += f" Not counted: {'; '.join(discounted)}."
    raise NotYourDecision(
        words,
        needed=list(at.needed.seats),
        held=sorted(counted),
        tier=at.needed.tier,
        total_minor=at.exposure.total_minor,
    )


def _why_not_counted(
    grant: RoleGrant, request: ApprovalRequest, person: Person, now: datetime
) -> str:
    if grant.granted_by_id is not None and grant.granted_by_id == request.requested_by_id:
        return "granted by the requester"
    if grant.granted_by_id == person.pk:
        return "granted by yourself"
    if grant.granted_at > now - ROLE_AGE_MIN:
        hours = int((now - grant.granted_at) / timedelta(hours=1))
        return f"held for {hours} of the {ROLE_AGE_MIN // timedelta(hours=1)} hours it takes"
    return ""
