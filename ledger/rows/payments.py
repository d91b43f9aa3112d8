"""Matrix rows of payments: authorisation, capture, and what ends either (LJ-3, LJ-7).

The memo pair 9100/9200 never shares an entry with a real account, so rounding in reporting
currency cannot cross from one to the other.
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
    mirror,
    move,
    needs,
)

CAPTURE = (
    Pair(DR, "1100", "gross"),
    Pair(CR, "2000", "seller_share"),
    Pair(CR, "4000", "platform_fee"),
    Pair(CR, "2500", "fee_tax"),
    Pair(CR, "2510", "tax_collected"),
)
# The same measures and the same margin: sales of share and fee, less the share as cost of sales.
CAPTURE_GROSS = (
    Pair(DR, "1100", "gross"),
    Pair(CR, "4010", "seller_share"),
    Pair(CR, "4010", "platform_fee"),
    Pair(CR, "2500", "fee_tax"),
    Pair(CR, "2510", "tax_collected"),
    *move("5010", "2000", "seller_share"),
)
PAYMENT_REFERENCES = (
    "payment id",
    "merchant reference",
    "provider's payment reference",
    "provider event id",
)
NOT_POSTED = "authorisation policy of the book is none: not posted"
MEMO_ONLY = (
    "authorisation policy memo: not posted; the open amount is a memo figure read from the payments"
)
NO_EFFECT = "none: authorised amounts are off the balance sheet"
OPEN_LISTED = "an authorisation neither captured nor ended in its window is listed"
VALIDITY = "the validity of the authorisation at the provider"
RELEASE = move("9200", "9100")

ROWS: tuple[MatrixRow, ...] = (
    MatrixRow(
        event_class="payment.authorized",
        title="Payment authorised",
        predecessor="none",
        follows=(),
        excludes=("payment.voided", "payment.expired"),
        trigger="the provider confirms that the customer's bank reserved the amount",
        variants={"": (), "memo": (), "pending": move("9100", "9200")},
        variant_words={
            "": NOT_POSTED,
            "memo": MEMO_ONLY,
            "pending": "authorisation policy pending: a memo pair, off the balance sheet",
        },
        references=("payment id", "provider's payment reference", "provider event id"),
        checkpoint="capture, cancellation or expiry of the authorisation",
        window=VALIDITY,
        match_anchor="provider's payment reference",
        exception_rule=OPEN_LISTED,
        balance_sheet=NO_EFFECT,
        income_statement="none: nothing is earned before capture",
        cash_flow=NO_CASH,
        cash_flow_tag=NO_TAG,
        reversal_rule="payment.authorization_used, payment.voided and payment.expired take the"
        " memo pair back; it is read in its own currency, where it ends nil",
        posted_by="the product, on the provider's event, in a book whose policy is pending",
    ),
    MatrixRow(
        event_class="payment.authorization_used",
        title="Authorisation used by a capture",
        predecessor="payment authorised, and captured in whole or in part",
        follows=(needs("payment.authorized"), needs("payment.captured")),
        trigger="the capture; the memo pair falls by the amount captured",
        variants={"": (), "memo": (), "pending": RELEASE},
        variant_words={
            "": NOT_POSTED,
            "memo": MEMO_ONLY,
            "pending": "authorisation policy pending: taken back by the amount captured, in an"
            " entry apart from the capture's",
        },
        references=PAYMENT_REFERENCES,
        checkpoint="none: the capture has its own",
        window="none",
        match_anchor="provider's payment reference",
        exception_rule=OPEN_LISTED,
        balance_sheet=NO_EFFECT,
        income_statement="none",
        cash_flow=NO_CASH,
        cash_flow_tag=NO_TAG,
        reversal_rule=REVERSE_AND_REPOST,
        posted_by="the product, together with the capture",
    ),
    MatrixRow(
        event_class="payment.voided",
        title="Authorisation canceled",
        predecessor="payment authorised, and not captured in whole",
        follows=(needs("payment.authorized"),),
        excludes=("payment.voided", "payment.expired"),
        trigger="the authorisation is canceled, the payment fails before capture, or the final"
        " capture takes less than was authorised",
        variants={"": (), "memo": (), "pending": RELEASE},
        variant_words={
            "": NOT_POSTED,
            "memo": MEMO_ONLY,
            "pending": "authorisation policy pending: the amount not captured is taken back",
        },
        references=PAYMENT_REFERENCES,
        checkpoint="none: no money moved",
        window="none",
        match_anchor="provider's payment reference",
        exception_rule="a batch line for a canceled authorisation opens an exception",
        balance_sheet=NO_EFFECT,
        income_statement="none",
        cash_flow=NO_CASH,
        cash_flow_tag=NO_TAG,
        reversal_rule=REVERSE_AND_REPOST,
        posted_by=PRODUCT_ON_EVENT,
    ),
    MatrixRow(
        event_class="payment.expired",
        title="Authorisation expired",
        predecessor="payment authorised, and not captured in whole",
        follows=(needs("payment.authorized"),),
        excludes=("payment.voided", "payment.expired"),
        trigger="the provider reports that the authorisation has run out",
        variants={"": (), "memo": (), "pending": RELEASE},
        variant_words={
            "": NOT_POSTED,
            "memo": MEMO_ONLY,
            "pending": "authorisation policy pending: the amount not captured is taken back",
        },
        references=PAYMENT_REFERENCES,
        checkpoint="none: no money moved",
        window="none",
        match_anchor="provider's payment reference",
        exception_rule="a batch line for an expired authorisation opens an exception",
        balance_sheet=NO_EFFECT,
        income_statement="none",
        cash_flow=NO_CASH,
        cash_flow_tag=NO_TAG,
        reversal_rule=REVERSE_AND_REPOST,
        posted_by=PRODUCT_ON_EVENT,
    ),
    MatrixRow(
        event_class="payment.captured",
        title="Payment captured",
        predecessor="payment authorised, or none where the provider captures at once",
        follows=(),
        trigger="the provider confirms the capture",
        variants={"": CAPTURE, "gross": CAPTURE_GROSS},
        variant_words={
            "": "net presentation (agent): only our fee is revenue",
            "gross": "gross presentation (principal): the whole sale is revenue and the seller's"
            " share its cost; the margin is the same",
        },
        references=PAYMENT_REFERENCES,
        checkpoint="a line of a settlement batch of the provider account",
        window=ACCOUNT_LAG,
        match_anchor="provider's payment reference on the batch line",
        exception_rule="captured and not settled inside the window opens an exception",
        balance_sheet="PSP clearing rises; seller payable and tax payable rise",
        income_statement="platform fee, net of tax, is revenue on the day of capture; in gross"
        " presentation as sales less cost of sales",
        cash_flow=NO_CASH,
        cash_flow_tag=NO_TAG,
        reversal_rule="payment.capture_failed reverses it; a refund never edits it",
        posted_by=PRODUCT_ON_EVENT,
    ),
    MatrixRow(
        event_class="payment.capture_failed",
        title="Capture failed after it was confirmed",
        predecessor="payment captured",
        follows=(needs("payment.captured"),),
        trigger="the provider withdraws a capture it had confirmed",
        variants={"": mirror(CAPTURE), "gross": mirror(CAPTURE_GROSS)},
        variant_words={
            "": "reversal of the capture, at its original reporting amounts",
            "gross": "the same for a capture in gross presentation",
        },
        references=("payment id", "provider's payment reference", "reversed entry"),
        checkpoint="an adjustment line of a settlement batch",
        window=ACCOUNT_LAG,
        match_anchor="provider's payment reference on the adjustment line",
        exception_rule="no adjustment line inside the window opens an exception",
        balance_sheet="PSP clearing, seller payable and tax payable fall",
        income_statement="the platform fee is taken back",
        cash_flow=NO_CASH,
        cash_flow_tag=NO_TAG,
        reversal_rule="a reversal is not reversed; a new capture is posted",
        posted_by=PRODUCT_ON_EVENT,
    ),
)
