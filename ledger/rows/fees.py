"""Matrix rows of the fees that others take from us, and of passing them on (LJ-3, LJ-9).

A fee is posted by exactly one row: one inside another line is split out of it, once.
"""

from __future__ import annotations

from ledger.matrix_row import (
    ACCOUNT_LAG,
    CR,
    DR,
    NO_CASH,
    NO_TAG,
    REVERSE_AND_REPOST,
    MatrixRow,
    Pair,
    mirror,
    move,
    needs,
)


def _fee(expense: str, paid_from: str) -> tuple[Pair, ...]:
    return (
        Pair(DR, expense, "fee"),
        Pair(DR, "1450", "input_tax"),
        Pair(CR, paid_from, "total"),
    )


CHARGED = {
    "": _fee("5000", "1100"),
    "payout_fee": _fee("5050", "1100"),
    "fx_markup": _fee("5060", "1100"),
    "dispute_fee": _fee("5150", "1100"),
    "bank_fee": _fee("5250", "1000"),
    "billed": _fee("5000", "1000"),
    "billed_payout_fee": _fee("5050", "1000"),
}
CHARGED_WORDS = {
    "": "processing fee taken from the PSP balance",
    "payout_fee": "fee for a payout, taken from the PSP balance",
    "fx_markup": "conversion fee stated as a line of its own",
    "dispute_fee": "fee of a dispute, split out of the withdrawal when it is inside that line",
    "bank_fee": "fee of our bank, taken from the bank account",
    "billed": "processing fees invoiced by the PSP and paid from the bank",
    "billed_payout_fee": "payout fees invoiced and paid from the bank",
}
FEE_REFERENCES = ("fee line reference", "payment, payout or dispute id", "provider event id")

ROWS: tuple[MatrixRow, ...] = (
    MatrixRow(
        event_class="fee.charged",
        title="Fee charged by the provider or the bank",
        predecessor="any object, a batch, an account, or none",
        follows=(),
        trigger="the provider or bank states a fee; each fee is posted by exactly one row",
        variants=CHARGED,
        variant_words=CHARGED_WORDS,
        references=FEE_REFERENCES,
        checkpoint="the fee's own line in a settlement batch or on the bank statement",
        window=ACCOUNT_LAG,
        match_anchor="fee line reference",
        exception_rule="a fee without a line, or a line without a fee, opens an exception",
        balance_sheet="PSP clearing or cash falls; deductible input tax rises",
        income_statement="the fee is an expense on the day it is charged",
        cash_flow="fees taken from the bank: cash out on the posting day",
        cash_flow_tag="fees_paid",
        reversal_rule="fee.refunded when it is given back; " + REVERSE_AND_REPOST,
        posted_by="the product, on the provider's event, settlement line or bank line",
    ),
    MatrixRow(
        event_class="fee.refunded",
        title="Fee given back",
        predecessor="fee charged",
        follows=(needs("fee.charged"),),
        trigger="the provider or bank gives a fee back, in whole or in part",
        variants={name: mirror(pairs) for name, pairs in CHARGED.items()},
        variant_words={name: f"given back: {words}" for name, words in CHARGED_WORDS.items()},
        references=(*FEE_REFERENCES, "reference of the fee given back"),
        checkpoint="the line that gives it back",
        window=ACCOUNT_LAG,
        match_anchor="fee line reference",
        exception_rule="a promised fee refund without a line inside the window is listed",
        balance_sheet="PSP clearing or cash rises; input tax falls",
        income_statement="the expense falls on the day the fee is given back",
        cash_flow="fees given back at the bank: cash in on the posting day",
        cash_flow_tag="fees_paid",
        reversal_rule=REVERSE_AND_REPOST,
        posted_by="the product, on the provider's event, settlement line or bank line",
    ),
    MatrixRow(
        event_class="fee.recharged",
        title="Fee passed on to the seller",
        predecessor="fee charged",
        follows=(needs("fee.charged"),),
        trigger="the seller's agreement lets the platform pass this fee on",
        variants={
            "": (
                Pair(DR, "2000", "total"),
                Pair(CR, "4100", "fee"),
                Pair(CR, "2500", "fee_tax"),
            )
        },
        variant_words={"": "taken from what the seller is owed, with tax where it is due"},
        references=("fee line reference", "payment, payout or dispute id", "seller"),
        checkpoint="the seller's statement",
        window="none: it is effective at once",
        match_anchor="fee line reference",
        exception_rule="a seller payable driven into debit is reclassed at close",
        balance_sheet="seller payable falls; tax payable rises",
        income_statement="recharged fees are revenue; the fee itself stays an expense",
        cash_flow=NO_CASH,
        cash_flow_tag=NO_TAG,
        reversal_rule=REVERSE_AND_REPOST,
        posted_by="the product, by the seller's agreement",
    ),
    MatrixRow(
        event_class="fee.accrued",
        title="Fees not yet charged are accrued at close",
        predecessor="payments captured and unsettled when the period closes",
        follows=(),
        excludes=("fee.accrued",),
        trigger="the close run, once per provider account and period",
        variants={"": move("5000", "2450", "fee"), "payout_fee": move("5050", "2450", "fee")},
        variant_words={
            "": "processing fees expected for unsettled captures",
            "payout_fee": "payout fees expected for payouts on their way",
        },
        references=("provider account and period", "the captures it was computed from"),
        checkpoint="the fees charged in the next period",
        window="the next period",
        match_anchor="provider account and period",
        exception_rule="an accrual that its fees miss by more than the cap is listed in the close",
        balance_sheet="accrued PSP fees rise, and fall on the first day of the next period",
        income_statement="the expense falls in the period that earned the revenue",
        cash_flow=NO_CASH,
        cash_flow_tag=NO_TAG,
        reversal_rule="entry.reversed on day 1 of the next period, by the same run",
        posted_by="the close run of finance; the subject is provider account and period",
    ),
)
