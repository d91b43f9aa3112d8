"""Which lane an event waits in: by value and risk, as a table that finance can read (WH-23, SC-3).

Owns the shape of the table, its check and the verdict on one item. Pure: whoever holds the active
version hands it in. The highest lane that a row gives wins; where no row fires, the adapter's
first guess by type stands. An amount whose worth is unknown counts as large, never as small.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from payops.core.money import Money, MoneyError, check_currency, convert
from payops.psp.base import Lane, WebhookItem

NAME = "lanes"
LANES: tuple[Lane, ...] = ("high", "standard", "bulk")
RANK = {lane: rank for rank, lane in enumerate(LANES)}
ROWS_MAX = 50
NAMES_MAX = 100
LARGE_FROM = "5000.00"
PARTS = frozenset({"name", "lane", "types", "currencies", "accounts", "from_minor", "below_minor"})


class LanesError(ValueError):
    """A table of lanes that cannot be applied; the text names the row and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Row:
    """Fires when every part it names fits; amounts are in the reporting currency's minor units."""

    name: str
    lane: Lane
    types: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    currencies: frozenset[str] = frozenset()
    accounts: frozenset[str] = frozenset()
    from_minor: int | None = None
    below_minor: int | None = None

    @property
    def by_amount(self) -> bool:
        return self.from_minor is not None or self.below_minor is not None


@dataclass(frozen=True, slots=True)
class LaneRules:
    """One version of the table with the rates it is applied at, by currency."""

    currency: str
    rows: tuple[Row, ...]
    rates: Mapping[str, Decimal] = field(default_factory=dict)

    def worth(self, item: WebhookItem) -> int | None:
        """In minor units of the reporting currency; None when nobody can say."""
        if item.amount_minor is None or not item.currency:
            return None
        if item.currency == self.currency:
            return abs(item.amount_minor)
        rate = self.rates.get(item.currency)
        if rate is None:
            return None
        try:
            amount = Money(abs(item.amount_minor), item.currency)
            return convert(amount, to=self.currency, rate=rate).minor
        except MoneyError:
            return None


def seeded(*, currency: str) -> dict[str, Any]:
    """Version 1 of a book's table."""
    return {
        "kind": NAME,
        "rows": [
            {
                "name": "Money leaves, or comes back after it left",
                "types": [
                    "payout.*",
                    "transfer*",
                    "balancePlatform.transfer.*",
                    "PAYMENT.PAYOUTS*",
                ],
                "lane": "high",
            },
            {
                "name": "A customer disputes a payment",
                "types": ["charge.dispute.*", "dispute*", "CUSTOMER.DISPUTE.*", "CHARGEBACK*"],
                "lane": "high",
            },
            {
                "name": "Large amount",
                "from_minor": Money.from_decimal(LARGE_FROM, currency).minor,
                "lane": "high",
            },
        ],
    }


def parse(
    rules: Mapping[str, Any], *, currency: str, rates: Mapping[str, Decimal] | None = None
) -> LaneRules:
    """Read a stored or proposed table. Raises LanesError before anything can rely on it."""
    if rules.get("kind") != NAME or not isinstance(rules.get("rows"), list):
        raise LanesError(f"a table of lanes has the kind {NAME!r} and a list of rows")
    rows = tuple(_row(row, place) for place, row in enumerate(rules["rows"], start=1))
    if len(rows) > ROWS_MAX:
        raise LanesError(f"{len(rows)} rows; at most {ROWS_MAX} fit")
    if len({row.name for row in rows}) != len(rows):
        raise LanesError("two rows have the same name")
    return LaneRules(check_currency(currency), rows, rates or {})


def lane_of(item: WebhookItem, rules: LaneRules, *, account: str = "") -> Lane:
    """The lane of one item of the account at that address."""
    return decide(item, rules, account=account)[0]


def decide(item: WebhookItem, rules: LaneRules, *, account: str = "") -> tuple[Lane, str]:
    """The lane and the name of the row that gave it; "" where the adapter's guess stands."""
    best: Row | None = None
    worth = rules.worth(item)
    for row in rules.rows:
        if best is not None and RANK[best.lane] <= RANK[row.lane]:
            continue
        if _fires(row, item, worth, account):
            best = row
    return (item.lane, "") if best is None else (best.lane, best.name)


def _fires(row: Row, item: WebhookItem, worth: int | None, account: str) -> bool:
    kind = item.event_type
    named = row.types or row.prefixes
    if named and kind not in row.types and not kind.startswith(row.prefixes):
        return False
    if row.currencies and (item.currency or "") not in row.currencies:
        return False
    if row.accounts and account not in row.accounts:
        return False
    if not row.by_amount:
        return True
    if item.amount_minor is None:
        return False
    if worth is None:
        return row.below_minor is None
    return (row.from_minor is None or worth >= row.from_minor) and (
        row.below_minor is None or worth < row.below_minor
    )


def _row(row: Any, place: int) -> Row:
    if not isinstance(row, Mapping) or set(row) - PARTS:
        raise LanesError(f"row {place} is not an object with parts out of {sorted(PARTS)}")
    name, lane = row.get("name"), row.get("lane")
    if not isinstance(name, str) or not name.strip():
        raise LanesError(f"row {place} has no name")
    if lane not in RANK:
        raise LanesError(f"row {name!r} has the lane {lane!r}; there are {', '.join(LANES)}")
    types = _names(row, "types", name)
    read = Row(
        name=name,
        lane=lane,
        types=tuple(text for text in types if not text.endswith("*")),
        prefixes=tuple(text[:-1] for text in types if text.endswith("*")),
        currencies=frozenset(_names(row, "currencies", name)),
        accounts=frozenset(_names(row, "accounts", name)),
        from_minor=_edge(row, "from_minor", name),
        below_minor=_edge(row, "below_minor", name),
    )
    if not (types or read.currencies or read.accounts or read.by_amount):
        raise LanesError(f"row {name!r} names nothing to look at")
    low, top = read.from_minor, read.below_minor
    if low is not None and top is not None and low >= top:
        raise LanesError(f"row {name!r}: {low} is not below {top}")
    return read


def _names(row: Mapping[str, Any], part: str, name: str) -> tuple[str, ...]:
    given = row.get(part, [])
    if not isinstance(given, list) or len(given) > NAMES_MAX:
        raise LanesError(f"{part} of row {name!r} is not a list of at most {NAMES_MAX}")
    for text in given:
        if not isinstance(text, str) or not text.strip("*") or "*" in text[:-1]:
            raise LanesError(f"{part} of row {name!r}: {text!r} (a * stands at the end only)")
    return tuple(given)


def _edge(row: Mapping[str, Any], part: str, name: str) -> int | None:
    value = row.get(part)
    if value is not None and (type(value) is not int or value <= 0):
        raise LanesError(f"{part} of row {name!r} is {value!r}, not a positive whole number")
    return value
