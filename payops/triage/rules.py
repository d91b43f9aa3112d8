"""The rules engine of advice: a summary, a likely cause, a next step, as text (AI-1, AI-9, D1).

Reads a case and writes a Recommendation with its version and the hash of its input; where a model
is configured as well, news goes out that it may be asked. Decides nothing, prefills nothing and is
read by no executing code; switch it off and nothing changes.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Q

from payops.cases import advice
from payops.cases.models import Case
from payops.cases.rules import CASE_RULES
from payops.core import ids, messages
from payops.core.messages import News
from payops.core.models import Message
from payops.core.money import Money
from payops.payments.models import Dispute, Payout, Refund
from payops.triage import disputes
from payops.triage.refund_failures import failure_of
from payops.triage.said import Said, quoted
from payops.webhooks.models import Delivery, ProviderEvent

ENGINE = "rules"
VERSION = "4"
PAYOUT_FAILURE = "payout_failure"

CAUSES = {
    "bank_rejection": "likely bank rejection; verify the beneficiary's details before any re-issue",
    "account_details": "the account details are likely wrong or outdated; ask the payee",
    "insufficient_funds": "the balance at the provider did not cover it; top up, then re-issue",
    "compliance_hold": "the account is frozen or restricted; let compliance look first",
    "unknown": "likely bank rejection; verify the beneficiary's details before any re-issue",
}
NEXT_STEPS = {
    "retryable": "verify the details, then propose “Re-issue once”",
    "new_details": "propose “Request new bank details” and keep the beneficiary on hold",
    "compliance": "propose “Escalate to compliance and treasury”",
    "": "read the timeline and compare with the provider's console",
}
SUGGESTS = {"retryable": "reissue", "new_details": "request_details", "compliance": "escalate"}
ASK = "advice.ask"
# With a model the rules speak first, so that there is advice while it is slow, dear or away.
WITH_RULES = (ENGINE, "model")


def advise(batch: list[Message], now: datetime) -> None:
    """Write advice for newly opened cases; with advice switched off, write nothing."""
    if settings.PAYOPS_ADVICE not in WITH_RULES:
        return
    for message in batch:
        case = Case.objects.get(pk=ids.parse(message.payload["case_id"], "cs")[1])
        facts = {**facts_of(case), **_record_facts(case, now)}
        said = _said(facts)
        advice.write(
            case=case,
            engine=ENGINE,
            version=VERSION,
            input_hash=hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest(),
            input_facts=facts,
            summary=said.summary,
            likely_cause=said.likely_cause,
            next_step=said.next_step,
            suggests=said.suggests,
            now=now,
        )
        if settings.PAYOPS_ADVICE != ENGINE:
            news = News(case.book, ASK, case.public_id, {"case_id": case.public_id})
            messages.send([news], now=now)


def facts_of(case: Case) -> dict[str, Any]:
    entries = list(
        case.entries.order_by("created_at", "pk").values_list("kind", "text", "refers_to")[:50]
    )
    amount = "" if case.amount_minor is None else str(Money(case.amount_minor, case.currency))
    return {
        "rule": case.rule,
        "root_cause": case.root_cause,
        "disposition": case.disposition,
        "priority": case.priority,
        "amount": amount,
        "deliveries": _deliveries({case.subject_id, *(entry[2] for entry in entries)}),
        "timeline": [[kind, text] for kind, text, _ in entries],
        **_payout_facts(case),
    }


def _record_facts(case: Case, now: datetime) -> dict[str, Any]:
    """Of a case about a dispute or a refund, its figures."""
    if case.subject_id.startswith(f"{Dispute.PREFIX}_"):
        found = Dispute.objects.select_related("payment", "account")
        dispute = found.get(pk=ids.parse(case.subject_id, Dispute.PREFIX)[1])
        # Written once, when the case opens: no days that count down.
        return {"dispute": {**disputes.facts_of(dispute, now=now), "days_left": None}}
    if case.subject_id.startswith(f"{Refund.PREFIX}_"):
        refund = Refund.objects.get(pk=ids.parse(case.subject_id, Refund.PREFIX)[1])
        return {
            "refund": {
                "amount": str(refund.amount),
                "state": str(refund.state),
                "obligation": str(refund.obligation),
                "failure_code": quoted(refund.failure_code),
            }
        }
    return {}


def _said(facts: dict[str, Any]) -> Said:
    if "dispute" in facts:
        return disputes.advise(facts["dispute"])
    if facts.get("refund", {}).get("obligation") == Refund.Obligation.OWED:
        refund = facts["refund"]
        failure = failure_of(refund["failure_code"])
        code = f" ({refund['failure_code']})" if refund["failure_code"] else ""
        return Said(
            f"A refund of {refund['amount']} did not arrive; it is still owed.",
            f"{failure.words}{code}",
            failure.next_step,
        )
    return Said(_summary(facts), _likely_cause(facts), _next_step(facts), _suggests(facts))


def _payout_facts(case: Case) -> dict[str, Any]:
    """What failed, and how long after it was paid or sent; nothing for other cases."""
    if not case.subject_id.startswith("po_"):
        return {}
    payout = Payout.objects.get(pk=ids.parse(case.subject_id, "po")[1])
    was_paid = payout.exception_from == Payout.State.PAID
    since = payout.paid_at if was_paid else payout.initiated_at
    failed_at = payout.failed_at or case.created_at
    after_s = int((failed_at - since).total_seconds()) if since else -1
    return {
        "failure_code": payout.failure_code,
        "was_paid": was_paid,
        "failed_after_s": after_s if after_s >= 0 else None,
    }


def _deliveries(named: set[str]) -> int:
    """How often the provider has told the events the case names, so far."""
    keys = [ids.parse(name, "ev")[1] for name in named if name.startswith("ev_")]
    told = Q()
    for event in ProviderEvent.objects.filter(pk__in=keys):
        told |= Q(account_id=event.account_id, dedupe_key=event.dedupe_key)
    return Delivery.objects.filter(told).count() if told else 0


def _summary(facts: dict[str, Any]) -> str:
    """One sentence: what happened, how long after, what is at stake, how often we were told."""
    told = f"{facts['deliveries']} webhook deliver{'y' if facts['deliveries'] == 1 else 'ies'}"
    said = f", told in {told} so far" if facts["deliveries"] else ""
    stake = f"; {facts['amount']} is at stake" if facts["amount"] else ""
    if facts["rule"] != PAYOUT_FAILURE or "failure_code" not in facts:
        return f"{CASE_RULES[facts['rule']].words}{said}{stake}."
    code = f" with the code {facts['failure_code']}" if facts["failure_code"] else ""
    return f"The provider failed it{code}{_after(facts)}{said}{stake}."


def _after(facts: dict[str, Any]) -> str:
    said = "it had reported it as paid" if facts["was_paid"] else "it was sent"
    if facts["failed_after_s"] is None:
        return f" after {said}" if facts["was_paid"] else ""
    return f" {_span(timedelta(seconds=facts['failed_after_s']))} after {said}"


def _span(span: timedelta) -> str:
    minutes, hours = int(span.total_seconds()) // 60, int(span.total_seconds()) // 3600
    for count, unit in ((span.days, "day"), (hours, "hour"), (minutes, "minute")):
        if count:
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return "less than a minute"


def _likely_cause(facts: dict[str, Any]) -> str:
    if facts["rule"] == PAYOUT_FAILURE:
        return CAUSES.get(facts["root_cause"], CAUSES["unknown"])
    return f"not known yet; look at {CASE_RULES[facts['rule']].evidence}"


def _next_step(facts: dict[str, Any]) -> str:
    if facts["rule"] == PAYOUT_FAILURE:
        return NEXT_STEPS.get(facts["disposition"], NEXT_STEPS[""])
    return CASE_RULES[facts["rule"]].next_step


def _suggests(facts: dict[str, Any]) -> str:
    return SUGGESTS.get(facts["disposition"], "") if facts["rule"] == PAYOUT_FAILURE else ""
