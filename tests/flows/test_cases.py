"""Cases under storms, recurrence and contradiction: one identity, one queue, postings go on."""

from __future__ import annotations

import pytest
from django.db import transaction

from ledger.models import JournalEntry
from payops.cases import services as cases_services
from payops.cases.models import Case, CaseEntry
from payops.cases.services import Finding
from payops.core import clock
from payops.core.models import AuditEvent, Book
from payops.flows import tasks
from payops.flows.payouts import exception as payout_exception
from payops.payments.models import Hold, Payout
from tests import books, builders
from tests.builders import decide, drain, post_standard, reload
from tests.flows.lifecycle import Teller, balances, open_case, propose
from tests.flows.provider import later
from tests.people import actor
from tests.races import race
from tests.stories import paid_payout, sent_payout

pytestmark = pytest.mark.django_db(transaction=True)

CAP = 3


@pytest.fixture
def small_cap() -> None:
    books.with_settings(case_storm_cap=CAP)


def fail_at_once(payouts: list[Payout], code: str = "account_closed") -> None:
    for payout in payouts:
        Teller(payout, code=code).tell("failed")
    drain()


def test_a_burst_above_the_cap_opens_one_systemic_case_and_postings_go_on(small_cap: None) -> None:
    """D11, F17: all or nothing, and what comes in the same minute joins it."""
    burst = [sent_payout("120.00", provider="stripe") for _ in range(CAP + 2)]
    for payout in burst:
        Teller(payout).tell("paid")
    drain()

    fail_at_once(burst[:-1])
    fail_at_once(burst[-1:])

    systemic = Case.objects.get()
    assert (systemic.rule, systemic.fingerprint) == ("systemic", "payout_failure")
    members = CaseEntry.objects.filter(case=systemic, kind="storm_member")
    assert {line.refers_to for line in members} == {payout.public_id for payout in burst}
    booked = JournalEntry.objects.filter(event_class="payout.return_received").count()
    assert booked == CAP + 2
    assert {balances(payout)["2910"] for payout in burst} == {-12_000}
    assert {reload(payout).state for payout in burst} == {"EXCEPTION"}


def test_the_single_cases_of_a_storm_are_opened_by_a_person_with_their_holds(
    small_cap: None,
) -> None:
    """D11"""
    burst = [sent_payout("120.00", provider="stripe") for _ in range(CAP + 1)]
    fail_at_once(burst)
    systemic = Case.objects.get()

    opened = payout_exception.open_members(
        case_id=systemic.pk, actor=actor("lena"), now=clock.utc_now()
    )

    assert opened == CAP + 1
    single = Case.objects.filter(rule="payout_failure")
    assert {case.subject_id for case in single} == {payout.public_id for payout in burst}
    assert {(case.state, case.disposition) for case in single} == {("OPEN", "new_details")}
    protective = Hold.objects.filter(source="protective", released_at=None)
    assert {hold.case_id for hold in protective} == {case.public_id for case in single}
    handed_over = Hold.objects.filter(case_id=systemic.public_id)
    assert {hold.release_reason for hold in handed_over} == {
        f"handed over to {case.public_id}" for case in single
    }
    systemic = Case.objects.get(pk=systemic.pk)
    assert systemic.state == "RESOLVED"
    with pytest.raises(payout_exception.CaseRefused, match="not an open systemic case"):
        payout_exception.open_members(case_id=systemic.pk, actor=actor("lena"), now=clock.utc_now())


@pytest.mark.parametrize(("wanted", "held"), [(True, CAP + 1), (False, 0)])
def test_a_storm_holds_every_beneficiary_before_it_is_split(
    small_cap: None, wanted: bool, held: int
) -> None:
    """D7, D11: the protective hold does not wait for a person to split the systemic case."""
    books.with_settings(protective_hold=wanted)
    burst = [sent_payout("120.00", provider="stripe") for _ in range(CAP + 1)]

    fail_at_once(burst)
    fail_at_once(burst)

    systemic = Case.objects.get()
    holds = Hold.objects.filter(source="protective", released_at=None)
    assert {hold.case_id for hold in holds} <= {systemic.public_id}
    assert holds.count() == held
    assert {hold.beneficiary_id for hold in holds} <= {p.beneficiary_id for p in burst}


def test_as_many_failures_as_the_cap_allows_open_single_cases(small_cap: None) -> None:
    burst = [sent_payout("120.00") for _ in range(CAP)]

    fail_at_once(burst)

    assert list(Case.objects.values_list("rule", flat=True)) == ["payout_failure"] * CAP


def test_two_rules_about_one_payout_in_one_batch_are_two_cases() -> None:
    """D10: a failure with wrong figures and the true one of the same payout, told together."""
    payout = paid_payout("1200.00")
    wrong = builders.payout_object(payout, "failed", amount=119_999, failure_code="declined")
    true = builders.payout_object(payout, "failed", failure_code="account_closed")
    for told in (wrong, true):
        assert post_standard(builders.standard_event("payout.failed", told)) == 200

    drain()

    cases = {case.rule: case for case in Case.objects.all()}
    assert sorted(cases) == ["payout_failure", "provider_mismatch"]
    assert {case.fingerprint for case in cases.values()} == {payout.public_id}
    mismatch = CaseEntry.objects.get(case=cases["provider_mismatch"], kind="mismatch")
    assert "1,199.99 EUR" in mismatch.text
    assert not CaseEntry.objects.filter(case=cases["payout_failure"], kind="mismatch").exists()
    assert cases["payout_failure"].disposition == "new_details"
    hold = Hold.objects.get(source="protective")
    assert hold.case_id == cases["payout_failure"].public_id


def test_findings_of_one_fingerprint_are_told_apart_by_their_rule() -> None:
    book = Book.objects.get(is_system=False)
    findings = [
        Finding(book, rule, "po_1", "2026-01", "po_1", f"{rule} of po_1")
        for rule in ("payout_failure", "provider_mismatch", "payout_failure")
    ]

    with transaction.atomic():
        opened = cases_services.open_many(findings, actor=actor("lena"), now=clock.utc_now())
        again = cases_services.open_many(findings, actor=actor("lena"), now=clock.utc_now())

    assert {key[1:]: case.rule for key, case in opened.items()} == {
        ("payout_failure", "po_1"): "payout_failure",
        ("provider_mismatch", "po_1"): "provider_mismatch",
    }
    assert {key: case.pk for key, case in again.items()} == {
        key: case.pk for key, case in opened.items()
    }
    assert Case.objects.count() == 2


def test_the_same_finding_in_one_period_is_one_case_and_a_closed_one_opens_again() -> None:
    """D10: identity is (rule, fingerprint, period); recurrence reopens instead of multiplying."""
    payout = paid_payout("1200.00")

    def wrong() -> None:
        told = builders.payout_object(payout, "failed", amount=119_999, failure_code="declined")
        assert post_standard(builders.standard_event("payout.failed", told)) == 200
        drain()

    wrong()
    wrong()
    case = Case.objects.get()
    assert (case.rule, case.fingerprint) == ("provider_mismatch", payout.public_id)
    payout_exception.dismiss(
        case_id=case.pk,
        reason="the provider corrected it",
        actor=actor("lena"),
        now=clock.utc_now(),
    )

    wrong()

    case = Case.objects.get()
    assert (case.state, case.resolved_at) == ("TRIAGED", None)
    assert CaseEntry.objects.filter(case=case, kind="reopened").count() == 1
    assert AuditEvent.objects.filter(action="case.reopened").count() == 1
    assert (reload(payout).state, balances(payout)) == (
        "PAID",
        {"1100": -120_000, "2000": 120_000},
    )


def test_an_event_about_another_movement_under_our_reference_is_a_case_and_changes_nothing() -> (
    None
):
    """I7: two objects at the provider with one reference are not one payout."""
    payout = sent_payout("1200.00")
    told = builders.payout_object(payout, "paid") | {"id": "spo_somebody_elses"}

    assert post_standard(builders.standard_event("payout.paid", told)) == 200
    drain()

    case = Case.objects.get()
    assert (case.rule, case.subject_id) == ("provider_mismatch", payout.public_id)
    assert "spo_somebody_elses" in case.title
    assert reload(payout).state == "IN_TRANSIT"
    assert not JournalEntry.objects.filter(event_class="payout.paid").exists()


def test_a_failure_told_after_the_case_is_resolved_is_added_to_it() -> None:
    """PX-1, PX-9: the payout was decided; late news goes to its timeline and opens nothing."""
    payout = sent_payout("1200.00")
    teller = Teller(payout)
    teller.tell("failed")
    drain()
    case = open_case(payout)
    assert case is not None
    decide(propose(case, "release"), "lena")
    drain()
    assert Case.objects.get().state == "RESOLVED"

    again = builders.payout_object(payout, "failed", failure_code="could_not_process")
    post_standard(builders.standard_event("payout.failed", again))
    drain()

    assert (Case.objects.get().state, reload(payout).state) == ("RESOLVED", "FAILED")
    told = CaseEntry.objects.filter(case=case, kind="event").values_list("text", flat=True)
    assert "the failure was told again: payout.failed" in list(told)


def test_sixteen_people_propose_at_once_and_one_request_stands() -> None:
    payout = paid_payout("1200.00")
    Teller(payout).tell("failed")
    drain()
    case = open_case(payout)
    assert case is not None

    answers = race(16, lambda _: propose(case, "hold"))

    granted = [answer for answer in answers if not isinstance(answer, Exception)]
    refused = [answer for answer in answers if isinstance(answer, payout_exception.CaseRefused)]
    assert (len(granted), len(refused)) == (1, 15)


def test_a_repeat_noted_before_its_event_is_decided_still_reaches_the_timeline() -> None:
    """WH-7: lanes overtake each other; the duplicate waits for the event it repeats."""
    payout = paid_payout("1200.00")
    teller = Teller(payout)
    teller.tell("failed")
    teller.tell("failed")
    tasks.drain("bulk", budget_s=30)
    assert not AuditEvent.objects.filter(action="event.duplicate_ignored").exists()

    drain()
    later()
    drain()

    lines = CaseEntry.objects.filter(case=open_case(payout), kind="duplicate")
    assert lines.count() == 1
    assert AuditEvent.objects.filter(action="event.duplicate_ignored").count() == 1
