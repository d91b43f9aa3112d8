"""The shapes of a chain: nodes, edges, lines, answers, and what picture and story share."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from payops.core.money import Money
from payops.flows.trace.records import Records

NOT_YET = "NOT_YET"
WHO, CHANGED, POSTED, WHY = ("who", "changed", "posted", "why")


@dataclass(frozen=True, slots=True)
class Node:
    """One record of the chain. `id` is unique in it; `href_kind` tells a screen where it leads."""

    kind: str
    id: str
    label: str
    state: str = ""
    at: datetime | None = None
    words: str = ""
    href_kind: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Edge:
    source: str
    target: str
    words: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened. `answers` names the questions it answers (who, changed, …)."""

    at: datetime
    kind: str
    id: str
    who: str
    words: str
    answers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    question: str
    words: str
    refers_to: tuple[str, ...] = ()


def who(row: Any) -> str:
    """A verified login or a named service; names of people stay out of a chain (AU-8)."""
    return row.login or row.service or str(row.person_id or "")


def line_text(line: Any) -> str:
    side = "Dr" if line.amount_minor > 0 else "Cr"
    amount = Money(abs(line.amount_minor), line.currency)
    return f"{side} {line.account.code} {amount}"


def money_node(kind: str, row: Any, href_kind: str) -> Node:
    """What moves money, as the picture and its table show it."""
    facts = {"amount_minor": row.amount_minor, "currency": row.currency}
    reference = getattr(row, "merchant_ref", "")
    facts |= {"merchant_ref": reference, "account": row.account.address}
    words = str(Money(row.amount_minor, row.currency))
    if getattr(row, "failure_code", ""):
        facts["failure_code"] = row.failure_code
    label = reference or row.provider_ref or row.public_id
    return Node(kind, row.public_id, label, row.state, row.created_at, words, href_kind, facts)


def event_by_receipt(records: Records) -> dict[Any, str]:
    """Receipt key -> public id of its event."""
    events = {(event.account_id, event.dedupe_key): event.public_id for event in records.events}
    found = {}
    for receipt in records.receipts:
        event_id = events.get((receipt.account_id, receipt.dedupe_key))
        if event_id:
            found[receipt.pk] = event_id
    return found


def reference_id(row: Any) -> str:
    return f"ref:{row.account_id.hex}:{row.provider_ref}"


def render(prefix: str, key: Any) -> str:
    return f"{prefix}_{key.hex}" if key else ""
