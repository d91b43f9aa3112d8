"""Runbook “payout exception” v1: what each step does, in which order, with which key (RB-1, RB-2).

A hold payout (and beneficiary when chosen) · B compensating entry · C ticket · D notice with the
exact next steps · then the approved resolution. Every effect carries a key made from the approval,
so a repeated step finds its own work done.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.conf import settings

from approvals.models import ApprovalRequest
from ledger import posting
from ledger.errors import LedgerBusy, LedgerError
from payops.cases import services as cases
from payops.cases.models import Case, RunbookRun, RunbookStep
from payops.core import clock, ids, locks, state
from payops.core.actors import service
from payops.core.models import Person
from payops.flows import intents, notices, outside
from payops.flows.payouts import postings as payout_postings
from payops.flows.payouts.request import PayoutAsk, PayoutRefused, ask_release
from payops.flows.payouts.resolutions import RESOLUTIONS
from payops.flows.payouts.runbook import Runbook, Step, StepContext, StepRefused
from payops.payments import call_gate
from payops.payments.models import Beneficiary, Hold, Payout
from payops.payments.services import HoldTarget, place_hold, release_hold
from payops.psp import registry
from payops.psp.calling import PayoutState

NAME = "payout exception"
VERSION = "v1"
ACTOR = service("runbook")
TERMINAL = ("failed", "returned", "canceled")
AUDIENCE = "payments operations, finance"


def steps_of(plan: dict[str, Any]) -> Sequence[Step]:
    steps = [Step("hold_payout", "A · Hold the payout", _hold_payout)]
    if plan["hold_beneficiary"]:
        steps.append(Step("hold_beneficiary", "A · Hold the beneficiary", _hold_beneficiary))
    if plan["template"]:
        steps.append(Step("compensate", "B · Post the compensating entry", _compensate))
    steps.append(Step("ticket", "C · Open the ticket", _ticket))
    steps.append(Step("notify", "D · Tell the stakeholders", _notify))
    steps += {
        "release": [Step("release", "E · Return to the seller's balance", _release)],
        "reissue": [
            Step("verify_terminal", "E · Verify the original at the provider", _verified, _ask),
            Step("reissue", "E · Request the re-issue", _reissue),
        ],
        "request_details": [Step("request_details", "E · Ask for new details", _request_details)],
        "escalate": [Step("escalate", "E · Escalate", _escalate)],
        "restore": [
            Step("verify_delivered", "E · Verify the delivery at the provider", _delivered, _ask),
            Step("restore", "E · Restore the payout", _restore),
        ],
        "hold": [],
    }[plan["resolution"]]
    return steps


def on_refused(run: RunbookRun, step: RunbookStep, why: str, now: datetime) -> None:
    """Stop policy: an urgent ticket, finance and operations told, holds rolled back if allowed."""
    case = locks.row(Case, run.case_id)
    key = f"{run.approval_id}:{step.name}:refused"
    title = f"Runbook stopped at “{step.name}” for {run.plan['merchant_ref']}"
    body = f"{why}\n\nCase: {settings.PUBLIC_URL}/cases/{case.public_id}/"
    ticket = cases.open_local_ticket(
        case=case, correlation_id=key, title=title, body=body, priority="urgent", now=now
    )
    outside.open_ticket(ticket=ticket, case=case, now=now)
    notices.send(
        book=case.book,
        case=case,
        key=key,
        audience="finance, payments operations",
        subject=title,
        body=body,
        now=now,
    )
    if case.book.hold_rollback_allowed:
        for hold in Hold.objects.filter(book=case.book, key__startswith=f"{run.approval_id}:"):
            release_hold(hold_key=hold.pk, reason=f"rolled back: {why}", actor=ACTOR, now=now)
    case.stop_execution()
    state.save(case, actor=ACTOR, now=now, action="case.execution_stopped", reason=why)


RUNBOOK = Runbook(NAME, VERSION, steps_of, on_refused)


def _hold_payout(context: StepContext) -> dict[str, Any]:
    hold = _place(context, HoldTarget(payout=_payout(context)))
    return {"hold": hold.public_id}


def _hold_beneficiary(context: StepContext) -> dict[str, Any]:
    hold = _place(context, HoldTarget(beneficiary=_payout(context).beneficiary))
    return {"hold": hold.public_id}


def _place(context: StepContext, target: HoldTarget) -> Hold:
    return place_hold(
        book=context.run.book,
        target=target,
        source="runbook",
        reason=f"exception of payout {context.plan['merchant_ref']}",
        key=context.step.key,
        case_id=context.run.case.public_id,
        actor=context.actor,
        now=context.now,
    )


def _compensate(context: StepContext) -> dict[str, Any]:
    payout = _locked_payout(context)
    template = payout_postings.compensation_template(payout)
    if template != (context.plan["template"], context.plan["template_variant"]):
        raise StepRefused(
            f"{'/'.join(template)} would be posted, {context.plan['template']} was approved"
        )
    refs = posting.Refs(
        case_id=context.run.case.public_id,
        approval_id=context.run.approval_id,
    )
    entry = payout_postings.compensation(payout, refs, payout.failed_at or context.now)
    try:
        outcome = posting.post(entry, actor=context.actor, now=context.now)
    except LedgerError as refusal:
        raise _stop_or_retry(refusal) from refusal
    if template[0] == "payout.failed":
        payout.confirm_failed()
    else:
        payout.confirm_returned()
    state.save(
        payout,
        actor=context.actor,
        now=context.now,
        action=f"payout.confirmed_{payout.state.lower()}",
        evidence={"entry_id": outcome.entry_public_id, "approval_id": context.run.approval_id},
    )
    return {"entry": outcome.entry_public_id, "replayed": outcome.replayed}


def _stop_or_retry(refusal: LedgerError) -> Exception:
    """A busy database is tried again; every other refusal stops the run and tells people."""
    if type(refusal) is LedgerBusy:
        return refusal
    return StepRefused(f"the journal refused the entry: {refusal}")


def _ticket(context: StepContext) -> dict[str, Any]:
    case = context.run.case
    ticket = cases.open_local_ticket(
        case=case,
        correlation_id=context.step.key,
        title=case.title,
        body=next_steps(context),
        priority=case.priority,
        now=context.now,
    )
    copies = outside.open_ticket(ticket=ticket, case=case, now=context.now)
    systems = ["local", *(copy.connector for copy in copies)]
    return {"system": ", ".join(systems), "ticket": ticket.number}


def _notify(context: StepContext) -> dict[str, Any]:
    message = notices.send(
        book=context.run.book,
        case=context.run.case,
        key=context.step.key,
        audience=AUDIENCE,
        subject=f"Decided: {RESOLUTIONS[context.plan['resolution']].label} · "
        f"{context.run.case.title}",
        body=next_steps(context),
        now=context.now,
    )
    return {"message": str(message.pk), "audience": AUDIENCE}


def next_steps(context: StepContext) -> str:
    """The exact next steps, from the cause and the resolution; never from advice."""
    payout, plan = _payout(context), context.plan
    cause = registry.failure_cause(
        provider=payout.account.provider, code=payout.failure_code or None
    )
    resolution = RESOLUTIONS[plan["resolution"]]
    return "\n".join(
        [
            f"Payout {payout.merchant_ref} of {payout.amount} to {payout.beneficiary.name}.",
            f"Cause: {cause.words}",
            f"Decision: {resolution.label}. {resolution.words}",
            f"Next: {cause.next_step}",
            f"Case: {settings.PUBLIC_URL}/cases/{context.run.case.public_id}/",
        ]
    )


def _release(context: StepContext) -> dict[str, Any]:
    entry = _post_release(context)
    reason = "the approved resolution returns the amount to the seller's balance"
    return {"entry": entry, "holds_released": _release_own_holds(context, reason)}


def _release_own_holds(context: StepContext, reason: str) -> list[str]:
    """The holds this run placed, and no other (D7)."""
    released = []
    own = Hold.objects.filter(
        book=context.run.book, key__startswith=f"{context.run.approval_id}:", released_at=None
    )
    for hold in own.order_by("pk"):
        release_hold(hold_key=hold.pk, reason=reason, actor=context.actor, now=context.now)
        released.append(hold.public_id)
    return released


def _post_release(context: StepContext) -> str:
    payout = _locked_payout(context)
    refs = posting.Refs(case_id=context.run.case.public_id, approval_id=context.run.approval_id)
    try:
        outcome = posting.post(
            payout_postings.released(payout, refs, context.now),
            actor=context.actor,
            now=context.now,
        )
    except LedgerError as refusal:
        raise _stop_or_retry(refusal) from refusal
    return outcome.entry_public_id


def _ask(run: RunbookRun) -> dict[str, Any]:
    """The provider's own view of the original; unreachable is a retry, never a guess."""
    payout = Payout.objects.select_related("account").get(pk=ids.parse(run.plan["payout"], "po")[1])
    provider = payout.account.provider
    if call_gate.is_open(account=payout.account):
        raise ConnectionError(f"{payout.account} does not answer now; asked again later")
    told = registry.calls(provider).fetch_payout(
        provider_ref=payout.provider_ref,
        http=intents.http_client(),
        base_url=settings.PSP[provider]["base_url"],
        api_key=settings.PSP[provider]["api_key"],
        deadline_s=intents.CALL_DEADLINE_S,
        settings=payout.account.settings,
    )
    if not isinstance(told, PayoutState):
        raise ConnectionError(f"{provider} did not show payout {payout.provider_ref}: {told}")
    return {
        "status": told.status,
        "raw_status": told.raw_status,
        "amount": str(told.amount),
        "asked_at": clock.utc_now().isoformat(),
    }


def _verified(context: StepContext) -> dict[str, Any]:
    payout = _locked_payout(context)
    status = context.answer["status"]
    if status not in TERMINAL:
        raise StepRefused(
            f"the provider shows the original as {context.answer['raw_status']}; it is re-issued "
            "only when it is terminal there"
        )
    payout.verified_terminal_at = context.now
    state.save(
        payout,
        actor=context.actor,
        now=context.now,
        action="payout.verified_terminal",
        evidence=context.answer,
    )
    return context.answer


def _delivered(context: StepContext) -> dict[str, Any]:
    if context.answer["status"] != "paid":
        raise StepRefused(
            f"the provider shows the payout as {context.answer['raw_status']}, not as paid"
        )
    return context.answer


def _restore(context: StepContext) -> dict[str, Any]:
    payout = _locked_payout(context)
    payout.restore_paid()
    state.save(
        payout,
        actor=context.actor,
        now=context.now,
        action="payout.restored",
        evidence={"approval_id": context.run.approval_id},
    )
    reason = "the payout was delivered after all"
    return {"state": payout.state, "holds_released": _release_own_holds(context, reason)}


def _reissue(context: StepContext) -> dict[str, Any]:
    """The re-issue is a payout of its own, asked for by the proposer, approved by others."""
    original = _payout(context)
    locks.row(Beneficiary, original.beneficiary_id)
    entry = _post_release(context)
    _release_own_payout_hold(context)
    requester = _requester(context)
    try:
        reissued = ask_release(
            PayoutAsk(
                account=original.account,
                beneficiary=original.beneficiary,
                amount=original.amount,
                merchant_ref=f"{original.merchant_ref}-R1",
                request_key=context.step.key,
                reason=f"re-issue of {original.merchant_ref}",
                requested_by=requester,
                source="reissue",
                funding=original.funding,
                reissue_of=original,
            ),
            actor=context.actor,
            now=context.now,
        )
    except PayoutRefused as refusal:
        raise StepRefused(str(refusal)) from refusal
    return {"entry": entry, "payout": reissued.public_id, "approval": reissued.approval_id}


def _release_own_payout_hold(context: StepContext) -> None:
    """The beneficiary's holds stay: each is released by its own source before the money leaves."""
    key = f"{context.run.approval_id}:hold_payout"
    for hold in Hold.objects.filter(book=context.run.book, key=key, released_at=None):
        reason = "the payout is re-issued as a payout of its own"
        release_hold(hold_key=hold.pk, reason=reason, actor=context.actor, now=context.now)


def _requester(context: StepContext) -> Person:
    asked = ApprovalRequest.objects.get(pk=ids.parse(context.run.approval_id, "ap")[1])
    return asked.requested_by


def _request_details(context: StepContext) -> dict[str, Any]:
    message = notices.send(
        book=context.run.book,
        case=context.run.case,
        key=context.step.key,
        audience="the beneficiary's contact",
        subject=f"New bank details needed for payout {context.plan['merchant_ref']}",
        body="Please confirm or correct the account. Changes are verified before money is sent.",
        now=context.now,
    )
    return {"message": str(message.pk)}


def _escalate(context: StepContext) -> dict[str, Any]:
    case = locks.row(Case, context.run.case_id)
    case.priority = "urgent"
    state.save(case, actor=context.actor, now=context.now, action="case.escalated")
    message = notices.send(
        book=case.book,
        case=case,
        key=context.step.key,
        audience="compliance, treasury",
        subject=f"Escalated: {case.title}",
        body=next_steps(context),
        now=context.now,
    )
    return {"message": str(message.pk), "priority": "urgent"}


def _payout(context: StepContext) -> Payout:
    return Payout.objects.select_related("beneficiary", "account", "book").get(
        pk=ids.parse(context.plan["payout"], "po")[1]
    )


def _locked_payout(context: StepContext) -> Payout:
    return locks.row(Payout, ids.parse(context.plan["payout"], "po")[1])
