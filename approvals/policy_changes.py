"""Changing a policy table: asked for with the whole new table, active only once approved (D2, F23).

A new version applies to new requests alone; open ones keep the version they were asked under.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from approvals import policies
from approvals.hashing import hash_of, plain
from approvals.models import ApprovalRequest, PolicyVersion
from approvals.refusals import ContentChanged
from approvals.requests import key_of, locked
from approvals.services import begin_execution, request_approval
from payops.core import audit, locks
from payops.core.actors import Actor
from payops.core.models import Book, Person

KIND = "policy_change"


def propose_policy(
    *,
    book: Book,
    kind: str,
    rules: Mapping[str, Any],
    reason: str,
    actor: Actor,
    now: datetime,
    requested_by: Person,
) -> ApprovalRequest:
    """Ask for a new table of one kind. Raises PolicyError before anybody is asked."""
    current = policies.active(book=book, kind=kind, now=now)
    proposed = plain(rules, place="rules")
    if policies.parse(proposed, version=current.version + 1).kind != kind:
        raise policies.PolicyError(f"the table names the kind {proposed['kind']!r}, not {kind!r}")
    return request_approval(
        book=book,
        kind=KIND,
        subject_id=current.name,
        title=f"New approval policy: {policies.KIND_LABELS.get(kind, kind)}",
        facts={
            "policy": current.name,
            "replaces_version": current.version,
            "rules": proposed,
            "content_hash": hash_of(proposed),
        },
        reason=reason,
        actor=actor,
        now=now,
        requested_by=requested_by,
        consequences=[
            f"{current.name} v{current.version + 1} applies to requests asked from then on",
            "requests that are open keep the version they were asked under",
        ],
    )


def activate_policy(*, request_id: str | UUID, actor: Actor, now: datetime) -> PolicyVersion:
    """Write the approved table as the next version, inside the flow's transaction.

    Raises what `begin_execution` raises, and ContentChanged when another version came between.
    """
    assert connection.in_atomic_block, "a policy is activated inside the flow's transaction"
    asked = ApprovalRequest.objects.get(pk=key_of(request_id))
    locks.name(f"policy:{asked.book_id}:{asked.facts['policy']}")
    request = locked(asked.pk)
    facts = request.facts
    begin_execution(request_id=request.pk, content_hash=request.content_hash, now=now, actor=actor)
    last = PolicyVersion.objects.filter(book=request.book, name=facts["policy"])
    number = last.order_by("-version").values_list("version", flat=True)[0] + 1
    if number != facts["replaces_version"] + 1:
        raise ContentChanged(
            f"The change was approved against {facts['policy']} v{facts['replaces_version']}; "
            f"v{number - 1} is active by now. Propose it again on the active table.",
            replaces=facts["replaces_version"],
            active=number - 1,
        )
    policies.parse(facts["rules"], version=number)
    version = PolicyVersion(
        book=request.book,
        name=facts["policy"],
        version=number,
        rules=facts["rules"],
        content_hash=hash_of(facts["rules"]),
        approval_id=request.public_id,
        active_from=now,
        created_at=now,
    )
    version.save(force_insert=True)
    activated = audit.event(
        book=request.book,
        actor=actor,
        action="policy.activated",
        subject_id=request.public_id,
        now=now,
        evidence={
            "policy": version.name,
            "version": number,
            "content_hash": version.content_hash,
        },
    )
    audit.record([activated])
    return version
