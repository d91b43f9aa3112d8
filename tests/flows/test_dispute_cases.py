"""The case of a dispute: the provider's deadline is its clock, its end ends it (OB-8, F1, D10)."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest

from payops.cases.models import Case, CaseEntry, LocalMessage
from payops.core import clock
from payops.core.models import AuditEvent
from payops.flows.disputes import acts as dispute
from payops.flows.disputes import deadlines as dispute_deadlines
from tests.flows.dispute_tales import Tale
from tests.people import actor

pytestmark = pytest.mark.django_db(transaction=True)
DAY = 86_400


def case_of(tale: Tale, rule: str = "dispute") -> Case:
    return Case.objects.get(rule=rule, fingerprint=tale.dispute.public_id)


def told(due_in_s: int, *words: str, provider: str = "standard") -> Tale:
    tale = Tale(provider, due_at=int(time.time()) + due_in_s)
    return tale.captured().happens(*words)


def test_the_case_is_due_a_day_before_the_provider_wants_the_evidence() -> None:
    tale = told(9 * DAY, "opened", "withdrawn")

    case = case_of(tale)
    due = tale.dispute.evidence_due_at
    assert due is not None
    assert case.due_at == due - timedelta(hours=24)
    assert (
        case.title == f"Dispute {tale.ref} of 100.00 EUR about charge ORD-{tale.name}: fraudulent"
    )
    assert Case.objects.count() == 1


def test_where_little_time_is_left_a_quarter_of_it_is_the_margin() -> None:
    tale = told(8 * 3_600, "opened")

    case, due = case_of(tale), tale.dispute.evidence_due_at
    assert due is not None
    assert case.due_at == due - (due - case.created_at) / 4


def test_a_deadline_that_is_over_is_the_due_moment_itself() -> None:
    tale = told(-3_600, "opened")
    assert case_of(tale).due_at == tale.dispute.evidence_due_at


def test_without_a_deadline_the_rule_has_its_own_clock() -> None:
    tale = Tale("adyen").captured().happens("opened")
    case = case_of(tale)
    assert case.due_at == case.created_at + timedelta(hours=24)


def test_a_later_deadline_moves_the_clock_and_is_audited() -> None:
    tale = told(4 * DAY, "opened")
    tale.due_at = int(time.time()) + 9 * DAY
    tale.happens("review")

    due = tale.dispute.evidence_due_at
    assert due is not None
    assert case_of(tale).due_at == due - timedelta(hours=24)
    assert AuditEvent.objects.filter(action="case.due_changed").count() == 2


def test_a_won_dispute_ends_its_case_once_the_money_is_back() -> None:
    tale = told(9 * DAY, "opened", "withdrawn", "won")
    assert (tale.dispute.state, case_of(tale).state) == ("WON", "OPEN")

    tale.happens("returned")

    case = case_of(tale)
    assert (case.state, case.resolution) == ("RESOLVED", "dispute_ended")
    lines = CaseEntry.objects.filter(case=case, kind="closed")
    assert lines.get().text == "the dispute is won and its money is back"


def test_a_second_round_opens_the_same_case_again() -> None:
    """D10: one case for the dispute's whole life."""
    tale = told(9 * DAY, "opened", "withdrawn", "returned")
    assert case_of(tale).state == "RESOLVED"

    tale.happens("again")

    assert case_of(tale).state == "TRIAGED"
    assert Case.objects.count() == 1


def test_a_dispute_known_by_its_money_alone_learns_its_name() -> None:
    """PayPal takes the money under a number of its own: one dispute, one case, in any order."""
    tale = Tale("paypal").captured().happens("withdrawn")
    assert tale.dispute.provider_ref == f"RV{tale.name}withdrawn"

    tale.happens("opened")

    assert tale.dispute.provider_ref == tale.ref
    assert case_of(tale).title.startswith(f"Dispute {tale.ref} of 100.00 EUR")


def test_people_are_told_once_while_there_is_time_and_once_when_it_is_over() -> None:
    tale = told(47 * 3_600, "opened")
    now = clock.utc_now()

    assert dispute_deadlines.escalate(now) == 1
    assert dispute_deadlines.escalate(now + timedelta(minutes=5)) == 0
    assert case_of(tale).priority == "urgent"
    assert dispute_deadlines.escalate(now + timedelta(hours=48)) == 1
    assert dispute_deadlines.escalate(now + timedelta(hours=49)) == 0

    lines = CaseEntry.objects.filter(case=case_of(tale), kind="deadline").order_by("created_at")
    near, over = lines.values_list("text", flat=True)
    assert near.startswith("evidence for 100.00 EUR is due by ")
    assert over.endswith("; no evidence was sent")
    subjects = LocalMessage.objects.filter(subject__startswith=f"Dispute {tale.ref}")
    assert subjects.count() == 2


def test_nobody_is_told_early_or_after_the_evidence_was_sent() -> None:
    early, answered = told(5 * DAY, "opened"), told(DAY, "opened")
    dispute.evidence_sent(
        dispute_id=answered.dispute.pk,
        reference="submission 1",
        actor=actor("amara"),
        now=clock.utc_now(),
    )

    assert dispute_deadlines.escalate(clock.utc_now()) == 0
    assert case_of(early).priority == "normal"
