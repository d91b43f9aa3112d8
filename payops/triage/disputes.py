"""Advice on a dispute: what wins by its reason, whether a refund ends it in time, the deadline.

Also where a refund and a dispute of one charge meet (D9, F1): whoever was refunded has no further
claim, and whoever disputes is not refunded on top. Pure over figures that `facts_of` reads; the
provider's console is where anything is sent. Serves D1, AI-2, AI-3, AI-9, OB-8.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from payops.payments.models import Dispute, Refund
from payops.triage import charge_facts, drafts
from payops.triage.dispute_reasons import DisputeReason, reason_of
from payops.triage.said import Line, Said, counted, money, quoted, sentence

ABOUT, VERSION = "dispute", "1"
LIVE = ("INQUIRY", "OPEN", "UNDER_REVIEW")
MADE = ("ACCEPTED", "SUCCEEDED", "LEDGER_PENDING")
FLYING = ("DISPATCHING", "UNKNOWN")
WAITING = ("REQUESTED", "AWAITING_APPROVAL", "APPROVED")
Facts = Mapping[str, Any]


def facts_of(dispute: Dispute, *, now: datetime) -> dict[str, Any]:
    """Figures and codes; "page" is for the draft alone and never leaves the house."""
    payment, due = dispute.payment, dispute.evidence_due_at
    refunds = Refund.objects.filter(payment=payment).order_by("created_at", "pk")
    rows = list(refunds[: charge_facts.ROWS_MAX])
    others = Dispute.objects.filter(payment=payment).exclude(pk=dispute.pk).order_by("opened_at")
    return {
        "provider": dispute.account.provider,
        "currency": dispute.currency,
        **charge_facts.dispute_row(dispute),
        "reason": reason_of(dispute.reason_code).key,
        "days_left": (due - now) // timedelta(days=1) if due else None,
        "is_overdue": bool(due and due <= now),
        "evidence_sent": dispute.evidence_sent_at is not None,
        "money_is_out": dispute.withdrawn_at is not None and dispute.returned_at is None,
        "round": dispute.round,
        "borne_by": str(dispute.borne_by),
        "refunded_before_minor": dispute.refunded_before_minor,
        "left_minor": payment.refundable.minor,
        "captured_minor": payment.captured_minor,
        "refunds": [charge_facts.refund_row(row) for row in rows],
        "others": [charge_facts.dispute_row(row) for row in others[: charge_facts.ROWS_MAX]],
        "page": {
            "order": quoted(payment.merchant_ref),
            "refunded": [
                {
                    "reference": quoted(row.provider_ref or row.public_id),
                    "amount_minor": row.amount_minor,
                    "on": f"{row.accepted_at:%Y-%m-%d}" if row.accepted_at else "",
                }
                for row in rows
                if row.state in MADE
            ],
        },
    }


def advise(facts: Facts) -> Said:
    reason = reason_of(facts["reason"])
    is_live = facts["state"] in LIVE
    return Said(
        summary=_summary(facts, reason),
        likely_cause=_cause(facts, reason),
        next_step=_next_step(facts),
        lines=_lines(facts, reason),
        drafts=(drafts.of_dispute(facts, reason),) if is_live and not facts["is_overdue"] else (),
    )


def refund_in_time(facts: Facts) -> str:
    """Whether a refund would end it, in words with its figures."""
    currency = facts["currency"]
    made, open_minor = _made_minor(facts), _open_minor(facts)
    by = f" before {facts['due_at']} UTC" if facts["due_at"] else ""
    if facts["state"] == "LOST":
        return "no: it is lost, and the bank has paid the customer"
    if facts["state"] in ("WON", "CLOSED"):
        return "not needed: it has ended; the charge may be refunded again"
    if facts["state"] != "INQUIRY":
        return "no: a refund now would pay the customer twice; the bank decides about the money"
    if facts["blocks"]:
        return "no: the provider does not allow a refund while it asks; answer it with evidence"
    if facts["is_overdue"]:
        return "no longer: the provider's deadline is over"
    if open_minor <= 0:
        return f"it has been: {money(made, currency)} was refunded; show it to the bank"
    return f"yes: a refund of {money(open_minor, currency)}{by} ends it without a chargeback"


def _summary(facts: Facts, reason: DisputeReason) -> str:
    what = "Inquiry" if facts["state"] == "INQUIRY" else "Dispute"
    amount = money(facts["amount_minor"], facts["currency"])
    return f"{what} of {amount}: {reason.words}. {sentence(_deadline(facts))}"


def _cause(facts: Facts, reason: DisputeReason) -> str:
    currency = facts["currency"]
    code = f" (code {facts['reason_code']})" if facts["reason_code"] else ""
    said = [f"{reason.words}{code}"]
    if made := _made_minor(facts):
        said.append(f"{money(made, currency)} of the charge was refunded")
    if facts["refunded_before_minor"]:
        before = money(facts["refunded_before_minor"], currency)
        said.append(f"{before} of it before the bank took the money: paid twice")
    return "; ".join(said)


def _next_step(facts: Facts) -> str:
    state, made = facts["state"], _made_minor(facts)
    flying = any(row["state"] in FLYING for row in facts["refunds"])
    if state == "LOST":
        if facts["refunded_before_minor"]:
            return "the customer was paid twice: recover the refund from the customer or the seller"
        return "it has ended; do not refund the charge on top of it"
    if state in ("WON", "CLOSED"):
        return "nothing to do; keep the evidence, a bank may open a second round"
    if state == "UNDER_REVIEW" or facts["evidence_sent"]:
        return "wait for the bank's decision; refunds of the charge stay barred until then"
    if facts["is_overdue"]:
        return "the deadline is over: ask the provider whether it still takes evidence"
    if made and _open_minor(facts) <= 0:
        return "answer with the refund's reference, amount and date: the customer has the money"
    if flying:
        return "a refund is on its way: wait for its confirmation, then answer with it"
    if state == "INQUIRY" and not facts["blocks"]:
        return (
            "where the customer is right, refund before the deadline: it ends the inquiry without "
            "a chargeback and its fee; where not, send the evidence"
        )
    if made:
        return "send the evidence and the proof of the part that was refunded"
    return "send the evidence that you have before the deadline, or accept the loss; never refund"


def _lines(facts: Facts, reason: DisputeReason) -> tuple[Line, ...]:
    waiting = [row for row in facts["refunds"] if row["state"] in WAITING]
    lines = [
        Line("Deadline", _deadline(facts)),
        Line("Would a refund end it", refund_in_time(facts)),
    ]
    if facts["state"] in LIVE:
        lines += [
            Line("Evidence that wins", "; ".join(reason.wins)),
            Line("What does not help", reason.weak),
        ]
    lines.append(Line("Refunds of the charge", _refunds_words(facts)))
    if waiting:
        total = money(sum(row["amount_minor"] for row in waiting), facts["currency"])
        words = f"{counted(len(waiting), 'refund')} of {total} cannot leave while it stands"
        lines.append(Line("Held by it", words))
    if facts["others"]:
        said = counted(len(facts["others"]), "other dispute")
        lines.append(Line("Other disputes", f"{said} of this charge"))
    if facts["round"] > 1:
        lines.append(Line("Round", f"{facts['round']}: answer what is new in it"))
    return tuple(lines)


def _deadline(facts: Facts) -> str:
    if facts["state"] not in LIVE:
        return f"it has ended: {facts['state'].lower()}"
    if facts["evidence_sent"]:
        return "the evidence is sent; the bank decides"
    if not facts["due_at"]:
        return "the provider told no deadline; ask in its console"
    if facts["is_overdue"]:
        return f"it was {facts['due_at']} UTC and is over"
    days = facts["days_left"]
    if days is None:
        return f"answer by {facts['due_at']} UTC"
    left = f"{counted(days, 'day')} left" if days else "less than a day left"
    return f"answer by {facts['due_at']} UTC, {left}"


def _refunds_words(facts: Facts) -> str:
    said = []
    for states, words in ((MADE, "made"), (FLYING, "on their way"), (WAITING, "not sent")):
        of = [row["amount_minor"] for row in facts["refunds"] if row["state"] in states]
        if of:
            said.append(f"{len(of)} {words} ({money(sum(of), facts['currency'])})")
    return ", ".join(said) or "none was made"


def _made_minor(facts: Facts) -> int:
    return sum(row["amount_minor"] for row in facts["refunds"] if row["state"] in MADE)


def _open_minor(facts: Facts) -> int:
    """What a refund could still give back of the disputed amount."""
    return min(facts["left_minor"], facts["amount_minor"] - _made_minor(facts))
