"""Who bears how much of a refund: seller, our fee, tax. Cumulative, so thirds leak no penny.

Each refund is shared over what the refunds before it have left of the capture, so no share is ever
negative or more than is left, and the last refund empties every share. Pure: never reads the
ledger; the caller sums the shares of the refunds that stand.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from payops.core.money import split


class RefundExceedsCapture(ValueError):
    """The refunds of a payment would come to more than was captured."""


@dataclass(frozen=True, slots=True)
class Shares:
    """Parts of a capture, or of refunds of it, in minor units of one currency."""

    seller_share: int = 0
    platform_fee: int = 0
    fee_tax: int = 0
    tax_collected: int = 0

    @property
    def total(self) -> int:
        return sum(getattr(self, f.name) for f in fields(self))

    def __add__(self, other: Shares) -> Shares:
        parts = (getattr(self, f.name) + getattr(other, f.name) for f in fields(self))
        return Shares(*parts)

    def amounts(self) -> dict[str, int]:
        """The measures of refund.accepted."""
        parts = {f.name: getattr(self, f.name) for f in fields(self)}
        return {**parts, "amount": self.total}


NOTHING = Shares()


def refund_shares(
    captured: Shares,
    *,
    refunded_before: Shares = NOTHING,
    refund_minor: int,
    fee_is_returned: bool = True,
) -> Shares:
    """The shares of one refund of `refund_minor`.

    Where the book keeps its fee, the seller bears the fee and its tax; tax collected for others is
    always given back in proportion. Raises RefundExceedsCapture with what is left.
    """
    left_minor = captured.total - refunded_before.total
    if not 0 < refund_minor <= left_minor:
        raise RefundExceedsCapture(
            f"a refund of {refund_minor} after {refunded_before.total} of {captured.total} captured"
            f" minor units; {left_minor} are left"
        )
    seller, fee, fee_tax, tax = _left(captured, refunded_before)
    if not fee_is_returned:
        seller, fee, fee_tax = seller + fee + fee_tax, 0, 0
    return Shares(*split(refund_minor, [seller, fee, fee_tax, tax]))


def _left(captured: Shares, before: Shares) -> tuple[int, int, int, int]:
    """What is left of each part; a seller who bore kept fees before has used the fee's part."""
    seller = captured.seller_share - before.seller_share
    fee = captured.platform_fee - before.platform_fee
    fee_tax = captured.fee_tax - before.fee_tax
    from_fee = min(max(-seller, 0), fee)
    from_tax = max(-seller, 0) - from_fee
    tax = captured.tax_collected - before.tax_collected
    return max(seller, 0), fee - from_fee, fee_tax - from_tax, tax
