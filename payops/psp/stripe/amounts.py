"""Stripe amounts to ISO minor units and back, at the door (D17).

Stripe counts most currencies as ISO does. The exceptions below are counted in another unit; the
numbers are (their units, our units) for one and the same sum.
"""

from payops.core.money import Money, MoneyError
from payops.psp.base import EventRefused

# ISK and UGX have no decimals in ISO and two at Stripe; MGA has two in ISO and none at Stripe.
UNITS = {"ISK": (100, 1), "UGX": (100, 1), "MGA": (1, 100)}


def money_from_stripe(amount: object, currency: object, path: str = "") -> Money:
    """Raises EventRefused, naming `path`, unless it is a whole amount in a known currency."""
    if type(amount) is not int or not isinstance(currency, str):
        raise EventRefused("amount_malformed", path)
    code = currency.upper()
    theirs, ours = UNITS.get(code, (1, 1))
    minor, rest = divmod(amount * ours, theirs)
    if rest:
        raise EventRefused("amount_not_whole", path)
    try:
        return Money(minor, code)
    except MoneyError as error:
        raise EventRefused("amount_malformed", path) from error


def stripe_amount(amount: Money) -> int:
    """The number Stripe expects. Raises MoneyError when Stripe cannot express the sum."""
    theirs, ours = UNITS.get(amount.currency, (1, 1))
    number, rest = divmod(amount.minor * theirs, ours)
    if rest:
        raise MoneyError(f"Stripe cannot pay out {amount}: it counts whole units only")
    return number
