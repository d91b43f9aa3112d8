"""Drafts of messages to customers: a receipt, a refusal, money still owed, an answer, a reminder.

English text for somebody to copy and change; nothing is sent from here and nothing is kept for
sending (D1, AI-2). No name and no account stands in one: only what the page shows. Pure. Serves
AI-6.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from payops.triage.dispute_reasons import DisputeReason
from payops.triage.said import Draft, day_text, money

Facts = Mapping[str, Any]
HELLO, END = "Hello,", "Kind regards"
# Bank days from when the provider took it to when the customer sees it, at least and at most.
DAYS_USUAL = (5, 10)
DAYS_TO_CUSTOMER: Mapping[str, tuple[int, int]] = {
    "card": (5, 10),
    "apple_pay": (5, 10),
    "google_pay": (5, 10),
    "sepa_debit": (3, 5),
    "bacs_debit": (3, 7),
    "ach_debit": (3, 7),
    "ideal": (2, 5),
    "bancontact": (2, 5),
    "sofort": (2, 5),
    "klarna": (5, 14),
    "paypal": (0, 5),
}
PAID_BY = {
    "card": "the card you paid with",
    "apple_pay": "the card behind Apple Pay",
    "google_pay": "the card behind Google Pay",
    "klarna": "your Klarna account",
    "paypal": "your PayPal account",
}
# What the customer is told where a check refused; the figures of the check stay in the house.
REFUSED_BECAUSE = {
    "captured": "the payment was never collected, so there is nothing to give back",
    "settled": "the payment has not reached us yet; please ask again in a few days",
    "remaining": "more was asked for than remains of the payment after earlier refunds",
    "no_blocking_dispute": "your bank is deciding about this payment at your request, and it will "
    "pay you if it decides for you; a refund on top would pay you twice",
    "required_evidence": "something is missing that we need to decide: [say what is missing]",
    "currency_and_account": "the request does not match the payment",
    "provider": "the payment provider takes no refund of this payment",
}
WHAT_TO_DO = {
    "settled": "Please ask us again in a few days.",
    "remaining": "Tell us if you believe that an earlier refund did not reach you.",
    "no_blocking_dispute": "Please wait for your bank's decision, or withdraw the dispute there "
    "and tell us.",
    "required_evidence": "Send us what is missing and we look at it again.",
}


def of_refund(facts: Facts) -> tuple[Draft, ...]:
    asked = facts["asked"]
    if asked["obligation"] in ("owed", "unclaimed"):
        return (_still_owed(facts),)
    if asked["state"] in ("ACCEPTED", "SUCCEEDED", "LEDGER_PENDING"):
        return (_receipt(facts),)
    if asked["state"] in ("REFUSED", "CANCELED"):
        return (_refusal(facts),)
    if asked["state"] == "FAILED" and not asked["obligation"]:
        return (_not_made(facts),)
    if asked["state"] in ("DISPATCHING", "UNKNOWN"):
        return (_late(facts),)
    return ()


def reaches(facts: Facts) -> tuple[int, int]:
    """Bank days until the customer has it; a wallet at its own provider is quickest."""
    is_wallet = facts["provider"] == "paypal" and facts["method"] in ("", "paypal")
    return DAYS_TO_CUSTOMER.get("paypal" if is_wallet else facts["method"], DAYS_USUAL)


def bank_days_after(first: date, days: int) -> date:
    day, left = first, days
    while left > 0:
        day += timedelta(days=1)
        left -= day.weekday() < 5
    return day


def of_dispute(facts: Facts, reason: DisputeReason) -> Draft:
    amount = money(facts["amount_minor"], facts["currency"])
    proof = [f"- {line}" for line in reason.wins]
    refunded = [
        f"- refund {row['reference']} of {money(row['amount_minor'], facts['currency'])}"
        f"{_on(row['on'])}"
        for row in facts["page"]["refunded"]
    ]
    paragraphs = [
        f"Re: {'inquiry' if facts['state'] == 'INQUIRY' else 'dispute'} of {amount}{_order(facts)}",
        f"Claim: {reason.words}.",
    ]
    if refunded:
        paragraphs += [
            "The customer has been refunded for this charge and has no further claim:",
            "\n".join(refunded),
        ]
    else:
        paragraphs += [
            "We do not agree, for these reasons: [say in two sentences what happened]",
            "Evidence attached: [keep what you have, take out the rest]\n" + "\n".join(proof),
        ]
    return Draft("Answer to the bank", "\n\n".join(paragraphs))


def reminder(facts: Facts, *, told: str, ask: str, again_on: str) -> Draft:
    """A dunning letter; `again_on`: the day on which the charge would be tried again, or ""."""
    amount = money(facts["amount_minor"], facts["currency"])
    lines = [HELLO, f"Your payment of {amount}{_order(facts)} did not go through: {told}."]
    if again_on:
        lines.append(f"We would try again on {day_text(again_on)}. {ask}")
    else:
        lines.append(ask)
    lines.append("If you have paid already, please ignore this message.")
    return _letter("Payment reminder", lines)


def _receipt(facts: Facts) -> Draft:
    asked = facts["asked"]
    amount = money(asked["amount_minor"], facts["currency"])
    if asked["offline"]:
        when = "It was paid by bank transfer; it arrives within a few bank days."
    else:
        first, last = reaches(facts)
        start = asked["accepted_on"] or asked["succeeded_on"]
        where = PAID_BY.get(facts["method"], "the account you paid from")
        when = f"It goes back to {where}; banks take {first} to {last} bank days."
        if start:
            by = bank_days_after(date.fromisoformat(start), last).isoformat()
            when += f" Please look for it until {day_text(by)}."
    lines = [
        HELLO,
        f"We have refunded {amount}{_order(facts)}.",
        when,
        _reference(facts),
    ]
    return _letter("Refund receipt", lines)


def _refusal(facts: Facts) -> Draft:
    asked = facts["asked"]
    named = [REFUSED_BECAUSE[name] for name in asked["refused_by"] if name in REFUSED_BECAUSE]
    why = named[0] if named else "[say in your own words why]"
    amount = money(asked["amount_minor"], facts["currency"])
    first = next((name for name in asked["refused_by"] if name in REFUSED_BECAUSE), "")
    lines = [
        HELLO,
        f"You asked for a refund of {amount}{_order(facts)}. We cannot make it: {why}.",
        WHAT_TO_DO.get(first, "Answer this message if you would like us to look at it again."),
        _reference(facts),
    ]
    return _letter("Refusal", lines)


def _still_owed(facts: Facts) -> Draft:
    amount = money(facts["asked"]["amount_minor"], facts["currency"])
    lines = [
        HELLO,
        f"Our refund of {amount}{_order(facts)} did not reach you: your bank or card did not "
        "accept it. The money is still owed to you.",
        "We try again or pay it another way. If the card or account you paid with is closed, "
        "please tell us where you would like to receive it; never send card numbers in a message.",
        _reference(facts),
    ]
    return _letter("Still owed to you", lines)


def _not_made(facts: Facts) -> Draft:
    amount = money(facts["asked"]["amount_minor"], facts["currency"])
    lines = [
        HELLO,
        f"The refund of {amount}{_order(facts)} could not be made yet: the payment provider did "
        "not take it. We are looking into it and write again.",
        _reference(facts),
    ]
    return _letter("Not made yet", lines)


def _late(facts: Facts) -> Draft:
    amount = money(facts["asked"]["amount_minor"], facts["currency"])
    lines = [
        HELLO,
        f"Your refund of {amount}{_order(facts)} is being made; the payment provider has not "
        "confirmed it yet. We write again as soon as it has.",
        _reference(facts),
    ]
    return _letter("On its way", lines)


def _letter(title: str, paragraphs: list[str]) -> Draft:
    return Draft(title, "\n\n".join([*filter(None, paragraphs), END]))


def _order(facts: Facts) -> str:
    order = facts["page"]["order"]
    return f" for order {order}" if order else ""


def _reference(facts: Facts) -> str:
    reference = facts["page"]["reference"]
    return f"Our reference: {reference}" if reference else ""


def _on(iso_date: str) -> str:
    return f" on {day_text(iso_date)}" if iso_date else ""
