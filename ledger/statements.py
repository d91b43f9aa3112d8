"""Trial balance, balance sheet, income statement; the door to every statement (RP-1, RP-4, LJ-6).

Interprets the table in `ledger/statement_rows.py` over sums of lines; keeps nothing. Retained
earnings are computed: account 3000 and the result before the fiscal year, so a reopened month stays
right without a closing entry. An account that stands on no line is a row of its own, marked as an
error, in every statement it moves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from ledger import cash_flow_statement, cash_position
from ledger.statement_figures import NOTHING, Figures, snapshot
from ledger.statement_parts import (
    DETAIL,
    ERROR,
    GRAND,
    LINE,
    NOT_MAPPED,
    SECTION,
    Check,
    Drill,
    Figure,
    Row,
    Span,
    Statement,
    beside,
    fiscal_start,
    total,
    unmapped,
    without_nil,
)
from ledger.statement_rows import (
    ASSETS,
    BALANCE_SHEET_SECTIONS,
    CURRENT,
    DEBIT,
    EQUITY,
    INCOME_ACCOUNTS,
    INCOME_SECTIONS,
    LIABILITIES,
    LINE_OF,
    MEMO_SECTION,
    PRESENTED_AT,
    PRESENTED_FROM,
    RETAINED,
    SOURCES,
    Line,
    accounts_of,
)
from payops.core.models import Book

TRIAL_BALANCE, BALANCE_SHEET = "trial-balance", "balance-sheet"
INCOME_STATEMENT = "income-statement"
PREVIOUS, YEAR, NONE = "previous", "year", "none"
COMPARED = {PREVIOUS: "the previous period", YEAR: "the same days a year before", NONE: "nothing"}
DAY = timedelta(days=1)
HALVES = {ASSETS: 1, LIABILITIES: -1, EQUITY: -1}


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of statement: `rows` of one span, the words of its columns, its controls."""

    key: str
    title: str
    rows: Callable[[Figures, Span], list[Row]]
    columns: Callable[[Span], tuple[str, ...]]
    checks: Callable[[Figures, Span, list[Row]], tuple[Check, ...]]


def statement(
    *, kind: str, book: Book, span: Span, currency: str = "", compare: str = PREVIOUS
) -> Statement:
    """One statement; `currency` "" is all of them in the book's reporting currency."""
    with snapshot():
        return of_figures(kind, Figures(book=book, currency=currency), span, compare)


def of_figures(kind: str, figures: Figures, span: Span, compare: str = NONE) -> Statement:
    row = KINDS[kind]
    before = {PREVIOUS: span.previous, YEAR: span.year_before}.get(compare, lambda: None)()
    rows = row.rows(figures, span)
    checks, columns = row.checks(figures, span, rows), row.columns(span)
    if before is not None:
        rows = beside(rows, row.rows(figures, before))
        columns = (*columns, row.columns(before)[-1], "Change")
    return Statement(
        kind=kind,
        title=row.title,
        span=span,
        before=before,
        currency=figures.shown_currency,
        in_reporting=not figures.currency,
        columns=columns,
        rows=without_nil(rows),
        checks=checks,
    )


# ---- trial balance -------------------------------------------------------------------------


def _trial_rows(figures: Figures, span: Span) -> list[Row]:
    opening = figures.net(None, span.day_before)
    moved = figures.moved(span.from_on, span.to_on)
    rows = []
    for code in sorted({*opening, *moved}):
        was, own = opening.get(code, 0), moved.get(code, NOTHING)
        before = Drill((code,), span.day_before, currency=figures.currency)
        within = Drill((code,), span.to_on, span.from_on, currency=figures.currency)
        until = Drill((code,), span.to_on, currency=figures.currency)
        rows.append(
            Row(
                LINE if code in LINE_OF else ERROR,
                f"account:{code}",
                figures.accounts[code].name,
                (
                    Figure(was, before),
                    Figure(own.debit, within),
                    Figure(own.credit, within),
                    Figure(was + own.balance, until),
                ),
                code=code,
                note="" if code in LINE_OF else NOT_MAPPED,
            )
        )
    sums = tuple(Figure(sum(row.figures[i].minor for row in rows)) for i in range(4))
    return [*rows, Row(GRAND, "total", "Total", sums)]


def _trial_checks(figures: Figures, span: Span, rows: list[Row]) -> tuple[Check, ...]:
    opening, debit, credit, closing = (figure.minor for figure in rows[-1].figures)
    return (
        Check("Debits equal credits", (("Debits", debit), ("Credits", credit)), debit - credit),
        Check("Balances are nil in sum before", (("Opening", opening),), opening),
        Check("Balances are nil in sum after", (("Closing", closing),), closing),
    )


# ---- balance sheet -------------------------------------------------------------------------


def _sheet_rows(figures: Figures, span: Span) -> list[Row]:
    as_of = span.to_on
    start = fiscal_start(as_of, figures.book.fiscal_year_start_month)
    earlier, year = figures.net(None, start - DAY), figures.net(start, as_of)
    balances = {code: earlier.get(code, 0) + year.get(code, 0) for code in {*earlier, *year}}
    rows: list[Row] = []
    halves: dict[str, int] = {}
    for half, sign in HALVES.items():
        sums = 0
        sections = [section for section in BALANCE_SHEET_SECTIONS if section.side == half]
        for section in sections:
            rows.append(Row(SECTION, f"section:{section.words}", section.words))
            own = 0
            for line in section.lines:
                made = _sheet_line(figures, line, sign, balances, span)
                if line.key == RETAINED:
                    made = _with_result(
                        made, earlier, Drill((), start - DAY, statement=INCOME_STATEMENT)
                    )
                if line.key == CURRENT:
                    drill = Drill((), as_of, start, figures.currency, statement=INCOME_STATEMENT)
                    made = [Row(LINE, line.key, line.words, (Figure(_result(year), drill),))]
                rows += made
                own += made[0].figures[0].minor
            if len(sections) > 1:
                rows.append(total(f"total:{section.words}", f"{section.words}, total", own))
            sums += own
        rows.append(total(half, f"Total {half.lower()}", sums, GRAND))
        halves[half] = sums
    both = halves[LIABILITIES] + halves[EQUITY]
    rows.append(total(SOURCES, "Total liabilities and equity", both, GRAND))
    rows += _unmapped_rows(figures, balances, Drill((), as_of, currency=figures.currency))
    return [*rows, *_memo_rows(figures, balances, span)]


def _sheet_line(
    figures: Figures, line: Line, sign: int, balances: dict[str, int], span: Span
) -> list[Row]:
    """The line and, where it has more than one source, each of them below it."""
    until = span.to_on
    sources: list[Row] = []
    for code in accounts_of(line):
        minor, drill = balances.get(code, 0), Drill((code,), until, currency=figures.currency)
        if (moved := PRESENTED_FROM.get(code)) is not None:
            apart = figures.sides(code, until)
            kept = "credit" if moved.side == DEBIT else DEBIT
            minor = apart.debit if kept == DEBIT else -apart.credit
            drill = Drill((code,), until, currency=figures.currency, side=kept)
        words = figures.accounts[code].name if code in figures.accounts else line.words
        shown = Figure(sign * minor, drill)
        sources.append(Row(DETAIL, f"{line.key}:{code}", words, (shown,), code=code))
    for each in PRESENTED_AT.get(line.key, ()):
        apart = figures.sides(each.account, until)
        minor = apart.debit if each.side == DEBIT else apart.credit
        drill = Drill((each.account,), until, currency=figures.currency, side=each.side)
        key = f"{line.key}:{each.account}:{each.side}"
        sources.append(Row(DETAIL, key, each.words, (Figure(minor, drill),), code=each.account))
    return _with_sources(line, sources)


def _with_sources(line: Line, sources: list[Row]) -> list[Row]:
    if len(sources) == 1:
        only = sources[0]
        return [Row(LINE, line.key, line.words, only.figures, code=only.code)]
    summed = Figure(sum(source.figures[0].minor for source in sources))
    return [Row(LINE, line.key, line.words, (summed,)), *sources]


def _with_result(made: list[Row], earlier: dict[str, int], drill: Drill) -> list[Row]:
    """Retained earnings: the account, and every result before this fiscal year."""
    own = made[0]
    posted = Row(DETAIL, f"{RETAINED}:3000", "Retained earnings, posted", own.figures, own.code)
    computed = Figure(_result(earlier), drill)
    result = Row(DETAIL, f"{RETAINED}:result", "Results of earlier fiscal years", (computed,))
    both = Figure(own.figures[0].minor + computed.minor)
    return [Row(LINE, RETAINED, own.words, (both,)), posted, result]


def _result(balances: dict[str, int]) -> int:
    return -sum(minor for code, minor in balances.items() if code in INCOME_ACCOUNTS)


def _unmapped_rows(figures: Figures, balances: dict[str, int], drill: Drill) -> list[Row]:
    return [
        unmapped(
            code,
            figures.accounts[code].name,
            Figure(
                balances[code],
                Drill((code,), drill.to_on, drill.from_on, currency=figures.currency),
            ),
        )
        for code in sorted(balances)
        if code not in LINE_OF and balances[code]
    ]


def _memo_rows(figures: Figures, balances: dict[str, int], span: Span) -> list[Row]:
    rows = [Row(SECTION, "section:memo", f"{MEMO_SECTION.words} (memo, in no total)")]
    for line in MEMO_SECTION.lines:
        rows += _sheet_line(figures, line, 1, balances, span)
    return rows


def _sheet_checks(figures: Figures, span: Span, rows: list[Row]) -> tuple[Check, ...]:
    sums = {row.key: row.figures[0].minor for row in rows if row.kind == GRAND}
    off = sums[ASSETS] - sums[LIABILITIES] - sums[EQUITY]
    not_mapped = [(row.words, row.figures[0].minor) for row in rows if row.kind == ERROR]
    off_sheet = {line.key for line in MEMO_SECTION.lines}
    memo = sum(row.figures[0].minor for row in rows if row.key in off_sheet)
    return (
        Check(
            "Assets equal liabilities and equity",
            (*((half, sums[half]) for half in HALVES), *not_mapped),
            off,
            NOT_MAPPED if off and off == -sum(minor for _, minor in not_mapped) else "",
        ),
        Check("Memo accounts are nil in sum", (("Memo", memo),), memo),
    )


# ---- income statement ----------------------------------------------------------------------


def _income_rows(figures: Figures, span: Span) -> list[Row]:
    balances = figures.net(span.from_on, span.to_on)
    rows: list[Row] = []
    so_far = 0
    for section in INCOME_SECTIONS:
        rows.append(Row(SECTION, f"section:{section.words}", section.words))
        own = 0
        for line in section.lines:
            sources = [
                Row(
                    DETAIL,
                    f"{line.key}:{code}",
                    line.words,
                    (
                        Figure(
                            -balances.get(code, 0),
                            Drill((code,), span.to_on, span.from_on, currency=figures.currency),
                        ),
                    ),
                    code=code,
                )
                for code in accounts_of(line)
            ]
            made = _with_sources(line, sources)
            rows += made
            own += made[0].figures[0].minor
        rows.append(total(f"total:{section.words}", f"{section.words}, total", own))
        so_far += own
        if section.subtotal:
            rows.append(total(section.subtotal, section.subtotal, so_far, GRAND))
    rows += _unmapped_rows(figures, balances, Drill((), span.to_on, span.from_on))
    return rows


def _income_checks(figures: Figures, span: Span, rows: list[Row]) -> tuple[Check, ...]:
    moved = figures.net(span.from_on, span.to_on)
    kinds = ("revenue", "expense")
    posted = -sum(minor for code, minor in moved.items() if figures.accounts[code].kind in kinds)
    result = next(row.figures[0].minor for row in rows if row.key == "Result")
    return (
        Check(
            "The result is what stands on revenue and expense accounts",
            (("Result", result), ("On the accounts", posted)),
            result - posted,
        ),
    )


def _until(span: Span) -> tuple[str, ...]:
    return (span.to_on.isoformat(),)


def _during(span: Span) -> tuple[str, ...]:
    return (f"{span.from_on} to {span.to_on}",)


KINDS: dict[str, Kind] = {
    kind.key: kind
    for kind in (
        Kind(
            TRIAL_BALANCE,
            "Trial balance",
            _trial_rows,
            lambda span: ("Opening", "Debits", "Credits", f"Closing {span.to_on}"),
            _trial_checks,
        ),
        Kind(BALANCE_SHEET, "Balance sheet", _sheet_rows, _until, _sheet_checks),
        Kind(INCOME_STATEMENT, "Income statement", _income_rows, _during, _income_checks),
        Kind(
            cash_flow_statement.KEY,
            "Cash flow statement",
            cash_flow_statement.rows,
            _during,
            cash_flow_statement.checks,
        ),
        Kind(
            cash_position.KEY,
            "Cash position",
            cash_position.rows,
            _until,
            cash_position.checks,
        ),
    )
}
