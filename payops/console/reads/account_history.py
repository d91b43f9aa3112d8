"""The history of a provider account: its settings, lists and secrets, who asked, who approved.

Settings come from the kept versions of the account, lists and secrets from the audit; both name
the people of the approval that made the change. Reads only. Serves WH-3, WH-15, WH-30, AU-5, D5.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from django.urls import reverse

from approvals.models import ApprovalRequest
from payops.console.changes import CHANGES_MAX, Change, changes_of
from payops.core import ids
from payops.core.models import AuditEvent, ProviderAccount

LABELS = {
    "allowlist_mode": "Allowlist",
    "verify_policy": "Verified before acting",
    "calls_per_s": "Calls a second",
    "listing_every_s": "Listing every, seconds",
    "park_deadline_s": "Parked at most, seconds",
}
LIST_PARTS = (
    ("adds", "Added"),
    ("removes", "Removed"),
    ("names", "Name followed"),
    ("drops", "Name dropped"),
)
NETWORKS_TOLD_MAX = 20
# Without an approval the database lets nobody else change an account.
OWNER = "the schema's owner"
SECRETS, LISTS = "webhook_secret.", "allowlist.changed"
Approvals = Mapping[str, ApprovalRequest]


def history_of(account: ProviderAccount) -> list[Change]:
    """Newest first; a fixed number of queries."""
    rows = account.history.order_by("-history_date", "-history_id")
    kept = list(rows.values_list("approval_id", flat=True)[:CHANGES_MAX])
    events = AuditEvent.objects.filter(book=account.book, subject_id=account.address[:64])
    told = events.filter(action__startswith=SECRETS) | events.filter(action=LISTS)
    trail = list(told.select_related("person").order_by("-created_at")[:CHANGES_MAX])
    approvals = _approvals([*kept, *(_approval_id(event) for event in trail)])
    made_by = [new if new != old else "" for new, old in zip(kept, [*kept[1:], ""], strict=True)]
    settings = [
        _by(change, approval_id, approvals, OWNER)
        for change, approval_id in zip(changes_of(account, LABELS), made_by, strict=True)
    ]
    others = [
        _by(_told(event), _approval_id(event), approvals, _who(event))
        for event in trail
        if event.action != LISTS or any(event.evidence.get(name) for name, _ in LIST_PARTS)
    ]
    return sorted([*settings, *others], key=lambda each: each.at, reverse=True)[:CHANGES_MAX]


def _told(event: AuditEvent) -> Change:
    evidence = event.evidence
    if event.action == LISTS:
        lines = [
            f"{word}: {_listed(evidence[name])}" for name, word in LIST_PARTS if evidence.get(name)
        ]
        return Change(event.created_at, "Allowlist changed", "", text="\n".join(lines))
    secret = f"Secret …{evidence.get('hint', '')}"
    waits = evidence.get("active_from") is None
    words = {
        "added": "added, waits for approval" if waits else "added, accepted from then on",
        "approved": "approved, accepted from then on",
        "retired": "given up, never accepted" if waits else "retired",
    }
    title = f"{secret} {words.get(event.action.removeprefix(SECRETS), event.action)}"
    return Change(event.created_at, title, "", text=event.reason)


def _listed(values: list[str]) -> str:
    more = len(values) - NETWORKS_TOLD_MAX
    return ", ".join(values[:NETWORKS_TOLD_MAX]) + (f" and {more} more" if more > 0 else "")


def _by(change: Change, approval_id: str, approvals: Approvals, actor: str) -> Change:
    """With the approval's people, and the approval to follow."""
    request = approvals.get(approval_id)
    if request is None:
        return replace(change, actor=actor)
    href = reverse("approval", args=[approval_id])
    return replace(change, actor=_people(request), href=href, evidence=(approval_id,))


def _people(request: ApprovalRequest) -> str:
    names: dict[str, list[str]] = {"approve": [], "reject": []}
    for decision in sorted(request.decisions.all(), key=lambda each: each.created_at):
        names[decision.verdict].append(decision.person.name)
    parts = [f"asked by {request.requested_by.name}"]
    for verdict, word in (("approve", "approved"), ("reject", "rejected")):
        if names[verdict]:
            parts.append(f"{word} by {' and '.join(names[verdict])}")
    return ", ".join(parts)


def _who(event: AuditEvent) -> str:
    if event.person is not None:
        return f"{event.person.name} ({event.login})" if event.login else event.person.name
    return f"{event.service} ({event.channel})"


def _approval_id(event: AuditEvent) -> str:
    """A secret's retirement is its own act, unless its request ended."""
    alone = event.action == f"{SECRETS}retired" and event.person is not None
    return "" if alone else str(event.evidence.get("approval_id", ""))


def _approvals(public_ids: Iterable[str]) -> Approvals:
    keys: list[UUID] = [ids.parse(each, "ap")[1] for each in set(public_ids) if each]
    rows: Any = ApprovalRequest.objects.filter(pk__in=keys).select_related("requested_by")
    return {row.public_id: row for row in rows.prefetch_related("decisions__person")}
