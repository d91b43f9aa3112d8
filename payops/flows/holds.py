"""Holds placed and released by people; each release clears only its own (D7, F2, PX-5)."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from payops.core import ids
from payops.core.actors import Actor
from payops.payments.models import Beneficiary, Hold, Payout
from payops.payments.services import HoldRefused, HoldTarget, place_hold, release_hold


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
        return release_hold(
            hold_key=ids.parse(hold_id, "ho")[1], reason=reason, actor=actor, now=now
        )
