"""What the rules engine says about a case, in sentences of its own (AI-1)."""

from __future__ import annotations

import pytest

from payops.cases import advice
from payops.triage import rules
from tests import builders
from tests.flows.lifecycle import Teller, open_case
from tests.stories import paid_payout

pytestmark = pytest.mark.django_db(transaction=True)


def test_advice_says_what_happened_how_long_after_at_what_stake_and_how_often_told(settings):
    settings.PAYOPS_ADVICE = "rules"
    payout = paid_payout("12400.00")
    Teller(payout, code="could_not_process").tell("failed")
    builders.drain()
    case = open_case(payout)
    assert case is not None

    said = advice.latest_for(case)

    assert said is not None
    assert said.summary == (
        "The provider failed it with the code could_not_process less than a minute after it had "
        "reported it as paid, told in 1 webhook delivery so far; 12,400.00 EUR is at stake."
    )
    assert case.title not in said.summary
    assert said.likely_cause == (
        "likely bank rejection; verify the beneficiary's details before any re-issue"
    )
    assert (said.engine, said.version, said.suggests) == ("rules", "4", "reissue")


def test_a_case_that_is_no_payout_failure_is_given_its_own_rules_next_step():
    facts = {"rule": "event_conflict", "deliveries": 2, "amount": "", "root_cause": ""}

    assert rules._summary(facts) == (
        "One event id arrived with two contents, told in 2 webhook deliveries so far."
    )
    assert rules._likely_cause(facts).startswith("not known yet; look at both raw bodies")
    assert rules._next_step(facts) == "ask the provider which content is true"
