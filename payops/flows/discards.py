"""Giving up dead letters: through approval alone, with a note (WH-20, D5)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from approvals.models import ApprovalRequest
from payops.core import ids
from payops.core.actors import Actor
from payops.flows.governed import ChangeRefused
from payops.webhooks.models import ProviderEvent
from payops.webhooks.services import discard


def check(facts: dict[str, Any]) -> dict[str, Any]:
    keys = [ids.parse(text, "ev")[1] for text in facts.get("event_ids", [])]
    dead = ProviderEvent.objects.filter(pk__in=keys, state=ProviderEvent.State.DEAD)
    if not keys or dead.count() != len(set(keys)):
        raise ChangeRefused(f"{dead.count()} of {len(keys)} named events are dead letters")
    if not str(facts.get("note", "")).strip():
        raise ChangeRefused("discarding a dead letter needs a note")
    return {"event_ids": sorted(facts["event_ids"]), "note": str(facts["note"])}


def apply(approval: ApprovalRequest, actor: Actor, now: datetime) -> None:
    for event_id in approval.facts["event_ids"]:
        discard(
            event_id=event_id,
            approval_id=approval.public_id,
            note=approval.facts["note"],
            actor=actor,
            now=now,
        )
