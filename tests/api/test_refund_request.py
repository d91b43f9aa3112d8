"""A refund asked for by an internal system on a person's behalf (RF-1, RF-2, RF-11, D5, D17a)."""

from __future__ import annotations

from typing import Any

import pytest

from approvals.models import ApprovalRequest
from payops.core.models import AuditEvent, IdempotencyKey
from payops.payments.models import Payment, Refund, RefundDecision
from tests import builders, refunds
from tests.api.calling import get, other_key, post, problem
from tests.people import person
from tests.races import race

pytestmark = pytest.mark.django_db(transaction=True)
ADDRESS = "/api/refund-requests/"


def wish(charged: Payment, **changes: Any) -> dict[str, Any]:
    """A refund that a rule grants; a member given as None is left out."""
    asked = {
        "payment": charged.public_id,
        "amount": "30.00",
        "currency": "EUR",
        "reason_code": "order_canceled",
        "note": "canceled before it was sent",
        "evidence": {"order_reference": "ORDER-1"},
        "on_behalf_of": "amara",
    } | changes
    return {name: value for name, value in asked.items() if value is not None}


def ask(charged: Payment, *, key: str = "", **changes: Any) -> Any:
    return post(wish(charged, **changes), address=ADDRESS, key=key)


def test_a_small_first_refund_is_granted_by_rule_with_every_check_and_figure() -> None:
    """AP-7, RF-3, RF-18: the answer says why, and what is left of the charge."""
    payment = refunds.charge(10_000)

    answer = ask(payment)

    assert answer.status_code == 201
    said, refund = answer.json(), Refund.objects.get()
    assert answer.headers["Location"] == f"{ADDRESS}{refund.public_id}/"
    assert (said["id"], said["state"], refund.state) == (refund.public_id, "APPROVED", "APPROVED")
    assert (said["amount"], said["currency"], said["source"]) == ("30.00", "EUR", "api")
    assert said["requested_by"] == str(person("amara").pk)
    assert said["payment"] == {
        "id": payment.public_id,
        "captured": "100.00",
        "reserved": "30.00",
        "refunded": "0.00",
        "remaining": "70.00",
        "currency": "EUR",
    }
    decision = said["decision"]
    assert (decision["verdict"], decision["ruleset"]) == ("auto", "refund.policy v1")
    checks = {check["check"]: check for check in decision["checks"]}
    assert checks["remaining"]["figures"] == {
        "asked_minor": 3_000,
        "left_minor": 10_000,
        "captured_minor": 10_000,
        "refunded_minor": 0,
        "reserved_minor": 0,
    }
    assert all(check["passed"] for check in checks.values())
    assert get(f"{ADDRESS}{refund.public_id}/").json() == said


def test_above_the_rule_people_decide_and_the_person_named_is_the_requester() -> None:
    """AP-8, D5."""
    payment = refunds.charge(20_000)

    said = ask(payment, amount="50.01", on_behalf_of="lena").json()

    approval = ApprovalRequest.objects.get()
    assert (said["state"], said["approval_id"]) == ("AWAITING_APPROVAL", approval.public_id)
    assert (approval.requested_by, approval.requested_channel) == (person("lena"), "api")
    assert said["decision"]["verdict"] == "approval"


def test_the_same_key_and_facts_answer_the_same_request_as_it_stands_now() -> None:
    """RF-11: live state, not the answer of the first call."""
    payment = refunds.charge(20_000)
    first = ask(payment, key="K-1", amount="60.00").json()
    builders.approve_all(builders.approval_of(first["approval_id"]))
    builders.drain()

    again = ask(payment, key="K-1", amount="60.00")

    assert again.status_code == 200
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json()["id"] == first["id"]
    assert first["state"] == "AWAITING_APPROVAL"
    assert again.json()["state"] == Refund.objects.get().state != "AWAITING_APPROVAL"
    assert again.json() == get(f"{ADDRESS}{first['id']}/").json()


def test_the_same_key_with_other_facts_is_refused_with_both_fingerprints() -> None:
    payment = refunds.charge(10_000)
    ask(payment, key="K-2")

    answer = ask(payment, key="K-2", amount="31.00")

    assert (answer.status_code, problem(answer)) == (409, "idempotency-key-reused")
    said = answer.json()
    assert len(said["stored_fingerprint"]) == len(said["given_fingerprint"]) == 64
    assert said["stored_fingerprint"] != said["given_fingerprint"]
    assert Refund.objects.count() == 1


def test_the_same_request_id_under_another_key_is_the_same_refund() -> None:
    """RF-2: the caller's own id is the request, whatever header comes with it."""
    payment = refunds.charge(10_000)
    first = ask(payment, key="K-3", request_id="CRM-7").json()

    answer = ask(payment, key="K-4", request_id="CRM-7")

    assert (answer.status_code, answer.json()["id"]) == (200, first["id"])
    assert "Idempotent-Replayed" not in answer.headers
    assert Refund.objects.count() == 1
    assert refunds.fresh(payment).reserved_minor == 3_000
    assert AuditEvent.objects.filter(action="refund.repeated").count() == 1
    listed = get(ADDRESS, request_id="CRM-7").json()
    assert [row["id"] for row in listed["refunds"]] == [first["id"]]


@pytest.mark.parametrize("changes", [{"amount": "29.00"}, {"amount": "all", "currency": None}])
def test_the_same_request_id_with_other_facts_is_refused_and_changes_nothing(
    changes: dict[str, Any],
) -> None:
    payment = refunds.charge(10_000)
    first = ask(payment, key="K-5", request_id="CRM-8").json()

    answer = ask(payment, key="K-6", request_id="CRM-8", **changes)

    assert (answer.status_code, problem(answer)) == (409, "refund-request-reused")
    said = answer.json()
    assert said["refund_id"] == first["id"]
    assert said["stored_fingerprint"] != said["given_fingerprint"]
    assert Refund.objects.count() == 1


def test_a_refusal_names_what_is_left_and_leaves_the_key_free() -> None:
    """D17a, RF-18: the refusal is a refund with its decision; time may change what it names."""
    payment = refunds.charge(10_000)
    ask(payment, amount="80.00")

    answer = ask(payment, key="K-7", amount="20.01")

    assert (answer.status_code, problem(answer)) == (422, "refund-refused")
    said, refused = answer.json(), Refund.objects.get(state="REFUSED")
    assert (said["refund_id"], said["remaining"]) == (refused.public_id, "20.00")
    assert "20.01 EUR asked, 20.00 EUR left of 100.00 EUR captured" in said["detail"]
    failed = [check for check in said["decision"]["checks"] if not check["passed"]]
    assert failed[0]["figures"]["left_minor"] == 2_000
    assert not IdempotencyKey.objects.filter(key="K-7").exists()
    told = AuditEvent.objects.filter(action="api.request_refund").latest("created_at")
    assert (told.evidence["problem"], told.evidence["status"]) == ("refund-refused", 422)
    assert ask(payment, key="K-7", amount="20.00").status_code == 201


def test_a_refusal_that_stands_is_told_again_and_decided_anew_once_it_does_not() -> None:
    """D17a: the same key and the same facts, before and after time changed what refused them."""
    payment = refunds.charge(10_000)
    blocking = ask(payment, amount="80.00").json()
    first = ask(payment, key="K-8", amount="40.00").json()

    again = ask(payment, key="K-8", amount="40.00").json()

    assert again["refund_id"] == first["refund_id"]
    assert RefundDecision.objects.filter(verdict="refused").count() == 1
    refunds.cancel(blocking["id"])
    answer = ask(payment, key="K-8", amount="40.00")
    assert answer.status_code == 201
    assert answer.json()["id"] != first["refund_id"]
    repeated = ask(payment, key="K-8", amount="40.00")
    assert (repeated.status_code, repeated.json()["id"]) == (200, answer.json()["id"])


def test_all_refunds_what_is_left() -> None:
    payment = refunds.charge(10_000)
    ask(payment, amount="25.00")

    said = ask(payment, amount="all", currency=None).json()

    assert (said["amount"], said["payment"]["remaining"]) == ("75.00", "0.00")


def test_a_charge_is_named_by_id_by_the_providers_or_the_merchants_reference() -> None:
    for name in ("public_id", "provider_ref", "merchant_ref"):
        payment = refunds.charge(10_000)
        said = ask(payment, payment=getattr(payment, name)).json()
        assert said["payment"]["id"] == payment.public_id


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"payment": "ORDER-NOBODY"}, "payment"),
        ({"payment": "pa_" + "0" * 32}, "payment"),
        ({"account": "stripe/other"}, "account"),
        ({"on_behalf_of": "nobody"}, "on_behalf_of"),
        ({"on_behalf_of": "audrey"}, "on_behalf_of"),
    ],
)
def test_what_is_not_known_is_refused_and_leaves_the_key_free(
    changes: dict[str, Any], field: str
) -> None:
    payment = refunds.charge(10_000)

    answer = ask(payment, key="K-9", **changes)

    assert (answer.status_code, problem(answer)) == (422, "unknown-reference")
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert not Refund.objects.exists() and not IdempotencyKey.objects.exists()


def test_another_merchant_account_is_a_refusal_with_both_accounts() -> None:
    """RF-3."""
    payment = refunds.charge(10_000)

    answer = ask(payment, account="stripe/demo")

    assert (answer.status_code, problem(answer)) == (422, "refund-refused")
    assert "stripe/demo named, the charge was made on standard/demo" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"amount": 30}, "amount"),
        ({"amount": "0.00"}, "amount"),
        ({"amount": "-1.00"}, "amount"),
        ({"amount": "30.001"}, "amount"),
        ({"amount": "ALL"}, "amount"),
        ({"currency": None}, "currency"),
        ({"currency": "eur"}, "currency"),
        ({"reason_code": None}, "reason_code"),
        ({"note": "n" * 401}, "note"),
        ({"evidence": ["x"]}, "evidence"),
        ({"evidence": {"Order Reference": "x"}}, "evidence"),
        ({"evidence": {"order_reference": 1}}, "evidence"),
        ({"evidence": {"order_reference": ""}}, "evidence"),
        ({"request_id": ""}, "request_id"),
        ({"on_behalf_of": None}, "on_behalf_of"),
        ({"offline": True}, "offline"),
        ({"source": "console"}, "source"),
    ],
)
def test_a_field_is_refused_with_its_rule(changes: dict[str, Any], field: str) -> None:
    answer = ask(refunds.charge(10_000), **changes)

    assert (answer.status_code, problem(answer)) == (422, "invalid-fields")
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert not Refund.objects.exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"reason_code": "because"}, "no reason 'because'; there are "),
        ({"currency": "USD"}, "USD asked, the charge is in EUR"),
    ],
)
def test_what_no_refund_can_be_is_refused_with_words(changes: dict[str, Any], words: str) -> None:
    answer = ask(refunds.charge(10_000), **changes)

    assert (answer.status_code, problem(answer)) == (422, "refund-refused")
    assert words in answer.json()["detail"]
    assert not Refund.objects.exists()


def test_a_key_needs_the_act_and_a_request_needs_a_key() -> None:
    payment = refunds.charge(10_000)
    reader = other_key("reader", acts=["request_payout", "view_books"])

    answer = post(wish(payment), address=ADDRESS, api_key=reader)

    assert (answer.status_code, problem(answer)) == (403, "act-not-allowed")
    answer = post(wish(payment), address=ADDRESS, key=None)
    assert (answer.status_code, problem(answer)) == (400, "idempotency-key-missing")
    assert not Refund.objects.exists()


def test_keys_cannot_be_made_to_meet_those_of_a_second_try() -> None:
    """A client's own "K~2" is another request than the second try of "K"."""
    payment = refunds.charge(10_000)
    ask(payment, key="K", amount="200.00")

    own = ask(payment, key="K~2").json()
    second = ask(payment, key="K").json()

    assert own["id"] != second["id"]
    assert Refund.objects.exclude(state="REFUSED").count() == 2


def test_sixteen_calls_with_one_request_id_and_their_own_keys_make_one_refund() -> None:
    payment = refunds.charge(10_000)

    answers = race(16, lambda i: ask(payment, key=f"R-{i}", request_id="CRM-9"))

    assert sorted(answer.status_code for answer in answers) == [200] * 15 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert Refund.objects.count() == 1
    assert refunds.fresh(payment).reserved_minor == 3_000
