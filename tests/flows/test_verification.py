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
from payops.payments.models import CallGate
from payops.psp.base import KINDS, NormalizedEvent
from payops.psp.calling import NoAnswer, NotFound, ObjectState
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
        "dispute.closed",
        "dispute.opened",
        "dispute.updated",
        "dispute.won",
        "payment.authorized",
        "payment.canceled",
        "payment.expired",
        "payment.failed",
        "payout.initiated",
        "payout.in_transit",
        "refund.observed",
        "refund.requested",
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
