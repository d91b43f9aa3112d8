"""One charge, every door at once: never more than was captured, each refusal with what is left."""

from __future__ import annotations

import os
from typing import Any

import pytest

from payops.core import clock
from payops.flows import tasks
from payops.flows.refunds import bulk as refund_bulk
from payops.flows.refunds import request as refund_flow
from payops.payments.models import Payment, Refund, RefundDecision
from tests import builders, refunds
from tests.api.calling import post
from tests.desk import desk, record, submit
from tests.flows.test_refund_bulk import file_of, line
from tests.people import actor
from tests.races import race

pytestmark = pytest.mark.django_db(transaction=True)
# PAYOPS_LONG: as many charges as the promise names.
CHARGES = 100 if os.environ.get("PAYOPS_LONG") else 10
THREADS = 16
LANES = ("high", "standard")
# Of 100.00 in parts of 30.00 three fit, and 10.00 stays.
LEFT = "30.00 EUR asked, 10.00 EUR left of 100.00 EUR captured (0.00 refunded, 90.00 reserved)"


def work() -> None:
    """What a worker of the lanes of requests does, without sending anything to a provider."""
    while sum(tasks.drain(lane, budget_s=30).claimed for lane in LANES):
        pass


def by_console(payment: Payment, number: int) -> str:
    ask = refunds.asking(payment, "30.00")
    return str(refund_flow.request_refund(ask=ask, actor=actor("amara"), now=clock.utc_now()).state)


def by_api(payment: Payment, number: int) -> str:
    body = {
        "payment": payment.public_id,
        "amount": "30.00",
        "currency": "EUR",
        "reason_code": "order_canceled",
        "evidence": {"order_reference": f"ORDER-{number}"},
        "on_behalf_of": "amara",
    }
    answer = post(body, address="/api/refund-requests/")
    if answer.status_code == 422:
        assert answer.json()["remaining"] == "10.00"
        return "REFUSED"
    return str(answer.json()["state"])


def by_ticket(payment: Payment, number: int) -> str:
    assert submit(record(payment)) == 200
    work()
    return ""


def by_file(payment: Payment, number: int) -> str:
    # A file of its own: another note is another content.
    text = file_of(line(payment, "30.00").replace("was not sent", f"file {number}"))
    refund_bulk.begin(
        text=text,
        filename=f"{number}.csv",
        book=builders.account().book,
        actor=actor("amara"),
        now=clock.utc_now(),
    )
    work()
    return ""


DOORS = (by_console, by_api, by_ticket, by_file)


def test_sixteen_ask_thirty_of_a_hundred_through_every_door_at_once() -> None:
    """RF-1, RF-10, I6: exactly three each; the rest are told that 10.00 is left."""
    desk()
    for _ in range(CHARGES):
        payment = refunds.charge(10_000)

        def ask(number: int, payment: Payment = payment) -> Any:
            return DOORS[number % len(DOORS)](payment, number)

        said = race(THREADS, ask)
        work()

        assert not [each for each in said if isinstance(each, Exception)], said
        asked = Refund.objects.filter(payment=payment)
        standing = asked.exclude(state=Refund.State.REFUSED)
        assert (asked.count(), standing.count()) == (THREADS, 3)
        doors = asked.values_list("source", flat=True)
        assert {door: list(doors).count(door) for door in set(doors)} == dict.fromkeys(
            ("console", "api", "ticket", "bulk"), 4
        )
        decisions = RefundDecision.objects.filter(refund__payment=payment, verdict="refused")
        assert list(decisions.values_list("words", flat=True)) == [LEFT] * (THREADS - 3)
        assert standing.filter(state=Refund.State.APPROVED).count() <= 1
        now = refunds.fresh(payment)
        assert (now.captured_minor, now.reserved_minor, now.refunded_minor) == (10_000, 9_000, 0)
