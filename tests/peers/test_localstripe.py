"""Stripe's own client drives localstripe, whose signed webhooks arrive here (WH-28, PX-3, D14).

localstripe is somebody else's Stripe: it ignores idempotency keys and tells nothing of charges.
Skipped where `PAYOPS_LOCALSTRIPE` does not name a Python that has it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import stripe

from ledger.models import JournalEntry
from payops.cases.models import Case
from payops.payments.models import Payment, Payout
from payops.webhooks.models import Delivery, ProviderEvent
from tests import builders
from tests.builders import approval_of, approve_all, drain, reload
from tests.conftest import STRIPE_SECRET
from tests.flows.provider import later
from tests.peers.processes import API_KEY, LocalStripe, interpreter, localstripe, product, until
from tests.psp.scripted_server import Received, ScriptedServer, scripted_server

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="session")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStripe]:
    python = interpreter()
    if python.startswith("["):
        print(f"\nlocalstripe: skipped {python}")
        pytest.skip(python)
    with localstripe(python, tmp_path_factory.mktemp("localstripe")) as found:
        yield found


@pytest.fixture(scope="session")
def address(peer: LocalStripe, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with product(tmp_path_factory.mktemp("product")) as url:
        yield url


@pytest.fixture
def web(peer: LocalStripe, address: str) -> str:
    """The product's web process; localstripe sends its webhooks there, signed with its secret."""
    peer.send_webhooks_to(f"{address}/webhooks/stripe/demo/", STRIPE_SECRET)
    return address


@pytest.fixture
def line(peer: LocalStripe, settings: Any) -> Iterator[Line]:
    """What stands between the product and the provider, and may spoil what it carries."""
    between = Line(peer)
    with scripted_server(between.carry) as server:
        settings.PSP = {"stripe": {"base_url": server.origin, "api_key": API_KEY}}
        settings.HTTP_ALLOW = server.allow
        between.server = server
        yield between


class Line:
    """Carries calls to localstripe; one payout call may be born failed, doubled, or unanswered."""

    server: ScriptedServer

    def __init__(self, peer: LocalStripe) -> None:
        self._peer = peer
        self.born_failed = self.twice = self.cut_off = False

    def carry(self, request: Received) -> Iterator[bytes | float]:
        paying = (request.method, request.target) == ("POST", "/v1/payouts")
        more = b"&status=failed" if paying and self.born_failed else b""
        answer = self._peer.forward(request, more=more)
        if paying and self.twice:
            self._peer.forward(request)
        if paying and self.cut_off:
            self.cut_off = False
            return
        yield answer

    def payout_calls(self) -> list[str]:
        """The idempotency key of each payout call that the product made."""
        asked = [each for each in self.server.received if each.method == "POST"]
        return [each.headers["idempotency-key"] for each in asked if each.target == "/v1/payouts"]


def arrived(*types: str) -> list[ProviderEvent]:
    """Wait for one stored event of each type; they come in any order."""

    def found() -> list[ProviderEvent]:
        events = list(ProviderEvent.objects.filter(type__in=types).order_by("created_at"))
        return events if sorted(event.type for event in events) == sorted(types) else []

    return until(found, what=f"events {types}")


def approved(amount: str) -> Payout:
    payout = builders.requested(amount, provider="stripe")
    approve_all(approval_of(payout.approval_id))
    return payout


def peers_payouts(peer: LocalStripe, payout: Payout) -> list[stripe.Payout]:
    rows = peer.client.v1.payouts.list({"limit": 100}).data
    named = {row.id: (row.metadata.to_dict() if row.metadata else {}) for row in rows}
    return [row for row in rows if named[row.id].get("payops_reference") == payout.public_id]


def test_a_payment_driven_by_the_official_client_is_captured_and_posted(
    peer: LocalStripe, web: str
) -> None:
    """localstripe tells of intents and customers, never of charges: that one event is ours to send,
    over the charge as the client read it back, signed by the official library.
    """
    api = peer.client.v1
    customer = api.customers.create({"email": "buyer@example.com"})
    card: Any = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2035, "cvc": "123"}
    method = api.payment_methods.create({"type": "card", "card": card})
    api.payment_methods.attach(method.id, {"customer": customer.id})
    intent = api.payment_intents.create(
        {
            "amount": 2500,
            "currency": "eur",
            "customer": customer.id,
            "payment_method": method.id,
            "confirm": True,
        }
    )
    charge = api.charges.create(
        {
            "amount": 10000,
            "currency": "eur",
            "customer": customer.id,
            "source": method.id,
            "metadata": {"seller": "S-1001", "payops_reference": "ORD-1", "platform_fee": "150"},
        }
    )
    arrived("customer.created", "payment_intent.succeeded")
    event = {
        "id": "evt_of_a_charge",
        "object": "event",
        "type": "charge.succeeded",
        "created": charge.created,
        "livemode": False,
        "data": {"object": json.loads(str(api.charges.retrieve(charge.id)))},
    }
    assert builders.post_stripe(event) == 200
    drain()

    told = {row.type: (row.state, row.outcome) for row in ProviderEvent.objects.all()}
    assert told == {
        "customer.created": ("IGNORED", "no meaning here"),
        "payment_intent.succeeded": ("IGNORED", "told by charge events"),
        "charge.succeeded": ("PROCESSED", "payment captured"),
    }
    intents = ProviderEvent.objects.filter(type="payment_intent.succeeded")
    assert [row.object_id for row in intents] == [intent.id]
    payment = Payment.objects.get()
    assert (payment.provider_ref, payment.state) == (charge.id, "CAPTURED")
    assert (payment.captured_minor, payment.platform_fee_minor) == (10000, 150)
    entry = JournalEntry.objects.get()
    assert (entry.event_class, entry.subject_id) == ("payment.captured", payment.public_id)
    receipts = Delivery.objects.all()
    assert {(row.signature_ok, row.status_sent) for row in receipts} == {(True, 200)}


def test_a_payout_of_ours_that_localstripe_fails_opens_one_case(
    peer: LocalStripe, web: str, line: Line
) -> None:
    """PX-3, PX-4: its own signed `payout.failed` over HTTP."""
    line.born_failed = True
    payout = approved("321.00")
    drain()
    sent = reload(payout)
    assert sent.state == "IN_TRANSIT", (sent.state, sent.blocked_reason)

    arrived("payout.created", "payout.failed")
    drain()

    failed = reload(payout)
    assert (failed.state, failed.failure_code) == ("EXCEPTION", "could_not_process")
    [row] = peers_payouts(peer, payout)
    assert (row.id, row.amount, row.status) == (failed.provider_ref, 32100, "failed")
    case = Case.objects.get()
    assert (case.rule, case.subject_id) == ("payout_failure", payout.public_id)
    assert len(line.payout_calls()) == 1


def test_an_ordinary_payout_is_told_of_and_needs_no_case(
    peer: LocalStripe, web: str, line: Line
) -> None:
    payout = approved("12.00")
    drain()
    [told] = arrived("payout.created")
    drain()

    told.refresh_from_db()
    assert (told.state, told.outcome) == ("PROCESSED", "the provider has the payout")
    assert (reload(payout).state, told.object_id) == ("IN_TRANSIT", reload(payout).provider_ref)
    assert not Case.objects.exists()


def test_a_lost_answer_is_looked_up_and_never_sent_again(
    peer: LocalStripe, web: str, line: Line
) -> None:
    """D14: a second call would pay twice here, because the key means nothing to localstripe."""
    line.cut_off = True
    payout = approved("45.00")

    def settled() -> bool:
        later()
        drain()
        return reload(payout).state == "IN_TRANSIT"

    until(settled, what="the lookup of the payout")
    arrived("payout.created")

    assert len(line.payout_calls()) == 1
    [row] = peers_payouts(peer, payout)
    assert reload(payout).provider_ref == row.id


def test_a_payout_doubled_on_the_line_is_one_here_and_a_case_names_the_other(
    peer: LocalStripe, web: str, line: Line
) -> None:
    """The same call with the same key twice makes two payouts at localstripe."""
    line.twice = True
    payout = approved("67.00")
    drain()
    arrived("payout.created", "payout.created")
    drain()

    ours = reload(payout)
    pair = {row.id for row in peers_payouts(peer, payout)}
    assert len(pair) == 2 and ours.provider_ref in pair
    assert Payout.objects.filter(provider_ref__in=pair).count() == 1
    [other] = pair - {ours.provider_ref}
    case = Case.objects.get()
    assert (case.rule, case.subject_id) == ("provider_mismatch", payout.public_id)
    assert case.title == (
        f"the event is about {other}, payout {payout.merchant_ref} is {ours.provider_ref} there"
    )
    assert ours.state == "IN_TRANSIT"
    paid = JournalEntry.objects.filter(subject_id=payout.public_id)
    assert paid.filter(event_class="payout.paid").count() == 0


def test_a_webhook_signed_with_another_secret_is_refused(peer: LocalStripe, web: str) -> None:
    peer.send_webhooks_to(f"{web}/webhooks/stripe/demo/", "whsec_of_somebody_else")

    peer.client.v1.customers.create({"email": "other@example.com"})

    receipt = until(lambda: Delivery.objects.first(), what="the receipt of a refusal")
    assert (receipt.signature_ok, receipt.status_sent) == (False, 401)
    assert receipt.signature_reason == "signature_mismatch"
    assert not ProviderEvent.objects.exists()
