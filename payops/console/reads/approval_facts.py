"""The facts of an approval request in people's words: what they decide by, and the rest.

Owns names, order and what is shown in another way. Reads only. Serves AP-1, AP-2, F22.
"""

from __future__ import annotations

from typing import Any

from approvals.models import ApprovalRequest
from payops.console import wording
from payops.console.formats import Fact, address_of
from payops.console.reads import refund_approval
from payops.console.reads.books import facts_of as book_facts
from payops.console.reads.manual_journals import facts_of_asked
from payops.console.reads.periods import facts_of_late
from payops.core.ids import parse as parse_id
from payops.core.roles import LABELS
from payops.flows import book_settings, late_postings, manual_journal
from payops.flows.payouts.resolutions import RESOLUTIONS
from payops.payments.models import Beneficiary

# Shown in another way: sealed content by its hash, amounts as money, events as a table.
HIDDEN_FACTS = frozenset(
    {"sealed", "rules", "key_hash", "amount_minor", "currency", "event_ids", "rates"}
)
FACT_LABELS = {
    "merchant_ref": "Our reference",
    "bank_hash": "Bank details (keyed hash)",
    "bank_hash_before": "Bank details before (keyed hash)",
    "bank_masked": "Bank account",
    "bank_masked_before": "Bank account before",
    "beneficiary": "Beneficiary id",
    "funding": "Funded from",
    "source": "Asked through",
    "hold_beneficiary": "Hold every payout of the beneficiary",
    "template": "Journal template",
    "template_variant": "Template variant",
    "template_version": "Template version",
    "reissue_of": "Re-issue of",
    "account": "Paid through",
    "cooldown_hours": "Cooling down, hours",
    "person_id": "Person id",
    "content_hash": "Hash of the table",
    "failure_code": "Failure code",
    "label": "List",
    "adds": "Add",
    "removes": "Remove",
    "names": "Follow the name",
    "drops": "Drop the name",
    "mode_before": "Mode now",
    "allowlist_mode": "Mode asked for",
    "verify_policy": "Verified before acting",
    "calls_per_s": "Calls a second",
    "listing_every_s": "Events are listed every (seconds)",
    "park_deadline_s": "Parked at most (seconds)",
    "hint": "Secret, last characters",
    "value_hash": "Secret (keyed hash)",
    "secret": "Secret id",
    "period": "Period",
    "code": "Month",
    "starts_on": "First day",
    "ends_on": "Last day",
    "pack": "Reference pack",
    "pack_title": "Pack",
    "file": "File",
    "file_sha256": "File (SHA-256)",
    "rows_compared": "Lines compared",
    "differences_count": "Differences",
    "differences_explained": "Explained by others",
    "differences_unexplained": "Not explained",
    "rows_hash": "Hash of the lines",
    "differences_hash": "Hash of the differences",
}
FACTS_ORDER = (
    "warning",
    "period",
    "code",
    "starts_on",
    "ends_on",
    "provider_account",
    "mode_before",
    "allowlist_mode",
    "label",
    "resolution",
    "name",
    "role",
    "username",
    "system",
    "acts",
    "merchant_ref",
    "payout",
    "beneficiary",
    "bank_masked_before",
    "bank_masked",
    "account",
    "hold_beneficiary",
    "failure_code",
    "reissue_of",
    "funding",
    "source",
    "case",
    "template",
    "template_variant",
    "runbook",
    "pack_title",
    "pack",
    "file",
    "compared_at",
    "rows_compared",
    "differences_count",
    "differences_explained",
    "differences_unexplained",
)
# What the hash covers too, but nobody decides by.
TECHNICAL_FACTS = frozenset(
    {"beneficiary", "bank_hash", "bank_hash_before", "content_hash", "person_id", "funding"}
    | {"source", "template", "template_variant", "template_version", "runbook", "version"}
    | {"secret", "value_hash", "rows_hash", "differences_hash", "file_sha256"}
)
WORDED_FACTS = frozenset({"funding", "source", "template_variant"})


def facts_of_request(request: ApprovalRequest) -> list[Fact]:
    """The facts people decide by, whom it concerns first; `technical_facts` has the others."""
    if request.kind == manual_journal.KIND:
        return facts_of_asked(request)
    if request.kind == book_settings.KIND:
        return book_facts(request.facts, request.book.reporting_currency)
    if request.kind == late_postings.KIND:
        return facts_of_late(request)
    if request.kind in refund_approval.KINDS:
        return refund_approval.facts_of_asked(request)
    shown = []
    if request.amount_minor is not None:
        shown.append(Fact("Amount", request.amount_minor, "money", currency=request.currency))
    payee = _payee(request)
    shown += payee
    done = HIDDEN_FACTS | TECHNICAL_FACTS | ({"bank_masked"} if len(payee) > 1 else set())
    if request.facts.get("note") == request.reason:
        done |= {"note"}  # it is quoted as the reason already
    told = {v for n, v in request.facts.items() if n not in HIDDEN_FACTS and isinstance(v, str)}
    if (href := address_of(request.subject_id)) and request.subject_id not in told:
        shown.append(Fact("About", request.subject_id, "id", href))
    for name in sorted(request.facts, key=_place):
        if name not in done:
            shown += _facts(name, request.facts[name])
    return shown


def technical_facts(request: ApprovalRequest) -> list[Fact]:
    """The rest of what the hash covers; sealed content is shown by its hash."""
    if request.kind in refund_approval.KINDS:
        return refund_approval.technical_of_asked(request)
    names = sorted(TECHNICAL_FACTS & request.facts.keys(), key=_place)
    return [fact for name in names for fact in _facts(name, request.facts[name])]


def _payee(request: ApprovalRequest) -> list[Fact]:
    """The seller by name, and the account: as asked, or while its hash is still the asked one."""
    facts = request.facts
    public_id = str(facts.get("beneficiary", ""))
    if not public_id.startswith("be_"):
        return []
    seller = Beneficiary.objects.get(pk=parse_id(public_id, "be")[1])
    name = f"{seller.name} ({seller.reference})"
    shown = [Fact("Beneficiary", name, "link", address_of(public_id))]
    masked = facts.get("bank_masked", "")
    if not masked and facts.get("bank_hash") == seller.bank_hash:
        masked = seller.bank_masked
    if masked and "bank_masked_before" not in facts:
        shown.append(Fact(FACT_LABELS["bank_masked"], masked))
    return shown


def _place(name: str) -> tuple[int, str]:
    return (FACTS_ORDER.index(name) if name in FACTS_ORDER else len(FACTS_ORDER), name)


def _facts(name: str, value: Any) -> list[Fact]:
    label = FACT_LABELS.get(name, name.replace("_", " ").capitalize())
    if value in ("", None, []):
        return []
    if isinstance(value, bool):
        return [Fact(label, "Yes" if value else "No")]
    if isinstance(value, list):
        return [_fact(label, name, each) for each in value]
    return [_fact(label, name, value)]


def _fact(label: str, name: str, value: Any) -> Fact:
    if name == "resolution" and value in RESOLUTIONS:
        return Fact(label, RESOLUTIONS[value].label)
    if name in WORDED_FACTS:
        return Fact(label, wording.value(value))
    if name == "role":
        return Fact(label, LABELS.get(value, value))
    if name.startswith("bank_hash") or name in ("content_hash", "person_id", "value_hash"):
        return Fact(label, value, "id")
    href = address_of(value)
    if href:
        return Fact(label, value, "id", href)
    return Fact(label, value if isinstance(value, str) else str(value))
