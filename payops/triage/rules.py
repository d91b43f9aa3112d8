"""The rules engine of advice: a summary, a likely cause, a next step, as text (AI-1, AI-9, D1).

Reads a case and writes a Recommendation with its version and the hash of its input. Decides
nothing, prefills nothing and is read by no executing code; switch it off and nothing changes.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any

from django.conf import settings

from payops.cases import advice
from payops.cases.models import Case
from payops.core import ids
from payops.core.models import Message

ENGINE = "rules"
VERSION = "1"

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


def advise(batch: list[Message], now: datetime) -> None:
    """Write advice for newly opened cases; with advice switched off, write nothing."""
    if settings.PAYOPS_ADVICE != ENGINE:
        return
    for message in batch:
        case = Case.objects.get(pk=ids.parse(message.payload["case_id"], "cs")[1])
        facts = _facts(case)
        advice.write(
            case=case,
            engine=ENGINE,
            version=VERSION,
            input_hash=hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest(),
            input_facts=facts,
            summary=_summary(case, facts),
            likely_cause=CAUSES.get(case.root_cause, CAUSES["unknown"]),
            next_step=NEXT_STEPS.get(case.disposition, NEXT_STEPS[""]),
            now=now,
        )


def _facts(case: Case) -> dict[str, Any]:
    entries = case.entries.order_by("created_at", "pk").values_list("kind", "text")
    return {
        "rule": case.rule,
        "root_cause": case.root_cause,
        "disposition": case.disposition,
        "priority": case.priority,
        "timeline": [list(entry) for entry in entries[:50]],
    }


def _summary(case: Case, facts: dict[str, Any]) -> str:
    return f"{case.title}. {len(facts['timeline'])} entries on the timeline so far."
