"""RF-1 to RF-5, RF-10, RF-11, RF-18: what a request comes to, with its figures, kept for ever."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import transaction

from approvals.models import ApprovalRequest
from payops.core import clock, state
from payops.core.actors import service
from payops.core.models import AuditEvent, ProviderAccount
from payops.core.money import Money
from payops.flows.refunds import policy as refund_policy
from payops.flows.refunds import request as refund_flow
from payops.flows.refunds.request import RefundRefused
from payops.payments.models import Dispute, Payment, Refund, RefundDecision
from tests.people import actor
from tests.refund_asks import (
    charge,
    counters,
    decision_of,
    dispatches,
    failed_checks,
    granted,
    reload,
)
from tests.refunds import ask as asked
from tests.refunds import asking as the_ask

pytestmark = pytest.mark.django_db(transaction=True)


def dispute(payment: Payment, *, state_: str = "OPEN", refundable: bool | None = None) -> Dispute:
    row = Dispute(
        book=payment.book,
        payment=payment,
        account=payment.account,
        state=state_,
        provider_ref=f"dp_{payment.pk.hex}",
        amount_minor=payment.captured_minor,
        currency=payment.currency,
        refundable=refundable,
        opened_at=clock.utc_now(),
    )
    with transaction.atomic():
        state.save(row, actor=service("test"), now=clock.utc_now(), action="dispute.opened")
    return row


def test_a_small_first_refund_with_complete_evidence_is_granted_by_rule() -> None:
    """AP-7, AP-9"""
    payment = charge(10_000)

    refund = asked(payment, "50.00")

    decision = decision_of(refund)
    assert (refund.state, refund.approval_id, dispatches(refund)) == ("APPROVED", "", 1)
    assert (decision.verdict, decision.ruleset) == ("auto", "refund.policy v1")
    assert decision.policy is not None and decision.policy.name == "refund.policy"
    assert decision.facts["reporting_minor"] == 5000
    assert all(check["passed"] for check in decision.checks)
    assert counters(payment) == (10_000, 5_000, 0)
    assert ApprovalRequest.objects.count() == 0


def test_every_check_is_kept_with_its_figures() -> None:
    """AP-9, RF-3, RF-18"""
    payment = charge(10_000)

    decision = decision_of(asked(payment, "30.00"))

    assert [check["check"] for check in decision.checks] == [
        "captured",
        "settled",
        "currency_and_account",
        "remaining",
        "reason",
        "required_evidence",
        "no_blocking_dispute",
        "requester",
        "provider",
        "amount",
        "first_refund",
        "complete_evidence",
        "risk",
        "way",
        "early_dispute",
        "no_twin",
    ]
    remaining = decision.checks[3]
    assert remaining["figures"] == {
        "asked_minor": 3000,
        "left_minor": 10_000,
        "captured_minor": 10_000,
        "refunded_minor": 0,
        "reserved_minor": 0,
    }


def test_more_than_is_left_is_refused_with_what_is_left() -> None:
    """RF-3, RF-4, RF-10: the amounts of the refunds that stand are in the words."""
    payment = charge(10_000)
    asked(payment, "40.00")
    asked(payment, "50.00")

    refused = asked(payment, "30.00")

    assert refused.state == "REFUSED"
    assert refused.refusal == (
        "30.00 EUR asked, 10.00 EUR left of 100.00 EUR captured (0.00 refunded, 90.00 reserved)"
    )
    assert counters(payment) == (10_000, 9_000, 0)
    assert (dispatches(refused), decision_of(refused).verdict) == (0, "refused")
    told = AuditEvent.objects.get(subject_id=refused.public_id)
    assert (told.action, told.to_state, told.reason) == (
        "refund.refused",
        "REFUSED",
        refused.refusal,
    )


def test_all_that_is_left_is_what_no_other_refund_has_taken() -> None:
    """RF-4"""
    payment = charge(10_000)
    asked(payment, "40.00")

    rest = asked(payment, None)

    assert (rest.amount, rest.state) == (Money(6_000, "EUR"), "AWAITING_APPROVAL")
    with pytest.raises(RefundRefused, match=r"all that is left asked, 0\.00 EUR left of 100\.00"):
        asked(payment, None)
    assert Refund.objects.filter(payment=payment).count() == 2


def test_asked_again_with_the_same_key_is_the_same_refund_as_it_stands_now() -> None:
    """RF-2, RF-11: the repeat is logged, nothing is decided twice."""
    payment = charge(10_000)
    first = granted(payment, "60.00", request_key="api:shop:7")

    again = asked(payment, "60.00", request_key="api:shop:7")

    assert (again.pk, again.state) == (first.pk, "APPROVED")
    assert RefundDecision.objects.filter(refund=first).count() == 1
    assert counters(payment) == (10_000, 6_000, 0)
    repeated = AuditEvent.objects.get(action="refund.repeated")
    assert repeated.subject_id == first.public_id
    assert repeated.reason == "asked again through console; it is APPROVED"


@pytest.mark.parametrize(
    "other",
    [{"amount": "31.00"}, {"amount": None}, {"reason_code": "service_failure"}, {"goodwill": True}],
)
def test_other_facts_under_the_same_key_are_refused_and_name_both(other: dict[str, object]) -> None:
    payment = charge(10_000)
    known = asked(payment, "30.00", request_key="k-1")

    with pytest.raises(RefundRefused, match=f"k-1 was used for 30.00 EUR of {payment.public_id}"):
        asked(payment, **{"amount": "30.00", "request_key": "k-1", **other})  # type: ignore[arg-type]

    assert Refund.objects.get() == known
    assert AuditEvent.objects.filter(action="refund.not_recorded").count() == 1


def test_a_key_of_another_payment_is_refused() -> None:
    one, two = charge(10_000), charge(10_000)
    asked(one, "30.00", request_key="k-1")

    with pytest.raises(RefundRefused, match=f"now 30.00 EUR of {two.public_id}"):
        asked(two, "30.00", request_key="k-1")

    assert counters(two) == (10_000, 0, 0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"amount": "0.00"}, "more than nothing"),
        ({"reason_code": "because"}, "no reason 'because'; there are duplicate_charge, fraud_"),
        ({"request_key": " "}, "needs a request key"),
        ({"request_key": "k" * 201}, "the request key has at most 200 characters"),
        ({"note": "n" * 401}, "the note has at most 400 characters"),
        ({"source": "phone"}, "not 'phone'"),
        ({"evidence": {"x" * 49: "y"}}, "has a name of 1 to 48"),
        ({"evidence": {f"f{i}": "y" for i in range(25)}}, "at most 24 fields"),
    ],
)
def test_what_no_row_can_hold_is_refused_with_words(change: dict[str, object], words: str) -> None:
    payment = charge(10_000)

    with pytest.raises(RefundRefused, match=words):
        asked(payment, **{"amount": "30.00", **change})  # type: ignore[arg-type]

    assert (Refund.objects.count(), counters(payment)) == (0, (10_000, 0, 0))


def test_another_currency_than_the_charge_s_is_refused() -> None:
    """RF-3"""
    payment = charge(10_000)
    ask = the_ask(payment, amount=None)
    ask = replace(ask, amount=Money(3_000, "USD"))

    with pytest.raises(RefundRefused, match="USD asked, the charge is in EUR"):
        refund_flow.request_refund(ask=ask, actor=actor("amara"), now=clock.utc_now())

    assert Refund.objects.count() == 0


def test_another_merchant_account_than_the_charge_s_is_refused() -> None:
    """RF-3"""
    refused = asked(charge(10_000), "30.00", account="stripe/demo")

    assert refused.state == "REFUSED"
    assert refused.refusal == "stripe/demo named, the charge was made on standard/demo"


@pytest.mark.parametrize("standing", ["INQUIRY", "OPEN", "UNDER_REVIEW", "LOST"])
def test_a_dispute_of_the_charge_refuses_it(standing: str) -> None:
    """D9, F1: the customer would be paid twice."""
    payment = charge(10_000)
    row = dispute(payment, state_=standing)

    refused = asked(payment, "30.00")

    assert refused.state == "REFUSED"
    assert refused.refusal.startswith(f"the dispute {row.public_id} blocks it")
    assert counters(payment) == (10_000, 0, 0)


@pytest.mark.parametrize("standing", ["WON", "CLOSED"])
def test_a_won_or_closed_dispute_frees_the_charge(standing: str) -> None:
    """D9"""
    payment = charge(10_000)
    dispute(payment, state_=standing)

    assert asked(payment, "30.00").state == "APPROVED"


def test_an_inquiry_that_allows_refunds_warns_and_asks_people() -> None:
    """D9, F1"""
    payment = charge(10_000)
    row = dispute(payment, state_="INQUIRY", refundable=True)

    refund = asked(payment, "30.00")

    assert refund.state == "AWAITING_APPROVAL"
    assert list(failed_checks(refund)) == ["early_dispute"]
    approval = ApprovalRequest.objects.get()
    warned = [each["words"] for each in approval.consequences if each["kind"] == "warning"]
    assert len(warned) == 1 and row.public_id in warned[0]


def test_required_evidence_is_asked_for_by_name() -> None:
    """RF-14"""
    refused = asked(
        charge(10_000), "30.00", reason_code="item_returned", evidence={"return_tracking": "  "}
    )

    assert (refused.state, refused.refusal) == (
        "REFUSED",
        "return tracking is missing; this reason needs it",
    )


def test_somebody_without_the_permission_is_refused() -> None:
    """SE-4"""
    refused = asked(charge(10_000), "30.00", by="audrey")

    assert (refused.state, refused.refusal) == ("REFUSED", "Audrey Klein may not ask for refunds")


def test_a_twin_of_the_last_minutes_warns() -> None:
    payment = charge(10_000)
    first = asked(payment, "20.00")

    twin = asked(payment, "20.00")

    assert twin.state == "AWAITING_APPROVAL"
    assert first.public_id in failed_checks(twin)["no_twin"]
    other = asked(payment, "21.00")
    assert "no_twin" not in failed_checks(other)


def test_an_uncaptured_charge_is_refused() -> None:
    """RF-3"""
    payment = charge(10_000)
    authorized = Payment(
        book=payment.book,
        account=payment.account,
        beneficiary=payment.beneficiary,
        provider_ref="spm_authorized",
        amount_minor=5_000,
        currency="EUR",
    )
    with transaction.atomic():
        now = clock.utc_now()
        state.save(authorized, actor=service("test"), now=now, action="payment.authorized")

    refused = asked(authorized, "30.00")

    assert refused.refusal.startswith("the payment is AUTHORIZED with 0.00 EUR captured")


def test_looking_reserves_nothing_and_says_what_asking_would() -> None:
    """The live eligibility of a screen, and whose decision it would need."""
    payment = charge(1_000_000)

    seen = refund_flow.look(ask=the_ask(payment, "600.00"), now=clock.utc_now())

    assert (seen.verdict, seen.left, seen.amount) == (
        "approval",
        Money(1_000_000, "EUR"),
        Money(60_000, "EUR"),
    )
    assert seen.seats == ("finance_manager",)
    assert (
        seen.rule_fired
        == "refund v1: middle, 600.00 EUR is above 500.00 EUR to 5,000.00 EUR inclusive"
    )
    assert (Refund.objects.count(), counters(payment)) == (0, (1_000_000, 0, 0))


def test_a_settled_charge_is_asked_for_where_the_policy_wants_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """RF-3: settled by the lag of its account."""
    payment = charge(10_000)
    lag = ProviderAccount.objects.get(pk=payment.account_id).settlement_lag_days
    now = clock.utc_now()
    kept = refund_policy.active(payment.book, now)
    strict = replace(kept, rules=replace(kept.rules, requires_settled=True))
    monkeypatch.setattr(refund_policy, "active_as", lambda *_: strict)

    early = refund_flow.look(ask=the_ask(payment, "30.00"), now=now)
    late = refund_flow.look(ask=the_ask(payment, "30.00"), now=now + timedelta(days=lag, hours=1))

    assert (early.verdict, late.verdict) == ("refused", "auto")
    assert early.words.endswith("the policy refunds settled charges alone, so ask again then")


def test_canceling_frees_what_was_reserved_and_voids_the_approval() -> None:
    payment = charge(10_000)
    refund = asked(payment, "60.00")

    refund_flow.cancel(
        refund_id=refund.pk, reason="asked twice", actor=actor("amara"), now=clock.utc_now()
    )

    assert (reload(refund).state, counters(payment)) == ("CANCELED", (10_000, 0, 0))
    assert ApprovalRequest.objects.get().state == "VOID"
    with pytest.raises(RefundRefused, match="may not cancel"):
        refund_flow.cancel(
            refund_id=refund.pk, reason="x", actor=actor("audrey"), now=clock.utc_now()
        )
