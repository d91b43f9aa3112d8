"""The cash position: where the money is at the end of a day, and what is still moving (RP-5).

Money that a returned payout will bring is a receivable until it is back; it is never counted as
cash before, nor twice after. Amounts owed have a minus sign.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from ledger.accounts import BY_CODE
from ledger.statement_figures import Figures
from ledger.statement_parts import (
    DETAIL,
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

KEY = "cash-position"
AVAILABLE, AFTER = "available", "after"


@dataclass(frozen=True, slots=True)
class Group:
    """Accounts under one heading; `sum_words` names what the position has come to below it."""

    key: str
    words: str
    accounts: tuple[str, ...]
    sum_key: str = ""
    sum_words: str = ""


GROUPS: tuple[Group, ...] = (
    Group("bank", "Cash at bank", ("1000", "1010")),
    Group("psp", "At payment providers", ("1100", "1105"), AVAILABLE, "Cash and PSP balances"),
    Group(
        "coming",
        "On its way to us or held back, not cash yet",
        ("1150", "1050", "1120", "1200", "1210"),
    ),
    Group("going", "On its way out, not gone yet", ("2100", "2110")),
    Group(
        "owed",
        "Came back or failed, owed until somebody decides",
        ("2200", "2910", "2150"),
        AFTER,
        "Cash and PSP balances after all of it",
    ),
)
# Kept per bank or provider account: few parties, each of them a row.
BY_PARTY = ("1000", "1010", "1100", "1120", "1150")


def rows(figures: Figures, span: Span) -> list[Row]:
    as_of = span.to_on
    balances = figures.net(None, as_of)
    parties = _parties(figures, as_of)
    found: list[Row] = []
    so_far = 0
    for group in GROUPS:
        found.append(Row(SECTION, f"section:{group.key}", group.words))
        for code in group.accounts:
            drill = Drill((code,), as_of, currency=figures.currency)
            figure = Figure(balances.get(code, 0), drill)
            found.append(Row(LINE, f"line:{code}", BY_CODE[code].name, (figure,), code=code))
            found += parties.get(code, [])
        own = sum(balances.get(code, 0) for code in group.accounts)
        found.append(total(f"total:{group.key}", f"{group.words}, total", own))
        so_far += own
        if group.sum_key:
            found.append(total(group.sum_key, group.sum_words, so_far, GRAND))
    return found


def checks(figures: Figures, span: Span, rows: list[Row]) -> tuple[Check, ...]:
    by_party = sum(row.figures[0].minor for row in rows if row.kind == DETAIL)
    on_accounts = sum(
        row.figures[0].minor for row in rows if row.kind == LINE and row.code in BY_PARTY
    )
    return (
        Check(
            "Bank and provider accounts add up to the ledger",
            (("By bank and provider account", by_party), ("On the accounts", on_accounts)),
            by_party - on_accounts,
        ),
    )


def _parties(figures: Figures, as_of: date) -> dict[str, list[Row]]:
    """A row for each bank and provider account; in reporting currency, for each currency of it."""
    found: dict[str, list[Row]] = {}
    positions = [each for code in BY_PARTY for each in figures.positions(code, as_of)[0]]
    for each in sorted(positions, key=lambda p: (p.account, p.party, p.currency)):
        drill = Drill((each.account,), as_of, currency=each.currency, party=each.party)
        if not figures.currency:
            drill = Drill((each.account,), as_of, party=each.party)
        words = each.party if figures.currency else f"{each.party}, {each.currency}"
        key = f"party:{each.account}:{each.party}:{each.currency}"
        row = Row(DETAIL, key, words, (Figure(each.minor, drill),), code=each.account)
        found.setdefault(each.account, []).append(row)
    return found
