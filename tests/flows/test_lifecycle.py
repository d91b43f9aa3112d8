"""Every order of the same events ends in one state, one balance per account, one case, one run.

The human decision falls anywhere after the case exists; when an event voids it, it is asked for
again. Invariants recomputed at the end (I4, I5, I9, I10, I13, I16 to I18), PX-1 to PX-3, WH-10,
WH-11, F31, D8.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payops.cases.models import Case, LocalTicket, RunbookRun
from payops.commands.invariants.base import Moment
from payops.commands.invariants.table import check_all
from payops.core import clock
from payops.payments.models import Hold
from payops.webhooks.models import ProviderEvent
from tests import books
from tests.builders import drain, reload
from tests.flows.lifecycle import (
    Teller,
    approve_and_run,
    balances,
    decide_case,
    open_case,
    propose,
    release_holds,
)
from tests.stories import sent_payout

pytestmark = pytest.mark.django_db(transaction=True)

RECOMPUTED = ["I4", "I5", "I9", "I10", "I13", "I16", "I17", "I18"]
AMOUNT = 120_000
BACK = {"2000": AMOUNT, "2200": -AMOUNT}
ON_ITS_WAY = {"1100": -AMOUNT, "1200": AMOUNT, **BACK}
# (provider, what the provider tells, where every order of it ends)
STORIES = [
    ("standard", ("created", "failed"), "FAILED", BACK),
    ("standard", ("created", "paid", "failed"), "RETURNED", ON_ITS_WAY),
    ("standard", ("created", "paid", "reversed"), "RETURNED", BACK),
    ("standard", ("created", "paid", "failed", "reversed"), "RETURNED", BACK),
    ("stripe", ("created", "failed"), "FAILED", BACK),
    ("stripe", ("created", "paid", "failed"), "RETURNED", BACK),
    ("stripe", ("created", "paid", "reversed"), "RETURNED", BACK),
    ("stripe", ("created", "paid", "failed", "reversed"), "RETURNED", BACK),
]


@pytest.fixture(autouse=True)
def invariants_hold() -> Iterator[None]:
    """Recomputed over everything the test did."""
    yield
    findings = check_all(Moment(now=clock.utc_now()), only=RECOMPUTED)
    assert {key: finding.breaks for key, finding in findings.items() if finding.breaks} == {}


@st.composite
def tellings(draw: st.DrawFn) -> tuple[int, tuple[str, ...], int, int, int]:
    """(story, words in any order with repeats, propose before, approve before, drain every)."""
    story = draw(st.integers(0, len(STORIES) - 1))
    words = STORIES[story][1]
    again = draw(st.lists(st.sampled_from(words), max_size=3))
    order = tuple(draw(st.permutations([*words, *again])))
    asked = draw(st.integers(0, len(order)))
    granted = draw(st.integers(asked, len(order)))
    return story, order, asked, granted, draw(st.integers(1, 3))


@given(telling=tellings())
@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_any_order_with_a_decision_anywhere_ends_in_one_state_and_one_balance(
    telling: tuple[int, tuple[str, ...], int, int, int],
) -> None:
    _many_cases_allowed()
    story, order, asked, granted, every = telling

    _tell_and_check(*STORIES[story], order=order, asked=asked, granted=granted, every=every)


@pytest.mark.parametrize("provider", ["standard", "stripe"])
def test_all_24_orders_of_four_events_decided_at_the_first_moment_possible(provider: str) -> None:
    _many_cases_allowed()
    story = next(s for s in STORIES if s[0] == provider and len(s[1]) == 4)

    for order in permutations(story[1]):
        _tell_and_check(*story, order=order, asked=0, granted=0, every=1)


def test_a_return_told_in_one_batch_before_its_paid_event_is_applied_in_that_batch() -> None:
    """WH-10: parked and released within the batch, not half a minute later."""
    payout = sent_payout("1200.00")
    teller = Teller(payout)

    teller.tell("reversed")
    teller.tell("paid")
    drain()

    states = ProviderEvent.objects.order_by("created_at").values_list("type", "state")
    assert list(states) == [("payout.reversed", "PROCESSED"), ("payout.paid", "PROCESSED")]
    assert reload(payout).state == "EXCEPTION"
    assert balances(payout) == {"2000": AMOUNT, "2910": -AMOUNT}


def test_an_older_paid_event_voids_the_pending_decision_which_is_asked_for_again() -> None:
    """D6: what the approvers saw is no longer what would be posted."""
    payout = sent_payout("1200.00")
    teller = Teller(payout)
    teller.tell("failed")
    drain()
    first = propose(open_case(payout))  # type: ignore[arg-type]
    assert first.facts["template"] == "payout.failed"

    teller.tell("paid")
    drain()

    assert not approve_and_run(first)
    first.refresh_from_db()
    assert (first.state, first.void_reason) == (
        "VOID",
        "an older paid event changed what would be posted",
    )
    assert Case.objects.get().state == "TRIAGED"
    second = decide_case(payout)
    assert second.facts["template"] == "payout.returned"
    assert RunbookRun.objects.count() == 1


def test_a_cause_named_after_the_return_counts_as_if_named_first() -> None:
    """PX-8: a frozen account is a compliance cause in whichever order it is told."""
    outcomes = set()
    for order in permutations(("paid", "failed", "reversed")):
        release_holds()
        payout = sent_payout("1200.00")
        teller = Teller(payout, code="account_frozen")
        for word in order:
            teller.tell(word)
            drain()
        payout, case = reload(payout), open_case(payout)
        assert case is not None
        outcomes.add((payout.failure_code, case.root_cause, case.disposition, payout.state))
        held = Hold.objects.filter(case_id=case.public_id).values_list("source", flat=True)
        assert list(held) == ["protective"]

    assert outcomes == {("account_frozen", "compliance_hold", "compliance", "EXCEPTION")}


def _tell_and_check(
    provider: str,
    words: tuple[str, ...],
    state: str,
    ends: dict[str, int],
    *,
    order: tuple[str, ...],
    asked: int,
    granted: int,
    every: int,
) -> None:
    release_holds()
    payout = sent_payout("1200.00", provider=provider)
    teller, approval, decided = Teller(payout), None, False
    for position, word in enumerate(order):
        case = open_case(payout)
        if not decided and case is not None:
            if approval is None and position >= asked:
                approval = propose(case)
            if approval is not None and position >= granted:
                decided = approve_and_run(approval)
                approval = None
        teller.tell(word)
        if (position + 1) % every == 0:
            drain()
    drain()
    if approval is not None:
        decided = approve_and_run(approval) or decided
    if not decided:
        decide_case(payout)

    payout = reload(payout)
    assert (payout.state, balances(payout)) == (state, ends)
    case = Case.objects.get(subject_id=payout.public_id)
    assert (case.rule, case.state) == ("payout_failure", "WAITING")
    runs = RunbookRun.objects.filter(case=case).values_list("outcome", flat=True)
    assert list(runs) == ["done"]
    assert Hold.objects.filter(payout=payout, source="runbook").count() == 1
    assert LocalTicket.objects.filter(title__contains=payout.merchant_ref).count() == 1
    assert payout.failure_code == ("could_not_process" if "failed" in words else "returned")
    unfinished = ProviderEvent.objects.exclude(state__in=["PROCESSED", "IGNORED"])
    assert not unfinished.exists(), list(unfinished.values_list("type", "state", "last_error"))


def _many_cases_allowed() -> None:
    """The storm cap is another test's matter."""
    books.with_settings(case_storm_cap=100_000)
