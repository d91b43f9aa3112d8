"""What the provider can tell of a refund, as the trail keeps it: canonical kinds and their proof.

Pure words: knows no refund's state and changes nothing. Serves RF-7, RF-13.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from django.utils.dateparse import parse_datetime

ACCEPTED, SUCCEEDED, RETURNED = "refund.accepted", "refund.succeeded", "refund.returned"
CANCELED = "refund.canceled"
FAILURES = frozenset({"refund.failed", "refund.failed_late", CANCELED})
LEFT = frozenset({SUCCEEDED, RETURNED})
TOLD = FAILURES | LEFT | {ACCEPTED}
CANCELED_CODE = "canceled_at_provider"
# The code of money that came back before its failure was told.
NO_CODE = "returned"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """News of one refund: the canonical kinds that have happened, and what proves them.

    `by` names the evidence (an event, a call, a listing); an empty reference is not known.
    """

    reached: frozenset[str]
    at: datetime
    by: str = ""
    provider_ref: str = ""
    movement_ref: str = ""
    failure_movement_ref: str = ""
    failure_code: str = ""
    failure_message: str = ""

    @property
    def fails(self) -> bool:
        return bool(self.reached & (FAILURES | {RETURNED}))

    def facts(self) -> dict[str, Any]:
        """For the trail, from which the news can be told again."""
        return asdict(self) | {"reached": sorted(self.reached), "at": self.at.isoformat()}


def told_of(facts: dict[str, Any]) -> Told:
    """The news as the trail keeps it."""
    at = parse_datetime(facts["at"])
    assert at is not None, "news say when"
    return Told(**{**facts, "reached": frozenset(facts["reached"]), "at": at})
