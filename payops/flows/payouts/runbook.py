"""The runbook engine: fixed steps in fixed order, each recorded, each done exactly once (RB-1..4).

A step and its effect share one transaction, so a crash leaves either both or neither; a re-run
resumes behind the finished ones. A step that asks the outside (`asks`) does so before its
transaction and may be asked again. Never decides anything: the plan was approved by people.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from ledger.errors import LateApprovalNeeded
from payops.cases import services as cases
from payops.cases.models import Case, RunbookRun, RunbookStep
from payops.cases.services import Line
from payops.core import audit, clock
from payops.core.actors import Actor
from payops.flows import late_postings

Status = RunbookStep.Status
STEP_ATTEMPTS_MAX = 12


class StepRefused(Exception):
    """The step can never succeed as planned; the runbook's stop policy takes over."""


@dataclass(frozen=True, slots=True)
class StepContext:
    run: RunbookRun
    step: RunbookStep
    plan: dict[str, Any]
    answer: dict[str, Any]
    actor: Actor
    now: datetime


@dataclass(frozen=True, slots=True)
class Step:
    """`act` runs in the step's transaction and answers what is recorded as its response.

    `asks` (optional) runs before it, outside any transaction; its answer is handed to `act`.
    """

    name: str
    words: str
    act: Callable[[StepContext], dict[str, Any]]
    asks: Callable[[RunbookRun], dict[str, Any]] | None = None


@dataclass(frozen=True, slots=True)
class Runbook:
    """`steps` chooses the steps of a plan, deterministically: same input, same steps (RB-2)."""

    name: str
    version: str
    steps: Callable[[dict[str, Any]], Sequence[Step]]
    on_refused: Callable[[RunbookRun, RunbookStep, str, datetime], None]


def plan_hash(plan: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()


def start(
    *, runbook: Runbook, case: Case, approval_id: str, plan: dict[str, Any], now: datetime
) -> RunbookRun:
    """The one run of an approval, with all its steps pending; asking again returns it."""
    known = RunbookRun.objects.filter(book=case.book, approval_id=approval_id).first()
    if known is not None:
        return known
    run = RunbookRun.objects.create(
        book=case.book,
        case=case,
        approval_id=approval_id,
        runbook=runbook.name,
        version=runbook.version,
        plan=plan,
        plan_hash=plan_hash(plan),
        created_at=now,
    )
    for position, step in enumerate(runbook.steps(plan), start=1):
        RunbookStep.objects.create(
            book=case.book,
            run=run,
            position=position,
            name=step.name,
            key=f"{approval_id}:{step.name}",
            request={"words": step.words, "plan_hash": run.plan_hash},
            created_at=now,
        )
    return run


def resume(*, runbook: Runbook, run: RunbookRun, actor: Actor) -> bool:
    """Run what is not finished yet, in order; True when the whole run is done."""
    table = {step.name: step for step in runbook.steps(run.plan)}
    for row in run.steps.order_by("position"):
        if row.status in (Status.DONE, Status.SKIPPED):
            continue
        if row.status == Status.FAILED:
            return False
        if not _run_step(runbook, table[row.name], run, row, actor):
            return False
    return True


def _run_step(
    runbook: Runbook, step: Step, run: RunbookRun, row: RunbookStep, actor: Actor
) -> bool:
    attempts = _count_attempt(row)
    try:
        answer = step.asks(run) if step.asks else {}
        with transaction.atomic(durable=True):
            held = RunbookStep.objects.select_for_update().get(pk=row.pk)
            if held.status == Status.DONE:
                return True
            now = clock.utc_now()
            context = StepContext(run, held, run.plan, answer, actor, now)
            held.response = step.act(context)
            held.status = Status.DONE
            held.done_at = now
            held.error = ""
            held.save()
            _tell(run, held, f"{step.words}: done", actor, now)
        return True
    except StepRefused as refusal:
        _stop(runbook, run, row, str(refusal), actor, refusal.__cause__)
        return False
    except Exception as error:
        _note_error(row, error)
        if attempts < STEP_ATTEMPTS_MAX:
            raise
        _stop(runbook, run, row, f"given up after {attempts} attempts: {error}", actor)
        return False


def _count_attempt(row: RunbookStep) -> int:
    with transaction.atomic(durable=True):
        held = RunbookStep.objects.select_for_update().get(pk=row.pk)
        if held.status != Status.DONE:
            held.attempts += 1
            held.save(update_fields=["attempts"])
        return held.attempts


def _note_error(row: RunbookStep, error: Exception) -> None:
    with transaction.atomic(durable=True):
        held = RunbookStep.objects.select_for_update().get(pk=row.pk)
        held.error = f"{type(error).__name__}: {error}"[:2000]
        held.save(update_fields=["error"])


def _stop(
    runbook: Runbook,
    run: RunbookRun,
    row: RunbookStep,
    why: str,
    actor: Actor,
    cause: BaseException | None = None,
) -> None:
    """A refused step ends the run; what the policy allows is rolled back in one transaction.

    An entry whose month is closed is kept for finance to grant it a day before the next run.
    """
    now = clock.utc_now()
    with transaction.atomic(durable=True):
        if isinstance(cause, LateApprovalNeeded):
            late_postings.note([cause], now=now)
        held = RunbookStep.objects.select_for_update().get(pk=row.pk)
        held.status = Status.FAILED
        held.error = why[:2000]
        held.save()
        run.outcome = "stopped"
        run.finished_at = now
        run.save()
        _tell(run, held, f"{held.name} was refused: {why}", actor, now)
        runbook.on_refused(run, held, why, now)


def _tell(run: RunbookRun, step: RunbookStep, text: str, actor: Actor, now: datetime) -> None:
    line = Line("step", f"step:{step.key}:{step.status}", text, facts={"response": step.response})
    cases.append(run.case, [line], actor=actor, now=now)
    audit.record(
        [
            audit.event(
                book=run.book,
                actor=actor,
                action=f"runbook.step_{step.status.lower()}",
                subject_id=run.case.public_id,
                now=now,
                reason=text,
                evidence={
                    "step": step.name,
                    "key": step.key,
                    "approval_id": run.approval_id,
                    "runbook": f"{run.runbook} {run.version}",
                },
            )
        ]
    )
