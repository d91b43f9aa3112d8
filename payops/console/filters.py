"""Filters that live in the URL: read once, shown again, never silently ignored.

A screen declares its controls; `read` fills in what the URL says and names, in words, whatever it
could not understand. A refused value filters nothing and is told to the person.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, InvalidOperation

from django.db.models import Q

from payops.core import clock
from payops.core.money import DEFAULT_EXPONENT, EXPONENTS, MINOR_MAX

VALUE_CHARS_MAX = 200
ANY = ("", "Any")
# What an address may carry beside filters: cursors and the format of the answer.
NOT_FILTERS = frozenset({"after", "before", "format", "page"})


@dataclass(frozen=True, slots=True)
class Control:
    """One control as `parts/filters.html` shows it; kinds: select text date check amount."""

    name: str
    label: str
    kind: str = "text"
    options: Sequence[tuple[str, str]] = ()
    placeholder: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True)
class Filters:
    """The controls with what the URL says. `filters["state"]` is the text, "" when not set."""

    controls: tuple[Control, ...]
    refused: tuple[str, ...] = ()
    values: Mapping[str, object] = field(default_factory=dict)

    def __getitem__(self, name: str) -> str:
        for control in self.controls:
            if control.name == name:
                return control.value
        raise KeyError(name)

    def __iter__(self) -> Iterator[Control]:
        return iter(self.controls)

    @property
    def any_set(self) -> bool:
        return any(each.value for each in self.controls if each.kind != "hidden")

    def day(self, name: str) -> date | None:
        found = self.values.get(name)
        return found if isinstance(found, date) else None

    def amount(self, name: str) -> Decimal | None:
        found = self.values.get(name)
        return found if isinstance(found, Decimal) else None


def choices(states: Sequence[tuple[str, str]], *, any_label: str = "Any") -> list[tuple[str, str]]:
    return [("", any_label), *states]


def read(query: Mapping[str, str], controls: Sequence[Control]) -> Filters:
    """Fill the controls from the query; unknown names, options and unreadable values are refused.

    A view that was saved before its screen changed comes back with words, not with other rows.
    """
    known = {control.name for control in controls} | NOT_FILTERS
    refused = [
        f"There is no filter “{clean(name)[:60]}” here any more; it filters nothing."
        for name in query
        if name not in known and query[name]
    ]
    filled, values = [], {}
    for control in controls:
        text = clean(query.get(control.name, ""))
        value, words = _understood(control, text)
        if words:
            refused.append(f"“{text[:60]}” is {words}; it filters nothing.")
            text = ""
        elif text:
            values[control.name] = value
        filled.append(replace(control, value=text))
    return Filters(tuple(filled), tuple(refused), values)


def clean(text: str) -> str:
    """Trimmed and bounded; NUL, which the database cannot hold, is taken out."""
    return text.replace("\x00", "").strip()[:VALUE_CHARS_MAX]


def amount_within(column: str, least: Decimal | None, most: Decimal | None) -> Q:
    """Rows whose amount, in major units of their own currency, lies in the range."""
    wanted = Q()
    if least is not None:
        wanted &= _compared(column, "gte", least, ROUND_CEILING)
    if most is not None:
        wanted &= _compared(column, "lte", most, ROUND_FLOOR)
    return wanted


def days_within(
    column: str, first: date | None, last: date | None, *, time_zone: str
) -> dict[str, datetime]:
    """Bounds of whole business days, both ends included."""
    bounds = {}
    if first is not None:
        bounds[f"{column}__gte"] = clock.start_of_day(first, time_zone=time_zone)
    if last is not None:
        after = last + timedelta(days=1)
        bounds[f"{column}__lt"] = clock.start_of_day(after, time_zone=time_zone)
    return bounds


def _compared(column: str, side: str, amount: Decimal, rounding: str) -> Q:
    def minor(exponent: int) -> int:
        return int(amount.scaleb(exponent).to_integral_value(rounding=rounding))

    usual = ~Q(currency__in=list(EXPONENTS)) & Q(**{f"{column}__{side}": minor(DEFAULT_EXPONENT)})
    for exponent in sorted(set(EXPONENTS.values())):
        names = [name for name, known in EXPONENTS.items() if known == exponent]
        usual |= Q(currency__in=names, **{f"{column}__{side}": minor(exponent)})
    return usual


def _understood(control: Control, text: str) -> tuple[object, str]:
    """The value and "", or what the text is not."""
    if not text or control.kind in ("text", "hidden"):
        return text, ""
    if control.kind == "check":
        return text, "" if text == "1" else f"neither 1 nor nothing for “{control.label}”"
    if control.kind == "select":
        known = any(text == value for value, _ in control.options)
        return text, "" if known else f"none of the choices of “{control.label}”"
    if control.kind == "date":
        try:
            day = date.fromisoformat(text)
        except ValueError:
            return None, "not a date such as 2026-03-31"
        return day, "" if 1990 <= day.year <= 2200 else "not a date between 1990 and 2200"
    return _amount(text)


def _amount(text: str) -> tuple[object, str]:
    try:
        amount = Decimal(text.replace(",", "").replace(" ", ""))
    except InvalidOperation:
        return None, "not an amount such as 1,200.00"
    if not amount.is_finite() or abs(amount) > MINOR_MAX:
        return None, "not an amount such as 1,200.00"
    return amount, ""
