"""The runbook under kill -9 and refusal: every effect exactly once, or none (RB-1 to RB-4)."""

from __future__ import annotations

from typing import Any

import pytest

from approvals.models import ApprovalRequest
from ledger import posting
from ledger.models import JournalEntry
from payops.cases.models import Case, LocalMessage, LocalTicket, RunbookRun, RunbookStep
from payops.core import clock
from payops.core.models import AuditEvent, Message
from payops.flows.payouts import exception as payout_exception
from payops.flows.payouts import exception_plan, runbook
from payops.payments.models import Hold, Payout
from tests import books
from tests.builders import approval_of, approve_all, drain, reload
from tests.flows.lifecycle import (
    Teller,
    balances,
    change_bank_details,
    decide_case,
    open_case,
    propose,
)
from tests.flows.provider import KILLED, Provider, later
from tests.people import actor
from tests.stories import paid_payout, sent_payout

pytestmark = pytest.mark.django_db(transaction=True)

STEPS = ("hold_payout", "hold_beneficiary", "compensate", "ticket", "notify", "release")
ACTS = {"release": "_release", **{step: f"_{step}" for step in STEPS[:-1]}}
RELEASED = {"1100": -310_000, "1200": 310_000}


def failed_payout(amount: str = "3100.00") -> Payout:
    payout = paid_payout(amount)
    Teller(payout).tell("failed")
    drain()
    return reload(payout)


def granted(payout: Payout, resolution: str = "release") -> ApprovalRequest:
    """Approved by its seats; the runbook has not begun."""
    case = open_case(payout)
    assert case is not None
    approval = payout_exception.propose(
        case_id=case.pk,
        resolution=resolution,
        hold_beneficiary=True,
        reason="the bank sent it back",
        actor=actor("amara"),
        now=clock.utc_now(),
    )
    approve_all(approval)
    return approval


def test_kill_9_before_inside_and_after_each_step_leaves_every_effect_exactly_once(
    provider: Provider,
) -> None:
    """RB-3: eighteen workers die in one run; the nineteenth finds everything done."""
    payout = failed_payout()
    approval = granted(payout)
    flows = "payops.flows.payouts"

    for step in STEPS:
        for at, moment in (
            (f"{flows}.runbook:_run_step@{step}", "before"),
            (f"{flows}.exception_steps:{ACTS[step]}", "after"),
            (f"{flows}.runbook:_run_step@{step}", "after"),
        ):
            assert provider.worker_that_dies(at, moment) == KILLED, (step, moment)
            later()
    drain()

    assert _effects() == {
        "holds": [("hold_payout", True), ("hold_beneficiary", True)],
        "entries": ["payout.initiated", "payout.paid", "payout.released", "payout.returned"],
        "tickets": 1,
        "messages": 1,
        "steps": [(step, "DONE") for step in STEPS],
        "run": "done",
    }
    assert (reload(payout).state, balances(payout)) == ("RETURNED", RELEASED)
    case = Case.objects.get()
    assert (case.state, case.approval_id) == ("RESOLVED", approval.public_id)
    assert AuditEvent.objects.filter(action="runbook.step_done").count() == len(STEPS)
    assert not Message.objects.exclude(state="DONE").exists()


@pytest.mark.parametrize("allowed", [True, False])
def test_a_ledger_refusal_opens_an_urgent_ticket_and_rolls_holds_back_only_by_policy(
    allowed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PX-11, PX-12, RB-4"""
    books.with_settings(hold_rollback_allowed=allowed)
    payout = failed_payout()
    approval = granted(payout)
    monkeypatch.setattr(posting, "post", _refused)

    drain()

    ticket = LocalTicket.objects.get()
    assert (ticket.priority, ticket.correlation_id) == (
        "urgent",
        f"{approval.public_id}:compensate:refused",
    )
    message = LocalMessage.objects.get()
    assert message.audience == "finance, payments operations"
    assert "out of balance by 1.00 EUR" in message.body
    case, run = Case.objects.get(), RunbookRun.objects.get()
    assert (case.state, case.approval_id, run.outcome) == ("TRIAGED", "", "stopped")
    own = Hold.objects.filter(key__startswith=f"{approval.public_id}:")
    assert [hold.released_at is not None for hold in own] == [allowed, allowed]
    assert reload(payout).state == "EXCEPTION"
    assert not JournalEntry.objects.filter(event_class="payout.returned").exists()
    statuses = RunbookStep.objects.order_by("position").values_list("name", "status")
    assert list(statuses)[:4] == [
        ("hold_payout", "DONE"),
        ("hold_beneficiary", "DONE"),
        ("compensate", "FAILED"),
        ("ticket", "PENDING"),
    ]

    monkeypatch.undo()
    decide_case(payout)
    assert reload(payout).state == "RETURNED"
    assert RunbookRun.objects.count() == 2


def test_a_rollback_releases_only_the_runbooks_own_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """D7, F2"""
    payout = paid_payout("3100.00")
    Teller(payout, code="account_closed").tell("failed")
    drain()
    granted(payout, "request_details")
    monkeypatch.setattr(posting, "post", _refused)

    drain()

    left = Hold.objects.filter(released_at=None).values_list("source", flat=True)
    assert list(left) == ["protective"]


def test_a_journal_that_stays_busy_is_tried_again_then_stops_with_an_urgent_ticket(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """PX-11, D17a: time may change it, so the key stays free; people hear of it in the end."""
    payout = failed_payout()
    granted(payout)
    monkeypatch.setattr(posting, "post", _busy)

    for _ in range(runbook.STEP_ATTEMPTS_MAX - 1):
        drain()
        later()
    assert (Case.objects.get().state, LocalTicket.objects.count()) == ("EXECUTING", 0)
    drain()

    assert LocalTicket.objects.get().priority == "urgent"
    assert (Case.objects.get().state, RunbookRun.objects.get().outcome) == ("TRIAGED", "stopped")
    step = RunbookStep.objects.get(name="compensate")
    assert (step.status, step.attempts) == ("FAILED", runbook.STEP_ATTEMPTS_MAX)
    assert not Message.objects.filter(state__in=["PENDING", "DEAD"]).exists()
    monkeypatch.undo()
    decide_case(payout)
    assert reload(payout).state == "RETURNED"


def test_a_busy_journal_that_recovers_posts_once_without_anybody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """WH-25"""
    payout = failed_payout()
    granted(payout)
    with monkeypatch.context() as patched:
        patched.setattr(posting, "post", _busy)
        drain()
    assert reload(payout).state == "EXCEPTION"

    later()
    drain()

    assert (Case.objects.get().state, balances(payout)) == ("RESOLVED", RELEASED)
    assert LocalTicket.objects.count() == 1


def test_what_was_approved_is_not_executed_when_the_bank_details_changed() -> None:
    """D6: the plan is hashed again under the locks."""
    payout = failed_payout()
    approval = propose(open_case(payout))  # type: ignore[arg-type]
    assert change_bank_details(payout.beneficiary).executed_at is not None

    approve_all(approval)
    drain()

    approval = approval_of(approval.public_id)
    assert (approval.state, approval.executed_at) == ("VOID", None)
    assert approval.void_reason == "what was approved is no longer what would be done"
    assert (Case.objects.get().state, RunbookRun.objects.count()) == ("TRIAGED", 0)


def test_the_same_plan_gives_the_same_steps_and_a_hash(provider: Provider) -> None:
    """RB-2"""
    payout = failed_payout()
    case = open_case(payout)
    assert case is not None

    plans = [
        exception_plan.preview(
            case=case, resolution="release", hold_beneficiary=True, now=clock.utc_now()
        )
        for _ in range(2)
    ]

    assert [step["name"] for step in plans[0].steps] == list(STEPS)
    assert runbook.plan_hash(plans[0].facts) == runbook.plan_hash(plans[1].facts)


def test_a_failure_before_paid_is_released_back_to_the_sellers_balance() -> None:
    payout = sent_payout("3100.00")
    Teller(payout).tell("failed")
    drain()

    decide_case(payout, "release")

    assert (reload(payout).state, balances(payout)) == ("FAILED", {})
    assert Case.objects.get().state == "RESOLVED"


def _effects() -> dict[str, Any]:
    own = Hold.objects.filter(source="runbook").order_by("created_at")
    return {
        "holds": [(hold.key.partition(":")[2], hold.released_at is not None) for hold in own],
        "entries": sorted(JournalEntry.objects.values_list("event_class", flat=True)),
        "tickets": LocalTicket.objects.count(),
        "messages": LocalMessage.objects.count(),
        "steps": list(RunbookStep.objects.order_by("position").values_list("name", "status")),
        "run": RunbookRun.objects.get().outcome,
    }


def _refused(*_: Any, **__: Any) -> Any:
    raise posting.Unbalanced("out of balance by 1.00 EUR")


def _busy(*_: Any, **__: Any) -> Any:
    raise posting.LedgerBusy("the database could not take it now")
