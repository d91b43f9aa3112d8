"""What people are told of a refund that went another way than expected: the findings of its cases.

Words only; whoever found it opens the case. One case per refund and rule, or per payment where
several refunds of it are the matter. Serves RF-12, RF-16, D8, F3, F4.
"""

from __future__ import annotations

from datetime import datetime

from payops.cases.services import Finding
from payops.core import clock, rates
from payops.core.money import Money
from payops.payments.models import Payment, Refund

FAILED = "refund_failed"
EXTERNAL = "refund_external"
OVER_CAPTURED = "refund_over_captured"
MISMATCH = "provider_mismatch"
TITLE_CHARS_MAX = 200


def finding(refund: Refund, rule: str, title: str, *, now: datetime, trace_id: str = "") -> Finding:
    """One case of the refund, in the month in which what happened to it happened first."""
    return Finding(
        book=refund.book,
        rule=rule,
        fingerprint=refund.public_id,
        period=_period(refund, refund.failed_at or refund.money_back_at or now),
        subject_id=refund.public_id,
        title=title[:TITLE_CHARS_MAX],
        amount_minor=refund.amount_minor,
        currency=refund.currency,
        reporting_minor=rates.reporting_minor(refund.amount, refund.book, now),
        trace_id=trace_id,
    )


def failed(refund: Refund, words: str, *, now: datetime, trace_id: str = "") -> Finding:
    """The customer is still owed."""
    code = f" ({refund.failure_code})" if refund.failure_code else ""
    title = f"Refund of {refund.amount} for {named(refund.payment)} {words}{code}"
    return finding(refund, FAILED, title, now=now, trace_id=trace_id)


def external(refund: Refund, *, now: datetime, trace_id: str = "") -> Finding:
    title = (
        f"{refund.account} refunded {refund.amount} of {named(refund.payment)} as"
        f" {refund.provider_ref}; nobody asked for it here"
    )
    return finding(refund, EXTERNAL, title, now=now, trace_id=trace_id)


def over_captured(
    payment: Payment, over_minor: int, *, now: datetime, trace_id: str = ""
) -> Finding:
    """What was refunded at the provider and what is promised come to more than the capture."""
    over = Money(over_minor, payment.currency)
    captured = Money(payment.captured_minor, payment.currency)
    return Finding(
        book=payment.book,
        rule=OVER_CAPTURED,
        fingerprint=payment.public_id,
        period=_period(payment, now),
        subject_id=payment.public_id,
        title=f"Refunds of {named(payment)} exceed the captured {captured} by {over}"[
            :TITLE_CHARS_MAX
        ],
        amount_minor=over_minor,
        currency=payment.currency,
        reporting_minor=rates.reporting_minor(over, payment.book, now),
        trace_id=trace_id,
    )


def named(payment: Payment) -> str:
    return f"payment {payment.merchant_ref or payment.provider_ref}"


def _period(row: Refund | Payment, at: datetime) -> str:
    return clock.period_of(clock.business_day(at, time_zone=row.book.time_zone))
