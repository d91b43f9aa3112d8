"""Matrix rows of sellers who owe us: reclassed at close, provided for, collected."""

from __future__ import annotations

from ledger.matrix_row import (
    LINE_IS_FACT,
    NO_CASH,
    NO_TAG,
    ONLY_BALANCE_SHEET,
    PRODUCT_ON_BANK_LINE,
    REVERSE_AND_REPOST,
    MatrixRow,
    move,
)

ROWS: tuple[MatrixRow, ...] = (
    MatrixRow(
        event_class="seller.debt_reclassed",
        title="Debit balance of a seller shown as a receivable",
        predecessor="seller payable of one seller is in debit when the period closes",
        follows=(),
        trigger="the close run, per seller and currency; one seller never offsets another",
        variants={
            "": move("1250", "2000"),
            "allowance": move("5300", "1259"),
            "allowance_released": move("1259", "5300"),
        },
        variant_words={
            "": "the debit becomes a receivable, taken back on day 1 of the next period",
            "allowance": "the part by age that is not expected to be paid",
            "allowance_released": "an allowance that is not needed any more",
        },
        references=("seller", "period", "age of the debit"),
        checkpoint="the close run of the next period",
        window="one period",
        match_anchor="seller and period",
        exception_rule="2000 of a seller in debit after the run blocks the close",
        balance_sheet="seller payable is shown in full beside the receivable less its allowance",
        income_statement="credit loss, by the change of the allowance",
        cash_flow=NO_CASH,
        cash_flow_tag=NO_TAG,
        reversal_rule="entry.reversed on day 1 of the next period; the allowance stays until its"
        " run changes it",
        posted_by="the close run of finance; the subject is seller and period",
    ),
    MatrixRow(
        event_class="seller.debt_collected",
        title="Seller pays what is owed",
        predecessor="seller payable in debit, or a seller receivable",
        follows=(),
        trigger="the bank line of the seller's payment",
        variants={"": move("1000", "2000"), "receivable": move("1000", "1250")},
        variant_words={
            "": "the debit on seller payable falls",
            "receivable": "pays a receivable that stands, such as a payout delivered twice",
        },
        references=("seller", "bank line id", "bank's reference"),
        checkpoint="the bank line itself",
        window=LINE_IS_FACT,
        match_anchor="bank line id",
        exception_rule="more paid than owed stays on seller payable",
        balance_sheet="cash rises; seller payable or receivable moves",
        income_statement=ONLY_BALANCE_SHEET,
        cash_flow="cash in on the day of the bank line",
        cash_flow_tag="sellers_collected",
        reversal_rule=REVERSE_AND_REPOST,
        posted_by=PRODUCT_ON_BANK_LINE,
    ),
)
