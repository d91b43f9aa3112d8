"""What deciders of a refund see beside the facts: the charge, what is left and who asked before.

Reads only. Nothing of it is covered by the content hash: it is the charge as it stands now. Serves
RF-14, RF-18, D9, F1, F7.
"""

from __future__ import annotations

from dataclasses import dataclass

from approvals.models import ApprovalRequest
from payops.console import refund_wording, wording
from payops.console.formats import Fact, address_of
from payops.console.reads import charge_money, refund_file
from payops.console.reads.charge_money import MoneyBar
from payops.console.reads.refund_file import CheckRow
from payops.core.ids import UnknownId
from payops.payments.models import Dispute, Refund

KINDS = ("refund", "refund_offline", "refund_not_sent", "refund_obligation")
ASKED = ("refund", "refund_offline")


@dataclass(frozen=True, slots=True)
class RefundContext:
    """The refund and its charge as they stand now."""

    refund: Refund
    reason_label: str
    money: MoneyBar
    checks: list[CheckRow]
    evidence: list[Fact]
    others: list[Refund]
    disputes: list[Dispute]

    @property
    def blocked(self) -> str:
        """Why it could not leave even if it were granted now, "" when nothing stands against it."""
        against = [row.public_id for row in self.disputes if row.blocks_refunds]
        if not against or self.refund.state not in Refund.UNSENT:
            return ""
        return (
            f"The dispute {', '.join(against)} stands against the charge: a refund would pay the "
            "customer twice, so it would be refused before it leaves."
        )


def facts_of_asked(request: ApprovalRequest) -> list[Fact]:
    """What people decide by, first; `facts` of the request, none of them left out."""
    facts = request.facts
    if request.kind not in ASKED:
        return _plain_facts(request)
    refund = _refund_of(request)
    shown = [Fact("Amount", request.amount_minor, "money", currency=request.currency)]
    charge = facts["merchant_ref"] or facts["provider_ref"]
    shown.append(Fact("Charge", charge, "link", f"/payments/{facts['payment']}/"))
    if refund is not None:
        seller = refund.payment.beneficiary
        shown.append(Fact("Seller", seller.name, "link", address_of(facts["beneficiary_id"])))
        label = refund_file.reason_label(refund, refund_file.decisions_of(refund))
        shown.append(Fact("Reason", f"{label} (high risk)" if facts["high_risk"] else label))
        shown.append(Fact("Asked through", refund_wording.door(refund)))
        shown.append(Fact("Note", refund.note or "none"))
    shown.append(Fact("Provider account", facts["account"]))
    for name, words in sorted(facts["evidence"].items()):
        shown.append(Fact(f"Evidence: {name.replace('_', ' ')}", words))
    if facts["offline"]:
        shown.append(Fact("How", "paid by hand, outside the provider"))
    elif facts["send_by_person"]:
        shown.append(Fact("How", "sent by a person once it is granted"))
    if facts["goodwill"]:
        shown.append(Fact("Borne by", "the platform, as a gift"))
    if facts["retry_of"]:
        retried = facts["retry_of"]
        shown.append(Fact("Another attempt at", retried, "id", address_of(retried)))
    return shown


def technical_of_asked(request: ApprovalRequest) -> list[Fact]:
    facts = request.facts
    if request.kind not in ASKED:
        return []
    return [
        Fact("Refund", request.subject_id, "id", address_of(request.subject_id)),
        Fact("Promise", facts["promise"], "id", address_of(facts["promise"])),
        Fact("Provider's reference of the charge", facts["provider_ref"], "id"),
        Fact("Reason code", facts["reason_code"], "mono"),
        Fact("Source", wording.value(facts["source"])),
        Fact("Decided under", facts["ruleset"], "mono"),
    ]


def context_of(request: ApprovalRequest) -> RefundContext | None:
    """None for other requests."""
    if request.kind not in KINDS:
        return None
    refund = _refund_of(request)
    if refund is None:
        return None
    payment = refund.payment
    decisions = refund_file.decisions_of(refund)
    disputes = refund_file.disputes_of(payment)
    others = Refund.objects.filter(payment=payment).exclude(pk=refund.pk)
    counted = refund.state in Refund.RESERVED or refund.obligation == Refund.Obligation.OWED
    return RefundContext(
        refund=refund,
        reason_label=refund_file.reason_label(refund, decisions),
        money=charge_money.bar_of(
            payment,
            disputed_minor=charge_money.disputed_minor(disputes),
            asked_minor=refund.amount_minor if counted else 0,
        ),
        checks=decisions[-1].warnings if decisions else [],
        evidence=refund_file.evidence_of(refund),
        others=list(
            others.select_related("requested_by").order_by("created_at")[: refund_file.ROWS_MAX]
        ),
        disputes=disputes,
    )


def _refund_of(request: ApprovalRequest) -> Refund | None:
    named = str(request.facts.get("refund") or request.subject_id)
    try:
        key = Refund.key_of(named)
    except UnknownId:
        return None
    return refund_file.query().filter(pk=key, book_id=request.book_id).first()


def _plain_facts(request: ApprovalRequest) -> list[Fact]:
    shown = []
    if request.amount_minor is not None:
        shown.append(Fact("Amount", request.amount_minor, "money", currency=request.currency))
    elif "amount_minor" in request.facts:
        facts = request.facts
        shown.append(Fact("Amount", facts["amount_minor"], "money", currency=facts["currency"]))
    for name, said in request.facts.items():
        if name in ("amount_minor", "currency"):
            continue
        href = address_of(said)
        label = name.replace("_", " ").capitalize()
        shown.append(Fact(label, str(said), "id" if href else "text", href))
    return shown
