"""A person asks for an unknown refund to be looked up now, before its turn comes by the clock.

Only brings the question forward: the dispatch asks by the refund's own key and reference, and
sends nothing that may have been sent. Serves RF-6, D14.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import transaction

from payops.core import audit
from payops.core.actors import Actor
from payops.core.models import Person
from payops.core.roles import Act, acts_of
from payops.flows.refunds.acts import locked, send_dispatch
from payops.flows.refunds.terms import RefundRefused
from payops.payments.models import Intent, Refund


def verify_now(*, refund_id: UUID, actor: Actor, now: datetime) -> Refund:
    """Ask the provider with the next free call. Raises RefundRefused."""
    with transaction.atomic(durable=True):
        refund = locked(refund_id)
        person = Person.objects.get(pk=actor.human())
        if Act.WORK_CASE not in acts_of(person.roles_at(now)):
            raise RefundRefused(f"{person.name} may not ask for a verification")
        intent = Intent.objects.filter(
            book=refund.book, kind="refund", subject_id=refund.public_id
        ).first()
        if refund.state != Refund.State.UNKNOWN or intent is None:
            raise RefundRefused(
                f"{refund.public_id} is {refund.state}; only one whose outcome is unknown is "
                "looked up at the provider"
            )
        if intent.state == Intent.State.PARKED:
            raise RefundRefused(
                f"{refund.public_id} was asked about {intent.calls.count()} times and the product "
                "has stopped asking; ask the provider by hand, then declare what you learned"
            )
        asked = audit.event(
            book=refund.book,
            actor=actor,
            action="refund.verify_asked",
            subject_id=refund.public_id,
            now=now,
            reason="looked up at the provider before its turn",
        )
        audit.record([asked])
        send_dispatch(refund, now, attempt=f"verify:{now.isoformat()}")
        return refund
