"""What an internal system may read: live states, the trace, nothing personal (AU-7, AU-8, AP-6)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from approvals.models import ApprovalRequest
from payops.api import reads
from payops.core.models import AuditEvent
from payops.payments.models import Payout
from tests import builders
from tests.api.calling import PAYOUTS, facts, get, post, problem
from tests.people import person
from tests.stories import paid_payout

pytestmark = pytest.mark.django_db(transaction=True)
SOME_ID = "0" * 32


def test_a_payout_is_told_as_it_stands() -> None:
    made = post(facts()).json()
    approval = builders.approval_of(made["approval_id"])
    builders.decide(approval, "lena", "reject")
    builders.drain()

    payout = get(f"/api/payouts/{made['id']}/").json()
    told = get(f"/api/approvals/{made['approval_id']}/").json()

    assert payout["state"] == "CANCELED"
    assert payout["blocked_reason"] == "the release was rejected"
    assert (told["state"], told["subject_id"], told["kind"]) == (
        "REJECTED",
        made["id"],
        "payout_release",
    )
    assert [(each["seat"], each["verdict"], each["person"]) for each in told["decisions"]] == [
        ("ops_lead", "reject", str(person("lena").pk))
    ]


def test_a_late_failure_shows_the_case_the_hold_and_the_chain() -> None:
    payout = paid_payout("12400.00", merchant_ref="P-10492")
    said = builders.payout_object(payout, "failed", failure_code="account_closed")
    assert builders.post_standard(builders.standard_event("settlementFailed", said)) == 200
    builders.drain()

    told = get(f"/api/payouts/{payout.public_id}/").json()
    chain = get(f"/api/trace/{payout.provider_ref}/").json()
    case_id = next(node["id"] for node in chain["nodes"] if node["id"].startswith("cs_"))
    case = get(f"/api/cases/{case_id}/").json()

    assert (told["state"], told["on_hold"], told["failure_code"]) == (
        "EXCEPTION",
        True,
        "account_closed",
    )
    assert (case["state"], case["rule"], case["subject_id"], case["amount"]) == (
        "OPEN",
        "payout_failure",
        payout.public_id,
        "12400.00",
    )
    assert payout.public_id in {node["id"] for node in chain["nodes"]}
    assert chain["focus"] and chain["lines"] and not chain["choices"]
    assert not any(_floats(each) for each in (told, chain, case))
    shown = json.dumps([told, chain, case])
    assert payout.beneficiary.name not in shown
    assert person("amara").name not in shown


def test_payouts_are_found_by_the_callers_own_reference() -> None:
    first = post(facts(merchant_ref="P-7")).json()
    second = post(facts(merchant_ref="P-7", amount="5.00")).json()
    post(facts(merchant_ref="P-8"))

    answer = get(PAYOUTS, merchant_ref="P-7")

    assert answer.status_code == 200
    assert [each["id"] for each in answer.json()["payouts"]] == [second["id"], first["id"]]
    assert answer.json()["more"] is False
    assert get(PAYOUTS, merchant_ref="P-9").json() == {"payouts": [], "more": False}


def test_a_long_list_says_that_there_is_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads, "PAYOUTS_MAX", 1)
    post(facts(merchant_ref="P-7"))
    newest = post(facts(merchant_ref="P-7", amount="5.00")).json()

    told = get(PAYOUTS, merchant_ref="P-7").json()

    assert ([each["id"] for each in told["payouts"]], told["more"]) == ([newest["id"]], True)


@pytest.mark.parametrize("query", [{}, {"merchant_ref": ""}, {"merchant_ref": "P" * 121}])
def test_a_search_needs_a_reference(query: dict[str, str]) -> None:
    answer = get(PAYOUTS, **query)

    assert (answer.status_code, problem(answer)) == (400, "malformed-query")


@pytest.mark.parametrize(
    "address",
    [
        f"/api/payouts/po_{SOME_ID}/",
        f"/api/payouts/cs_{SOME_ID}/",
        "/api/payouts/P-10492/",
        "/api/payouts/po_/",
        "/api/payouts/%00/",
        f"/api/cases/cs_{SOME_ID}/",
        f"/api/approvals/ap_{SOME_ID}/",
        f"/api/trace/po_{SOME_ID}/",
        "/api/trace/nothing of that name/",
        "/api/trace/%00/",
        "/api/trace/a/b/c/",
        f"/api/trace/{'x' * 700}/",
    ],
)
def test_what_does_not_exist_is_not_found(address: str) -> None:
    answer = get(address)

    assert (answer.status_code, problem(answer)) == (404, "not-found")


def test_a_text_that_names_several_objects_gives_the_choice() -> None:
    post(facts(merchant_ref="P-7"))
    post(facts(merchant_ref="P-7", amount="5.00"))

    told = get("/api/trace/P-7/").json()

    assert not told["nodes"]
    expected = {payout.public_id for payout in Payout.objects.all()}
    assert {choice["id"] for choice in told["choices"]} == expected


def test_polling_a_record_does_not_grow_its_own_trail() -> None:
    made = post(facts()).json()
    before = len(get(f"/api/trace/{made['id']}/").json()["lines"])

    for _ in range(3):
        get(f"/api/payouts/{made['id']}/")

    assert len(get(f"/api/trace/{made['id']}/").json()["lines"]) == before
    assert AuditEvent.objects.filter(action="api.read_payout").count() == 3


def test_reading_changes_nothing() -> None:
    made = post(facts()).json()
    for address in (f"/api/payouts/{made['id']}/", f"/api/approvals/{made['approval_id']}/"):
        assert get(address).content == get(address).content
    assert ApprovalRequest.objects.get().state == "PENDING"


def _floats(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_floats(each) for each in value.values())
    if isinstance(value, list):
        return any(_floats(each) for each in value)
    return isinstance(value, float)
