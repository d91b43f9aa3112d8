"""Four eyes cannot be walked around: roles, persons, logins, keys, policies, bank details.

Through the flows, through the ORM and by SQL as the app role; nobody decides about their own
access (D5, F27).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models import Model

from approvals.models import ApprovalRequest, PolicyVersion
from approvals.refusals import ApprovalRefused
from payops.core import clock
from payops.core.models import ApiKey, AuditEvent, Person, RoleGrant, User
from payops.flows import beneficiary, governance
from payops.payments.models import Beneficiary
from tests import builders
from tests.builders import approval_of, decide, drain, seller
from tests.flows.lifecycle import change_bank_details
from tests.guards.approval_attacks import refused, run
from tests.people import actor, login, person

pytestmark = pytest.mark.django_db(transaction=True)

NOT_GRANTED = "only through its granted approval"
BANK = "bank details change only through their granted approval"


def ask(kind: str, facts: dict[str, Any], *, by: str = "ada") -> ApprovalRequest:
    return governance.propose(
        kind=kind,
        facts=facts,
        title="a change of access",
        reason="asked for by the team",
        actor=actor(by),
        now=clock.utc_now(),
    )


def asked_for_role(username: str, role: str, *, by: str = "ada") -> ApprovalRequest:
    return ask("role_grant", {"person_id": str(person(username).pk), "role": role}, by=by)


def test_a_role_comes_only_from_a_granted_request_and_only_after_it() -> None:
    approval = asked_for_role("priya", "treasury")
    assert "treasury" not in person("priya").roles_at(clock.utc_now())

    decide(approval, "chen")
    drain()

    grant = RoleGrant.objects.get(person=person("priya"), role="treasury")
    assert (grant.approval_id, grant.granted_by) == (approval.public_id, person("ada"))
    assert AuditEvent.objects.filter(action="role.granted").count() == 1
    with refused(NOT_GRANTED):
        RoleGrant.objects.create(
            person=person("amara"),
            role="treasury",
            granted_at=clock.utc_now() - timedelta(days=9),
            granted_by=person("ada"),
            approval_id=approval.public_id,
        )
    with refused(NOT_GRANTED):
        run("UPDATE core_rolegrant SET granted_at = granted_at - interval '9 days'")


def test_nobody_grants_a_role_to_oneself() -> None:
    """By flow, by ORM and by SQL; a fresh role does not count for a day either."""
    own = asked_for_role("ada", "treasury")
    for username in ("ada", "amara"):
        with pytest.raises(ApprovalRefused):
            decide(own, username)
    compliance = asked_for_role("chen", "treasury")
    with pytest.raises(ApprovalRefused, match="barred"):
        decide(compliance, "chen")
    for approval_id in (own.public_id, compliance.public_id, ""):
        with refused(NOT_GRANTED):
            RoleGrant.objects.create(
                person=person("ada"),
                role="treasury",
                granted_at=clock.utc_now() - timedelta(days=9),
                granted_by=person("ada"),
                approval_id=approval_id,
            )
        with refused(NOT_GRANTED):
            run(
                "INSERT INTO core_rolegrant (id, created_at, person_id, role, granted_at,"
                " granted_by_id, approval_id) VALUES (gen_random_uuid(), now(), %s, 'treasury',"
                " now() - interval '9 days', %s, %s)",
                person("lena").pk,
                person("ada").pk,
                approval_id,
            )
    for column, value in (("role", "treasury"), ("person_id", person("ada").pk)):
        with refused(NOT_GRANTED):
            run(f"UPDATE core_rolegrant SET {column} = %s WHERE role = 'ops_lead'", value)


def test_a_role_granted_today_decides_nothing_today() -> None:
    decide(asked_for_role("priya", "ops_lead"), "chen")
    drain()
    payout = builders.requested("1200.00")

    with pytest.raises(ApprovalRefused, match="of the 24 hours"):
        decide(approval_of(payout.approval_id), "priya")


@pytest.mark.parametrize("by", ["lena", "amara", "chen", "root", "audrey"])
@pytest.mark.parametrize("kind", ["role_grant", "person_create", "login_link", "api_key"])
def test_only_an_access_administrator_even_asks(kind: str, by: str) -> None:
    """SE-4: a superuser asks for nothing by being one."""
    before = ApprovalRequest.objects.count()

    with pytest.raises(governance.ChangeRefused, match="may not manage_access"):
        ask(kind, {}, by=by)

    assert ApprovalRequest.objects.count() == before


def test_a_second_person_needs_a_granted_request_and_the_same_name_is_refused() -> None:
    with pytest.raises(governance.ChangeRefused, match="link a further login"):
        ask("person_create", {"name": person("amara").name})
    with pytest.raises(governance.ChangeRefused, match="is the address of Amara"):
        ask("person_create", {"name": "Eve", "email": person("amara").email.upper()})
    approval = ask("person_create", {"name": "Amara Zwei"})
    for approval_id in ("", approval.public_id):
        with refused(NOT_GRANTED):
            Person.objects.create(name="Amara Zwei", approval_id=approval_id)

    decide(approval, "chen")
    drain()

    assert Person.objects.get(name="Amara Zwei").approval_id == approval.public_id
    with refused(NOT_GRANTED):
        Person.objects.create(name="Amara Zwei", approval_id=approval.public_id)


def test_a_login_is_linked_or_moved_only_through_a_granted_request() -> None:
    facts = {"person_id": str(person("lena").pk), "username": "lena-3"}
    approval = ask("login_link", facts)
    with refused(NOT_GRANTED):
        User.objects.create(
            username="lena-3", person=person("lena"), link_approval_id=approval.public_id
        )
    for statement in (
        "UPDATE core_user SET person_id = %s WHERE username = 'amara'",
        "UPDATE core_user SET username = 'lena-4', person_id = %s WHERE username = 'root'",
    ):
        with refused(NOT_GRANTED):
            run(statement, person("lena").pk)

    decide(approval, "chen")
    drain()

    assert login("lena-3").person == person("lena")
    with pytest.raises(ApprovalRefused):
        decide(approval_of(builders.requested("9.00", by="lena").approval_id), "lena-3")


def test_an_api_key_and_its_permissions_come_only_from_a_granted_request() -> None:
    facts = {"system": "billing", "acts": ["request_payout"], "key_hash": "b" * 64}
    with pytest.raises(governance.ChangeRefused, match="acts among"):
        ask("api_key", {**facts, "acts": ["decide"]})
    approval = ask("api_key", facts)
    with refused(NOT_GRANTED):
        ApiKey.objects.create(
            book=approval.book, system="billing", key_hash="b" * 64, approval_id=approval.public_id
        )
    for change in ("acts = '[\"decide\"]'", "key_hash = repeat('c', 64)", "system = 'x'"):
        with refused(NOT_GRANTED):
            run(f"UPDATE core_apikey SET {change}")

    for username in ("chen", "marco"):
        decide(approval, username)
    drain()

    assert ApiKey.objects.get(system="billing").acts == ["request_payout"]


def test_a_policy_version_is_neither_written_nor_changed_past_its_request() -> None:
    standing = PolicyVersion.objects.filter(book__is_system=False).first()
    assert standing is not None
    versions = PolicyVersion.objects.count()

    with pytest.raises(governance.ChangeRefused, match="may not propose_policy"):
        ask("policy_change", {"policy": standing.name, "rules": standing.rules}, by="ada")
    with refused(NOT_GRANTED):
        run(_a_copy_of(PolicyVersion, version="version + 1"))
    with refused("permission denied"):
        run("UPDATE approvals_policyversion SET rules = '{}'")

    assert PolicyVersion.objects.count() == versions


def test_bank_details_change_only_through_their_own_granted_request_once() -> None:
    """F27"""
    other = builders.seller("S-1002")
    first = change_bank_details(seller())
    asked = beneficiary.request_bank_change(
        beneficiary_id=other.pk,
        holder=other.name,
        account="NL02ABNA0123456789",
        reason="moved",
        actor=actor("amara"),
        now=clock.utc_now(),
    )
    for approval_id in ("", first.public_id, asked.public_id):
        other = Beneficiary.objects.get(pk=other.pk)
        other.bank_hash, other.bank_change_approval_id = asked.facts["bank_hash"], approval_id
        with refused(BANK):
            other.save()
    for change in (
        "bank_hash = repeat('0', 64)",
        "bank_ciphertext = ''",
        "destination_token = 'dest_mine'",
        "payable_from = now() - interval '1 day'",
    ):
        with refused(BANK):
            run(f"UPDATE payments_beneficiary SET {change}")
    with refused("created only through its granted approval"):
        run(_a_copy_of(Beneficiary, reference="'S-9999'"))
    assert builders.seller("S-1002").bank_change_approval_id == ""


def test_whoever_asked_for_a_change_of_bank_details_does_not_approve_it() -> None:
    change = beneficiary.request_bank_change(
        beneficiary_id=seller().pk,
        holder="Marco",
        account="DE89370400440532013000",
        reason="moved",
        actor=actor("marco"),
        now=clock.utc_now(),
    )

    with pytest.raises(ApprovalRefused, match="You asked for this"):
        decide(change, "marco")

    assert decide(change, "ingrid").kind == "recorded"
    assert seller().bank_changed_by is None


def _a_copy_of(model: type[Model], **changed: str) -> str:
    names = [field.column for field in model._meta.concrete_fields]
    changed["id"] = "gen_random_uuid()"
    values, table = ", ".join(changed.get(name, name) for name in names), model._meta.db_table
    return f"INSERT INTO {table} ({', '.join(names)}) SELECT {values} FROM {table} LIMIT 1"
