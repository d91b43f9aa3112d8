"""The table of lanes attacked: nobody changes it without a granted approval (D2, D5, WH-23)."""

from __future__ import annotations

from typing import Any

import pytest

from approvals.hashing import hash_of
from approvals.models import ApprovalRequest, PolicyVersion
from approvals.refusals import ApprovalRefused
from payops.core import clock
from payops.core.models import AuditEvent, Book
from payops.core.roles import Act, acts_of
from payops.flows import governance, lane_policy
from payops.webhooks import lanes
from tests.builders import decide, drain
from tests.console.work import browser
from tests.guards.approval_attacks import refused, run
from tests.people import actor, person

pytestmark = pytest.mark.django_db(transaction=True)
URL = "/settings/policies/lanes/"
NOT_GRANTED = "only through its granted approval"
BULK_FOR_ALL = {"kind": "lanes", "rows": [{"name": "All", "types": ["payout.*"], "lane": "bulk"}]}
EVERYBODY = (
    *("amara", "lena", "tomas", "priya", "marco", "ingrid", "chen", "fatima", "sofia", "henrik"),
    *("audrey", "eli", "noor", "ada", "root"),
)


def meridian() -> Book:
    return Book.objects.get(code="meridian")


def versions() -> list[int]:
    held = PolicyVersion.objects.filter(book=meridian(), name=lanes.NAME)
    return list(held.order_by("version").values_list("version", flat=True))


def ask(rules: dict[str, Any], *, by: str = "ingrid") -> ApprovalRequest:
    return governance.propose(
        kind="policy_change",
        facts={"policy": lanes.NAME, "rules": rules},
        title="New table of lanes",
        reason="payouts can wait",
        actor=actor(by),
        now=clock.utc_now(),
        book=meridian(),
    )


def copy_of(rules: dict[str, Any], **more: Any) -> dict[str, Any]:
    values = {
        "book": meridian(),
        "name": lanes.NAME,
        "version": 2,
        "rules": rules,
        "content_hash": hash_of(rules),
        "approval_id": "",
        "active_from": clock.utc_now(),
    }
    return {**values, **more}


@pytest.mark.parametrize("username", EVERYBODY)
def test_only_who_may_propose_policies_even_asks_and_nobody_changes_it_alone(username: str) -> None:
    """SE-4, D5: the page and the flow."""
    may = Act.PROPOSE_POLICY in acts_of(person(username).roles_at(clock.utc_now()))
    form = {"reason": "faster", "step": "ask", "r0_name": "All", "r0_types": "payout.*"}

    page = browser(username).get(URL)
    answer = browser(username).post(URL, {**form, "r0_lane": "bulk", "r1_lane": "high"})

    assert page.status_code == (200 if may else 403)
    assert answer.status_code in ((302, 422) if may else (403,))
    if not may:
        with pytest.raises(governance.ChangeRefused, match="may not propose_policy"):
            ask(BULK_FOR_ALL, by=username)
        assert ApprovalRequest.objects.count() == 0
    drain()
    assert versions() == [1]


def test_the_row_itself_is_written_only_as_it_was_approved() -> None:
    """D2, D5, F23"""
    asked = ask(BULK_FOR_ALL)
    attacks: list[dict[str, Any]] = [
        {},
        {"approval_id": "ap_" + "0" * 32},
        {"approval_id": asked.public_id},
    ]
    for attack in attacks:
        with refused(NOT_GRANTED):
            PolicyVersion.objects.create(**copy_of(BULK_FOR_ALL, **attack))
    with refused("permission denied"):
        run("UPDATE approvals_policyversion SET rules = '{}' WHERE name = 'lanes'")
    with refused("permission denied"):
        run("DELETE FROM approvals_policyversion WHERE name = 'lanes'")
    for username in ("marco", "sofia"):
        decide(asked, username)
    other = {"kind": "lanes", "rows": [{"name": "x", "types": ["a"], "lane": "bulk"}]}
    for change in (
        {"name": "approval.payout_release"},
        {"rules": other, "content_hash": hash_of(other)},
        {"content_hash": "0" * 64},
        {"book": Book.objects.get(is_system=True)},
    ):
        with refused(NOT_GRANTED):
            PolicyVersion.objects.create(
                **{**copy_of(BULK_FOR_ALL, approval_id=asked.public_id), **change}
            )

    assert versions() == [1]


def test_an_approval_for_a_table_of_seats_moves_no_lane_and_the_other_way_round() -> None:
    with pytest.raises(governance.ChangeRefused, match="the policy table is incomplete"):
        governance.propose(
            kind="policy_change",
            facts={"policy": "approval.payout_release", "rules": BULK_FOR_ALL},
            title="x",
            reason="x",
            actor=actor("ingrid"),
            now=clock.utc_now(),
            book=meridian(),
        )
    seats = PolicyVersion.objects.filter(name="approval.payout_release").first()
    assert seats is not None
    with pytest.raises(governance.ChangeRefused, match="a table of lanes has a kind and rows"):
        ask(seats.rules)
    with pytest.raises(ApprovalRefused, match="There is no policy table 'nothing'"):
        governance.propose(
            kind="policy_change",
            facts={"policy": "nothing", "rules": BULK_FOR_ALL},
            title="x",
            reason="x",
            actor=actor("ingrid"),
            now=clock.utc_now(),
            book=meridian(),
        )

    assert ApprovalRequest.objects.count() == 0


def test_the_requester_never_decides_and_two_others_put_it_in_force_once() -> None:
    """I9, D5, WH-23"""
    asked = ask(BULK_FOR_ALL, by="marco")

    with pytest.raises(ApprovalRefused):
        decide(asked, "marco")
    decide(asked, "sofia")
    drain()
    assert versions() == [1]
    for username in ("chen", "amara", "marco"):
        with pytest.raises(ApprovalRefused):
            decide(asked, username)
    decide(asked, "sofia")
    drain()
    assert versions() == [1]
    decide(asked, "ingrid")
    drain()
    drain()

    assert versions() == [1, 2]
    assert [row.lane for row in lane_policy.rules_of(meridian(), clock.utc_now()).rows] == ["bulk"]
    told = AuditEvent.objects.get(action="policy.activated")
    assert (told.subject_id, told.evidence["policy"], told.evidence["version"]) == (
        asked.public_id,
        "lanes",
        2,
    )


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"types": ["a"], "lane": "express"}, "has the lane 'express'"),
        (
            {"accounts": ["stripe/nobody"], "lane": "high"},
            r"names the accounts \['stripe/nobody'\]",
        ),
        ({"currencies": ["euro"], "lane": "high"}, "'euro' is not an ISO 4217 currency"),
        ({"from_minor": -5, "lane": "high"}, "not a positive whole number"),
        ({"from_minor": 10**40, "lane": "high"}, "more than the limit"),
    ],
)
def test_a_table_that_cannot_be_applied_is_put_to_nobody(row: dict[str, Any], words: str) -> None:
    with pytest.raises(governance.ChangeRefused, match=words):
        ask({"kind": "lanes", "rows": [{"name": "x", **row}]})
    active = PolicyVersion.objects.get(book=meridian(), name=lanes.NAME)
    with pytest.raises(governance.ChangeRefused, match="nothing differs from lanes v1"):
        ask(active.rules)

    assert ApprovalRequest.objects.count() == 0
