"""Adyen amounts to ISO minor units and back, at the door (D17).

Adyen counts four currencies with other decimals than ISO does; the numbers are (their units, our
units) for one and the same sum. A classic notification gives the value as a number or as text.
"""

import re

from payops.core.money import Money, MoneyError
from payops.psp.base import EventRefused

# CLP and ISK have no decimals in ISO and two at Adyen; CVE and IDR have two in ISO, none at Adyen.
UNITS = {"CLP": (100, 1), "ISK": (100, 1), "CVE": (1, 100), "IDR": (1, 100)}
WHOLE_NUMBER = re.compile(r"[0-9]{1,15}", re.ASCII)


def money_from_adyen(value: object, currency: object, *, path: str = "amount") -> Money:
    """Raises EventRefused for anything but a whole amount in a known form of currency."""
    if isinstance(value, str) and WHOLE_NUMBER.fullmatch(value):
        value = int(value)
    if type(value) is not int or not isinstance(currency, str):
        raise EventRefused("amount_malformed", path)
    if value < 0:
        raise EventRefused("amount_negative", path)
    theirs, ours = UNITS.get(currency, (1, 1))
    minor, rest = divmod(value * ours, theirs)
    if rest:
        raise EventRefused("amount_not_whole", path)
    try:
        return Money(minor, currency)
    except MoneyError as error:
        raise EventRefused("amount_malformed", path) from error


def adyen_value(amount: Money) -> int:
    """The number Adyen expects. Raises MoneyError when Adyen cannot express the sum."""
    theirs, ours = UNITS.get(amount.currency, (1, 1))
    number, rest = divmod(amount.minor * theirs, ours)
    if rest:
        raise MoneyError(f"Adyen cannot pay out {amount}: it counts whole units only")
    return number
