"""Which reader takes a settlement file: found by its header, or named by a person."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from payops.formats.files import FileRefused, Source, excerpt, opened
from payops.formats.settlement import adyen, generic, paypal_activity, paypal_stl, stripe
from payops.formats.settlement.base import NO_OPTIONS, Events, ReadOptions
from payops.formats.settlement.checks import checked
from payops.formats.settlement.table import Columns, Row, Table
from payops.formats.settlement.values import words


@dataclass(frozen=True, slots=True)
class Format:
    """`provider` as in psp; "" for any. `pays` says that payouts are rows of the file."""

    key: str
    label: str
    provider: str
    sniff: Callable[[Sequence[Row]], Columns | None]
    read: Callable[[Table, Columns, ReadOptions], Events]
    pays: bool


FORMATS = (
    Format("adyen", "Adyen settlement details", "adyen", adyen.sniff, adyen.read, True),
    Format("stripe", "Stripe itemized", "stripe", stripe.sniff, stripe.read, False),
    Format(
        "stripe_balance", "Stripe balance summary", "stripe",
        stripe.sniff_summary, stripe.read_summary, False,
    ),
    Format("paypal_stl", "PayPal settlement", "paypal", paypal_stl.sniff, paypal_stl.read, False),
    Format(
        "paypal_activity", "PayPal activity download", "paypal",
        paypal_activity.sniff, paypal_activity.read, False,
    ),
    Format("generic", "Settlement CSV", "", generic.sniff, generic.read, True),
)  # fmt: skip
BY_KEY = {each.key: each for each in FORMATS}


def read(*, source: Source, options: ReadOptions = NO_OPTIONS, key: str = "") -> Events:
    """The events of a file of any known kind. Raises FileRefused."""
    with opened(source, limits=options.limits, encoding=options.encoding) as file:
        table = Table(file, delimiter=options.delimiter)
        found, columns = _format(table, key)
        events = found.read(table, columns, options)
        yield from checked(events, name=found.key, file=file, options=options, pays=found.pays)


@dataclass(frozen=True, slots=True)
class Recognised:
    """What a file is, before it is read: the format, where its header stands, its columns."""

    format: Format
    line: int
    columns: tuple[str, ...]
    encoding: str


def recognise(*, source: Source, options: ReadOptions = NO_OPTIONS, key: str = "") -> Recognised:
    """Reads no more than the beginning. Raises FileRefused."""
    with opened(source, limits=options.limits, encoding=options.encoding) as file:
        found, columns = _format(Table(file, delimiter=options.delimiter), key)
        names = tuple(words(name) for name in columns.places)
        return Recognised(found, columns.line, names, file.encoding)


def _format(table: Table, key: str) -> tuple[Format, Columns]:
    if key and key not in BY_KEY:
        raise FileRefused(f"there is no reader {excerpt(key)}; known are {', '.join(BY_KEY)}")
    tried = (BY_KEY[key],) if key else FORMATS
    for each in tried:
        columns = each.sniff(table.head)
        if columns is not None:
            return each, columns
    known = tried[0].label if key else ", ".join(each.label for each in FORMATS)
    first = table.head[0][1] if table.head else []
    shown = ", ".join(excerpt(name) for name in first[:4])
    raise FileRefused(f"this is none of: {known}. The first row begins with {shown}")
