"""The table of resolutions of a payout exception, with guidance which to use (PX-7, F10, F39)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Resolution:
    """`dispositions` lists the root-cause dispositions it may be chosen for."""

    key: str
    label: str
    words: str
    dispositions: tuple[str, ...]
    waits: bool


ANY = ("retryable", "new_details", "compliance", "")

RESOLUTIONS = {
    row.key: row
    for row in (
        Resolution(
            "reissue",
            "Re-issue once",
            "The details are right (verified again since the failure) and the original is terminal "
            "at the provider: a new payout is requested, with an approval of its own.",
            ("retryable", "new_details", ""),
            True,
        ),
        Resolution(
            "request_details",
            "Request new bank details",
            "The account cannot receive money. The beneficiary stays on hold until new details are "
            "approved and have cooled down.",
            ("new_details", "retryable", ""),
            True,
        ),
        Resolution(
            "hold",
            "Keep on hold",
            "The cause is not clear yet. The money stays in returned payouts payable and nothing "
            "leaves for the beneficiary.",
            ANY,
            True,
        ),
        Resolution(
            "release",
            "Return to the seller's balance",
            "The payout will not be re-issued: the amount goes back to the seller's balance and is "
            "paid with the next ordinary payout. The holds of this decision are released.",
            ("retryable", "new_details", ""),
            False,
        ),
        Resolution(
            "restore",
            "Restore: it was delivered after all",
            "The provider itself shows the payout as paid and the money never came back. The "
            "payout returns to PAID; nothing is posted. Only where the book's policy allows it.",
            ("retryable", "new_details", ""),
            False,
        ),
        Resolution(
            "escalate",
            "Escalate to compliance and treasury",
            "The account is frozen, restricted or disputed. Compliance decides what happens next.",
            ANY,
            True,
        ),
    )
}
