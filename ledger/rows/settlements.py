"""Matrix rows of settlements: the PSP pays us the net of a batch (LJ-5; S4).

A settlement is never a payout to a seller. Matching goes capture, settlement line, batch, bank
line; a batch is closed at the PSP's stated net and is never held back by one unexplained line.
"""

from __future__ import annotations

from ledger.matrix_row import (
    BANK_WINDOW,
    CR,
    DR,
    LINE_IS_FACT,
    NO_CASH,
    NO_TAG,
    ONLY_BALANCE_SHEET,
    PRODUCT_ON_BANK_LINE,
    PRODUCT_ON_BATCH,
    REVERSE_AND_REPOST,
    MatrixRow,
    Pair,
    move,
    needs,
)

BATCH_REFERENCES = ("settlement batch id", "provider's batch reference", "provider event id")
BANK_REFERENCES = ("settlement batch id", "bank line id", "bank's reference")

ROWS: tuple[MatrixRow, ...] = (
    MatrixRow(
        event_class="settlement.closed",
        title="Settlement batch closed",
        predecessor="the PSP's batch or payout to us exists",
        follows=(),
        excludes=("settlement.closed",),
        trigger="the PSP states the net of a batch",
        variants={"": move("1150", "1100", "net"), "negative": move("1100", "1150", "net")},
        variant_words={
            "": "the PSP owes us the net; a zero batch posts nothing, a carry-over no entry",
            "negative": "we owe the PSP the net: the pair is swapped",
        },
        references=BATCH_REFERENCES,
        checkpoint="the bank line of the settlement",
        window=BANK_WINDOW,
        match_anchor="provider's batch reference in the bank line",
        exception_rule="no bank line inside the window opens an exception; a line inside the batch"
        " that nothing explains is an exception of its own and holds nothing back",
        balance_sheet="from PSP clearing to settlement in transit",
        income_statement=ONLY_BALANCE_SHEET,
        cash_flow=NO_CASH,
        cash_flow_tag=NO_TAG,
        reversal_rule="settlement.failed when the PSP takes the batch back",
        posted_by=PRODUCT_ON_BATCH,
    ),
    MatrixRow(
        event_class="settlement.received",
        title="Settlement received at the bank",
        predecessor="batch closed, or none when the bank line names the PSP",
        follows=(),
        trigger="the bank line that is matched to the batch or names the PSP",
        variants={
            "": (
                Pair(DR, "1000", "received"),
                Pair(DR, "5250", "bank_fee"),
                Pair(CR, "1150", "net"),
            ),
            "short": (
                Pair(DR, "1000", "received"),
                Pair(DR, "5950", "difference"),
                Pair(CR, "1150", "net"),
            ),
            "over": (
                Pair(DR, "1000", "received"),
                Pair(CR, "5950", "difference"),
                Pair(CR, "1150", "net"),
            ),
            "negative": move("1150", "1000", "net"),
        },
        variant_words={
            "": "in full, or less the fee the bank states for it",
            "short": "a penny less than the net, within the book's cap for penny differences",
            "over": "a penny more than the net, within the book's cap",
            "negative": "a negative batch is paid to the PSP",
        },
        references=BANK_REFERENCES,
        checkpoint="the bank line itself",
        window=LINE_IS_FACT,
        match_anchor="bank line id; a line that comes twice is one movement",
        exception_rule="an amount off by more than the cap opens an exception; the cash is booked",
        balance_sheet="cash rises, settlement in transit falls",
        income_statement="the bank's fee, or a capped penny difference",
        cash_flow="cash in on the day of the bank line",
        cash_flow_tag="settlements",
        reversal_rule="settlement.recalled when the money is taken back",
        posted_by=PRODUCT_ON_BANK_LINE,
    ),
    MatrixRow(
        event_class="settlement.recalled",
        title="Settlement taken back from the bank",
        predecessor="settlement received",
        follows=(needs("settlement.received"),),
        excludes=("settlement.failed",),
        trigger="the bank line that takes the settlement back",
        variants={"": move("1150", "1000", "net")},
        variant_words={"": "the PSP owes us the net again"},
        references=BANK_REFERENCES,
        checkpoint="the bank line itself",
        window=LINE_IS_FACT,
        match_anchor="bank line id",
        exception_rule="settlement in transit not paid again inside the window opens an exception",
        balance_sheet="cash falls, settlement in transit rises",
        income_statement=ONLY_BALANCE_SHEET,
        cash_flow="cash out on the day of the bank line",
        cash_flow_tag="settlements_recalled",
        reversal_rule=REVERSE_AND_REPOST,
        posted_by=PRODUCT_ON_BANK_LINE,
    ),
    MatrixRow(
        event_class="settlement.failed",
        title="Settlement failed",
        predecessor="batch closed, its money not received or recalled",
        follows=(needs("settlement.closed"),),
        excludes=("settlement.failed",),
        trigger="the PSP reports that it could not pay the batch; the net is on its balance again",
        variants={"": move("1100", "1150", "net"), "negative": move("1150", "1100", "net")},
        variant_words={
            "": "reversal of settlement.closed; the flow posts settlement.recalled first when the"
            " money had arrived",
            "negative": "the same for a negative batch",
        },
        references=(*BATCH_REFERENCES, "reversed entry"),
        checkpoint="the next batch that carries the amount",
        window=BANK_WINDOW,
        match_anchor="provider's batch reference",
        exception_rule="a bank line for a failed batch opens an exception",
        balance_sheet="from settlement in transit back to PSP clearing",
        income_statement=ONLY_BALANCE_SHEET,
        cash_flow=NO_CASH,
        cash_flow_tag=NO_TAG,
        reversal_rule="a reversal is not reversed; the PSP's next batch is closed anew",
        posted_by=PRODUCT_ON_BATCH,
    ),
)
