"""What the tables hold of a charge, its seller and its order, as figures (AI-3, RF-14).

No name, note, evidence or ticket text is read: advice is made of figures and of words that machines
wrote, so nothing a stranger types can steer it. The customer has no identity here; charges under
the same order reference count as theirs. Reads only.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from payops.payments.models import Dispute, Payment, Refund
from payops.triage.said import quoted
from payops.webhooks.models import ProviderEvent

LOOKED_BACK = timedelta(days=90)
ROWS_MAX = 50
# Counted up to here; "1,000 or more" says that it stopped.
COUNT_MAX = 1000
# Warnings of the card schemes that come before a dispute; they name the charge by its reference.
FRAUD_WARNINGS = ("radar.early_fraud_warning.created", "NOTIFICATION_OF_FRAUD")


def facts_of(payment: Payment, *, now: datetime, own: Refund | None = None) -> dict[str, Any]:
    """Amounts in minor units of `currency`; `own` is the refund it is about, not one before it."""
    refunds = Refund.objects.filter(payment=payment).order_by("created_at", "pk")
    if own is not None:
        refunds = refunds.exclude(pk=own.pk)
    disputes = Dispute.objects.filter(payment=payment).order_by("opened_at", "pk")
    return {
        "provider": payment.account.provider,
        "method": quoted(payment.method),
        "state": str(payment.state),
        "currency": payment.currency,
        "amount_minor": payment.amount_minor,
        "captured_minor": payment.captured_minor,
        "refunded_minor": payment.refunded_minor,
        "reserved_minor": payment.reserved_minor,
        "left_minor": payment.refundable.minor,
        "refunds": [refund_row(row) for row in refunds[:ROWS_MAX]],
        "disputes": [dispute_row(row) for row in disputes[:ROWS_MAX]],
        "fraud_warnings": _fraud_warnings(payment),
        "seller": _of_seller(payment, now),
        "order": _of_order(payment),
    }


def refund_row(refund: Refund) -> dict[str, Any]:
    return {
        "id": refund.public_id[-4:],
        "state": str(refund.state),
        "amount_minor": refund.amount_minor,
        "reason_code": quoted(refund.reason_code),
        "obligation": str(refund.obligation),
        "source": str(refund.source),
    }


def dispute_row(dispute: Dispute) -> dict[str, Any]:
    due = dispute.evidence_due_at
    return {
        "state": str(dispute.state),
        "amount_minor": dispute.amount_minor,
        "reason_code": quoted(dispute.reason_code),
        "blocks": dispute.blocks_refunds,
        "refundable": dispute.refundable,
        "due_at": f"{due:%Y-%m-%d %H:%M}" if due else "",
    }


def _fraud_warnings(payment: Payment) -> int:
    told = ProviderEvent.objects.filter(
        account=payment.account_id, object_id=payment.provider_ref, type__in=FRAUD_WARNINGS
    )
    return told.count()


def _of_seller(payment: Payment, now: datetime) -> dict[str, int]:
    """Of the last 90 days; counted by whole days, so that the input does not change by the hour."""
    since = whole_days_back(now)
    seller = payment.beneficiary_id
    captured = Payment.objects.filter(
        beneficiary=seller, created_at__gte=since, captured_minor__gt=0
    )
    refunds = Refund.objects.filter(
        book=payment.book_id, created_at__gte=since, payment__beneficiary=seller
    ).exclude(state__in=(Refund.State.REFUSED, Refund.State.CANCELED))
    disputes = Dispute.objects.filter(
        book=payment.book_id, opened_at__gte=since, payment__beneficiary=seller
    )
    return {
        "charges": captured[:COUNT_MAX].count(),
        "refunds": refunds[:COUNT_MAX].count(),
        "disputes": disputes[:COUNT_MAX].count(),
    }


def whole_days_back(now: datetime) -> datetime:
    return (now - LOOKED_BACK).replace(hour=0, minute=0, second=0, microsecond=0)


def _of_order(payment: Payment) -> dict[str, int]:
    """Other charges under the same order reference of the same seller."""
    if not payment.merchant_ref:
        return {"charges": 0, "captured": 0, "same_amount": 0, "failed": 0}
    others = list(
        Payment.objects.filter(
            merchant_ref=payment.merchant_ref,
            book=payment.book_id,
            beneficiary=payment.beneficiary_id,
        )
        .exclude(pk=payment.pk)
        .values_list("state", "amount_minor", "currency", "captured_minor", "refunded_minor")[
            :ROWS_MAX
        ]
    )
    captured = [row for row in others if row[0] == Payment.State.CAPTURED and row[3] > row[4]]
    return {
        "charges": len(others),
        "captured": len(captured),
        "same_amount": sum(
            (row[1], row[2]) == (payment.amount_minor, payment.currency) for row in captured
        ),
        "failed": sum(row[0] == Payment.State.FAILED for row in others),
    }
