"""Hand-made changes of truth that only an approval makes: access, policies, discards (D5).

`propose` asks, others decide, `apply` puts the granted change in force once. The database holds
the same rule: without its granted request the change is refused there too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from approvals import policies, policy_changes
from approvals import services as approvals
from approvals.models import ApprovalRequest
from payops.core.actors import Actor, service
from payops.core.models import Book, Person
from payops.core.roles import Act, acts_of
from payops.flows import (
    access_changes,
    account_changes,
    beneficiary,
    book_settings,
    discards,
    export_mapping,
    lane_policy,
    late_postings,
    manual_journal,
    parity_verdict,
    periods,
    rate_changes,
    webhook_secrets,
)
from payops.flows.governed import ChangeRefused, Governed, only_book
from payops.flows.refunds import obligations as refund_obligations
from payops.flows.refunds import policy as refund_policy

__all__ = ["GOVERNED", "ChangeRefused", "on_decided", "propose", "subject_of"]

ACTOR = service("governance")
NOT_GRANTED = frozenset(ApprovalRequest.State) - {
    ApprovalRequest.State.PENDING,
    ApprovalRequest.State.APPROVED,
}
OTHER_TABLES = {
    lane_policy.TABLE.name: lane_policy.TABLE,
    refund_policy.TABLE.name: refund_policy.TABLE,
    **export_mapping.TABLES,
}


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
    consequences: Sequence[Any] = (),
) -> ApprovalRequest:
    """Ask for a governed change; `also` is done with the asking or not at all.

    `consequences` is what the deciders are told beside the facts. Raises ChangeRefused.
    """
    if kind == policy_changes.KIND:
        may(Act.PROPOSE_POLICY, actor, now)
        return _propose_policy(facts, reason, actor, now, book or only_book())
    row = GOVERNED[kind]
    may(row.act, actor, now)
    checked = row.check(facts)
    owner = Book.objects.get(is_system=True) if row.in_system_book else book or only_book()
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
            consequences=consequences,
        )
        if also is not None:
            also(request)
        return request


def on_decided(approval: ApprovalRequest, now: datetime) -> None:
    """Put a granted change in force, once; one that was not granted is ended."""
    row = GOVERNED.get(approval.kind)
    if row is not None and row.ended is not None and approval.state in NOT_GRANTED:
        with transaction.atomic(durable=True):
            row.ended(approval, ACTOR, now)
    if approval.state != ApprovalRequest.State.APPROVED or approval.executed_at is not None:
        return
    with transaction.atomic(durable=True):
        if approval.kind == beneficiary.KIND:
            beneficiary.lock(approval.subject_id)
        if approval.kind == refund_obligations.KIND:
            refund_obligations.lock(approval.subject_id)
        if approval.kind == policy_changes.KIND:
            policy_changes.activate_policy(
                request_id=approval.pk, actor=ACTOR, now=now, tables=OTHER_TABLES
            )
            return
        granted = approvals.begin_execution(
            request_id=approval.pk, content_hash=approval.content_hash, now=now, actor=ACTOR
        )
        _appliers()[granted.kind](granted, ACTOR, now)


def subject_of(kind: str, facts: dict[str, Any]) -> str:
    named = [str(facts.get(name, "")) for name in ("person_id", "role", "username", "system")]
    text = ":".join([kind, *named, str(facts.get("policy", "")), str(facts.get("name", ""))])
    return f"{kind}:{hashlib.sha256(text.encode()).hexdigest()[:24]}"


def may(act: Act, actor: Actor, now: datetime) -> None:
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


GOVERNED = {
    row.kind: row
    for row in (
        Governed(
            "role_grant",
            Act.MANAGE_ACCESS,
            access_changes.check_role,
            access_changes.apply_role,
            in_system_book=True,
        ),
        Governed(
            "person_create",
            Act.MANAGE_ACCESS,
            access_changes.check_person,
            access_changes.apply_person,
            in_system_book=True,
        ),
        Governed(
            "login_link",
            Act.MANAGE_ACCESS,
            access_changes.check_login,
            access_changes.apply_login,
            in_system_book=True,
        ),
        Governed(
            "api_key",
            Act.MANAGE_ACCESS,
            access_changes.check_api_key,
            access_changes.apply_api_key,
            in_system_book=True,
        ),
        Governed("dead_letter_discard", Act.DISCARD_EVENT, discards.check, discards.apply),
        Governed(
            account_changes.ALLOWLIST,
            Act.MANAGE_ACCOUNT,
            account_changes.check_allowlist,
            account_changes.apply_allowlist,
        ),
        Governed(
            account_changes.SETTINGS,
            Act.MANAGE_ACCOUNT,
            account_changes.check_settings,
            account_changes.apply_settings,
        ),
        Governed(
            webhook_secrets.KIND,
            Act.MANAGE_ACCOUNT,
            webhook_secrets.check,
            webhook_secrets.apply,
            ended=webhook_secrets.give_up,
        ),
        Governed(periods.LOCK, Act.MANAGE_PERIOD, periods.check_lock, periods.apply_lock),
        Governed(periods.REOPEN, Act.MANAGE_PERIOD, periods.check_reopen, periods.apply_reopen),
        Governed(late_postings.KIND, Act.MANAGE_PERIOD, late_postings.check, late_postings.apply),
        Governed(book_settings.KIND, Act.MANAGE_PERIOD, book_settings.check, book_settings.apply),
        Governed(
            manual_journal.KIND,
            Act.PROPOSE_JOURNAL,
            manual_journal.check,
            manual_journal.apply,
            ended=manual_journal.ended,
        ),
        Governed(
            parity_verdict.KIND,
            Act.MANAGE_PERIOD,
            parity_verdict.check,
            parity_verdict.apply,
            ended=parity_verdict.ended,
        ),
        Governed(rate_changes.KIND, Act.MANAGE_RATES, rate_changes.check, rate_changes.apply),
        Governed(
            refund_obligations.KIND,
            Act.PROPOSE_RESOLUTION,
            refund_obligations.check,
            refund_obligations.apply,
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
