"""Policies and everything governed by approvals attacked; tampering noticed (D2, D5, F23)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import connections

from approvals import refusals
from approvals.hashing import hash_of
from approvals.models import PolicyVersion
from approvals.policies import PolicyError, policy_of, rules_for
from payops.core.models import Person, RoleGrant, User
from tests.approvals.asking import NOW, ask, fresh, meridian, vote
from tests.approvals.conftest import approval_topic  # noqa: F401
from tests.guards.approval_attacks import AT, DECISIONS, REQUESTS, refused, run
from tests.people import person

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    "change",
    [
        {"approval_id": ""},
        {"approval_id": "ap_" + "0" * 32},
        {"name": "approval.payout_release"},
        {"rules": {"tiers": []}},
        {"content_hash": "0" * 64},
        {"book": "system"},
    ],
)
def test_a_policy_is_written_only_as_it_was_approved(change: dict[str, Any]) -> None:
    """D2, D5, F23"""
    rules = rules_for("payout_exception", currency="EUR")
    rules["tiers"][0]["top_minor"] = 100_000
    asked = ask(
        None,
        kind="policy_change",
        subject_id="approval.payout_exception",
        facts={
            "policy": "approval.payout_exception",
            "rules": rules,
            "content_hash": hash_of(rules),
        },
    )
    values: dict[str, Any] = {
        "book": meridian(),
        "name": "approval.payout_exception",
        "version": 2,
        "rules": rules,
        "content_hash": hash_of(rules),
        "approval_id": asked.public_id,
        "active_from": AT,
    }
    with refused("only through its granted approval"):
        PolicyVersion.objects.create(**values)
    for username in ("marco", "sofia"):
        vote(asked, username)

    if "book" in change:
        change = {"book": PolicyVersion.objects.exclude(book=meridian())[0].book}
    with refused("only through its granted approval"):
        PolicyVersion.objects.create(**{**values, **change})
    PolicyVersion.objects.create(**values)
    with refused("only through its granted approval"):
        PolicyVersion.objects.create(**{**values, "version": 3})


def test_people_logins_roles_and_keys_need_their_granted_approval() -> None:
    """D5: four eyes cannot be walked around by a second person, a login or a role."""
    requests = {
        "person": ask(None, kind="person_create", facts={"name": "Amara Zwei"}),
        "role": ask(
            None,
            kind="role_grant",
            facts={"person_id": str(person("amara").pk), "role": "compliance"},
        ),
    }

    for request in (None, *requests.values()):
        approval_id = request.public_id if request else ""
        with refused("only through its granted approval"):
            Person.objects.create(name="Amara Zwei", approval_id=approval_id)
        with refused("only through its granted approval"):
            RoleGrant.objects.create(
                person=person("amara"),
                role="compliance",
                granted_at=NOW - timedelta(days=9),
                granted_by=person("amara"),
                approval_id=approval_id,
            )
        with refused("only through its granted approval"):
            User.objects.create(
                username="lena-2", person=person("lena"), link_approval_id=approval_id
            )
    with refused("only through its granted approval"):
        run("UPDATE core_user SET person_id = %s WHERE username = 'amara'", person("lena").pk)


@pytest.mark.django_db(transaction=True)
def test_triggers_hold_where_grants_do_not_and_tampering_is_noticed() -> None:
    """The schema's owner meets the append-only triggers; past them, the hashes tell."""
    request = ask("12400.00")
    vote(request, "marco")
    told = connections["owner"].settings_dict
    with psycopg.connect(
        dbname=told["NAME"],
        user=told["USER"],
        password=told["PASSWORD"],
        host=told["HOST"],
        port=told["PORT"],
        autocommit=True,
    ) as owner:
        for attack, words in (
            (f"UPDATE {DECISIONS} SET verdict = 'reject'", "append-only"),
            (f"DELETE FROM {DECISIONS}", "append-only"),
            ("UPDATE approvals_policyversion SET version = 9", "append-only"),
            (f"DELETE FROM {REQUESTS}", "never deleted"),
        ):
            with pytest.raises(psycopg.errors.RestrictViolation, match=words):
                owner.execute(attack.encode())
        owner.execute(f"ALTER TABLE {REQUESTS} DISABLE TRIGGER USER".encode())
        owner.execute(
            f"UPDATE {REQUESTS} SET facts = jsonb_set(facts, '{{bank_hash}}', '\"h9\"')".encode()
        )
        owner.execute(f"ALTER TABLE {REQUESTS} ENABLE TRIGGER USER".encode())

    with pytest.raises(refusals.ContentChanged, match="is not what is asked for"):
        vote(request, "chen")

    assert fresh(request).state == "PENDING"


def test_a_tampered_policy_is_not_applied() -> None:
    version = ask("12400.00").policy_version
    version.rules["tiers"][1]["seats"] = ["ops_lead"]

    with pytest.raises(PolicyError, match="is not the table that was approved"):
        policy_of(version)
