"""The payout exception: from the proposal of a resolution to its execution, exactly once.

A person proposes; the plan with its consequences is what the approvers see and what the approval
is bound to; after the last decision the fixed runbook runs without further clicks: hold, entry,
ticket, notice, then the approved resolution. If anything the plan stands on has changed, the
approval is void and the case returns to its owner. Serves PX-1 to PX-12, RB-1 to RB-4, RB-7, S0.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction

from approvals import services as approvals
from approvals.models import ApprovalRequest
from ledger import posting
from payops.cases import services as cases
from payops.cases.models import Case, CaseEntry
from payops.cases.services import CaseRefused, Finding, Line
from payops.core import clock, ids, locks, state
from payops.core.actors import Actor, service
from payops.core.models import Message, Person
from payops.core.roles import LABELS, Role
from payops.core.queues import Postpone
from payops.flows import exception_steps, fx, payout_postings, runbook
from payops.flows.batch import protect_beneficiary
from payops.flows.payout import consequence_of
from payops.flows.resolutions import RESOLUTIONS
from payops.payments.models import Beneficiary, Payout
from payops.payments.services import cooled_down, verification_is_newer
from payops.psp import registry
from payops.psp.base import FailureCause

ACTOR = service("payout-exception")
KIND = "payout_exception"
RULE = "payout_failure"
FINISH_WAIT = timedelta(seconds=5)
PROPOSABLE = (Case.State.OPEN, Case.State.TRIAGED, Case.State.WAITING)


@dataclass(frozen=True, slots=True)
class Plan:
    """What would happen, for people and for the hash; `refusals` forbid proposing it."""

    facts: dict[str, Any]
    consequences: list[dict[str, Any]]
    steps: list[dict[str, str]]
    refusals: list[str]
    warnings: list[str]


def preview(*, case: Case, resolution: str, hold_beneficiary: bool, now: datetime) -> Plan:
    """Everything a decision would cause: holds, journal lines, ticket, notice, next steps (F7)."""
    payout = _payout_of(case)
    facts = plan_facts(case, payout, resolution, hold_beneficiary)
    consequences = [{"kind": "hold", "words": f"hold payout {payout.merchant_ref}"}]
    if hold_beneficiary:
        words = f"hold every payout to {payout.beneficiary.name}"
        consequences.append({"kind": "hold", "words": words})
    if facts["template"]:
        consequences.append(consequence_of(payout_postings.compensation(payout, _NO_REFS, now)))
    if resolution in ("release", "reissue"):
        consequences.append(consequence_of(payout_postings.released(payout, _NO_REFS, now)))
    steps = [{"name": s.name, "words": s.words} for s in exception_steps.steps_of(facts)]
    return Plan(facts, consequences, steps, *_objections(case, payout, resolution, now))


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
        seller = _payout_of(Case.objects.get(pk=case_id)).beneficiary_id
        locks.row(Beneficiary, seller)
        payout = locks.row(Payout, _payout_of(Case.objects.get(pk=case_id)).pk)
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


def plan_facts(
    case: Case, payout: Payout, resolution: str, hold_beneficiary: bool
) -> dict[str, Any]:
    """What the approval is bound to (D6); recomputed before execution."""
    booked = payout.state in (Payout.State.FAILED, Payout.State.RETURNED)
    unposted = booked or resolution == "restore"
    template, variant = ("", "") if unposted else payout_postings.compensation_template(payout)
    return {
        "runbook": exception_steps.NAME,
        "version": exception_steps.VERSION,
        "case": case.public_id,
        "payout": payout.public_id,
        "merchant_ref": payout.merchant_ref,
        "amount_minor": payout.amount_minor,
        "currency": payout.currency,
        "beneficiary": payout.beneficiary.public_id,
        "bank_hash": payout.beneficiary.bank_hash,
        "resolution": resolution,
        "hold_beneficiary": hold_beneficiary,
        "template": template,
        "template_variant": variant,
        "template_version": payout_postings.TEMPLATE_VERSION,
        "failure_code": payout.failure_code,
    }


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
            case = cases.open_split(finding_of(payout, now), actor=actor, now=now)
            protect_beneficiary(case, payout, actor=actor, now=now)
        systemic.resolve(at=now)
        words = f"{len(waiting)} single cases opened"
        state.save(systemic, actor=actor, now=now, action="case.split", reason=words)
        line = Line("closed", f"split:{now.isoformat()}", words)
        cases.append(systemic, [line], actor=actor, now=now)
        return len(waiting)


def finding_of(payout: Payout, now: datetime, trace_id: str = "") -> Finding:
    """The finding of a failed or returned payout; its period is that of the first failure (D10)."""
    cause = _cause_of(payout)
    first = clock.business_day(payout.failed_at or now, time_zone=payout.book.time_zone)
    return Finding(
        book=payout.book,
        rule=RULE,
        fingerprint=payout.public_id,
        period=clock.period_of(first),
        subject_id=payout.public_id,
        title=f"Payout {payout.merchant_ref} of {payout.amount} to {payout.beneficiary.reference}: "
        f"{payout.failure_code or 'failure without a code'}",
        amount_minor=payout.amount_minor,
        currency=payout.currency,
        reporting_minor=fx.reporting_minor(payout.amount, payout.book, now),
        root_cause=cause.root_cause,
        disposition=cause.disposition,
        trace_id=trace_id,
    )


_NO_REFS = posting.Refs()


def _cause_of(payout: Payout) -> FailureCause:
    return registry.failure_cause(
        provider=payout.account.provider, code=payout.failure_code or None
    )


def _payout_of(case: Case) -> Payout:
    if case.rule != RULE:
        raise CaseRefused(f"{case.public_id} is about {case.rule}, not about a failed payout")
    return Payout.objects.select_related("beneficiary", "account", "book").get(
        pk=ids.parse(case.subject_id, "po")[1]
    )


def _objections(
    case: Case, payout: Payout, resolution: str, now: datetime
) -> tuple[list[str], list[str]]:
    refusals, warnings = [], []
    if case.state not in PROPOSABLE:
        refusals.append(f"The case is {case.state}; only an open or waiting case takes a proposal.")
    chosen = RESOLUTIONS.get(resolution)
    if chosen is None:
        return [f"{resolution!r} is not a resolution: {', '.join(RESOLUTIONS)}."], []
    if _cause_of(payout).disposition not in chosen.dispositions:
        refusals.append(
            f"“{chosen.label}” is not open for a cause of compliance ({payout.failure_code})."
        )
    if resolution == "reissue":
        refusals += _reissue_objections(payout, now)
    if resolution == "restore":
        refusals += _restore_objections(payout)
    if resolution in ("release", "reissue") and _was_released(payout):
        refusals.append(f"Payout {payout.merchant_ref} was released from 2200 already.")
    if payout.paid_at and not payout.money_back_at:
        warnings.append("The money is not back yet; it is carried in 1200 until it is.")
    return refusals, warnings


def _reissue_objections(payout: Payout, now: datetime) -> list[str]:
    found = []
    seller, failed_at = payout.beneficiary, payout.failed_at or now
    if Payout.objects.filter(reissue_of=payout).exists():
        found.append(f"Payout {payout.merchant_ref} was re-issued already; once is the limit.")
    if not verification_is_newer(seller, failed_at):
        found.append(
            f"{seller.name}'s details were last verified {seller.verified_at or 'never'}; verify "
            f"them after the failure of {failed_at:%Y-%m-%d %H:%M} UTC first."
        )
    if not cooled_down(seller, now):
        found.append(f"New bank details cool down until {seller.payable_from:%Y-%m-%d %H:%M} UTC.")
    cause = _cause_of(payout)
    if cause.disposition == "new_details" and seller.bank_changed_at <= failed_at:
        found.append(
            f"{cause.words} The same details cannot succeed; request new bank details first."
        )
    return found


def _restore_objections(payout: Payout) -> list[str]:
    """Back to the state before only where policy allows and nothing was booked (PX-12)."""
    if not payout.book.hold_rollback_allowed:
        return [f"The policy of {payout.book.name} does not allow a payout to be restored."]
    if payout.state != Payout.State.EXCEPTION or payout.exception_from != Payout.State.PAID:
        return [
            f"Payout {payout.merchant_ref} is {payout.state}; only one that was PAID before its "
            "exception is restored."
        ]
    if payout.money_back_at is not None:
        return [f"The money of {payout.merchant_ref} came back; it was not delivered."]
    return []


def _was_released(payout: Payout) -> bool:
    entry = posting.predecessor(
        book=payout.book, event_class="payout.released", subject_id=payout.public_id
    )
    return entry is not None


def _barred(payout: Payout) -> list[UUID]:
    """Whoever changed the bank details may not approve money to them (D5)."""
    changed_by = payout.beneficiary.bank_changed_by_id
    return [changed_by] if changed_by else []


def _begin_execution(approval: ApprovalRequest, now: datetime) -> runbook.RunbookRun | None:
    """Re-check everything under locks, bind the run to the approval; None when it is void now."""
    with transaction.atomic(durable=True):
        case_key = ids.parse(approval.subject_id, "cs")[1]
        peek = _payout_of(Case.objects.get(pk=case_key))
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
    return case


def _unreturned(case: Case) -> str:
    """The payout's amount while it stands in 2200, "" once it was released."""
    if case.rule != RULE:
        return ""
    payout = _payout_of(case)
    booked = payout.state in (Payout.State.FAILED, Payout.State.RETURNED)
    return str(payout.amount) if booked and not _was_released(payout) else ""


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
