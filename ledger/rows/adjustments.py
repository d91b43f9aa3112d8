"""Matrix rows of what a person decides: unclaimed funds, write-offs, free adjustments (D5).

All three need an approval by another person and an open period. The pairs are what may be booked;
`adjustment.manual` alone has free lines; `ledger/manual.py` has the limits of each line.
"""

from __future__ import annotations

from ledger.accounts import CHART
from ledger.matrix_row import FOUR_EYES, NO_CASH, NO_TAG, REVERSE_AND_REPOST, MatrixRow, move

# Presented, computed, or moved by a run or by authorisations alone.
NEVER_BY_HAND = ("2600", "3000", "4910", "5910", "9100", "9200")
FREE = tuple(row.code for row in CHART if row.code not in NEVER_BY_HAND)
DECISION_REFERENCES = ("approval id", "evidence", "reason")

ROWS: tuple[MatrixRow, ...] = (
    MatrixRow(
        event_class="funds.unclaimed",
        title="Money that its owner does not claim",
        predecessor="returned payout or customer refund payable, open past its limit",
        follows=(),
        trigger="the decision that the owner cannot be reached, or later that it claims after all",
        variants={
            "": move("2200", "2250"),
            "refund": move("2150", "2250"),
            "claimed": move("2250", "2000"),
            "claimed_refund": move("2250", "2150"),
            "surrendered": move("2250", "1000"),
            "lapsed": move("2250", "4960"),
        },
        variant_words={
            "": "a returned payout nobody claims",
            "refund": "a customer refund nobody claims",
            "claimed": "the seller claims it after all",
            "claimed_refund": "the customer claims it after all",
            "surrendered": "paid to the authority that keeps unclaimed funds",
            "lapsed": "ours by law when the limitation has run out",
        },
        references=(*DECISION_REFERENCES, "payout or refund id", "case id"),
        checkpoint="the limitation of the claim",
        window="by the law of the book's country",
        match_anchor="payout or refund id",
        exception_rule="unclaimed funds without an owner are listed in the close pack",
        balance_sheet="from returned payouts or customer refunds payable to unclaimed funds",
        income_statement="other income, only when the claim has lapsed",
        cash_flow="cash out when surrendered",
        cash_flow_tag="other_operating",
        reversal_rule=REVERSE_AND_REPOST,
        posted_by=FOUR_EYES,
        free_lines=True,
    ),
    MatrixRow(
        event_class="write_off",
        title="An item is written off",
        predecessor="the item is open and will not be settled",
        follows=(),
        trigger="the decision that an item will not be paid, or is not owed any more",
        variants={
            "": move("5200", "1150"),
            "own_transfer": move("5200", "1050"),
            "psp_balance": move("5200", "1100"),
            "psp_reserve": move("5200", "1120"),
            "payout_return": move("5200", "1200"),
            "refund_return": move("5200", "1210"),
            "seller_receivable": move("5200", "1250"),
            "seller_allowance": move("1259", "1250"),
            "dispute": move("5200", "1300"),
            "dispute_allowance": move("1390", "1300"),
            "unidentified_payment": move("5200", "1910"),
            "unidentified_receipt": move("2900", "4960"),
            "return_awaiting_case": move("2910", "4960"),
            "accrued_fees": move("2450", "4960"),
            "penny_short": move("5950", "1100"),
            "penny_over": move("1100", "5950"),
        },
        variant_words={
            "": "a settlement that never arrives",
            "own_transfer": "an own transfer that never arrives",
            "psp_balance": "a PSP balance that is not paid out",
            "psp_reserve": "a PSP reserve that is not released",
            "payout_return": "a returned payout that never comes back",
            "refund_return": "a returned refund that never comes back",
            "seller_receivable": "a seller who does not pay, without allowance",
            "seller_allowance": "a seller who does not pay, against the allowance",
            "dispute": "disputed funds that are lost without a decision, without allowance",
            "dispute_allowance": "the same, against the allowance",
            "unidentified_payment": "a payment nobody can name",
            "unidentified_receipt": "a receipt nobody can name",
            "return_awaiting_case": "returned money nobody can place",
            "accrued_fees": "fees that are never charged",
            "penny_short": "the PSP states a penny less, within the book's cap",
            "penny_over": "the PSP states a penny more, within the book's cap",
        },
        references=(*DECISION_REFERENCES, "the item: batch, payout, refund, seller or bank line"),
        checkpoint="none: the item is closed by it",
        window="none",
        match_anchor="the item",
        exception_rule="never cash, seller money or tax (1000, 2000 to 2310, 25xx)",
        balance_sheet="the item falls to nil",
        income_statement="write-offs, or other income for what is not owed any more; 5950 only for"
        " penny differences within the book's cap",
        cash_flow=NO_CASH,
        cash_flow_tag=NO_TAG,
        reversal_rule=REVERSE_AND_REPOST,
        posted_by=FOUR_EYES,
        free_lines=True,
    ),
    MatrixRow(
        event_class="adjustment.manual",
        title="Manual journal",
        predecessor="none; the period is open",
        follows=(),
        trigger="a finance person states lines, a reason and evidence",
        variants={"": ()},
        variant_words={
            "": "free lines on the accounts below; a control account (kept per seller, dispute,"
            " provider account or bank account) names its party, its batch and, for cash, its"
            " cash-flow tag; an opening balance is taken over against 3900"
        },
        references=(*DECISION_REFERENCES, "manual journal id", "auto-reverse date"),
        checkpoint="the auto-reverse date, where one is given",
        window="until the auto-reverse date",
        match_anchor="manual journal id",
        exception_rule="manual journals on control accounts are listed in the close pack",
        balance_sheet="as its lines say",
        income_statement="as its lines say",
        cash_flow="as the cash-flow tag of each cash line says",
        cash_flow_tag="other_operating",
        reversal_rule="by its auto-reverse date, or by entry.reversed",
        posted_by=FOUR_EYES,
        free_lines=True,
        open_accounts=FREE,
    ),
)
