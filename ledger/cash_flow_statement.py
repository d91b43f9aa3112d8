"""The cash flow statement, direct method: why the cash accounts moved, by their tags (LJ-6, RP-1).

Cash is account 1000 and safeguarded cash 1010, shown apart; PSP balances are not cash, by stated
policy. Cash without a tag of `ledger/cash_flow.py` is unexplained cash: a row marked as an error.
"""

from __future__ import annotations

from datetime import date

from ledger.cash_flow import CASH_ACCOUNTS, RATES, SECTIONS, TAGS
from ledger.statement_figures import Figures
from ledger.statement_parts import (
    ERROR,
    GRAND,
    LINE,
    SECTION,
    Check,
    Drill,
    Figure,
    Row,
    Span,
    total,
)
from ledger.statement_rows import LINE_OF

KEY = "cash-flow"
OPENING, CLOSING, CHANGE = "opening", "closing", "change"
UNEXPLAINED = "Cash that moved without a cash-flow tag"
CASH = tuple(sorted(CASH_ACCOUNTS))


def rows(figures: Figures, span: Span) -> list[Row]:
    moved = figures.cash(span.from_on, span.to_on)
    found = _standing(figures, OPENING, "Cash at the beginning", span.day_before)
    change = 0
    for section, words in SECTIONS.items():
        found.append(Row(SECTION, f"section:{section}", words))
        own = 0
        for tag in (tag for tag in TAGS if tag.section == section):
            drill = Drill(CASH, span.to_on, span.from_on, figures.currency, tag=tag.key)
            figure = Figure(moved.get(tag.key, 0), drill)
            found.append(Row(LINE, tag.key, tag.words, (figure,)))
            own += figure.minor
        found.append(total(f"total:{section}", f"{words}, total", own))
        change += own
    if moved.get(""):
        drill = Drill(CASH, span.to_on, span.from_on, figures.currency, tag="none")
        figure = Figure(moved[""], drill)
        found.append(Row(ERROR, "error:untagged", "Unexplained cash", (figure,), note=UNEXPLAINED))
        change += figure.minor
    found.append(total(CHANGE, "Change of cash", change, GRAND))
    return found + _standing(figures, CLOSING, "Cash at the end", span.to_on)


def checks(figures: Figures, span: Span, rows: list[Row]) -> tuple[Check, ...]:
    by_key = {row.key: row.figures[0].minor for row in rows if row.figures}
    opening, change, closing = (by_key[key] for key in (OPENING, CHANGE, CLOSING))
    rates = by_key[f"total:{RATES}"]
    untagged = by_key.get("error:untagged", 0)
    return (
        Check(
            "Opening cash and movements come to the cash in the balance sheet",
            (
                ("Opening", opening),
                ("Movements", change - rates),
                ("Effect of rates", rates),
                ("Balance sheet", closing),
            ),
            opening + change - closing,
        ),
        Check("Every movement of cash is explained", (("Unexplained", untagged),), untagged),
    )


def _standing(figures: Figures, key: str, words: str, as_of: date) -> list[Row]:
    balances = figures.net(None, as_of)
    found = [Row(SECTION, f"section:{key}", words)]
    summed = 0
    for code in CASH:
        drill = Drill((code,), as_of, currency=figures.currency)
        figure = Figure(balances.get(code, 0), drill)
        found.append(Row(LINE, f"{key}:{code}", LINE_OF[code].words, (figure,), code=code))
        summed += figure.minor
    return [*found, total(key, words, summed, GRAND)]
