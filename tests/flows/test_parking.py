"""Parked events: exact by number, released by the predecessor or by the provider's own view."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
from django.db import transaction

from ledger.models import JournalEntry
from payops.cases.models import Case, CaseEntry
from payops.commands.invariants.base import Moment
from payops.commands.invariants.table import check_all
from payops.core import clock
from payops.core.models import Message
from payops.flows import governance, verification, verify_event
from payops.flows.payouts import exception as payout_exception
from payops.psp.base import Authentication
from payops.psp.calling import NotFound
from payops.psp.standard.adapter import StandardAdapter
from payops.webhooks import services as inbox
from payops.webhooks.inbox import ACTOR
from payops.webhooks.models import ProviderEvent, Verification
from tests.builders import approve_all, drain, payout_object, post_standard, reload, standard_event
from tests.flows.lifecycle import STANDARD_TYPES, Teller, balances
from tests.flows.test_inbox_ways import told_early
from tests.flows.view import View, change, come_due
from tests.people import actor
from tests.stories import sent_payout

pytestmark = pytest.mark.django_db(transaction=True)

AMOUNT = 120_000
SENT = {"2000": AMOUNT, "2100": -AMOUNT}
PAID = {"1100": -AMOUNT, "2000": AMOUNT}
BACK_UNDECIDED = {"2000": AMOUNT, "2910": -AMOUNT}
RETURNED_KINDS = ("payout.initiated", "payout.paid", "payout.returned")


@pytest.fixture(autouse=True)
def invariants_hold() -> Iterator[None]:
    yield
    findings = check_all(
        Moment(now=clock.utc_now()), only=["I1", "I2", "I3", "I4", "I5", "I10", "I17", "I18"]
    )
    assert {key: finding.breaks for key, finding in findings.items() if finding.breaks} == {}


@pytest.fixture
def numbered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The generic provider numbers its updates, told in the event's member `number`."""
    real = StandardAdapter.authenticate

    def authenticate(self: StandardAdapter, **told: Any) -> Authentication:
        found = real(self, **told)
        number = json.loads(told["raw"]).get("number")
        items = tuple(replace(item, sequence=number) for item in found.items)
        return replace(found, items=items)

    monkeypatch.setattr(StandardAdapter, "authenticate", authenticate)


def tell(payout: Any, word: str, number: int) -> dict[str, Any]:
    kind, status = STANDARD_TYPES[word]
    code = "could_not_process" if word == "failed" else None
    body = standard_event(kind, payout_object(payout, status, failure_code=code))
    body["number"] = number
    assert post_standard(body) == 200
    return body


def event_of(number: int) -> ProviderEvent:
    return ProviderEvent.objects.get(sequence=number)


def ask_overdue() -> int:
    change(park_deadline_s=1)
    past = clock.utc_now() + timedelta(seconds=5)
    with transaction.atomic():
        asked = verify_event.ask_overdue(past)
    come_due()
    return asked


# ---- by number ---------------------------------------------------------------------------------


def test_an_update_waits_for_the_one_before_and_is_released_by_it(numbered: None) -> None:
    """WH-10: exact; the third waits for the second although states alone would let it in."""
    payout = sent_payout("1200.00")
    tell(payout, "created", 1)
    tell(payout, "failed", 3)
    drain()

    waiting = event_of(3)
    assert (waiting.state, waiting.waits_for) == (
        "PARKED",
        f"seq:standard/demo:{payout.provider_ref}:2",
    )
    assert waiting.outcome == f"waits for update 2 of payout {payout.provider_ref}"
    assert (reload(payout).state, balances(payout)) == ("IN_TRANSIT", SENT)

    tell(payout, "paid", 2)
    drain()

    assert {event_of(n).state for n in (1, 2, 3)} == {"PROCESSED"}
    assert reload(payout).exception_from == "PAID"


@pytest.mark.parametrize("order", list(permutations((1, 2, 3, 4))))
def test_every_order_of_four_numbered_updates_ends_alike(
    numbered: None, order: tuple[int, ...]
) -> None:
    """WH-10, F31: told one by one, each drained before the next."""
    payout = sent_payout("1200.00")
    words = {1: "created", 2: "paid", 3: "failed", 4: "reversed"}

    for number in order:
        tell(payout, words[number], number)
        drain()

    payout = reload(payout)
    assert (payout.state, payout.exception_from) == ("EXCEPTION", "PAID")
    assert balances(payout) == BACK_UNDECIDED
    assert Case.objects.count() == 1
    assert set(ProviderEvent.objects.values_list("state", flat=True)) == {"PROCESSED"}
    applied = ProviderEvent.objects.order_by("finished_at", "sequence")
    assert list(applied.values_list("sequence", flat=True)) == [1, 2, 3, 4]


def test_one_batch_in_any_order_is_applied_by_number_within_the_batch(numbered: None) -> None:
    payout = sent_payout("1200.00")

    for word, number in (("reversed", 4), ("failed", 3), ("created", 1), ("paid", 2)):
        tell(payout, word, number)
    drain()

    assert set(ProviderEvent.objects.values_list("state", flat=True)) == {"PROCESSED"}
    assert balances(payout) == BACK_UNDECIDED


def test_numbers_of_another_object_release_nothing(numbered: None) -> None:
    one, other = sent_payout("1200.00"), sent_payout("1200.00")
    tell(one, "paid", 2)
    tell(other, "created", 1)
    drain()

    assert event_of(2).state == "PARKED"
    assert reload(one).state == "IN_TRANSIT"


def test_a_dead_update_holds_the_next_until_it_is_discarded(numbered: None) -> None:
    """A dead letter may be redriven, so it decides nothing; its approved end does."""
    payout = sent_payout("1200.00")
    body = tell(payout, "created", 1)
    tell(payout, "paid", 2)
    assert body["number"] == 1
    first = event_of(1)
    with transaction.atomic():
        held = ProviderEvent.objects.select_for_update().get(pk=first.pk)
        inbox.bury(held, actor=ACTOR, now=clock.utc_now())
    drain()
    assert (event_of(1).state, event_of(2).state) == ("DEAD", "PARKED")

    approval = governance.propose(
        kind="dead_letter_discard",
        facts={"event_ids": [first.public_id], "note": "told twice"},
        title="Discard the first update",
        reason="told twice",
        actor=actor("eli"),
        now=clock.utc_now(),
    )
    approve_all(approval)
    drain()

    assert (event_of(1).state, event_of(2).state) == ("DISCARDED", "PROCESSED")
    assert reload(payout).state == "PAID"


def test_a_lost_update_is_bridged_by_the_provider_s_own_state(numbered: None, view: View) -> None:
    """WH-10, WH-15: number 2 never comes; the fetched state proves that it was paid."""
    payout = sent_payout("1200.00")
    tell(payout, "created", 1)
    tell(payout, "reversed", 3)
    drain()
    view.show(payout, *RETURNED_KINDS)

    assert ask_overdue() == 1
    drain()

    payout = reload(payout)
    assert (payout.state, payout.exception_from) == ("EXCEPTION", "PAID")
    assert balances(payout) == BACK_UNDECIDED
    assert event_of(3).state == "PROCESSED"


def test_a_gap_that_nobody_can_be_asked_about_is_one_line_for_a_person(
    numbered: None, view: View
) -> None:
    """WH-10: asked once, told once, never guessed over; the lost update still releases it."""
    view.askable = frozenset()
    payout = sent_payout("1200.00")
    tell(payout, "created", 1)
    tell(payout, "failed", 3)
    drain()

    assert ask_overdue() == 1
    drain()
    for _ in range(2):
        come_due()
        drain()

    waiting, case = event_of(3), Case.objects.get()
    assert (waiting.state, view.asked) == ("PARKED", [])
    assert (case.rule, case.fingerprint) == ("verification_unanswered", "standard/demo")
    line = CaseEntry.objects.get(case=case, kind="unanswered")
    assert line.text.endswith(f"nothing is applied ({verification.NOT_OFFERED})")
    assert not Message.objects.filter(topic="event.verify", state="PENDING").exists()
    assert balances(payout) == SENT

    tell(payout, "paid", 2)
    drain()
    assert {event_of(n).state for n in (1, 2, 3)} == {"PROCESSED"}
    assert reload(payout).exception_from == "PAID"


def test_an_older_number_after_a_newer_one_never_goes_back(numbered: None, view: View) -> None:
    """F31: the lost second update comes after the third was applied on the provider's word."""
    payout = sent_payout("1200.00")
    tell(payout, "created", 1)
    tell(payout, "reversed", 3)
    drain()
    view.show(payout, *RETURNED_KINDS)
    ask_overdue()
    drain()
    before = reload(payout)

    tell(payout, "paid", 2)
    drain()

    after = reload(payout)
    assert (event_of(2).state, event_of(2).outcome) == ("IGNORED", "the payout is known to be paid")
    assert (after.state, after.paid_at, after.money_back_at) == (
        before.state,
        before.paid_at,
        before.money_back_at,
    )
    assert balances(payout) == BACK_UNDECIDED
    assert JournalEntry.objects.filter(event_class="payout.paid").count() == 1


# ---- by state, with a deadline -----------------------------------------------------------------


def test_a_return_whose_paid_event_is_lost_is_applied_on_the_provider_s_word(
    view: View,
) -> None:
    """WH-10, WH-15: paid, then returned, both said on the timeline, the journal complete."""
    payout = sent_payout("1200.00")
    Teller(payout).tell("reversed")
    drain()
    assert ProviderEvent.objects.get().waits_for == f"{payout.public_id}:paid"
    view.show(payout, *RETURNED_KINDS)

    assert ask_overdue() == 1
    drain()

    payout, event, case = reload(payout), ProviderEvent.objects.get(), Case.objects.get()
    assert (payout.state, payout.exception_from) == ("EXCEPTION", "PAID")
    assert event.state == "PROCESSED"
    classes = JournalEntry.objects.filter(event_id=event.public_id).order_by("created_at", "pk")
    assert sorted(classes.values_list("event_class", flat=True)) == [
        "payout.paid",
        "payout.return_received",
    ]
    assert balances(payout) == BACK_UNDECIDED
    assert CaseEntry.objects.get(case=case, kind="proved").text == (
        "its paid event never came; the provider's own state proves that it was paid"
    )
    told = Verification.objects.get()
    assert (told.cause, told.verdict) == ("deadline", "agrees")

    Teller(payout).tell("paid")
    drain()
    assert balances(payout) == BACK_UNDECIDED


def test_a_state_that_proves_no_payment_is_a_case_and_nothing_is_forced(
    view: View,
) -> None:
    payout = sent_payout("1200.00")
    Teller(payout).tell("reversed")
    drain()
    view.show(payout, "payout.returned")

    ask_overdue()
    drain()

    event, case = ProviderEvent.objects.get(), Case.objects.get()
    assert (event.state, event.waits_for) == ("PARKED", f"{payout.public_id}:paid")
    assert (case.rule, case.subject_id) == ("provider_mismatch", payout.public_id)
    assert balances(payout) == SENT


def test_a_provider_that_says_otherwise_is_a_case_and_the_predecessor_still_releases(
    view: View,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(verify_event, "LAG_MAX", timedelta(minutes=-1))
    payout = sent_payout("1200.00")
    teller = Teller(payout)
    teller.tell("reversed")
    drain()
    view.show(payout, "payout.initiated")
    ask_overdue()
    drain()
    case = Case.objects.get()
    assert (case.rule, ProviderEvent.objects.get().state) == ("provider_mismatch", "PARKED")

    teller.tell("paid")
    drain()

    assert set(ProviderEvent.objects.values_list("state", flat=True)) == {"PROCESSED"}
    assert balances(payout) == BACK_UNDECIDED


def test_before_the_deadline_nobody_is_asked(view: View) -> None:
    payout = sent_payout("1200.00")
    Teller(payout).tell("reversed")
    drain()

    with transaction.atomic():
        assert verify_event.ask_overdue(clock.utc_now()) == 0
    change(park_deadline_s=0)
    with transaction.atomic():
        assert verify_event.ask_overdue(clock.utc_now() + timedelta(days=30)) == 0
    assert view.asked == []


def test_the_deadline_is_asked_about_once(view: View) -> None:
    payout = sent_payout("1200.00")
    Teller(payout).tell("reversed")
    drain()
    view.show(payout, "payout.returned")

    assert ask_overdue() == 1
    assert ask_overdue() == 1
    assert Message.objects.filter(topic="event.verify").count() == 1
    drain()
    assert ask_overdue() == 0
    assert view.asked == [payout.provider_ref]


# ---- what was never ours -----------------------------------------------------------------------


def unknown_payout(view: View, ref: str = "P-DASHBOARD") -> dict[str, Any]:
    body = told_early(ref)
    assert post_standard(body) == 200
    drain()
    ours = sent_payout("1200.00")
    view.show(ours, "payout.initiated", "payout.paid", our_ref=None)
    view.states[body["data"]["id"]] = replace(
        view.states[ours.provider_ref], provider_ref=body["data"]["id"]
    )
    return body


def test_a_payout_made_in_the_provider_s_dashboard_is_detected_and_queued(
    view: View,
) -> None:
    """F4: one case for the object, its event kept, nothing posted."""
    body = unknown_payout(view)
    entries = JournalEntry.objects.count()

    ask_overdue()
    drain()

    case, event = Case.objects.get(), ProviderEvent.objects.get()
    assert (case.rule, case.fingerprint) == ("unknown_object", "standard/demo:spo_P-DASHBOARD")
    assert case.subject_id == event.public_id
    assert (case.amount_minor, case.currency) == (AMOUNT, "EUR")
    assert case.title.startswith(
        "standard/demo has payout spo_P-DASHBOARD, which is none of ours: "
    )
    assert (event.state, event.waits_for) == ("PARKED", "payout:standard/demo:spo_P-DASHBOARD")
    assert JournalEntry.objects.count() == entries
    assert body["data"]["id"] == "spo_P-DASHBOARD"


def test_a_closed_case_is_not_opened_again_by_the_same_event_waiting_on(
    view: View,
) -> None:
    unknown_payout(view)
    ask_overdue()
    drain()
    case = Case.objects.get()
    payout_exception.dismiss(
        case_id=case.pk,
        reason="treasury paid a supplier there",
        actor=actor("lena"),
        now=clock.utc_now(),
    )

    for _ in range(3):
        come_due()
        with transaction.atomic():
            inbox.recheck_parked(actor=ACTOR, now=clock.utc_now())
        drain()

    closed = Case.objects.get()
    assert closed.state in Case.CLOSED
    assert CaseEntry.objects.filter(case=closed, kind="unknown").count() == 1
    assert ProviderEvent.objects.get().state == "PARKED"


def test_an_unknown_payout_the_provider_does_not_have_either_is_a_contradiction(
    view: View,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(verify_event, "LAG_MAX", timedelta(minutes=-1))
    body = told_early("P-NOWHERE")
    assert post_standard(body) == 200
    drain()
    view.states["spo_P-NOWHERE"] = NotFound(searched="spo_P-NOWHERE")

    ask_overdue()
    drain()

    case = Case.objects.get()
    assert (case.rule, case.subject_id) == (
        "provider_mismatch",
        ProviderEvent.objects.get().public_id,
    )
