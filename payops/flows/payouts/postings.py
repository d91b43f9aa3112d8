"""The journal entries of a beneficiary payout, one function per movement (LJ-11, LJ-21).

The movement reference is the movement's own name, so two events telling of one movement meet in
one entry (I4).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from ledger import matrix, posting
from payops.payments.models import Payout

TEMPLATE_VERSION = f"matrix-{matrix.MATRIX_VERSION}"


def initiated(payout: Payout, refs: posting.Refs, at: datetime) -> posting.Posting:
    return _posting(payout, "payout.initiated", refs, at)


def paid(payout: Payout, refs: posting.Refs, at: datetime) -> posting.Posting:
    variant = matrix.funding_variant(payout.funding)
    return _posting(payout, "payout.paid", refs, at, variant=variant)


def canceled(payout: Payout, refs: posting.Refs, at: datetime) -> posting.Posting:
    return _posting(payout, "payout.canceled", refs, at)


def money_back(
    payout: Payout, refs: posting.Refs, at: datetime, *, decided: bool
) -> posting.Posting:
    """Booked when it is seen; before the decision it waits in 2910."""
    variant = matrix.funding_variant(payout.funding, before_approval=not decided)
    return _posting(payout, "payout.return_received", refs, at, variant=variant)


def reclassified(payout: Payout, refs: posting.Refs, at: datetime) -> posting.Posting:
    return _posting(payout, "payout.failed_reclassified", refs, at)


def released(payout: Payout, refs: posting.Refs, at: datetime) -> posting.Posting:
    return _posting(payout, "payout.released", refs, at)


def compensation(payout: Payout, refs: posting.Refs, at: datetime) -> posting.Posting:
    """The template the approved runbook posts; which one follows from what is known by now."""
    event_class, variant = compensation_template(payout)
    entry = _posting(payout, event_class, refs, at, variant=variant)
    return replace(entry, template=f"{event_class}{'/' + variant if variant else ''}")


def compensation_template(payout: Payout) -> tuple[str, str]:
    """(event class, variant): failed before it was paid, or returned after it."""
    if payout.paid_at is None:
        return "payout.failed", "debited" if payout.failure_movement_ref else ""
    return "payout.returned", "received" if payout.money_back_at else ""


def _posting(
    payout: Payout, event_class: str, refs: posting.Refs, at: datetime, *, variant: str = ""
) -> posting.Posting:
    row = matrix.row_of(event_class)
    measures = {pair.measure for pair in row.variants[variant]}
    refs = replace(
        refs,
        payout_id=payout.public_id,
        psp_reference=refs.psp_reference or payout.provider_ref,
        merchant_reference=payout.merchant_ref,
        approval_id=refs.approval_id or ("" if row.template else payout.approval_id),
    )
    return posting.Posting(
        book=payout.book,
        event_class=event_class,
        subject_id=payout.public_id,
        movement_ref=event_class.partition(".")[2],
        legs=matrix.legs(
            event_class,
            variant=variant,
            amounts=dict.fromkeys(measures, payout.amount_minor),
            currency=payout.currency,
            parties={
                "seller": payout.beneficiary.reference,
                "provider_account": payout.account.address,
                "bank_account": "main",
            },
        ),
        occurred_at=at,
        description=f"{event_class} {payout.merchant_ref}",
        refs=refs,
    )
