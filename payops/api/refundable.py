"""What a charge may still give back, looked at through the same rules as a request (RF-3, RF-14).

What the caller did not name is not judged: without a reason its evidence and risk, without a
person the right to ask.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from payops.api.refund_reads import charge_of
from payops.core import ids
from payops.core.models import Person
from payops.core.money import Money
from payops.flows.refunds import policy as refund_policy
from payops.flows.refunds import request as refund_flow
from payops.flows.refunds.request import RefundAsk
from payops.payments.models import Payment
from payops.payments.refund_rules import verdict_of, words_of

OF_REASON = frozenset({"reason", "required_evidence", "complete_evidence", "risk"})
OF_PERSON = frozenset({"requester"})
GIVEN = "given"
# No request has this key: nothing is asked for.
LOOKING = "look"


def look(
    *,
    payment: Payment,
    amount: Money | None,
    reason_code: str,
    evidence: Sequence[str],
    person: Person | None,
    now: datetime,
) -> dict[str, Any]:
    """Verdict, checks and figures of a request that nobody made."""
    wanted = RefundAsk(
        payment=payment,
        amount=amount,
        reason_code=reason_code,
        note="",
        evidence=dict.fromkeys(evidence, GIVEN),
        request_key=LOOKING,
        requested_by=person or Person(id=ids.uuid7(), name="nobody named"),
        source="api",
    )
    seen = refund_flow.look(ask=wanted, now=now)
    left_out = (frozenset() if reason_code else OF_REASON) | (frozenset() if person else OF_PERSON)
    checks = [check for check in seen.checks if check.check not in left_out]
    rules = refund_policy.rules_of(payment.book, now)
    shown = payment.refundable if amount is None else amount
    return {
        "payment": charge_of(payment),
        "amount": shown.decimal_text(),
        "verdict": verdict_of(checks),
        "words": words_of(checks, rules),
        "checks": checks,
    }
