"""A webhook is a signal to verify: asked about first, applied when the provider agrees (WH-15)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from ledger.models import JournalEntry
from payops.cases.models import Case, CaseEntry
from payops.commands.invariants.base import Moment
from payops.commands.invariants.table import check_all
from payops.core import clock
from payops.core.models import AuditEvent, Message
from payops.core.money import Money
from payops.flows import verification, verify_event
from payops.payments import call_gate
from payops.payments.models import CallGate, Payment
from payops.psp import registry
from payops.psp.base import KINDS, NoAnswer, NormalizedEvent, NotFound, ObjectState
from payops.webhooks import services as inbox
from payops.webhooks.models import ProviderEvent, Verification
from tests.builders import account, capture, drain, reload
from tests.flows.lifecycle import Teller, balances
from tests.flows.provider import Provider, approved, settle
from tests.flows.view import View, come_due, policy
from tests.people import actor
from tests.races import race
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


def test_without_a_policy_nobody_is_asked(view: View) -> None:
    payout = sent_payout("1200.00")

    Teller(payout).tell("paid")
    drain()

    assert (view.asked, reload(payout).state) == ([], "PAID")
    assert not Verification.objects.exists()


@pytest.mark.parametrize("name", ["when_money_moves", "always"])
def test_an_event_is_applied_once_the_provider_agrees(view: View, name: str) -> None:
    policy(name)
    payout = sent_payout("1200.00")
    view.show(payout, *PAID_KINDS)

    Teller(payout).tell("paid")
    drain()

    event, told = only_event(), Verification.objects.get()
    assert view.asked == [payout.provider_ref]
    assert (event.state, event.outcome) == ("PROCESSED", "payout paid; confirmed by the provider")
    assert (told.verdict, told.cause, told.provider_status) == ("agrees", "policy", "paid")
    assert (told.amount_minor, told.currency) == (AMOUNT, "EUR")
    assert told.reached == ["payout.initiated", "payout.paid"]
    assert told.event_id == event.pk
    assert (reload(payout).state, balances(payout)) == ("PAID", PAID)


def test_until_the_answer_is_there_the_event_waits_and_nothing_is_posted(view: View) -> None:
    policy("always")
    payout = sent_payout("1200.00")
    view.hush(payout)

    Teller(payout).tell("paid")
    drain()
    come_due()
    drain()

    event = only_event()
    assert (event.state, event.waits_for) == ("PARKED", f"verify:{event.public_id}")
    assert event.outcome == (
        "the policy of standard/demo is to ask the provider first; waits for its answer"
    )
    assert (reload(payout).state, balances(payout)) == ("IN_TRANSIT", SENT)
    assert len(view.asked) == 2 and not Verification.objects.exists()
    assert Message.objects.filter(topic="event.verify").count() == 1


def test_only_what_moves_money_is_verified_where_the_policy_says_so(view: View) -> None:
    policy("when_money_moves")
    payout = sent_payout("1200.00")

    Teller(payout).tell("created")
    drain()

    assert (view.asked, only_event().state) == ([], "PROCESSED")


def test_always_means_every_event_that_has_an_effect(view: View) -> None:
    policy("always")
    payout = sent_payout("1200.00")
    view.show(payout, "payout.initiated")

    Teller(payout).tell("created")
    drain()

    assert view.asked == [payout.provider_ref]
    assert only_event().state == "PROCESSED"


def test_every_kind_the_table_names_is_canonical_and_every_posting_handler_is_in_it() -> None:
    assert verification.MOVES_MONEY <= KINDS
    acted_on = {kind for kind in KINDS if kind.startswith(verification.ACTED_ON)}
    assert acted_on - verification.MOVES_MONEY == {
        "payment.authorized",
        "payment.canceled",
        "payment.expired",
        "payment.failed",
        "payout.initiated",
        "payout.in_transit",
    }


def test_another_amount_there_is_a_case_with_both_figures_and_nothing_is_applied(
    view: View,
) -> None:
    policy("when_money_moves")
    payout = sent_payout("1200.00")
    view.show(payout, *PAID_KINDS, amount=Money(119_999, "EUR"))

    Teller(payout).tell("paid")
    drain()

    event, case = only_event(), Case.objects.get()
    words = (
        f"the event says payout.paid, 1,200.00 EUR; the provider shows {payout.provider_ref} as "
        "paid, 1,199.99 EUR"
    )
    assert (case.rule, case.subject_id, case.title) == (
        "provider_mismatch",
        payout.public_id,
        words,
    )
    assert (event.state, event.outcome) == ("IGNORED", f"not applied: {words}")
    assert event.reprocessable
    line = CaseEntry.objects.get(case=case, kind="mismatch")
    assert (line.text, line.facts["verdict"]) == (words, "differs")
    assert (reload(payout).state, balances(payout)) == ("IN_TRANSIT", SENT)


def test_another_currency_there_is_a_case(view: View) -> None:
    policy("always")
    payout = sent_payout("1200.00")
    view.show(payout, *PAID_KINDS, amount=Money(AMOUNT, "USD"))

    Teller(payout).tell("paid")
    drain()

    assert Case.objects.get().rule == "provider_mismatch"
    assert balances(payout) == SENT


def test_a_state_not_reached_yet_is_lag_first_and_disagreement_only_when_it_stays(
    view: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy("always")
    payout = sent_payout("1200.00")
    view.show(payout, "payout.initiated")
    Teller(payout).tell("paid")
    drain()
    assert not Verification.objects.exists() and not Case.objects.exists()

    view.show(payout, *PAID_KINDS)
    come_due()
    drain()
    assert reload(payout).state == "PAID"

    other = sent_payout("1200.00")
    view.show(other, "payout.initiated")
    monkeypatch.setattr(verify_event, "LAG_MAX", timedelta(0))
    Teller(other).tell("paid")
    drain()
    case = Case.objects.get()
    assert (case.rule, case.subject_id) == ("provider_mismatch", other.public_id)
    assert "shows" in case.title and "initiated" in case.title
    assert (reload(other).state, balances(other)) == ("IN_TRANSIT", SENT)


def test_an_object_the_provider_does_not_have_is_a_case(
    view: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify_event, "LAG_MAX", timedelta(0))
    policy("always")
    payout = sent_payout("1200.00")
    view.states[payout.provider_ref] = NotFound(searched=payout.provider_ref)

    Teller(payout).tell("failed")
    drain()

    assert Verification.objects.get().verdict == "absent"
    assert Case.objects.get().title == (
        f"the event is about {payout.provider_ref}; the provider has no {payout.provider_ref}"
    )
    assert (reload(payout).state, balances(payout)) == ("IN_TRANSIT", SENT)


def test_silence_becomes_one_case_for_the_account_and_the_events_go_on_waiting(
    view: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify_event, "SILENCE_MAX", timedelta(0))
    policy("always")
    payouts = [sent_payout("1200.00") for _ in range(2)]
    for payout in payouts:
        view.hush(payout)
        Teller(payout).tell("paid")
    drain()

    case = Case.objects.get()
    assert (case.rule, case.fingerprint) == ("verification_unanswered", "standard/demo")
    assert CaseEntry.objects.filter(case=case, kind="unanswered").count() == 2
    assert set(ProviderEvent.objects.values_list("state", flat=True)) == {"PARKED"}
    for _ in range(3):
        come_due()
        drain()
    assert Verification.objects.filter(verdict="unanswered").count() == 2
    assert CaseEntry.objects.filter(case=case, kind="unanswered").count() == 2
    assert {reload(payout).state for payout in payouts} == {"IN_TRANSIT"}

    for payout in payouts:
        view.show(payout, *PAID_KINDS)
    CallGate.objects.all().delete()
    come_due()
    drain()
    assert {reload(payout).state for payout in payouts} == {"PAID"}
    assert [balances(payout) for payout in payouts] == [PAID, PAID]


def test_calls_held_back_for_long_are_silence_too(
    view: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    """WH-22: the valve is closed before the question leaves, and a person hears of it."""
    monkeypatch.setattr(verify_event, "SILENCE_MAX", timedelta(0))
    policy("always")
    payout = sent_payout("1200.00")
    for _ in range(call_gate.FAILURES_TO_OPEN):
        call_gate.report(
            account=account(), answered=False, error="connect_error", now=clock.utc_now()
        )
    Teller(payout).tell("paid")
    drain()

    assert view.asked == []
    assert Verification.objects.get().words == (
        "not asked yet: calls to the provider are held back"
    )
    assert Case.objects.get().rule == "verification_unanswered"
    assert balances(payout) == SENT


def test_a_confirmed_failure_says_so_on_the_timeline_of_its_case(view: View) -> None:
    policy("always")
    payout = sent_payout("1200.00")
    view.show(payout, "payout.initiated", "payout.failed")

    Teller(payout).tell("failed")
    drain()

    case = Case.objects.get()
    assert case.rule == "payout_failure"
    assert CaseEntry.objects.get(case=case, kind="verified").text == (
        f"confirmed by the provider: {payout.provider_ref} is failed, 1,200.00 EUR there"
    )


def test_a_payment_is_captured_only_when_the_provider_agrees(view: View) -> None:
    policy("when_money_moves")
    body = capture(50_00)
    event = only_event()
    assert (event.state, JournalEntry.objects.count()) == ("PARKED", 0)

    view.states[body["data"]["id"]] = ObjectState(
        provider_ref=body["data"]["id"],
        raw_status="captured",
        reached=frozenset({"payment.authorized", "payment.captured"}),
        amount=Money(50_00, "EUR"),
    )
    come_due()
    drain()

    assert only_event().state == "PROCESSED"
    assert JournalEntry.objects.filter(event_class="payment.captured").count() == 1


def test_a_redrive_asks_the_provider_anew(view: View) -> None:
    """An answer from before the redrive is not the answer to it (WH-19)."""
    policy("always")
    payout = sent_payout("1200.00")
    view.show(payout, *PAID_KINDS, amount=Money(1, "EUR"))
    Teller(payout).tell("paid")
    drain()
    assert only_event().state == "IGNORED"

    view.show(payout, *PAID_KINDS)
    with transaction.atomic():
        inbox.redrive(
            event_ids=[only_event().public_id],
            note="the provider corrected its amount",
            actor=actor("eli"),
            now=clock.utc_now(),
        )
    drain()

    assert (only_event().state, reload(payout).state) == ("PROCESSED", "PAID")
    assert list(Verification.objects.order_by("asked_at").values_list("verdict", flat=True)) == [
        "differs",
        "agrees",
    ]


def test_two_workers_with_the_same_question_apply_the_event_once(view: View) -> None:
    """WH-24"""
    policy("always")
    payout = sent_payout("1200.00")
    view.hush(payout)
    Teller(payout).tell("paid")
    drain()
    view.show(payout, *PAID_KINDS)
    message = Message.objects.get(topic="event.verify")

    raised = race(4, lambda _: verify_event.ask([message], clock.utc_now()))
    drain()

    assert [each for each in raised if each is not None] == []
    assert JournalEntry.objects.filter(event_class="payout.paid").count() == 1
    assert AuditEvent.objects.filter(action="event.released").count() == 1
    assert reload(payout).state == "PAID"


def test_pauses_grow_with_the_waiting_and_are_never_in_step() -> None:
    """WH-22"""
    early = {verify_event.pause(timedelta(seconds=4)) for _ in range(50)}
    late = [verify_event.pause(timedelta(days=3)) for _ in range(50)]

    assert len(early) == 50
    assert all(timedelta(seconds=2) <= each <= timedelta(seconds=4) for each in early)
    assert all(timedelta(minutes=30) <= each <= timedelta(hours=1) for each in late)


@pytest.mark.parametrize(
    ("found", "verdict", "pending"),
    [
        (NoAnswer(reason="deadline"), "unanswered", True),
        (NotFound(searched="spo_1"), "absent", True),
        (("payout.initiated",), "differs", True),
        (("payout.initiated", "payout.paid"), "agrees", False),
    ],
)
def test_the_judgement(found: Any, verdict: str, pending: bool) -> None:
    if isinstance(found, tuple):
        found = ObjectState(
            provider_ref="spo_1", raw_status="x", reached=frozenset(found), amount=Money(5, "EUR")
        )
    said = NormalizedEvent(
        kind="payout.paid",
        provider="standard",
        provider_event_id="sev_1",
        provider_ref="spo_1",
        raw_type="payout.paid",
        status="paid",
        occurred_at=None,
        live=False,
        amount=Money(5, "EUR"),
    )

    told = verification.judge(said=said, found=found)

    assert (told.verdict, told.pending) == (verdict, pending)


def test_the_provider_itself_confirms_what_it_told(provider: Provider) -> None:
    """WH-15 over real HTTP."""
    policy("always")
    payout = settle(approved())
    assert provider.deliver() >= 1
    drain()

    told = Verification.objects.order_by("asked_at")
    assert {row.verdict for row in told} == {"agrees"}
    events = ProviderEvent.objects.filter(subject_id=payout.public_id)
    assert set(events.values_list("state", flat=True)) == {"PROCESSED"}
    assert told.count() == events.count()


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


@pytest.mark.parametrize("name", sorted(registry.PROVIDERS))
def test_every_provider_names_what_it_can_be_asked_about(name: str) -> None:
    askable = registry.calls(name).askable

    assert askable < KINDS
    assert {kind for kind in KINDS if kind.startswith("payout.")} <= askable
    assert not askable & {"ignored", "refund.returned", "report.available", "invoice.paid"}
    assert ("payment.captured" in askable) is (name in ("stripe", "paypal"))
