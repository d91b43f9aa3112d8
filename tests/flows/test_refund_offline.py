"""F26, RF-16, D8, LJ-3: paid by hand, still owed, retried, lapsed, unclaimed, never sent."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.db import transaction

from approvals.models import ApprovalRequest
from ledger import posting
from ledger.models import JournalEntry
from ledger.selectors import trial_balance
from payops.cases import services as cases
from payops.cases.models import Case
from payops.core import clock, state
from payops.core.actors import service
from payops.flows.governance import ChangeRefused
from payops.flows.refunds import obligation_ask as refund_obligation_ask
from payops.flows.refunds import obligations as refund_obligations
from payops.flows.refunds import outcome as refund_outcome
from payops.flows.refunds import request as refund_flow
from payops.flows.refunds import unsent as refund_unsent
from payops.flows.refunds.outcome import Told
from payops.flows.refunds.request import RefundRefused
from payops.payments.models import Intent, Payment, Refund
from tests.builders import approval_of, approve_all, decide
from tests.people import actor
from tests.refund_asks import (
    carry_decisions,
    charge,
    counters,
    dispatches,
    granted,
    reload,
)
from tests.refunds import ask as asked

pytestmark = pytest.mark.django_db(transaction=True)

TEST = service("test")


def balances(payment: Payment) -> dict[str, int]:
    rows = trial_balance(book=payment.book)
    return {row.account: row.balance_minor for row in rows if row.balance_minor}


def record(
    refund: Refund, *, by: str = "sofia", ref: str = "SEPA-77", at: datetime | None = None
) -> Refund:
    now = clock.utc_now()
    return refund_flow.record_offline(
        refund_id=refund.pk, offline_ref=ref, paid_at=at or now, actor=actor(by), now=now
    )


def left(refund: Refund) -> Refund:
    """As the dispatch leaves it: looked at again, granted, its intent open."""
    with transaction.atomic():
        row = refund_flow.locked(refund.pk)
        assert refund_flow.recheck(row, clock.utc_now()) == ""
        row.dispatch(at=clock.utc_now())
        state.save(row, actor=TEST, now=clock.utc_now(), action="refund.dispatched")
        intent = Intent(
            book=row.book,
            account=row.account,
            kind="refund",
            subject_id=row.public_id,
            approval_id=row.approval_id,
            idempotency_key=f"payops-{row.public_id}",
            request_hash="0" * 64,
        )
        state.save(intent, actor=TEST, now=clock.utc_now(), action="intent.approved")
    return reload(refund)


def told(refund: Refund, *reached: str) -> Refund:
    """What the provider tells of it, with its entries and its case."""
    with transaction.atomic():
        row, now = refund_flow.locked(refund.pk), clock.utc_now()
        news = Told(reached=frozenset(reached), at=now, provider_ref=f"re_{row.pk.hex}")
        applied = refund_outcome.apply(row, news, refs=posting.Refs(), actor=TEST, now=now)
        posting.post_many(applied.postings, actor=TEST, now=now)
        if applied.finding is not None:
            cases.open_case(applied.finding, actor=TEST, now=now)
    return reload(refund)


def failed(payment: Payment, amount: str = "60.00") -> Refund:
    """Accepted, then failed before it left: the customer is still owed."""
    return told(left(granted(payment, amount)), "refund.accepted", "refund.failed")


def test_a_refund_by_hand_is_granted_recorded_and_posted_through_the_bank() -> None:
    payment = charge(10_000, platform_minor=1_000)
    refund = granted(payment, "30.00", offline=True)
    assert approval_of(refund.approval_id).kind == "refund_offline"
    assert (refund.state, dispatches(refund)) == ("APPROVED", 0)

    record(refund)
    again = record(refund)

    assert (again.state, again.offline_ref) == ("SUCCEEDED", "SEPA-77")
    assert again.sent_by is not None and again.sent_by.name == "Sofia Almeida"
    assert counters(payment) == (10_000, 0, 3_000)
    assert balances(payment) == {"1100": 10_000, "1000": -3_000, "2000": -6_300, "4000": -700}
    entries = JournalEntry.objects.filter(subject_id=refund.public_id).order_by("event_class")
    assert [entry.event_class for entry in entries] == ["refund.accepted", "refund.succeeded"]


def test_only_somebody_else_with_the_permission_records_it() -> None:
    """F26, D5"""
    refund = granted(charge(10_000), "30.00", offline=True, by="tomas")

    for login, words in (("tomas", "asked for it"), ("amara", "may not send refunds")):
        with pytest.raises(RefundRefused, match=words):
            record(refund, by=login)
    for wrong, words in (
        ({"ref": " "}, "has 1 to 120 characters"),
        ({"at": clock.utc_now() + timedelta(days=1)}, "is not between the request"),
        ({"at": clock.utc_now() - timedelta(days=1)}, "is not between the request"),
    ):
        with pytest.raises(RefundRefused, match=words):
            record(refund, **wrong)  # type: ignore[arg-type]

    assert reload(refund).state == "APPROVED"


def test_what_is_not_granted_or_not_by_hand_is_not_recorded() -> None:
    one, two = charge(10_000), charge(10_000)
    waiting, sent = asked(one, "30.00", offline=True), asked(two, "30.00")

    with pytest.raises(RefundRefused, match="is AWAITING_APPROVAL; only a granted refund"):
        record(waiting)
    with pytest.raises(RefundRefused, match="is APPROVED and paid by the provider"):
        record(sent)


def test_a_goodwill_refund_is_the_platform_s_own_and_people_decide() -> None:
    payment = charge(10_000)
    refund = granted(payment, "10.00", goodwill=True, offline=True)

    record(refund)

    assert balances(payment) == {"1100": 10_000, "1000": -1_000, "2000": -10_000, "4090": 1_000}


def test_a_failed_refund_stays_owed_and_keeps_its_share_of_the_charge() -> None:
    """RF-16, D8"""
    payment = charge(10_000)

    refund = failed(payment)

    assert (refund.state, refund.obligation) == ("FAILED", "owed")
    assert counters(payment) == (10_000, 6_000, 0)
    assert balances(payment)["2150"] == -6_000
    assert Case.objects.get(rule="refund_failed").state == "OPEN"
    assert asked(payment, "50.00").refusal.startswith("50.00 EUR asked, 40.00 EUR left")


def retried(refund: Refund, *, by: str = "amara", offline: bool = False) -> Refund:
    return refund_obligations.retry(
        refund_id=refund.pk,
        reason="the customer gave another account",
        actor=actor(by),
        now=clock.utc_now(),
        offline=offline,
    )


def test_a_retry_is_a_refund_of_its_own_that_keeps_the_promise() -> None:
    payment = charge(10_000)
    first = failed(payment)

    second = retried(first)

    assert retried(first).pk == second.pk
    assert (second.state, second.retry_of_id, second.promise_id) == (
        "AWAITING_APPROVAL",
        first.pk,
        first.public_id,
    )
    assert (reload(first).obligation, second.obligation) == ("retried", "")
    assert counters(payment) == (10_000, 6_000, 0)
    assert approval_of(second.approval_id).facts["promise"] == first.public_id
    entry = approval_of(second.approval_id).consequences[0]
    assert {(line["account"], line["amount_minor"]) for line in entry["lines"]} == {
        ("2150", 6_000),
        ("2110", -6_000),
    }


def test_a_retry_that_is_not_granted_leaves_the_customer_owed() -> None:
    payment = charge(10_000)
    first = failed(payment)
    second = retried(first)

    decide(approval_of(second.approval_id), "lena", "reject", reason="call them first")
    carry_decisions()

    second = reload(second)
    assert (second.state, second.obligation) == ("REFUSED", "owed")
    assert counters(payment) == (10_000, 6_000, 0)
    assert retried(first).pk == second.pk
    third = retried(second)
    assert (third.retry_of_id, third.promise_id) == (second.pk, first.public_id)
    assert reload(second).obligation == "retried"


def test_a_retry_by_hand_pays_what_is_owed_and_closes_its_case() -> None:
    payment = charge(10_000)
    second = retried(failed(payment), offline=True)
    approve_all(approval_of(second.approval_id))
    carry_decisions()

    record(reload(second))

    assert reload(second).state == "SUCCEEDED"
    assert counters(payment) == (10_000, 0, 6_000)
    assert balances(payment) == {"1100": 10_000, "1000": -6_000, "2000": -4_000}
    case = Case.objects.get(rule="refund_failed")
    assert case.state == "RESOLVED"
    texts = list(case.entries.order_by("created_at").values_list("text", flat=True))
    assert texts[-2:] == [f"asked for again as {second.public_id}", "paid by hand as SEPA-77"]


@pytest.mark.parametrize(
    ("outcome", "after"),
    [
        ("lapsed", {"1100": 10_000, "2000": -10_000}),
        ("unclaimed", {"1100": 10_000, "2000": -4_000, "2250": -6_000}),
    ],
)
def test_an_obligation_ends_by_a_governed_decision_with_evidence(
    outcome: str, after: dict[str, int]
) -> None:
    """D5: asked for by one, decided by another, posted once."""
    payment = charge(10_000)
    refund = failed(payment)
    approval = end(refund, outcome)

    approve_all(approval)
    carry_decisions()
    carry_decisions()

    assert reload(refund).obligation == outcome
    assert counters(payment) == (10_000, 0, 0)
    assert balances(payment) == after
    assert Case.objects.get(rule="refund_failed").state == "RESOLVED"
    with pytest.raises(ChangeRefused, match="only an open obligation can be ended"):
        end(refund, outcome)


def test_what_a_refused_retry_carries_ends_under_the_attempt_that_was_accepted() -> None:
    payment = charge(10_000)
    first = failed(payment)
    second = retried(first)
    refund_flow.cancel(
        refund_id=second.pk, reason="not now", actor=actor("amara"), now=clock.utc_now()
    )

    approve_all(end(reload(second), "lapsed"))
    carry_decisions()

    assert (reload(second).obligation, counters(payment)) == ("lapsed", (10_000, 0, 0))
    assert balances(payment) == {"1100": 10_000, "2000": -10_000}
    lapsed = JournalEntry.objects.get(event_class="refund.obligation_lapsed")
    assert lapsed.subject_id == first.public_id


def end(refund: Refund, outcome: str, *, evidence: str = "mail of 3 March") -> ApprovalRequest:
    return refund_obligation_ask.propose_end(
        refund_id=refund.pk,
        outcome=outcome,
        evidence=evidence,
        reason="settled between seller and customer",
        actor=actor("lena"),
        now=clock.utc_now(),
    )


@pytest.mark.parametrize(
    ("outcome", "evidence", "words"),
    [("forgotten", "x", "ends as one of"), ("lapsed", " ", "needs evidence of 1 to 400")],
)
def test_an_end_without_evidence_or_name_is_not_asked_about(
    outcome: str, evidence: str, words: str
) -> None:
    refund = failed(charge(10_000))

    with pytest.raises(ChangeRefused, match=words):
        end(refund, outcome, evidence=evidence)


def unknown(payment: Payment, *, parked: bool) -> Refund:
    refund = left(granted(payment))
    with transaction.atomic():
        row, now = refund_flow.locked(refund.pk), clock.utc_now()
        row.lose_track()
        state.save(row, actor=TEST, now=now, action="refund.outcome_unknown")
        intent = Intent.objects.get(subject_id=row.public_id)
        intent.send(at=now)
        state.save(intent, actor=TEST, now=now, action="intent.sent")
        if parked:
            intent.park(outcome="not found")
            state.save(intent, actor=TEST, now=now, action="intent.parked")
    return reload(refund)


def declare(refund: Refund) -> ApprovalRequest:
    return refund_unsent.propose(
        refund_id=refund.pk,
        reason="the provider's support confirmed it in writing",
        actor=actor("amara"),
        now=clock.utc_now(),
    )


def test_a_parked_refund_is_declared_not_sent_by_others_and_frees_the_charge() -> None:
    """D14, RF-6"""
    payment = charge(10_000)
    refund = unknown(payment, parked=True)

    approve_all(declare(refund))
    carry_decisions()
    carry_decisions()

    assert (reload(refund).state, reload(refund).failure_code) == ("FAILED", "not_sent")
    assert (Intent.objects.get().state, counters(payment)) == ("REFUSED", (10_000, 0, 0))
    assert balances(payment) == {"1100": 10_000, "2000": -10_000}


def test_it_is_not_declared_while_the_product_still_asks() -> None:
    refund = unknown(charge(10_000), parked=False)

    with pytest.raises(RefundRefused, match="its call DISPATCHING; it can be declared not sent"):
        declare(refund)


def test_news_before_the_decision_voids_the_declaration() -> None:
    payment = charge(10_000)
    refund = unknown(payment, parked=True)
    approval = declare(refund)
    told(refund, "refund.accepted", "refund.succeeded")

    approve_all(approval)
    carry_decisions()

    assert reload(refund).state == "SUCCEEDED"
    assert approval_of(approval.public_id).state == "VOID"
    assert counters(payment) == (10_000, 0, 6_000)
