"""What the form of a refund shows beside its fields: what asking now would come to (RF-3, RF-18).

Reads only; the checks and the verdict are those of the flow, looked at without a reservation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from approvals.tiers import seat_words
from payops.console.reads import charge_money, refund_file
from payops.console.reads.charge_money import MoneyBar
from payops.console.reads.refund_file import CheckRow
from payops.core import rates
from payops.core.money import Money
from payops.flows.refunds import request as flow
from payops.flows.refunds.request import Outlook, RefundAsk
from payops.flows.refunds.terms import RefundRefused
from payops.payments.models import Dispute, Payment, Refund

PRIOR_MAX = 50


@dataclass(frozen=True, slots=True)
class Verdict:
    """What asking now would come to, in words; `kind` is refused, auto or approval."""

    kind: str
    title: str
    text: str
    checks: list[CheckRow]
    outlook: Outlook | None = None

    @property
    def failed(self) -> list[CheckRow]:
        return [check for check in self.checks if not check.passed]

    @property
    def passed(self) -> list[CheckRow]:
        return [check for check in self.checks if check.passed]


@dataclass(frozen=True, slots=True)
class AskPage:
    """The charge as the form shows it, with every refund and dispute before."""

    payment: Payment
    captured: Money
    left: Money
    money: MoneyBar
    prior: Sequence[Refund]
    disputes: Sequence[Dispute]


def page(payment: Payment, *, asked: Money | None) -> AskPage:
    prior = Refund.objects.filter(payment=payment).select_related("requested_by")
    disputes = refund_file.disputes_of(payment)
    left = payment.refundable
    fits = asked is not None and 0 < asked.minor <= left.minor
    return AskPage(
        payment=payment,
        captured=Money(payment.captured_minor, payment.currency),
        left=left,
        money=charge_money.bar_of(
            payment,
            disputed_minor=charge_money.disputed_minor(disputes),
            asked_minor=asked.minor if asked is not None and fits else 0,
            reserved_already=False,
        ),
        prior=list(prior.order_by("-created_at")[:PRIOR_MAX]),
        disputes=disputes,
    )


def look(ask: RefundAsk, *, now: datetime) -> Verdict:
    """The flow's own look, in words for people; a request that no row could hold is refused."""
    try:
        seen = flow.look(ask=ask, now=now)
    except RefundRefused as refusal:
        return Verdict("refused", "Refused", str(refusal), [])
    checks = [refund_file.check_row(check.plain()) for check in seen.checks]
    if seen.verdict == "refused":
        return Verdict("refused", "Refused", seen.words, checks, seen)
    if seen.verdict == "auto":
        title = f"Goes out at once by rule {seen.ruleset}"
        return Verdict("auto", title, f"{seen.amount} leaves as soon as you ask.", checks, seen)
    title = f"Needs: {seat_words(seen.seats)}"
    return Verdict("approval", title, seen.words, checks, seen)


def twin_of(verdict: Verdict) -> str:
    """The id of an open request of the same amount and reason, "" without one (RF-11)."""
    if verdict.outlook is None:
        return ""
    for check in verdict.outlook.checks:
        if check.check == "no_twin" and not check.passed:
            return str(check.figures["twins"][0])
    return ""


def confirmation_for(amount: Money, payment: Payment, now: datetime) -> bool:
    """Above the book's limit the amount is typed once more; so it is where no rate is known."""
    worth = rates.reporting_minor(amount, payment.book, now)
    return worth is None or worth > payment.book.typed_confirmation_above_minor
