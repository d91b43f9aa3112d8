"""The payout exception: from the proposal of a resolution to its execution, exactly once.

A person proposes; the plan with its consequences is what the approvers see and what the approval
is bound to; after the last decision the fixed runbook runs without further clicks: hold, entry,
ticket, notice, then the approved resolution. If anything the plan stands on has changed, the
approval is void and the case returns to its owner. Serves PX-1 to PX-12, RB-1 to RB-4, RB-7, S0.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from approvals import services as approvals
from approvals.models import ApprovalRequest
from payops.cases import services as cases
from payops.cases.models import Case, CaseEntry
from payops.cases.services import CaseRefused, Line
from payops.core import clock, ids, locks, state
from payops.core.actors import Actor, service
from payops.core.models import Message, Person
from payops.core.queues import Postpone
from payops.core.roles import LABELS, Role
from payops.flows import outside
from payops.flows.batch import protect_beneficiary, protective_key
from payops.flows.payouts import exception_steps, runbook
from payops.flows.payouts.exception_plan import (
    RULE,
    finding_of,
    payout_of,
    plan_facts,
    preview,
    was_released,
)
from payops.flows.payouts.resolutions import RESOLUTIONS
from payops.payments.models import Beneficiary, Hold, Payout
from payops.payments.services import release_hold

ACTOR = service("payout-exception")
KIND = "payout_exception"
FINISH_WAIT = timedelta(seconds=5)


def propose(
    *,
    case_id: UUID,
    resolution: str,
    hold_beneficiary: bool,
    reason: str,
    actor: Actor,
    now: datetime,
) -> ApprovalRequest:
    """Ask for the decision. Raises CaseRefused with every objection."""
    with transaction.atomic(durable=True):
        peek = payout_of(Case.objects.get(pk=case_id))
        locks.row(Beneficiary, peek.beneficiary_id)
        payout = locks.row(Payout, peek.pk)
        case = locks.row(Case, case_id)
        plan = preview(case=case, resolution=resolution, hold_beneficiary=hold_beneficiary, now=now)
        if plan.refusals:
            raise CaseRefused(" ".join(plan.refusals))
        requester = Person.objects.get(pk=actor.human())
        approval = approvals.request_approval(
            book=case.book,
            kind=KIND,
            subject_id=case.public_id,
            title=f"{RESOLUTIONS[resolution].label}: payout {payout.merchant_ref} of "
            f"{payout.amount} to {payout.beneficiary.name}",
            facts=plan.facts,
            reason=reason,
            actor=actor,
            now=now,
            requested_by=requester,
            amount=payout.amount,
            cumulative_key=payout.beneficiary.public_id,
            risk=payout.beneficiary.risk,
            barred=_barred(payout),
            consequences=[*plan.consequences, *({"kind": "step", **s} for s in plan.steps)],
        )
        case.ask_approval(approval_id=approval.public_id, resolution=resolution)
        state.save(case, actor=actor, now=now, action="case.resolution_proposed", reason=reason)
        words = f"proposed: {RESOLUTIONS[resolution].label}. {reason}"
        line = Line("proposal", f"proposal:{approval.public_id}", words, approval.public_id)
        cases.append(case, [line], actor=actor, now=now)
        return approval


def on_decided(approval: ApprovalRequest, now: datetime) -> None:
    """Carry the outcome of the request to its case; a granted one is executed at once."""
    if approval.state == ApprovalRequest.State.APPROVED:
        run = _begin_execution(approval, now)
        if run is None:
            return
        if runbook.resume(runbook=exception_steps.RUNBOOK, run=run, actor=ACTOR):
            _finish(run)
        return
    with transaction.atomic(durable=True):
        case = locks.row(Case, ids.parse(approval.subject_id, "cs")[1])
        _back_to_owner(case, approval, f"the request was {approval.state.lower()}", now)


def on_reissue_paid(batch: list[Message], now: datetime) -> None:
    """The re-issue arrived: the case that asked for it is resolved."""
    for message in batch:
        reissued = Payout.objects.get(pk=ids.parse(message.payload["payout_id"], "po")[1])
        original = reissued.reissue_of
        assert original is not None
        open_cases = Case.objects.filter(subject_id=original.public_id, rule=RULE)
        if open_cases.filter(state=Case.State.EXECUTING).exists():
            raise Postpone("the runbook that re-issued has not finished", now + FINISH_WAIT)
        waiting = open_cases.filter(state=Case.State.WAITING).values_list("pk", flat=True)
        for case in locks.rows(Case, waiting).values():
            _resolve(case, f"re-issued as {reissued.merchant_ref}, which was paid", ACTOR, now)


def resolve_waiting(*, case_id: UUID, reason: str, actor: Actor, now: datetime) -> Case:
    """Close a waiting case whose follow-up is done."""
    with transaction.atomic(durable=True):
        case = locks.row(Case, case_id)
        if case.state != Case.State.WAITING or not reason.strip():
            raise CaseRefused(
                f"{case.public_id} is {case.state}; closing needs a waiting case and a reason"
            )
        if open_amount := _unreturned(case):
            raise CaseRefused(
                f"{open_amount} still stands in returned payouts payable; propose “release” or "
                "“re-issue” so that it is cleared first"
            )
        return _resolve(case, reason, actor, now)


def dismiss(*, case_id: UUID, reason: str, actor: Actor, now: datetime) -> Case:
    """Close a case that moved no money; a payout failure is never dismissed."""
    with transaction.atomic(durable=True):
        case = locks.row(Case, case_id)
        if case.rule == RULE or case.state not in (Case.State.OPEN, Case.State.TRIAGED):
            raise CaseRefused(
                f"{case.public_id} ({case.rule}, {case.state}) cannot be dismissed; "
                "a payout failure is resolved by a decision"
            )
        if not reason.strip():
            raise CaseRefused("dismissing a case needs a reason")
        case.reject(at=now)
        state.save(case, actor=actor, now=now, action="case.dismissed", reason=reason)
        cases.append(case, [Line("closed", "dismissed", reason)], actor=actor, now=now)
        return case


def open_members(*, case_id: UUID, actor: Actor, now: datetime) -> int:
    """Open the single cases a storm was gathered into; answers how many (D11)."""
    with transaction.atomic(durable=True):
        members = CaseEntry.objects.filter(case_id=case_id, kind="storm_member")
        keys = [ids.parse(m.refers_to, "po")[1] for m in members if m.refers_to.startswith("po_")]
        sellers = Payout.objects.filter(pk__in=keys).values_list("beneficiary_id", flat=True)
        locks.rows(Beneficiary, sellers)
        waiting = [p for p in locks.rows(Payout, keys).values() if p.state == p.State.EXCEPTION]
        systemic = locks.row(Case, case_id)
        if systemic.rule != "systemic" or systemic.state in Case.CLOSED:
            raise CaseRefused(f"{systemic.public_id} is not an open systemic case")
        for payout in waiting:
            finding = finding_of(payout, now)
            case = cases.open_split(finding, actor=actor, now=now)
            told = finding.disposition
            protect_beneficiary(case, payout, disposition=told, actor=actor, now=now)
            _hand_over_hold(systemic, case, payout, actor, now)
        systemic.resolve(at=now)
        words = f"{len(waiting)} single cases opened"
        state.save(systemic, actor=actor, now=now, action="case.split", reason=words)
        line = Line("closed", f"split:{now.isoformat()}", words)
        cases.append(systemic, [line], actor=actor, now=now)
        return len(waiting)


def _hand_over_hold(
    systemic: Case, case: Case, payout: Payout, actor: Actor, now: datetime
) -> None:
    """The single case has its own hold now; the storm's lifts only its own (D7)."""
    key = protective_key(systemic, payout)
    held = Hold.objects.filter(book=systemic.book, key=key, released_at=None).first()
    if held is not None:
        words = f"handed over to {case.public_id}"
        release_hold(hold_key=held.pk, reason=words, actor=actor, now=now)


def _barred(payout: Payout) -> list[UUID]:
    """Whoever changed the bank details may not approve money to them (D5)."""
    changed_by = payout.beneficiary.bank_changed_by_id
    return [changed_by] if changed_by else []


def _begin_execution(approval: ApprovalRequest, now: datetime) -> runbook.RunbookRun | None:
    """Re-check everything under locks, bind the run to the approval; None when it is void now."""
    with transaction.atomic(durable=True):
        case_key = ids.parse(approval.subject_id, "cs")[1]
        peek = payout_of(Case.objects.get(pk=case_key))
        locks.row(Beneficiary, peek.beneficiary_id)
        payout = locks.row(Payout, peek.pk)
        case = locks.row(Case, case_key)
        known = runbook.RunbookRun.objects.filter(
            book=case.book, approval_id=approval.public_id
        ).first()
        if known is not None:
            return known
        facts = plan_facts(
            case, payout, approval.facts["resolution"], approval.facts["hold_beneficiary"]
        )
        fresh_hash = approvals.content_hash_of(KIND, case.public_id, facts, payout.amount)
        if fresh_hash != approval.content_hash or case.approval_id != approval.public_id:
            reason = "what was approved is no longer what would be done"
            approvals.void(request_id=approval.pk, reason=reason, actor=ACTOR, now=now)
            _back_to_owner(case, approval, reason, now)
            return None
        approvals.begin_execution(
            request_id=approval.pk, content_hash=fresh_hash, now=now, actor=ACTOR
        )
        _tell_decision(case, approval, now)
        case.approve()
        state.save(case, actor=ACTOR, now=now, action="case.approved")
        case.execute()
        state.save(case, actor=ACTOR, now=now, action="case.execution_started")
        return runbook.start(
            runbook=exception_steps.RUNBOOK,
            case=case,
            approval_id=approval.public_id,
            plan=facts,
            now=now,
        )


def _finish(run: runbook.RunbookRun) -> None:
    now = clock.utc_now()
    with transaction.atomic(durable=True):
        case = locks.row(Case, run.case_id)
        if case.state != Case.State.EXECUTING:
            return
        run.outcome = "done"
        run.finished_at = now
        run.save()
        resolution = RESOLUTIONS[run.plan["resolution"]]
        if not resolution.waits:
            _resolve(case, f"{resolution.label}: done", ACTOR, now)
            return
        case.wait()
        state.save(case, actor=ACTOR, now=now, action="case.waiting", reason=resolution.label)


def _resolve(case: Case, reason: str, actor: Actor, now: datetime) -> Case:
    case.resolve(at=now)
    state.save(case, actor=actor, now=now, action="case.resolved", reason=reason)
    key = f"resolved:{case.approval_id}"
    cases.append(case, [Line("closed", key, reason)], actor=actor, now=now)
    outside.tell_closed(case=case, entry_key=key, now=now)
    return case


def _unreturned(case: Case) -> str:
    """The payout's amount while it stands in 2200, "" once it was released."""
    if case.rule != RULE:
        return ""
    payout = payout_of(case)
    booked = payout.state in (Payout.State.FAILED, Payout.State.RETURNED)
    return str(payout.amount) if booked and not was_released(payout) else ""


def _back_to_owner(case: Case, approval: ApprovalRequest, reason: str, now: datetime) -> None:
    if case.approval_id != approval.public_id or case.state != Case.State.AWAITING_APPROVAL:
        return
    _tell_decision(case, approval, now)
    case.return_to_triage()
    state.save(case, actor=ACTOR, now=now, action="case.returned_to_owner", reason=reason)


def _tell_decision(case: Case, approval: ApprovalRequest, now: datetime) -> None:
    lines = [
        Line(
            "decision",
            f"decision:{decision.public_id}",
            f"{decision.person.name} ({LABELS[Role(decision.seat)]}) chose to {decision.verdict}: "
            f"{decision.reason}",
            decision.public_id,
            at=decision.created_at,
        )
        for decision in approval.decisions.select_related("person").order_by("created_at")
    ]
    if approval.void_reason:
        key = f"void:{approval.public_id}"
        lines.append(Line("decision", key, f"approval void: {approval.void_reason}"))
    cases.append(case, lines, actor=ACTOR, now=now)
