"""Matrix rows of corrections: a correction is a reversal, then a new entry (LJ-2, LJ-8)."""

from __future__ import annotations

from ledger.matrix_row import MatrixRow

REVERSAL = "entry.reversed"

ROWS: tuple[MatrixRow, ...] = (
    MatrixRow(
        event_class=REVERSAL,
        title="An entry is reversed",
        predecessor="the entry it names, not reversed yet and not itself a reversal",
        follows=(),
        trigger="an error was found in a posted entry",
        variants={"": ()},
        variant_words={"": "every line of the named entry with its sign changed"},
        references=("reversed entry", "all trace keys of the reversed entry"),
        checkpoint="none: the new entry has its own",
        window="none",
        match_anchor="reversed entry",
        exception_rule="a reversal without a new entry is listed for review",
        balance_sheet="the opposite of the reversed entry, at its original reporting amounts",
        income_statement="the opposite of the reversed entry",
        cash_flow="the opposite of the reversed entry",
        cash_flow_tag="",
        reversal_rule="a reversal is not reversed; the right entry is posted anew",
        posted_by="the product or finance; dated in the current period unless told otherwise,"
        " never in a locked one",
    ),
)
