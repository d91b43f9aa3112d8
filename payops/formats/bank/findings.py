"""Every finding of a bank file by its code, and how amounts stand in its words (D16)."""

from __future__ import annotations

from collections.abc import Mapping

from payops.core.money import MINOR_MAX, Money
from payops.formats.bank.base import Finding, Severity

CODES: Mapping[str, Severity] = {
    "balance.difference": Severity.BREAK,
    "balance.currency": Severity.BREAK,
    "balance.missing": Severity.NOTICE,
    "balance.sign_assumed": Severity.NOTICE,
    "balance.running": Severity.BREAK,
    "continuity.gap": Severity.BREAK,
    "continuity.backwards": Severity.NOTICE,
    "sequence.gap": Severity.WARNING,
    "sequence.repeated": Severity.WARNING,
    "control.amount": Severity.BREAK,
    "control.count": Severity.BREAK,
    "batch.difference": Severity.BREAK,
    "batch.currency": Severity.NOTICE,
    "batch.count": Severity.WARNING,
    "entry.identical": Severity.WARNING,
    "entry.foreign": Severity.WARNING,
    "entry.assumed": Severity.NOTICE,
    "entry.rejected": Severity.BREAK,
    "twins.unlooked": Severity.NOTICE,
    "day.clamped": Severity.NOTICE,
    "sign.unclear": Severity.WARNING,
    "text.formula": Severity.NOTICE,
    "text.encoding": Severity.NOTICE,
    "file.version": Severity.NOTICE,
    "file.unknown_part": Severity.NOTICE,
    "file.unfinished": Severity.BREAK,
    "file.status": Severity.WARNING,
    "file.empty": Severity.WARNING,
    "page.missing": Severity.WARNING,
}


def finding(code: str, place: str, words: str, *, statement: int = 0) -> Finding:
    return Finding(CODES[code], code, place, words, statement)


def figure(minor: int, currency: str) -> str:
    """For a person: "12,400.00 EUR"."""
    if len(currency) != 3 or not (currency.isalpha() and currency.isupper()):
        return f"{minor:,} minor units"
    return str(Money(minor, currency)) if abs(minor) <= MINOR_MAX else f"{minor:,} {currency}"
