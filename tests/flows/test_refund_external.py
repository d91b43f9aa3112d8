"""Refunds nobody asked for here are recorded, posted and seen (RF-12, F4, D9)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from approvals.models import ApprovalRequest
from payops.cases.models import Case
from payops.core import clock
from payops.core.models import Message
from payops.core.money import Money
from payops.flows import questions
from payops.flows.refunds import silent as silent_refunds
from payops.payments.models import Payment, Refund
from payops.psp.calling import NoAnswer, RefundList, RefundState
from payops.webhooks.models import ProviderEvent
from tests import refunds
from tests.builders import drain
from tests.flows.lifecycle import stripe_event
from tests.flows.refund_life import (
    balances,
    charged,
    counters,
    keep,
    outsider,
    reload,
    rules_of,
    sent,
    teller_of,
)
from tests.replaying import named, replayed

pytestmark = pytest.mark.django_db(transaction=True)


def made_outside(payment: Payment, minor: int, *words: str) -> Refund:
    teller = outsider(payment, minor)
    for word in words or ("created",):
        teller.tell(word)
        drain()
    return Refund.objects.get(provider_ref=teller.ref)


@pytest.mark.parametrize("provider", ["stripe", "adyen", "paypal", "standard"])
def test_a_refund_from_the_console_is_recorded_posted_and_seen(provider: str) -> None:
    """RF-12, F4: it reduces what can be refunded, and a person finds out who made it."""
    payment = charged(provider)

    found = made_outside(payment, 3_000)

    assert (found.source, found.requested_by, found.reason_code) == (
        "provider",
        None,
        "made_at_provider",
    )
    assert found.request_key == f"provider:{payment.account.address}:{found.provider_ref}"
    assert (found.state, found.promise_id) == ("ACCEPTED", found.public_id)
    assert balances(found.public_id) == {"2000": 2_700, "2110": -3_000, "4000": 300}
    assert counters(payment) == (0, 3_000, 0)
    assert rules_of(found.public_id) == ["refund_external"]
    left = Payment.objects.get(pk=payment.pk).refundable
    assert left == Money(7_000, "EUR")
    refused = refunds.ask(payment, "70.01", by="amara")
    assert refused.state == "REFUSED"
    assert "70.00" in refused.refusal


def test_its_later_events_are_applied_to_it() -> None:
    found = made_outside(charged("standard"), 3_000, "created", "succeeded", "failed", "returned")

    assert (found.state, found.obligation) == ("RETURNED", "owed")
    assert balances(found.public_id) == {"2000": 2_700, "2150": -3_000, "4000": 300}
    assert rules_of(found.public_id) == ["refund_external", "refund_failed"]


def test_requests_that_no_longer_fit_are_canceled_the_newest_first() -> None:
    """RF-10, RF-16: with words; what still fits goes on."""
    payment = charged("standard")
    older, newer = refunds.ask(payment, "55.00"), refunds.ask(payment, "30.00")
    assert (older.state, newer.state) == ("AWAITING_APPROVAL", "AWAITING_APPROVAL")

    found = made_outside(payment, 4_000)

    older, newer = reload(older), reload(newer)
    assert (older.state, newer.state) == ("AWAITING_APPROVAL", "CANCELED")
    assert newer.refusal == (
        f"40.00 EUR of the charge were refunded at the provider as {found.provider_ref};"
        " 30.00 EUR no longer fit the capture"
    )
    assert counters(payment) == (5_500, 4_000, 0)
    assert rules_of(payment.public_id) == []
    assert ApprovalRequest.objects.get(subject_id=newer.public_id).state == "VOID"


def test_more_than_was_captured_is_a_fact_and_a_case_never_a_negative_rest() -> None:
    """RF-10: the platform bears the surplus until it is decided who does."""
    payment = charged("standard")
    sent_one = sent(payment, "30.00")
    teller_of(sent_one).tell("created")
    drain()

    found = made_outside(payment, 9_000, "created")

    assert counters(payment) == (0, 10_000, 2_000)
    shares = {"2000": 6_300, "4000": 700, "4090": 2_000}
    assert balances(found.public_id) == {**shares, "2110": -9_000}
    case = Case.objects.get(subject_id=payment.public_id)
    assert (case.rule, case.title) == (
        "refund_over_captured",
        "Refunds of payment ORD-1 exceed the captured 100.00 EUR by 20.00 EUR",
    )
    assert case.amount_minor == 2_000


def test_a_refund_in_flight_keeps_its_reservation_beside_one_from_the_console() -> None:
    payment = charged("standard")
    in_flight = sent(payment, "40.00")

    made_outside(payment, 9_000)

    assert reload(in_flight).state == "DISPATCHING"
    assert counters(payment) == (4_000, 6_000, 3_000)
    assert rules_of(payment.public_id) == ["refund_over_captured"]


def test_an_over_refund_that_fails_owes_nobody_more_than_the_capture() -> None:
    payment = charged("standard")
    found = made_outside(payment, 13_000, "created", "failed")

    assert (found.state, found.obligation) == ("FAILED", "lapsed")
    assert balances(found.public_id) == {}
    assert counters(payment) == (0, 0, 0)


def test_another_currency_is_a_case_and_nothing_is_recorded() -> None:
    payment = charged("standard")
    teller = outsider(payment)
    body = teller._standard("created")
    body["data"]["currency"] = "USD"
    keep(payment.account, body)
    drain()

    assert not Refund.objects.exists()
    case = Case.objects.get(rule="provider_mismatch")
    assert case.title == "the event says 30.00 USD, its charge was captured in EUR"


def charge_refunded(payment: Payment, step: int, total: int) -> dict[str, Any]:
    told = {
        "id": payment.provider_ref,
        "object": "charge",
        "amount": 10_000,
        "amount_refunded": total,
        "currency": "eur",
        "captured": True,
        "status": "succeeded",
        "livemode": False,
    }
    body = stripe_event("charge.refunded", told)
    body["data"]["previous_attributes"] = {"amount_refunded": total - step}
    return body


def shown(payment: Payment, ref: str, minor: int = 3_000, **more: Any) -> RefundState:
    state = {
        "provider_ref": ref,
        "payment_provider_ref": payment.provider_ref,
        "raw_status": "succeeded",
        "reached": frozenset({"refund.accepted", "refund.succeeded"}),
        "amount": Money(minor, "EUR"),
        "our_ref": None,
        "created_at": clock.utc_now(),
    }
    return RefundState(**{**state, **more})


class Listing:
    """What the provider lists of its charges, and which it was asked for."""

    def __init__(self, *refunds: RefundState, silent: str = "") -> None:
        self.refunds, self.silent = refunds, silent
        self.asked: list[str] = []

    def __call__(self, *, account: object, payment_ref: str) -> RefundList | NoAnswer:
        self.asked.append(payment_ref)
        if self.silent:
            return NoAnswer(reason=self.silent)
        own = [each for each in self.refunds if each.payment_provider_ref == payment_ref]
        return RefundList(refunds=tuple(own))


def due_now() -> None:
    later = Message.objects.filter(state=Message.State.PENDING, topic__contains="compare_refunds")
    later.update(due_at=clock.utc_now())


def test_a_charge_that_says_so_alone_has_its_list_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """F4: charge.refunded names no refund; its own event has a minute to come."""
    payment = charged("stripe")
    listing = Listing(shown(payment, "re_silent"))
    monkeypatch.setattr(questions, "list_refunds", listing)
    keep(payment.account, charge_refunded(payment, 3_000, 3_000))
    drain()
    assert listing.asked == []

    due_now()
    drain()

    assert listing.asked == [payment.provider_ref]
    found = Refund.objects.get(provider_ref="re_silent")
    assert (found.state, found.source) == ("SUCCEEDED", "provider")
    assert balances(found.public_id) == {"1100": -3_000, "2000": 2_700, "4000": 300}
    assert rules_of(found.public_id) == ["refund_external"]
    assert named(replayed()) == []


def test_a_charge_event_beside_the_refund_s_own_asks_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whichever comes first: no call is made for what is known."""
    payment, listing = charged("stripe"), Listing()
    monkeypatch.setattr(questions, "list_refunds", listing)
    keep(payment.account, charge_refunded(payment, 3_000, 3_000))
    drain()
    made_outside(payment, 3_000, "succeeded")
    keep(payment.account, charge_refunded(payment, 3_000, 3_000) | {"id": "evt_again"})
    due_now()
    drain()

    assert listing.asked == []
    last = ProviderEvent.objects.get(provider_event_id="evt_again")
    assert (last.state, last.outcome) == ("IGNORED", "told by the event of the refund itself")


def compare(payment: Payment) -> None:
    """One round of the account's comparison."""
    message = Message(payload={"account_id": str(payment.account_id)})
    silent_refunds.compare([message], clock.utc_now())


def test_the_round_finds_what_sent_no_event(monkeypatch: pytest.MonkeyPatch) -> None:
    """F4, WH-27: ours takes its outcome, another is recorded; told twice it changes nothing."""
    payment = charged("standard")
    ours = sent(payment, "20.00")
    listing = Listing(
        shown(payment, "srf_ours", 2_000, our_ref=ours.public_id),
        shown(payment, "srf_outside", 3_000),
    )
    monkeypatch.setattr(questions, "list_refunds", listing)

    compare(payment)
    compare(payment)

    assert (reload(ours).state, reload(ours).provider_ref) == ("SUCCEEDED", "srf_ours")
    outside = Refund.objects.get(provider_ref="srf_outside")
    assert outside.source == "provider"
    assert counters(payment) == (0, 5_000, 0)
    assert balances(ours.public_id, outside.public_id) == {
        "1100": -5_000,
        "2000": 4_500,
        "4000": 500,
    }
    assert named(replayed()) == []


def test_the_round_leaves_a_call_in_flight_and_an_undecided_event_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    payment = charged("standard")
    in_flight = sent(payment, "30.00")
    monkeypatch.setattr(questions, "list_refunds", Listing(shown(payment, "srf_unnamed")))

    compare(payment)

    assert reload(in_flight).state == "DISPATCHING"
    assert Refund.objects.count() == 1


def test_the_round_shows_another_amount_of_ours_as_a_case(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    payment = charged("standard")
    ours = sent(payment, "20.00")
    theirs = shown(payment, "srf_ours", 2_100, our_ref=ours.public_id)
    monkeypatch.setattr(questions, "list_refunds", Listing(theirs))

    compare(payment)

    assert reload(ours).state == "DISPATCHING"
    assert rules_of(ours.public_id) == ["provider_mismatch"]


def test_rounds_are_asked_for_once_an_hour_and_not_of_old_charges() -> None:
    payment, now = charged("standard"), clock.utc_now()
    assert [row.pk for row in silent_refunds.to_compare(payment.account, now)] == [payment.pk]
    later = now + timedelta(days=31)
    assert not silent_refunds.to_compare(payment.account, later).exists()

    hour = now.replace(minute=5)
    assert silent_refunds.ask_all(hour) == 1
    assert silent_refunds.ask_all(hour + timedelta(minutes=50)) == 0
    asked = Message.objects.filter(topic=silent_refunds.TOPIC, turn=str(payment.account_id))
    assert asked.count() == 1
