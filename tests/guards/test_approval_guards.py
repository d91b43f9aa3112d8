"""Decisions attacked as the app role: every constraint, trigger and grant (D5, AP-4, I9).

Raw rows past the service first, then the ORM; each attack is refused by name and leaves nothing.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from approvals.models import ApprovalDecision, PolicyVersion
from payops.core.models import RoleGrant
from tests.approvals.asking import NOW, ask, grant, meridian, vote
from tests.approvals.conftest import approval_topic  # noqa: F401
from tests.guards.approval_attacks import AT, DECISIONS, decision, refused, run
from tests.people import login, person

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"reason": ""}, "decision_has_reason"),
        ({"content_hash": "0" * 64}, "on another content"),
        ({"user": "tomas"}, "login does not belong"),
        ({"login": "tomas"}, "login does not belong"),
        ({"seat": "treasury"}, "has no seat treasury"),
        ({"seat": ""}, "has no seat"),
        ({"verdict": "maybe"}, "no seat ops_lead to maybe"),
        ({"person": "root", "user": "root", "login": "root"}, "no role that counts"),
        ({"person": "audrey", "user": "audrey", "login": "audrey"}, "no role that counts"),
        ({"person": "sofia", "user": "sofia", "login": "sofia"}, "no role that counts"),
    ],
)
def test_a_decision_that_breaks_a_rule_cannot_be_inserted(
    change: dict[str, Any], words: str
) -> None:
    """I9"""
    request = ask("10.00")
    if "person" in change:
        change = {**change, "person": person(change["person"])}
    if "user" in change:
        change = {**change, "user": login(change["user"])}

    with refused(words):
        decision(request, "lena", **change)

    assert not ApprovalDecision.objects.exists()
    assert decision(request, "lena").seat == "ops_lead"


@pytest.mark.parametrize("username", ["amara", "amara-2"])
def test_the_requester_has_no_row_even_with_the_role(username: str) -> None:
    """D5: person-bound, so the second login is barred by the same constraint."""
    request = ask("10.00")
    grant("amara", "ops_lead", asked_by="ada", at=NOW - timedelta(days=30))

    with refused("decision_not_by_requester"):
        decision(request, username)


def test_the_requester_of_a_decision_cannot_be_somebody_else() -> None:
    """I9: naming another requester does not let the requester decide."""
    request = ask("10.00", by="lena")

    with refused("decision_names_requester"):
        decision(request, "lena", requester_id=person("amara").pk)
        run("SET CONSTRAINTS ALL IMMEDIATE")

    with refused("decision_not_by_requester"):
        decision(request, "lena")


def test_one_decision_per_person_and_one_approval_per_seat() -> None:
    """AP-4"""
    request = ask("12400.00")
    grant("chen", "finance_manager", asked_by="ada", at=NOW - timedelta(days=2))
    decision(request, "chen", seat="compliance")

    with refused("decision_one_per_person"):
        decision(request, "chen", seat="finance_manager")
    with refused("decision_one_per_seat"):
        decision(request, "fatima", seat="compliance")

    assert ApprovalDecision.objects.filter(request=request).count() == 1


def test_a_barred_person_has_no_row() -> None:
    request = ask("10.00", barred=[person("lena")])

    with refused("this person is barred"):
        decision(request, "lena")


@pytest.mark.parametrize("verdict", ["approve", "reject"])
def test_a_closed_request_takes_no_row(verdict: str) -> None:
    request = ask("10.00")
    vote(request, "lena", verdict)

    with refused("no decision can be added"):
        decision(request, "tomas")


@pytest.mark.parametrize(
    ("asked_by", "age"),
    [
        ("priya", timedelta(days=30)),  # granted by oneself
        ("amara", timedelta(days=30)),  # granted by the requester
        ("ada", timedelta(hours=23, minutes=59)),  # too young
    ],
)
def test_a_role_that_does_not_count_gives_no_row(asked_by: str, age: timedelta) -> None:
    """D5: four eyes cannot be walked around by granting oneself a role."""
    request = ask("10.00")
    grant("priya", "ops_lead", asked_by=asked_by, at=AT - age)

    with refused("no role that counts"):
        decision(request, "priya")


def test_an_exclusion_and_a_revoked_role_give_no_row() -> None:
    request = ask("10.00")
    grant("lena", "access_admin", asked_by="ada", at=NOW)
    held = RoleGrant.objects.get(person=person("tomas"))
    held.revoked_at = AT
    held.save()

    for username in ("lena", "tomas"):
        with refused("no role that counts"):
            decision(request, username)


@pytest.mark.parametrize(
    "table", [DECISIONS, "approvals_policyversion", "approvals_historicalapprovalrequest"]
)
@pytest.mark.parametrize("act", ["UPDATE {} SET id = id", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
def test_decisions_policies_and_history_are_append_only(table: str, act: str) -> None:
    """The app role has no right to; the trigger holds where somebody has it."""
    vote(ask("10.00"), "lena")

    with refused("permission denied"):
        run(act.format(table))

    assert ApprovalDecision.objects.count() == 1


def test_decisions_and_policies_cannot_be_changed_through_the_orm() -> None:
    request = ask("10.00")
    vote(request, "lena")
    made = request.decisions.get()
    made.reason = "another"
    version = PolicyVersion.objects.filter(book=meridian()).first()
    assert version is not None

    for attack in (
        made.save,
        made.delete,
        version.save,
        lambda: ApprovalDecision.objects.update(verdict="reject"),
        lambda: PolicyVersion.objects.filter(name="approval.api_key").delete(),
        lambda: request.history.all().delete(),
    ):
        with refused("permission denied"):
            attack()

    assert request.decisions.get().reason == "lena looked at the bank's message"
