"""PayPal amounts, decimal text in major units, to ISO minor units and back (D17)."""

import re
from typing import Any

from payops.core.money import Money, MoneyError
from payops.psp.base import EventRefused

DECIMAL = re.compile(r"(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,6})?", re.ASCII)
# Two decimals in ISO, none at PayPal.
WHOLE_UNITS_ONLY = frozenset({"HUF", "TWD"})


def money_from_paypal(amount: object) -> Money:
    """Reads `{"currency_code" or "currency", "value"}`. Raises EventRefused."""
    if not isinstance(amount, dict):
        raise EventRefused("amount_malformed")
    value, currency = amount.get("value"), amount.get("currency_code", amount.get("currency"))
    if not isinstance(value, str) or not isinstance(currency, str):
        raise EventRefused("amount_malformed")
    if value.startswith("-") and DECIMAL.fullmatch(value[1:]):
        raise EventRefused("amount_negative")
    if not DECIMAL.fullmatch(value):
        raise EventRefused("amount_malformed")
    try:
        return Money.from_decimal(value, currency)
    except MoneyError as error:
        raise EventRefused("amount_malformed") from error


def paypal_amount(amount: Money, *, currency_field: str) -> dict[str, Any]:
    """The amount as PayPal expects it. Raises MoneyError for a sum PayPal cannot express."""
    if amount.minor <= 0:
        raise MoneyError(f"PayPal moves positive sums only, not {amount}")
    text = amount.decimal_text()
    if amount.currency in WHOLE_UNITS_ONLY:
        whole, _, fraction = text.partition(".")
        if fraction.strip("0"):
            raise MoneyError(f"PayPal cannot move {amount}: it counts whole units only")
        text = whole
    return {currency_field: amount.currency, "value": text}
