"""The processes behind `bench/refunds_dispatch.py`: granted refunds, a worker of calls, the check.

Each mode runs in a process of its own, because it needs the product configured; the worker runs
the product's own turns. They print one JSON line.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import django

django.setup()

from django.db import connection, transaction  # noqa: E402

from bench import lanes_work  # noqa: E402
from payops.core import clock, flights  # noqa: E402
from payops.core.actors import Actor  # noqa: E402
from payops.core.models import User  # noqa: E402
from payops.core.money import Money  # noqa: E402
from payops.flows import turns  # noqa: E402
from payops.flows.refunds import request as refund  # noqa: E402
from payops.payments.models import Payment, Refund  # noqa: E402

AMOUNT_MINOR = 1_000
BY = "amara"
CHUNK = 100


def charged(count: int) -> dict[str, Any]:
    """So many captured payments in the books."""
    lanes_work.backlog(count)
    order = turns.order_of("bulk")
    while turns.take_turn(order).claimed:
        pass
    return {"charged": Payment.objects.filter(state=Payment.State.CAPTURED).count()}


def granted(count: int) -> dict[str, Any]:
    """So many refunds, granted by rule, each of a charge of its own; ready to be sent."""
    user = User.objects.select_related("person").get(username=BY)
    actor = Actor(channel="browser", person_id=user.person_id, login=BY, user_id=user.pk)
    whole = Payment.objects.select_related("book", "account", "beneficiary")
    paid = list(whole.filter(refunds=None).order_by("created_at")[:count])
    for first in range(0, len(paid), CHUNK):
        now = clock.utc_now()
        with transaction.atomic(durable=True):
            for payment in paid[first : first + CHUNK]:
                row = refund.ask_refund(_ask(payment, user), actor=actor, now=now)
                assert row.state == Refund.State.APPROVED, row.refusal
    return {"granted": len(paid)}


def work(seconds: float) -> dict[str, Any]:
    """One worker process of the lane of calls; how many it had in the air, until all is sent."""
    aloft: list[int] = []
    real = flights._Deck.land

    def watched(deck: Any) -> None:
        aloft.append(len(deck.in_the_air))
        real(deck)

    flights._Deck.land = watched  # type: ignore[method-assign, assignment]
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not turns.work("calls", budget_s=20.0).claimed:
            with connection.cursor() as cursor:
                cursor.execute(LEFT)
                if not cursor.fetchone()[0]:
                    break
    full = sorted(aloft[len(aloft) // 10 : -len(aloft) // 4] or [0])
    return {"aloft": sum(full) / len(full), "aloft_low": full[len(full) // 10]}


def check() -> dict[str, Any]:
    """Everything that must be true once all were sent, from the rows themselves."""
    with connection.cursor() as cursor:
        cursor.execute(CHECK, [AMOUNT_MINOR])
        names = [column.name for column in cursor.description]
        return dict(zip(names, cursor.fetchone(), strict=True))


LEFT = """
SELECT EXISTS (SELECT 1 FROM core_message WHERE topic = 'refund.dispatch' AND state = 'PENDING')
"""
CHECK = """
SELECT (SELECT count(*) FROM payments_refund WHERE state = 'SUCCEEDED') AS succeeded,
  (SELECT count(*) FROM payments_refund WHERE state <> 'SUCCEEDED') AS others,
  (SELECT count(*) FROM payments_intent WHERE kind = 'refund' AND state = 'SUCCEEDED') AS intents,
  (SELECT count(*) FROM payments_providercall) AS attempts,
  (SELECT count(*) FROM ledger_journalentry WHERE event_class = 'refund.accepted') AS accepted,
  (SELECT count(*) FROM ledger_journalentry WHERE event_class = 'refund.succeeded') AS posted,
  (SELECT coalesce(sum(amount_minor), 0)::bigint FROM ledger_journalline) AS balance_minor,
  (SELECT count(*) FROM payments_payment p WHERE p.refunded_minor NOT IN (0, %s)
    OR p.reserved_minor <> 0) AS miscounted,
  (SELECT count(*) FROM cases_case WHERE rule LIKE 'refund%%') AS cases
"""


def _ask(payment: Payment, user: User) -> refund.RefundAsk:
    assert user.person is not None
    return refund.RefundAsk(
        payment=payment,
        amount=Money(AMOUNT_MINOR, payment.currency),
        reason_code="requested_by_customer",
        note="",
        evidence={"customer_message": "I do not need it any more"},
        request_key=f"bench:{payment.public_id}",
        requested_by=user.person,
    )


MODES: dict[str, Callable[[str], dict[str, Any]]] = {
    "charged": lambda given: charged(int(given)),
    "granted": lambda given: granted(int(given)),
    "work": lambda given: work(float(given)),
    "check": lambda given: check(),
}

if __name__ == "__main__":
    print(json.dumps(MODES[sys.argv[1]](sys.argv[2])))
