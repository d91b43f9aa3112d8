"""The provider-call protocol against the real simulator over real HTTP (D14, PX-6, F5, F29, I7).

Whatever happens to a call, the provider has moved the money exactly once, under the one key that
was stored before the first try; what is unknown is asked for, never guessed.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from ledger.models import JournalEntry
from payops.cases.models import Case
from payops.core import clock, queues
from payops.core.models import Message
from payops.flows import tasks
from payops.flows.payouts import dispatch as payout_dispatch
from payops.payments.models import Intent, Payout
from tests.builders import drain, reload
from tests.flows.lifecycle import balances
from tests.flows.provider import KILLED, Provider, approved, calls, later, settle

pytestmark = pytest.mark.django_db(transaction=True)

BOTH = pytest.mark.parametrize("name", ["standard", "stripe"])
INITIATED = {"2000": 120_000, "2100": -120_000}


def moved_once(provider: Provider, payout: Payout) -> None:
    """One movement, under the stored key, for exactly our amount."""
    intent = Intent.objects.get(subject_id=payout.public_id)
    assert provider.movements() == [
        ("payout", payout.public_id, 120_000, "EUR", intent.idempotency_key)
    ]
    assert (intent.state, intent.provider_ref) == ("SUCCEEDED", payout.provider_ref)
    assert JournalEntry.objects.filter(event_class="payout.initiated").count() == 1
    assert balances(payout) == INITIATED


@BOTH
def test_a_payout_is_submitted_once_and_known_by_the_providers_reference(
    provider: Provider, name: str
) -> None:
    payout = approved(provider=name)

    drain()

    payout = reload(payout)
    assert (payout.state, calls(payout)) == ("IN_TRANSIT", [("submit", "succeeded")])
    moved_once(provider, payout)
    assert Case.objects.count() == 0


@BOTH
@pytest.mark.parametrize(
    ("fault", "options", "attempts"),
    [
        ("timeout_after_success", {"delay_s": 3}, [("submit", "unknown"), ("find", "succeeded")]),
        ("reset_after_success", {}, [("submit", "unknown"), ("find", "succeeded")]),
        (
            "500_stored",
            {"moves_money": True},
            [("submit", "unknown"), ("find", "succeeded")],
        ),
        ("500", {}, [("submit", "unknown"), ("find", "absent"), ("submit", "succeeded")]),
        ("503", {}, [("submit", "unknown"), ("find", "absent"), ("submit", "succeeded")]),
        ("429", {}, [("submit", "failed"), ("find", "absent"), ("submit", "succeeded")]),
        (
            "timeout_before",
            {"delay_s": 3},
            [("submit", "unknown"), ("find", "absent"), ("submit", "succeeded")],
        ),
    ],
)
def test_a_lost_or_failed_answer_is_verified_and_the_same_key_moves_money_once(
    provider: Provider,
    name: str,
    fault: str,
    options: dict[str, Any],
    attempts: list[tuple[str, str]],
) -> None:
    payout = approved(provider=name)
    provider.fault(fault, **options)

    drain()
    assert reload(payout).state == "UNKNOWN"
    payout = settle(payout)

    assert calls(payout) == attempts
    moved_once(provider, payout)
    assert Case.objects.count() == 0


def test_a_429_waits_at_least_as_long_as_the_provider_asks(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """WH-22: our retries back off."""
    payout = approved()
    provider.fault("429")
    before, real = clock.utc_now(), payout_dispatch._submit
    monkeypatch.setattr(
        payout_dispatch, "_submit", lambda row, call: replace(real(row, call), retry_after_s=120)
    )

    drain()

    waiting = Message.objects.get(topic="payout.dispatch", state="PENDING")
    assert waiting.due_at - before >= timedelta(seconds=120)
    assert (waiting.attempts, reload(payout).state) == (0, "UNKNOWN")


@BOTH
def test_a_stored_500_is_never_sent_under_a_new_key_and_ends_with_a_person(
    provider: Provider, name: str
) -> None:
    """D14: the key replays its 500; past the key window nothing is sent any more."""
    payout = approved(provider=name)
    provider.fault("500_stored")
    for _ in range(3):
        drain()
        later()
    keys = {call[0]: call[1] for call in calls(payout)}
    assert keys == {"submit": "unknown", "find": "absent"}

    _key_window_is_over(payout)
    for _ in range(3):
        drain()
        later()

    intent = Intent.objects.get()
    assert (reload(payout).state, intent.state, intent.fence) == ("UNKNOWN", "PARKED", 2)
    case = Case.objects.get()
    assert (case.rule, case.subject_id, case.state) == ("payout_unknown", payout.public_id, "OPEN")
    assert provider.movements() == []
    assert not Message.objects.filter(topic="payout.dispatch", state="PENDING").exists()


@BOTH
def test_past_the_key_window_an_absent_payout_is_parked_and_a_late_event_still_settles_it(
    provider: Provider, name: str
) -> None:
    payout = approved(provider=name)
    provider.fault("timeout_after_success", delay_s=3)
    drain()
    _key_window_is_over(payout)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(payout_dispatch, "_find", _nothing_there)
        later()
        drain()
        later()
        drain()
    assert Intent.objects.get().state == "PARKED"
    assert Case.objects.get().rule == "payout_unknown"
    sent = len(calls(payout))

    assert provider.deliver() == 1
    drain()

    payout = reload(payout)
    assert (payout.state, len(calls(payout))) == ("IN_TRANSIT", sent)
    moved_once(provider, payout)


@BOTH
@pytest.mark.parametrize("booked", [False, True])
def test_a_wrong_amount_in_the_answer_is_a_case_and_not_a_success(
    provider: Provider, name: str, booked: bool
) -> None:
    payout = approved(provider=name)
    provider.fault("wrong_amount", delta=100, booked=booked)

    drain()

    assert (reload(payout).state, Intent.objects.get().state) == ("UNKNOWN", "UNKNOWN")
    case = Case.objects.get()
    assert (case.rule, case.subject_id) == ("provider_mismatch", payout.public_id)
    assert "1,200.00 EUR" in case.title and "1,201.00 EUR" in case.title
    provider.deliver()
    drain()
    expected = "UNKNOWN" if booked else "IN_TRANSIT"
    assert (reload(payout).state, Case.objects.count()) == (expected, 1)
    assert len(provider.movements()) == 1


@BOTH
@pytest.mark.parametrize("wrong", [False, True])
def test_a_webhook_before_our_own_response_gives_the_same_outcome(
    provider: Provider, name: str, wrong: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F5, F29: whoever is first records it; a response that then says otherwise is still a case."""
    payout = approved(provider=name)
    if wrong:
        provider.fault("wrong_amount", delta=100)
    real = payout_dispatch._submit

    def overtaken(row: Payout, call: Any) -> Any:
        answer = real(row, call)
        assert provider.deliver() == 1
        _work_the_inbox()
        assert reload(row).state == "IN_TRANSIT"
        return answer

    monkeypatch.setattr(payout_dispatch, "_submit", overtaken)

    drain()

    payout = reload(payout)
    outcome = "mismatch" if wrong else "succeeded"
    assert (payout.state, calls(payout)) == ("IN_TRANSIT", [("submit", outcome)])
    moved_once(provider, payout)
    rules = list(Case.objects.values_list("rule", flat=True))
    assert rules == (["provider_mismatch"] if wrong else [])


@BOTH
@pytest.mark.parametrize(
    ("at", "moment", "attempts"),
    [
        ("_submit", "before", [("submit", "lost"), ("find", "absent"), ("submit", "succeeded")]),
        ("_submit", "after", [("submit", "lost"), ("find", "succeeded")]),
        ("_record", "after", [("submit", "succeeded")]),
        ("_begin", "before", [("submit", "succeeded")]),
    ],
)
def test_kill_9_around_the_call_moves_money_exactly_once(
    provider: Provider, name: str, at: str, moment: str, attempts: list[tuple[str, str]]
) -> None:
    payout = approved(provider=name)
    tasks.drain("high", budget_s=30)

    at = f"payops.flows.payouts.dispatch:{at}"
    assert provider.worker_that_dies(at, moment, "calls") == KILLED
    later()
    payout = settle(payout)
    later()
    drain()

    assert calls(payout) == attempts
    moved_once(provider, payout)
    assert not Message.objects.exclude(state="DONE").exists()


def _key_window_is_over(payout: Payout) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE payments_intent SET first_sent_at = first_sent_at - interval '21 hours'"
            " WHERE subject_id = %s",
            [payout.public_id],
        )


def _nothing_there(payout: Payout, call: Any) -> Any:
    now = clock.utc_now()
    return payout_dispatch.CallOutcome(kind="failed", started_at=now, finished_at=now)


def _work_the_inbox() -> None:
    queues.drain_once(tasks.INBOX, lane="high")
