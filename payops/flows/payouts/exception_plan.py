"""What resolving a payout exception would do: the plan people see and its hash is made of (D6, F7).

Reads and judges; never writes. A plan with refusals cannot be proposed. Serves PX-6, PX-7, PX-12.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ledger import posting
from payops.cases.models import Case
from payops.cases.services import CaseRefused, Finding
from payops.core import clock, ids, rates
from payops.flows.payouts import exception_steps
from payops.flows.payouts import postings as payout_postings
from payops.flows.payouts.request import consequence_of
from payops.flows.payouts.resolutions import RESOLUTIONS
from payops.payments.models import Payout
from payops.payments.services import cooled_down, verification_is_newer
from payops.psp import registry
from payops.psp.base import FailureCause

RULE = "payout_failure"
PROPOSABLE = (Case.State.OPEN, Case.State.TRIAGED, Case.State.WAITING)
NO_REFS = posting.Refs()


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
    payout = payout_of(case)
    facts = plan_facts(case, payout, resolution, hold_beneficiary)
    consequences = [{"kind": "hold", "words": f"hold payout {payout.merchant_ref}"}]
    if hold_beneficiary:
        words = f"hold every payout to {payout.beneficiary.name}"
        consequences.append({"kind": "hold", "words": words})
    if facts["template"]:
        consequences.append(consequence_of(payout_postings.compensation(payout, NO_REFS, now)))
    if resolution in ("release", "reissue"):
        consequences.append(consequence_of(payout_postings.released(payout, NO_REFS, now)))
    steps = [{"name": s.name, "words": s.words} for s in exception_steps.steps_of(facts)]
    return Plan(facts, consequences, steps, *_objections(case, payout, resolution, now))


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


def cause_of(payout: Payout) -> FailureCause:
    return registry.failure_cause(
        provider=payout.account.provider, code=payout.failure_code or None
    )


def payout_of(case: Case) -> Payout:
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
    if cause_of(payout).disposition not in chosen.dispositions:
        refusals.append(
            f"“{chosen.label}” is not open for a cause of compliance ({payout.failure_code})."
        )
    if resolution == "reissue":
        refusals += _reissue_objections(payout, now)
    if resolution == "restore":
        refusals += _restore_objections(payout)
    if resolution in ("release", "reissue") and was_released(payout):
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
        last = f"{seller.verified_at:%Y-%m-%d %H:%M} UTC" if seller.verified_at else "never"
        found.append(
            f"{seller.name}'s details were last verified {last}; verify them after the failure "
            f"of {failed_at:%Y-%m-%d %H:%M} UTC first."
        )
    if not cooled_down(seller, now):
        found.append(f"New bank details cool down until {seller.payable_from:%Y-%m-%d %H:%M} UTC.")
    cause = cause_of(payout)
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


def was_released(payout: Payout) -> bool:
    entry = posting.predecessor(
        book=payout.book, event_class="payout.released", subject_id=payout.public_id
    )
    return entry is not None


def finding_of(payout: Payout, now: datetime, trace_id: str = "") -> Finding:
    """The finding of a failed or returned payout; its period is that of the first failure (D10)."""
    cause = cause_of(payout)
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
        reporting_minor=rates.reporting_minor(payout.amount, payout.book, now),
        root_cause=cause.root_cause,
        disposition=cause.disposition,
        trace_id=trace_id,
    )
