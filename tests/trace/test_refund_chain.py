"""AU-1, RF-18: from any id of a refund to the charge, the rules that decided, and the other way."""

from __future__ import annotations

import pytest

from payops.flows.trace.chain import trace
from payops.payments.models import Payment, Refund
from tests.refunds import ask, charge

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def payment() -> Payment:
    return charge(10_000)


def test_a_refund_leads_to_its_charge_and_the_charge_to_its_refunds(payment: Payment) -> None:
    refund = ask(payment, "30.00", source="ticket", ticket_system="jira", ticket_ref="OPS-77")

    from_refund = trace(refund.public_id)
    from_charge = trace(payment.public_id)

    assert {node.id for node in from_refund.nodes} == {node.id for node in from_charge.nodes}
    assert (from_refund.focus, from_charge.focus) == (refund.public_id, payment.public_id)
    edges = {(edge.source, edge.target): edge.words for edge in from_charge.edges}
    assert edges[(payment.public_id, refund.public_id)] == "refunded by"


@pytest.mark.parametrize("named", ["OPS-77", "request key", "decision"])
def test_what_an_agent_has_in_hand_finds_the_refund(payment: Payment, named: str) -> None:
    refund = ask(payment, "30.00", source="ticket", ticket_system="jira", ticket_ref="OPS-77")
    decision = refund.decisions.get()
    text = {"request key": refund.request_key, "decision": decision.public_id}.get(named, named)

    chain = trace(text)

    assert chain.found
    assert refund.public_id in {node.id for node in chain.nodes}


def test_the_story_says_why_it_was_refused_with_its_figures(payment: Payment) -> None:
    refund = ask(payment, "100.01")
    assert Refund.objects.get(pk=refund.pk).state == "REFUSED"

    told = [line.words for line in trace(refund.public_id).lines if line.kind == "decision"]

    assert len(told) == 1
    assert told[0].startswith("refused by refund.policy v1 on ")
    assert "100.01 EUR" in told[0] and "100.00 EUR" in told[0]
