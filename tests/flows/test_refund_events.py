"""Refund events find their refund, teach its reference and are applied once (WH-29, F5, RF-7)."""

from __future__ import annotations

import pytest
from django.db import transaction

from ledger import posting
from ledger.models import JournalEntry
from payops.cases.models import Case
from payops.core import clock
from payops.core.models import Message
from payops.core.money import Money
from payops.flows.refunds import ledger as refund_ledger
from payops.flows.refunds import obligations as refund_obligations
from payops.payments.models import Intent, Payment, Refund
from payops.psp.calling import ObjectState
from payops.webhooks.models import ProviderEvent
from tests import refunds
from tests.builders import approval_of, approve_all, drain
from tests.flows.refund_life import (
    CAPTURES,
    CODE,
    Teller,
    answer,
    balances,
    begin,
    charged,
    counters,
    keep,
    outsider,
    reload,
    rules_of,
    sent,
    teller_of,
)
from tests.flows.view import SILENCE, View, come_due, policy
from tests.people import actor
from tests.refund_asks import carry_decisions

pytestmark = pytest.mark.django_db(transaction=True)
PROVIDERS = ["stripe", "adyen", "paypal", "standard"]
PROMISED = {"2000": 2_700, "4000": 300}
ON_ITS_WAY = {**PROMISED, "2110": -3_000}
GONE = {"1100": -3_000, **PROMISED}
OWED = {**PROMISED, "2150": -3_000}
OWED_NOT_BACK = {"1100": -3_000, "1210": 3_000, **OWED}


def told(refund: Refund, *words: str) -> tuple[Refund, Teller]:
    teller = teller_of(refund)
    for word in words:
        teller.tell(word)
        drain()
    return reload(refund), teller


def outcomes() -> list[str]:
    rows = ProviderEvent.objects.exclude(type__startswith="payment.").order_by("created_at")
    return [f"{event.state}: {event.outcome}" for event in rows]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_event_teaches_the_reference_of_a_call_that_was_lost(provider: str) -> None:
    """F5, RF-7: the refund is settled by its event, and the intent with it."""
    refund = sent(charged(provider))
    assert (refund.state, refund.provider_ref) == ("DISPATCHING", "")

    after, teller = told(refund, "created")

    assert (after.state, after.provider_ref) == ("ACCEPTED", teller.ref)
    intent = Intent.objects.get(subject_id=refund.public_id)
    assert (intent.state, intent.provider_ref) == ("SUCCEEDED", teller.ref)
    assert balances(refund.public_id) == ON_ITS_WAY
    assert counters(refund.payment) == (0, 3_000, 0)
    assert rules_of(refund.public_id) == []


@pytest.mark.parametrize("provider", ["stripe", "paypal", "standard"])
def test_our_answer_and_the_events_meet_in_one_outcome(provider: str) -> None:
    """RF-7, D14: told three times, posted once."""
    refund = sent(charged(provider))
    teller = teller_of(refund)

    answer(refund, teller.ref, "refund.accepted", "refund.succeeded")
    for word in ("created", "succeeded", "succeeded"):
        teller.tell(word)
        drain()

    assert reload(refund).state == "SUCCEEDED"
    assert balances(refund.public_id) == GONE
    entries = JournalEntry.objects.filter(subject_id=refund.public_id)
    assert sorted(entries.values_list("event_class", flat=True)) == [
        "refund.accepted",
        "refund.succeeded",
    ]


def test_a_failure_before_it_left_leaves_the_customer_owed_and_opens_a_case() -> None:
    """F3, RF-16: 2150 is open, what was promised stays reserved."""
    refund, _ = told(sent(charged("paypal")), "created", "failed")

    assert (refund.state, refund.obligation, refund.failure_code) == ("FAILED", "owed", CODE)
    assert balances(refund.public_id) == OWED
    assert counters(refund.payment) == (3_000, 0, 0)
    case = Case.objects.get(subject_id=refund.public_id)
    assert (case.rule, case.state) == ("refund_failed", "OPEN")
    assert case.title.startswith("Refund of 30.00 EUR for payment ORD-7781 failed before it left")


def test_a_late_failure_waits_for_its_money() -> None:
    """D8: SUCCEEDED is not the end; the money is a receivable until it is seen."""
    refund, _ = told(sent(charged("paypal")), "created", "succeeded", "failed")

    assert refund.state == "FAILED_LATE"
    assert balances(refund.public_id) == OWED_NOT_BACK
    assert rules_of(refund.public_id) == ["refund_failed"]


def test_worked_check_b_of_accounting_holds() -> None:
    """Check (b): 1100 97, 2000 -63, 2150 -30, 4000 -7, with the provider's fee beside it."""
    refund, teller = told(sent(charged("standard")), "created", "succeeded", "failed")
    payment = refund.payment.public_id
    late = {"1100": 7_000, "1210": 3_000, "2000": -6_300, "2150": -3_000, "4000": -700}
    assert balances(refund.public_id, payment) == late

    teller.tell("returned")
    drain()

    assert reload(refund).state == "RETURNED"
    settled = {"1100": 10_000, "2000": -6_300, "2150": -3_000, "4000": -700}
    assert balances(refund.public_id, payment) == settled


def test_the_two_events_of_one_stripe_failure_reverse_once() -> None:
    """Check (b), WH-4: the failure names the movement that gave the money back."""
    refund, _ = told(
        sent(charged("stripe")), "created", "succeeded", "failed", "failed twice", "failed"
    )

    assert (refund.state, refund.obligation) == ("RETURNED", "owed")
    assert balances(refund.public_id) == OWED
    entries = JournalEntry.objects.filter(subject_id=refund.public_id)
    assert sorted(entries.values_list("event_class", flat=True)) == [
        "refund.accepted",
        "refund.returned",
        "refund.succeeded",
    ]
    assert rules_of(refund.public_id) == ["refund_failed"]


def test_a_cancel_at_the_provider_is_a_failure_with_its_own_code() -> None:
    refund, _ = told(sent(charged("standard")), "created", "canceled")

    assert (refund.state, refund.failure_code) == ("FAILED", "canceled_at_provider")
    assert balances(refund.public_id) == OWED
    case = Case.objects.get(subject_id=refund.public_id)
    assert "was canceled at the provider (canceled_at_provider)" in case.title


def test_another_amount_is_a_case_and_nothing_is_applied() -> None:
    """F29: the figures are shown; the refund stays as it is."""
    refund = sent(charged("stripe"))
    teller = teller_of(refund)
    teller.minor = 3_100
    teller.tell("succeeded")
    drain()

    assert reload(refund).state == "DISPATCHING"
    assert balances(refund.public_id) == {}
    case = Case.objects.get(subject_id=refund.public_id)
    words = f"the provider says 31.00 EUR, {refund.public_id} is 30.00 EUR"
    assert (case.rule, case.title) == ("provider_mismatch", words)
    assert outcomes()[-1] == f"PROCESSED: not applied: {words}"


def test_another_refund_under_our_reference_is_a_case() -> None:
    """I7: two movements under one reference would be a refund that went out twice."""
    refund, _ = told(sent(charged("standard")), "created", "succeeded")
    twin = teller_of(refund)
    twin.ref, twin.bodies = "srf_twin", {}
    twin.tell("succeeded")
    drain()

    assert balances(refund.public_id) == GONE
    assert rules_of(refund.public_id) == ["provider_mismatch"]
    assert "the news is about srf_twin" in Case.objects.get(subject_id=refund.public_id).title


def test_news_of_a_refund_that_was_never_sent_is_a_case() -> None:
    refund = refunds.ask(charged("standard"), "60.00")
    assert refund.state == "AWAITING_APPROVAL"

    after, _ = told(refund, "succeeded")

    assert after.state == "AWAITING_APPROVAL"
    assert rules_of(refund.public_id) == ["provider_mismatch"]


def test_a_refund_of_an_unknown_charge_waits_for_it() -> None:
    """WH-10: released by the capture, then recorded as made at the provider."""
    known = charged("standard")
    teller = outsider(Payment(provider_ref="spm_later", account=known.account))
    teller.tell("succeeded")
    drain()
    event = ProviderEvent.objects.get(type="refund.succeeded")
    assert event.state == "PARKED"
    assert "waits for charge spm_later to be known here" in event.outcome

    keep(known.account, CAPTURES["standard"]("spm_later", 10_000, 1_000))
    drain()

    event.refresh_from_db()
    assert event.state == "PROCESSED"
    found = Refund.objects.get(source="provider")
    assert (found.state, found.payment.provider_ref) == ("SUCCEEDED", "spm_later")


def test_an_event_without_our_reference_waits_while_a_call_of_that_sum_has_no_outcome() -> None:
    """F4, F5: it may be that call's refund; afterwards it is known which it was."""
    refund = sent(charged("adyen"))
    ours = teller_of(refund)
    ours.tell("failed")
    drain()
    event = ProviderEvent.objects.get(type="REFUND_FAILED")
    assert (event.state, event.subject_id) == ("PARKED", refund.public_id)

    answer(refund, ours.ref)
    drain()

    event.refresh_from_db()
    assert event.state == "PROCESSED"
    assert reload(refund).state == "FAILED"
    assert balances(refund.public_id) == OWED
    assert not Refund.objects.filter(source="provider").exists()


def test_it_turns_out_to_be_another_refund_once_the_call_has_its_own() -> None:
    refund = sent(charged("adyen"))
    other = outsider(refund.payment)
    other.tell("created")
    drain()
    assert ProviderEvent.objects.get(type="REFUND").state == "PARKED"

    answer(refund, "PSPOFOURCALL")
    drain()

    assert reload(refund).state == "ACCEPTED"
    found = Refund.objects.get(source="provider")
    assert (found.provider_ref, found.state) == (other.ref, "ACCEPTED")
    assert counters(refund.payment) == (0, 6_000, 0)


def test_a_failure_waits_until_the_journal_has_what_was_executed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """RF-9, WH-10: LEDGER_PENDING takes a success at once, and a failure afterwards."""
    refund = sent(charged("standard"))
    teller = teller_of(refund)
    whole = posting.post_many

    def refuse(*args: object, **kwargs: object) -> None:
        raise posting.LedgerBusy("not now")

    monkeypatch.setattr(posting, "post_many", refuse)
    answer(refund, teller.ref)
    monkeypatch.setattr(posting, "post_many", whole)
    for word in ("succeeded", "failed"):
        teller.tell(word)
    with transaction.atomic():
        Message.objects.filter(topic=refund_ledger.TOPIC).update(state=Message.State.DONE)
    drain()

    assert (reload(refund).state, reload(refund).heading_for) == ("LEDGER_PENDING", "SUCCEEDED")
    failure = ProviderEvent.objects.get(type="refund.failed")
    assert (failure.state, failure.subject_id) == ("PARKED", refund.public_id)

    with transaction.atomic():
        refund_ledger._catch_up(refund_ledger.locked(refund.pk), clock.utc_now())
    drain()

    failure.refresh_from_db()
    assert failure.state == "PROCESSED"
    assert reload(refund).state == "FAILED_LATE"
    assert balances(refund.public_id) == OWED_NOT_BACK


def test_the_event_of_a_retry_keeps_the_promise_and_closes_its_case() -> None:
    """F3, RF-16: 2150 is nil again, and so is the case behind it."""
    failed, _ = told(sent(charged("standard")), "created", "failed")
    again = refund_obligations.retry(
        refund_id=failed.pk, reason="a new card", actor=actor("amara"), now=clock.utc_now()
    )
    approve_all(approval_of(again.approval_id))
    carry_decisions()
    begin(again)

    after, _ = told(again, "created")

    assert after.state == "ACCEPTED"
    assert balances(failed.public_id, again.public_id) == ON_ITS_WAY
    case = Case.objects.get(subject_id=failed.public_id)
    assert case.state == "RESOLVED"


def test_a_policy_of_asking_first_holds_for_refunds_too(view: View) -> None:
    """WH-15: nothing of an event is believed before the provider shows it."""
    payment = charged("standard")
    policy("when_money_moves")
    teller = outsider(payment)
    teller.tell("created")
    view.states[teller.ref] = SILENCE
    drain()
    assert not Refund.objects.exists()
    assert ProviderEvent.objects.get(type="refund.created").state == "PARKED"

    view.states[teller.ref] = ObjectState(
        provider_ref=teller.ref,
        raw_status="pending",
        reached=frozenset({"refund.accepted"}),
        amount=Money(3_000, "EUR"),
    )
    come_due()
    drain()

    assert Refund.objects.get().provider_ref == teller.ref
    told_as = ProviderEvent.objects.get(type="refund.created").outcome
    assert told_as == "a refund of 30.00 EUR was made at the provider; confirmed by the provider"
