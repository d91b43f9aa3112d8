"""Amounts in the book's reporting currency, at a known rate, without a cent left over (D17, LJ-10).

Each currency of an entry is converted once, as the sum of its debits; both sides share that total
by largest remainder, so the entry is nil in reporting currency whatever the rate. Never invents a
rate: without one the posting waits.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import connection

from ledger.matrix_row import Leg
from payops.core.money import Money, convert, split

RateKey = tuple[str, str, datetime]


@dataclass(frozen=True, slots=True)
class RateUsed:
    rate: Decimal
    source: str
    as_of: datetime

    def words(self) -> str:
        return f"{self.rate.normalize():f} ({self.source}, {self.as_of.isoformat()})"


def rates_for(wanted: Collection[RateKey]) -> dict[RateKey, RateUsed]:
    """The latest rate at or before each moment, by (base, quote, moment); unknown: absent."""
    if not wanted:
        return {}
    keys = sorted(wanted)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT w.base, w.quote, w.at, r.rate, r.source, r.as_of"
            " FROM unnest(%s::text[], %s::text[], %s::timestamptz[]) AS w(base, quote, at)"
            " CROSS JOIN LATERAL (SELECT rate, source, as_of FROM core_rate"
            "  WHERE base = w.base AND quote = w.quote AND as_of <= w.at"
            "  ORDER BY as_of DESC, id DESC LIMIT 1) AS r",
            [[k[0] for k in keys], [k[1] for k in keys], [k[2] for k in keys]],
        )
        return {(row[0], row[1], row[2]): RateUsed(*row[3:]) for row in cursor.fetchall()}


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
        converted = convert(total, to=reporting, rate=rates[currency]).minor
        for side, sign in ((debits, 1), (credits, -1)):
            shares = split(converted, [abs(legs[i].amount_minor) for i in side])
            for i, share in zip(side, shares, strict=True):
                amounts[i] = sign * share
    return amounts
