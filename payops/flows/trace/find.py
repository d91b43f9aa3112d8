"""Where an id can stand: the closed table of places, and the way from any hit to its chain.

Every lookup is parameterised, uses an index and is bounded. Never guesses: a text that is in no
place is found nowhere, and one that is in several is told as several.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Q

from approvals.models import ApprovalDecision, ApprovalRequest
from compliance.models import GateDecision
from ledger.models import JournalEntry, JournalLine
from payops.cases.models import Case, TicketLink
from payops.core import ids
from payops.core.models import AuditEvent, Book
from payops.payments.models import (
    Beneficiary,
    Dispute,
    Hold,
    Intent,
    Payment,
    Payout,
    ProviderCall,
    Refund,
    RefundDecision,
)
from payops.webhooks.models import Delivery, ProviderEvent

HITS_MAX = 20
ROUNDS_MAX = 6
BARE_UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.I)
WORDS = {
    "pa": "Payment",
    "po": "Payout",
    "dp": "Dispute",
    "rf": "Refund",
    "rd": "Refund decision",
    "be": "Beneficiary",
    "ho": "Hold",
    "it": "Intent",
    "pc": "Provider call",
    "wd": "Receipt",
    "ev": "Event",
    "cs": "Case",
    "tl": "Ticket",
    "ap": "Approval",
    "ad": "Decision",
    "je": "Journal entry",
    "jl": "Journal line",
    "gd": "Gate decision",
    "ae": "Audit row",
}


@dataclass(frozen=True, slots=True)
class Place:
    """A column an exact text may stand in. `prefix` and `key` say which object that means.

    `scoped`: the index begins with the book, so the lookup names every book.
    """

    prefix: str
    table: str
    column: str
    how: str
    key: str = "id"
    scoped: bool = False


PLACES = (
    Place("po", "payments_payout", "merchant_ref", "merchant reference"),
    Place("po", "payments_payout", "provider_ref", "provider reference"),
    Place("po", "payments_payout", "request_key", "request key", scoped=True),
    Place("pa", "payments_payment", "provider_ref", "provider reference"),
    Place("pa", "payments_payment", "merchant_ref", "merchant reference"),
    Place("rf", "payments_refund", "provider_ref", "provider reference"),
    Place("rf", "payments_refund", "request_key", "request key", scoped=True),
    Place("rf", "payments_refund", "ticket_ref", "ticket that asked"),
    Place("dp", "payments_dispute", "provider_ref", "provider reference"),
    Place("be", "payments_beneficiary", "reference", "seller reference", scoped=True),
    Place("it", "payments_intent", "idempotency_key", "idempotency key", scoped=True),
    Place("ho", "payments_hold", "key", "hold key", scoped=True),
    Place("ev", "webhooks_providerevent", "provider_event_id", "provider event id"),
    Place("ev", "webhooks_providerevent", "object_id", "provider object"),
    Place("ev", "webhooks_providerevent", "trace_id", "trace id"),
    Place("ae", "core_auditevent", "trace_id", "trace id"),
    Place("je", "ledger_postingkey", "key", "posting key", key="entry_id", scoped=True),
    Place("je", "ledger_journalentry", "subject_id", "subject of an entry"),
    Place("cs", "cases_ticketlink", "number", "ticket number", key="case_id"),
    Place("cs", "cases_ticketlink", "correlation_id", "ticket correlation", key="case_id"),
    Place("cs", "cases_localmessage", "correlation_id", "message", key="case_id", scoped=True),
)
BEGINNINGS = (
    Place("po", "payments_payout", "merchant_ref", "merchant reference"),
    Place("pa", "payments_payment", "merchant_ref", "merchant reference"),
    Place("be", "payments_beneficiary", "reference", "seller reference"),
    Place("be", "payments_beneficiary", "name", "seller"),
    Place("rf", "payments_refund", "ticket_ref", "ticket that asked"),
    Place("cs", "cases_ticketlink", "number", "ticket number", key="case_id"),
)


@dataclass(frozen=True, slots=True)
class Hit:
    """One object the text means, and how it was found."""

    prefix: str
    key: UUID
    how: str
    label: str

    @property
    def id(self) -> str:
        return ids.render(self.prefix, self.key)

    @property
    def words(self) -> str:
        return WORDS[self.prefix]


Roots = dict[str, set[UUID]]


def find(text: str) -> list[Hit]:
    """Every object the text names exactly, the most telling kind of place first."""
    try:
        prefix, key = ids.parse(text.lower())
    except ids.UnknownId:
        pass
    else:
        return _existing([(prefix, key)], how="id") if prefix in MODELS else _in_places(text)
    hits = _in_places(text)
    if not hits and BARE_UUID.fullmatch(text):
        key = UUID(text)
        hits = _existing([(prefix, key) for prefix in MODELS], how="bare id")
    return hits


def search(text: str) -> list[Hit]:
    """Objects with a text that begins so; the wildcard signs of LIKE are ordinary letters here."""
    pattern = re.sub(r"([\\%_])", r"\\\1", text) + "%"
    statement = " UNION ALL ".join(
        f"(SELECT '{p.prefix}', {p.key}, '{p.how}', {p.column} FROM {p.table}"
        f" WHERE {p.column} LIKE %(text)s ORDER BY {p.column}, {p.key} LIMIT {HITS_MAX})"
        for p in BEGINNINGS
    )
    return _distinct(_select(statement, {"text": pattern}))


def follow(hit: Hit) -> Roots:
    """From any object to what it belongs to, kind by kind, one query per kind and round."""
    seen: Roots = defaultdict(set)
    waiting: Roots = {hit.prefix: {hit.key}}
    for _ in range(ROUNDS_MAX):
        found: list[str] = []
        for prefix, keys in waiting.items():
            seen[prefix] |= keys
            step = STEPS.get(prefix)
            if step is not None:
                found += step(keys)
        waiting = _fresh(found, seen)
        if not waiting:
            break
    return seen


def _in_places(text: str) -> list[Hit]:
    books = list(Book.objects.values_list("pk", flat=True))
    statement = " UNION ALL ".join(
        f"(SELECT '{p.prefix}', {p.key}, '{p.how}', {p.column} FROM {p.table}"
        f" WHERE {'book_id = ANY(%(books)s) AND ' if p.scoped else ''}{p.column} = %(text)s"
        f" AND {p.key} IS NOT NULL ORDER BY {p.key} LIMIT {HITS_MAX})"
        for p in PLACES
    )
    return _distinct(_select(statement, {"text": text, "books": books}))


def _existing(named: list[tuple[str, UUID]], *, how: str) -> list[Hit]:
    statement = " UNION ALL ".join(
        f"SELECT '{prefix}', id, '{how}', '' FROM {MODELS[prefix]._meta.db_table}"
        f" WHERE id = %(key)s"
        for prefix, _ in named
    )
    rows = _select(statement, {"key": named[0][1]})
    return [Hit(prefix, key, how, ids.render(prefix, key)) for prefix, key, how, _ in rows]


def _select(statement: str, params: dict[str, Any]) -> list[tuple[str, UUID, str, str]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return cursor.fetchall()


def _distinct(rows: list[tuple[str, UUID, str, str]]) -> list[Hit]:
    hits: dict[tuple[str, UUID], Hit] = {}
    for prefix, key, how, label in rows:
        hits.setdefault((prefix, key), Hit(prefix, key, how, label))
    return list(hits.values())[:HITS_MAX]


def _fresh(public_ids: list[str], seen: Roots) -> Roots:
    fresh: Roots = defaultdict(set)
    for public_id in public_ids:
        try:
            prefix, key = ids.parse(public_id)
        except ids.UnknownId:
            continue
        if prefix in MODELS and key not in seen[prefix]:
            fresh[prefix].add(key)
    return fresh


def _named(model: type[Any], keys: set[UUID], *columns: str) -> list[str]:
    rows = model._default_manager.filter(pk__in=keys).values_list(*columns)
    return [value for row in rows for value in row if value]


def _keys(prefix: str, model: type[Any], keys: set[UUID], column: str) -> list[str]:
    rows = model._default_manager.filter(pk__in=keys).values_list(column, flat=True)
    return [ids.render(prefix, key) for key in rows if key]


def _event_of_receipts(keys: set[UUID]) -> list[str]:
    wanted = Q(pk__in=())
    receipts = Delivery.objects.filter(pk__in=keys).exclude(dedupe_key="")
    for account_id, dedupe_key in receipts.values_list("account_id", "dedupe_key"):
        wanted |= Q(account_id=account_id, dedupe_key=dedupe_key)
    found = ProviderEvent.objects.filter(wanted).values_list("pk", flat=True)
    return [ids.render("ev", key) for key in found]


def _subject_of_events(keys: set[UUID]) -> list[str]:
    """What the events were applied to; before that, what carries their provider object."""
    events = ProviderEvent.objects.filter(pk__in=keys)
    told = list(events.values_list("subject_id", "account_id", "object_id"))
    found = [subject for subject, _, _ in told if subject]
    loose = Q(pk__in=())
    for subject, account_id, object_id in told:
        if not subject and object_id:
            loose |= Q(account_id=account_id, provider_ref=object_id)
    found += [
        ids.render("po", k) for k in Payout.objects.filter(loose).values_list("pk", flat=True)
    ]
    for model in (Payment, Refund, Dispute):
        keys_of = model.objects.filter(loose).values_list("pk", flat=True)
        found += [ids.render(model.PREFIX, key) for key in keys_of]
    return found


def _covered_by_holds(keys: set[UUID]) -> list[str]:
    return _keys("po", Hold, keys, "payout_id") + _keys("be", Hold, keys, "beneficiary_id")


MODELS: dict[str, type[Any]] = {
    "pa": Payment,
    "po": Payout,
    "dp": Dispute,
    "rf": Refund,
    "rd": RefundDecision,
    "be": Beneficiary,
    "ho": Hold,
    "it": Intent,
    "pc": ProviderCall,
    "wd": Delivery,
    "ev": ProviderEvent,
    "cs": Case,
    "tl": TicketLink,
    "ap": ApprovalRequest,
    "ad": ApprovalDecision,
    "je": JournalEntry,
    "jl": JournalLine,
    "gd": GateDecision,
    "ae": AuditEvent,
}
# Kinds without a step (payment, payout, beneficiary) are where a chain is read from.
STEPS: dict[str, Any] = {
    "dp": lambda keys: _keys("pa", Dispute, keys, "payment_id"),
    "rf": lambda keys: _keys("pa", Refund, keys, "payment_id"),
    "rd": lambda keys: _keys("rf", RefundDecision, keys, "refund_id"),
    "ho": _covered_by_holds,
    "it": lambda keys: _named(Intent, keys, "subject_id"),
    "pc": lambda keys: _keys("it", ProviderCall, keys, "intent_id"),
    "wd": _event_of_receipts,
    "ev": _subject_of_events,
    "cs": lambda keys: _named(Case, keys, "subject_id"),
    "tl": lambda keys: _keys("cs", TicketLink, keys, "case_id"),
    "ap": lambda keys: _named(ApprovalRequest, keys, "subject_id"),
    "ad": lambda keys: _keys("ap", ApprovalDecision, keys, "request_id"),
    "je": lambda keys: _named(
        JournalEntry, keys, "payment_id", "payout_id", "case_id", "event_id", "subject_id"
    ),
    "jl": lambda keys: _keys("je", JournalLine, keys, "entry_id"),
    "gd": lambda keys: _keys("po", GateDecision, keys, "payout_id"),
    "ae": lambda keys: _named(AuditEvent, keys, "subject_id"),
}
