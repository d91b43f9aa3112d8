"""RF-10, I6: nobody refunds past the capture, however many ask at the same instant."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import pytest
from django.db import connection, connections, transaction

from payops.core import clock
from payops.flows.refunds import request as refund_flow
from payops.payments.models import Payment, Refund
from tests.builders import approval_of, approve_all
from tests.flows.test_lock_order import in_order
from tests.flows.test_refund_offline import end, failed, retried
from tests.people import actor
from tests.races import race
from tests.refund_asks import carry_decisions, charge, charges, counters
from tests.refunds import ask, asking

pytestmark = pytest.mark.django_db(transaction=True)

THREADS = 16
CHARGES = 100
AT_ONCE = 25
LOOK = """
SELECT count(*), max(reserved_minor + refunded_minor - captured_minor),
  max(abs(reserved_minor - (SELECT coalesce(sum(r.amount_minor), 0) FROM payments_refund r
    WHERE r.payment_id = p.id AND r.state IN
      ('REQUESTED', 'AWAITING_APPROVAL', 'APPROVED', 'DISPATCHING', 'UNKNOWN'))))
FROM payments_payment p
"""


class Watcher:
    """Looks at every payment again and again, each time at one moment of the database."""

    def __init__(self) -> None:
        self.looks = 0
        self.worst = self.apart = -(10**12)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._over.set()
        self._thread.join(timeout=30)

    def _watch(self) -> None:
        try:
            while not self._over.is_set():
                with connection.cursor() as cursor:
                    cursor.execute(LOOK)
                    _, worst, apart = cursor.fetchone()
                self.looks += 1
                self.worst = max(self.worst, worst)
                self.apart = max(self.apart, apart)
        finally:
            connections.close_all()


def ask_thirty(payment: Payment, requester: Any, number: int) -> Refund:
    ask = asking(payment, "30.00", request_key=f"race:{payment.pk.hex}:{number}")
    return refund_flow.request_refund(ask=ask, actor=requester, now=clock.utc_now())


def together(paid: list[Payment]) -> list[tuple[Refund, ...]]:
    """What each thread got of each charge; all of them turn to the next charge at once."""
    amara, gate = actor("amara"), threading.Barrier(THREADS)

    def act(number: int) -> list[Refund]:
        found = []
        for payment in paid:
            gate.wait(timeout=30)
            found.append(ask_thirty(payment, amara, number))
        return found

    by_thread = race(THREADS, act)
    assert not [each for each in by_thread if isinstance(each, Exception)], by_thread
    return list(zip(*by_thread, strict=True))


def test_sixteen_ask_thirty_of_a_hundred_and_three_get_it() -> None:
    """Every charge: exactly three succeed, the rest hear what is left, at no instant too much."""
    paid = charges(CHARGES)
    found_by_charge: list[tuple[Refund, ...]] = []

    with Watcher() as watcher:
        for first in range(0, CHARGES, AT_ONCE):
            found_by_charge += together(paid[first : first + AT_ONCE])

    for payment, found in zip(paid, found_by_charge, strict=True):
        states = Counter(str(refund.state) for refund in found)
        assert states == {"APPROVED": 1, "AWAITING_APPROVAL": 2, "REFUSED": 13}
        assert {refund.refusal for refund in found if refund.state == "REFUSED"} == {
            "30.00 EUR asked, 10.00 EUR left of 100.00 EUR captured (0.00 refunded, 90.00 reserved)"
        }
        assert counters(payment) == (10_000, 9_000, 0)
    assert watcher.looks > CHARGES
    assert watcher.worst == -1_000, "at some instant more than three thirds were taken"
    assert watcher.apart == 0, "at some instant the counters were not what the refunds say"
    assert Refund.objects.count() == CHARGES * THREADS


def test_sixteen_send_the_same_request_and_it_is_one_refund() -> None:
    """RF-2, RF-5, RF-11"""
    payment, amara = charge(10_000), actor("amara")
    ask = asking(payment, "30.00", request_key="api:shop:1")

    found = race(
        THREADS,
        lambda _: refund_flow.request_refund(ask=ask, actor=amara, now=clock.utc_now()),
    )

    assert {refund.pk for refund in found} == {Refund.objects.get().pk}
    assert counters(payment) == (10_000, 3_000, 0)


def test_one_key_for_two_payments_at_once_is_one_refund_and_words_for_the_rest() -> None:
    paid, amara = charges(2), actor("amara")
    asks = [asking(payment, "30.00", request_key="api:shop:1") for payment in paid]

    found = race(
        THREADS,
        lambda i: refund_flow.request_refund(ask=asks[i % 2], actor=amara, now=clock.utc_now()),
    )

    refunds = [each for each in found if isinstance(each, Refund)]
    refused = [each for each in found if not isinstance(each, Refund)]
    assert {refund.pk for refund in refunds} == {Refund.objects.get().pk}
    assert len(refunds) == len(refused) == THREADS // 2
    assert all("request key api:shop:1 was used for 30.00 EUR" in str(each) for each in refused)


def test_canceling_and_granting_at_once_leave_one_of_both() -> None:
    """The reservation is free exactly when the refund has ended."""
    payment, amara = charge(10_000), actor("amara")
    refund = ask_thirty(payment, amara, 0)
    assert refund.state == "APPROVED"

    def act(number: int) -> Any:
        return refund_flow.cancel(
            refund_id=refund.pk, reason=f"no {number}", actor=amara, now=clock.utc_now()
        )

    found = race(THREADS, act)

    assert {str(each.state) for each in found} == {"CANCELED"}
    assert counters(payment) == (10_000, 0, 0)
    assert Refund.history.filter(id=refund.pk, state="CANCELED").count() == 1


def test_every_act_takes_its_locks_in_the_one_order() -> None:
    """SC-4, WH-24: asking, granting, sending, canceling, ending what is owed."""
    first, second, third = charges(3)

    with in_order(at_least={"payments_payment", "payments_refund", "approvals_approvalrequest"}):
        refund = ask(first, "60.00")
        approve_all(approval_of(refund.approval_id))
        carry_decisions()
        with transaction.atomic():
            assert refund_flow.recheck(refund_flow.locked(refund.pk), clock.utc_now()) == ""
        canceled = ask(second, "60.00")
        refund_flow.cancel(
            refund_id=canceled.pk, reason="twice", actor=actor("amara"), now=clock.utc_now()
        )
    owed = failed(third)
    with in_order(at_least={"payments_payment", "payments_refund", "cases_case"}):
        refund_flow.cancel(
            refund_id=retried(owed).pk, reason="later", actor=actor("amara"), now=clock.utc_now()
        )
        approve_all(end(Refund.objects.get(retry_of=owed), "lapsed"))
        carry_decisions()
