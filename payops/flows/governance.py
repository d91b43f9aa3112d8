"""Hand-made changes of truth that only an approval makes: access, policies, discards (D5).

`propose` asks, others decide, `apply` puts the granted change in force once. The database holds
the same rule: without its granted request the change is refused there too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.hashers import make_password
from django.db import transaction

from approvals import policies, policy_changes
from approvals import services as approvals
from approvals.models import ApprovalRequest
from payops.core import audit, ids
from payops.core.actors import Actor, service
from payops.core.models import ApiKey, Book, Person, RoleGrant, User
from payops.core.roles import Act, Role, acts_of
from payops.flows import account_changes, beneficiary, lane_policy, webhook_secrets
from payops.webhooks.models import ProviderEvent
from payops.webhooks.services import discard

ACTOR = service("governance")
NOT_GRANTED = frozenset(ApprovalRequest.State) - {
    ApprovalRequest.State.PENDING,
    ApprovalRequest.State.APPROVED,
}
OTHER_TABLES = {lane_policy.TABLE.name: lane_policy.TABLE}


class ChangeRefused(ValueError):
    """The change cannot be asked for or made; the text names the field and the rule."""


@dataclass(frozen=True, slots=True)
class Governed:
    """One kind of change: who may ask, what is checked first, what puts it in force."""

    kind: str
    act: Act
    check: Callable[[dict[str, Any]], dict[str, Any]]
    apply: Callable[[ApprovalRequest, Actor, datetime], None]
    in_system_book: bool


def propose(
    *,
    kind: str,
    facts: dict[str, Any],
    title: str,
    reason: str,
    actor: Actor,
    now: datetime,
    subject_id: str = "",
    book: Book | None = None,
    also: Callable[[ApprovalRequest], object] | None = None,
) -> ApprovalRequest:
    """Ask for a governed change; `also` is done with the asking or not at all.

    Raises ChangeRefused.
    """
    if kind == policy_changes.KIND:
        _may(Act.PROPOSE_POLICY, actor, now)
        return _propose_policy(facts, reason, actor, now, book or _only_book())
    row = GOVERNED[kind]
    _may(row.act, actor, now)
    checked = row.check(facts)
    owner = Book.objects.get(is_system=True) if row.in_system_book else book or _only_book()
    with transaction.atomic(durable=True):
        request = approvals.request_approval(
            book=owner,
            kind=kind,
            subject_id=subject_id or subject_of(kind, checked),
            title=title,
            facts=checked,
            reason=reason,
            actor=actor,
            now=now,
            requested_by=Person.objects.get(pk=actor.human()),
            barred=_barred(kind, checked),
        )
        if also is not None:
            also(request)
        return request


def on_decided(approval: ApprovalRequest, now: datetime) -> None:
    """Put a granted change in force, once; a secret that was not granted is given up."""
    if approval.kind == webhook_secrets.KIND and approval.state in NOT_GRANTED:
        with transaction.atomic(durable=True):
            webhook_secrets.give_up(approval, ACTOR, now)
    if approval.state != ApprovalRequest.State.APPROVED or approval.executed_at is not None:
        return
    with transaction.atomic(durable=True):
        if approval.kind == beneficiary.KIND:
            beneficiary.lock(approval.subject_id)
        if approval.kind == policy_changes.KIND:
            policy_changes.activate_policy(
                request_id=approval.pk, actor=ACTOR, now=now, tables=OTHER_TABLES
            )
            return
        granted = approvals.begin_execution(
            request_id=approval.pk, content_hash=approval.content_hash, now=now, actor=ACTOR
        )
        _appliers()[granted.kind](granted, ACTOR, now)


def revoke_role(*, grant_id: UUID, reason: str, actor: Actor, now: datetime) -> RoleGrant:
    """Taking a role away needs no second person; it is audited and can be granted anew."""
    if not reason.strip():
        raise ChangeRefused("revoking a role needs a reason")
    with transaction.atomic(durable=True):
        grant = RoleGrant.objects.select_for_update().get(pk=grant_id)
        if grant.revoked_at is not None:
            return grant
        grant.revoked_at = now
        grant.revoked_by_id = actor.person_id
        grant.save()
        _audit_access(
            "role.revoked", str(grant.person_id), {"role": grant.role}, reason, actor, now
        )
        return grant


def subject_of(kind: str, facts: dict[str, Any]) -> str:
    named = [str(facts.get(name, "")) for name in ("person_id", "role", "username", "system")]
    text = ":".join([kind, *named, str(facts.get("policy", "")), str(facts.get("name", ""))])
    return f"{kind}:{hashlib.sha256(text.encode()).hexdigest()[:24]}"


def _may(act: Act, actor: Actor, now: datetime) -> None:
    """Asking is a permission of its own, whichever face it comes through (SE-4)."""
    person_id = actor.person_id
    asker = Person.objects.get(pk=person_id) if person_id is not None else None
    if asker is None or act not in acts_of(asker.roles_at(now)):
        raise ChangeRefused(f"{actor.login or actor.service} may not {act.value}")


def _propose_policy(
    facts: dict[str, Any], reason: str, actor: Actor, now: datetime, book: Book
) -> ApprovalRequest:
    name = str(facts["policy"])
    table = OTHER_TABLES.get(name) or policy_changes.approval_table(
        name.removeprefix(policies.PREFIX)
    )
    try:
        with transaction.atomic(durable=True):
            return policy_changes.propose_table(
                table=table,
                book=book,
                rules=facts["rules"],
                reason=reason,
                actor=actor,
                now=now,
                requested_by=Person.objects.get(pk=actor.human()),
            )
    except policies.PolicyError as error:
        raise ChangeRefused(f"the proposed table cannot be applied: {error}") from error


def _check_role(facts: dict[str, Any]) -> dict[str, Any]:
    person = Person.objects.filter(pk=str(facts.get("person_id", ""))).first()
    if person is None or facts.get("role") not in {role.value for role in Role}:
        raise ChangeRefused("a role grant names a person and one of the known roles")
    if person.role_grants.filter(role=facts["role"], revoked_at=None).exists():
        raise ChangeRefused(f"{person.name} holds {facts['role']} already")
    return {"person_id": str(person.pk), "role": facts["role"], "name": person.name}


def _check_person(facts: dict[str, Any]) -> dict[str, Any]:
    name = str(facts.get("name", "")).strip()
    if not 2 <= len(name) <= 120:
        raise ChangeRefused("a person's name has 2 to 120 characters")
    if Person.objects.filter(name__iexact=name, left_at=None).exists():
        raise ChangeRefused(f"a person called {name} exists; link a further login to them instead")
    email = str(facts.get("email", "")).strip()[:254]
    known = Person.objects.filter(email__iexact=email, left_at=None).first() if email else None
    if known is not None:
        raise ChangeRefused(
            f"{email} is the address of {known.name}; link a further login to them instead"
        )
    return {"name": name, "email": email}


def _check_login(facts: dict[str, Any]) -> dict[str, Any]:
    person = Person.objects.filter(pk=str(facts.get("person_id", ""))).first()
    username = str(facts.get("username", "")).strip().lower()
    if person is None or not 2 <= len(username) <= 60 or not username.isascii():
        raise ChangeRefused("a login link names a person and a login of 2 to 60 ASCII characters")
    if User.objects.filter(username=username).exists():
        raise ChangeRefused(f"the login {username} exists already")
    return {"person_id": str(person.pk), "username": username, "name": person.name}


def _check_api_key(facts: dict[str, Any]) -> dict[str, Any]:
    system, acts = str(facts.get("system", "")).strip(), list(facts.get("acts", []))
    allowed = {Act.REQUEST_PAYOUT.value, Act.VIEW_BOOKS.value}
    if not system or not acts or not set(acts) <= allowed:
        raise ChangeRefused(f"an API key names a system and acts among {sorted(allowed)}")
    return {"system": system, "acts": sorted(acts), "key_hash": str(facts["key_hash"])}


def _check_discard(facts: dict[str, Any]) -> dict[str, Any]:
    keys = [ids.parse(text, "ev")[1] for text in facts.get("event_ids", [])]
    dead = ProviderEvent.objects.filter(pk__in=keys, state=ProviderEvent.State.DEAD)
    if not keys or dead.count() != len(set(keys)):
        raise ChangeRefused(f"{dead.count()} of {len(keys)} named events are dead letters")
    if not str(facts.get("note", "")).strip():
        raise ChangeRefused("discarding a dead letter needs a note")
    return {"event_ids": sorted(facts["event_ids"]), "note": str(facts["note"])}


def _apply_role(approval: ApprovalRequest, actor: Actor, now: datetime) -> None:
    facts = approval.facts
    RoleGrant.objects.create(
        person_id=facts["person_id"],
        role=facts["role"],
        granted_at=now,
        granted_by=approval.requested_by,
        approval_id=approval.public_id,
        created_at=now,
    )
    _audit_access("role.granted", facts["person_id"], facts, approval.reason, actor, now)


def _apply_person(approval: ApprovalRequest, actor: Actor, now: datetime) -> None:
    facts = approval.facts
    person = Person.objects.create(
        name=facts["name"], email=facts["email"], approval_id=approval.public_id, created_at=now
    )
    evidence = {"approval_id": approval.public_id}
    _audit_access("person.created", str(person.pk), evidence, approval.reason, actor, now)


def _apply_login(approval: ApprovalRequest, actor: Actor, now: datetime) -> None:
    facts = approval.facts
    User.objects.create(
        username=facts["username"],
        password=make_password(None),
        person_id=facts["person_id"],
        link_approval_id=approval.public_id,
    )
    _audit_access("login.linked", facts["person_id"], facts, approval.reason, actor, now)


def _apply_api_key(approval: ApprovalRequest, actor: Actor, now: datetime) -> None:
    facts = approval.facts
    ApiKey.objects.create(
        book=_only_book(),
        system=facts["system"],
        key_hash=facts["key_hash"],
        acts=facts["acts"],
        approval_id=approval.public_id,
        requested_by=approval.requested_by,
        created_at=now,
    )
    evidence = {"system": facts["system"], "acts": facts["acts"]}
    _audit_access("api_key.created", facts["system"], evidence, approval.reason, actor, now)


def _apply_discard(approval: ApprovalRequest, actor: Actor, now: datetime) -> None:
    for event_id in approval.facts["event_ids"]:
        discard(
            event_id=event_id,
            approval_id=approval.public_id,
            note=approval.facts["note"],
            actor=actor,
            now=now,
        )


GOVERNED = {
    row.kind: row
    for row in (
        Governed("role_grant", Act.MANAGE_ACCESS, _check_role, _apply_role, True),
        Governed("person_create", Act.MANAGE_ACCESS, _check_person, _apply_person, True),
        Governed("login_link", Act.MANAGE_ACCESS, _check_login, _apply_login, True),
        Governed("api_key", Act.MANAGE_ACCESS, _check_api_key, _apply_api_key, True),
        Governed("dead_letter_discard", Act.DISCARD_EVENT, _check_discard, _apply_discard, False),
        Governed(
            account_changes.ALLOWLIST,
            Act.MANAGE_ACCOUNT,
            account_changes.check_allowlist,
            account_changes.apply_allowlist,
            False,
        ),
        Governed(
            account_changes.SETTINGS,
            Act.MANAGE_ACCOUNT,
            account_changes.check_settings,
            account_changes.apply_settings,
            False,
        ),
        Governed(
            webhook_secrets.KIND,
            Act.MANAGE_ACCOUNT,
            webhook_secrets.check,
            webhook_secrets.apply,
            False,
        ),
    )
}


def _appliers() -> dict[str, Callable[[ApprovalRequest, Actor, datetime], None]]:
    table = {kind: row.apply for kind, row in GOVERNED.items()}
    return {**table, beneficiary.KIND: beneficiary.apply_bank_change}


def _barred(kind: str, facts: dict[str, Any]) -> list[UUID]:
    """Nobody decides about their own access."""
    concerned = facts.get("person_id") if kind in ("role_grant", "login_link") else None
    return [UUID(concerned)] if concerned else []


def _only_book() -> Book:
    return Book.objects.filter(is_system=False).order_by("created_at").first() or (
        Book.objects.get(is_system=True)
    )


def _audit_access(
    action: str,
    subject_id: str,
    evidence: dict[str, Any],
    reason: str,
    actor: Actor,
    now: datetime,
) -> None:
    shown = {key: value for key, value in evidence.items() if key != "key_hash"}
    audit.record(
        [
            audit.event(
                book=Book.objects.get(is_system=True),
                actor=actor,
                action=action,
                subject_id=subject_id[:64],
                now=now,
                reason=reason,
                evidence=shown,
            )
        ]
    )


def hash_api_key(api_key: str) -> str:
    return hashlib.sha256(api_key.encode()).hexdigest()
