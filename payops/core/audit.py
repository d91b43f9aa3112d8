"""The audit trail: rows written beside the act, sealed into one chain afterwards.

Owns the content hash and the chain. Never takes a lock inside a business transaction: rows are
inserted unchained, and one sealer chains those below the snapshot's xmin, in a fixed order. Serves
AU-1 to AU-11, I10 and I11.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from payops.core.actors import Actor
from payops.core.models import AuditEvent, AuditSeal, Book

GENESIS = "0" * 64
SEAL_BATCH_MAX = 5000
SEALER_LOCK = 7_204_001
HASHED_FIELDS = (
    "id",
    "book_id",
    "person_id",
    "service",
    "login",
    "channel",
    "action",
    "subject_id",
    "from_state",
    "to_state",
    "reason",
    "evidence",
    "trace_id",
    "created_at",
)


def event(
    *,
    book: Book,
    actor: Actor,
    action: str,
    subject_id: str,
    now: datetime,
    from_state: str = "",
    to_state: str = "",
    reason: str = "",
    evidence: dict[str, Any] | None = None,
    trace_id: str = "",
) -> AuditEvent:
    """Build one unsaved row; `record` inserts it."""
    row = AuditEvent(
        book=book,
        person_id=actor.person_id,
        service=actor.service,
        login=actor.login,
        channel=actor.channel,
        action=action,
        subject_id=subject_id,
        from_state=from_state,
        to_state=to_state,
        reason=reason,
        evidence=evidence or {},
        trace_id=trace_id,
        created_at=now,
    )
    row.content_hash = content_hash(canonical(row))
    return row


def record(rows: Iterable[AuditEvent]) -> None:
    assert connection.in_atomic_block, "an audit row is written in the transaction of its act"
    AuditEvent.objects.bulk_create(list(rows), batch_size=1000)


def canonical(row: AuditEvent) -> dict[str, Any]:
    """The row as it is hashed and exported; names of people are not in it."""
    values: dict[str, Any] = {name: getattr(row, name) for name in HASHED_FIELDS}
    for name in ("id", "book_id", "person_id"):
        values[name] = str(values[name]) if values[name] is not None else None
    values["created_at"] = row.created_at.isoformat(timespec="microseconds")
    return values


def content_hash(values: dict[str, Any]) -> str:
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def link_hash(seq: int, audit_id: str, content: str, previous: str) -> str:
    return hashlib.sha256(f"{seq}:{audit_id}:{content}:{previous}".encode()).hexdigest()


def seal(*, now: datetime) -> int:
    """Chain every unsealed row whose transaction is over; answers how many (0: another sealer)."""
    sealed = 0
    while True:
        with transaction.atomic(durable=True), connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [SEALER_LOCK])
            if not cursor.fetchone()[0]:
                return sealed
            cursor.execute(
                "SELECT a.id, a.content_hash FROM core_auditevent a"
                " WHERE a.xid < pg_snapshot_xmin(pg_current_snapshot())"
                " AND a.xid >= coalesce((SELECT l.xid FROM core_auditseal t"
                "   JOIN core_auditevent l ON l.id = t.audit_id ORDER BY t.seq DESC LIMIT 1),"
                "   '0'::xid8)"
                " AND NOT EXISTS (SELECT 1 FROM core_auditseal s WHERE s.audit_id = a.id)"
                " ORDER BY a.xid, a.id LIMIT %s",
                [SEAL_BATCH_MAX],
            )
            waiting = cursor.fetchall()
            _append_links(waiting, now=now)
        sealed += len(waiting)
        if len(waiting) < SEAL_BATCH_MAX:
            return sealed


def _append_links(waiting: list[tuple[Any, str]], *, now: datetime) -> None:
    last = AuditSeal.objects.order_by("-seq").first()
    seq, previous = (last.seq, last.hash) if last else (0, GENESIS)
    links = []
    for audit_id, content in waiting:
        seq += 1
        digest = link_hash(seq, str(audit_id), content, previous)
        links.append(
            AuditSeal(
                seq=seq,
                audit_id=audit_id,
                content_hash=content,
                previous_hash=previous,
                hash=digest,
                sealed_at=now,
            )
        )
        previous = digest
    AuditSeal.objects.bulk_create(links, batch_size=1000)


def first_break(links: Iterable[tuple[int, str, str, str, str, dict[str, Any]]]) -> str:
    """Walk (seq, audit id, sealed content hash, previous, hash, canonical row); "" when sound.

    Plain values in, so that the same walk verifies the database and an export offline (F36).
    """
    expected_seq, previous = 0, GENESIS
    for seq, audit_id, content, said_previous, digest, values in links:
        expected_seq += 1
        if seq != expected_seq:
            return f"seal {expected_seq} is missing (found {seq}, audit row {audit_id})"
        if content_hash(values) != content:
            return f"audit row {audit_id} (seal {seq}) was changed after it was sealed"
        if said_previous != previous or link_hash(seq, audit_id, content, previous) != digest:
            return f"seal {seq} does not follow seal {seq - 1} (audit row {audit_id})"
        previous = digest
    return ""


def links_in_database() -> Iterable[tuple[int, str, str, str, str, dict[str, Any]]]:
    seals = AuditSeal.objects.select_related("audit").order_by("seq")
    for link in seals.iterator(chunk_size=2000):
        row = link.audit
        yield (
            link.seq,
            str(row.pk),
            link.content_hash,
            link.previous_hash,
            link.hash,
            canonical(row),
        )
