"""Refunds, their counters and decisions attacked past the services (I6, I7, I9, D5, D9, F26)."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction

from approvals import services as approvals
from approvals.models import PolicyVersion
from payops.core import clock, state
from payops.core.actors import service
from payops.core.state import DirectWrite
from payops.flows.refunds import obligation_ask as refund_obligation_ask
from payops.flows.refunds import obligations as refund_obligations
from payops.payments.models import Intent, Payment, Refund, RefundDecision
from tests.builders import approval_of, approve_all
from tests.console.work import browser, decision, shows
from tests.flows.test_refund_offline import failed
from tests.flows.test_refund_request import dispute
from tests.guards.approval_attacks import refused, run
from tests.people import actor, person
from tests.refund_asks import charge, counters, decision_of, granted, reload
from tests.refunds import ask as asked

pytestmark = pytest.mark.django_db(transaction=True)

COUNTED = "its refunds say"
UNGRANTED = "a refund leaves only with its own granted approval"
NO_RULE = "a refund leaves only approved, or granted by the rule of its policy"


def leave(refund: Refund, **change: Any) -> None:
    """By hand into DISPATCHING, the way an intruder with the app role would."""
    run("UPDATE payments_refund SET state = 'APPROVED' WHERE id = %s", refund.pk)
    sets = "".join(f", {name} = %s" for name in change)
    run(
        f"UPDATE payments_refund SET state = 'DISPATCHING', dispatched_at = now(){sets}"
        " WHERE id = %s",
        *change.values(),
        refund.pk,
    )


def still(refund: Refund, expected: str) -> None:
    """The refused attempt left nothing behind."""
    assert (reload(refund).state, Intent.objects.count()) == (expected, 0)


def forge(refund: Refund, **change: Any) -> RefundDecision:
    """An auto decision by hand."""
    version = PolicyVersion.objects.get(name="refund.policy")
    facts = {**decision_of(refund).facts, **change.pop("facts", {})}
    return RefundDecision.objects.create(
        **{
            "book": refund.book,
            "refund": refund,
            "stage": "request",
            "verdict": "auto",
            "policy": version,
            "ruleset": "refund.policy v1",
            "words": "by hand",
            "checks": [],
            "facts": facts,
            **change,
        }
    )


@pytest.mark.parametrize(
    "change",
    [
        "reserved_minor = 0",
        "reserved_minor = reserved_minor + 1",
        "refunded_minor = 1",
        "over_refunded_minor = 1",
        "reserved_minor = reserved_minor - 1, refunded_minor = refunded_minor + 1",
    ],
)
def test_the_counters_are_what_the_refunds_say_and_nothing_else(change: str) -> None:
    """I6, RF-10"""
    payment = charge(10_000)
    asked(payment, "30.00")

    with refused(COUNTED):
        run(f"UPDATE payments_payment SET {change} WHERE id = %s", payment.pk)

    assert counters(payment) == (10_000, 3_000, 0)


def test_counters_never_exceed_the_capture() -> None:
    payment = charge(10_000)

    with refused("payment_refunds_within_capture"):
        run("UPDATE payments_payment SET reserved_minor = 10001 WHERE id = %s", payment.pk)


def test_a_refund_written_past_the_flow_is_not_reserved_and_not_kept() -> None:
    """I6: a row without its reservation does not commit, one beyond the capture even less."""
    payment = charge(10_000)
    asked(payment, "80.00")

    for amount_minor, words in ((1_000, COUNTED), (3_000, COUNTED)):
        row = Refund(
            book=payment.book,
            payment=payment,
            account=payment.account,
            amount_minor=amount_minor,
            currency="EUR",
            source="console",
            reason_code="order_canceled",
            request_key=f"forged:{amount_minor}",
            requested_by=person("amara"),
            promise_id="rf_" + "0" * 32,
        )
        with refused(words):
            state.save(row, actor=service("attack"), now=clock.utc_now(), action="attack")

    assert (Refund.objects.count(), counters(payment)) == (1, (10_000, 8_000, 0))


def test_what_a_refund_gives_back_to_whom_never_changes() -> None:
    """RF-5, D6"""
    refund = asked(charge(10_000), "60.00")
    other = charge(10_000)
    for change, value in (
        ("amount_minor", 6_001),
        ("currency", "USD"),
        ("payment_id", other.pk),
        ("requested_by_id", person("lena").pk),
        ("request_key", "another"),
        ("promise_id", "rf_" + "0" * 32),
        ("offline", True),
        ("goodwill", True),
        ("source", "api"),
        ("reason_code", "fraud_reported"),
        ("send_by_person", True),
        ("created_at", "2020-01-01T00:00:00Z"),
    ):
        with refused("never changes; request a new one"):
            run(f"UPDATE payments_refund SET {change} = %s WHERE id = %s", value, refund.pk)


def test_a_refund_does_not_leave_without_its_own_granted_approval() -> None:
    """I7, I9"""
    one, two = charge(10_000), charge(10_000)
    refund, other = asked(one, "60.00"), granted(two, "60.00")

    for approval_id in (refund.approval_id, other.approval_id, "ap_" + "0" * 32):
        with refused(UNGRANTED):
            leave(refund, approval_id=approval_id)
    with refused(NO_RULE):
        leave(refund, approval_id="")

    still(refund, "AWAITING_APPROVAL")


def test_a_refund_does_not_leave_on_a_grant_that_was_taken_back() -> None:
    refund = granted(charge(10_000), "60.00")
    approvals.undo(
        request_id=refund.approval_id, reason="no", actor=actor("lena"), now=clock.utc_now()
    )

    with refused(UNGRANTED):
        leave(refund)

    still(refund, "APPROVED")


@pytest.mark.parametrize(
    "lie",
    [
        {},
        {"reporting_minor": None},
        {"reporting_minor": 1},
        {"reporting_minor": 1, "amount_minor": 1},
    ],
)
def test_a_forged_rule_does_not_let_more_than_its_limit_leave(lie: dict[str, Any]) -> None:
    """AP-7: the decision says what the refund is, or it grants nothing."""
    refund = asked(charge(10_000), "60.00")
    forge(refund, facts=lie)

    with refused(NO_RULE):
        leave(refund, approval_id="")

    still(refund, "AWAITING_APPROVAL")


@pytest.mark.parametrize(
    "lie", [{"verdict": "approval"}, {"stage": "send"}, {"verdict": "refused"}, {"policy": None}]
)
def test_only_an_auto_decision_of_the_request_by_the_policy_grants(lie: dict[str, Any]) -> None:
    payment = charge(10_000)
    refund = asked(payment, "30.00", source="bulk")
    forge(refund, **lie)

    with refused(NO_RULE):
        leave(refund, approval_id="")

    still(refund, "AWAITING_APPROVAL")


def test_decisions_are_never_changed_or_taken_away() -> None:
    """AP-9, RF-18"""
    asked(charge(10_000), "30.00")

    with refused("permission denied|append-only"):
        run("UPDATE payments_refunddecision SET verdict = 'auto'")
    with refused("permission denied|append-only"):
        run("DELETE FROM payments_refunddecision")


def test_a_second_refund_of_a_charge_does_not_leave_by_rule() -> None:
    """AP-7"""
    payment = charge(10_000)
    asked(payment, "20.00")
    second = asked(payment, "10.00")
    forge(second)

    with refused("a charge that was refunded before needs people to decide"):
        leave(second, approval_id="")

    still(second, "AWAITING_APPROVAL")


@pytest.mark.parametrize(
    ("standing", "refundable", "blocks"),
    [
        ("OPEN", None, True),
        ("UNDER_REVIEW", True, True),
        ("LOST", None, True),
        ("INQUIRY", None, True),
        ("INQUIRY", False, True),
        ("INQUIRY", True, False),
        ("WON", False, False),
        ("CLOSED", None, False),
    ],
)
def test_a_refund_does_not_leave_beside_a_dispute_that_blocks_it(
    standing: str, refundable: bool | None, blocks: bool
) -> None:
    """D9: granted by people or by rule, and in the same words as the model has it."""
    one, two = charge(10_000), charge(10_000)
    by_people, by_rule = granted(one, "60.00"), asked(two, "30.00")
    for refund in (by_people, by_rule):
        row = dispute(refund.payment, state_=standing, refundable=refundable)
        assert row.blocks_refunds is blocks
        if blocks:
            with refused("a dispute of the charge blocks its refund"):
                leave(refund)
            still(refund, "APPROVED")
        else:
            leave(refund)


def test_whoever_asked_does_not_send_it_and_nobody_is_not_enough() -> None:
    """F26, D5"""
    refund = granted(charge(1_000_000), "5000.01", by="lena")

    for sender in (None, person("lena").pk):
        with refused("policy asks for a person who sends it, not the one who asked for it"):
            leave(refund, sent_by_id=sender)

    still(refund, "APPROVED")
    leave(refund, sent_by_id=person("sofia").pk)


def test_a_refund_by_hand_is_never_sent_and_only_recorded_as_granted() -> None:
    """F26"""
    one, two = charge(10_000), charge(10_000)
    by_hand, waiting = granted(one, "30.00", offline=True), asked(two, "30.00", offline=True)

    with refused("paid by hand is never sent to the provider"):
        leave(by_hand)
    for approval_id in (waiting.approval_id, by_hand.approval_id, ""):
        run("UPDATE payments_refund SET state = 'APPROVED' WHERE id = %s", waiting.pk)
        with refused("recorded only as its approval grants it"):
            run(
                "UPDATE payments_refund SET state = 'SUCCEEDED', approval_id = %s WHERE id = %s",
                approval_id,
                waiting.pk,
            )


def test_only_the_provider_s_own_refunds_begin_as_accepted() -> None:
    refund = asked(charge(10_000), "30.00")

    with refused("only a refund made at the provider begins as accepted"):
        run(
            "INSERT INTO payments_refund SELECT (jsonb_populate_record(r,"
            " jsonb_build_object('id', gen_random_uuid(), 'state', 'ACCEPTED',"
            " 'request_key', 'forged'))).* FROM payments_refund r WHERE r.id = %s",
            refund.pk,
        )


def test_the_orm_writes_no_refund_past_its_services() -> None:
    refund = asked(charge(10_000), "60.00")

    for attack in (
        lambda: Refund.objects.filter(pk=refund.pk).update(state="SUCCEEDED"),
        lambda: Refund.objects.bulk_update([refund], ["amount_minor"]),
        lambda: Refund.objects.all().delete(),
        lambda: Payment.objects.update(reserved_minor=0),
        refund.save,
        refund.delete,
    ):
        with pytest.raises(DirectWrite):
            attack()
    with pytest.raises(AttributeError):
        refund.state = "SUCCEEDED"
    with refused("permission denied"):
        run("DELETE FROM payments_refund")

    still(refund, "AWAITING_APPROVAL")


def test_an_intent_needs_its_refund_about_to_leave() -> None:
    """I7"""
    refund = granted(charge(10_000), "60.00")
    intent = Intent(
        book=refund.book,
        account=refund.account,
        kind="refund",
        subject_id=refund.public_id,
        approval_id=refund.approval_id,
        idempotency_key="forged",
        request_hash="0" * 64,
    )

    with refused("an intent needs its granted refund, about to leave"):
        state.save(intent, actor=service("attack"), now=clock.utc_now(), action="attack")


@pytest.mark.parametrize(("requester", "login"), [("lena", "lena"), ("amara", "amara-2")])
def test_the_requester_does_not_approve_on_the_page_through_any_login(
    requester: str, login: str
) -> None:
    """D5"""
    refund = asked(charge(10_000), "60.00", by=requester)
    approval = approval_of(refund.approval_id)
    url = f"/approvals/{approval.public_id}/decide/"

    page = browser(login).post(url, decision(approval), follow=True)

    assert shows(page, "so you cannot decide it, through whichever login.")
    assert approval_of(refund.approval_id).decisions.count() == 0
    still(refund, "AWAITING_APPROVAL")
    browser("tomas").post(url, decision(approval), follow=True)
    assert approval_of(refund.approval_id).state == "APPROVED"


def test_unclaimed_money_is_posted_only_as_its_granted_end() -> None:
    """D5: the entry of a granted end, with other lines or a second time, does not commit."""
    refund = failed(charge(10_000))
    approval = refund_obligation_ask.propose_end(
        refund_id=refund.pk,
        outcome="unclaimed",
        evidence="letters came back",
        reason="unknown at the address",
        actor=actor("lena"),
        now=clock.utc_now(),
    )

    with refused("funds.unclaimed is posted only as"), transaction.atomic():
        refund_obligations.apply(approval, service("attack"), clock.utc_now())
    approve_all(approval)
    approval.refresh_from_db()
    with refused("funds.unclaimed is posted only as"), transaction.atomic():
        refund_obligations.apply(approval, service("attack"), clock.utc_now())

    assert reload(refund).obligation == "owed"
