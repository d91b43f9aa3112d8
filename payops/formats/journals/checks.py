"""What keeps a whole journal, a currency or an amount from a target; one value is `mapping`'s."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import NamedTuple

from payops.formats.journals.base import Line, MappingSet, Target
from payops.formats.journals.numbers import decimal_text


class Fault(NamedTuple):
    """Which field, which value, what is wrong with it, what to do."""

    field: str
    value: str
    wrong: str
    to_do: str


def of_journal(
    day: date, reporting: str, lines: Sequence[Line], target: Target, mapping: MappingSet
) -> Iterator[Fault]:
    """The day, the currencies and the balance of one document."""
    if mapping.first_day is not None and day < mapping.first_day:
        yield Fault(
            "Date",
            str(day),
            f"lies before {mapping.first_day}, the first day {target.name} takes",
            "export from that day on, or change the first day in the mapping",
        )
    for currency in sorted({line.currency for line in lines}):
        if mapping.currencies and currency not in mapping.currencies:
            yield Fault(
                "Currency",
                currency,
                f"is not a currency of {target.name} in this mapping, which has "
                f"{' '.join(sorted(mapping.currencies))}",
                "add the currency at the ERP and in the mapping, or export reporting amounts",
            )
        same = [line for line in lines if line.currency == currency]
        yield from _balance(currency, reporting, same, target)


def _balance(
    currency: str, reporting: str, lines: Sequence[Line], target: Target
) -> Iterator[Fault]:
    off = sum(line.amount_minor for line in lines)
    worth = sum(line.reporting_minor for line in lines) if target.reporting_balances else 0
    if off or worth:
        missing = (
            f"{decimal_text(off, currency)} {currency}"
            if off
            else f"{decimal_text(worth, reporting)} {reporting}"
        )
        yield Fault(
            "Balance",
            currency,
            f"debits and credits of one document differ by {missing}",
            "the entry moves value between currencies: export with amounts in the reporting "
            "currency",
        )


def of_amount(minor: int, currency: str, target: Target) -> tuple[str, Fault | None]:
    """The digits without sign as the target takes them, and why it does not."""
    text = decimal_text(abs(minor), currency)
    whole, _, decimals = text.partition(".")
    while len(decimals) > target.decimals_max and decimals.endswith("0"):
        decimals = decimals[:-1]
    shown = f"{whole}.{decimals}" if decimals else whole
    if len(decimals) > target.decimals_max:
        return shown, Fault(
            "Amount",
            f"{text} {currency}",
            f"has {len(decimals)} decimals; {target.name} takes {target.decimals_max}",
            "export reporting amounts, or to a target that takes more decimals",
        )
    if target.digits_max and len(whole) > target.digits_max:
        return shown, Fault(
            "Amount",
            f"{text} {currency}",
            f"has {len(whole)} digits before the point; {target.name} takes {target.digits_max}",
            "export single days, or detailed instead of summarised",
        )
    return shown, None
