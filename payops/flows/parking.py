"""Numbered updates of one object in their order: each waits for the one before (WH-10).

Where the provider counts the updates of an object from 1, update n is decided after update n-1:
the order is exact, not guessed from states. Owns the order within a batch and what a gap waits
for; an event older than one already applied runs through the same handlers, which never regress
(F31). Never writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from payops.flows.batch import EventWork
from payops.webhooks.models import ProviderEvent
from payops.webhooks.services import DECIDED, sequence_key

FIRST = 1
Update = tuple[UUID, str, int]


def in_sequence(works: Sequence[EventWork]) -> list[EventWork]:
    """The same places, with the updates of one object put in the order of their numbers."""
    places: dict[tuple[UUID, str], list[int]] = {}
    for place, work in enumerate(works):
        if work.event.sequence is not None:
            places.setdefault((work.event.account_id, work.event.object_id), []).append(place)
    ordered = list(works)
    for taken in places.values():
        updates = sorted((works[place] for place in taken), key=lambda w: w.event.sequence or 0)
        for place, work in zip(taken, updates, strict=True):
            ordered[place] = work
    return ordered


class Sequences:
    """Which numbered updates are decided: read after the subjects are locked, kept up to date."""

    def __init__(self, works: Sequence[EventWork]) -> None:
        wanted = {before for work in works if (before := _before(work.event)) is not None}
        self._decided = _decided(wanted) if wanted else set()

    def gap(self, work: EventWork) -> tuple[str, str] | None:
        """(what the event waits for, in words), or None when its turn has come."""
        before = _before(work.event)
        if before is None or before in self._decided:
            return None
        _, object_id, number = before
        key = sequence_key(address=work.account.address, object_id=object_id, sequence=number)
        noun = work.said.kind.partition(".")[0] if work.said.kind != "ignored" else "object"
        return key, f"waits for update {number} of {noun} {object_id}"

    def note(self, work: EventWork) -> str:
        """After an update was handled: the key it releases when it is decided, else ""."""
        event = work.event
        if event.sequence is None or event.state not in DECIDED:
            return ""
        self._decided.add((event.account_id, event.object_id, event.sequence))
        return sequence_key(
            address=work.account.address, object_id=event.object_id, sequence=event.sequence
        )


def _before(event: ProviderEvent) -> Update | None:
    if event.sequence is None or event.sequence <= FIRST or not event.object_id:
        return None
    return event.account_id, event.object_id, event.sequence - 1


def _decided(wanted: set[Update]) -> set[Update]:
    found = ProviderEvent.objects.filter(
        account_id__in={account for account, _, _ in wanted},
        object_id__in={object_id for _, object_id, _ in wanted},
        sequence__in={number for _, _, number in wanted},
        state__in=DECIDED,
    )
    return {
        (account, object_id, number)
        for account, object_id, number in found.values_list("account_id", "object_id", "sequence")
        if number is not None
    }
