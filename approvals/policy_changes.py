"""Changing a policy table: asked for with the whole new table, active only once approved (D2, F23).

A new version applies to new requests alone; open ones keep the version they were asked under.
Tables that decide about something else than approvals bring their own check (`Table`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from approvals import policies
from approvals.hashing import hash_of, plain
from approvals.models import ApprovalRequest, PolicyVersion
from approvals.refusals import ContentChanged, PolicyMissing
from approvals.requests import key_of, locked
from approvals.services import begin_execution, request_approval
from payops.core import audit, locks
from payops.core.actors import Actor
from payops.core.models import Book, Person

KIND = "policy_change"


@dataclass(frozen=True, slots=True)
class Table:
    """A table that changes by approval: its stored name, its check, what a change means.

    `check` takes the rules and the book and raises PolicyError when they cannot be applied.
    """

    name: str
    title: str
    check: Callable[[Mapping[str, Any], Book], None]
    applies_to: str
    leaves_alone: str


def approval_table(kind: str) -> Table:
    """The table that names the seats of one kind of request. Raises PolicyMissing."""
    if kind not in policies.KIND_LABELS:
        raise PolicyMissing(f"There is no policy table {kind!r} to change.", kind=kind)

    def check(rules: Mapping[str, Any], book: Book) -> None:
        named = policies.parse(rules, version=1).kind
        if named != kind:
            raise policies.PolicyError(f"the table names the kind {named!r}, not {kind!r}")

    return Table(
        name=policies.PREFIX + kind,
        title=f"New approval policy: {policies.KIND_LABELS[kind]}",
        check=check,
        applies_to="requests asked from then on",
        leaves_alone="requests that are open keep the version they were asked under",
    )


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
    """Ask for a new approval table of one kind. Raises PolicyError before anybody is asked."""
    return propose_table(
        table=approval_table(kind),
        book=book,
        rules=rules,
        reason=reason,
        actor=actor,
        now=now,
        requested_by=requested_by,
    )


def propose_table(
    *,
    table: Table,
    book: Book,
    rules: Mapping[str, Any],
    reason: str,
    actor: Actor,
    now: datetime,
    requested_by: Person,
) -> ApprovalRequest:
    """Ask for a new version of a table. Raises PolicyError before anybody is asked."""
    current = policies.active_version(book=book, name=table.name, now=now)
    number = current.version if current else 0
    proposed = plain(rules, place="rules")
    table.check(proposed, book)
    if current is not None and hash_of(proposed) == current.content_hash:
        raise policies.PolicyError(f"nothing differs from {table.name} v{number}, which is active")
    return request_approval(
        book=book,
        kind=KIND,
        subject_id=table.name,
        title=table.title,
        facts={
            "policy": table.name,
            "replaces_version": number,
            "rules": proposed,
            "content_hash": hash_of(proposed),
        },
        reason=reason,
        actor=actor,
        now=now,
        requested_by=requested_by,
        consequences=[
            f"{table.name} v{number + 1} applies to {table.applies_to}",
            table.leaves_alone,
        ],
    )


def activate_policy(
    *,
    request_id: str | UUID,
    actor: Actor,
    now: datetime,
    tables: Mapping[str, Table] | None = None,
) -> PolicyVersion:
    """Write the approved table as the next version, inside the flow's transaction.

    `tables` are those that are not approval tables, by name. Raises what `begin_execution`
    raises, and ContentChanged when another version came between.
    """
    assert connection.in_atomic_block, "a policy is activated inside the flow's transaction"
    asked = ApprovalRequest.objects.get(pk=key_of(request_id))
    locks.name(f"policy:{asked.book_id}:{asked.facts['policy']}")
    request = locked(asked.pk)
    facts = request.facts
    begin_execution(request_id=request.pk, content_hash=request.content_hash, now=now, actor=actor)
    last = PolicyVersion.objects.filter(book=request.book, name=facts["policy"])
    newest = last.order_by("-version").values_list("version", flat=True).first()
    number = (newest or 0) + 1
    if number != facts["replaces_version"] + 1:
        raise ContentChanged(
            f"The change was approved against {facts['policy']} v{facts['replaces_version']}; "
            f"v{number - 1} is active by now. Propose it again on the active table.",
            replaces=facts["replaces_version"],
            active=number - 1,
        )
    name = str(facts["policy"])
    table = (tables or {}).get(name) or approval_table(name.removeprefix(policies.PREFIX))
    table.check(facts["rules"], request.book)
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
