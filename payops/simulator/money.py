"""Amounts as each provider writes them: ISO minor units inside, the provider's form outside.

Owns the number of decimals per currency and provider. Whole numbers and decimal text only; an
amount a provider cannot express is refused, never rounded.
"""

import re

from payops.simulator.config import ADYEN, PAYPAL
from payops.simulator.wire import Refused

NO_DECIMALS = frozenset(
    [
        *("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG"),
        *("RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"),
    ]
)
THREE_DECIMALS = frozenset(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"])
# Where a provider counts other decimals than ISO 4217 does.
DEVIATIONS = {
    ADYEN: {"CLP": 2, "CVE": 0, "IDR": 0, "ISK": 2},
    PAYPAL: {"HUF": 0, "TWD": 0},
}
AMOUNT_MAX = 99_999_999_999
_DECIMAL = re.compile(r"([0-9]{1,11})(?:\.([0-9]{1,3}))?", re.ASCII)


def iso_exponent(currency: str) -> int:
    """Decimals of the currency after ISO 4217."""
    return 0 if currency in NO_DECIMALS else 3 if currency in THREE_DECIMALS else 2


def exponent(provider: str, currency: str) -> int:
    """Decimals this provider counts."""
    return DEVIATIONS.get(provider, {}).get(currency, iso_exponent(currency))


def shown_minor(provider: str, amount: int, currency: str) -> int:
    """ISO minor units in the provider's own minor units."""
    shift = exponent(provider, currency) - iso_exponent(currency)
    if shift >= 0:
        return amount * 10**shift
    return _divided(amount, 10**-shift, f"{amount} minor units of {currency}")


def iso_minor(provider: str, amount: int, currency: str) -> int:
    """The provider's minor units in ISO minor units."""
    shift = iso_exponent(currency) - exponent(provider, currency)
    if shift >= 0:
        return amount * 10**shift
    return _divided(amount, 10**-shift, f"{amount} of {currency}")


def decimal_text(provider: str, amount: int, currency: str) -> str:
    """ISO minor units as decimal text with as many places as the provider counts."""
    places = exponent(provider, currency)
    digits = str(abs(shown_minor(provider, amount, currency))).rjust(places + 1, "0")
    sign = "-" if amount < 0 else ""
    whole, part = digits[: len(digits) - places], digits[len(digits) - places :]
    return f"{sign}{whole}.{part}" if places else f"{sign}{whole}"


def minor_of_text(provider: str, value: object, currency: str) -> int:
    """Decimal text in ISO minor units; refuses more places than the currency has."""
    found = _DECIMAL.fullmatch(value) if isinstance(value, str) else None
    places = exponent(provider, currency)
    if found is None or len(found[2] or "") > places:
        raise Refused(
            400,
            f"{str(value)[:40]!r} is not an amount of {currency} with {places} decimals.",
            code="amount_invalid",
            param="amount",
        )
    return iso_minor(provider, int(found[1] + (found[2] or "").ljust(places, "0")), currency)


def _divided(amount: int, by: int, words: str) -> int:
    whole, rest = divmod(amount, by)
    if rest:
        raise Refused(
            400,
            f"{words} cannot be expressed with that provider's decimals.",
            code="amount_invalid",
            param="amount",
        )
    return whole
