"""From approval to the provider: cutoff, undo, cool-down, the same thresholds everywhere."""

from __future__ import annotations

from datetime import UTC, datetime
from datetime import time as day_time
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection

from approvals import services as approvals
from approvals.refusals import ApprovalRefused
from compliance.models import GateDecision
from ledger.models import JournalEntry
from payops.commands.bootstrap import as_owner
from payops.core import clock
from payops.core.models import Message, ProviderAccount
from payops.flows import beneficiary, holds
from payops.flows.payouts import request as payout_flow
from payops.payments.models import Intent, Payout
from payops.payments.services import next_submission_window
from tests import builders
from tests.builders import approval_of, decide, drain, reload, seller
from tests.flows.lifecycle import Teller, change_bank_details, open_case, propose
from tests.flows.provider import Provider, approved, calls, later
from tests.people import actor
from tests.stories import paid_payout, sent_payout

pytestmark = pytest.mark.django_db(transaction=True)

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("now", "window"),
    [
        ("2026-11-19 15:59", "2026-11-19 15:59"),
        ("2026-11-19 16:00", "2026-11-19 16:00"),
        ("2026-11-19 16:01", "2026-11-20 00:00"),
        ("2026-11-20 16:01", "2026-11-23 00:00"),
        ("2026-11-21 09:00", "2026-11-23 00:00"),
        ("2026-11-22 23:59", "2026-11-23 00:00"),
        ("2026-03-27 18:00", "2026-03-30 00:00"),
        ("2026-10-23 18:00", "2026-10-26 00:00"),
    ],
)
def test_the_submission_window_follows_the_cutoff_and_the_working_week(
    now: str, window: str
) -> None:
    """PX-15: local wall time, weekends and both clock changes."""
    account = ProviderAccount(cutoff_time=day_time(16, 0), cutoff_time_zone="Europe/Berlin")
    at = datetime.fromisoformat(now).replace(tzinfo=BERLIN).astimezone(UTC)

    found = next_submission_window(account, at)

    assert found.astimezone(BERLIN).strftime("%Y-%m-%d %H:%M") == window


@pytest.fixture
def after_cutoff() -> ProviderAccount:
    """The cutoff of today is over, whatever the time of the test run."""
    account = builders.account("standard")
    account.cutoff_time = day_time(0, 0)
    account.save()
    return account


def test_an_approved_payout_waits_for_its_window_however_it_is_woken(
    after_cutoff: ProviderAccount, provider: Provider
) -> None:
    """PX-15"""
    payout = approved()
    drain()
    waiting = Message.objects.get(topic="payout.dispatch")
    assert waiting.due_at == next_submission_window(after_cutoff, clock.utc_now())

    later()
    drain()

    waiting.refresh_from_db()
    assert (waiting.state, waiting.attempts) == ("PENDING", 0)
    assert waiting.due_at == next_submission_window(after_cutoff, clock.utc_now())
    assert (reload(payout).state, calls(payout)) == ("APPROVED", [])
    assert not GateDecision.objects.exists()

    after_cutoff.cutoff_time = None
    after_cutoff.save()
    later()
    drain()
    assert reload(payout).state == "IN_TRANSIT"


def test_an_approval_taken_back_before_the_window_cancels_the_payout(
    after_cutoff: ProviderAccount, provider: Provider
) -> None:
    """F9: undo before execution; nothing leaves when the window comes."""
    payout = approved()
    drain()

    approvals.undo(
        request_id=payout.approval_id,
        reason="the seller called",
        actor=actor("lena"),
        now=clock.utc_now(),
    )
    drain()
    after_cutoff.cutoff_time = None
    after_cutoff.save()
    later()
    drain()

    payout = reload(payout)
    assert (payout.state, payout.blocked_reason) == ("CANCELED", "the release was void")
    assert approval_of(payout.approval_id).executed_at is None
    assert (provider.movements(), JournalEntry.objects.count()) == ([], 0)
    assert not Intent.objects.exists()


def test_initiation_and_completion_are_two_events_with_two_entries() -> None:
    """PX-15"""
    payout = paid_payout("1200.00")

    entries = JournalEntry.objects.filter(subject_id=payout.public_id).order_by("id")
    assert [entry.event_class for entry in entries] == ["payout.initiated", "payout.paid"]
    assert payout.initiated_at is not None and payout.expected_on is not None
    assert payout.initiated_at.date() < payout.expected_on


def test_new_bank_details_end_what_was_asked_before_and_cool_down_for_the_rest(
    provider: Provider,
) -> None:
    """F27, D6, PX-6, CT-11: every gate in turn, none by override."""
    before = builders.requested("1200.00")
    change = change_bank_details(seller())
    assert seller().bank_changed_by == change.requested_by

    drain()
    assert approval_of(before.approval_id).state == "VOID"
    assert (reload(before).state, reload(before).blocked_reason) == (
        "CANCELED",
        "the release was void",
    )
    _verify()

    fresh = approved("1200.00", by="priya")
    drain()
    assert reload(fresh).blocked_reason == "the new bank details are still cooling down"
    with as_owner(), connection.cursor() as cursor:
        cursor.execute("UPDATE payments_beneficiary SET payable_from = now() - interval '1 s'")
    _retry(fresh)

    assert (reload(fresh).state, reload(before).state) == ("IN_TRANSIT", "CANCELED")
    assert [row[1] for row in provider.movements()] == [fresh.public_id]
    outcomes = GateDecision.objects.filter(payout_id=fresh.pk).order_by("created_at")
    assert [decision.passed for decision in outcomes] == [False, True]


def test_whoever_changed_the_bank_details_approves_no_payout_to_them() -> None:
    """D5: also when the person holds the seat."""
    change_bank_details(seller(), by="lena")

    payout = builders.requested("1200.00")

    approval = approval_of(payout.approval_id)
    with pytest.raises(ApprovalRefused, match="barred"):
        decide(approval, "lena")
    assert decide(approval, "tomas").kind == "approved"


def test_a_held_payout_is_blocked_and_leaves_only_after_that_hold_is_released(
    provider: Provider,
) -> None:
    """D7, PX-4, PX-5"""
    payout = approved()
    two = [
        holds.place(target_id=target, reason=why, actor=actor("lena"), now=clock.utc_now())
        for target, why in ((payout.public_id, "call back"), (seller().public_id, "audit"))
    ]
    drain()
    assert reload(payout).state == "BLOCKED"

    for hold, state in zip(two, ("BLOCKED", "IN_TRANSIT"), strict=True):
        holds.release(
            hold_id=hold.public_id, reason="answered", actor=actor("lena"), now=clock.utc_now()
        )
        _retry(payout)
        assert reload(payout).state == state
    assert len(provider.movements()) == 1


@pytest.mark.parametrize("name", ["standard", "stripe"])
def test_the_same_thresholds_hold_on_each_provider(name: str) -> None:
    """PX-13, AP-1: release and exception alike."""
    found = {}
    for amount, reference in (
        ("4999.99", "S-1001"),
        ("5000.00", "S-1002"),
        ("50000.00", "S-1003"),
        ("50000.01", "S-1005"),
    ):
        payout = failed_payout(name, amount, reference)
        found[amount] = (
            approval_of(payout.approval_id).seats,
            propose(open_case(payout), "hold").seats,  # type: ignore[arg-type]
        )

    middle = ["finance_manager", "compliance"]
    assert found == {
        "4999.99": (["ops_lead"], ["ops_lead"]),
        "5000.00": (middle, middle),
        "50000.00": (middle, middle),
        "50000.01": (["treasury"], ["treasury"]),
    }


def failed_payout(name: str, amount: str, reference: str) -> Payout:
    payout = sent_payout(amount, provider=name, reference=reference)
    Teller(payout).tell("failed")
    drain()
    return reload(payout)


def _verify() -> None:
    beneficiary.verify(
        beneficiary_id=seller().pk,
        evidence="called back on the known number",
        actor=actor("tomas"),
        now=clock.utc_now(),
    )


def _retry(payout: Payout) -> Any:
    payout_flow.retry_release(
        payout_id=payout.pk, reason="looked again", actor=actor("lena"), now=clock.utc_now()
    )
    drain()
