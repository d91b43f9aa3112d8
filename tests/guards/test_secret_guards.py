"""A webhook secret counts through others' decision alone (D5, SE-1, WH-30).

Whoever knows a live secret can sign any event. Attacked through the flow, the ORM and SQL as the
app role, and with an event signed before the decision; a second login is the same person.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import Error

from approvals import services as approvals
from approvals.models import ApprovalRequest
from approvals.refusals import ApprovalRefused, PendingDiffers
from payops.commands.bootstrap import as_owner
from payops.core import clock, ids
from payops.core.models import AuditEvent, Message, RoleGrant, User
from payops.flows import accounts, governance
from payops.webhooks.directory import directory
from payops.webhooks.models import Secret
from payops.webhooks.rotation import RotationRefused
from payops.webhooks.secrets import SecretRefused
from tests.accounts import account_of
from tests.builders import decide, drain, post_standard, standard_event
from tests.guards.approval_attacks import refused, run
from tests.people import actor, login, person

pytestmark = pytest.mark.django_db(transaction=True)
NEW = "whsec_" + "bmV3LXNlY3JldC1vZi10aGUtc3RhbmRhcmQtZGVtbw=="
OTHER = "whsec_" + "b3RoZXItc2VjcmV0LW9mLXRoZS1zdGFuZGFyZA=="
ADDED = "a webhook secret is added only inactive, with its pending request"
ACCEPTED = "a webhook secret is accepted only through its granted approval"
KEPT = "a webhook secret keeps its account, value and request"


def ask(value: str = NEW, by: str = "eli", provider: str = "standard") -> ApprovalRequest:
    return accounts.propose_secret(
        account=account_of(provider),
        value=value,
        reason="yearly",
        actor=actor(by),
        now=clock.utc_now(),
    )


def grant(approval: ApprovalRequest) -> None:
    decide(approval, "lena")
    decide(approval, "marco")


def secret_of(approval: ApprovalRequest) -> Secret:
    return Secret.objects.get(pk=approval.facts["secret"])


def signed(value: str = NEW) -> int:
    directory.forget()
    return post_standard(standard_event("unheard.of", {"id": "x"}), secret=value)


def copy_of(secret: Secret, **change: Any) -> Secret:
    """A row written past the flow, with everything a believable one has."""
    values: dict[str, Any] = {
        "book": secret.book,
        "account": secret.account,
        "data_key": secret.data_key,
        "ciphertext": bytes(secret.ciphertext),
        "hint": secret.hint,
        **change,
    }
    return Secret.objects.create(**values)


def test_an_event_signed_with_a_pending_secret_is_not_believed_until_both_seats_granted() -> None:
    approval = ask()
    secret = secret_of(approval)
    assert (secret.active_from, secret.approval_id) == (None, approval.public_id)
    assert approval.seats == ["ops_lead", "finance_manager"]
    assert set(approval.facts) == {"provider_account", "hint", "value_hash", "secret"}
    assert NEW not in str(approval.facts)
    assert NEW.encode() not in bytes(secret.ciphertext)
    assert signed() == 401

    decide(approval, "lena")
    drain()
    assert signed() == 401
    decide(approval, "marco")
    assert signed() == 401  # granted, and not in force yet
    drain()

    assert signed() == 200
    secret.refresh_from_db()
    approval.refresh_from_db()
    assert secret.active_from is not None
    assert approval.executed_at is not None
    trail = AuditEvent.objects.get(action="webhook_secret.approved")
    assert (trail.evidence["approval_id"], trail.reason) == (approval.public_id, "yearly")
    assert [NEW in str(row.evidence) for row in AuditEvent.objects.all()].count(True) == 0


@pytest.mark.parametrize("how", ["reject", "withdraw", "void", "expire"])
def test_a_request_that_ended_otherwise_takes_its_secret_with_it(how: str) -> None:
    approval, now = ask(), clock.utc_now()
    said: dict[str, Any] = {"request_id": approval.pk, "reason": "no", "actor": actor("eli")}
    if how == "reject":
        decide(approval, "lena", "reject")
    elif how == "withdraw":
        approvals.withdraw(**said, now=now)
    elif how == "void":
        approvals.undo(**said, now=now)
    else:
        assert approvals.expire_due(now + timedelta(days=30)) == 1
        Message.objects.filter(topic="approval.decided").update(due_at=now)
    drain()

    secret = secret_of(approval)
    assert (secret.active_from, secret.retired_at is None) == (None, False)
    assert signed() == 401
    assert AuditEvent.objects.filter(action="webhook_secret.approved").count() == 0
    again = ask()
    grant(again)
    drain()
    assert signed() == 200


def test_the_requester_never_decides_with_whatever_login() -> None:
    """AP-4: eli is made an operations lead and finance manager with a second login."""
    with as_owner():
        for role in ("ops_lead", "finance_manager"):
            RoleGrant.objects.create(
                person=person("eli"), role=role, granted_at=clock.utc_now() - timedelta(days=60)
            )
        User.objects.create(username="eli-2", password=login("eli").password, person=person("eli"))
    approval = ask()

    for username in ("eli", "eli-2", "noor", "audrey", "root"):
        with pytest.raises(ApprovalRefused):
            decide(approval, username)
    drain()

    assert (signed(), secret_of(approval).active_from) == (401, None)


@pytest.mark.parametrize("by", ["lena", "amara", "marco", "audrey", "ada", "root"])
def test_only_an_engineer_even_asks(by: str) -> None:
    before = Secret.objects.count()
    with pytest.raises(governance.ChangeRefused, match="may not manage_account"):
        ask(by=by)
    assert (ApprovalRequest.objects.count(), Secret.objects.count()) == (0, before)


def test_the_running_product_adds_no_secret_by_itself() -> None:
    """By the service behind the command, and by ORM with no, a pending, a spent request."""
    with pytest.raises(Error, match=ADDED):
        accounts.rotate_secret(
            account=account_of("standard"),
            value=NEW,
            reason="r",
            actor=actor("eli"),
            now=clock.utc_now(),
        )
    approval = ask()
    secret, now = secret_of(approval), clock.utc_now()
    change: dict[str, Any]
    for change in (
        {"active_from": now},
        {"approval_id": "ap_" + "0" * 32},
        {"approval_id": approval.public_id},
        {"approval_id": approval.public_id, "active_from": now},
    ):
        with refused(ADDED):
            copy_of(secret, **change)
    grant(approval)
    drain()
    for change in ({}, {"active_from": now}, {"pk": ids.uuid7()}):
        with refused(ADDED):
            copy_of(secret, approval_id=approval.public_id, **change)

    assert Secret.objects.filter(account=account_of("standard")).count() == 2


def test_a_pending_secret_becomes_neither_active_nor_another_by_hand() -> None:
    approval, other = ask(), ask(provider="stripe", value="whsec_the_new_secret_of_stripe_demo")
    rows, now = Secret.objects.filter(pk=approval.facts["secret"]), clock.utc_now()
    foreign = Secret.objects.get(pk=other.facts["secret"])

    with refused(ACCEPTED):
        rows.update(active_from=now)
    with refused(ACCEPTED):
        run("UPDATE webhooks_secret SET active_from = now() WHERE id = %s", rows[0].pk)
    grant(other)
    drain()
    for change in (
        {"approval_id": other.public_id},
        {"approval_id": other.public_id, "active_from": now},
        {"ciphertext": bytes(foreign.ciphertext)},
        {"account_id": foreign.account_id},
        {"hint": "abcd"},
        {"data_key_id": foreign.data_key_id},
    ):
        with refused(KEPT):
            rows.update(**change)
    grant(approval)  # granted, not executed
    with refused(ACCEPTED):
        rows.update(active_from=now)
    with refused("never deleted"):
        rows.delete()

    assert signed() == 401


def test_a_live_secret_keeps_its_value_and_a_retired_one_stays_retired() -> None:
    live = Secret.objects.filter(account=account_of("standard"))
    secret, now = live.get(), clock.utc_now()
    approval = ask()
    with refused(KEPT):
        live.filter(pk=secret.pk).update(ciphertext=bytes(secret_of(approval).ciphertext))
    with refused(ACCEPTED):
        live.filter(pk=secret.pk).update(active_from=now - timedelta(days=90))

    live.filter(pk=secret.pk).update(retired_at=now)  # only removes trust
    for later in (None, now + timedelta(days=1)):
        with refused("never accepted longer than was said"):
            live.filter(pk=secret.pk).update(retired_at=later)


def test_one_question_at_a_time_and_the_same_value_once() -> None:
    approval = ask()
    with pytest.raises(PendingDiffers, match=approval.public_id):
        ask(OTHER)
    grant(approval)
    drain()
    with pytest.raises(RotationRefused, match="this value is live already"):
        ask()
    assert Secret.objects.filter(account=account_of("standard")).count() == 2


def test_a_waiting_secret_is_not_retired_past_its_request() -> None:
    approval = ask()
    with pytest.raises(RotationRefused, match=f"waits for {approval.public_id}"):
        accounts.retire(
            account=account_of("standard"),
            secret_id=UUID(approval.facts["secret"]),
            reason="r",
            actor=actor("eli"),
            now=clock.utc_now(),
            force=True,
        )


def test_another_value_than_the_approved_one_is_not_accepted() -> None:
    """What was exchanged behind the question, were the database's guard away, is not what was
    approved."""
    approval = ask()
    secret = secret_of(approval)
    with as_owner():
        old = Secret.objects.filter(account=account_of("standard")).earliest("created_at")
        Secret.objects.filter(pk=secret.pk).update(
            ciphertext=bytes(old.ciphertext), data_key=old.data_key
        )
    decide(approval, "lena")
    decide(approval, "marco")
    approval.refresh_from_db()

    with pytest.raises(SecretRefused, match="is not the value that was approved"):
        governance.on_decided(approval, clock.utc_now())

    approval.refresh_from_db()
    assert (approval.executed_at, secret_of(approval).active_from) == (None, None)
