"""Holds placed and released by people; each release clears only its own (D7, F2, PX-5)."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q

from payops.core import ids
from payops.core.actors import Actor
from payops.core.models import Person
from payops.core.roles import Act, acts_of
from payops.payments.models import Beneficiary, Hold, Payout
from payops.payments.services import HoldRefused, HoldTarget, place_hold, release_hold

ROLE_AGE_MIN = timedelta(days=1)
UNSENT = (Payout.State.AWAITING_APPROVAL, Payout.State.APPROVED, Payout.State.BLOCKED)


def place(*, target_id: str, reason: str, actor: Actor, now: datetime) -> Hold:
    """Hold a payout or a beneficiary by its public id. Raises HoldRefused."""
    prefix, key = ids.parse(target_id)
    if not reason.strip():
        raise HoldRefused(f"a hold on {target_id} needs a reason")
    with transaction.atomic(durable=True):
        if prefix == "po":
            target = HoldTarget(payout=Payout.objects.select_related("book").get(pk=key))
        elif prefix == "be":
            target = HoldTarget(beneficiary=Beneficiary.objects.select_related("book").get(pk=key))
        else:
            raise HoldRefused(f"{target_id} is neither a payout nor a beneficiary")
        covered = target.payout or target.beneficiary
        assert covered is not None
        return place_hold(
            book=covered.book,
            target=target,
            source="manual",
            reason=reason,
            key=f"manual:{target_id}:{actor.person_id}:{now.isoformat()}",
            actor=actor,
            now=now,
        )


def release(*, hold_id: str, reason: str, actor: Actor, now: datetime) -> Hold:
    """Release one hold by its public id. Raises HoldRefused."""
    with transaction.atomic(durable=True):
        _check_releaser(hold_id, actor, now)
        return release_hold(
            hold_key=ids.parse(hold_id, "ho")[1], reason=reason, actor=actor, now=now
        )


def _check_releaser(hold_id: str, actor: Actor, now: datetime) -> None:
    """A fresh role does not release yet, and nobody frees a payout they asked for (D5)."""
    person = Person.objects.get(pk=actor.human())
    settled = person.roles_at(now) & person.roles_at(now - ROLE_AGE_MIN)
    if Act.RELEASE_HOLD not in acts_of(settled):
        raise HoldRefused(
            f"{person.name} holds no role that may release for {ROLE_AGE_MIN.days} day yet"
        )
    hold = Hold.objects.get(pk=ids.parse(hold_id, "ho")[1])
    covered = Q(pk=hold.payout_id) | Q(beneficiary_id=hold.beneficiary_id)
    own = Payout.objects.filter(covered, requested_by=person, state__in=UNSENT)
    if first := own.order_by("created_at").first():
        raise HoldRefused(
            f"{person.name} asked for payout {first.merchant_ref}, which this hold covers; "
            "somebody else releases it"
        )
