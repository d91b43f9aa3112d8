"""Refunds against the real simulator over real HTTP: each leaves exactly once (D14, RF-5 to RF-7).

Whatever happens to a call, the provider has moved the money at most once, under the one key that
was stored before the first try; what is unknown is asked for, or left to a person.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from django.db import connection, transaction

from payops.core import clock
from payops.core.callers import Room
from payops.core.models import Message
from payops.flows import calls as valve
from payops.flows import intents, tasks
from payops.flows.refunds import dispatch as refund_dispatch
from payops.flows.refunds.acts import send_dispatch
from payops.flows.refunds.dispatch import Answer
from payops.payments.models import Dispute, Intent, Payment, ProviderCall, Refund
from payops.psp.calling import CallOutcome
from payops.psp.standard.refunds import StandardRefunds
from tests.builders import drain
from tests.flows.provider import Provider, later
from tests.flows.refunding import (
    calls,
    cases,
    entries,
    exactly_once,
    fault,
    granted,
    movements,
    one,
    posted_once,
    settle,
    unfinished,
    work_until_killed,
    workers,
)
from tests.refund_asks import reload

pytestmark = pytest.mark.django_db(transaction=True)
BOTH = pytest.mark.parametrize("name", ["standard", "stripe"])
MANY = 100


@pytest.fixture
def open_valve(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cap of the account is another test's matter."""
    monkeypatch.setattr(
        valve.AccountTurns, "room", lambda self, *, turn, wanted, take, now: Room(wanted)
    )


@BOTH
def test_a_granted_refund_is_sent_once_and_kept_by_the_providers_reference(
    provider: Provider, name: str
) -> None:
    refund = one(provider, name)

    drain()

    refund = reload(refund)
    assert calls(refund) == [("submit", "succeeded")]
    assert refund.state in ("ACCEPTED", "SUCCEEDED") and refund.provider_ref
    assert movements(provider) == exactly_once([refund])
    intent = Intent.objects.get(kind="refund")
    assert (intent.state, intent.provider_ref) == ("SUCCEEDED", refund.provider_ref)
    assert entries()["refund.accepted", refund.public_id] == 1
    payment = Payment.objects.get(pk=refund.payment_id)
    assert (payment.reserved_minor, payment.refunded_minor) == (0, 3_000)
    assert (cases(), unfinished()) == ([], [])


@BOTH
@pytest.mark.parametrize(
    ("kind", "options", "attempts"),
    [
        ("timeout_after_success", {"delay_s": 3}, [("submit", "unknown"), ("find", "succeeded")]),
        ("reset_after_success", {}, [("submit", "unknown"), ("find", "succeeded")]),
        ("500_stored", {"moves_money": True}, [("submit", "unknown"), ("find", "succeeded")]),
        ("503", {}, [("submit", "unknown"), ("find", "absent"), ("submit", "succeeded")]),
        ("429", {}, [("submit", "failed"), ("find", "absent"), ("submit", "succeeded")]),
        ("redirect", {}, [("submit", "unknown"), ("find", "succeeded")]),
        ("trickle", {"delay_s": 1}, [("submit", "unknown"), ("find", "succeeded")]),
        ("huge", {}, [("submit", "unknown"), ("find", "succeeded")]),
        ("empty", {}, [("submit", "unknown"), ("find", "succeeded")]),
        ("html", {}, [("submit", "unknown"), ("find", "succeeded")]),
    ],
)
def test_whatever_the_answer_the_refund_ends_known_and_moved_once(
    provider: Provider,
    name: str,
    kind: str,
    options: dict[str, Any],
    attempts: list[tuple[str, str]],
) -> None:
    """RF-6: first UNKNOWN, within the deadline of a call; then asked for; then known."""
    refund = one(provider, name)
    fault(provider, kind, **options)

    drain()
    first = ProviderCall.objects.get(attempt=1)
    assert reload(refund).state == "UNKNOWN"
    assert first.finished_at is not None
    spent_s = (first.finished_at - first.created_at).total_seconds()
    assert spent_s <= intents.CALL_DEADLINE_S + 1.0, "the documented deadline"
    settle()

    assert calls(refund) == attempts
    assert movements(provider) == exactly_once([refund])
    assert (cases(), unfinished()) == ([], [])


@BOTH
@pytest.mark.parametrize("kind", ["wrong_amount", "wrong_currency", "wrong_reference"])
def test_an_answer_about_other_money_is_a_case_and_not_a_success(
    provider: Provider, name: str, kind: str
) -> None:
    refund = one(provider, name)
    fault(provider, kind, **({"delta": 100} if kind == "wrong_amount" else {}))

    drain()

    refund = reload(refund)
    assert (refund.state, refund.provider_ref) == ("UNKNOWN", "")
    assert calls(refund) == [("submit", "mismatch")]
    assert cases() == [("provider_mismatch", refund.public_id, "OPEN")]
    assert entries() == Counter()
    assert Payment.objects.get(pk=refund.payment_id).reserved_minor == 3_000


@BOTH
def test_a_refusal_frees_what_was_reserved_and_tells_a_person(
    provider: Provider, name: str
) -> None:
    refund = one(provider, name)
    fault(provider, "declined")

    drain()

    refund = reload(refund)
    assert (refund.state, refund.accepted_at, refund.obligation) == ("FAILED", None, "")
    assert Intent.objects.get(kind="refund").state == "REFUSED"
    assert cases() == [("refund_refused", refund.public_id, "OPEN")]
    payment = Payment.objects.get(pk=refund.payment_id)
    assert (payment.reserved_minor, payment.refunded_minor) == (0, 0)
    assert (entries(), movements(provider)) == (Counter(), Counter())


def test_a_refusal_after_a_lost_call_is_verified_before_it_counts(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D14: a provider that refuses the second may have taken the first."""
    refund = one(provider)
    fault(provider, "timeout_before", delay_s=3)
    drain()
    monkeypatch.setattr(refund_dispatch, "_submit", _refused)

    settle(until=frozenset({"FAILED"}))

    assert calls(refund) == [
        ("submit", "unknown"),
        ("find", "absent"),
        ("submit", "refused"),
        ("find", "absent"),
    ]
    assert cases() == [("refund_refused", refund.public_id, "OPEN")]
    assert Payment.objects.get(pk=refund.payment_id).reserved_minor == 0


def test_a_dispute_that_came_since_it_was_granted_holds_it_back(
    provider: Provider,
) -> None:
    """D9: looked at under the payment's lock before it leaves; its money stays reserved."""
    refund = one(provider)
    reference = refund.payment.merchant_ref
    provider.process.control("POST", f"/payments/{reference}/dispute", {"withdraw": False})
    provider.deliver()
    tasks.drain("high", budget_s=10)
    assert Dispute.objects.get().blocks_refunds

    drain()

    refund = reload(refund)
    assert (refund.state, calls(refund)) == ("APPROVED", [])
    assert Payment.objects.get(pk=refund.payment_id).reserved_minor == 3_000
    assert (movements(provider), unfinished()) == (Counter(), [])


@pytest.mark.usefixtures("open_valve")
@BOTH
def test_a_hundred_calls_each_dropped_after_it_was_applied_move_money_a_hundred_times(
    provider: Provider, name: str
) -> None:
    refunds = granted(provider, name, MANY)
    fault(provider, "reset_after_success", times=MANY, first_only=True)

    settle()

    assert movements(provider) == exactly_once(refunds)
    for refund in refunds:
        told = calls(refund)
        assert told[-2:] == [("submit", "unknown"), ("find", "succeeded")]
        # On a busy machine a connection may be refused: an attempt that never arrived, asked about.
        assert set(told[:-2]) <= {("submit", "failed"), ("find", "absent")}
    classes = {entry[0] for entry in entries()}
    assert entries() == posted_once(refunds, *classes) and "refund.accepted" in classes
    assert (cases(), unfinished()) == ([], [])


@BOTH
def test_a_stored_500_for_ever_ends_with_a_person_and_no_other_key(
    provider: Provider, name: str
) -> None:
    refund = one(provider, name)
    fault(provider, "500_stored")
    for _ in range(3):
        drain()
        later()
    assert set(calls(refund)) == {("submit", "unknown"), ("find", "absent")}

    _hours_pass(21)
    for _ in range(3):
        drain()
        later()

    intent = Intent.objects.get(kind="refund")
    assert (reload(refund).state, intent.state) == ("UNKNOWN", "PARKED")
    assert cases() == [("refund_unknown", refund.public_id, "OPEN")]
    keys = {row["key"] for row in _seen(provider)}
    assert (keys, movements(provider)) == ({intent.idempotency_key}, Counter())
    assert Payment.objects.get(pk=refund.payment_id).reserved_minor == 3_000
    assert unfinished() == []


@BOTH
def test_a_day_later_with_its_keys_forgotten_nothing_moves_twice(
    provider: Provider, name: str
) -> None:
    """Clock +25 h: what the provider has is found; what it has not is never sent again."""
    applied, lost = granted(provider, name, 2)
    fault(provider, "reset_after_success", reference=applied.public_id)
    fault(provider, "503", reference=lost.public_id)
    drain()
    assert {reload(applied).state, reload(lost).state} == {"UNKNOWN"}
    provider.process.control("POST", "/keys/forget", {})
    provider.process.control("POST", "/clock", {"keys_ahead_s": 90_000})
    _hours_pass(25)

    for _ in range(4):
        later()
        drain()

    assert movements(provider) == exactly_once([applied])
    assert calls(applied) == [("submit", "unknown"), ("find", "succeeded")]
    assert calls(lost) == [("submit", "unknown"), ("find", "absent")]
    assert (reload(lost).state, cases()) == (
        "UNKNOWN",
        [("refund_unknown", lost.public_id, "OPEN")],
    )


def test_where_the_provider_cannot_be_asked_the_same_key_settles_it_inside_its_window(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StandardRefunds, "finds_refunds", False)
    known, parked = granted(provider, "standard", 2)
    fault(provider, "reset_after_success", times=2, first_only=True)
    drain()
    _hours_pass(21, parked)

    for _ in range(3):
        later()
        drain()

    assert calls(known) == [("submit", "unknown"), ("submit", "succeeded")]
    assert calls(parked) == [("submit", "unknown")]
    assert cases() == [("refund_unknown", parked.public_id, "OPEN")]
    assert movements(provider) == exactly_once([known, parked])


def test_another_request_under_the_same_key_is_never_sent(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RF-5: the key stands for one request; a changed one is left to a person."""
    refund = one(provider)
    fault(provider, "503")
    drain()
    monkeypatch.setattr(intents, "request_hash", lambda order: "0" * 64)

    for _ in range(3):
        later()
        drain()

    assert calls(refund) == [("submit", "unknown"), ("find", "absent")]
    assert cases() == [("refund_unknown", refund.public_id, "OPEN")]


@BOTH
def test_a_webhook_before_our_own_response_gives_the_same_one_outcome(
    provider: Provider, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F5, F29: whoever is first records it, the other finds it done."""
    refund = one(provider, name)
    real = refund_dispatch._submit

    def overtaken(row: Refund, attempt: ProviderCall) -> Answer:
        answer = real(row, attempt)
        assert provider.deliver() >= 1
        tasks.drain("high", budget_s=10)
        tasks.drain("standard", budget_s=10)
        return answer

    monkeypatch.setattr(refund_dispatch, "_submit", overtaken)

    drain()

    refund = reload(refund)
    assert calls(refund) == [("submit", "succeeded")]
    assert refund.state in ("ACCEPTED", "SUCCEEDED")
    assert movements(provider) == exactly_once([refund])
    assert set(entries().values()) == {1}
    assert Intent.objects.get(kind="refund").state == "SUCCEEDED"
    assert cases() == []


def test_two_messages_about_one_refund_send_it_once(provider: Provider) -> None:
    refund = one(provider)
    with transaction.atomic():
        send_dispatch(refund, clock.utc_now(), attempt="again")
    assert Message.objects.filter(topic="refund.dispatch").count() == 2

    drain()
    later()
    drain()

    assert calls(refund) == [("submit", "succeeded")]
    assert movements(provider) == exactly_once([refund])
    assert unfinished() == []


def test_kill_9_at_random_inside_a_hundred_calls_moves_money_a_hundred_times(
    provider: Provider,
) -> None:
    """D14, WH-24: the leases run out, what was lost is asked for; nothing is lost or doubled."""
    chance = random.Random(20_260_401)
    refunds = granted(provider, "stripe", MANY)
    provider.process.control("POST", "/rules", {"latency_s": 0.05})
    ends: Counter[str] = Counter()

    with workers(provider) as process:
        for _ in range(60):
            ends[work_until_killed(process, chance.uniform(0.15, 0.6))] += 1
            later()
            left = Refund.objects.exclude(state__in=("ACCEPTED", "SUCCEEDED"))
            if not left.exists():
                break
    later()
    settle()

    assert ends["killed"] >= 3
    assert movements(provider) == exactly_once(refunds)
    lost = ProviderCall.objects.filter(outcome="lost").count()
    assert lost >= 1, "some calls were in the air when their worker died"
    classes = {entry[0] for entry in entries()}
    assert entries() == posted_once(refunds, *classes) and "refund.accepted" in classes
    assert (cases(), unfinished()) == ([], [])


def _refused(refund: Refund, attempt: ProviderCall) -> Answer:
    now = clock.utc_now()
    outcome = CallOutcome(
        kind="refused", started_at=now, finished_at=now, status_code=400, error_code="already"
    )
    return Answer(outcome)


def _hours_pass(hours: int, refund: Refund | None = None) -> None:
    """The key of every refund, or of one, was first sent so much longer ago."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE payments_intent SET first_sent_at = first_sent_at - %s * interval '1 hour'"
            " WHERE kind = 'refund' AND subject_id LIKE %s",
            [hours, refund.public_id if refund else "%"],
        )


def _seen(provider: Provider) -> list[dict[str, Any]]:
    told = provider.process.control("GET", "/calls?operation=refund.create")
    return list(told["calls"])
