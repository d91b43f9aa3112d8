"""docs/journal-matrix.md, written from the chart and the matrix; a test keeps it current (LJ-4)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ledger.accounts import BY_CODE, CHART, PARTY_WORDS
from ledger.matrix import MATRIX, MATRIX_VERSION
from ledger.matrix_row import DR, MatrixRow, Pair

PATH = Path(__file__).parent.parent / "docs" / "journal-matrix.md"
INTRODUCTION = f"""\
# Journal matrix

Version {MATRIX_VERSION}. Generated from `ledger/accounts.py` and `ledger/rows/`; change those, then
run `python3 manage.py shell -c "from ledger.docs import write; write()"`.

Every event class that touches the journal has one row here and one only. Amounts are in minor
units of their own currency; every entry balances in each currency and in the book's reporting
currency. A class is posted at most once per book, subject and movement at the provider.
"""


def render() -> str:
    parts = [INTRODUCTION, *_overview(), *_rows(), *_chart()]
    return "\n".join(parts).rstrip() + "\n"


def write() -> None:
    PATH.parent.mkdir(parents=True, exist_ok=True)
    PATH.write_text(render(), encoding="utf-8")


def _overview() -> Iterator[str]:
    yield "## Overview\n"
    yield "| event class | predecessor | Dr / Cr | checkpoint | who may post |"
    yield "|---|---|---|---|---|"
    for row in MATRIX.values():
        usual = _pairs(row.variants[""]) or row.variant_words[""]
        link = f"[{row.event_class}](#{_anchor(row)})"
        yield f"| {link} | {row.predecessor} | {usual} | {row.checkpoint} | {row.posted_by} |"
    yield ""


def _rows() -> Iterator[str]:
    yield "## Rows\n"
    for row in MATRIX.values():
        yield f"### {row.event_class}\n"
        yield f"{row.title}.\n"
        yield "| column | |"
        yield "|---|---|"
        for name, words in _columns(row):
            yield f"| {name} | {words} |"
        yield ""
        yield "| variant | when | Dr / Cr |"
        yield "|---|---|---|"
        for name, pairs in row.variants.items():
            shown = _pairs(pairs) or "no lines of its own"
            yield f"| {name or 'usual'} | {row.variant_words[name]} | {shown} |"
        yield ""


def _columns(row: MatrixRow) -> Iterator[tuple[str, str]]:
    yield "predecessor", row.predecessor
    if row.follows:
        groups = " and ".join(before.words for before in row.follows)
        yield "must be posted before", groups
    if row.excludes:
        yield "must not be standing", ", ".join(row.excludes)
    yield "trigger", row.trigger
    yield "references stored", ", ".join(row.references)
    yield "settlement checkpoint", row.checkpoint
    yield "window", row.window
    yield "match anchor", row.match_anchor
    yield "when the checkpoint is missed", row.exception_rule
    yield "balance sheet", row.balance_sheet
    yield "income statement", row.income_statement
    yield "cash flow", row.cash_flow
    yield "cash-flow tag", row.cash_flow_tag
    yield "reversal", row.reversal_rule
    yield "who may post", row.posted_by
    if row.template:
        yield "template", "posted only from a named template under a granted approval"


def _chart() -> Iterator[str]:
    yield "## Chart of accounts\n"
    yield "| code | account | kind | kept per |"
    yield "|---|---|---|---|"
    for account in CHART:
        kept = PARTY_WORDS[account.party_kind] or "-"
        yield f"| {account.code} | {account.name} | {account.kind} | {kept} |"


def _pairs(pairs: tuple[Pair, ...]) -> str:
    return "; ".join(
        f"{'Dr' if pair.side == DR else 'Cr'} {pair.account} {BY_CODE[pair.account].name}:"
        f" {pair.measure.replace('_', ' ')}"
        for pair in pairs
    )


def _anchor(row: MatrixRow) -> str:
    return row.event_class.replace(".", "")
