"""Matrix rows of bank lines with a kind of their own: interest, own transfers, tax."""

from __future__ import annotations

from ledger.matrix_row import (
    CR,
    DR,
    LINE_IS_FACT,
    ONLY_BALANCE_SHEET,
    PRODUCT_ON_BANK_LINE,
    REVERSE_AND_REPOST,
    MatrixRow,
    Pair,
    move,
)

LINE_REFERENCES = ("bank line id", "bank's reference")

ROWS: tuple[MatrixRow, ...] = (
    MatrixRow(
        event_class="bank.interest",
        title="Interest of the bank",
        predecessor="none",
        follows=(),
        trigger="the bank line that states interest",
        variants={"": move("1000", "4950"), "charged": move("5250", "1000")},
        variant_words={
            "": "interest received",
            "charged": "interest charged, shown with bank fees",
        },
        references=LINE_REFERENCES,
        checkpoint="the bank line itself",
        window=LINE_IS_FACT,
        match_anchor="bank line id",
        exception_rule="a line on safeguarded cash that is not ours to keep opens an exception",
        balance_sheet="cash moves",
        income_statement="interest income, or bank fees",
        cash_flow="cash on the day of the bank line",
        cash_flow_tag="interest",
        reversal_rule=REVERSE_AND_REPOST,
        posted_by=PRODUCT_ON_BANK_LINE,
    ),
    MatrixRow(
        event_class="bank.own_transfer",
        title="Between our own bank accounts",
        predecessor="none",
        follows=(),
        trigger="each bank line of the transfer, on its own day",
        variants={
            "": move("1050", "1000"),
            "arrived": move("1000", "1050"),
            "safeguarded": move("1010", "1050"),
            "from_safeguarded": move("1050", "1010"),
        },
        variant_words={
            "": "left one account",
            "arrived": "arrived on the other",
            "safeguarded": "arrived on a safeguarding account",
            "from_safeguarded": "left a safeguarding account",
        },
        references=LINE_REFERENCES,
        checkpoint="both legs: a bank line on each account",
        window="two banking days",
        match_anchor="bank's reference on both lines",
        exception_rule="one leg without the other inside the window opens an exception",
        balance_sheet="between cash accounts, through own transfers in transit",
        income_statement=ONLY_BALANCE_SHEET,
        cash_flow="nil in sum; money under way at the end of a period is shown apart",
        cash_flow_tag="own_transfer",
        reversal_rule=REVERSE_AND_REPOST,
        posted_by=PRODUCT_ON_BANK_LINE,
    ),
    MatrixRow(
        event_class="tax.remitted",
        title="Tax settled with the authority",
        predecessor="none: the return of the tax period",
        follows=(),
        trigger="the bank line of the payment to or from the authority",
        variants={
            "": (
                Pair(DR, "2500", "fee_tax"),
                Pair(DR, "2510", "tax_collected"),
                Pair(CR, "1450", "input_tax"),
                Pair(CR, "1000", "paid"),
            ),
            "refunded": (
                Pair(DR, "1000", "received"),
                Pair(DR, "2500", "fee_tax"),
                Pair(DR, "2510", "tax_collected"),
                Pair(CR, "1450", "input_tax"),
            ),
        },
        variant_words={
            "": "tax on our fee and tax collected for others, less input tax",
            "refunded": "input tax exceeds them and the rest is paid back",
        },
        references=(*LINE_REFERENCES, "tax period"),
        checkpoint="the bank line itself",
        window=LINE_IS_FACT,
        match_anchor="bank line id",
        exception_rule="an amount off the return opens an exception",
        balance_sheet="tax payable, input tax and cash settle",
        income_statement=ONLY_BALANCE_SHEET,
        cash_flow="cash on the day of the bank line",
        cash_flow_tag="tax_remitted",
        reversal_rule=REVERSE_AND_REPOST,
        posted_by=PRODUCT_ON_BANK_LINE,
    ),
)
