"""The audit trail: rows written beside the act, sealed into one chain afterwards.

Owns the content hash and the chain. Never takes a lock inside a business transaction: rows are
inserted unchained, and one sealer chains those below the snapshot's xmin, in a fixed order. Serves
AU-1 to AU-11, I10 and I11.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from json.encoder import encode_basestring as _quoted
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection, transaction

from payops.core import bulk, ids
from payops.core.actors import Actor
from payops.core.models import AuditEvent, AuditSeal, Book

GENESIS = "0" * 64
SEAL_BATCH_MAX = 5000
SEALER_LOCK = 7_204_001
LINKS_PAGE = 5000
TIMES_KEPT = 1024
SEAL_COLUMNS = ("seq", "audit_id", "content_hash", "previous_hash", "hash", "sealed_at")
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
# What `Acts.texts` gives; the person, who is null for a service, comes last.
TEXT_COLUMNS = (
    "id",
    "created_at",
    "book_id",
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
    "content_hash",
)
# (seq, audit id, sealed content hash, previous hash, hash, the row; None when the row is gone)
Link = tuple[int, str, str, str, str, dict[str, Any] | None]
_TEXT_OF = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode


class AuditRow(NamedTuple):
    """A row on its way into the table, in the order it is copied; `evidence` is its JSON text."""

    id: UUID
    created_at: datetime
    book_id: UUID
    person_id: UUID | None
    service: str
    login: str
    channel: str
    action: str
    subject_id: str
    from_state: str
    to_state: str
    reason: str
    evidence: str
    trace_id: str
    content_hash: str

    @property
    def pk(self) -> UUID:
        return self.id


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
) -> AuditRow:
    """Build one row; `record` inserts it. No model instance is made."""
    facts = evidence_text(evidence, action=action) if evidence else "{}"
    key = ids.uuid7()
    acts = Acts(book=book, actor=actor, action=action, now=now)
    return AuditRow(
        key,
        now,
        book.pk,
        actor.person_id,
        actor.service,
        actor.login,
        actor.channel,
        action,
        subject_id,
        from_state,
        to_state,
        reason,
        facts,
        trace_id,
        acts.content_hash(str(key), subject_id, facts, reason, trace_id, from_state, to_state),
    )


class Acts:
    """One action of one actor at one moment, done to many subjects: what is alike is told once."""

    def __init__(self, *, book: Book, actor: Actor, action: str, now: datetime) -> None:
        person = f'"{actor.person_id}"' if actor.person_id is not None else "null"
        self._to_evidence = (
            f'{{"action":{_quoted(action)},"book_id":"{book.pk}"'
            f',"channel":{_quoted(actor.channel)},"created_at":"{_utc_text(now)}","evidence":'
        )
        self._to_reason = f'","login":{_quoted(actor.login)},"person_id":{person},"reason":'
        self._to_subject = f',"service":{_quoted(actor.service)},"subject_id":'
        self._shared = (
            bulk.time_text(now),
            str(book.pk),
            actor.service,
            actor.login,
            actor.channel,
            action,
        )
        self._person = (str(actor.person_id),) if actor.person_id is not None else ()

    def content_hash(
        self,
        key: str,
        subject_id: str,
        facts: str,
        reason: str = "",
        trace_id: str = "",
        from_state: str = "",
        to_state: str = "",
    ) -> str:
        """Of the text that `_TEXT_OF(canonical(row))` gives, byte for byte, written by hand."""
        text = (
            f'{self._to_evidence}{facts},"from_state":{_quoted(from_state)},"id":"{key}'
            f"{self._to_reason}{_quoted(reason)}{self._to_subject}{_quoted(subject_id)}"
            f',"to_state":{_quoted(to_state)},"trace_id":{_quoted(trace_id)}}}'
        )
        return hashlib.sha256(text.encode()).hexdigest()

    def texts(
        self, number: int, subject_id: str, facts: str, reason: str, trace_id: str
    ) -> tuple[str, ...]:
        """A row for `record_texts`; its key is given as a number, its evidence as JSON."""
        key = str(UUID(int=number))
        content = self.content_hash(key, subject_id, facts, reason, trace_id)
        own = (subject_id, "", "", reason, facts, trace_id, content)
        return (key, *self._shared, *own, *self._person)


def record(rows: Iterable[AuditRow]) -> None:
    assert connection.in_atomic_block, "an audit row is written in the transaction of its act"
    bulk.copy(AuditEvent._meta.db_table, AuditRow._fields, list(rows))


def texts(actor: Actor, rows: Iterable[Sequence[str]]) -> bulk.Texts:
    """Rows of `Acts.texts` by one actor, for `bulk`, in the transaction of their act."""
    columns = TEXT_COLUMNS if actor.person_id is None else (*TEXT_COLUMNS, "person_id")
    return bulk.Texts(AuditEvent._meta.db_table, columns, rows)


def evidence_text(values: dict[str, Any], *, action: str) -> str:
    """What `_TEXT_OF` writes; most evidence is a flat object of texts, which goes faster so."""
    parts = []
    for name in sorted(values):
        value = values[name]
        if type(value) is str and type(name) is str:
            parts.append(f"{_quoted(name)}:{_quoted(value)}")
            continue
        if _has_float(values):
            raise TypeError(f"the evidence of {action} holds a float; write whole numbers or text")
        if type(name) is not str:
            return _TEXT_OF(values)
        parts.append(f"{_quoted(name)}:{_TEXT_OF(value)}")
    return "{" + ",".join(parts) + "}"


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
        links.append((seq, audit_id, content, previous, digest, now))
        previous = digest
    bulk.copy(AuditSeal._meta.db_table, SEAL_COLUMNS, links)


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


@lru_cache(maxsize=TIMES_KEPT)
def _utc_text(at: datetime) -> str:
    """The same text whether the row was just built in another zone or read back in UTC."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def _has_float(value: Any) -> bool:
    """PostgreSQL writes 1e22 in full, Python does not: a float would break the hash when read."""
    if isinstance(value, dict):
        return any(type(inner) is not str and _has_float(inner) for inner in value.values())
    if isinstance(value, (list, tuple)):
        return any(_has_float(inner) for inner in value)
    return isinstance(value, float)
