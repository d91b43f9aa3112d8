"""Amounts in the book's reporting currency, at a known rate, without a cent left over (D17, LJ-10).

Each currency of an entry is converted once, as the sum of its debits; both sides share that total
by largest remainder, so the entry is nil in reporting currency whatever the rate. A rate is told
one way or the other (the ECB tells units per euro); the later of both counts. Never invents a
rate: without one the posting waits.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation

from django.db import connection

from ledger.matrix_row import Leg
from payops.core.money import Money, MoneyError, convert, split

RateKey = tuple[str, str, datetime]


@dataclass(frozen=True, slots=True)
class RateUsed:
    """Units of the quote per one base; `told` is the rate as it came in, where that was the other
    way round."""

    rate: Decimal
    source: str
    as_of: datetime
    told: Decimal | None = None

    def words(self) -> str:
        said = f"{self.rate.normalize():f}" if self.told is None else f"1 / {_plain(self.told)}"
        return f"{said} ({self.source}, {self.as_of.isoformat()})"


def rates_for(
    wanted: Collection[RateKey], *, known_at: datetime | None = None
) -> dict[RateKey, RateUsed]:
    """The latest rate at or before each moment, by (base, quote, moment); unknown: absent.

    Told the other way round, the rate is one divided by it, to 28 digits. `known_at` leaves out
    what was brought in later.
    """
    if not wanted:
        return {}
    keys = sorted(wanted)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT w.base, w.quote, w.at, r.rate, r.source, r.as_of, r.is_turned"
            " FROM (SELECT *, coalesce(%s::timestamptz, 'infinity') AS known"
            "  FROM unnest(%s::text[], %s::text[], %s::timestamptz[]) AS u(base, quote, at)) AS w"
            " CROSS JOIN LATERAL ("
            "  (SELECT id, rate, source, as_of, false AS is_turned FROM core_rate"
            "   WHERE base = w.base AND quote = w.quote AND as_of <= w.at AND created_at <= w.known"
            "   ORDER BY as_of DESC, id DESC LIMIT 1) UNION ALL"
            "  (SELECT id, rate, source, as_of, true FROM core_rate"
            "   WHERE base = w.quote AND quote = w.base AND as_of <= w.at AND created_at <= w.known"
            "   ORDER BY as_of DESC, id DESC LIMIT 1)"
            "  ORDER BY as_of DESC, is_turned, id DESC LIMIT 1) AS r",
            [known_at, [k[0] for k in keys], [k[1] for k in keys], [k[2] for k in keys]],
        )
        return {(row[0], row[1], row[2]): _used(*row[3:]) for row in cursor.fetchall()}


def reporting_amounts(
    legs: Sequence[Leg], *, reporting: str, rates: Mapping[str, Decimal]
) -> list[int]:
    """One amount per leg; they sum to zero within every currency. `rates` by currency."""
    amounts = [0] * len(legs)
    for currency in {leg.currency for leg in legs}:
        own = [i for i, leg in enumerate(legs) if leg.currency == currency]
        if currency == reporting:
            for i in own:
                amounts[i] = legs[i].amount_minor
            continue
        debits = [i for i in own if legs[i].amount_minor > 0]
        credits = [i for i in own if legs[i].amount_minor < 0]
        total = Money(sum(legs[i].amount_minor for i in debits), currency)
        converted = converted_minor(total, to=reporting, rate=rates[currency])
        for side, sign in ((debits, 1), (credits, -1)):
            shares = split(converted, [abs(legs[i].amount_minor) for i in side])
            for i, share in zip(side, shares, strict=True):
                amounts[i] = sign * share
    return amounts


def converted_minor(amount: Money, *, to: str, rate: Decimal) -> int:
    """The amount in another currency; MoneyError names both when it exceeds what is kept."""
    try:
        return convert(amount, to=to, rate=rate).minor
    except (MoneyError, InvalidOperation) as error:
        raise MoneyError(
            f"{amount} at {_plain(rate)} exceeds the largest amount kept in {to}"
        ) from error


def _used(rate: Decimal, source: str, as_of: datetime, is_turned: bool) -> RateUsed:
    if is_turned:
        return RateUsed(1 / rate, source, as_of, told=rate)
    return RateUsed(rate, source, as_of)


def _plain(rate: Decimal) -> str:
    return f"{rate.normalize():f}"
