"""Many rows acted on in the background: a job, its rows, one outcome per row (F8).

Owns the two tables: creating a job with its rows and the news that starts it, taking it up, the
outcome of a row, canceling, the end. Never knows what a kind of job does; that is
`payops.flows.jobs`. A row's outcome is written in the transaction of its act, so that a worker
killed in between leaves both or neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from django.db import connection
from django.db.models import F

from payops.core import audit, messages
from payops.core.actors import Actor
from payops.core.messages import News
from payops.core.models import Book, Job, JobRow

TOPIC = "job.run"
ROWS_MAX = 5000
WORDS_MAX = 400
Outcome = JobRow.Outcome
ENDED = frozenset({Job.State.DONE, Job.State.CANCELED})
COUNTED = {Outcome.SUCCEEDED: "succeeded", Outcome.REFUSED: "refused", Outcome.FAILED: "failed"}
CANCELED_WORDS = "not begun: the job was canceled"


class JobRefused(ValueError):
    """The job cannot be made or canceled; says which rule stands against it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One row to act on, by the id its kind of job understands."""

    subject_id: str
    label: str = ""


def create(
    *,
    book: Book,
    kind: str,
    title: str,
    arguments: dict[str, Any],
    entries: Sequence[Entry],
    actor: Actor,
    now: datetime,
) -> Job:
    """A queued job with its rows; it begins after the commit. Raises JobRefused."""
    assert connection.in_atomic_block, "a job is created with its rows and its news"
    if not entries:
        raise JobRefused("a job needs at least one row; none was chosen")
    if len(entries) > ROWS_MAX:
        raise JobRefused(f"a job has at most {ROWS_MAX} rows; {len(entries)} were chosen")
    job = Job.objects.create(
        book=book,
        kind=kind,
        title=title[:160],
        arguments=arguments,
        person_id=actor.human(),
        login=actor.login,
        total=len(entries),
        trace_id=uuid4().hex,
        created_at=now,
    )
    JobRow.objects.bulk_create(
        [
            JobRow(
                book=book,
                job=job,
                position=position,
                subject_id=entry.subject_id,
                label=entry.label[:160],
                created_at=now,
            )
            for position, entry in enumerate(entries, start=1)
        ],
        batch_size=1000,
    )
    _audit(job, "job.created", actor, now, from_state="", reason=job.title)
    news = News(book, TOPIC, job.public_id, {"job_id": job.public_id}, job.trace_id)
    messages.send([news], now=now)
    return job


def take_up(*, job_id: str, actor: Actor, now: datetime) -> Job | None:
    """The job to work on, RUNNING; None when it has ended."""
    assert connection.in_atomic_block
    job = _locked(Job.key_of(job_id))
    if job.state in ENDED:
        return None
    if job.state == Job.State.QUEUED:
        job.state, job.started_at = Job.State.RUNNING, now
        job.save(update_fields=["state", "started_at"])
        _audit(job, "job.started", actor, now, from_state=Job.State.QUEUED)
    return job


def waiting(*, job: Job, limit: int) -> list[UUID]:
    """The next rows nobody has acted on yet, in their order."""
    rows = JobRow.objects.filter(job=job, outcome=Outcome.WAITING).order_by("position")
    return list(rows.values_list("pk", flat=True)[:limit])


def hold(key: UUID) -> JobRow | None:
    """The row, locked for this transaction; None when it has an outcome already."""
    assert connection.in_atomic_block
    rows = JobRow.objects.select_for_update(no_key=True).filter(pk=key, outcome=Outcome.WAITING)
    return rows.first()


def settle(row: JobRow, outcome: Outcome, words: str, *, now: datetime) -> None:
    """Write the outcome of a held row and count it."""
    assert connection.in_atomic_block, "an outcome is written with its act"
    row.outcome, row.words, row.finished_at = outcome, words[:WORDS_MAX], now
    row.save(update_fields=["outcome", "words", "finished_at"])
    column = COUNTED[outcome]
    Job.objects.filter(pk=row.job_id).update(**{column: F(column) + 1})


def cancel(*, job_id: UUID, actor: Actor, now: datetime) -> Job:
    """Stop before the next row; a job nobody has begun ends at once. Raises JobRefused."""
    assert connection.in_atomic_block
    job = _locked(job_id)
    if job.state in ENDED:
        raise JobRefused(f"{job.public_id} is {job.state} already; nothing is left to cancel")
    if job.cancel_asked_at is None:
        job.cancel_asked_at = now
        job.save(update_fields=["cancel_asked_at"])
        _audit(job, "job.cancel_asked", actor, now, from_state=job.state)
    if job.state == Job.State.QUEUED:
        _end(job, actor=actor, now=now)
    return job


def cancel_asked(job: Job) -> bool:
    return Job.objects.filter(pk=job.pk).exclude(cancel_asked_at=None).exists()


def end(*, job_id: UUID, actor: Actor, now: datetime) -> Job:
    """DONE when every row has its outcome, CANCELED when rows are left that nobody will act on."""
    assert connection.in_atomic_block
    job = _locked(job_id)
    if job.state not in ENDED:
        _end(job, actor=actor, now=now)
    return job


def _end(job: Job, *, actor: Actor, now: datetime) -> None:
    left = JobRow.objects.filter(job=job, outcome=Outcome.WAITING)
    skipped = left.update(outcome=Outcome.SKIPPED, words=CANCELED_WORDS, finished_at=now)
    assert not skipped or job.cancel_asked_at, "rows are left only by a cancel"
    was, job.finished_at = job.state, now
    job.state = Job.State.CANCELED if skipped else Job.State.DONE
    if was == Job.State.QUEUED:
        job.state = Job.State.CANCELED
    job.save(update_fields=["state", "finished_at"])
    counts = {name: getattr(job, name) for name in COUNTED.values()} | {"skipped": skipped}
    _audit(job, f"job.{job.state.lower()}", actor, now, from_state=was, evidence=counts)


def _locked(key: UUID) -> Job:
    return Job.objects.select_for_update(no_key=True).select_related("book").get(pk=key)


def _audit(
    job: Job,
    action: str,
    actor: Actor,
    now: datetime,
    *,
    from_state: str,
    reason: str = "",
    evidence: dict[str, Any] | None = None,
) -> None:
    audit.record(
        [
            audit.event(
                book=job.book,
                actor=actor,
                action=action,
                subject_id=job.public_id,
                now=now,
                from_state=str(from_state),
                to_state=str(job.state),
                reason=reason,
                evidence=evidence or {"kind": job.kind, "rows": job.total},
                trace_id=job.trace_id,
            )
        ]
    )
