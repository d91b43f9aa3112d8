"""Which variant of a matrix row the facts of an event choose; pure, one function per question.

What a book's policies choose is in `ledger/policies.py`, what a payout's funding chooses in
`ledger/matrix.py`. Flows ask here instead of naming a variant, so that two flows cannot differ.
"""

from __future__ import annotations

from dataclasses import dataclass

from ledger.matrix import MatrixError


@dataclass(frozen=True, slots=True)
class Net:
    """A batch's net as the matrix books it: nil books nothing, a negative one swaps the pair."""

    variant: str
    net_minor: int


def batch_net(stated_minor: int) -> Net | None:
    """Of settlement.closed, settlement.failed, settlement.received; None: nothing is posted."""
    if not stated_minor:
        return None
    return Net("negative" if stated_minor < 0 else "", abs(stated_minor))


def settlement_received(
    *, net_minor: int, received_minor: int, stated_fee_minor: int, penny_cap_minor: int
) -> tuple[str, dict[str, int]]:
    """(variant, measures) of a deposit for a positive net; the bank's own fee is taken out first.

    Raises MatrixError beyond the cap: that is an exception, its cash is booked as unidentified.
    """
    off = received_minor + stated_fee_minor - net_minor
    if not off:
        fee = {"bank_fee": stated_fee_minor} if stated_fee_minor else {}
        return "", {"received": received_minor, **fee, "net": net_minor}
    if stated_fee_minor or abs(off) > penny_cap_minor:
        raise MatrixError(
            f"received {received_minor} and a fee of {stated_fee_minor} for a net of {net_minor}:"
            f" {off} minor units off, the cap for penny differences is {penny_cap_minor}"
        )
    variant = "over" if off > 0 else "short"
    return variant, {"received": received_minor, "difference": abs(off), "net": net_minor}


def refund_returned(*, failure_posted: bool, at_bank: bool = False) -> str:
    """Of refund.returned: whoever tells of the failure first posts both movements."""
    parts = ("" if failure_posted else "untold", "bank" if at_bank else "")
    return "_".join(part for part in parts if part)


def dispute_withdrawn(*, platform_bears: bool, hold_posted: bool) -> str:
    """Of dispute.funds_withdrawn: a hold placed when the dispute was opened is not placed twice."""
    if platform_bears:
        return "platform"
    return "held" if hold_posted else ""


def dispute_returned(*, platform_bears: bool) -> str:
    """Of dispute.funds_returned: what was placed is undone."""
    return "platform" if platform_bears else ""
