"""What an event of the generic provider tells of a dispute beyond its sum.

Owns its stages, and the names of its movements, which the provider does not number: a dispute takes
the money once and once more in its second round. Serves WH-29, RF-15, LJ-12.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from payops.psp import signing
from payops.psp.base import Stage
from payops.psp.strictjson import text_or_none

STAGES: Mapping[str, Stage] = {
    "inquiry": "inquiry",
    "chargeback": "chargeback",
    "second_round": "second_round",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class DisputeFacts:
    """As in NormalizedEvent; all unset for an event about anything else."""

    is_one: bool = False
    reason: str | None = None
    stage: Stage | None = None
    due_at: datetime | None = None
    refundable: bool | None = None
    movement_ref: str | None = None
    back_ref: str | None = None


def facts_of(kind: str, object_id: str, subject: Mapping[str, Any]) -> DisputeFacts:
    if not kind.startswith("dispute."):
        return DisputeFacts()
    stage, refundable = STAGES.get(str(subject.get("stage"))), subject.get("payment_refundable")
    movement = f"{object_id}:2" if stage == "second_round" else object_id
    return DisputeFacts(
        is_one=True,
        reason=text_or_none(subject.get("reason")),
        stage=stage,
        due_at=signing.utc_from_unix(subject.get("due_by")),
        refundable=refundable if isinstance(refundable, bool) else None,
        movement_ref=movement if kind == "dispute.funds_withdrawn" else None,
        back_ref=f"{movement}:back" if kind == "dispute.funds_returned" else None,
    )
