"""Refunds asked for in tickets: once, by a person, decided here, told there (RF-1, RF-2, RF-8).

The records come through the webhook edge and the worker; the ticket system is a real server.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from approvals.models import ApprovalDecision, ApprovalRequest
from payops.cases.models import Case, Dispatch, LocalMessage
from payops.commands.bootstrap import as_owner
from payops.core.models import AuditEvent, Person
from payops.payments.models import Refund
from payops.webhooks.models import Delivery
from tests import builders, refunds
from tests.builders import drain
from tests.connectors.http_server import Answer, Asked, serving
from tests.connectors.systems import ServiceNow
from tests.desk import desk, event_of, record, submit
from tests.people import person

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def servicenow() -> None:
    desk()


class Desk(ServiceNow):
    """The same Table API with tickets that its own people opened."""

    def holds(self, number: str) -> dict[str, str]:
        row = {"sys_id": f"{len(self.rows) + 1:032x}", "number": number, "state": "1"}
        self.rows.append({**row, "correlation_id": ""})
        return self.rows[-1]

    def _search(self, asked: Asked) -> Answer:
        field, _, wanted = asked.query["sysparm_query"].partition("=")
        self.want(field == "number", f"query of {field}")
        return Answer(200, {"result": [row for row in self.rows if row["number"] == wanted]})


@pytest.fixture
def told(settings: Any) -> Iterator[Desk]:
    """The ticket system as a server."""
    system = Desk()
    with serving(system):
        settings.HTTP_ALLOW = frozenset({*settings.HTTP_ALLOW, system.netloc})
        settings.SERVICENOW_URL = system.url
        yield system


def words() -> list[str]:
    return list(LocalMessage.objects.order_by("created_at").values_list("body", flat=True))


def test_a_ticket_becomes_one_request_of_the_person_it_names() -> None:
    """RF-1, D5: the agent is the requester, found by e-mail."""
    payment = refunds.charge(20_000)
    asked = record(payment, amount="60.00", opened_by="Lena@Meridian.Example")

    assert submit(asked) == 200
    drain()

    refund = Refund.objects.get()
    assert (refund.source, refund.amount_minor, refund.state) == (
        "ticket",
        6_000,
        "AWAITING_APPROVAL",
    )
    assert (refund.ticket_system, refund.ticket_ref) == ("servicenow", asked["number"])
    assert refund.request_key == (f"ticket:servicenow/desk:{asked['number']}:{asked['request_id']}")
    assert refund.reason_code == "order_canceled"
    assert refund.evidence == {"order_reference": "ORDER-1"}
    approval = ApprovalRequest.objects.get()
    assert (approval.requested_by, approval.requested_channel) == (person("lena"), "ticket")
    event = event_of(asked)
    assert (event.state, event.subject_id) == ("PROCESSED", refund.public_id)
    assert event.outcome == f"{refund.public_id} is AWAITING_APPROVAL"


def test_a_record_without_its_token_asks_for_nothing() -> None:
    payment = refunds.charge(10_000)

    assert submit(record(payment), token="another") == 401
    drain()

    assert not Refund.objects.exists()


def test_the_agent_asks_again_and_gets_the_same_refund_as_it_stands_now() -> None:
    """RF-11: the resubmission is a duplicate; the ticket learns the live state, nothing is new."""
    payment = refunds.charge(20_000)
    asked = record(payment, amount="60.00")
    submit(asked)
    drain()
    refund = Refund.objects.get()
    builders.decide(builders.approval_of(refund.approval_id), "lena", "reject")
    drain()

    assert submit(asked | {"note": "Please hurry.", "state": "3"}) == 200
    drain()

    assert Refund.objects.get().pk == refund.pk
    assert Delivery.objects.filter(duplicate=True).count() == 1
    refund.refresh_from_db()
    again = LocalMessage.objects.get(correlation_id__contains=":again:")
    assert again.subject == f"Asked again: refund of 60.00 EUR is {refund.state}"
    assert refund.public_id in again.body and "not done twice" in again.body
    repeated = AuditEvent.objects.get(action="refund.repeated")
    assert repeated.subject_id == refund.public_id
    assert repeated.reason == f"asked again through ticket; it is {refund.state}"
    assert refunds.fresh(payment).reserved_minor == 0


def test_the_same_request_with_other_facts_is_told_and_the_first_stand() -> None:
    payment = refunds.charge(20_000)
    asked = record(payment, amount="60.00")
    submit(asked)
    drain()

    assert submit(asked | {"amount": "70.00"}) == 200
    drain()

    assert Refund.objects.get().amount_minor == 6_000
    assert Case.objects.get().rule == "event_conflict"
    assert "sent with other facts before, and those stand" in words()[-1]


def test_a_decision_in_the_ticket_is_evidence_and_fills_no_seat() -> None:
    """AP-10, D17b."""
    payment = refunds.charge(20_000)
    decided = {"order_reference": "ORDER-1", "approved_by": "lena", "approval": "approved"}

    submit(record(payment, amount="60.00", evidence=decided))
    drain()

    refund = Refund.objects.get()
    assert refund.state == "AWAITING_APPROVAL"
    assert refund.evidence == decided
    assert ApprovalRequest.objects.get().facts["evidence"] == decided
    assert not ApprovalDecision.objects.exists()


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({"opened_by": "nobody@elsewhere.example"}, "nobody here has the e-mail"),
        ({"opened_by": "audrey@meridian.example"}, "may not ask for refunds"),
        ({"charge": "ch_unknown"}, "no charge 'ch_unknown' is known"),
        ({"reason": "because"}, "no reason 'because'; there are"),
        ({"currency": "USD"}, "USD asked, the charge is in EUR"),
    ],
)
def test_what_cannot_be_a_refund_is_refused_with_words(members: dict[str, Any], why: str) -> None:
    payment = refunds.charge(10_000)
    asked = record(payment, **members)

    submit(asked)
    drain()

    event = event_of(asked)
    assert event.state == "PROCESSED"
    assert event.outcome.startswith("refused: ") and why in event.outcome
    (said,) = words()
    assert said.startswith("No refund was made: ") and why in said
    assert not Refund.objects.exists() and not Case.objects.exists()
    assert refunds.fresh(payment).reserved_minor == 0


def test_a_reference_of_two_charges_is_a_case_for_people() -> None:
    first, second = refunds.charge(order="ORDER-TWICE"), refunds.charge(order="ORDER-TWICE")
    asked = record(first.merchant_ref)

    submit(asked)
    drain()

    case = Case.objects.get()
    assert (case.rule, case.subject_id) == ("refund_wish_unclear", event_of(asked).public_id)
    assert first.public_id in words()[0] and second.public_id in words()[0]
    assert not Refund.objects.exists()


def test_what_was_unknown_is_looked_at_anew_when_the_agent_asks_again() -> None:
    """D17a: the charge was not known yet; the same request becomes a refund later."""
    asked = record("ORDER-LATE")
    submit(asked)
    drain()
    payment = refunds.charge(order="ORDER-LATE")

    submit(asked)
    drain()

    refund = Refund.objects.get()
    assert refund.payment_id == payment.pk
    assert event_of(asked).subject_id == refund.public_id


def test_a_refused_refund_is_told_with_its_figures_and_may_be_asked_anew() -> None:
    payment = refunds.charge(10_000)
    blocking = refunds.ask(payment, "80.00")
    asked = record(payment, amount="40.00")
    submit(asked)
    drain()
    refused = Refund.objects.get(ticket_ref=asked["number"])
    assert refused.state == "REFUSED"
    assert "40.00 EUR asked, 20.00 EUR left of 100.00 EUR captured" in words()[0]

    submit(asked)
    drain()
    assert Refund.objects.filter(ticket_ref=asked["number"]).count() == 1
    refunds.cancel(blocking.public_id)
    submit(asked)
    drain()

    standing = Refund.objects.filter(ticket_ref=asked["number"]).exclude(state="REFUSED").get()
    assert standing.request_key == f"{refused.request_key}~2"


def test_two_people_with_one_email_are_nobody() -> None:
    with as_owner():
        Person.objects.create(name="Amara Double", email="amara@meridian.example")
    asked = record(refunds.charge(10_000))

    submit(asked)
    drain()

    assert "more than one person has the e-mail" in event_of(asked).outcome
    assert not Refund.objects.exists()


def test_each_outcome_is_told_to_the_ticket_that_asked_once(told: Desk) -> None:
    """RF-8: refund id, amount, time and state; the exchange is a Dispatch like every other."""
    payment = refunds.charge(20_000)
    asked = record(payment, amount="60.00")
    row = told.holds(asked["number"])
    submit(asked)
    drain()
    refund = Refund.objects.get()
    first = row["work_notes"]
    assert refund.public_id in first and "60.00 EUR" in first and "waiting" in first

    builders.decide(builders.approval_of(refund.approval_id), "lena", "reject")
    drain()

    assert "refused" in row["work_notes"] and row["work_notes"] != first
    sent = Dispatch.objects.order_by("created_at")
    assert list(sent.values_list("connector", "recipient", "state")) == [
        ("servicenow", asked["number"], "SENT"),
        ("servicenow", asked["number"], "SENT"),
    ]
    trail = AuditEvent.objects.filter(subject_id=refund.public_id)
    assert trail.filter(action="refund.ticket_told").count() == 2
    assert trail.filter(action="dispatch.sent").count() == 2


def test_a_ticket_that_is_gone_or_malformed_is_refused_and_never_hangs(told: Desk) -> None:
    payment = refunds.charge(20_000)
    for number in ("INC9999999", "not-a-number"):
        submit(record(payment, number=number, amount="60.00"))
    drain()

    reasons = dict(Dispatch.objects.values_list("recipient", "reason"))
    assert reasons["INC9999999"] == "ticket_gone"
    assert reasons["not-a-number"].startswith("not-a-number cannot be told: ")
    assert set(Dispatch.objects.values_list("state", flat=True)) == {"REFUSED"}


def test_an_answer_that_was_lost_is_unknown_and_not_repeated(told: Desk) -> None:
    """Comments have neither key nor query: an attempt whose end nobody saw stays unknown."""
    asked = record(refunds.charge(20_000), amount="60.00")
    told.holds(asked["number"])
    told.script = [None, Answer(hang="cut")]  # type: ignore[list-item]
    submit(asked)
    drain()

    (sent,) = Dispatch.objects.all()
    assert (sent.state, sent.attempts) == ("UNKNOWN", 1)
    drain()
    assert Dispatch.objects.get().attempts == 1
    assert LocalMessage.objects.count() == 1
