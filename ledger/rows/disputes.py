"""Matrix rows of disputes and chargebacks: money withdrawn, returned, lost (LJ-3, LJ-12, F14).

The subject is one round of the dispute: its public id for the first, the id and "/2" for a second
round after a won one. 1300 and 1390 are kept per dispute. Who bears the loss (the seller, by a
hold; or the platform, by an allowance) is decided by the flow before the money is withdrawn. What
a seller has left of the charge limits the hold and the fee's share: what an earlier refund gave
back already is nobody's but the platform's, as an allowance, until the dispute is won.
"""

from __future__ import annotations

from ledger.matrix_row import (
    ACCOUNT_LAG,
    CR,
    DR,
    NO_CASH,
    NO_TAG,
    PRODUCT_ON_EVENT,
    REVERSE_AND_REPOST,
    MatrixRow,
    Pair,
    move,
    needs,
)

HOLD = move("2000", "2310", "hold")
RELEASE = move("2310", "2000", "hold")
ALLOWED = move("5100", "1390", "allowance")
ALLOWANCE_BACK = move("1390", "5100", "allowance")
WITHDRAWN = move("1300", "1100")
RETURNED = move("1100", "1300")
# Beside the hold and our fee: taxes, and what a refund had given back before.
PLATFORM_SHARE = (
    Pair(DR, "2500", "fee_tax"),
    Pair(DR, "2510", "tax_collected"),
    Pair(DR, "1390", "allowance"),
)
DISPUTE_REFERENCES = (
    "dispute id",
    "payment id",
    "provider's dispute reference",
    "provider event id",
    "case id",
)
CAPTURED = needs("payment.captured", of="payment_id")

ROWS: tuple[MatrixRow, ...] = (
    MatrixRow(
        event_class="dispute.opened",
        title="Dispute opened",
        predecessor="payment captured",
        follows=(CAPTURED,),
        excludes=("dispute.opened", "dispute.funds_withdrawn"),
        trigger="the provider reports a dispute or an inquiry; no money has moved",
        variants={"": (), "seller_hold": HOLD},
        variant_words={
            "": "memo: the disputed amount is shown with the dispute, nothing is posted",
            "seller_hold": "the seller bears it: what the seller would lose is held at once",
        },
        references=DISPUTE_REFERENCES,
        checkpoint="the provider's decision, or the withdrawal",
        window="the provider's evidence deadline",
        match_anchor="provider's dispute reference",
        exception_rule="no evidence and no decision before the deadline escalates the case",
        balance_sheet="none; with a hold: from seller payable to dispute holds",
        income_statement="none",
        cash_flow=NO_CASH,
        cash_flow_tag=NO_TAG,
        reversal_rule="ended without a withdrawal, or borne by the platform after all:"
        " entry.reversed releases the hold",
        posted_by=PRODUCT_ON_EVENT,
    ),
    MatrixRow(
        event_class="dispute.funds_withdrawn",
        title="Disputed funds withdrawn",
        predecessor="payment captured; refunded already (flagged: paid twice); or won, as a second"
        " round with a subject of its own",
        follows=(CAPTURED,),
        excludes=("dispute.funds_withdrawn", "dispute.funds_returned", "dispute.lost"),
        trigger="the provider takes the disputed amount from the PSP balance",
        variants={
            "": (*WITHDRAWN, *HOLD, *ALLOWED),
            "held": (*WITHDRAWN, *ALLOWED),
            "platform": (*WITHDRAWN, *ALLOWED),
        },
        variant_words={
            "": "the seller bears it and is held now; an allowance for what a refund had given"
            " back before",
            "held": "the seller bears it and has been held since the dispute was opened; an"
            " allowance for what a refund had given back before",
            "platform": "the platform bears it: an allowance for the expected loss",
        },
        references=(*DISPUTE_REFERENCES, "batch line reference"),
        checkpoint="the chargeback line of a settlement batch",
        window=ACCOUNT_LAG,
        match_anchor="provider's dispute reference on the batch line",
        exception_rule="withdrawn and no line inside the window opens an exception",
        balance_sheet="disputed funds rise, PSP clearing falls; hold or allowance rises",
        income_statement="the allowance, when the platform bears it; the fee is fee.charged",
        cash_flow=NO_CASH,
        cash_flow_tag=NO_TAG,
        reversal_rule="dispute.funds_returned or dispute.lost ends it; a refund told late changes"
        " who bears it: entry.reversed, then this class again",
        posted_by=PRODUCT_ON_EVENT,
    ),
    MatrixRow(
        event_class="dispute.funds_returned",
        title="Disputed funds returned",
        predecessor="withdrawn; after a lost dispute that is appealed, the loss is reversed first",
        follows=(needs("dispute.funds_withdrawn"),),
        excludes=("dispute.funds_returned", "dispute.lost"),
        trigger="the dispute is won and the provider gives the amount back",
        variants={
            "": (*RETURNED, *RELEASE, *ALLOWANCE_BACK),
            "platform": (*RETURNED, *ALLOWANCE_BACK),
        },
        variant_words={
            "": "the seller's hold is released, and an allowance is taken back",
            "platform": "the platform's allowance is taken back",
        },
        references=(*DISPUTE_REFERENCES, "batch line reference"),
        checkpoint="the reversal line of a settlement batch",
        window=ACCOUNT_LAG,
        match_anchor="provider's dispute reference on the reversal line",
        exception_rule="won and no reversal line inside the window opens an exception",
        balance_sheet="PSP clearing rises, disputed funds fall; hold or allowance is undone",
        income_statement="the allowance is taken back, when the platform bore it",
        cash_flow=NO_CASH,
        cash_flow_tag=NO_TAG,
        reversal_rule=REVERSE_AND_REPOST,
        posted_by=PRODUCT_ON_EVENT,
    ),
    MatrixRow(
        event_class="dispute.lost",
        title="Dispute lost",
        predecessor="withdrawn, not returned",
        follows=(needs("dispute.funds_withdrawn"),),
        excludes=("dispute.lost", "dispute.funds_returned"),
        trigger="the provider reports the loss, or the loss is accepted",
        variants={
            "": (
                Pair(DR, "2310", "hold"),
                Pair(DR, "4000", "platform_fee"),
                *PLATFORM_SHARE,
                Pair(CR, "1300", "amount"),
            ),
            "gross": (
                Pair(DR, "4010", "hold"),
                Pair(DR, "4010", "platform_fee"),
                *PLATFORM_SHARE,
                *move("2310", "5010", "hold"),
                Pair(CR, "1300", "amount"),
            ),
            "platform": (
                Pair(DR, "1390", "allowance"),
                Pair(DR, "5100", "rest"),
                Pair(CR, "1300", "amount"),
            ),
        },
        variant_words={
            "": "the seller bears it from the hold; our fee is given back by policy; what a refund"
            " had given back before is the platform's loss",
            "gross": "the same in gross presentation, with the same margin",
            "platform": "the platform bears it: the allowance, and the rest as a loss",
        },
        references=DISPUTE_REFERENCES,
        checkpoint="none: the money left when it was withdrawn",
        window="none",
        match_anchor="provider's dispute reference",
        exception_rule="1300 without an open dispute blocks the close",
        balance_sheet="disputed funds fall with the hold or the allowance",
        income_statement="the fee given back; or the chargeback loss beyond the allowance",
        cash_flow=NO_CASH,
        cash_flow_tag=NO_TAG,
        reversal_rule="an appeal that is won: entry.reversed of this entry, then"
        " dispute.funds_returned once the money is back",
        posted_by=PRODUCT_ON_EVENT,
    ),
)
