"""Everything the page of one refund shows: why it was decided so, what was sent, what came of it.

Reads only, a fixed number of statements. Serves RF-8, RF-11, RF-17, RF-18, D8, F21, F26.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Q, QuerySet

from approvals.models import ApprovalRequest
from payops.cases.models import Case, Dispatch, LocalMessage
from payops.console import refund_wording, wording
from payops.console.changes import REFUND_LABELS, Change, changes_of
from payops.console.formats import Fact, facts_of, id_fact, who
from payops.console.reads import charge_money, related
from payops.console.reads.charge_money import MoneyBar
from payops.console.reads.connections import Sent
from payops.console.reads.connections import shown as sent_rows
from payops.console.reads.payouts import Attempt, attempts_of
from payops.console.reads.related import ApprovalRow, EntryRow
from payops.payments.models import Dispute, Intent, Payment, Refund, RefundDecision
from payops.webhooks.models import ProviderEvent

ROWS_MAX = 50
# What a check that did not pass leads to, as the mark beside it.
OUTCOMES = {
    "refused": ("REFUSED", "Refuses"),
    "approval": ("AWAITING_APPROVAL", "People decide"),
    "warning": ("EXCEPTION", "Warning"),
}


@dataclass(frozen=True, slots=True)
class CheckRow:
    """One check as `parts/refund_checks.html` shows it."""

    name: str
    words: str
    passed: bool
    state: str
    label: str


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """One decision about the refund with every check (RF-18)."""

    decision: RefundDecision
    verdict: str
    stage: str
    checks: list[CheckRow]
    warnings: list[CheckRow]


@dataclass(frozen=True, slots=True)
class RefundPage:
    """Everything the page of one refund shows."""

    refund: Refund
    reason_label: str
    wrong: wording.Words
    turn: str
    after: str
    door: str
    money: MoneyBar
    attempts_of_promise: list[Refund]
    siblings: list[Refund]
    disputes: list[Dispute]
    decisions: list[DecisionRow]
    approvals: list[ApprovalRow]
    intent: Intent | None
    calls: list[Attempt]
    events: list[ProviderEvent]
    entries: list[EntryRow]
    cases: list[Case]
    told: list[LocalMessage]
    sends: list[Sent]
    changes: list[Change]
    facts: list[Fact]
    evidence: list[Fact]

    @property
    def open_cases(self) -> list[Case]:
        return [case for case in self.cases if case.resolved_at is None]


def query() -> QuerySet[Refund]:
    return Refund.objects.select_related(
        "payment__beneficiary", "account", "book", "requested_by", "sent_by", "retry_of"
    )


def page(refund: Refund) -> RefundPage:
    book, public_id, payment = refund.book, refund.public_id, refund.payment
    cases = related.cases(book=book, subject_ids=[public_id])
    asked = related.approvals(
        book=book, subject_ids=[public_id, *(case.public_id for case in cases)]
    )
    intent = Intent.objects.filter(book=book, kind="refund", subject_id=public_id).first()
    of_charge = list(
        Refund.objects.filter(payment=payment).select_related("requested_by").order_by("created_at")
    )
    disputes = disputes_of(payment)
    decisions = decisions_of(refund)
    told = list(
        LocalMessage.objects.filter(book=book, correlation_id__startswith=f"{public_id}:").order_by(
            "created_at"
        )[:ROWS_MAX]
    )
    sends = Dispatch.objects.filter(message__in=told).select_related("message", "ticket")
    attempts = [row for row in of_charge if row.promise_id == refund.promise_id]
    reserved = refund.state in Refund.RESERVED or refund.obligation == Refund.Obligation.OWED
    return RefundPage(
        refund=refund,
        reason_label=reason_label(refund, decisions),
        wrong=refund_wording.wrong(refund),
        turn=refund_wording.turn(refund, _seats(asked)),
        after=refund_wording.after(refund),
        door=refund_wording.door(refund),
        money=charge_money.bar_of(
            payment,
            disputed_minor=charge_money.disputed_minor(disputes),
            asked_minor=refund.amount_minor if reserved else 0,
        ),
        attempts_of_promise=attempts if len(attempts) > 1 else [],
        siblings=[row for row in of_charge if row not in attempts][-ROWS_MAX:],
        disputes=disputes,
        decisions=decisions,
        approvals=asked,
        intent=intent,
        calls=attempts_of(intent),
        events=related.events(book=book, where=_about(refund)),
        entries=related.entries(book=book, subject_ids=[public_id]),
        cases=cases,
        told=told,
        sends=sent_rows(list(sends.order_by("created_at")[:ROWS_MAX])) if told else [],
        changes=changes_of(refund, REFUND_LABELS),
        facts=_facts(refund),
        evidence=evidence_of(refund),
    )


def disputes_of(payment: Payment) -> list[Dispute]:
    return list(Dispute.objects.filter(payment=payment).order_by("opened_at", "pk")[:ROWS_MAX])


def decisions_of(refund: Refund) -> list[DecisionRow]:
    """Latest first."""
    rows = RefundDecision.objects.filter(refund=refund).select_related("policy")
    return [_decision(row) for row in rows.order_by("-created_at", "-pk")[:ROWS_MAX]]


def check_row(check: dict[str, Any]) -> CheckRow:
    """A check as it is stored with a decision."""
    if check["passed"]:
        state, label = "PASSED", "Passed"
    else:
        state, label = OUTCOMES.get(str(check.get("otherwise")), ("BLOCKED", "Not passed"))
    name = str(check["check"]).replace("_", " ").capitalize()
    return CheckRow(name, str(check["words"]), bool(check["passed"]), state, label)


def reason_label(refund: Refund, decisions: list[DecisionRow]) -> str:
    """As the table that decided it names it; the code of a provider's own refund."""
    for row in reversed(decisions):
        for check in row.decision.checks:
            if check["check"] == "reason" and check["passed"]:
                return str(check["words"])
    return wording.value(refund.reason_code).capitalize()


def evidence_of(refund: Refund) -> list[Fact]:
    return [
        Fact(str(name).replace("_", " ").capitalize(), str(said))
        for name, said in sorted(refund.evidence.items())
        if said
    ]


def _decision(row: RefundDecision) -> DecisionRow:
    checks = [check_row(check) for check in row.checks]
    return DecisionRow(
        decision=row,
        verdict=refund_wording.VERDICTS.get(row.verdict, row.verdict),
        stage=refund_wording.STAGES.get(row.stage, row.stage),
        checks=checks,
        warnings=[check for check in checks if not check.passed],
    )


def _seats(asked: list[ApprovalRow]) -> tuple[str, ...]:
    pending = ApprovalRequest.State.PENDING
    return next((row.seats for row in asked if row.request.state == pending), ())


def _about(refund: Refund) -> Q:
    """Events that name the refund, by our id or by one of the provider's."""
    about = Q(subject_id=refund.public_id)
    named = [ref for ref in (refund.provider_ref, refund.movement_ref) if ref]
    return about | Q(object_id__in=named, account=refund.account_id) if named else about


def _facts(refund: Refund) -> list[Fact]:
    payment = refund.payment
    return facts_of(
        id_fact("Refund", refund.public_id),
        Fact(
            "Charge",
            payment.merchant_ref or payment.provider_ref,
            "link",
            f"/payments/{payment.public_id}/",
        ),
        Fact(
            "Seller",
            payment.beneficiary.name,
            "link",
            f"/beneficiaries/{payment.beneficiary.public_id}/",
        ),
        Fact("Provider account", refund.account.address),
        Fact("Asked by", who(refund.requested_by, "the provider")),
        Fact("Asked", refund.created_at, "when"),
        Fact("Note", refund.note),
        Fact("Paid by hand", "Yes" if refund.offline else ""),
        Fact("Payment by hand", refund.offline_ref, "mono"),
        Fact("Borne by", "the platform, as a gift" if refund.goodwill else ""),
        Fact("Rule", refund.ruleset, "mono"),
        id_fact("Approval", refund.approval_id),
        Fact("Sent by", refund.sent_by.name if refund.sent_by else ""),
        Fact("Sent", refund.dispatched_at, "when"),
        Fact("Accepted", refund.accepted_at, "when"),
        Fact("Succeeded", refund.succeeded_at, "when"),
        Fact("Failed", refund.failed_at, "when"),
        Fact("Money back", refund.money_back_at, "when"),
        Fact("Failure code", refund.failure_code, "mono"),
        id_fact("Provider's reference", refund.provider_ref),
        id_fact("Provider's movement", refund.movement_ref),
        id_fact("Movement back", refund.failure_movement_ref),
        id_fact("Request key", refund.request_key),
    )
