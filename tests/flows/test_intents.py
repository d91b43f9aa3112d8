"""One protocol for payouts and refunds: what may follow on each attempt (D14, RF-5, RF-6, I7)."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from payops.core import clock
from payops.core.callers import Room
from payops.core.models import Message
from payops.core.money import Money
from payops.flows import calls as valve
from payops.flows import intents, turns
from payops.flows.payouts import dispatch as payout_dispatch
from payops.flows.refunds import dispatch as refund_dispatch
from payops.payments.models import Intent, ProviderCall
from payops.psp.calling import CallOutcome, RefundOrder
from tests.builders import drain, reload
from tests.flows import provider as payouts
from tests.flows import refunding
from tests.flows.provider import Provider, later
from tests.refund_asks import reload as reload_refund

pytestmark = pytest.mark.django_db(transaction=True)


def closing(times: int) -> Callable[..., Room]:
    """A valve that looks open and is closed by the time a call would leave, so often."""
    left = [times]

    def room(self: Any, *, turn: str, wanted: int, take: bool, now: datetime) -> Room:
        if not take or not left[0]:
            return Room(wanted)
        left[0] -= 1
        return Room(0, now + timedelta(seconds=1), "it does not answer; asked again later")

    return room


def test_a_refund_whose_call_never_left_is_sent_and_not_asked_for(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What did not leave cannot have arrived: it is no lost call, and charged to nobody."""
    monkeypatch.setattr(valve.AccountTurns, "room", closing(1))
    refund = refunding.one(provider)

    drain()
    waiting = Message.objects.get(topic="refund.dispatch")
    assert (waiting.state, waiting.attempts) == ("PENDING", 0)
    assert reload_refund(refund).state == "DISPATCHING"
    later()
    drain()

    assert refunding.calls(refund) == [("submit", "unsent"), ("submit", "succeeded")]
    assert refunding.movements(provider) == refunding.exactly_once([refund])


def test_a_payout_whose_call_never_left_is_sent_and_not_asked_for(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(valve.AccountTurns, "room", closing(2))
    payout = payouts.approved()

    for _ in range(3):
        drain()
        later()

    assert payouts.calls(payout) == [
        ("submit", "unsent"),
        ("submit", "unsent"),
        ("submit", "succeeded"),
    ]
    assert reload(payout).state == "IN_TRANSIT"
    assert len(provider.movements()) == 1


def test_a_payout_refused_after_a_lost_call_is_asked_for_before_it_is_canceled(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    payout = payouts.approved()
    provider.fault("timeout_before", delay_s=3)
    drain()
    monkeypatch.setattr(payout_dispatch, "_submit", _refused)

    payouts.settle(payout, until=("CANCELED",))

    assert payouts.calls(payout) == [
        ("submit", "unknown"),
        ("find", "absent"),
        ("submit", "refused"),
        ("find", "absent"),
    ]
    assert Intent.objects.get().state == "REFUSED"


def test_calls_leave_no_faster_than_the_cap_allows_where_they_leave(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """WH-22: the turn is taken last, so a slow beginning never lets calls clump."""
    left: list[float] = []
    real_begin, real_submit = refund_dispatch._first_attempts, refund_dispatch._submit

    def slowly(leaving: Any, now: datetime) -> Any:
        time.sleep(0.3)
        return real_begin(leaving, now)

    def seen(refund: Any, attempt: ProviderCall) -> Any:
        left.append(time.monotonic())
        return real_submit(refund, attempt)

    refunds = refunding.granted(provider, "standard", 60)
    monkeypatch.setattr(refund_dispatch, "_first_attempts", slowly)
    monkeypatch.setattr(refund_dispatch, "_submit", seen)

    drain()

    assert len(left) == len(refunds) == 60
    left.sort()
    busiest = max(sum(1 for at in left if 0 <= at - start < 1.0) for start in left)
    assert busiest <= 20 + 5 + 1, "a second's cap and the burst"
    assert refunding.movements(provider) == refunding.exactly_once(refunds)
    assert set(ProviderCall.objects.values_list("outcome", flat=True)) == {"succeeded"}


def test_the_worker_of_calls_flies_and_asks_side_by_side(provider: Provider) -> None:
    """Questions have a thread of their own: neither waits for the other's answers."""
    refund = refunding.one(provider)
    question = Message.objects.create(
        book=refund.book,
        topic="account.compare_payouts",
        key="a question",
        payload={"account_id": str(refund.account_id)},
        lane="calls",
        turn=str(refund.account_id),
        due_at=clock.utc_now() - timedelta(seconds=1),
    )

    done = turns.work("calls", budget_s=20.0)

    question.refresh_from_db()
    assert (question.state, reload_refund(refund).state) == ("DONE", "ACCEPTED")
    assert (done.claimed, done.finished) == (2, 2)


def test_the_request_that_a_key_stands_for_is_the_order_without_its_way_there() -> None:
    order = {"our_ref": "rf_1", "merchant_ref": "O-1", "payment_provider_ref": "ch_1"}
    assert intents.key_of("rf_1") == "payops-rf_1"
    hashes = {
        intents.request_hash(
            RefundOrder(**order, amount=Money(minor, "EUR"), idempotency_key="payops-rf_1")
        )
        for minor in (100, 100, 101)
    }
    assert len(hashes) == 2


def _refused(payout: Any, attempt: ProviderCall) -> CallOutcome:
    now = clock.utc_now()
    return CallOutcome(
        kind="refused", started_at=now, finished_at=now, status_code=400, error_code="no_funds"
    )
