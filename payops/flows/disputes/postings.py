"""The journal entries of a dispute: one function per movement, one subject per round.

Owns who bears how much of a round: `split_of` shares the disputed amount over what the seller, our
fee and taxes have left of the charge; what refunds gave back before is the platform's loss. Never
decides what is due: `disputes.books` does. Serves LJ-11, LJ-12, D9.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from ledger import matrix, policies, posting
from ledger.refund_shares import NOTHING, Shares, refund_shares
from payops.core.models import Book
from payops.payments.models import Dispute, Payment, Refund

Bearer = Dispute.Bearer
SHARES = ("seller_share", "platform_fee", "fee_tax", "tax_collected")
# A refund whose shares the books have taken from seller and fee, and not given back.
CHARGED = (Refund.Obligation.OWED, Refund.Obligation.UNCLAIMED)
HELD_STATES = (Dispute.State.OPEN, Dispute.State.UNDER_REVIEW, Dispute.State.LOST)


def subject_of(dispute: Dispute, number: int) -> str:
    """Of round 1 the dispute's own id; later rounds have a number behind it."""
    return dispute.public_id if number <= 1 else f"{dispute.public_id}/{number}"


def split_of(
    *,
    book: Book,
    payment: Payment,
    amount_minor: int,
    borne_by: str,
    refunds: Iterable[Refund],
    others: Iterable[Dispute],
) -> dict[str, int]:
    """Who bears a round: hold on the seller, our fee, taxes, and the platform's allowance."""
    if borne_by == Bearer.PLATFORM:
        return {"hold": 0, "platform_fee": 0, "fee_tax": 0, "tax_collected": 0} | {
            "allowance": amount_minor
        }
    captured = Shares(
        seller_share=payment.captured_minor - payment.platform_fee_minor,
        platform_fee=payment.platform_fee_minor,
    )
    gone = _gone(refunds, others)
    left_minor = max(captured.total - gone.total, 0)
    within = min(amount_minor, left_minor)
    shares = NOTHING
    if within:
        shares = refund_shares(
            captured,
            refunded_before=gone,
            refund_minor=within,
            fee_is_returned=policies.fee_is_returned(book),
        )
    return {
        "hold": shares.seller_share,
        "platform_fee": shares.platform_fee,
        "fee_tax": shares.fee_tax,
        "tax_collected": shares.tax_collected,
        "allowance": amount_minor - within,
    }


def split_at(
    at: datetime, dispute: Dispute, *, refunds: Iterable[Refund], others: Iterable[Dispute]
) -> dict[str, int]:
    """By what had happened until then: refunds accepted before, disputes opened before this one."""
    earlier = [
        other for other in others if (other.opened_at, other.pk) < (dispute.opened_at, dispute.pk)
    ]
    return split_of(
        book=dispute.book,
        payment=dispute.payment,
        amount_minor=dispute.amount_minor,
        borne_by=dispute.borne_by,
        refunds=[r for r in refunds if (r.accepted_at or r.succeeded_at or r.created_at) <= at],
        others=earlier,
    )


def hold(
    dispute: Dispute, *, split: Mapping[str, int], movement: str, refs: posting.Refs, at: datetime
) -> posting.Posting:
    """The seller's part is held as soon as the chargeback is known (never for an inquiry)."""
    amounts = {"hold": split["hold"]}
    return _posting(
        dispute, 1, "dispute.opened", amounts, refs, at, variant="seller_hold", movement=movement
    )


def withdrawn(
    dispute: Dispute,
    number: int,
    *,
    split: Mapping[str, Any],
    held: bool,
    movement: str = "",
    refs: posting.Refs,
    at: datetime,
) -> posting.Posting:
    variant = "held" if held else _variant(split)
    amounts = {"amount": dispute.amount_minor, "allowance": split["allowance"]}
    if not variant:
        amounts["hold"] = split["hold"]
    return _posting(
        dispute,
        number,
        "dispute.funds_withdrawn",
        amounts,
        refs,
        at,
        variant=variant,
        movement=movement,
    )


def returned(
    dispute: Dispute, number: int, *, split: Mapping[str, Any], refs: posting.Refs, at: datetime
) -> posting.Posting:
    variant = _variant(split)
    amounts = {"amount": dispute.amount_minor, "allowance": split["allowance"]}
    if not variant:
        amounts["hold"] = split["hold"]
    return _posting(dispute, number, "dispute.funds_returned", amounts, refs, at, variant=variant)


def lost(
    dispute: Dispute,
    number: int,
    *,
    split: Mapping[str, Any],
    movement: str,
    refs: posting.Refs,
    at: datetime,
) -> posting.Posting:
    platform = split["borne_by"] == Bearer.PLATFORM
    amounts = {"amount": dispute.amount_minor, "allowance": split["allowance"]}
    if not platform:
        names = ("hold", "platform_fee", "fee_tax", "tax_collected")
        amounts |= {name: split[name] for name in names}
    variant = policies.dispute_lost_variant(dispute.book, platform_bears=platform)
    return _posting(
        dispute, number, "dispute.lost", amounts, refs, at, variant=variant, movement=movement
    )


def fee(
    dispute: Dispute, number: int, *, fee_minor: int, refs: posting.Refs, at: datetime
) -> posting.Posting:
    """Split out of the withdrawal, once a round."""
    amounts = {"fee": fee_minor, "total": fee_minor}
    return _posting(
        dispute, number, "fee.charged", amounts, refs, at, variant="dispute_fee", movement="fee"
    )


def _variant(split: Mapping[str, Any]) -> str:
    return "platform" if split["borne_by"] == Bearer.PLATFORM else ""


def _gone(refunds: Iterable[Refund], others: Iterable[Dispute]) -> Shares:
    """What refunds and other disputes of the charge have taken from its parts."""
    gone = NOTHING
    for refund in refunds:
        if refund.state in Refund.EXECUTED or refund.obligation in CHARGED:
            told = {name: int(refund.shares.get(name, 0)) for name in SHARES}
            gone = gone + Shares(**told)
    for other in others:
        if other.state in HELD_STATES and other.rounds:
            split = other.rounds[-1]
            gone = gone + Shares(
                seller_share=split["hold"],
                platform_fee=split["platform_fee"],
                fee_tax=split["fee_tax"],
                tax_collected=split["tax_collected"],
            )
    return gone


def _posting(
    dispute: Dispute,
    number: int,
    event_class: str,
    amounts: Mapping[str, int],
    refs: posting.Refs,
    at: datetime,
    *,
    variant: str = "",
    movement: str = "",
) -> posting.Posting:
    payment = dispute.payment
    return posting.Posting(
        book=dispute.book,
        event_class=event_class,
        subject_id=subject_of(dispute, number),
        movement_ref=movement or event_class.partition(".")[2],
        legs=matrix.legs(
            event_class,
            variant=variant,
            amounts=amounts,
            currency=dispute.currency,
            parties={
                "seller": payment.beneficiary.reference,
                "provider_account": dispute.account.address,
                "dispute": dispute.public_id,
            },
        ),
        occurred_at=at,
        description=f"{event_class} {dispute.provider_ref}"[:200],
        refs=replace(
            refs,
            payment_id=payment.public_id,
            dispute_id=dispute.public_id,
            psp_reference=dispute.provider_ref,
            merchant_reference=payment.merchant_ref,
        ),
    )
