"""What the audit explorer shows: rows by their filters, and the verification of the newest seals.

Rows of the system book (sign-ins, grants) are shown beside the book's own.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet

from payops.console.exports import Columns
from payops.console.filters import Control, Filters, days_within
from payops.console.reads.payouts import key_of
from payops.core.models import AuditEvent, AuditSeal, Book
from payops.core.verification import Verification
from payops.core.verification import verify as verify_chain

SEALS_VERIFIED_MAX = 20_000
CONTROLS = (
    Control("subject", "Subject", placeholder="Id, whole"),
    Control("actor", "Actor", placeholder="Login, name or service"),
    Control("action", "Action", placeholder="Begins with"),
    Control("trace", "Trace", placeholder="Trace id, whole"),
    Control("from", "From", "date"),
    Control("to", "To", "date"),
)
CSV: Columns = (
    ("seq", lambda row: _seal(row, "seq")),
    ("id", "public_id"),
    ("created_at", "created_at"),
    ("book", "book.code"),
    ("actor", lambda row: row.service or str(row.person_id)),
    ("login", "login"),
    ("channel", "channel"),
    ("action", "action"),
    ("subject_id", "subject_id"),
    ("from_state", "from_state"),
    ("to_state", "to_state"),
    ("reason", "reason"),
    ("evidence", lambda row: json.dumps(row.evidence, sort_keys=True) if row.evidence else ""),
    ("trace_id", "trace_id"),
    ("content_hash", "content_hash"),
    ("previous_hash", lambda row: _seal(row, "previous_hash")),
    ("hash", lambda row: _seal(row, "hash")),
)


def listed(book: Book, wanted: Filters) -> QuerySet[AuditEvent]:
    rows = AuditEvent.objects.filter(Q(book=book) | Q(book__is_system=True))
    rows = rows.select_related("person", "seal", "book")
    if wanted["subject"]:
        key = key_of("ae", wanted["subject"])
        rows = rows.filter(Q(pk=key) if key is not None else Q(subject_id=wanted["subject"]))
    if wanted["actor"]:
        named = Q(login=wanted["actor"]) | Q(service=wanted["actor"])
        rows = rows.filter(named | Q(person__name__icontains=wanted["actor"]))
    if wanted["action"]:
        rows = rows.filter(action__startswith=wanted["action"])
    if wanted["trace"]:
        rows = rows.filter(trace_id=wanted["trace"])
    bounds = days_within(
        "created_at", wanted.day("from"), wanted.day("to"), time_zone=book.time_zone
    )
    return rows.filter(**bounds)


def _seal(row: Any, name: str) -> object:
    """A column of the row's seal; nothing while it waits for one."""
    seal = getattr(row, "seal", None)
    return getattr(seal, name) if seal else ""


@dataclass(frozen=True, slots=True)
class Verified:
    """The walk over one range of the chain, and which range it was."""

    after_seq: int
    result: Verification

    @property
    def whole(self) -> bool:
        return self.after_seq == 0


def verify(*, now: datetime) -> Verified:
    """Walk the newest seals, at most SEALS_VERIFIED_MAX; `verify_audit` walks them all."""
    newest = AuditSeal.objects.order_by("-seq").values_list("seq", flat=True).first() or 0
    after = max(0, newest - SEALS_VERIFIED_MAX)
    return Verified(after, verify_chain(now=now, after_seq=after))
