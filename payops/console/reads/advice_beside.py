"""Advice as it stands beside a charge, a refund or a dispute (AI-3, AI-6, D1).

What is shown is text: escaped by the template, bounded where it is written. A page is whole
without it: switched off there is none, and a fault in it is logged and shown to nobody (AI-10).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from payops.cases.advice import Recommendation
from payops.flows.refunds import policy as refund_policy
from payops.payments.models import Dispute, Payment, Refund, RefundDecision
from payops.triage import beside
from payops.triage.refunds import Asked

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Voice:
    """What one engine said, as `parts/advice_beside.html` shows it."""

    said: Recommendation

    @property
    def lines(self) -> list[list[str]]:
        return list(self.said.output.get("lines", []))

    @property
    def drafts(self) -> list[list[str]]:
        return list(self.said.output.get("drafts", []))


def of_charge(
    payment: Payment,
    *,
    now: datetime,
    amount_minor: int | None = None,
    reason_code: str = "",
    evidence: tuple[str, ...] = (),
) -> list[Voice]:
    """On the form, with what is typed so far."""
    asked = Asked(amount_minor, reason_code, tuple(sorted(evidence)))
    return _voices(
        lambda: beside.for_charge(
            payment, asked=asked, rules=refund_policy.rules_of(payment.book, now), now=now
        )
    )


def of_refund(refund: Refund, *, now: datetime) -> list[Voice]:
    return _voices(
        lambda: beside.for_refund(
            refund,
            refused_by=_refused_by(refund),
            rules=refund_policy.rules_of(refund.book, now),
            now=now,
        )
    )


def of_payment(payment: Payment, *, now: datetime) -> list[Voice]:
    """Of a failed payment alone."""
    return _voices(lambda: beside.for_failed_payment(payment, now=now))


def of_dispute(dispute: Dispute, *, now: datetime) -> list[Voice]:
    return _voices(lambda: beside.for_dispute(dispute, now=now))


def _voices(ask: Callable[[], list[Recommendation]]) -> list[Voice]:
    if not beside.is_on():
        return []
    try:
        return [Voice(row) for row in ask()]
    except Exception:
        log.exception("no advice is shown")
        return []


def _refused_by(refund: Refund) -> tuple[str, ...]:
    """The checks that refused it, by their names; none where people did."""
    if refund.state != Refund.State.REFUSED:
        return ()
    refused = RefundDecision.objects.filter(
        refund=refund, verdict=RefundDecision.Verdict.REFUSED
    ).order_by("-created_at", "-pk")
    row = refused.first()
    if row is None:
        return ()
    return tuple(
        str(check["check"])
        for check in row.checks
        if not check["passed"] and check.get("otherwise", "refused") == "refused"
    )
