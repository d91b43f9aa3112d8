"""The journal entries of a refund, one function per movement (LJ-3, LJ-18, RF-13).

The movement reference is the movement's own name, so that our own response, two events and a
listing that tell of one movement meet in one entry (I4). `refund_id` names the refund that the
customer was promised: the first of its attempts. Pure: who bears what is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from ledger import matrix, policies, posting, variants
from ledger.refund_shares import Shares, refund_shares
from payops.core.models import Book
from payops.payments.models import Refund

AT_BANK = "bank"


def shares_of(
    *, captured: Shares, before: Shares, amount_minor: int, goodwill: bool, book: Book
) -> dict[str, int]:
    """The measures of refund.accepted: who bears how much of one refund after those before it.

    What a provider refunded beyond the capture is nobody's share: the surplus.
    """
    if goodwill:
        return {"amount": amount_minor}
    fits = max(min(amount_minor, captured.total - before.total), 0)
    if not fits:
        return {"amount": amount_minor, "surplus": amount_minor}
    shares = refund_shares(
        captured,
        refunded_before=before,
        refund_minor=fits,
        fee_is_returned=policies.fee_is_returned(book),
    )
    surplus = {"surplus": amount_minor - fits} if amount_minor > fits else {}
    return {**shares.amounts(), "amount": amount_minor, **surplus}


def accepted(refund: Refund, refs: posting.Refs, at: datetime) -> posting.Posting:
    """The promise, shared as `refund.shares` says."""
    variant = policies.refund_variant(refund.book, goodwill=refund.goodwill)
    return _posting(refund, "refund.accepted", refs, at, variant=variant, amounts=refund.shares)


def succeeded(refund: Refund, refs: posting.Refs, at: datetime) -> posting.Posting:
    variant = AT_BANK if refund.offline else ""
    return _posting(refund, "refund.succeeded", refs, at, variant=variant)


def failed_early(refund: Refund, refs: posting.Refs, at: datetime) -> posting.Posting:
    return _posting(refund, "refund.failed_early", refs, at)


def failed_late(refund: Refund, refs: posting.Refs, at: datetime) -> posting.Posting:
    return _posting(refund, "refund.failed_late", refs, at)


def failed_reclassified(refund: Refund, refs: posting.Refs, at: datetime) -> posting.Posting:
    return _posting(refund, "refund.failed_reclassified", refs, at)


def returned(
    refund: Refund, refs: posting.Refs, at: datetime, *, failure_posted: bool
) -> posting.Posting:
    variant = variants.refund_returned(failure_posted=failure_posted, at_bank=refund.offline)
    return _posting(refund, "refund.returned", refs, at, variant=variant)


def retried(failed: Refund, refs: posting.Refs, at: datetime) -> posting.Posting:
    """Of the attempt whose failure left the customer owed, once its retry is accepted."""
    return _posting(failed, "refund.retried", refs, at)


def lapsed(failed: Refund, refs: posting.Refs, at: datetime, *, variant: str) -> posting.Posting:
    """Gives the shares back as they were taken; `variant` is that of its refund.accepted."""
    return _posting(
        failed, "refund.obligation_lapsed", refs, at, variant=variant, amounts=failed.shares
    )


def _posting(
    refund: Refund,
    event_class: str,
    refs: posting.Refs,
    at: datetime,
    *,
    variant: str = "",
    amounts: Mapping[str, int] | None = None,
) -> posting.Posting:
    payment = refund.payment
    refs = replace(
        refs,
        refund_id=refund.promise_id,
        payment_id=payment.public_id,
        psp_reference=refund.provider_ref or refs.psp_reference,
        merchant_reference=payment.merchant_ref,
        approval_id=refs.approval_id or refund.approval_id,
    )
    return posting.Posting(
        book=refund.book,
        event_class=event_class,
        subject_id=refund.public_id,
        movement_ref=event_class.partition(".")[2],
        legs=matrix.legs(
            event_class,
            variant=variant,
            amounts=amounts or {"amount": refund.amount_minor},
            currency=refund.currency,
            parties={
                "seller": payment.beneficiary.reference,
                "provider_account": refund.account.address,
                "bank_account": "main",
            },
        ),
        occurred_at=at,
        description=f"{event_class} {payment.merchant_ref or payment.provider_ref}",
        refs=refs,
    )
