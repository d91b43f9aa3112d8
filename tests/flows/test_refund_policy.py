"""AP-7, AP-8, AP-9, RF-14: what the table grants alone, what people decide, and how it changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from django.db import transaction

from approvals.models import ApprovalRequest, PolicyVersion
from approvals.policies import PolicyError
from approvals.policy_changes import KIND as POLICY_CHANGE
from payops.commands.bootstrap import as_owner
from payops.core import clock, state
from payops.core.actors import service
from payops.core.models import Book
from payops.core.money import Money
from payops.flows import governance
from payops.flows.governance import ChangeRefused
from payops.flows.refunds import policy as refund_policy
from payops.flows.refunds import request as refund_flow
from payops.payments import refund_table
from payops.payments.models import Payment, RefundDecision
from payops.payments.refund_rules import Facts, checks_of, verdict_of
from payops.payments.refund_table import Rules, TableError
from tests.builders import approve_all
from tests.flows.test_refund_request import dispute
from tests.people import actor
from tests.refund_asks import (
    carry_decisions,
    charge,
    decision_of,
    dispatches,
    failed_checks,
    granted,
)
from tests.refunds import ask as asked
from tests.refunds import asking

pytestmark = pytest.mark.django_db(transaction=True)


def book() -> Book:
    return Book.objects.get(code="meridian")


def table(**change: Any) -> dict[str, Any]:
    return {**refund_table.seeded(currency="EUR"), **change}


def rules(**change: Any) -> Rules:
    return refund_table.parse(table(**change), currency="EUR", version=7)


PLAIN = Facts(
    payment_id="pa_1",
    payment_state="CAPTURED",
    currency="EUR",
    captured_minor=10_000,
    reserved_minor=0,
    refunded_minor=0,
    left_minor=10_000,
    amount_minor=5_000,
    reporting_minor=5_000,
    account="standard/demo",
    asked_currency="EUR",
    asked_account="",
    settles_at="2026-03-01 10:00 UTC",
    settled=True,
    reason_code="item_not_received",
    evidence=("carrier_status", "order_reference"),
    prior_refunds=0,
    prior_refunded_minor=0,
    blocking_disputes=(),
    early_disputes=(),
    prior_disputes=0,
    seller_disputes=0,
    twins=(),
    requester="Amara Okafor",
    requester_may=True,
    provider_refunds=True,
    source="console",
)


@pytest.mark.parametrize(
    ("change", "verdict", "failed"),
    [
        ({}, "auto", []),
        ({"reporting_minor": 5_001}, "approval", ["amount"]),
        ({"reporting_minor": None}, "approval", ["amount"]),
        ({"prior_refunds": 1, "prior_refunded_minor": 100}, "approval", ["first_refund"]),
        ({"evidence": ("order_reference",)}, "approval", ["complete_evidence"]),
        ({"evidence": ("carrier_status",)}, "refused", ["required_evidence"]),
        ({"prior_disputes": 1}, "approval", ["risk"]),
        ({"seller_disputes": 4}, "auto", []),
        ({"seller_disputes": 5}, "approval", ["risk"]),
        (
            {"reason_code": "order_canceled", "prior_disputes": 1, "seller_disputes": 9},
            "auto",
            [],
        ),
        (
            {"reason_code": "fraud_reported", "evidence": ("customer_message", "police_report")},
            "approval",
            ["risk"],
        ),
        ({"source": "bulk"}, "approval", ["way"]),
        ({"offline": True}, "approval", ["way"]),
        ({"goodwill": True}, "approval", ["way"]),
        ({"is_retry": True}, "approval", ["way"]),
        ({"early_disputes": ("dp_1",)}, "approval", ["early_dispute"]),
        ({"twins": ("rf_1",)}, "approval", ["no_twin"]),
        ({"blocking_disputes": ("dp_1",)}, "refused", ["no_blocking_dispute"]),
        ({"settled": False}, "auto", []),
        ({"provider_refunds": False}, "refused", ["provider"]),
        ({"provider_refunds": False, "offline": True}, "approval", ["way"]),
        ({"left_minor": 4_999}, "refused", ["remaining"]),
        ({"reporting_minor": 9_000, "blocking_disputes": ("dp_1",)}, "refused", None),
    ],
)
def test_the_table_decides(change: dict[str, Any], verdict: str, failed: list[str] | None) -> None:
    """AP-7, AP-8: a rule grants only what passes entirely; a hard check wins over everything."""
    checks = checks_of(replace(PLAIN, **change), rules())

    assert verdict_of(checks) == verdict
    if failed is not None:
        assert [check.check for check in checks if not check.passed] == failed


def test_stored_facts_come_back_as_they_were() -> None:
    """AP-9: so that another table can be tried on them."""
    assert Facts.from_plain(PLAIN.plain()) == PLAIN


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"auto_max_minor": "5000"}, "auto_max_minor is '5000'"),
        ({"auto_max_minor": 50.0}, "auto_max_minor is 50.0"),
        ({"auto_max_minor": -1}, "auto_max_minor is -1"),
        ({"auto_max_minor": 10**9 + 1}, "1000000000 is the most"),
        ({"requires_settled": "no"}, "requires_settled is yes or no"),
        ({"never_auto_channels": ["fax"]}, "never_auto_channels"),
        ({"reasons": {}}, "names 1 to 40 reasons"),
        ({"reasons": {"Because": {}}}, "a reason is named 'Because'"),
        ({"surprise": 1}, "this one has"),
    ],
)
def test_a_table_that_cannot_be_applied_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(TableError, match=words):
        refund_table.parse(table(**change), currency="EUR", version=1)
    with pytest.raises(PolicyError, match=words):
        refund_policy.check(table(**change), book())


def propose(rules_: dict[str, Any], by: str = "ingrid") -> ApprovalRequest:
    return governance.propose(
        kind=POLICY_CHANGE,
        facts={"policy": "refund.policy", "rules": rules_},
        title="less by rule",
        reason="losses of last month",
        actor=actor(by),
        now=clock.utc_now(),
    )


def test_another_table_applies_once_approved_and_to_later_requests_alone() -> None:
    """AP-9, D5: who decided under which version stays readable."""
    one, two, three = charge(10_000), charge(10_000), charge(10_000)
    before = asked(one, "40.00")

    approval = propose(table(auto_max_minor=3_000))
    assert asked(two, "40.00").state == "APPROVED"
    approve_all(approval)
    carry_decisions()
    after = asked(three, "40.00")

    assert (decision_of(before).ruleset, before.state) == ("refund.policy v1", "APPROVED")
    assert (decision_of(after).ruleset, after.state) == ("refund.policy v2", "AWAITING_APPROVAL")
    assert failed_checks(after) == {
        "amount": "40.00 EUR is above 30.00 EUR, the most a rule grants alone"
    }


def test_a_table_that_cannot_be_applied_is_not_even_asked_about() -> None:
    with pytest.raises(ChangeRefused, match="auto_max_minor is -1"):
        propose(table(auto_max_minor=-1))
    with pytest.raises(ChangeRefused, match="may not propose_policy"):
        propose(table(auto_max_minor=1), by="amara")

    assert ApprovalRequest.objects.count() == 0


def test_the_outlook_says_what_the_change_would_have_decided() -> None:
    """AP-9: on the stored facts, so that the difference is the table's alone."""
    paid = [charge(10_000), charge(10_000), charge(10_000), charge(1_000)]
    for payment, amount in zip(paid, ("20.00", "40.00", "60.00", "20.00"), strict=True):
        asked(payment, amount)

    seen = refund_policy.outlook(
        rules=table(auto_max_minor=3_000), book=book(), now=clock.utc_now()
    )

    assert (seen.requests, seen.is_cut) == (4, False)
    assert seen.counts == (("refused", 1, 1), ("auto", 2, 1), ("approval", 1, 2))
    assert seen.changed_count == 1
    (moved,) = seen.changed
    assert (moved.amount, moved.before, moved.after) == (Money(4_000, "EUR"), "auto", "approval")
    assert moved.words == "40.00 EUR is above 30.00 EUR, the most a rule grants alone"
    assert RefundDecision.objects.count() == 4


def test_the_outlook_of_the_same_table_changes_nothing() -> None:
    asked(charge(10_000), "20.00")

    seen = refund_policy.outlook(rules=table(), book=book(), now=clock.utc_now())

    assert (seen.changed_count, seen.changed) == (0, ())
    with pytest.raises(PolicyError, match="auto_max_minor is -1"):
        refund_policy.outlook(rules=table(auto_max_minor=-1), book=book(), now=clock.utc_now())


def test_a_version_that_was_not_the_approved_one_grants_nothing() -> None:
    """AP-9: written as the owner, who is above the guards."""
    with as_owner():
        PolicyVersion.objects.create(
            book=book(),
            name="refund.policy",
            version=2,
            rules=table(auto_max_minor=10**9),
            content_hash="0" * 64,
            active_from=clock.utc_now(),
        )

    refund = asked(charge(10_000), "20.00")

    assert (refund.state, decision_of(refund).policy) == ("AWAITING_APPROVAL", None)


def test_a_high_risk_reason_brings_finance_to_the_table() -> None:
    """AP-8, RF-14: item not received, with a dispute that was won before."""
    payment = charge(10_000)
    dispute(payment, state_="WON")

    refund = asked(
        payment,
        "20.00",
        reason_code="item_not_received",
        evidence={"order_reference": "O-1", "carrier_status": "lost"},
    )

    approval = ApprovalRequest.objects.get()
    assert failed_checks(refund)["risk"] == (
        "Item not received is of high risk with prior disputes: 1 of the charge, 0 of its seller "
        "lately"
    )
    assert (approval.facts["high_risk"], approval.seats) == (True, ["ops_lead", "finance_manager"])


def test_bulk_is_never_granted_by_rule_and_finance_decides_too() -> None:
    """F23"""
    refund = asked(charge(10_000), "20.00", source="bulk")

    approval = ApprovalRequest.objects.get()
    assert (refund.state, approval.seats) == ("AWAITING_APPROVAL", ["ops_lead", "finance_manager"])


def test_the_second_partial_needs_people_whatever_its_amount() -> None:
    """AP-8"""
    payment = charge(10_000)
    asked(payment, "5.00")

    second = asked(payment, "1.00", reason_code="order_canceled")

    assert second.state == "AWAITING_APPROVAL"
    assert failed_checks(second) == {
        "first_refund": "the charge has 1 refund of 5.00 EUR in all already"
    }


def test_an_unknown_rate_goes_to_the_highest_tier() -> None:
    """D2: never a guess."""
    like = charge(10_000)
    payment = Payment(
        book=like.book,
        account=like.account,
        beneficiary=like.beneficiary,
        state="CAPTURED",
        provider_ref="spm_sek",
        amount_minor=10_000,
        captured_minor=10_000,
        currency="SEK",
        captured_at=clock.utc_now(),
    )
    with transaction.atomic():
        state.save(payment, actor=service("test"), now=clock.utc_now(), action="payment.captured")

    refund = asked(payment, "1.00")

    approval = ApprovalRequest.objects.get()
    assert (refund.state, approval.tier, approval.seats) == (
        "AWAITING_APPROVAL",
        "top",
        ["finance_manager", "treasury"],
    )
    assert decision_of(refund).facts["reporting_minor"] is None


def test_above_the_policy_s_amount_a_person_sends_what_was_granted() -> None:
    """F26"""
    one, two = charge(1_000_000), charge(1_000_000)

    refund = granted(one, "5000.01")
    below = granted(two, "5000.00")

    assert (refund.state, refund.send_by_person, dispatches(refund)) == ("APPROVED", True, 0)
    assert (below.state, below.send_by_person, dispatches(below)) == ("APPROVED", False, 1)


def test_looking_at_an_unknown_reason_is_told_in_the_checks() -> None:
    seen = refund_flow.look(
        ask=asking(charge(10_000), "30.00", reason_code="because"), now=clock.utc_now()
    )

    assert (seen.verdict, seen.words.startswith("no reason 'because'")) == ("refused", True)
