"""The refund policy as a table: what a rule grants alone, what people decide, which reasons count.

Finance reads and changes these rows through an approved `policy_change`; a request keeps the
version it was decided under. Pure: reads and checks the table, decides nothing (`refund_rules`
does). Serves AP-7, AP-8, AP-9, RF-14, F23, F26.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from payops.core.money import Money

NAME = "refund.policy"
AUTO_MAX = "50.00"
SENT_BY_PERSON_ABOVE = "5000.00"
CHANNELS = ("api", "bulk", "console", "ticket")
REASONS_MAX = 40
FIELDS_MAX = 12
TEXT_MAX = 48
LABEL_MAX = 80
WORD = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_")
COLUMNS = frozenset(
    {
        "auto_max_minor",
        "requires_settled",
        "send_by_person_above_minor",
        "never_auto_channels",
        "seller_disputes_min",
        "twin_minutes",
        "reasons",
    }
)
REASON_COLUMNS = frozenset({"label", "high_risk", "required", "wanted"})
BOUNDS = {"auto_max_minor": 10**9, "seller_disputes_min": 1000, "twin_minutes": 24 * 60}


class TableError(ValueError):
    """A table that cannot be applied; the text names the row and what is wrong with it."""


class Risk(StrEnum):
    """When a reason is of high risk, so that people decide whatever the amount (AP-8)."""

    NEVER = "never"
    WITH_PRIOR_DISPUTES = "with_prior_disputes"
    ALWAYS = "always"


@dataclass(frozen=True, slots=True)
class Reason:
    """`required` evidence is refused without; without `wanted` evidence people decide."""

    code: str
    label: str
    high_risk: Risk
    required: tuple[str, ...]
    wanted: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rules:
    """A parsed table; amounts in minor units of `currency`, the book's reporting currency."""

    version: int
    currency: str
    auto_max_minor: int
    requires_settled: bool
    # None: nobody has to send a granted refund by hand.
    send_by_person_above_minor: int | None
    never_auto_channels: frozenset[str]
    # How many disputes of the seller's charges in the last days count as prior ones; 0: none do.
    seller_disputes_min: int
    twin_minutes: int
    reasons: Mapping[str, Reason]

    @property
    def ruleset(self) -> str:
        return f"{NAME} v{self.version}"

    @property
    def auto_max(self) -> Money:
        return Money(self.auto_max_minor, self.currency)


# code: (label, when of high risk, required evidence, wanted evidence)
SEEDED_REASONS: dict[str, tuple[str, Risk, tuple[str, ...], tuple[str, ...]]] = {
    "requested_by_customer": ("Customer changed their mind", Risk.NEVER, (), ("customer_message",)),
    "order_canceled": ("Order canceled before it was sent", Risk.NEVER, ("order_reference",), ()),
    "item_returned": ("Item returned", Risk.NEVER, ("return_tracking",), ()),
    "item_not_received": (
        "Item not received",
        Risk.WITH_PRIOR_DISPUTES,
        ("order_reference",),
        ("carrier_status",),
    ),
    "item_not_as_described": (
        "Item damaged or not as described",
        Risk.WITH_PRIOR_DISPUTES,
        ("customer_message",),
        ("photos",),
    ),
    "duplicate_charge": ("Charged twice", Risk.NEVER, ("other_payment",), ()),
    "price_adjustment": ("Price adjusted afterwards", Risk.NEVER, ("agreement",), ()),
    "service_failure": ("Our service failed the customer", Risk.NEVER, ("customer_message",), ()),
    "fraud_reported": ("Fraud reported", Risk.ALWAYS, ("customer_message",), ("police_report",)),
}


def seeded(*, currency: str) -> dict[str, Any]:
    """The first version of every book, with its amounts in the reporting currency."""
    return {
        "auto_max_minor": Money.from_decimal(AUTO_MAX, currency).minor,
        "requires_settled": False,
        "send_by_person_above_minor": Money.from_decimal(SENT_BY_PERSON_ABOVE, currency).minor,
        "never_auto_channels": ["bulk"],
        "seller_disputes_min": 5,
        "twin_minutes": 10,
        "reasons": {
            code: {
                "label": label,
                "high_risk": risk.value,
                "required": list(required),
                "wanted": list(wanted),
            }
            for code, (label, risk, required, wanted) in SEEDED_REASONS.items()
        },
    }


def parse(rules: Mapping[str, Any], *, currency: str, version: int) -> Rules:
    """Read a stored or proposed table. Raises TableError before anything can rely on it."""
    if not isinstance(rules, Mapping) or set(rules) != COLUMNS:
        found = sorted(rules) if isinstance(rules, Mapping) else type(rules).__name__
        raise TableError(f"a refund policy has exactly {sorted(COLUMNS)}; this one has {found}")
    if type(rules["requires_settled"]) is not bool:
        raise TableError(f"requires_settled is yes or no, not {rules['requires_settled']!r}")
    reasons = rules["reasons"]
    if not isinstance(reasons, Mapping) or not 1 <= len(reasons) <= REASONS_MAX:
        raise TableError(f"a refund policy names 1 to {REASONS_MAX} reasons")
    person_above = rules["send_by_person_above_minor"]
    return Rules(
        version=version,
        currency=currency,
        auto_max_minor=_number(rules, "auto_max_minor"),
        requires_settled=rules["requires_settled"],
        send_by_person_above_minor=(
            None if person_above is None else _whole(person_above, "send_by_person_above_minor")
        ),
        never_auto_channels=_channels(rules["never_auto_channels"]),
        seller_disputes_min=_number(rules, "seller_disputes_min"),
        twin_minutes=_number(rules, "twin_minutes"),
        reasons={_word(code, "a reason"): _reason(code, row) for code, row in reasons.items()},
    )


def _reason(code: str, row: Any) -> Reason:
    if not isinstance(row, Mapping) or set(row) != REASON_COLUMNS:
        raise TableError(f"the reason {code!r} has exactly {sorted(REASON_COLUMNS)}")
    label = row["label"]
    if not isinstance(label, str) or not 1 <= len(label.strip()) <= LABEL_MAX:
        raise TableError(f"the reason {code!r} has a label of 1 to {LABEL_MAX} characters")
    if row["high_risk"] not in list(Risk):
        raise TableError(
            f"the reason {code!r} is of high risk {row['high_risk']!r}; {[*map(str, Risk)]} fit"
        )
    required, wanted = (_fields(code, row[name]) for name in ("required", "wanted"))
    if both := sorted(set(required) & set(wanted)):
        raise TableError(f"the reason {code!r} both requires and wants {both}")
    return Reason(code, label.strip(), Risk(row["high_risk"]), required, wanted)


def _fields(code: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or len(value) > FIELDS_MAX:
        raise TableError(f"the reason {code!r} names at most {FIELDS_MAX} fields of evidence")
    fields = tuple(_word(field, f"evidence of {code!r}") for field in value)
    if len(set(fields)) != len(fields):
        raise TableError(f"the reason {code!r} names a field of evidence twice")
    return fields


def _channels(value: Any) -> frozenset[str]:
    if not isinstance(value, (list, tuple)) or not set(value) <= set(CHANNELS):
        raise TableError(f"never_auto_channels {value!r} are out of {list(CHANNELS)}")
    return frozenset(value)


def _word(value: Any, place: str) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= TEXT_MAX or not set(value) <= WORD:
        raise TableError(
            f"{place} is named {value!r}; 1 to {TEXT_MAX} small letters, digits and underscores fit"
        )
    return value


def _number(rules: Mapping[str, Any], name: str) -> int:
    number = _whole(rules[name], name)
    if number > BOUNDS[name]:
        raise TableError(f"{name} is {number}; {BOUNDS[name]} is the most")
    return number


def _whole(value: Any, name: str) -> int:
    if type(value) is not int or value < 0:
        raise TableError(f"{name} is {value!r}; a whole number from 0 on fits")
    return value
