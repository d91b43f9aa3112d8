"""The audit trail: rows written beside the act, sealed into one chain afterwards.

Owns the content hash and the chain. Never takes a lock inside a business transaction: rows are
inserted unchained, and one sealer chains those below the snapshot's xmin, in a fixed order. Serves
AU-1 to AU-11, I10 and I11.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from django.db import connection, transaction

from payops.core import bulk
from payops.core.actors import Actor
from payops.core.models import AuditEvent, AuditSeal, Book

GENESIS = "0" * 64
SEAL_BATCH_MAX = 5000
SEALER_LOCK = 7_204_001
LINKS_PAGE = 5000
COLUMNS = tuple(f.attname for f in AuditEvent._meta.concrete_fields if f.name != "xid")
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
# (seq, audit id, sealed content hash, previous hash, hash, the row; None when the row is gone)
Link = tuple[int, str, str, str, str, dict[str, Any] | None]
_TEXT_OF = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode


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
    """Build one unsaved row; `record` inserts it. Evidence holds no floats: see `_has_float`."""
    if evidence and _has_float(evidence):
        raise TypeError(f"the evidence of {action} holds a float; write whole numbers or text")
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
    bulk.copy(AuditEvent._meta.db_table, COLUMNS, [_values(row) for row in rows])


def _values(row: AuditEvent) -> list[Any]:
    return [
        json.dumps(row.evidence) if name == "evidence" else getattr(row, name) for name in COLUMNS
    ]


def canonical(row: AuditEvent) -> dict[str, Any]:
    """The row as it is hashed and exported; names of people are not in it."""
    values: dict[str, Any] = {name: getattr(row, name) for name in HASHED_FIELDS}
    for name in ("id", "book_id", "person_id"):
        values[name] = str(values[name]) if values[name] is not None else None
    values["created_at"] = _utc_text(row.created_at)
    return values


def content_hash(values: dict[str, Any]) -> str:
    return hashlib.sha256(_TEXT_OF(values).encode()).hexdigest()


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


def first_break(links: Iterable[Link]) -> str:
    """What is wrong first in a walk from seal 1; "" when the chain is sound."""
    return next(breaks(links), "")


def breaks(
    links: Iterable[Link], *, after_seq: int = 0, after_hash: str = GENESIS
) -> Iterator[str]:
    """Walk links and name everything that is wrong, in order.

    Plain values in, so that the same walk verifies the database and an export offline (F36).
    """
    expected, previous = after_seq, after_hash
    for seq, audit_id, content, said_previous, digest, values in links:
        expected += 1
        gap = seq != expected
        if gap:
            yield f"seal {expected} is missing (found {seq}, audit row {audit_id})"
        if values is None:
            yield f"audit row {audit_id} (seal {seq}) is gone"
        elif values["id"] != audit_id or content_hash(values) != content:
            yield f"audit row {audit_id} (seal {seq}) was changed after it was sealed"
        if link_hash(seq, audit_id, content, said_previous) != digest:
            yield f"seal {seq} was changed (audit row {audit_id})"
        elif said_previous != previous and not gap:
            yield f"seal {seq} does not follow seal {seq - 1} (audit row {audit_id})"
        expected, previous = seq, digest


def links_in_database(*, after_seq: int = 0) -> Iterator[Link]:
    """The chain as it is stored, page by page: a million rows in constant memory."""
    while True:
        with connection.cursor() as cursor:
            cursor.execute(LINKS_SQL, [after_seq, LINKS_PAGE])
            page = cursor.fetchall()
        for seq, audit_id, content, previous, digest, *columns in page:
            yield seq, audit_id, content, previous, digest, _row_of(columns)
        if len(page) < LINKS_PAGE:
            return
        after_seq = page[-1][0]


LINKS_SQL = """
SELECT s.seq, s.audit_id::text, s.content_hash, s.previous_hash, s.hash,
  a.id::text, a.book_id::text, a.person_id::text, a.service, a.login, a.channel, a.action,
  a.subject_id, a.from_state, a.to_state, a.reason, a.evidence::text, a.trace_id, a.created_at
FROM core_auditseal s LEFT JOIN core_auditevent a ON a.id = s.audit_id
WHERE s.seq > %s ORDER BY s.seq LIMIT %s"""


def _row_of(columns: list[Any]) -> dict[str, Any] | None:
    if columns[0] is None:
        return None
    values = dict(zip(HASHED_FIELDS, columns, strict=True))
    evidence = values["evidence"]
    values["evidence"] = json.loads(evidence) if evidence != "{}" else {}
    values["created_at"] = _utc_text(values["created_at"])
    return values


def _utc_text(at: datetime) -> str:
    """The same text whether the row was just built in another zone or read back in UTC."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def _has_float(value: Any) -> bool:
    """PostgreSQL writes 1e22 in full, Python does not: a float would break the hash when read."""
    if isinstance(value, dict):
        return any(_has_float(inner) for inner in value.values())
    if isinstance(value, (list, tuple)):
        return any(_has_float(inner) for inner in value)
    return isinstance(value, float)
