"""Whole files of each format against what a person reads out of them (D16, RC-13, F18).

Beside each file stands what it holds, line by line: S a statement, E an entry, C a payment of a
batch, R a reject, F a finding.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from payops.core.money import Money
from payops.formats.bank.base import Balance, Entry, Finding, ReadOptions, Reject, StatementClosed
from payops.formats.bank.registry import read, sniff
from payops.formats.files import opened

FIXTURES = Path(__file__).parent / "fixtures"
KONTO = {
    "columns": {
        "booked_on": "Buchung",
        "value_on": "Valuta",
        "remittance": "Text",
        "counterparty": "Partner",
        "counterparty_account": "IBAN",
        "debit": "Soll",
        "credit": "Haben",
        "balance": "Saldo",
    },
    "delimiter": ";",
    "encoding": "windows-1252",
    "skip_lines": 2,
    "trailer_rows": 1,
    "decimal_mark": ",",
    "date_order": "DMY",
    "sign_style": "DEBIT_CREDIT",
    "currency": "EUR",
    "account": "DE02120300000000202051",
}


def amount(balance: Balance | None) -> str:
    return str(Money(balance.amount_minor, balance.currency)) if balance else "-"


def told(entry: Entry) -> str:
    names = ", ".join(
        f"{key}={value}" for key, value in entry.references._asdict().items() if value
    )
    other = entry.counterparty
    parts = [
        f"{entry.booked_on} {entry.value_on} {entry.status.value}",
        str(Money(entry.amount_minor, entry.currency)),
        f"{entry.kind} {entry.raw_code}".strip() + (" reversal" if entry.is_reversal else ""),
        names,
        f"{other.name} {other.account or ''} {other.bank}".strip(),
        entry.remittance,
        entry.additional,
    ]
    return " | ".join(parts).rstrip(" |")


def lines(name: str) -> Iterator[str]:
    options = ReadOptions(mapping=KONTO if name.endswith(".csv") else None)
    with opened(FIXTURES / name) as file:
        for event in read(file.stream(), sniff(file.head), options):
            if isinstance(event, Entry):
                yield f"E {event.position} | {told(event)}"
                yield from (f"C {child.position} | {told(child)}" for child in event.children)
            elif isinstance(event, StatementClosed):
                own = event.statement
                yield (
                    f"S {own.position} | {own.kind.value} {own.account} {own.currency} |"
                    f" {own.number or own.reference or '-'} | {amount(own.opening)} ->"
                    f" {amount(own.closing)} | {own.time_zone or '-'}"
                )
            elif isinstance(event, Reject):
                yield f"R line {event.line}, {event.column}: {event.why}"
            elif isinstance(event, Finding):
                yield f"F {event.severity.value} {event.code} | {event.place}: {event.words}"


@pytest.mark.parametrize(
    "name", ["institution.xml", "dialects.sta", "day.bai2", "card.qfx", "konto.csv"]
)
def test_a_file_is_read_as_it_is_written_beside_it(name: str) -> None:
    expected = (FIXTURES / f"{name}.expected").read_text(encoding="utf-8").splitlines()

    assert list(lines(name)) == expected
