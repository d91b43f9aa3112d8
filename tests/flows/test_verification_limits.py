"""Where a provider cannot be asked, or was asked before: no event waits for ever (WH-15)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import transaction

from ledger.models import JournalEntry
from payops.cases.models import Case, CaseEntry
from payops.commands.invariants.base import Moment
from payops.commands.invariants.table import check_all
from payops.core import clock
from payops.core.models import Message
from payops.flows import verification, verify_event
from payops.payments.models import CallGate, Payment
from payops.psp import registry
from payops.psp.base import KINDS
from payops.psp.calling import NoAnswer
from payops.webhooks import services as inbox
from payops.webhooks.models import ProviderEvent, Verification
from tests.builders import capture, drain, reload
from tests.flows.lifecycle import Teller, balances
from tests.flows.view import View, come_due, policy
from tests.people import actor
from tests.stories import sent_payout

pytestmark = pytest.mark.django_db(transaction=True)

AMOUNT = 120_000
SENT = {"2000": AMOUNT, "2100": -AMOUNT}
PAID = {"1100": -AMOUNT, "2000": AMOUNT}
PAID_KINDS = ("payout.initiated", "payout.paid")


@pytest.fixture(autouse=True)
def invariants_hold() -> Iterator[None]:
    yield
    findings = check_all(
        Moment(now=clock.utc_now()), only=["I1", "I2", "I3", "I4", "I5", "I10", "I17", "I18"]
    )
    assert {key: finding.breaks for key, finding in findings.items() if finding.breaks} == {}


def only_event() -> ProviderEvent:
    return ProviderEvent.objects.get()


def test_what_cannot_be_asked_for_is_applied_at_once_and_says_so(view: View) -> None:
    """WH-15: no waiting, no question, no case; the verdict is on record."""
    policy("always")
    view.askable = frozenset({"payout.paid"})

    body = capture(50_00)

    event, told = only_event(), Verification.objects.get()
    alone = "the provider offers no way to ask; its signature stands alone"
    assert (event.state, event.outcome) == ("PROCESSED", f"payment captured; {alone}")
    assert (told.verdict, told.cause, told.words) == ("unanswered", "policy", alone)
    assert told.event_id == event.pk
    assert view.asked == [] and not Message.objects.filter(topic="event.verify").exists()
    assert not Case.objects.exists()
    assert JournalEntry.objects.filter(event_class="payment.captured").count() == 1
    assert body["data"]["method"] == Payment.objects.get().method == "card"


def test_the_timeline_of_a_case_says_that_nobody_could_be_asked(view: View) -> None:
    policy("when_money_moves")
    view.askable = frozenset()
    payout = sent_payout("1200.00")

    Teller(payout).tell("failed")
    drain()

    case = Case.objects.get()
    assert case.rule == "payout_failure"
    assert CaseEntry.objects.get(case=case, kind="verified").text == verification.NOT_OFFERED
    assert Verification.objects.count() == 1


def test_an_event_that_waits_is_given_its_verdict_once(view: View) -> None:
    """It is looked at again when its predecessor comes; the register is not told twice."""
    policy("always")
    view.askable = frozenset()
    payout = sent_payout("1200.00")

    Teller(payout).tell("reversed")
    drain()
    come_due()
    drain()

    assert only_event().state == "PARKED"
    assert Verification.objects.count() == 1


def test_an_event_that_was_waiting_for_an_answer_goes_on_where_none_is_offered(
    view: View,
) -> None:
    """A question sent before is answered with what is known: that there is no way to ask."""
    policy("always")
    payout = sent_payout("1200.00")
    view.hush(payout)
    Teller(payout).tell("paid")
    drain()
    assert only_event().state == "PARKED"

    view.askable = frozenset()
    come_due()
    drain()

    assert (only_event().state, reload(payout).state) == ("PROCESSED", "PAID")
    assert only_event().outcome == f"payout paid; {verification.NOT_OFFERED}"
    assert set(Verification.objects.values_list("verdict", "words")) == {
        ("unanswered", verification.NOT_OFFERED)
    }
    assert not Message.objects.filter(topic="event.verify", state="PENDING").exists()
    assert not Case.objects.exists()


def test_a_failure_that_hides_whether_it_was_paid_is_asked_about_then_a_case(
    view: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A payout that is failed there cannot prove that it was paid: nothing is booked on it."""
    policy("always")
    payout = sent_payout("1200.00")
    view.states[payout.provider_ref] = NoAnswer(reason="failed_hides_paid")
    Teller(payout).tell("paid")
    drain()
    assert not Case.objects.exists() and not Verification.objects.exists()

    monkeypatch.setattr(verify_event, "SILENCE_MAX", timedelta(0))
    for _ in range(3):
        come_due()
        drain()

    case = Case.objects.get()
    hidden = "it is failed there, which does not show whether it was paid before"
    assert case.rule == "verification_unanswered"
    assert hidden in CaseEntry.objects.get(case=case, kind="unanswered").text
    assert Verification.objects.get().words == f"no answer: {hidden}"
    assert (only_event().state, balances(payout)) == ("PARKED", SENT)
    assert len(view.asked) == 4
    assert CallGate.objects.get().failures == 0

    view.show(payout, "payout.initiated", "payout.paid", "payout.returned")
    come_due()
    drain()
    assert (reload(payout).state, balances(payout)) == ("PAID", PAID)


def test_a_policy_that_was_taken_back_claims_nothing_of_an_older_answer(
    view: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify_event, "SILENCE_MAX", timedelta(0))
    policy("always")
    payout = sent_payout("1200.00")
    view.hush(payout)
    Teller(payout).tell("paid")
    drain()
    assert Verification.objects.get().verdict == "unanswered"

    policy("never")
    with transaction.atomic():
        inbox.release(
            event_ids=[only_event().pk],
            reason="the policy was changed",
            actor=actor("eli"),
            now=clock.utc_now(),
        )
    drain()

    assert (only_event().state, only_event().outcome) == ("PROCESSED", "payout paid")


@pytest.mark.parametrize("name", sorted(registry.with_calls()))
def test_every_provider_names_what_it_can_be_asked_about(name: str) -> None:
    askable = registry.calls(name).askable

    assert askable < KINDS
    assert {kind for kind in KINDS if kind.startswith("payout.")} <= askable
    assert not askable & {"ignored", "report.available", "invoice.paid"}
    # Only the generic provider's refund has a state that says its money came back.
    assert ("refund.returned" in askable) is (name == "standard")
    assert ("payment.captured" in askable) is (name in ("stripe", "paypal"))
