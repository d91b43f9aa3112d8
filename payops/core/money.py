"""Money as integer minor units plus an ISO 4217 currency (D17, F19).

Owns the currency exponents, the only division in the product (`split`) and conversion at a given
rate. Never holds a float. Adapters convert provider amounts to ISO minor units at their door.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation

DEFAULT_EXPONENT = 2
EXPONENTS = {
    "BIF": 0,
    "CLP": 0,
    "DJF": 0,
    "GNF": 0,
    "ISK": 0,
    "JPY": 0,
    "KMF": 0,
    "KRW": 0,
    "PYG": 0,
    "RWF": 0,
    "UGX": 0,
    "UYI": 0,
    "VND": 0,
    "VUV": 0,
    "XAF": 0,
    "XOF": 0,
    "XPF": 0,
    "BHD": 3,
    "IQD": 3,
    "JOD": 3,
    "KWD": 3,
    "LYD": 3,
    "OMR": 3,
    "TND": 3,
    "CLF": 4,
    "UYW": 4,
}
MINOR_MAX = 10**15
DECIMAL_TEXT_MAX = 40


class MoneyError(ValueError):
    """An amount or currency that cannot be money; the text says which and why."""


def exponent_of(currency: str) -> int:
    return EXPONENTS.get(currency, DEFAULT_EXPONENT)


def check_currency(currency: str) -> str:
    if len(currency) != 3 or not (currency.isascii() and currency.isalpha() and currency.isupper()):
        raise MoneyError(f"{currency!r} is not an ISO 4217 currency code such as EUR")
    return currency


@dataclass(frozen=True, slots=True)
class Money:
    """`minor` is in ISO minor units of `currency`: Money(1240000, "EUR") is 12,400.00 EUR."""

    minor: int
    currency: str

    def __post_init__(self) -> None:
        if type(self.minor) is not int:
            raise MoneyError(f"{self.minor!r} is not a whole number of minor units")
        if abs(self.minor) > MINOR_MAX:
            raise MoneyError(f"{self.minor} exceeds the limit of {MINOR_MAX} minor units")
        check_currency(self.currency)

    @classmethod
    def from_decimal(cls, text: str | Decimal, currency: str) -> Money:
        """Parse major units such as "12400.00"; digits beyond the exponent must be zero."""
        if len(str(text)) > DECIMAL_TEXT_MAX:
            raise MoneyError(f"an amount of {len(str(text))} characters is too long")
        try:
            scaled = Decimal(text).scaleb(exponent_of(check_currency(currency)))
        except InvalidOperation as error:
            raise MoneyError(f"{text!r} is not a decimal amount") from error
        if not scaled.is_finite() or scaled != scaled.to_integral_value():
            raise MoneyError(
                f"{text!r} has more than {exponent_of(currency)} decimals, too many for {currency}"
            )
        return cls(int(scaled), currency)

    def decimal_text(self) -> str:
        """Plain major units without separators: "-12400.00"."""
        exponent = exponent_of(self.currency)
        sign, digits = ("-" if self.minor < 0 else ""), str(abs(self.minor)).zfill(exponent + 1)
        return f"{sign}{digits[:-exponent]}.{digits[-exponent:]}" if exponent else sign + digits

    def __str__(self) -> str:
        whole, _, fraction = self.decimal_text().partition(".")
        grouped = f"{int(whole.lstrip('-')):,}"
        sign = "-" if self.minor < 0 else ""
        return f"{sign}{grouped}{'.' + fraction if fraction else ''} {self.currency}"

    def __add__(self, other: Money) -> Money:
        return Money(self.minor + self._same(other).minor, self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.minor - self._same(other).minor, self.currency)

    def __neg__(self) -> Money:
        return Money(-self.minor, self.currency)

    def _same(self, other: Money) -> Money:
        if other.currency != self.currency:
            raise MoneyError(f"{self.currency} and {other.currency} cannot be added")
        return other


def convert(amount: Money, *, to: str, rate: Decimal) -> Money:
    """Convert at `rate` (units of `to` per one unit of the amount's currency), half to even."""
    if amount.currency == to:
        return amount
    shift = exponent_of(to) - exponent_of(amount.currency)
    exact = Decimal(amount.minor) * rate * (Decimal(10) ** shift)
    return Money(int(exact.quantize(Decimal(1), rounding=ROUND_HALF_EVEN)), to)


def split(total_minor: int, weights: Sequence[int]) -> list[int]:
    """Largest remainder: shares are proportional to `weights` and sum exactly to the total."""
    weight_sum = sum(weights)
    if not weights or weight_sum <= 0 or min(weights) < 0:
        raise MoneyError(f"weights {list(weights)} cannot share {total_minor}")
    sign, size = (-1 if total_minor < 0 else 1), abs(total_minor)
    floors = [size * weight // weight_sum for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: (-(size * weights[i] % weight_sum), i))
    for i in by_remainder[: size - sum(floors)]:
        floors[i] += 1
    return [sign * share for share in floors]
