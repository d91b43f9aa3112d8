"""WH-22: many callers at one valve: asked last, it lets through what its cap allows, no more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from payops.core.models import ProviderAccount
from payops.payments import call_gate
from payops.payments.call_gate import Admission, Report
from payops.payments.models import CallGate
from tests.races import race

pytestmark = pytest.mark.django_db(transaction=True)
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SILENT = Report(answered=False, error="timeout")


@pytest.fixture
def account() -> ProviderAccount:
    return ProviderAccount.objects.get(provider="stripe", slug="demo")


def later(ms: int) -> datetime:
    return START + timedelta(milliseconds=ms)


def test_a_burst_leaves_at_once_and_the_rest_is_told_when_to_ask(account: ProviderAccount) -> None:
    """Twenty a second: five at once, then one every 50 ms."""
    assert call_gate.admit_many(account=account, wanted=30, now=START) == Admission(5, later(50))
    assert call_gate.admit_many(account=account, wanted=30, now=later(49)).granted == 0
    assert call_gate.admit_many(account=account, wanted=1, now=later(100)) == Admission(1)
    assert call_gate.admit_many(account=account, wanted=9, now=later(100)).granted == 1


def test_looking_takes_nothing(account: ProviderAccount) -> None:
    looks = [call_gate.outlook(account=account, wanted=30, now=START) for _ in range(3)]
    assert {look.granted for look in looks} == {5}
    assert not CallGate.objects.exists(), "nothing was written"

    call_gate.admit_many(account=account, wanted=4, now=START)

    assert call_gate.outlook(account=account, wanted=30, now=START) == Admission(1, later(50))
    assert call_gate.outlook(account=account, wanted=1, now=START) == Admission(1)


def test_sixteen_workers_together_never_exceed_the_cap(account: ProviderAccount) -> None:
    """Ten seconds of asking every 10 ms, from sixteen at once: the rate within 5 %."""
    call_gate.admit_many(account=account, wanted=5, now=START)
    granted = 0
    for step in range(1, 11):
        now = START + timedelta(seconds=step / 5)
        told = race(
            16, lambda _, at=now: call_gate.admit_many(account=account, wanted=3, now=at).granted
        )
        granted += sum(told)
    assert granted == 40, "two seconds at twenty a second"


def test_a_silent_provider_lets_one_probe_leave(account: ProviderAccount) -> None:
    call_gate.report_many(
        account=account,
        reports=[Report(False, "timeout", subject=f"rf_{n}") for n in range(5)],
        now=START,
    )
    probe_at = CallGate.objects.get(account=account).probe_at
    assert probe_at is not None
    assert call_gate.outlook(account=account, wanted=9, now=START) == Admission(0, probe_at, True)

    assert call_gate.outlook(account=account, wanted=9, now=probe_at).granted == 1
    told = [call_gate.admit_many(account=account, wanted=9, now=probe_at) for _ in range(3)]

    assert [each.granted for each in told] == [1, 0, 0]
    assert {each.open for each in told} == {True}


def test_reports_count_in_the_order_in_which_calls_ended(account: ProviderAccount) -> None:
    four = [Report(False, "timeout", subject=f"rf_{n}") for n in range(4)]
    call_gate.report_many(account=account, reports=[*four, Report(True), SILENT], now=START)

    gate = CallGate.objects.get(account=account)

    assert (gate.state, gate.failures) == ("CLOSED", 1)


def test_answers_at_a_calm_valve_write_nothing(account: ProviderAccount) -> None:
    call_gate.admit_many(account=account, wanted=1, now=START)
    before = CallGate.objects.values().get()

    call_gate.report_many(account=account, reports=[Report(True)] * 9, now=later(500))

    assert CallGate.objects.values().get() == before
