"""Bulk acts as jobs: a plan that is shown first, then one row after the other (F8).

Plans, begins, cancels and runs jobs of the kinds in `job_kinds`. The person's permission is looked
up anew before every row, so that a role revoked meanwhile refuses the rest. Each row is one
transaction with its outcome: a worker killed in between leaves both or neither, and the next one
goes on behind it.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import OperationalError, connection, transaction

from approvals.models import ApprovalRequest
from approvals.refusals import ApprovalRefused
from payops.core import clock, jobs
from payops.core.actors import Actor, service
from payops.core.jobs import Entry, JobRefused, Outcome
from payops.core.models import Book, Job, Message, Person, User
from payops.core.queues import Postpone
from payops.core.roles import Act, acts_of
from payops.core.state import StaleState
from payops.flows import governance
from payops.flows.job_kinds import KINDS, KeptRefusal, Kind, Planned

log = logging.getLogger(__name__)
ACTOR = service("jobs")
CHUNK = 100
BUDGET_S = 10.0
REFUSALS = (ValueError, ApprovalRefused, StaleState)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a job would act on, before it exists, row by row."""

    kind: Kind
    rows: list[Planned]

    @property
    def refused(self) -> list[Planned]:
        return [row for row in self.rows if row.refusal]

    @property
    def fit(self) -> int:
        return len(self.rows) - len(self.refused)

    @property
    def by_cause(self) -> list[tuple[str, int]]:
        return Counter(row.cause for row in self.rows).most_common()

    @property
    def title(self) -> str:
        return self.kind.title(len(self.rows))


def plan(*, kind: str, subject_ids: Sequence[str], book: Book, actor: Actor, now: datetime) -> Plan:
    """What would happen to each of the rows, in their order. Raises JobRefused; writes nothing."""
    row = KINDS.get(kind)
    if row is None:
        raise JobRefused(f"there is no kind of job called {kind!r}")
    _may(actor.person_id, row.needs, now)
    chosen = list(dict.fromkeys(subject_ids))
    if not chosen:
        raise JobRefused(f"no {row.noun} was chosen; tick rows, or take all that fit the filters")
    if len(chosen) > row.rows_max:
        raise JobRefused(
            f"{row.verb} takes at most {row.rows_max} rows at once and more were chosen; "
            "narrow the filters"
        )
    return Plan(row, row.look(book, chosen))


def start(
    *, plan: Plan, said: Mapping[str, Any], book: Book, actor: Actor, now: datetime
) -> Job | ApprovalRequest:
    """Begin the job that was shown, or ask for the approval it needs.

    `said` is what the kind asks for (a note, an owner, a moment). Raises JobRefused and, where an
    approval is asked for, ChangeRefused.
    """
    _may(actor.person_id, plan.kind.needs, now)
    arguments = plan.kind.check(said, now)
    if not plan.fit:
        raise JobRefused(f"none of the {len(plan.rows)} rows can be acted on; each says why")
    if plan.kind.act is None:
        return _ask_to_discard(plan, arguments["note"], book, actor, now)
    entries = [Entry(row.subject_id, row.label) for row in plan.rows]
    with transaction.atomic(durable=True):
        return jobs.create(
            book=book,
            kind=plan.kind.key,
            title=plan.title,
            arguments=arguments,
            entries=entries,
            actor=actor,
            now=now,
        )


def cancel(*, job_id: UUID, actor: Actor, now: datetime) -> Job:
    """Stop a job before its next row: whoever began it, or may do the same. Raises JobRefused."""
    with transaction.atomic(durable=True):
        job = Job.objects.get(pk=job_id)
        if job.person_id != actor.person_id:
            _may(actor.person_id, KINDS[job.kind].needs, now)
        return jobs.cancel(job_id=job_id, actor=actor, now=now)


def run(batch: list[Message], now: datetime) -> None:
    """Act on the rows of a job until they are done, canceled, or this turn is over."""
    for message in batch:
        with transaction.atomic(durable=True):
            job = jobs.take_up(job_id=message.payload["job_id"], actor=ACTOR, now=now)
        if job is not None:
            _work(job, until=time.monotonic() + BUDGET_S)


def _work(job: Job, *, until: float) -> None:
    while keys := jobs.waiting(job=job, limit=CHUNK):
        for key in keys:
            if jobs.cancel_asked(job):
                return _end(job)
            if time.monotonic() > until:
                raise Postpone("the job goes on with its next rows", clock.utc_now())
            _act(job, key)
    _end(job)


def _end(job: Job) -> None:
    with transaction.atomic(durable=True):
        jobs.end(job_id=job.pk, actor=ACTOR, now=clock.utc_now())


def _act(job: Job, key: UUID) -> None:
    """One row in one transaction with its outcome; what it refused or broke is written after."""
    kind, now = KINDS[job.kind], clock.utc_now()
    assert kind.act is not None, "a kind that only asks has no rows"
    try:
        with transaction.atomic(durable=True):
            row = jobs.hold(key)
            if row is None:
                return
            actor = _actor(job, kind.needs, now)
            words = kind.act(row.subject_id, job.arguments, actor, now)
            refused = isinstance(words, KeptRefusal)
            jobs.settle(row, Outcome.REFUSED if refused else Outcome.SUCCEEDED, words, now=now)
    except OperationalError as error:
        if not connection.is_usable():
            raise
        _settle(key, Outcome.FAILED, f"the database refused for now, try again: {error}", now)
    except REFUSALS as refusal:
        if type(refusal).__module__ != "builtins":
            _settle(key, Outcome.REFUSED, str(refusal), now)
        else:
            _broken(job, key, refusal, now)
    except Exception as error:  # noqa: BLE001 - one row's fault is told on that row alone
        _broken(job, key, error, now)


def _broken(job: Job, key: UUID, error: Exception, now: datetime) -> None:
    log.error("job %s row %s failed", job.public_id, key, exc_info=error)
    words = f"nothing was changed, trying again is safe: {type(error).__name__}: {error}"
    _settle(key, Outcome.FAILED, words, now)


def _settle(key: UUID, outcome: Outcome, words: str, now: datetime) -> None:
    with transaction.atomic(durable=True):
        row = jobs.hold(key)
        if row is not None:
            jobs.settle(row, outcome, words.replace("\x00", ""), now=now)


def _actor(job: Job, needs: Act, now: datetime) -> Actor:
    """The person behind the job, as they stand now."""
    _may(job.person_id, needs, now)
    login = User.objects.filter(username=job.login, person_id=job.person_id).first()
    if login is None or not login.is_active:
        raise JobRefused(f"the login {job.login} is switched off")
    return Actor(channel="job", person_id=job.person_id, login=job.login, user_id=login.pk)


def _may(person_id: UUID | None, act: Act, now: datetime) -> None:
    person = Person.objects.filter(pk=person_id).first() if person_id else None
    if person is None:
        raise JobRefused("a job is begun by a person")
    if person.left_at is not None and person.left_at <= now:
        raise JobRefused(f"{person.name} has left")
    if act not in acts_of(person.roles_at(now)):
        raise JobRefused(f"{person.name} may not {act.value} at {now:%Y-%m-%d %H:%M:%S} UTC")


def _ask_to_discard(
    plan: Plan, note: str, book: Book, actor: Actor, now: datetime
) -> ApprovalRequest:
    """One approval over exactly the events that are dead; the others are left out and were told."""
    events = sorted(row.subject_id for row in plan.rows if not row.refusal)
    return governance.propose(
        kind="dead_letter_discard",
        facts={"event_ids": events, "note": note},
        title=f"Discard {len(events)} dead letter{'' if len(events) == 1 else 's'}",
        reason=note,
        actor=actor,
        now=now,
        subject_id=events[0] if len(events) == 1 else _subject(events),
        book=book,
    )


def _subject(events: Sequence[str]) -> str:
    """What an approval over many events is about: the same events are the same subject."""
    return governance.subject_of("dead_letter_discard", {"name": ",".join(events)})
