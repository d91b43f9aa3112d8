"""The journal matrix: one frozen row per event class, in words finance can read (LJ-4 to LJ-11).

Owns which accounts an event touches, what must have come before it and what its row promises to
the statements; the rows are in `ledger/rows/`, one module per noun. Never posts:
`ledger/posting.py` interprets this table. Amounts are named measures in minor units; a measure
that is not given is nil.
"""

from __future__ import annotations

from collections.abc import Mapping

from ledger.matrix_row import DR, Leg, MatrixRow, Pair
from ledger.rows import (
    adjustments,
    bank,
    corrections,
    disputes,
    fees,
    fx,
    payments,
    payouts,
    psp_balances,
    receipts,
    refunds,
    reserves,
    seller_debts,
    settlements,
)

MATRIX_VERSION = 3
NOUNS: tuple[tuple[str, tuple[MatrixRow, ...]], ...] = (
    ("Payments", payments.ROWS),
    ("Fees", fees.ROWS),
    ("Refunds", refunds.ROWS),
    ("Disputes", disputes.ROWS),
    ("Settlements", settlements.ROWS),
    ("Balances at PSPs", psp_balances.ROWS),
    ("Payouts to sellers", payouts.ROWS),
    ("Reserves on sellers", reserves.ROWS),
    ("Debts of sellers", seller_debts.ROWS),
    ("Unidentified bank lines", receipts.ROWS),
    ("Bank and tax", bank.ROWS),
    ("Other currencies", fx.ROWS),
    ("Decisions of finance", adjustments.ROWS),
    ("Corrections", corrections.ROWS),
)
MATRIX: dict[str, MatrixRow] = {row.event_class: row for _, rows in NOUNS for row in rows}
# What changed with each version; an entry names the one it was posted under.
VERSIONS: dict[int, str] = {
    1: "15 event classes: payments, the provider's fees, payouts to sellers, reversals.",
    2: "58 event classes. No pair that version 1 had changed its accounts or its meaning, so its"
    " entries read as they stand; classes, variants and what a class may not follow were added.",
    3: "59 event classes. Refunds: refund.failed_reclassified was added, refund.accepted and its"
    " lapse may carry a surplus beyond the capture; no pair of version 2 has changed."
    " Disputes: an allowance may stand beside a seller's hold, tax collected beside our fee.",
}
FUNDING: dict[str, str] = {
    "psp_balance": "",
    "bank": "bank",
    "connected_account": "connected_account",
}


class MatrixError(ValueError):
    """The caller asks for a class, variant, measure or party that the matrix does not have."""


def legs(
    event_class: str,
    *,
    variant: str = "",
    amounts: Mapping[str, int],
    currency: str,
    parties: Mapping[str, str],
) -> tuple[Leg, ...]:
    """The lines of one event: `amounts` by measure, `parties` by kind ("seller" → its id).

    Nil measures give no line; a class that does not post gives none at all.
    """
    row = row_of(event_class)
    if variant not in row.variants:
        raise MatrixError(f"{event_class} has no variant {variant!r}: {sorted(row.variants)}")
    pairs = row.variants[variant]
    known = {pair.measure for pair in pairs}
    if pairs and (unknown := set(amounts) - known):
        raise MatrixError(f"{event_class} has no measure {sorted(unknown)}: {sorted(known)}")
    if any(amount < 0 for amount in amounts.values()):
        raise MatrixError(f"measures of {event_class} are never negative: {dict(amounts)}")
    return tuple(
        Leg(
            account=pair.account,
            amount_minor=amounts[pair.measure] * (1 if pair.side == DR else -1),
            currency=currency,
            party=_party(event_class, pair, parties),
        )
        for pair in pairs
        if amounts.get(pair.measure)
    )


def row_of(event_class: str) -> MatrixRow:
    if event_class not in MATRIX:
        raise MatrixError(f"{event_class!r} has no row in the journal matrix")
    return MATRIX[event_class]


def funding_variant(funding: str, *, before_approval: bool = False) -> str:
    """The variant of payout.paid and payout.return_received for a payout's `funding`."""
    if funding not in FUNDING:
        raise MatrixError(f"{funding!r} is no funding of a payout: {sorted(FUNDING)}")
    if not before_approval:
        return FUNDING[funding]
    return "_".join(part for part in ("before_approval", FUNDING[funding]) if part)


def _party(event_class: str, pair: Pair, parties: Mapping[str, str]) -> str:
    if not pair.party_kind:
        return ""
    if not parties.get(pair.party_key):
        raise MatrixError(
            f"{event_class} books {pair.account} per {pair.party_key}, which is not given"
        )
    return parties[pair.party_key]
