"""The table of case rules: what opens a case, whose it is, how long it may wait, what is next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from payops.core.roles import Role


@dataclass(frozen=True, slots=True)
class CaseRule:
    """`sla` holds the time to resolve for each priority, in hours."""

    key: str
    words: str
    owner_role: Role
    sla_hours: dict[str, int]
    evidence: str
    next_step: str


PRIORITIES = ("urgent", "high", "normal", "low")
_MONEY_SLA = {"urgent": 2, "high": 4, "normal": 24, "low": 72}

CASE_RULES = {
    rule.key: rule
    for rule in (
        CaseRule(
            "payout_failure",
            "A payout failed or came back",
            Role.OPS_LEAD,
            _MONEY_SLA,
            "the provider's event, its failure code and the beneficiary's verification",
            "propose a resolution: release, re-issue, new bank details, hold or escalate",
        ),
        CaseRule(
            "provider_mismatch",
            "The provider's figures differ from ours",
            Role.FINANCE_ANALYST,
            _MONEY_SLA,
            "both figures, the raw event and the provider's own view",
            "compare with the provider's console, then correct by a new entry",
        ),
        CaseRule(
            "payout_unknown",
            "A payout's outcome is unknown at the provider",
            Role.OPS_LEAD,
            _MONEY_SLA,
            "every attempt with its request and response",
            "verify at the provider; nothing is sent again until it is known",
        ),
        CaseRule(
            "refund_unknown",
            "A refund's outcome is unknown at the provider",
            Role.OPS_LEAD,
            _MONEY_SLA,
            "every attempt with its request and response",
            "verify at the provider; nothing is sent again until it is known",
        ),
        CaseRule(
            "refund_failed",
            "A refund did not reach the customer, who is still owed",
            Role.OPS_LEAD,
            _MONEY_SLA,
            "the provider's event, its failure code and what the customer was told",
            "try again, pay by hand, or show that the customer was made whole another way",
        ),
        CaseRule(
            "refund_refused",
            "The provider refused a refund that was granted here",
            Role.OPS_LEAD,
            _MONEY_SLA,
            "the provider's refusal, the charge and its disputes",
            "tell the requester; ask again once the reason is gone",
        ),
        CaseRule(
            "refund_ledger_pending",
            "A refund is executed and the journal has not taken it",
            Role.FINANCE_MANAGER,
            {"urgent": 1, "high": 2, "normal": 8, "low": 24},
            "the refusal with its figures and the provider's confirmation",
            "correct the cause; the entry is tried again by itself",
        ),
        CaseRule(
            "refund_external",
            "A refund was made in the provider's own console",
            Role.FINANCE_ANALYST,
            _MONEY_SLA,
            "the provider's record and who may act in its console",
            "find out who made it and why; it already reduces what can be refunded",
        ),
        CaseRule(
            "refund_over_captured",
            "More was refunded at the provider than was captured",
            Role.FINANCE_MANAGER,
            {"urgent": 1, "high": 2, "normal": 8, "low": 24},
            "every refund of the charge with its source",
            "recover the surplus from the customer or the seller; book the rest by approval",
        ),
        CaseRule(
            "refund_wish_unclear",
            "A ticket asks for a refund that fits more than one charge",
            Role.OPS_LEAD,
            _MONEY_SLA,
            "the ticket, and every charge with the reference it names",
            "find out which charge is meant and ask for its refund by its id",
        ),
        CaseRule(
            "dispute",
            "A customer disputes a charge",
            Role.OPS_LEAD,
            _MONEY_SLA,
            "the provider's reason and what proves the sale",
            "send the evidence before the provider's deadline, or accept the loss",
        ),
        CaseRule(
            "refund_and_dispute",
            "A refund and a chargeback of one charge meet",
            Role.OPS_LEAD,
            {"urgent": 1, "high": 2, "normal": 4, "low": 8},
            "the refund's confirmation and the dispute's deadline",
            "answer the dispute with the refund's proof, so that the customer is not paid twice",
        ),
        CaseRule(
            "event_conflict",
            "One event id arrived with two contents",
            Role.ENGINEER,
            {"urgent": 2, "high": 4, "normal": 24, "low": 72},
            "both raw bodies and their fingerprints",
            "ask the provider which content is true",
        ),
        CaseRule(
            "unknown_object",
            "The provider tells of a payout that is not ours",
            Role.FINANCE_ANALYST,
            _MONEY_SLA,
            "the raw event, the provider's own view and who may act in its dashboard",
            "find out who made it there; book it by an approved entry or have it taken back",
        ),
        CaseRule(
            "verification_unanswered",
            "The provider does not answer whether its events are true",
            Role.ENGINEER,
            {"urgent": 2, "high": 4, "normal": 8, "low": 24},
            "every question with its answer and the provider's status page",
            "restore the way to the provider; its events wait and go on by themselves",
        ),
        CaseRule(
            "missing_event",
            "The provider's state has no event here",
            Role.OPS_LEAD,
            _MONEY_SLA,
            "both states, the listings of that time and the receipts of the account",
            "have the provider send the event again; it goes through the same gates",
        ),
        CaseRule(
            "systemic",
            "Many cases of one kind at once",
            Role.OPS_LEAD,
            {"urgent": 1, "high": 2, "normal": 8, "low": 24},
            "the list of subjects and the provider's status page",
            "find the common cause, then open the single cases",
        ),
        CaseRule(
            "ledger_failure",
            "The journal refused an entry after money moved",
            Role.FINANCE_MANAGER,
            {"urgent": 1, "high": 2, "normal": 8, "low": 24},
            "the refusal with its figures",
            "correct the cause and resume the runbook",
        ),
        CaseRule(
            "ledger.impossible_predecessor",
            "A system told of an event that the books rule out",
            Role.FINANCE_ANALYST,
            _MONEY_SLA,
            "the refused facts, the subject's entries and the system's own record of the event",
            "find what is missing or told twice; the system sends it again with the same key",
        ),
    )
}

HIGH_FROM_MINOR = 500_000
URGENT_FROM_MINOR = 5_000_000


def priority_of(reporting_minor: int | None) -> str:
    """From the amount in the book's reporting currency; unknown counts as high."""
    if reporting_minor is None or reporting_minor >= HIGH_FROM_MINOR:
        return "urgent" if (reporting_minor or 0) >= URGENT_FROM_MINOR else "high"
    return "normal"


def time_to_resolve(rule: str, priority: str) -> timedelta:
    return timedelta(hours=CASE_RULES[rule].sla_hours[priority])
