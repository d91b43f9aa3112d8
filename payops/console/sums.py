"""Sums as text: totals of many lines may be wider than any one amount of money (D17, F19).

Exact whatever the size; never a float. One amount is `payops.core.money.Money`.
"""

from __future__ import annotations

from payops.core.money import exponent_of


def decimal_text(minor: int, currency: str) -> str:
    """Plain major units with the decimals of the currency: "-12400.00"."""
    exponent = exponent_of(currency)
    sign, digits = ("-" if minor < 0 else ""), str(abs(minor)).zfill(exponent + 1)
    return f"{sign}{digits[:-exponent]}.{digits[-exponent:]}" if exponent else sign + digits


def grouped_text(minor: int, currency: str, *, minus: str = "-") -> str:
    """For people: "12,400.00"."""
    whole, point, fraction = decimal_text(abs(minor), currency).partition(".")
    return f"{minus if minor < 0 else ''}{int(whole):,}{point}{fraction}"
