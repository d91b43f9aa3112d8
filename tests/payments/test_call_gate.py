"""WH-22: calls towards a provider stay under its cap, stop when it is silent, and never crowd."""

from __future__ import annotations

import heapq
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from payops.core.models import AuditEvent, ProviderAccount
from payops.payments import call_gate
from payops.payments.models import CallGate
from tests.races import race

pytestmark = pytest.mark.django_db(transaction=True)
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
UP_AGAIN = START + timedelta(minutes=10)


@pytest.fixture
def account() -> ProviderAccount:
    return ProviderAccount.objects.get(provider="stripe", slug="demo")


def test_the_cap_lets_a_quarter_second_through_and_then_paces(account: ProviderAccount) -> None:
    let_through = [call_gate.admit(account=account, now=START) for _ in range(7)]
    assert let_through[:5] == [None] * 5
    assert let_through[5] == let_through[6] == START + timedelta(milliseconds=50)
    assert call_gate.admit(account=account, now=START + timedelta(milliseconds=50)) is None
    assert call_gate.admit(account=account, now=START + timedelta(milliseconds=51)) is not None


def test_sixteen_at_once_take_no_more_than_the_cap(account: ProviderAccount) -> None:
    answers = race(16, lambda _: call_gate.admit(account=account, now=START))
    assert Counter(answer is None for answer in answers) == {True: 5, False: 11}


def test_five_silences_open_it_and_one_probe_closes_it(account: ProviderAccount) -> None:
    for _ in range(4):
        call_gate.report(account=account, answered=False, error="timeout", now=START)
    assert not call_gate.is_open(account=account)
    call_gate.report(account=account, answered=False, error="timeout", now=START)
    gate = CallGate.objects.get(account=account)
    assert (gate.state, gate.failures, gate.last_error) == ("OPEN", 5, "timeout")
    assert gate.probe_at is not None
    assert call_gate.admit(account=account, now=START) >= gate.probe_at

    probes = race(16, lambda _: call_gate.admit(account=account, now=gate.probe_at))
    assert [answer for answer in probes if answer is None] == [None], "one probe, fifteen wait"

    call_gate.report(account=account, answered=True, now=gate.probe_at)
    assert not call_gate.is_open(account=account)
    assert list(
        AuditEvent.objects.filter(subject_id="stripe/demo", action__startswith="call_gate.")
        .order_by("created_at")
        .values_list("action", "from_state", "to_state")
    ) == [("call_gate.opened", "CLOSED", "OPEN"), ("call_gate.closed", "HALF_OPEN", "CLOSED")]


def test_one_object_without_an_answer_never_holds_up_the_others(account: ProviderAccount) -> None:
    for _ in range(20):
        call_gate.report(account=account, answered=False, error="500", subject="po_1", now=START)
    assert not call_gate.is_open(account=account)
    for number in range(4):
        subject = f"po_{number + 2}"
        call_gate.report(account=account, answered=False, error="500", subject=subject, now=START)
    assert call_gate.is_open(account=account)


def test_a_lost_probe_is_followed_by_another(account: ProviderAccount) -> None:
    for _ in range(5):
        call_gate.report(account=account, answered=False, error="timeout", now=START)
    probe_at = CallGate.objects.get(account=account).probe_at
    assert probe_at is not None
    assert call_gate.admit(account=account, now=probe_at) is None
    assert call_gate.admit(account=account, now=probe_at + timedelta(seconds=19)) is not None
    assert call_gate.admit(account=account, now=probe_at + timedelta(seconds=20)) is None


def test_a_pause_the_provider_asks_for_is_kept(account: ProviderAccount) -> None:
    call_gate.report(account=account, answered=True, retry_after_s=30, now=START)
    assert call_gate.admit(account=account, now=START + timedelta(seconds=29)) is not None
    assert call_gate.admit(account=account, now=START + timedelta(seconds=30)) is None


def test_ten_minutes_down_with_a_crowd_waiting(account: ProviderAccount) -> None:
    """PSP down, calls waiting, then up: within the cap, all done, nobody touched anything."""
    crowd = 400
    waiting = [(START, caller) for caller in range(crowd)]
    heapq.heapify(waiting)
    while_down, per_second, done = 0, Counter[int](), 0
    asked = 0
    now = START
    while waiting:
        now, caller = heapq.heappop(waiting)
        asked += 1
        not_before = call_gate.admit(account=account, now=now, waiting=len(waiting))
        if not_before is not None:
            heapq.heappush(waiting, (max(not_before, now + timedelta(milliseconds=1)), caller))
            continue
        if now < UP_AGAIN:
            while_down += 1
            call_gate.report(account=account, answered=False, error="timeout", now=now)
            heapq.heappush(waiting, (now + timedelta(seconds=1), caller))
            continue
        call_gate.report(account=account, answered=True, now=now)
        per_second[int(now.timestamp())] += 1
        done += 1
    assert done == crowd
    assert while_down <= 40, "silence is asked about by probes only"
    assert max(per_second.values()) <= account.calls_per_s + 5
    assert now - UP_AGAIN <= timedelta(seconds=60 + 4 * crowd / account.calls_per_s)
    assert asked < crowd * 40


def test_a_crowd_is_spread_over_the_time_the_cap_needs_for_it(account: ProviderAccount) -> None:
    """WH-22: a thousand waiting for twenty a second are spread over fifty seconds."""
    for _ in range(5):
        call_gate.report(account=account, answered=False, error="timeout", now=START)
    probe_at = CallGate.objects.get(account=account).probe_at
    assert probe_at is not None

    told = [call_gate.admit(account=account, now=START, waiting=1000) for _ in range(200)]

    latest = max(at - probe_at for at in told if at is not None)
    assert timedelta(seconds=45) < latest <= timedelta(seconds=50)
