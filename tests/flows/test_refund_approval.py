"""D5, D6, D9, F7, F26, AP-10: who grants and who sends a refund, and what they see before it."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction

from approvals import services as approvals
from approvals.refusals import NotYourDecision, PersonBarred, RequesterBarred
from payops.core import clock, state
from payops.core.actors import service
from payops.core.models import AuditEvent
from payops.flows.refunds import request as refund_flow
from payops.flows.refunds.request import RefundRefused
from payops.payments.models import Refund
from tests.builders import approval_of, approve_all, decide
from tests.flows.test_refund_request import dispute
from tests.people import actor
from tests.refund_asks import (
    carry_decisions,
    charge,
    counters,
    decision_of,
    dispatches,
    granted,
    reload,
)
from tests.refunds import ask as asked
from tests.refunds import asking

pytestmark = pytest.mark.django_db(transaction=True)


def rechecked(refund: Refund) -> str:
    with transaction.atomic():
        return refund_flow.recheck(refund_flow.locked(refund.pk), clock.utc_now())


def test_the_deciders_see_the_money_s_way_and_why_people_decide() -> None:
    """D6, F7"""
    payment = charge(10_000, platform_minor=1_000)

    refund = asked(payment, "60.00", note="arrived broken")

    approval = approval_of(refund.approval_id)
    assert approval.title == f"Refund 60.00 EUR of {payment.merchant_ref}"
    assert approval.reason == "Order canceled before it was sent: arrived broken"
    assert (approval.cumulative_key, approval.amount_minor) == (payment.public_id, 6_000)
    accepted, succeeded, *rest = approval.consequences
    assert {(line["account"], line["amount_minor"]) for line in accepted["lines"]} == {
        ("2000", 5_400),
        ("4000", 600),
        ("2110", -6_000),
    }
    assert {(line["account"], line["amount_minor"]) for line in succeeded["lines"]} == {
        ("2110", 6_000),
        ("1100", -6_000),
    }
    assert [each["words"] for each in rest] == [
        "refunded through standard/demo",
        "60.00 EUR is above 50.00 EUR, the most a rule grants alone",
    ]
    assert reload(refund).shares == {}


def test_a_granted_refund_is_handed_over_to_be_sent_once() -> None:
    """AP-10: nothing leaves before the outcome."""
    payment = charge(10_000)
    refund = asked(payment, "60.00")
    assert dispatches(refund) == 0

    approve_all(approval_of(refund.approval_id))
    carry_decisions()
    carry_decisions()

    assert (reload(refund).state, dispatches(refund)) == ("APPROVED", 1)
    assert counters(payment) == (10_000, 6_000, 0)


def test_a_rejection_frees_the_money_and_says_who_and_why() -> None:
    """RF-18"""
    payment = charge(10_000)
    refund = asked(payment, "60.00")

    decide(approval_of(refund.approval_id), "lena", "reject", reason="no proof of it")
    carry_decisions()

    assert (reload(refund).state, reload(refund).refusal) == (
        "REFUSED",
        "refused by Lena Fischer: no proof of it",
    )
    assert (counters(payment), dispatches(refund)) == ((10_000, 0, 0), 0)
    assert asked(payment, "100.00").state == "AWAITING_APPROVAL"


def test_a_grant_that_is_taken_back_before_it_leaves_ends_the_refund() -> None:
    """F9"""
    payment = charge(10_000)
    refund = granted(payment, "60.00")

    approvals.undo(
        request_id=refund.approval_id,
        reason="wrong charge",
        actor=actor("lena"),
        now=clock.utc_now(),
    )
    carry_decisions()

    assert reload(refund).state == "REFUSED"
    assert reload(refund).refusal == "its approval is void: taken back: wrong charge"
    assert counters(payment) == (10_000, 0, 0)


def test_the_requester_does_not_decide_with_the_seat_s_own_role() -> None:
    """D5"""
    refund = asked(charge(10_000), "60.00", by="lena")

    with pytest.raises(RequesterBarred):
        decide(approval_of(refund.approval_id), "lena")

    assert reload(refund).state == "AWAITING_APPROVAL"


def test_another_login_of_the_same_person_is_the_same_person() -> None:
    """D5: amara asks, amara-2 decides."""
    refund = asked(charge(10_000), "60.00", by="amara")

    with pytest.raises(RequesterBarred):
        decide(approval_of(refund.approval_id), "amara-2")


def test_a_system_that_asks_for_somebody_bars_that_person_too() -> None:
    """D5: the person the API names is the requester, and the asking login never decides."""
    ask = asking(charge(10_000), "60.00", by="tomas", source="api")
    refund = refund_flow.request_refund(ask=ask, actor=actor("lena"), now=clock.utc_now())

    for login, refusal in (("tomas", RequesterBarred), ("lena", PersonBarred)):
        with pytest.raises(refusal):
            decide(approval_of(refund.approval_id), login)


def test_somebody_without_the_seat_does_not_decide() -> None:
    refund = asked(charge(10_000), "60.00")

    with pytest.raises(NotYourDecision):
        decide(approval_of(refund.approval_id), "priya")


def test_looking_again_takes_the_grant_once_and_keeps_what_was_seen() -> None:
    """D6: exactly the approved content; the second look is kept beside the first."""
    refund = granted(charge(10_000), "60.00")

    assert rechecked(refund) == ""

    assert approval_of(refund.approval_id).executed_at is not None
    assert decision_of(refund, "send").verdict == "approval"
    assert rechecked(refund).startswith(f"{refund.approval_id} was taken for execution at")


def test_a_dispute_that_opened_meanwhile_stops_it_before_it_leaves() -> None:
    """D9, F1"""
    payment = charge(10_000)
    refund = granted(payment, "60.00")
    row = dispute(payment)

    words = rechecked(refund)

    assert words.startswith(f"the dispute {row.public_id} blocks it")
    assert approval_of(refund.approval_id).executed_at is None
    assert decision_of(refund, "send").verdict == "refused"


def test_a_refund_granted_by_rule_is_looked_at_again_too() -> None:
    payment = charge(10_000)
    refund = asked(payment, "30.00")
    assert rechecked(refund) == ""
    dispute(payment)

    assert rechecked(refund).startswith("the dispute ")


def send(refund: Refund, by: str) -> Refund:
    return refund_flow.send(refund_id=refund.pk, actor=actor(by), now=clock.utc_now())


def test_granting_and_sending_are_two_permissions() -> None:
    """F26: neither the requester nor somebody without the permission sends it."""
    refund = granted(charge(1_000_000), "5000.01", by="lena")
    assert (refund.state, dispatches(refund)) == ("APPROVED", 0)

    for login, words in (
        ("lena", "Lena Fischer asked for it; somebody else sends it"),
        ("amara", "Amara Okafor may not send refunds"),
        ("marco", "Marco Bianchi may not send refunds"),
    ):
        with pytest.raises(RefundRefused, match=words):
            send(refund, login)
    assert dispatches(refund) == 0

    send(refund, "henrik")
    send(refund, "tomas")

    assert dispatches(refund) == 1
    assert reload(refund).sent_by.name == "Henrik Dahl"  # type: ignore[union-attr]
    assert AuditEvent.objects.filter(action="refund.sent_on").count() == 1


def test_what_is_sent_by_itself_or_not_granted_is_not_sent_by_hand() -> None:
    one, two = charge(10_000), charge(10_000)
    by_itself, waiting = asked(one, "30.00"), asked(two, "60.00")

    with pytest.raises(RefundRefused, match="is sent by itself"):
        send(by_itself, "sofia")
    with pytest.raises(RefundRefused, match="is AWAITING_APPROVAL; only a granted refund"):
        send(waiting, "sofia")


def test_what_has_left_is_not_canceled() -> None:
    """RF-16"""
    refund = granted(charge(10_000), "60.00")
    with transaction.atomic():
        row = refund_flow.locked(refund.pk)
        assert refund_flow.recheck(row, clock.utc_now()) == ""
        row.dispatch(at=clock.utc_now())
        _save(row)

    with pytest.raises(RefundRefused, match="is DISPATCHING; only a refund that has not left"):
        refund_flow.cancel(
            refund_id=refund.pk, reason="too late", actor=actor("amara"), now=clock.utc_now()
        )


def _save(row: Any) -> None:
    state.save(row, actor=service("test"), now=clock.utc_now(), action="refund.dispatched")
