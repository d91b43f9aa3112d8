"""Advice on a refund: which amount and reason, what went before, how likely a dispute is (AI-3).

Beside the form of a charge and beside a refund that is decided about or was executed. Pure over
the figures of `charge_facts` and the book's refund policy; the policy and people decide, never
these words (D1, AI-9). Serves AI-2, RF-14.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from payops.payments.models import Payment, Refund
from payops.payments.refund_table import Reason, Risk, Rules
from payops.triage import charge_facts, drafts
from payops.triage.charge_facts import COUNT_MAX
from payops.triage.dispute_reasons import reason_of
from payops.triage.refund_failures import REFUSED_BY, failure_of
from payops.triage.said import Line, Said, counted, money, quoted

ABOUT, VERSION = "refund", "1"
DONE, LEFT = ("SUCCEEDED", "LEDGER_PENDING"), ("ACCEPTED",)
WAITING = ("REQUESTED", "AWAITING_APPROVAL", "APPROVED", "DISPATCHING", "UNKNOWN")
NOT_MADE = ("REFUSED", "CANCELED")
# A seller's disputes are many from this share of its charges on, in tenths of a per cent.
MANY_PER_MILLE, MANY_MIN = 10, 3
Facts = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for so far; on an empty form nothing is."""

    amount_minor: int | None = None
    reason_code: str = ""
    evidence: tuple[str, ...] = ()
    refund: Refund | None = None
    # Names of the checks that refused it, of its latest decision.
    refused_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Suggestion:
    """`amount_minor` None: no refund now. `reason_code` "": nothing points to one."""

    amount_minor: int | None
    why_amount: str
    reason_code: str = ""
    why_reason: str = "nothing in the books points to a reason; the customer's own words decide"


def facts_of(payment: Payment, *, asked: Asked, rules: Rules, now: datetime) -> dict[str, Any]:
    """Figures and codes; "page" is for drafts alone and never leaves the house."""
    own = asked.refund
    facts = charge_facts.facts_of(payment, now=now, own=own)
    if own and (own.state in Refund.RESERVED or own.obligation == Refund.Obligation.OWED):
        facts["left_minor"] += own.amount_minor
        facts["reserved_minor"] -= own.amount_minor
    reason = rules.reasons.get(asked.reason_code)
    return {
        **facts,
        "asked": {
            "amount_minor": asked.amount_minor,
            "reason_code": quoted(asked.reason_code),
            "missing_required": _missing(reason.required if reason else (), asked),
            "missing_wanted": _missing(reason.wanted if reason else (), asked),
            "state": str(own.state) if own else "",
            "obligation": str(own.obligation) if own else "",
            "offline": bool(own and own.offline),
            "failure_code": quoted(own.failure_code) if own else "",
            "accepted_on": _day(own.accepted_at) if own else "",
            "succeeded_on": _day(own.succeeded_at) if own else "",
            "refused_by": list(asked.refused_by),
        },
        "reasons": {code: _of_reason(row) for code, row in sorted(rules.reasons.items())},
        "policy": rules.ruleset,
        "page": _page(payment, own),
    }


def advise(facts: Facts) -> Said:
    asked, suggestion = facts["asked"], suggested(facts)
    return Said(
        summary=_summary(facts, suggestion),
        likely_cause=_why(facts, suggestion),
        next_step=_next_step(facts, suggestion),
        suggests=suggestion.reason_code,
        lines=_lines(facts, suggestion),
        drafts=drafts.of_refund(facts) if asked["state"] else (),
    )


def suggested(facts: Facts) -> Suggestion:
    """By the strongest sign first: nothing left, a dispute, a promise owed, a second charge."""
    currency, left = facts["currency"], facts["left_minor"]
    if left <= 0:
        return Suggestion(None, "nothing is left: all of it is refunded or reserved")
    for dispute in facts["disputes"]:
        if dispute["blocks"] and dispute["state"] != "INQUIRY":
            amount = money(dispute["amount_minor"], currency)
            stands = "was lost" if dispute["state"] == "LOST" else "stands"
            return Suggestion(
                None, f"a dispute of {amount} {stands}: a refund now would pay the customer twice"
            )
    owed = [row for row in facts["refunds"] if row["obligation"] == "owed"]
    if owed:
        amount = money(owed[0]["amount_minor"], currency)
        return Suggestion(
            None,
            f"{amount} of refund …{owed[0]['id']} did not arrive and is still owed: try that one "
            "again; a new refund would be a second promise",
        )
    inquiries = [row for row in facts["disputes"] if row["state"] == "INQUIRY"]
    if inquiries:
        return _for_inquiry(facts, inquiries[0])
    if facts["order"]["same_amount"]:
        others = counted(facts["order"]["same_amount"], "other charge")
        return Suggestion(
            left,
            f"all that is left of it: {others} of the same amount under the same order",
            *_reason(facts, "duplicate_charge", "the same order was charged twice"),
        )
    return _as_asked(facts)


def risk(facts: Facts) -> tuple[str, list[str]]:
    """How likely a dispute is, in one word, and every sign of it."""
    high, raised = [], []
    for row in facts["disputes"]:
        amount = money(row["amount_minor"], facts["currency"])
        if row["state"] == "INQUIRY":
            until = f" until {row['due_at']} UTC" if row["due_at"] else ""
            high.append(f"an inquiry of {amount} is open{until}")
        elif row["blocks"]:
            high.append(f"a dispute of {amount} is {row['state'].lower().replace('_', ' ')}")
        else:
            high.append(f"the charge had a dispute of {amount}, {row['state'].lower()}")
    if facts["fraud_warnings"]:
        high.append(f"{counted(facts['fraud_warnings'], 'early fraud warning')} of the card scheme")
    code = facts["asked"]["reason_code"]
    rule = facts["reasons"].get(code, {}).get("high_risk", "")
    if rule == Risk.ALWAYS:
        high.append(f"the reason “{_label(facts, code)}” is of high risk by policy")
    elif rule == Risk.WITH_PRIOR_DISPUTES:
        raised.append(f"the reason “{_label(facts, code)}” is often disputed as well")
    seller = facts["seller"]
    if seller["disputes"] >= MANY_MIN and (
        seller["disputes"] * 1000 >= MANY_PER_MILLE * max(1, seller["charges"])
    ):
        raised.append(
            f"the seller has {counted(seller['disputes'], 'dispute')} of "
            f"{counted(seller['charges'], 'charge')} in 90 days"
        )
    return ("high" if high else "raised" if raised else "low"), [*high, *raised]


def _for_inquiry(facts: Facts, inquiry: Facts) -> Suggestion:
    currency = facts["currency"]
    said = reason_of(inquiry["reason_code"])
    reason = _reason(facts, said.refund_reason, f"the inquiry: {said.words}")
    refunded = sum(
        row["amount_minor"] for row in facts["refunds"] if row["state"] in (*DONE, *LEFT)
    )
    asked = money(inquiry["amount_minor"], currency)
    if inquiry["blocks"]:
        why = (
            f"the inquiry of {asked} bars refunds while the provider does not allow one; answer it"
        )
        return Suggestion(None, why, *reason)
    open_minor = min(facts["left_minor"], inquiry["amount_minor"] - refunded)
    if open_minor <= 0:
        why = f"{money(refunded, currency)} was refunded already: answer the inquiry with its proof"
        return Suggestion(None, why, *reason)
    until = f" before {inquiry['due_at']} UTC" if inquiry["due_at"] else ""
    why = f"an inquiry of {asked} is open; a refund of it{until} ends it without a chargeback"
    return Suggestion(open_minor, why, *reason)


def _as_asked(facts: Facts) -> Suggestion:
    asked, left = facts["asked"], facts["left_minor"]
    currency, code = facts["currency"], facts["asked"]["reason_code"]
    reason = (code, "as asked; nothing in the books points to another") if code else ()
    amount = asked["amount_minor"]
    if amount is not None and amount > left:
        why = f"{money(amount, currency)} is asked and {money(left, currency)} is left"
        return Suggestion(left, why, *reason)
    if amount is not None:
        why = f"as asked: it fits within the {money(left, currency)} that is left"
        return Suggestion(amount, why, *reason)
    why = "all that is left; ask for less where the customer keeps a part of the order"
    return Suggestion(left, why, *reason)


def _reason(facts: Facts, code: str, why: str) -> tuple[str, str]:
    """Only a reason that the book's policy has is suggested."""
    if code in facts["reasons"]:
        return code, why
    return "", "nothing in the books points to a reason; the customer's own words decide"


def _summary(facts: Facts, suggestion: Suggestion) -> str:
    asked, currency = facts["asked"], facts["currency"]
    if asked["obligation"] == "owed":
        return f"{money(asked['amount_minor'], currency)} did not arrive and is still owed."
    if asked["state"] in (*DONE, *LEFT):
        where = "went out" if asked["state"] in DONE else "is on its way"
        return f"{money(asked['amount_minor'], currency)} {where}; the draft tells the customer."
    if asked["state"] in NOT_MADE:
        return "It was not made; the draft tells the customer why and what to do."
    level = risk(facts)[0]
    if suggestion.amount_minor is None:
        return f"No refund of this charge now. Dispute risk: {level}."
    amount = money(suggestion.amount_minor, currency)
    label = _label(facts, suggestion.reason_code)
    named = f" as “{label}”" if label else ""
    return f"A refund of {amount}{named}. Dispute risk: {level}."


def _why(facts: Facts, suggestion: Suggestion) -> str:
    """Of a refund that waits, why so much; of one that failed, why it did."""
    asked = facts["asked"]
    if not asked["state"] or asked["state"] in WAITING:
        return suggestion.why_amount
    if asked["state"] in (*DONE, *LEFT):
        return "the provider confirmed it" if not asked["offline"] else "it was paid by hand"
    if asked["state"] in NOT_MADE:
        named = [REFUSED_BY.get(name, name.replace("_", " ")) for name in asked["refused_by"]]
        return "; ".join(named) or "people decided so"
    code = f" ({asked['failure_code']})" if asked["failure_code"] else ""
    return f"{failure_of(asked['failure_code']).words}{code}"


def _next_step(facts: Facts, suggestion: Suggestion) -> str:
    asked = facts["asked"]
    if asked["obligation"] == "owed":
        return f"{failure_of(asked['failure_code']).next_step}; tell the customer it is still owed"
    if asked["state"] and asked["state"] not in WAITING:
        return "copy the draft where the customer waits for word; nothing is sent from here"
    if asked["missing_required"]:
        return f"ask for {_names(asked['missing_required'])} first; it is refused without"
    if suggestion.amount_minor is None:
        return "look at the dispute and the refunds before; answer the customer with them"
    twin = [
        row
        for row in facts["refunds"]
        if row["state"] in WAITING and row["amount_minor"] == asked["amount_minor"]
    ]
    if twin:
        return f"make sure that refund …{twin[0]['id']} of the same amount is another one"
    if asked["missing_wanted"]:
        return f"ask for {_names(asked['missing_wanted'])}; without it people decide"
    if any(row["state"] == "INQUIRY" for row in facts["disputes"]):
        return "where the customer is right, ask now; where not, answer the inquiry with evidence"
    return "compare the amount with what the customer keeps, then decide"


def _lines(facts: Facts, suggestion: Suggestion) -> tuple[Line, ...]:
    currency, asked, order = facts["currency"], facts["asked"], facts["order"]
    level, signs = risk(facts)
    lines = []
    if not asked["state"] or asked["state"] in WAITING:
        amount = suggestion.amount_minor
        said = "none now" if amount is None else money(amount, currency)
        lines.append(Line("Suggested amount", f"{said}: {suggestion.why_amount}"))
        label = _label(facts, suggestion.reason_code)
        lines.append(Line("Suggested reason", f"{label or 'none'}: {suggestion.why_reason}"))
        if asked["reason_code"]:
            lines.append(Line("Missing evidence", _missing_words(facts)))
    lines += [
        Line("Dispute risk", f"{level}: {'; '.join(signs) or 'no sign of one'}"),
        Line("Refunds before", _refunds_words(facts)),
        Line("Disputes before", _disputes_words(facts)),
        Line("Seller, 90 days", _seller_words(facts["seller"])),
    ]
    if order["charges"]:
        words = f"{counted(order['charges'], 'other charge')}, {order['captured']} of them captured"
        lines.append(Line("Same order", f"{words} and {order['same_amount']} of the same amount"))
    return tuple(lines)


def _refunds_words(facts: Facts) -> str:
    currency, rows = facts["currency"], facts["refunds"]
    if not rows:
        return "none of this charge"
    said = []
    for states, words in ((DONE, "made"), (LEFT, "on their way"), (WAITING, "not sent yet")):
        of = [row["amount_minor"] for row in rows if row["state"] in states]
        if of:
            said.append(f"{len(of)} {words} ({money(sum(of), currency)})")
    failed = [row for row in rows if row["state"] in ("FAILED", "FAILED_LATE", "RETURNED")]
    if failed:
        total = money(sum(row["amount_minor"] for row in failed), currency)
        said.append(f"{len(failed)} that did not arrive ({total})")
    refused = sum(row["state"] in NOT_MADE for row in rows)
    if refused:
        said.append(f"{refused} refused or canceled")
    captured = money(facts["captured_minor"], currency)
    return f"{', '.join(said)}; {money(facts['left_minor'], currency)} of {captured} is left"


def _disputes_words(facts: Facts) -> str:
    said = [
        f"{money(row['amount_minor'], facts['currency'])} {row['state'].lower().replace('_', ' ')}"
        f" ({reason_of(row['reason_code']).words})"
        for row in facts["disputes"]
    ]
    return "; ".join(said) or "none of this charge"


def _seller_words(seller: Mapping[str, int]) -> str:
    charges = seller["charges"]
    many = "1,000 or more charges" if charges >= COUNT_MAX else counted(charges, "charge")
    parts = [many]
    for count, noun in ((seller["refunds"], "refund"), (seller["disputes"], "dispute")):
        share = f" ({_share(count, charges)})" if count and 0 < charges < COUNT_MAX else ""
        parts.append(f"{counted(count, noun)}{share}")
    return ", ".join(parts)


def _share(count: int, total: int) -> str:
    tenths = (count * 2000 + total) // (2 * total)
    return f"{tenths // 10}.{tenths % 10} %"


def _missing_words(facts: Facts) -> str:
    required, wanted = facts["asked"]["missing_required"], facts["asked"]["missing_wanted"]
    said = [f"{_names(required)} (refused without)"] if required else []
    if wanted:
        said.append(f"{_names(wanted)} (people decide without)")
    return "; ".join(said) or "none; the evidence is complete"


def _names(fields: list[str]) -> str:
    return ", ".join(field.replace("_", " ") for field in fields)


def _missing(fields: tuple[str, ...], asked: Asked) -> list[str]:
    return [field for field in fields if field not in asked.evidence]


def _of_reason(row: Reason) -> dict[str, str]:
    return {"label": row.label, "high_risk": row.high_risk.value}


def _label(facts: Facts, code: str) -> str:
    return str(facts["reasons"].get(code, {}).get("label", ""))


def _day(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d}" if at else ""


def _page(payment: Payment, refund: Refund | None) -> dict[str, str]:
    """References that the page shows too, for the customer to name."""
    return {
        "order": quoted(payment.merchant_ref),
        "reference": quoted(refund.provider_ref or refund.public_id) if refund else "",
    }
