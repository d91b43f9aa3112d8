"""Matrix rows of reserves that the platform holds on sellers."""

from __future__ import annotations

from ledger.matrix_row import (
    NO_CASH,
    NO_TAG,
    ONLY_BALANCE_SHEET,
    REVERSE_AND_REPOST,
    MatrixRow,
    move,
    needs,
)

RESERVE_REFERENCES = ("seller", "reserve decision", "approval id")
OVERDUE = "a reserve past its release date is listed"

ROWS: tuple[MatrixRow, ...] = (
    MatrixRow(
        event_class="reserve.held",
        title="Reserve held on a seller",
        predecessor="none: the seller's agreement or a risk decision",
        follows=(),
        trigger="the decision to hold part of what the seller is owed",
        variants={"": move("2000", "2300")},
        variant_words={"": "still owed to the seller, not payable until it is released"},
        references=RESERVE_REFERENCES,
        checkpoint="the release date of the decision",
        window="until the release date",
        match_anchor="reserve decision",
        exception_rule=OVERDUE,
        balance_sheet="from seller payable to reserves held",
        income_statement=ONLY_BALANCE_SHEET,
        cash_flow=NO_CASH,
        cash_flow_tag=NO_TAG,
        reversal_rule="reserve.released or reserve.applied",
        posted_by="the product, after the approved decision",
    ),
    MatrixRow(
        event_class="reserve.released",
        title="Reserve released to the seller",
        predecessor="reserve held",
        follows=(needs("reserve.held"),),
        trigger="the release date, or a decision to release earlier",
        variants={"": move("2300", "2000")},
        variant_words={"": "payable again, in whole or in part"},
        references=RESERVE_REFERENCES,
        checkpoint="the next payout to the seller",
        window="none: the seller's balance is paid like any other",
        match_anchor="reserve decision",
        exception_rule="a release larger than the reserve is refused by the flow",
        balance_sheet="from reserves held back to seller payable",
        income_statement=ONLY_BALANCE_SHEET,
        cash_flow=NO_CASH,
        cash_flow_tag=NO_TAG,
        reversal_rule=REVERSE_AND_REPOST,
        posted_by="the product, by the release date or the approved decision",
    ),
    MatrixRow(
        event_class="reserve.applied",
        title="Reserve used for what the seller owes",
        predecessor="reserve held, seller payable in debit",
        follows=(needs("reserve.held"),),
        trigger="the decision to cover a debit of the seller from the reserve",
        variants={"": move("2300", "2000")},
        variant_words={"": "the debit on seller payable falls by the amount applied"},
        references=(*RESERVE_REFERENCES, "refund or dispute id"),
        checkpoint="the seller's statement",
        window="none: it is effective at once",
        match_anchor="reserve decision",
        exception_rule="a debit larger than the reserve is reclassed at close",
        balance_sheet="reserves held fall; the debit on seller payable falls",
        income_statement=ONLY_BALANCE_SHEET,
        cash_flow=NO_CASH,
        cash_flow_tag=NO_TAG,
        reversal_rule=REVERSE_AND_REPOST,
        posted_by="the product, after the approved decision",
    ),
)
