"""Matrix rows of other currencies: conversion, and revaluation at the end of a period (LJ-10).

The poster states every reporting amount. A conversion balances in each currency through 1900,
which ends nil in reporting currency, never per currency. A revaluation moves reporting amounts
alone: its lines have no amount in the currency.
"""

from __future__ import annotations

from ledger.accounts import CHART, MONETARY
from ledger.matrix_row import (
    ACCOUNT_LAG,
    CR,
    DR,
    REVERSE_AND_REPOST,
    MatrixRow,
    Pair,
    move,
)


def _conversion(held: str) -> tuple[Pair, ...]:
    return (
        *move("1900", held, "sold"),
        *move(held, "1900", "bought"),
        *move("5060", "1900", "markup"),
        *move("1900", "4900", "gain"),
        *move("5900", "1900", "loss"),
    )


REVALUED = tuple(row.code for row in CHART if row.code in MONETARY)

ROWS: tuple[MatrixRow, ...] = (
    MatrixRow(
        event_class="fx.converted",
        title="Money converted into another currency",
        predecessor="both legs known: what was sold and what was bought",
        follows=(),
        trigger="the provider's or bank's conversion detail",
        variants={
            "": _conversion("1100"),
            "bank": _conversion("1000"),
            "safeguarded": _conversion("1010"),
            "settlement": _conversion("1150"),
            "seller": (
                *move("2000", "1900", "sold"),
                *move("1900", "2000", "bought"),
                *move("5060", "1900", "markup"),
                *move("1900", "4900", "gain"),
                *move("5900", "1900", "loss"),
            ),
        },
        variant_words={
            "": "inside a PSP balance",
            "bank": "between bank accounts in two currencies",
            "safeguarded": "on a safeguarding account",
            "settlement": "a batch paid out in another currency",
            "seller": "what a seller is owed, to be paid in another currency",
        },
        references=("conversion reference", "rate, source and time", "batch or bank line id"),
        checkpoint="both legs of the conversion in the report or on the statements",
        window=ACCOUNT_LAG,
        match_anchor="conversion reference",
        exception_rule="1900 not nil in reporting currency blocks the close",
        balance_sheet="from one currency to the other; sold at the rate it is carried at",
        income_statement="the provider's markup; the remainder is realised gain or loss",
        cash_flow="bank accounts: out of one currency into the other, nil in sum but for the"
        " difference",
        cash_flow_tag="converted",
        reversal_rule=REVERSE_AND_REPOST,
        posted_by="the product, on the conversion detail; reporting amounts are stated",
        reporting_given=True,
    ),
    MatrixRow(
        event_class="fx.revalued",
        title="Balances in other currencies revalued",
        predecessor="the period is closing and the rate of its last day is known",
        follows=(),
        trigger="the revaluation run of the close",
        variants={
            "": (Pair(DR, "1100", "reporting_gain"), Pair(CR, "4910", "reporting_gain")),
            "loss": (Pair(DR, "5910", "reporting_loss"), Pair(CR, "1100", "reporting_loss")),
        },
        variant_words={
            "": "worth more than it is carried at: reporting amount alone, on the account itself",
            "loss": "worth less than it is carried at: the same, the other way",
        },
        references=("revaluation run", "rate, source and time", "period"),
        checkpoint="the next run: it counts from what is carried, so nothing is stranded when a"
        " balance has settled",
        window="the close of the period",
        match_anchor="revaluation run",
        exception_rule="a period with balances in other currencies and no run does not close",
        balance_sheet="monetary accounts are shown at the rate of the last day; 1900 is not"
        " revalued",
        income_statement="revaluation gain or loss, cumulative over the life of a balance",
        cash_flow="effect of exchange rates on cash",
        cash_flow_tag="rates",
        reversal_rule="a run is taken back by entry.reversed of each of its entries, then run anew",
        posted_by="finance, as a run of the closing period; reporting amounts are stated",
        reporting_given=True,
        open_accounts=REVALUED,
    ),
)
