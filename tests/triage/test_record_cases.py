"""Advice on cases about disputes and refunds says what their records say (AI-1, AI-3, D8, D9)."""

from __future__ import annotations

import time

import pytest

from payops.cases import advice
from payops.cases.models import Case
from payops.core import clock
from payops.payments.models import Dispute, Refund
from payops.triage import disputes, rules
from tests.builders import drain
from tests.flows.dispute_tales import Tale

pytestmark = pytest.mark.django_db(transaction=True)
DAY = 86_400


def test_the_case_of_a_dispute_has_the_disputes_advice() -> None:
    """AI-3, D9: reason, deadline and whether a refund would end it."""
    tale = Tale("stripe", due_at=int(time.time()) + 5 * DAY)
    tale.captured().happens("opened", "withdrawn")
    drain()

    case = Case.objects.get(rule="dispute")
    said = advice.latest_for(case)

    assert said is not None
    facts = {**disputes.facts_of(tale.dispute, now=clock.utc_now()), "days_left": None}
    expected = disputes.advise(facts)
    assert (said.version, said.summary) == (rules.VERSION, expected.summary)
    due = tale.dispute.evidence_due_at
    assert said.summary.endswith(f"Answer by {due:%Y-%m-%d %H:%M} UTC.")
    assert said.next_step == (
        "send the evidence that you have before the deadline, or accept the loss; never refund"
    )
    assert said.input_facts["dispute"]["state"] == Dispute.State.OPEN


@pytest.mark.parametrize(
    ("code", "next_step"),
    [
        (
            "expired_or_canceled_card",
            "ask where the customer wants the money, pay it by hand and record it; do not retry",
        ),
        ("insufficient_funds", "top up the balance, then try it again once"),
        ("canceled_at_provider", "find out who canceled it and why, then try it again once"),
    ],
)
def test_a_refund_that_is_still_owed_says_whether_the_same_way_helps(
    code: str, next_step: str
) -> None:
    """D8"""
    facts = {
        "refund": {
            "amount": "30.00 EUR",
            "state": str(Refund.State.FAILED_LATE),
            "obligation": "owed",
            "failure_code": code,
        }
    }

    said = rules._said(facts)

    assert said.summary == "A refund of 30.00 EUR did not arrive; it is still owed."
    assert said.next_step == next_step
    assert code in said.likely_cause
