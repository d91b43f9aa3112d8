"""Refunds and what is left of a charge, read through the API (RF-3, RF-11, RF-14, AU-10)."""

from __future__ import annotations

import pytest

from payops.api import refund_reads
from payops.core.models import AuditEvent
from payops.payments.models import Refund
from tests import builders, refunds
from tests.api.calling import get, other_key, problem

pytestmark = pytest.mark.django_db(transaction=True)
ADDRESS = "/api/refund-requests/"


def listed(**query: str) -> list[str]:
    return [row["id"] for row in get(ADDRESS, **query).json()["refunds"]]


def test_refunds_are_listed_by_charge_and_state_newest_first() -> None:
    first, second = refunds.charge(10_000), refunds.charge(10_000)
    small = refunds.ask(first, "10.00")
    large = refunds.ask(first, "20.00")
    other = refunds.ask(second, "30.00")

    assert listed() == [other.public_id, large.public_id, small.public_id]
    assert listed(payment=first.public_id) == [large.public_id, small.public_id]
    assert listed(payment=first.merchant_ref) == [large.public_id, small.public_id]
    assert listed(state="AWAITING_APPROVAL") == [large.public_id]
    assert listed(payment=second.public_id, state="REFUSED") == []


def test_a_long_list_is_read_page_by_page_without_gap_or_repeat(monkeypatch) -> None:
    """Keyset: what is asked for meanwhile moves nothing."""
    payment = refunds.charge(10_000)
    made = [refunds.ask(payment, "1.00").public_id for _ in range(5)]
    monkeypatch.setattr(refund_reads, "REFUNDS_MAX", 2)

    seen, after = [], ""
    while True:
        page = get(ADDRESS, **({"after": after} if after else {})).json()
        seen += [row["id"] for row in page["refunds"]]
        if not seen[2:]:
            refunds.ask(payment, "1.00")
        after = page["next"]
        if after is None:
            break

    assert seen == list(reversed(made))


@pytest.mark.parametrize(
    ("query", "status", "kind"),
    [
        ({"state": "PAID"}, 400, "malformed-query"),
        ({"status": "APPROVED"}, 400, "malformed-query"),
        ({"payment": "p" * 256}, 400, "malformed-query"),
        ({"payment": "nobody"}, 422, "unknown-reference"),
        ({"after": "rf_" + "0" * 32}, 404, "not-found"),
        ({"after": "pa_" + "0" * 32}, 404, "not-found"),
    ],
)
def test_a_query_that_is_not_understood_is_refused(query, status, kind) -> None:
    answer = get(ADDRESS, **query)

    assert (answer.status_code, problem(answer)) == (status, kind)


def test_a_record_of_another_book_is_not_there() -> None:
    refund = refunds.ask(refunds.charge(10_000))
    stranger = other_key("stranger", acts=["view_books", "request_refund"], book="system")

    for address in (
        f"{ADDRESS}{refund.public_id}/",
        f"/api/payments/{refund.payment.public_id}/refundable/",
    ):
        answer = get(address, api_key=stranger)
        assert (answer.status_code, problem(answer)) == (404, "not-found")
    assert get(ADDRESS, api_key=stranger).json() == {"next": None, "refunds": []}


def test_reading_is_in_the_audit_and_changes_nothing() -> None:
    refund = refunds.ask(refunds.charge(10_000))

    get(f"{ADDRESS}{refund.public_id}/")
    get(f"/api/payments/{refund.payment.public_id}/refundable/", amount="1.00")

    told = AuditEvent.objects.filter(channel="api").order_by("created_at")
    assert list(told.values_list("action", "service")) == [
        ("api.read_refund", "shop-backend"),
        ("api.look_at_refundable", "shop-backend"),
    ]
    assert Refund.objects.count() == 1


def test_what_is_left_is_looked_at_through_the_same_rules_as_a_request() -> None:
    payment = refunds.charge(10_000)
    refunds.ask(payment, "80.00")
    address = f"/api/payments/{payment.public_id}/refundable/"

    fits, beyond, all_left = (
        get(address, amount="20.00").json(),
        get(address, amount="20.01").json(),
        get(address).json(),
    )

    assert fits["payment"]["remaining"] == "20.00"
    assert (fits["verdict"], beyond["verdict"]) == ("approval", "refused")
    assert "20.01 EUR asked, 20.00 EUR left of 100.00 EUR captured" in beyond["words"]
    assert (all_left["amount"], all_left["verdict"]) == ("20.00", "approval")
    named = {check["check"] for check in all_left["checks"]}
    assert "requester" not in named and "reason" not in named
    assert Refund.objects.count() == 1


def test_naming_reason_evidence_and_person_judges_them_too() -> None:
    payment = refunds.charge(10_000)
    address = f"/api/payments/{payment.public_id}/refundable/"
    named = {"amount": "5.00", "reason_code": "order_canceled", "on_behalf_of": "amara"}

    without = get(address, **named).json()
    complete = get(address, **named, evidence="order_reference").json()

    assert without["verdict"] == "refused"
    assert "order reference is missing" in without["words"]
    assert complete["verdict"] == "auto"
    wrong = get(address, amount="5.001")
    assert (wrong.status_code, problem(wrong)) == (400, "malformed-query")


def test_a_refund_is_read_with_what_became_of_it() -> None:
    refund = refunds.ask(refunds.charge(20_000), "60.00")
    builders.decide(builders.approval_of(refund.approval_id), "lena", "reject")
    builders.drain()

    said = get(f"{ADDRESS}{refund.public_id}/").json()

    assert said["state"] == "REFUSED"
    assert said["refusal"]
    assert said["payment"]["remaining"] == "200.00"
