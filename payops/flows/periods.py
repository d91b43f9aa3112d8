"""The life of an accounting period: OPEN, CLOSING, LOCKED, reopened through approval (I12, D12).

Owns beginning and stopping a close, which finance does directly, and what a granted lock or
reopening does (asking is in `payops/flows/period_requests.py`). Months are locked in the order of
time and reopened against it. Never posts. Events that waited for a closed month go on by
themselves once it is open again. Serves CL-4, CL-8, F14.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from approvals import services as approvals
from approvals.models import ApprovalRequest
from ledger import revaluation
from ledger.models import AccountingPeriod
from payops.core import clock, ids, locks, state
from payops.core.actors import Actor
from payops.core.models import Person
from payops.core.roles import Act, acts_of
from payops.flows import late_postings
from payops.flows.governed import ChangeRefused

LOCK, REOPEN = "period_lock", "period_reopen"
State = AccountingPeriod.State


class PeriodRefused(ChangeRefused):
    """The period cannot be taken there from where it is; the text says what comes first."""


def period_of(public_id: str) -> AccountingPeriod:
    """Raises PeriodRefused."""
    try:
        key = AccountingPeriod.key_of(public_id)
    except ids.UnknownId as error:
        raise PeriodRefused(str(error)) from error
    found = AccountingPeriod.objects.select_related("book").filter(pk=key).first()
    if found is None:
        raise PeriodRefused(f"there is no accounting period {public_id}")
    return found


# ---- direct acts ---------------------------------------------------------------------------


def begin_closing(*, period_id: str, reason: str, actor: Actor, now: datetime) -> AccountingPeriod:
    """OPEN → CLOSING: late events of earlier months are no longer placed here."""
    return _move(
        period_id, State.OPEN, AccountingPeriod.begin_closing, "closing_begun", reason, actor, now
    )


def stop_closing(*, period_id: str, reason: str, actor: Actor, now: datetime) -> AccountingPeriod:
    """CLOSING → OPEN; an open request for the lock is void."""
    return _move(
        period_id,
        State.CLOSING,
        AccountingPeriod.stop_closing,
        "closing_stopped",
        reason,
        actor,
        now,
    )


def _move(
    period_id: str,
    expected: str,
    transition: Callable[[AccountingPeriod], None],
    action: str,
    reason: str,
    actor: Actor,
    now: datetime,
) -> AccountingPeriod:
    _may(actor, now)
    if not reason.strip():
        raise PeriodRefused("say why; the reason is kept in the audit")
    before = period_of(period_id)
    with transaction.atomic(durable=True):
        if expected == State.CLOSING:
            approvals.void_open(
                book=before.book,
                subject_id=before.public_id,
                reason=f"the close of {before.code} was stopped",
                actor=actor,
                now=now,
            )
        period = locks.row(AccountingPeriod, before.pk)
        if period.state != expected:
            raise PeriodRefused(
                f"{period.code} is {period.state}, not {expected}; somebody moved it meanwhile"
            )
        transition(period)
        state.save(period, actor=actor, now=now, action=f"period.{action}", reason=reason.strip())
        return period


def _may(actor: Actor, now: datetime) -> None:
    person = Person.objects.get(pk=actor.human())
    if Act.MANAGE_PERIOD not in acts_of(person.roles_at(now)):
        raise PeriodRefused(f"{actor.login or actor.service} may not {Act.MANAGE_PERIOD.value}")


# ---- granted changes -----------------------------------------------------------------------


def check_lock(facts: dict[str, Any]) -> dict[str, Any]:
    """The facts as they are approved. Raises PeriodRefused."""
    period = period_of(str(facts.get("period", "")))
    _refuse_lock(period)
    return _facts(period)


def check_reopen(facts: dict[str, Any]) -> dict[str, Any]:
    """The facts as they are approved. Raises PeriodRefused."""
    period = period_of(str(facts.get("period", "")))
    _refuse_reopen(period)
    return _facts(period)


def refuse_unended(period: AccountingPeriod, now: datetime) -> None:
    """The last day counts to its end, in the book's own time zone (F15). Raises PeriodRefused."""
    today = clock.business_day(now, time_zone=period.book.time_zone)
    if today <= period.ends_on:
        first = period.ends_on + timedelta(days=1)
        raise PeriodRefused(
            f"{period.code} ends with {period.ends_on}; today is {today} in "
            f"{period.book.time_zone}, so it can be locked from {first}"
        )


def apply_lock(approval: ApprovalRequest, actor: Actor, now: datetime) -> None:
    period = _locked(approval)
    refuse_unended(period, now)
    _refuse_lock(period)
    period.lock(at=now, approval_id=approval.public_id)
    _save(period, approval, "period.locked", actor, now)


def apply_reopen(approval: ApprovalRequest, actor: Actor, now: datetime) -> None:
    """Open again; requests to lock a later month are void, and what waited goes on."""
    before = period_of(str(approval.facts["period"]))
    later = AccountingPeriod.objects.filter(book=before.book, starts_on__gt=before.ends_on)
    for each in later.exclude(state=State.LOCKED):
        approvals.void_open(
            book=before.book,
            subject_id=each.public_id,
            reason=f"{before.code} was reopened and comes first",
            actor=actor,
            now=now,
        )
    period = _locked(approval)
    _refuse_reopen(period)
    period.reopen(approval_id=approval.public_id)
    _save(period, approval, "period.reopened", actor, now)
    late_postings.release_all(book=period.book, actor=actor, now=now)


def _facts(period: AccountingPeriod) -> dict[str, Any]:
    return {
        "period": period.public_id,
        "code": period.code,
        "starts_on": period.starts_on.isoformat(),
        "ends_on": period.ends_on.isoformat(),
    }


def _refuse_lock(period: AccountingPeriod) -> None:
    if period.state != State.CLOSING:
        raise PeriodRefused(f"{period.code} is {period.state}; only a period in CLOSING is locked")
    earlier = AccountingPeriod.objects.filter(book=period.book, starts_on__lt=period.starts_on)
    first = earlier.exclude(state=State.LOCKED).order_by("starts_on").first()
    if first is not None:
        raise PeriodRefused(
            f"{first.code} is {first.state}: lock it first, months are locked in their order"
        )
    if words := revaluation.outstanding(book=period.book, period=period):
        raise PeriodRefused(f"{words}: revalue {period.code} first")


def _refuse_reopen(period: AccountingPeriod) -> None:
    if period.state != State.LOCKED:
        raise PeriodRefused(f"{period.code} is {period.state}; only a locked period is reopened")
    later = AccountingPeriod.objects.filter(book=period.book, starts_on__gt=period.starts_on)
    last = later.filter(state=State.LOCKED).order_by("-starts_on").first()
    if last is not None:
        raise PeriodRefused(
            f"{last.code} is locked and comes after {period.code}: reopen {last.code} first"
        )


def _locked(approval: ApprovalRequest) -> AccountingPeriod:
    period = locks.row(AccountingPeriod, AccountingPeriod.key_of(approval.facts["period"]))
    if period.book_id != approval.book_id:
        raise PeriodRefused(f"{period.public_id} belongs to another book")
    return period


def _save(
    period: AccountingPeriod, approval: ApprovalRequest, action: str, actor: Actor, now: datetime
) -> None:
    state.save(
        period,
        actor=actor,
        now=now,
        action=action,
        reason=approval.reason,
        evidence={"approval_id": approval.public_id, "period": period.code},
    )
