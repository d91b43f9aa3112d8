"""docs/journal-matrix.md, written from the chart and the matrix; a test keeps it current (LJ-4)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ledger.accounts import BY_CODE, CHART, MONETARY, PARTY_WORDS, UNPOSTED
from ledger.cash_flow import BY_KEY, SECTIONS, TAGS
from ledger.matrix import MATRIX, MATRIX_VERSION, NOUNS, VERSIONS
from ledger.matrix_row import DR, MatrixRow, Pair

PATH = Path(__file__).parent.parent / "docs" / "journal-matrix.md"
INTRODUCTION = f"""\
# Journal matrix

Version {MATRIX_VERSION}. Generated from `ledger/accounts.py` and `ledger/rows/`; change those, then
run `python3 manage.py docs`.

Every event class that touches the journal has one row here and one only. Amounts are in minor
units of their own currency; every entry balances in each currency and in the book's reporting
currency. A class is posted at most once per book, subject and movement at the provider.

Two kinds of payout are never confused: a *payout* pays a seller, a *settlement* is the PSP paying
us. An authorisation never touches the accounts of a capture, and its memo pair never shares an
entry with them; a refund never edits a capture.

A book's policies choose among the variants below: `authorization_policy` (none, memo: not posted;
pending: the memo pair 9100 / 9200), `presentation` (net: our fee is revenue; gross: the whole sale
is, and the seller's share its cost; the margin is the same) and `refund_fee_policy` (returned, or
kept: the seller bears the fee).
"""


def render() -> str:
    parts = [INTRODUCTION, *_versions(), *_overview(), *_rows(), *_chart(), *_tags()]
    return "\n".join(parts).rstrip() + "\n"


def write() -> None:
    PATH.parent.mkdir(parents=True, exist_ok=True)
    PATH.write_text(render(), encoding="utf-8")


def _versions() -> Iterator[str]:
    yield "## Versions\n"
    yield "Every entry names the version it was posted under.\n"
    for version, words in VERSIONS.items():
        yield f"{version}. {words}"
    yield ""


def _overview() -> Iterator[str]:
    yield "## Overview\n"
    for noun, rows in NOUNS:
        yield f"**{noun}**\n"
        yield "| event class | predecessor | Dr / Cr | checkpoint | who may post |"
        yield "|---|---|---|---|---|"
        for row in rows:
            usual = _pairs(row.variants[""]) or _unposted(row)
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
    yield "cash-flow tag", tag_words(row)
    yield "reversal", row.reversal_rule
    yield "who may post", row.posted_by
    if row.template:
        yield "template", "posted only from a named template under a granted approval"
    if row.free_lines:
        yield "lines", "stated by a person; the limits are in `ledger/manual.py`"
    if row.reporting_given:
        yield "reporting amounts", "stated by the poster, nil in sum"
    if row.open_accounts:
        yield "accounts", ", ".join(row.open_accounts)


def tag_words(row: MatrixRow) -> str:
    """Where cash moved by the class stands in the cash flow statement."""
    if not row.cash_flow_tag:
        return "none: no bank account is touched"
    tag = BY_KEY[row.cash_flow_tag]
    return f"{tag.key}: {tag.words} ({SECTIONS[tag.section]})"


def _chart() -> Iterator[str]:
    yield "## Chart of accounts\n"
    yield "| code | account | kind | kept per | revalued | used by |"
    yield "|---|---|---|---|---|---|"
    for account in CHART:
        kept = PARTY_WORDS[account.party_kind] or "-"
        revalued = "yes" if account.code in MONETARY else "no"
        used = UNPOSTED.get(account.code) or ", ".join(users(account.code))
        cells = (account.code, account.name, account.kind, kept, revalued, used)
        yield f"| {' | '.join(cells)} |"
    yield ""


def users(code: str) -> list[str]:
    """The classes whose pairs touch the account; free lines are not counted."""
    found = []
    for row in MATRIX.values():
        pairs = [pair for variant in row.variants.values() for pair in variant]
        if any(pair.account == code for pair in pairs):
            found.append(row.event_class)
    return found


def _tags() -> Iterator[str]:
    yield "## Cash-flow tags\n"
    yield "| tag | words | section |"
    yield "|---|---|---|"
    for tag in TAGS:
        yield f"| {tag.key} | {tag.words} | {SECTIONS[tag.section]} |"


def _unposted(row: MatrixRow) -> str:
    """The words of the usual case, and the first case that has lines."""
    posted = next(((name, pairs) for name, pairs in row.variants.items() if pairs), None)
    words = row.variant_words[""]
    return f"{words}; {posted[0].replace('_', ' ')}: {_pairs(posted[1])}" if posted else words


def _pairs(pairs: tuple[Pair, ...]) -> str:
    return "; ".join(
        f"{'Dr' if pair.side == DR else 'Cr'} {pair.account} {BY_CODE[pair.account].name}:"
        f" {pair.measure.replace('_', ' ')}"
        for pair in sorted(pairs, key=_debit_first)
    )


def _debit_first(pair: Pair) -> bool:
    return pair.side != DR


def _anchor(row: MatrixRow) -> str:
    return row.event_class.replace(".", "")
