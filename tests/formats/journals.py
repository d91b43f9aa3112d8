"""Journals to write, without a database: a capture, a conversion, a revaluation, hostile texts."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from payops.formats.journals import mapping
from payops.formats.journals.base import Document, Journal, Line, MappingSet, Target
from payops.formats.journals.filling import Filling
from payops.formats.journals.registry import TARGETS

FIXTURES = Path(__file__).parent / "fixtures"
CHART = (
    ("1100", "PSP clearing", "asset"),
    ("1900", "FX clearing", "asset"),
    ("2000", "Seller payable", "liability"),
    ("4000", "Platform fees", "revenue"),
    ("4910", "FX revaluation gain", "revenue"),
    ("9100", "Authorised (memo)", "memo"),
    ("9200", "Authorised, counter (memo)", "memo"),
)
NAMES = {code: (name, kind) for code, name, kind in CHART}
SAID = {
    "export.reference": "MER-XX-2026-03-0001",
    "book.code": "meridian",
    "book.name": "Meridian GmbH",
    "book.currency": "EUR",
}


def line(
    account: str, amount: int, currency: str = "EUR", reporting: int | None = None, party: str = ""
) -> Line:
    name, kind = NAMES[account]
    worth = amount if reporting is None else reporting
    return Line(account, name, kind, party, currency, amount, worth)


def journal(number: str, *lines: Line, day: int = 4, text: str = "", **said: str) -> Journal:
    entry_id = f"je_{number}"
    texts = {
        "entry.id": entry_id,
        "entry.description": text or "Captured",
        "entry.event_class": "payment.captured",
        "entry.subject_id": "pa_1",
        "entry.period": "2026-03",
    }
    return Journal(number, date(2026, 3, day), "EUR", lines, {**texts, **said}, entry_id)


CAPTURE = journal(
    "N-1",
    line("1100", 10_000, party="stripe/demo"),
    line("2000", -9_000, party="be_7"),
    line("4000", -1_000),
)
# 1,000 yen are sold for 5.50 euros; both legs go through 1900.
CONVERSION = journal(
    "N-2",
    line("1900", 1_000, "JPY", 550),
    line("1100", -1_000, "JPY", -550, party="stripe/demo"),
    line("1100", 550, party="stripe/demo"),
    line("1900", -550),
    day=5,
    text="Converted",
)
# Dinars are carried 2.00 euros higher; no dinar moves.
REVALUATION = journal(
    "N-3",
    line("1100", 0, "KWD", 200, party="stripe/demo"),
    line("4910", 0, "KWD", -200),
    day=31,
    text="Revalued",
)
MEMO = journal("N-4", line("9100", 7_000), line("9200", -7_000), day=6, text="Authorised")
MONTH = (CAPTURE, CONVERSION, REVALUATION, MEMO)
HOSTILE = (
    '"; DROP TABLE journals; --',
    "two\nlines\r\nand a tab\t.",
    '=HYPERLINK("http://evil","x")',
    "+1+1",
    "-2+3",
    "@SUM(A1)",
    "\x00NUL\x01 and bell \x07",
    "emoji 🚀 and accents éß",
    "right to left \u202egnol\u202c",
    '2026-03-04 * "a directive" ; and a comment, tag:value',
    "(code) } ] { \\ backslash \\n",
    "x" * 5_000,
    "\ud800 alone",
    "   ",
)


def set_for(target: Target, **parts: dict[str, Any]) -> MappingSet:
    rules = mapping.seeded(target, prefix="mer", accounts=CHART)
    for part, changes in parts.items():
        rules[part] = {**rules[part], **changes}
    return mapping.parse(target, rules)


def filled(
    key: str, *journals: Journal, **parts: dict[str, Any]
) -> tuple[list[Document], Filling, MappingSet]:
    target = TARGETS[key]
    used = set_for(target, **parts)
    filling = Filling(target, used, SAID)
    return list(filling.fill(journals)), filling, used


def written(key: str, *journals: Journal, **parts: dict[str, Any]) -> bytes:
    documents, filling, used = filled(key, *journals, **parts)
    assert not filling.problems, list(filling.problems)
    return b"".join(TARGETS[key].write(documents, used))


def with_text(text: str) -> Journal:
    return replace(CAPTURE, said={**CAPTURE.said, "entry.description": text})
