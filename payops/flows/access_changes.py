"""Granted changes of access: roles, persons, logins, keys of internal systems (SE-4, D5).

Owns what is checked before such a change is asked for and what puts it in force. Taking a role
away needs nobody else; it is audited and can be granted anew.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.hashers import make_password
from django.db import transaction

from approvals.models import ApprovalRequest
from payops.core import audit
from payops.core.actors import Actor
from payops.core.models import ApiKey, Book, Person, RoleGrant, User
from payops.core.roles import Act, Role
from payops.flows.governed import ChangeRefused, only_book

API_ACTS = frozenset(
    str(act.value)
    for act in (Act.REQUEST_PAYOUT, Act.REQUEST_REFUND, Act.VIEW_BOOKS, Act.POST_ENTRY)
)


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
        _audit("role.revoked", str(grant.person_id), {"role": grant.role}, reason, actor, now)
        return grant


def hash_api_key(api_key: str) -> str:
    return hashlib.sha256(api_key.encode()).hexdigest()


def check_role(facts: dict[str, Any]) -> dict[str, Any]:
    person = Person.objects.filter(pk=str(facts.get("person_id", ""))).first()
    if person is None or facts.get("role") not in {role.value for role in Role}:
        raise ChangeRefused("a role grant names a person and one of the known roles")
    if person.role_grants.filter(role=facts["role"], revoked_at=None).exists():
        raise ChangeRefused(f"{person.name} holds {facts['role']} already")
    return {"person_id": str(person.pk), "role": facts["role"], "name": person.name}


def check_person(facts: dict[str, Any]) -> dict[str, Any]:
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


def check_login(facts: dict[str, Any]) -> dict[str, Any]:
    person = Person.objects.filter(pk=str(facts.get("person_id", ""))).first()
    username = str(facts.get("username", "")).strip().lower()
    if person is None or not 2 <= len(username) <= 60 or not username.isascii():
        raise ChangeRefused("a login link names a person and a login of 2 to 60 ASCII characters")
    if User.objects.filter(username=username).exists():
        raise ChangeRefused(f"the login {username} exists already")
    return {"person_id": str(person.pk), "username": username, "name": person.name}


def check_api_key(facts: dict[str, Any]) -> dict[str, Any]:
    system, acts = str(facts.get("system", "")).strip(), list(facts.get("acts", []))
    if not system or not acts or not set(acts) <= API_ACTS:
        raise ChangeRefused(f"an API key names a system and acts among {sorted(API_ACTS)}")
    return {"system": system, "acts": sorted(acts), "key_hash": str(facts["key_hash"])}


def apply_role(approval: ApprovalRequest, actor: Actor, now: datetime) -> None:
    facts = approval.facts
    RoleGrant.objects.create(
        person_id=facts["person_id"],
        role=facts["role"],
        granted_at=now,
        granted_by=approval.requested_by,
        approval_id=approval.public_id,
        created_at=now,
    )
    _audit("role.granted", facts["person_id"], facts, approval.reason, actor, now)


def apply_person(approval: ApprovalRequest, actor: Actor, now: datetime) -> None:
    facts = approval.facts
    person = Person.objects.create(
        name=facts["name"], email=facts["email"], approval_id=approval.public_id, created_at=now
    )
    evidence = {"approval_id": approval.public_id}
    _audit("person.created", str(person.pk), evidence, approval.reason, actor, now)


def apply_login(approval: ApprovalRequest, actor: Actor, now: datetime) -> None:
    facts = approval.facts
    User.objects.create(
        username=facts["username"],
        password=make_password(None),
        person_id=facts["person_id"],
        link_approval_id=approval.public_id,
    )
    _audit("login.linked", facts["person_id"], facts, approval.reason, actor, now)


def apply_api_key(approval: ApprovalRequest, actor: Actor, now: datetime) -> None:
    facts = approval.facts
    ApiKey.objects.create(
        book=approval.book if not approval.book.is_system else only_book(),
        system=facts["system"],
        key_hash=facts["key_hash"],
        acts=facts["acts"],
        approval_id=approval.public_id,
        requested_by=approval.requested_by,
        created_at=now,
    )
    evidence = {"system": facts["system"], "acts": facts["acts"]}
    _audit("api_key.created", facts["system"], evidence, approval.reason, actor, now)


def _audit(
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
