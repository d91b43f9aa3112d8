"""A payout asked for by an internal system on a person's behalf (D5, AU-5, AU-10, F23, D17)."""

from __future__ import annotations

from typing import Any

import pytest

from approvals.models import ApprovalDecision, ApprovalRequest
from approvals.refusals import RequesterBarred
from payops.commands.bootstrap import as_owner
from payops.core import clock
from payops.core.models import AuditEvent, IdempotencyKey, Person
from payops.payments.models import Payout
from tests import builders
from tests.api.calling import facts, get, post, problem
from tests.people import person

pytestmark = pytest.mark.django_db


def test_a_request_makes_one_payout_that_waits_for_people() -> None:
    answer = post(facts())

    assert answer.status_code == 201
    payout = Payout.objects.get()
    assert (payout.state, payout.source) == ("AWAITING_APPROVAL", "api")
    assert (payout.amount_minor, payout.currency) == (120_000, "EUR")
    assert payout.requested_by == person("amara")
    approval = ApprovalRequest.objects.get()
    assert (approval.requested_channel, approval.requested_by) == ("api", person("amara"))
    assert (approval.facts["source"], approval.seats) == ("api", ["ops_lead"])
    said = answer.json()
    assert answer.headers["Location"] == f"/api/payouts/{payout.public_id}/"
    assert "Idempotent-Replayed" not in answer.headers
    assert said["id"] == payout.public_id
    assert said["approval_id"] == approval.public_id
    assert (said["amount"], said["currency"]) == ("1200.00", "EUR")
    assert said["requested_by"] == str(person("amara").pk)
    assert get(f"/api/payouts/{payout.public_id}/").json() == said


def test_the_calls_are_in_the_one_audit_trail() -> None:
    """AU-10: the same trail, channel "api", the system as the service, the person by id."""
    made = post(facts(), key="K-1").json()
    post(facts(), key="K-1")
    post(facts(amount="1.00"), key="K-1")
    get(f"/api/payouts/{made['id']}/")

    rows = AuditEvent.objects.filter(channel="api", action__startswith="api.")
    told = [(r.service, r.action, r.subject_id, r.evidence) for r in rows.order_by("created_at")]
    amara = str(person("amara").pk)
    first = {"status": 201, "about": made["id"], "on_behalf_of": amara, "idempotency_key": "K-1"}
    assert told == [
        ("shop-backend", "api.request_payout", made["id"], first),
        ("shop-backend", "api.request_payout", "shop-backend", first | {"replayed": True}),
        (
            "shop-backend",
            "api.request_payout",
            "shop-backend",
            {"status": 409, "idempotency_key": "K-1", "problem": "idempotency-key-reused"},
        ),
        ("shop-backend", "api.read_payout", "shop-backend", {"status": 200, "about": made["id"]}),
    ]
    acts = AuditEvent.objects.filter(subject_id=made["id"], action="payout.requested")
    assert [(row.channel, row.service, row.person_id) for row in acts] == [
        ("api", "shop-backend", None)
    ]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("named", ["lena", "lena@meridian.example", "LENA@Meridian.Example"])
def test_the_person_named_is_the_requester_and_cannot_approve(named: str) -> None:
    """D5: approving one's own API request is refused; another ops lead may."""
    made = post(facts(on_behalf_of=named)).json()
    approval = builders.approval_of(made["approval_id"])
    assert made["requested_by"] == str(person("lena").pk)

    with pytest.raises(RequesterBarred):
        builders.decide(approval, "lena")
    assert not ApprovalDecision.objects.exists()

    assert builders.decide(approval, "tomas").kind == "approved"


def test_a_second_login_is_the_same_requester() -> None:
    made = post(facts(on_behalf_of="amara-2")).json()

    assert made["requested_by"] == str(person("amara").pk)


@pytest.mark.parametrize(
    ("field", "named"),
    [
        ("on_behalf_of", "nobody"),
        ("on_behalf_of", "Amara Okafor"),
        ("on_behalf_of", "shop-backend"),
        ("beneficiary", "S-9999"),
        ("beneficiary", "be_" + "0" * 32),
        ("account", "stripe/other"),
        ("account", "adyen/other"),
    ],
)
def test_what_is_not_known_is_refused_and_leaves_the_key_free(field: str, named: str) -> None:
    """D17a: it may become known, so the key is free for the retry."""
    answer = post(facts(**{field: named}), key="K-2")

    assert (answer.status_code, problem(answer)) == (422, "unknown-reference")
    assert answer.json()["errors"] == [{"field": field, "detail": "not known"}]
    assert not Payout.objects.exists()
    assert not IdempotencyKey.objects.exists()
    assert post(facts(), key="K-2").status_code == 201


def test_somebody_who_left_cannot_be_named() -> None:
    left = person("amara")
    left.left_at = clock.utc_now()
    left.save()

    answer = post(facts(on_behalf_of="amara"))

    assert (answer.status_code, problem(answer)) == (422, "unknown-reference")


@pytest.mark.django_db(transaction=True)
def test_an_email_of_two_people_names_nobody() -> None:
    with as_owner():
        Person.objects.create(name="Amara Double", email="amara@meridian.example")

    answer = post(facts(on_behalf_of="amara@meridian.example"))

    assert (answer.status_code, problem(answer)) == (422, "unknown-reference")
    assert post(facts(on_behalf_of="amara")).status_code == 201


def test_a_beneficiary_is_named_by_reference_or_by_id() -> None:
    seller = builders.seller("S-1003")

    by_reference = post(facts(beneficiary="S-1003", merchant_ref="P-1")).json()
    by_id = post(facts(beneficiary=seller.public_id, merchant_ref="P-2")).json()

    assert by_reference["beneficiary"] == by_id["beneficiary"] == seller.public_id


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [("0.01", "EUR", 1), ("12400", "EUR", 1_240_000), ("7", "JPY", 7), ("1.250", "KWD", 1250)],
)
def test_amounts_are_exact_decimal_text(amount: str, currency: str, minor: int) -> None:
    answer = post(facts(amount=amount, currency=currency))

    assert answer.status_code == 201
    assert Payout.objects.get().amount_minor == minor


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"amount": 1200}, "amount"),
        ({"amount": True}, "amount"),
        ({"amount": ["1200.00"]}, "amount"),
        ({"amount": {"minor": 1}}, "amount"),
        ({"amount": ""}, "amount"),
        ({"amount": "-5.00"}, "amount"),
        ({"amount": "+5.00"}, "amount"),
        ({"amount": "1e3"}, "amount"),
        ({"amount": "NaN"}, "amount"),
        ({"amount": "Infinity"}, "amount"),
        ({"amount": "1_000"}, "amount"),
        ({"amount": "1,200.00"}, "amount"),
        ({"amount": " 12.00"}, "amount"),
        ({"amount": "012.00"}, "amount"),
        ({"amount": "12."}, "amount"),
        ({"amount": ".5"}, "amount"),
        ({"amount": "١٢"}, "amount"),
        ({"amount": "12.00\n"}, "amount"),
        ({"amount": "12.345"}, "amount"),
        ({"amount": "1.5", "currency": "JPY"}, "amount"),
        ({"amount": "999999999999999"}, "amount"),
        ({"currency": "eur"}, "currency"),
        ({"currency": "EURO"}, "currency"),
        ({"currency": None}, "currency"),
        ({"account": "stripe"}, "account"),
        ({"account": "stripe/demo/"}, "account"),
        ({"merchant_ref": "   "}, "merchant_ref"),
        ({"merchant_ref": "P\t1"}, "merchant_ref"),
        ({"merchant_ref": "P" * 121}, "merchant_ref"),
        ({"reason": ""}, "reason"),
        ({"reason": None}, "reason"),
        ({"reason": "r" * 1001}, "reason"),
        ({"on_behalf_of": None}, "on_behalf_of"),
        ({"source": "console"}, "source"),
        ({"amount_minor": 120000}, "amount_minor"),
    ],
)
def test_a_field_is_refused_with_its_rule(changes: dict[str, Any], field: str) -> None:
    asked = facts(**changes)

    answer = post(asked)

    assert (answer.status_code, problem(answer)) == (422, "invalid-fields")
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert not Payout.objects.exists()
    assert not ApprovalRequest.objects.exists()


def test_nothing_is_not_paid() -> None:
    answer = post(facts(amount="0.00"))

    assert (answer.status_code, problem(answer)) == (422, "payout-refused")
    assert answer.json()["detail"] == "a payout pays more than nothing; asked was 0.00 EUR"
    assert not Payout.objects.exists()


def test_the_longest_texts_are_taken() -> None:
    answer = post(facts(merchant_ref="P" * 120, reason="r" * 1000), key="k" * 255)

    assert answer.status_code == 201


def test_a_total_beyond_every_limit_is_a_refusal_not_a_failure() -> None:
    answer = post(facts(amount="9999999999999.00", currency="GBP"), key="K-3")

    assert (answer.status_code, problem(answer)) == (409, "not-now")
    assert not Payout.objects.exists()
    assert not IdempotencyKey.objects.exists()
