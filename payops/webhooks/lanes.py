"""Which lane an event waits in: by value and risk, as a table that finance can read (WH-23, SC-3).

Owns the shape of the table, its check and the verdict on one item. Pure: whoever holds the active
version hands it in. The highest lane that a row gives wins; where no row fires, the adapter's
first guess by type stands. An amount whose worth is unknown counts as large, never as small, and
never moves an event to a lower lane.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from payops.core.money import (
    MINOR_MAX,
    Money,
    MoneyError,
    check_currency,
    convert,
    exponent_of,
)
from payops.psp.base import Lane, WebhookItem

NAME = "lanes"
LANES: tuple[Lane, ...] = ("high", "standard", "bulk")
RANK = {lane: rank for rank, lane in enumerate(LANES)}
ROWS_MAX = 50
NAMES_MAX = 100
LARGE_FROM = "5000.00"
PARTS = frozenset({"name", "lane", "types", "currencies", "accounts", "from_minor", "below_minor"})
HALF = Decimal("0.5")
# The smallest amount that a row looks at and the smallest above it, in an item's own minor units.
Edges = tuple[int | None, int | None]


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
    by_kind: bool = field(init=False, compare=False)
    by_amount: bool = field(init=False, compare=False)

    def __post_init__(self) -> None:
        # Kept, not worked out: they are asked for at every item.
        sized = self.from_minor is not None or self.below_minor is not None
        object.__setattr__(self, "by_kind", bool(self.types or self.prefixes))
        object.__setattr__(self, "by_amount", sized)


@dataclass(frozen=True, slots=True)
class LaneRules:
    """One version of the table with the rates it is applied at, by currency."""

    currency: str
    rows: tuple[Row, ...]
    rates: Mapping[str, Decimal] = field(default_factory=dict)
    version: int = 0
    _known: dict[str, tuple[Edges, ...]] = field(default_factory=dict, compare=False, repr=False)

    def edges_in(self, currency: str) -> tuple[Edges, ...] | None:
        """Each row's edges in that currency, worked out once; None when nobody knows a rate."""
        if not currency:
            return None
        known = self._known.get(currency)
        if known is None and (currency == self.currency or currency in self.rates):
            try:
                known = tuple(
                    (self._edge(row.from_minor, currency), self._edge(row.below_minor, currency))
                    for row in self.rows
                )
            except MoneyError:
                return None
            self._known[currency] = known
        return known

    def _edge(self, minor: int | None, currency: str) -> int | None:
        """The smallest amount that is worth at least `minor` of the reporting currency."""
        if minor is None or currency == self.currency:
            return minor
        rate = self.rates[currency]
        shift = exponent_of(self.currency) - exponent_of(currency)
        amount = max(0, int((minor - HALF) / (rate * Decimal(10) ** shift)))
        while convert(Money(amount, currency), to=self.currency, rate=rate).minor < minor:
            amount += 1
        return amount


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
    rules: Mapping[str, Any],
    *,
    currency: str,
    rates: Mapping[str, Decimal] | None = None,
    version: int = 0,
) -> LaneRules:
    """Read a stored or proposed table. Raises LanesError before anything can rely on it."""
    if not isinstance(rules, Mapping) or set(rules) != {"kind", "rows"}:
        raise LanesError("a table of lanes has a kind and rows, and nothing else")
    if rules.get("kind") != NAME or not isinstance(rules.get("rows"), list):
        raise LanesError(f"a table of lanes has the kind {NAME!r} and a list of rows")
    rows = tuple(_row(row, place) for place, row in enumerate(rules["rows"], start=1))
    if len(rows) > ROWS_MAX:
        raise LanesError(f"{len(rows)} rows; at most {ROWS_MAX} fit")
    if len({row.name for row in rows}) != len(rows):
        raise LanesError("two rows have the same name")
    return LaneRules(check_currency(currency), rows, rates or {}, version)


def lane_of(item: WebhookItem, rules: LaneRules, *, account: str = "") -> Lane:
    """The lane of one item of the account at that address."""
    return decide(item, rules, account=account)[0]


def decide(item: WebhookItem, rules: LaneRules, *, account: str = "") -> tuple[Lane, str]:
    """The lane and the name of the row that gave it; "" where the adapter's guess stands."""
    best: Row | None = None
    kind, currency = item.event_type, item.currency or ""
    edges = rules.edges_in(currency)
    for place, row in enumerate(rules.rows):
        if best is not None and RANK[best.lane] <= RANK[row.lane]:
            continue
        if row.by_kind and kind not in row.types and not kind.startswith(row.prefixes):
            continue
        if row.currencies and currency not in row.currencies:
            continue
        if row.accounts and account not in row.accounts:
            continue
        if not row.by_amount or _is_sized(row, item, None if edges is None else edges[place]):
            best = row
    return (item.lane, "") if best is None else (best.lane, best.name)


def _is_sized(row: Row, item: WebhookItem, edges: Edges | None) -> bool:
    if item.amount_minor is None:
        return False
    if edges is None:
        return row.below_minor is None and RANK[row.lane] <= RANK[item.lane]
    (low, top), amount = edges, abs(item.amount_minor)
    return (low is None or amount >= low) and (top is None or amount < top)


def _row(row: Any, place: int) -> Row:
    if not isinstance(row, Mapping) or set(row) - PARTS:
        raise LanesError(f"row {place} is not an object with parts out of {sorted(PARTS)}")
    name, lane = row.get("name"), row.get("lane")
    if not isinstance(name, str) or not name.strip():
        raise LanesError(f"row {place} has no name")
    if not isinstance(lane, str) or lane not in RANK:
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
    if value is not None and value > MINOR_MAX:
        raise LanesError(f"{part} of row {name!r} is {value}, more than the limit of {MINOR_MAX}")
    return value
