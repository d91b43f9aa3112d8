"""What people do with a case beside deciding: own it, comment, snooze, attach evidence (PX-9)."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import transaction

from payops.cases import services as cases
from payops.cases.models import Case
from payops.cases.services import Line
from payops.core import evidence, locks
from payops.core.actors import Actor
from payops.core.models import Evidence, Person


def assign(*, case_id: UUID, person_id: UUID | None, actor: Actor, now: datetime) -> Case:
    with transaction.atomic(durable=True):
        owner = Person.objects.get(pk=person_id) if person_id else None
        return cases.assign(case=locks.row(Case, case_id), owner=owner, actor=actor, now=now)


def comment(*, case_id: UUID, text: str, actor: Actor, now: datetime) -> None:
    with transaction.atomic(durable=True):
        cases.comment(case=locks.row(Case, case_id), text=text, actor=actor, now=now)


def snooze(*, case_id: UUID, until: datetime, note: str, actor: Actor, now: datetime) -> Case:
    with transaction.atomic(durable=True):
        case = locks.row(Case, case_id)
        return cases.snooze(case=case, until=until, note=note, actor=actor, now=now)


def attach(
    *,
    case_id: UUID,
    filename: str,
    content_type: str,
    content: bytes,
    actor: Actor,
    now: datetime,
) -> Evidence:
    """Keep a document with the case and say so on its timeline. Raises EvidenceRefused."""
    with transaction.atomic(durable=True):
        case = locks.row(Case, case_id)
        document = evidence.attach(
            book=case.book,
            subject_id=case.public_id,
            filename=filename,
            content_type=content_type,
            content=content,
            actor=actor,
            now=now,
        )
        words = f"attached {document.filename} (sha256 {document.sha256[:16]}…)"
        line = Line("evidence", f"evidence:{document.pk}", words, facts={"sha256": document.sha256})
        cases.append(case, [line], actor=actor, now=now)
        return document
