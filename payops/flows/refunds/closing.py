"""The cases of refunds that did not arrive: a line for each step, resolved when the promise ended.

The caller holds the payment's and the refund's lock; cases come after them. Serves F3, RF-16.
"""

from __future__ import annotations

from datetime import datetime

from payops.cases import services as cases
from payops.cases.models import Case
from payops.cases.services import Line
from payops.core import ids, locks, state
from payops.core.actors import Actor
from payops.flows.refunds import cases as refund_cases
from payops.payments.models import Refund

RESOLVABLE = (Case.State.OPEN, Case.State.TRIAGED, Case.State.WAITING)


def held(refund: Refund) -> list[Case]:
    """The open cases of the promise's failures, locked."""
    attempts = Refund.objects.filter(payment_id=refund.payment_id, promise_id=refund.promise_id)
    subjects = [ids.render(Refund.PREFIX, key) for key in attempts.values_list("pk", flat=True)]
    found = Case.objects.filter(
        book_id=refund.book_id, rule=refund_cases.FAILED, subject_id__in=subjects
    ).exclude(state__in=Case.CLOSED)
    return list(locks.rows(Case, found.values_list("pk", flat=True)).values())


def note(refund: Refund, words: str, *, refers_to: str, actor: Actor, now: datetime) -> None:
    """A line on the cases: what is being done about it."""
    line = Line("refund", f"refund:{refers_to}:{words[:40]}", words, refers_to)
    for case in held(refund):
        cases.append(case, [line], actor=actor, now=now)


def resolve(refund: Refund, words: str, *, refers_to: str, actor: Actor, now: datetime) -> None:
    """The promise is kept or ended: its cases close with a line that says how."""
    line = Line("resolved", f"refund-ended:{refers_to}", words, refers_to)
    for case in held(refund):
        cases.append(case, [line], actor=actor, now=now)
        if case.state in RESOLVABLE:
            case.resolve(at=now)
            state.save(case, actor=actor, now=now, action="case.resolved", reason=words)
