"""Every constraint and trigger of the approvals, attacked as the app role (D5, D6, I9, I18).

Raw SQL first, then the ORM; each attack is refused by name and leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import Error, connection, connections, transaction

from approvals import refusals, services
from approvals.hashing import hash_of
from approvals.models import ApprovalDecision, ApprovalRequest, PolicyVersion
from approvals.policies import PolicyError, policy_of, rules_for
from payops.core import ids, state
from payops.core.models import Person, RoleGrant, User
from payops.core.state import DirectWrite
from tests.approvals.asking import NOW, ask, fresh, grant, meridian, vote
from tests.approvals.conftest import approval_topic  # noqa: F401
from tests.people import actor, login, person

pytestmark = pytest.mark.django_db
AT = NOW + timedelta(hours=1)
REQUESTS, DECISIONS = "approvals_approvalrequest", "approvals_approvaldecision"


@contextmanager
def refused(words: str) -> Iterator[None]:
    """The database refuses with these words; the transaction goes on as before."""
    with pytest.raises(Error, match=words), transaction.atomic():
        yield


def run(statement: str, *values: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def decision(request: ApprovalRequest, username: str, **change: Any) -> ApprovalDecision:
    """A decision row written past the service."""
    values: dict[str, Any] = {
        "book": request.book,
        "request": request,
        "requester_id": request.requested_by_id,
        "person": person(username),
        "user": login(username),
        "login": username,
        "seat": request.seats[0],
        "verdict": "approve",
        "reason": "by hand",
        "content_hash": request.content_hash,
        "policy_version": 1,
        "stepped_up_at": AT,
        "created_at": AT,
        **change,
    }
    return ApprovalDecision.objects.create(**values)


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


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("kind", "payout_release"),
        ("subject_id", "po_other"),
        ("content_hash", "0" * 64),
        ("facts", "{}"),
        ("barred", '["x"]'),
        ("amount_minor", 1),
        ("amount_minor", None),
        ("currency", "USD"),
        ("risk", "raised"),
        ("reporting_minor", 1),
        ("cumulative_key", "be_other"),
        ("business_day", "2020-01-01"),
        ("expires_at", "2099-01-01"),
        ("consequences", '["none"]'),
    ],
)
def test_the_content_of_a_request_never_changes(column: str, value: Any) -> None:
    """D6"""
    request = ask("12400.00")

    with refused("content of an approval request never changes"):
        run(f"UPDATE {REQUESTS} SET {column} = %s WHERE id = %s", value, request.pk)

    assert fresh(request).history.count() == 1


@pytest.mark.parametrize("column", ["requested_by_id", "policy_version_id", "book_id"])
def test_requester_policy_and_book_of_a_request_never_change(column: str) -> None:
    request = ask("12400.00")
    other = {
        "requested_by_id": person("lena").pk,
        "policy_version_id": PolicyVersion.objects.exclude(pk=request.policy_version_id)[0].pk,
        "book_id": PolicyVersion.objects.exclude(book=meridian())[0].book_id,
    }[column]

    with refused("content of an approval request never changes"):
        run(f"UPDATE {REQUESTS} SET {column} = %s WHERE id = %s", other, request.pk)


def set_state(request: ApprovalRequest, becomes: str) -> None:
    run(f"UPDATE {REQUESTS} SET state = %s WHERE id = %s", becomes, request.pk)


def test_a_request_is_not_approved_without_all_its_seats() -> None:
    """I9: quorum."""
    request = ask("12400.00")
    with refused("the seat finance_manager has not approved"):
        set_state(request, "APPROVED")
    vote(request, "marco")
    with refused("the seat compliance has not approved"):
        set_state(request, "APPROVED")

    with refused("the seats are not those of the policy"):
        run(f"UPDATE {REQUESTS} SET seats = '[\"finance_manager\"]', state = 'APPROVED'")
    with refused("a request without seats"):
        run(f"UPDATE {REQUESTS} SET seats = '[]', state = 'APPROVED'")
    with refused("the seats are not those of the policy"):
        run(f"UPDATE {REQUESTS} SET tier = 'lower', seats = '[\"ops_lead\"]', state = 'APPROVED'")
    with refused("the seats are not those of the policy"):
        run(f"UPDATE {REQUESTS} SET tier = 'no such', state = 'APPROVED'")

    assert fresh(request).state == "PENDING"


@pytest.mark.parametrize(
    ("end", "becomes"),
    [
        ("REJECTED", "APPROVED"),
        ("REJECTED", "PENDING"),
        ("REJECTED", "VOID"),
        ("APPROVED", "PENDING"),
        ("APPROVED", "REJECTED"),
        ("VOID", "APPROVED"),
        ("VOID", "PENDING"),
        ("WITHDRAWN", "PENDING"),
        ("EXPIRED", "PENDING"),
        ("EXPIRED", "APPROVED"),
        ("PENDING", "SOMETHING"),
    ],
)
def test_no_transition_outside_the_table(end: str, becomes: str) -> None:
    """I18"""
    request = ended_in(end)

    with refused(f"may not go from {end} to {becomes}"):
        set_state(request, becomes)

    assert fresh(request).state == end


def ended_in(end: str) -> ApprovalRequest:
    request = ask("10.00")
    by = {"reason": "test", "actor": actor("amara"), "now": AT}
    if end in ("APPROVED", "REJECTED"):
        vote(request, "lena", "approve" if end == "APPROVED" else "reject")
    elif end == "VOID":
        services.undo(request_id=request.public_id, **by)  # type: ignore[arg-type]
    elif end == "WITHDRAWN":
        services.withdraw(request_id=request.public_id, **by)  # type: ignore[arg-type]
    elif end == "EXPIRED":
        services.expire_due(NOW + timedelta(hours=72))
    return request


@pytest.mark.parametrize("born", ["APPROVED", "VOID", "EXPIRED"])
def test_a_request_is_born_pending(born: str) -> None:
    ask("10.00")
    columns = [str(f.column) for f in ApprovalRequest._meta.concrete_fields]
    copied = ", ".join(c for c in columns if c not in ("id", "state", "subject_id"))

    with refused(f"may not go from nothing to {born}"):
        run(
            f"INSERT INTO {REQUESTS} (id, state, subject_id, {copied})"
            f" SELECT %s, %s, 'po_other', {copied} FROM {REQUESTS}",
            ids.uuid7(),
            born,
        )


def test_one_pending_request_per_subject() -> None:
    request = ask("10.00")
    columns = [str(f.column) for f in ApprovalRequest._meta.concrete_fields]
    copied = ", ".join(c for c in columns if c != "id")

    with refused("approval_pending_once"):
        run(
            f"INSERT INTO {REQUESTS} (id, {copied}) SELECT %s, {copied} FROM {REQUESTS}",
            ids.uuid7(),
        )

    assert ApprovalRequest.objects.get().pk == request.pk


def test_what_is_executed_is_neither_voided_nor_executed_again() -> None:
    """F9, D6"""
    request = ask("10.00")
    with refused("only a granted approval is executed"):
        run(f"UPDATE {REQUESTS} SET executed_at = now()")
    vote(request, "lena")
    with transaction.atomic():
        services.begin_execution(
            request_id=request.pk, content_hash=request.content_hash, now=AT, actor=actor("lena")
        )

    with refused("neither undone nor executed again"):
        set_state(request, "VOID")
    with refused("neither undone nor executed again"):
        run(f"UPDATE {REQUESTS} SET executed_at = now() + interval '1 day'")
    with refused("neither undone nor executed again"):
        run(f"UPDATE {REQUESTS} SET executed_at = NULL")
    with refused("seats of a decided request never change"):
        run(f"UPDATE {REQUESTS} SET seats = '[\"treasury\"]'")


def test_requests_are_never_deleted() -> None:
    ask("10.00")

    with refused("permission denied"):
        run(f"DELETE FROM {REQUESTS}")
    with refused("permission denied"):
        run(f"TRUNCATE {REQUESTS} CASCADE")

    assert ApprovalRequest.objects.count() == 1


def test_requests_are_written_by_the_services_alone() -> None:
    """I10: the ORM's own ways of writing are closed."""
    request = ask("12400.00")

    attacks: tuple[Callable[[], Any], ...] = (
        request.save,
        request.delete,
        lambda: ApprovalRequest.objects.update(state="APPROVED"),
        lambda: ApprovalRequest.objects.filter(pk=request.pk).delete(),
        lambda: ApprovalRequest.objects.bulk_update([request], ["seats"]),
    )
    for attack in attacks:
        with pytest.raises(DirectWrite):
            attack()
    with pytest.raises(AttributeError):
        request.state = "APPROVED"

    assert fresh(request).state == "PENDING"


def test_a_transition_called_by_hand_meets_the_quorum_of_the_database() -> None:
    request = ask("12400.00")
    request.approve(at=AT)

    with refused("the seat finance_manager has not approved"):
        state.save(request, actor=actor("lena"), now=AT, action="approval.approved")

    assert fresh(request).state == "PENDING"
    assert fresh(request).history.count() == 1


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
