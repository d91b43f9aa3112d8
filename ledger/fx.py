"""A conversion from one currency into another, as its own event (LJ-10, D17, F19).

Pure: amounts and reporting amounts in, legs out; the poster hands them to `ledger.post` as
fx.converted. Both currencies pass through 1900, which ends nil in reporting currency and never per
currency. What the provider keeps is 5060; whatever the reporting amounts leave over is realised:
4900 or 5900, in reporting currency. Never looks up a rate and never guesses one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from ledger.matrix_row import Leg
from ledger.reporting import RateUsed, converted_minor
from payops.core.money import Money, split

EVENT_CLASS = "fx.converted"
CLEARING, MARKUP, GAIN, LOSS = "1900", "5060", "4900", "5900"
DESCRIPTION_MAX = 240


class ConversionRefused(ValueError):
    """The conversion cannot be booked as told; the text has the currencies and amounts."""


@dataclass(frozen=True, slots=True)
class Held:
    """One side of a conversion on one account: a positive amount, of a party where it has one."""

    account: str
    amount: Money
    party: str = ""
    cash_flow_tag: str = ""


@dataclass(frozen=True, slots=True)
class Conversion:
    """What was sold, what was bought for it and what the provider kept of it.

    `markup` is part of what was sold when it is in that currency (100.00 sold, 2.00 of them kept,
    98.00 converted), otherwise part of what would have been bought. `rate` is the provider's, for
    the record: units of `rate_quote` per one `rate_base`.
    """

    sold: tuple[Held, ...]
    bought: tuple[Held, ...]
    markup: Money | None = None
    rate: RateUsed | None = None
    rate_base: str = ""
    rate_quote: str = ""


def conversion_legs(
    conversion: Conversion,
    *,
    reporting: str,
    rates: Mapping[str, Decimal],
    sold_carried_minor: int | None = None,
) -> tuple[Leg, ...]:
    """The legs of fx.converted with the reporting amount of each.

    `rates`: units of the reporting currency per one unit, by currency. `sold_carried_minor`: at
    what the sold amount stands in the books in reporting currency; without it, its rate counts.
    Raises ConversionRefused, MoneyError where a reporting amount is beyond what is kept.
    """
    sold, bought = _side(conversion.sold, "sold"), _side(conversion.bought, "bought")
    if sold.currency == bought.currency:
        raise ConversionRefused(f"{sold} into {bought} converts nothing")
    markup = conversion.markup or Money(0, bought.currency)
    if markup.minor < 0 or (markup.currency == sold.currency and markup.minor >= sold.minor):
        raise ConversionRefused(f"a markup of {markup} cannot be kept of {sold}")
    given = _reporting(sold, reporting, rates) if sold_carried_minor is None else sold_carried_minor
    if sold.currency == reporting and given != sold.minor:
        raise ConversionRefused(
            f"{sold} is in the reporting currency and carried at {Money(given, reporting)}"
        )
    if given < 0:
        raise ConversionRefused(f"{sold} cannot be carried at {Money(given, reporting)}")
    got = _reporting(bought, reporting, rates)
    kept = _reporting(markup, reporting, rates)
    remainder = got + kept - given
    legs = [
        *_legs(conversion.sold, -1, given),
        *_legs(conversion.bought, 1, got),
        *_leg(MARKUP, markup.minor, markup.currency, kept),
        *_leg(GAIN if remainder > 0 else LOSS, -remainder, reporting, -remainder),
    ]
    return (*legs, *_clearing(legs))


def description(conversion: Conversion) -> str:
    """The conversion detail that the entry keeps: amounts, rate, source and time, markup."""
    sold, bought = _side(conversion.sold, "sold"), _side(conversion.bought, "bought")
    words = f"{sold} converted into {bought}"
    if conversion.rate is not None:
        pair = f"{conversion.rate_base}/{conversion.rate_quote}"
        words += f" at {pair} {conversion.rate.words()}"
    if conversion.markup is not None and conversion.markup.minor:
        words += f", markup {conversion.markup}"
    return words[:DESCRIPTION_MAX]


def _side(held: Sequence[Held], word: str) -> Money:
    if not held:
        raise ConversionRefused(f"nothing is {word}")
    total = Money(0, held[0].amount.currency)
    for each in held:
        if each.amount.minor <= 0:
            raise ConversionRefused(f"{each.amount} {word} on {each.account} is not above nil")
        if each.amount.currency != total.currency:
            raise ConversionRefused(f"{each.amount} and {total.currency} cannot be {word} together")
        total = total + each.amount
    return total


def _reporting(amount: Money, reporting: str, rates: Mapping[str, Decimal]) -> int:
    if amount.currency == reporting or not amount.minor:
        return amount.minor
    if amount.currency not in rates:
        raise ConversionRefused(f"no rate from {amount.currency} to {reporting} is given")
    return converted_minor(amount, to=reporting, rate=rates[amount.currency])


def _legs(held: Sequence[Held], sign: int, total: int) -> list[Leg]:
    """The reporting amount of a side, shared by largest remainder: no cent is lost."""
    shares = split(total, [each.amount.minor for each in held])
    return [
        Leg(
            each.account,
            sign * each.amount.minor,
            each.amount.currency,
            each.party,
            sign * share,
            each.cash_flow_tag,
        )
        for each, share in zip(held, shares, strict=True)
    ]


def _leg(account: str, minor: int, currency: str, reporting_minor: int) -> list[Leg]:
    if not minor and not reporting_minor:
        return []
    return [Leg(account, minor, currency, reporting_minor=reporting_minor)]


def _clearing(legs: Sequence[Leg]) -> list[Leg]:
    """One leg per currency on 1900 that takes up what the others leave; nil in reporting."""
    amounts: dict[str, int] = defaultdict(int)
    reported: dict[str, int] = defaultdict(int)
    for leg in legs:
        amounts[leg.currency] -= leg.amount_minor
        reported[leg.currency] -= leg.reporting_minor or 0
    return [
        leg
        for currency, minor in amounts.items()
        for leg in _leg(CLEARING, minor, currency, reported[currency])
    ]
