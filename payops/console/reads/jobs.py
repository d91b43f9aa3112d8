"""What the job screens show: jobs by their filters, one job with its rows and outcomes (F8)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.utils.safestring import SafeString

from payops.console import svg, wording
from payops.console.exports import Columns
from payops.console.filters import Control, Filters, choices
from payops.console.formats import Fact, facts_of, id_fact
from payops.console.reads.sent_again import Now, SentAgain, sent_again, states_now
from payops.core import jobs
from payops.core.models import Book, Job, JobRow, Message
from payops.flows.job_kinds import KINDS

KIND_CHOICES = [(kind.key, f"{kind.verb} {kind.noun}s") for kind in KINDS.values() if kind.act]
CONTROLS = (
    Control("state", "State", "select", choices([(s, wording.state(s)) for s in Job.State.values])),
    Control("kind", "Kind", "select", choices(KIND_CHOICES)),
    Control("whose", "Begun by", "select", choices([("me", "Me")], any_label="Anyone")),
    Control("unfit", "With rows that did not succeed", "check"),
)
# How the outcome of a line begins that became a record.
MADE = re.compile(r"[a-z]{2}_[0-9a-f]{32}")
OUTCOMES = [(value, wording.state(value)) for value in JobRow.Outcome.values]
ROW_CONTROLS = (Control("outcome", "Outcome", "select", choices(OUTCOMES)),)
CSV: Columns = (
    ("position", "position"),
    ("subject", "subject_id"),
    ("label", "label"),
    ("outcome", "outcome"),
    ("words", "words"),
    ("finished_at", "finished_at"),
)


def listed(book: Book, wanted: Filters, *, person_id: UUID | None) -> QuerySet[Job]:
    rows = Job.objects.filter(book=book).select_related("person")
    for name in ("state", "kind"):
        if wanted[name]:
            rows = rows.filter(**{name: wanted[name]})
    if wanted["whose"]:
        rows = rows.filter(person_id=person_id)
    if wanted["unfit"]:
        rows = rows.exclude(refused=0, failed=0)
    return rows


def rows_of(job: Job, wanted: Filters) -> QuerySet[JobRow]:
    rows = JobRow.objects.filter(job=job)
    return rows.filter(outcome=wanted["outcome"]) if wanted["outcome"] else rows


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is; `ended` stops the page from asking again."""

    job: Job
    done: int
    percent: int
    bar: SafeString
    ended: bool
    stopping: bool
    stuck: bool
    skipped: int
    again: SentAgain | None = None

    @property
    def live(self) -> bool:
        """The page asks again: the job goes on, or rows it sent again have no verdict yet."""
        return not self.ended or bool(self.again and self.again.waiting)

    @property
    def succeeded_words(self) -> str:
        return "Sent again" if self.again else "Succeeded"


@dataclass(frozen=True, slots=True)
class RowNow:
    """One row of a job and, where it was sent again, how its subject stands now."""

    row: JobRow
    now: Now | None

    @property
    def subject(self) -> str:
        """What the row is about: a line of a file is what it became, once it became something."""
        if ":" not in self.row.subject_id:
            return self.row.subject_id
        found = MADE.match(self.row.words)
        return found[0] if found else ""

    @property
    def words(self) -> str:
        """What came of it, without the id that stands beside it."""
        said = self.row.words
        return said if self.subject == self.row.subject_id else said.removeprefix(self.subject)


def with_now(job: Job, rows: Sequence[JobRow]) -> list[RowNow]:
    states = states_now(job, rows)
    return [RowNow(row, states.get(row.subject_id)) for row in rows]


def progress(job: Job) -> Progress:
    """What a list shows of a job; `followed` looks at its rows as well."""
    return _progress(job, None)


def followed(job: Job) -> Progress:
    return _progress(job, sent_again(job))


def _progress(job: Job, again: SentAgain | None) -> Progress:
    done = job.succeeded + job.refused + job.failed
    ended = job.state in jobs.ENDED
    percent = 100 * done // job.total if job.total else 100
    words = f"{done} of {job.total} rows have their outcome"
    fine = done == job.succeeded and not (again and again.dead)
    tone = "good" if fine else "warn"
    return Progress(
        job=job,
        done=done,
        percent=percent,
        bar=svg.meter(percent=percent, tone=tone, label=words),
        ended=ended,
        stopping=not ended and job.cancel_asked_at is not None,
        stuck=not ended and _is_stuck(job),
        skipped=job.total - done if ended else 0,
        again=again,
    )


def _is_stuck(job: Job) -> bool:
    """Its own news died: nobody works on it until that message is redriven."""
    rows = Message.objects.filter(book_id=job.book_id, topic=jobs.TOPIC, key=job.public_id)
    return rows.filter(state=Message.State.DEAD).exists()


def facts(job: Job) -> list[Fact]:
    said: dict[str, Any] = job.arguments
    return facts_of(
        id_fact("Job", job.public_id),
        Fact("Begun by", f"{job.person.name} ({job.login})"),
        Fact("Begun", job.created_at, "when"),
        Fact("First row", job.started_at, "when"),
        Fact("Ended", job.finished_at, "when"),
        Fact("Note", said.get("note", "")),
        Fact("Owner", said.get("owner_name", "")),
        Fact("Until", said.get("until", "")),
        Fact("File", said.get("file", "")),
        id_fact("Trace", job.trace_id),
    )
