"""Services of the payment nouns: finding what an event is about, holds, expected dates.

State changes of payouts live in the flows that know why; here is what every flow shares. Serves
PX-4, PX-5, D7, F2, WH-26.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from django.db import connection
from django.db.models import Q

from payops.core import audit, clock, locks
from payops.core.actors import Actor
from payops.core.models import Book, ProviderAccount
from payops.payments.models import Beneficiary, Hold, Payout

HOLD_SOURCES = ("manual", "runbook", "protective", "compliance", "bank_change")


class HoldRefused(ValueError):
    """The hold cannot be placed or released; the text names the hold and why."""


@dataclass(frozen=True, slots=True)
class HoldTarget:
    """Exactly one of the two is set."""

    payout: Payout | None = None
    beneficiary: Beneficiary | None = None

    @property
    def public_id(self) -> str:
        target = self.payout or self.beneficiary
        assert target is not None
        return target.public_id


def place_hold(
    *,
    book: Book,
    target: HoldTarget,
    source: str,
    reason: str,
    key: str,
    actor: Actor,
    now: datetime,
    case_id: str = "",
    trace_id: str = "",
) -> Hold:
    """Place one hold; the same key places nothing twice. Takes the beneficiary's lock."""
    assert connection.in_atomic_block
    assert source in HOLD_SOURCES, source
    beneficiary_key = (
        target.payout.beneficiary_id if target.payout else target.beneficiary.pk  # type: ignore[union-attr]
    )
    locks.row(Beneficiary, beneficiary_key)
    existing = Hold.objects.filter(book=book, key=key).first()
    if existing is not None:
        return existing
    hold = Hold(
        book=book,
        payout=target.payout,
        beneficiary=target.beneficiary,
        source=source,
        reason=reason[:240],
        key=key,
        case_id=case_id,
        placed_by_id=actor.person_id,
        placed_by_service=actor.service,
        created_at=now,
    )
    hold.save(force_insert=True)
    _audit_hold(hold, "hold.placed", target.public_id, reason, actor, now, trace_id)
    return hold


def release_hold(
    *, hold_key: UUID, reason: str, actor: Actor, now: datetime, trace_id: str = ""
) -> Hold:
    """Release this hold and no other. Releasing a released hold is a no-op."""
    assert connection.in_atomic_block
    hold = Hold.objects.select_for_update().get(pk=hold_key)
    if hold.released_at is not None:
        return hold
    if not reason.strip():
        raise HoldRefused(f"releasing {hold.public_id} needs a reason")
    hold.released_at = now
    hold.released_by_id = actor.person_id
    hold.released_by_service = actor.service
    hold.release_reason = reason[:240]
    hold.save()
    covered = hold.payout or hold.beneficiary
    assert covered is not None
    _audit_hold(hold, "hold.released", covered.public_id, reason, actor, now, trace_id)
    return hold


def open_holds(payout: Payout) -> list[Hold]:
    """Every open hold that covers the payout, its beneficiary's included."""
    covering = Q(payout=payout) | Q(beneficiary_id=payout.beneficiary_id)
    return list(Hold.objects.filter(covering, released_at=None).order_by("created_at"))


def next_submission_window(account: ProviderAccount, now: datetime) -> datetime:
    """`now`, or the start of the next working day when the account's cutoff has passed (PX-15)."""
    if account.cutoff_time is None:
        return now
    zone = account.cutoff_time_zone
    local = now.astimezone(clock.zone(zone))
    if local.weekday() < 5 and local.time() <= account.cutoff_time:
        return now
    return clock.start_of_day(clock.next_weekday(local.date()), time_zone=zone)


def expected_arrival(account: ProviderAccount, initiated_at: datetime) -> date:
    day = clock.business_day(initiated_at, time_zone=account.book.time_zone)
    for _ in range(account.payout_lag_days):
        day = clock.next_weekday(day)
    return day


def verification_is_newer(beneficiary: Beneficiary, than: datetime) -> bool:
    """The beneficiary's details were verified after this moment (PX-6)."""
    return beneficiary.verified_at is not None and beneficiary.verified_at > than


def cooled_down(beneficiary: Beneficiary, now: datetime) -> bool:
    return beneficiary.payable_from <= now


def cooldown_end(book: Book, now: datetime) -> datetime:
    return now + timedelta(hours=book.bank_detail_cooldown_hours)


def _audit_hold(
    hold: Hold, action: str, subject_id: str, reason: str, actor: Actor, now: datetime, trace: str
) -> None:
    audit.record(
        [
            audit.event(
                book=hold.book,
                actor=actor,
                action=action,
                subject_id=hold.public_id,
                now=now,
                reason=reason,
                evidence={
                    "covers": subject_id,
                    "source": hold.source,
                    "case_id": hold.case_id,
                    "key": hold.key,
                },
                trace_id=trace,
            )
        ]
    )
