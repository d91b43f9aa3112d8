"""The table behind the statements: every account on exactly one line (LJ-19, RP-4)."""

from __future__ import annotations

from collections import Counter

from ledger import cash_flow_statement, cash_position
from ledger.accounts import BY_CODE, CHART
from ledger.cash_flow import CASH_ACCOUNTS, SECTIONS, TAGS
from ledger.statement_rows import (
    ASSETS,
    BALANCE_SHEET,
    BALANCE_SHEET_SECTIONS,
    EQUITY,
    INCOME,
    LIABILITIES,
    LINE_OF,
    MEMO,
    PRESENTED,
    STATEMENT_SECTIONS,
    accounts_of,
)

KINDS_OF_STATEMENT = {
    BALANCE_SHEET: {"asset", "liability", "equity"},
    INCOME: {"revenue", "expense"},
    MEMO: {"memo"},
}
HALF_OF_KIND = {"asset": ASSETS, "liability": LIABILITIES, "equity": EQUITY}


def test_every_account_of_the_chart_stands_on_exactly_one_line() -> None:
    """LJ-19: partial mapping fails."""
    mapped = Counter(
        code
        for sections in STATEMENT_SECTIONS.values()
        for section in sections
        for line in section.lines
        for code in accounts_of(line)
    )

    assert mapped == Counter({row.code: 1 for row in CHART})


def test_every_account_stands_in_the_statement_of_its_kind() -> None:
    for statement, sections in STATEMENT_SECTIONS.items():
        for section in sections:
            for line in section.lines:
                for code in accounts_of(line):
                    assert BY_CODE[code].kind in KINDS_OF_STATEMENT[statement], code
                    if statement == BALANCE_SHEET:
                        assert HALF_OF_KIND[BY_CODE[code].kind] == section.side, code


def test_lines_have_their_own_keys_and_words() -> None:
    lines = [
        line for sections in STATEMENT_SECTIONS.values() for each in sections for line in each.lines
    ]

    assert len({line.key for line in lines}) == len(lines)
    assert len({line.words.lower() for line in lines}) == len(lines)


def test_what_is_shown_by_its_side_is_kept_per_party_and_lands_on_the_other_half() -> None:
    """A PSP we owe is a liability, a seller who owes us is a receivable."""
    half = {line.key: s.side for s in BALANCE_SHEET_SECTIONS for line in s.lines}

    for each in PRESENTED:
        assert BY_CODE[each.account].party_kind
        assert {half[each.line], half[LINE_OF[each.account].key]} == {ASSETS, LIABILITIES}


def test_cash_is_the_same_in_every_statement() -> None:
    """LJ-6: the cash flow statement explains the first section of the balance sheet."""
    cash = [code for line in BALANCE_SHEET_SECTIONS[0].lines for code in accounts_of(line)]

    assert set(cash) == CASH_ACCOUNTS == set(cash_flow_statement.CASH)
    assert set(cash_position.GROUPS[0].accounts) == CASH_ACCOUNTS
    assert {tag.section for tag in TAGS} == set(SECTIONS)
