"""The provider's deadlines of disputes: people are told while there is time, and when it is over.

Told once per deadline on the case of the dispute and to its owner's role; an answer that was sent
ends the reminding. Serves OB-8, F1.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction

from payops.cases import services as cases
from payops.cases.models import Case, LocalMessage
from payops.cases.services import Line
from payops.core import locks, state
from payops.core.actors import service
from payops.flows import notices
from payops.flows.disputes.cases import RULE
from payops.payments.models import Dispute

ACTOR = service("dispute-deadlines")
NEAR = timedelta(hours=48)
UNANSWERED = (Dispute.State.INQUIRY, Dispute.State.OPEN)
AT_ONCE = 200
AUDIENCE = "payments operations"
EVERY_S = 300


def escalate(now: datetime) -> int:
    """Tell of every deadline that is near or over and was not told of yet; answers how many."""
    due = Dispute.objects.filter(
        state__in=UNANSWERED, evidence_sent_at=None, evidence_due_at__lte=now + NEAR
    )
    told = 0
    for dispute in due.select_related("book").order_by("evidence_due_at")[:AT_ONCE]:
        over = dispute.evidence_due_at is not None and dispute.evidence_due_at <= now
        key = f"deadline:{dispute.public_id}:{dispute.evidence_due_at}:{'over' if over else 'near'}"
        known = LocalMessage.objects.filter(book=dispute.book, correlation_id=key)
        if not known.exists():
            _tell(dispute, key, over, now)
            told += 1
    return told


def _tell(dispute: Dispute, key: str, over: bool, now: datetime) -> None:
    """In a storm the dispute has no case of its own: then the notice leads to the dispute."""
    moment = f"{dispute.evidence_due_at:%Y-%m-%d %H:%M} UTC"
    words = f"evidence for {dispute.amount} is due by {moment}: send it or accept the loss"
    if over:
        words = f"the provider's deadline was {moment}; no evidence was sent"
    with transaction.atomic(durable=True):
        own = Case.objects.filter(book=dispute.book, rule=RULE, fingerprint=dispute.public_id)
        open_keys = own.exclude(state__in=Case.CLOSED).values_list("pk", flat=True)
        case = next(iter(locks.rows(Case, open_keys).values()), None)
        if case is not None:
            if case.priority != "urgent":
                case.priority = "urgent"
                state.save(case, actor=ACTOR, now=now, action="case.escalated", reason=words)
            cases.append(case, [Line("deadline", key[:160], words)], actor=ACTOR, now=now)
        notices.send(
            book=dispute.book,
            case=case,
            key=key,
            audience=AUDIENCE,
            subject=f"Dispute {dispute.provider_ref}: {'deadline missed' if over else moment}",
            body=f"{words[:1].upper()}{words[1:]}.",
            now=now,
            path=f"/disputes/{dispute.public_id}/",
        )
