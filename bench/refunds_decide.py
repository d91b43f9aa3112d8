"""The processes behind `bench/refunds.py`: charges, requests decided one by one, the check.

Each mode runs in a process of its own, because it needs the product configured; they print one
JSON line.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import django

django.setup()

from django.db import connection  # noqa: E402

from bench import lanes_work, refunds_calls  # noqa: E402
from payops.core import clock  # noqa: E402
from payops.core.actors import Actor  # noqa: E402
from payops.core.models import User  # noqa: E402
from payops.core.money import Money  # noqa: E402
from payops.flows.refunds import request as refund  # noqa: E402
from payops.payments.models import Payment  # noqa: E402

BY = "amara"
# Far from the numbers of the other benches' charges, which may be there.
CHARGES_FROM = 250_000_000
# Of one charge of the bench: granted by rule, put to people, more than is left.
MIXES = {"rule": (3_000,), "mixed": (3_000, 6_000, 999_900)}


def charged(count: int) -> dict[str, Any]:
    lanes_work.BULK_FROM = CHARGES_FROM
    return refunds_calls.charged(count)


def decide(mix: str, given: str) -> dict[str, Any]:
    """Load a share of the charges without refunds, wait for the word, ask one by one."""
    number, each = map(int, given.split(":"))
    user = User.objects.select_related("person").get(username=BY)
    actor = Actor(channel="browser", person_id=user.person_id, login=BY, user_id=user.pk)
    whole = Payment.objects.select_related("book", "account", "beneficiary")
    free = whole.filter(refunds=None, reserved_minor=0, refunded_minor=0).order_by("pk")
    paid = list(free[number * each : (number + 1) * each])
    assert len(paid) == each, f"{len(paid)} charges are free, {each} are needed"
    asks = [_ask(payment, user, minor) for payment in paid for minor in MIXES[mix]]
    print("ready", flush=True)
    sys.stdin.readline()
    waits: list[float] = []
    start = time.perf_counter()
    for ask in asks:
        began = time.perf_counter()
        refund.request_refund(ask=ask, actor=actor, now=clock.utc_now())
        waits.append(time.perf_counter() - began)
    seconds = time.perf_counter() - start
    waits.sort()
    p99_ms = waits[int(len(waits) * 0.99)] * 1000
    return {"requests": len(asks), "seconds": seconds, "p99_ms": p99_ms}


def check() -> dict[str, Any]:
    """Everything that must be true of the requests of this bench, from the rows themselves."""
    with connection.cursor() as cursor:
        cursor.execute(CHECK)
        names = [column.name for column in cursor.description]
        return dict(zip(names, cursor.fetchone(), strict=True))


CHECK = """
WITH ours AS (SELECT r.*, 'rf_' || replace(r.id::text, '-', '') AS public_id
  FROM payments_refund r WHERE r.request_key LIKE 'decide:%%')
SELECT (SELECT count(*) FROM ours WHERE state = 'APPROVED' AND approval_id = '') AS by_rule,
  (SELECT count(*) FROM ours WHERE state = 'AWAITING_APPROVAL') AS to_people,
  (SELECT count(*) FROM ours WHERE state = 'REFUSED' AND refusal LIKE '%% asked, %% left of %%')
    AS refused,
  (SELECT count(*) FROM payments_refunddecision d JOIN ours r ON r.id = d.refund_id) AS decisions,
  (SELECT count(*) FROM core_auditevent a JOIN ours r ON r.public_id = a.subject_id) AS trails,
  (SELECT count(*) FROM core_message m JOIN ours r ON m.payload ->> 'refund_id' = r.public_id
    WHERE m.topic = 'refund.dispatch') AS news,
  (SELECT count(*) FROM approvals_approvalrequest a JOIN ours r ON r.public_id = a.subject_id)
    AS approvals,
  (SELECT coalesce(sum(p.reserved_minor), 0)::bigint FROM payments_payment p
    WHERE EXISTS (SELECT 1 FROM ours r WHERE r.payment_id = p.id)) AS reserved_minor,
  (SELECT count(*) FROM payments_payment p WHERE p.reserved_minor <> (SELECT
    coalesce(sum(r.amount_minor), 0) FROM payments_refund r WHERE r.payment_id = p.id AND r.state
    IN ('REQUESTED', 'AWAITING_APPROVAL', 'APPROVED', 'DISPATCHING', 'UNKNOWN'))) AS miscounted
"""


def _ask(payment: Payment, user: User, amount_minor: int) -> refund.RefundAsk:
    assert user.person is not None
    return refund.RefundAsk(
        payment=payment,
        amount=Money(amount_minor, payment.currency),
        reason_code="order_canceled",
        note="",
        evidence={"order_reference": "O-1"},
        request_key=f"decide:{payment.public_id}:{amount_minor}",
        requested_by=user.person,
    )


MODES: dict[str, Callable[[str], dict[str, Any]]] = {
    "charged": lambda given: charged(int(given)),
    "rule": lambda given: decide("rule", given),
    "mixed": lambda given: decide("mixed", given),
    "check": lambda given: check(),
}

if __name__ == "__main__":
    print(json.dumps(MODES[sys.argv[1]](sys.argv[2])))
