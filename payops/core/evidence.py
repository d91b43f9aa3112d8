"""Attached documents: hashed on arrival, encrypted at rest, never changed (AP-3, PX-17)."""

from __future__ import annotations

import hashlib
from datetime import datetime

from payops.core import audit, crypto
from payops.core.actors import Actor
from payops.core.models import Book, Evidence

EVIDENCE_BYTES_MAX = 10 * 1024 * 1024
CONTENT_TYPES = frozenset(
    {
        "application/pdf",
        "image/png",
        "image/jpeg",
        "text/plain",
        "text/csv",
        "application/json",
        "application/xml",
        "message/rfc822",
    }
)


class EvidenceRefused(ValueError):
    """The document cannot be kept; the text names its size or type and what is allowed."""


def attach(
    *,
    book: Book,
    subject_id: str,
    filename: str,
    content_type: str,
    content: bytes,
    actor: Actor,
    now: datetime,
) -> Evidence:
    """Keep a document beside a record. Raises EvidenceRefused."""
    if not content or len(content) > EVIDENCE_BYTES_MAX:
        raise EvidenceRefused(
            f"{filename} has {len(content)} bytes; 1 to {EVIDENCE_BYTES_MAX} are accepted"
        )
    if content_type not in CONTENT_TYPES:
        raise EvidenceRefused(
            f"{filename} is {content_type}; accepted are {', '.join(sorted(CONTENT_TYPES))}"
        )
    key = crypto.data_key(book=book, scope=f"evidence:{now:%Y-%m-%d}")
    document = Evidence(
        book=book,
        subject_id=subject_id,
        filename=filename[-200:],
        content_type=content_type,
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        data_key=key,
        ciphertext=crypto.seal(key, content),
        added_by_id=actor.human(),
        created_at=now,
    )
    document.save(force_insert=True)
    audit.record(
        [
            audit.event(
                book=book,
                actor=actor,
                action="evidence.attached",
                subject_id=subject_id,
                now=now,
                evidence={"filename": document.filename, "sha256": document.sha256},
            )
        ]
    )
    return document


def content_of(document: Evidence) -> bytes:
    content = crypto.open_sealed(document.data_key, document.ciphertext)
    assert hashlib.sha256(content).hexdigest() == document.sha256, "stored evidence was changed"
    return content
