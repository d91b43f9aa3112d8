"""What the rate screens show: the latest rate of each pair, its history, what a request names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db.models import QuerySet
from django.utils.safestring import SafeString

from approvals.models import ApprovalRequest
from ledger.reporting import rates_for
from payops.console import svg_series
from payops.console.formats import address_of
from payops.core.models import Book, Rate
from payops.flows import rate_changes
from payops.flows.rate_changes import NamedRate

STALE_AFTER = timedelta(days=3)
DRAWN_MAX = 120
SIGNIFICANT = 8


@dataclass(frozen=True, slots=True)
class PairRow:
    """The latest rate of one pair: units of `quote` per one `base`, and the other way round."""

    base: str
    quote: str
    rate: str
    inverse: str
    source: str
    as_of: datetime
    is_stale: bool
    approval_id: str
    href: str

    @property
    def approval_href(self) -> str:
        return address_of(self.approval_id)


@dataclass(frozen=True, slots=True)
class Board:
    """The rates that the book uses; the rest is between other currencies, or was told the other
    way round later."""

    used: list[PairRow]
    others: list[PairRow]

    @property
    def stale(self) -> int:
        return sum(row.is_stale for row in self.used)


@dataclass(frozen=True, slots=True)
class AskedRate:
    """One rate of a request, beside the last one known before it."""

    rate: NamedRate
    shown: str
    before: str
    change: str
    is_far: bool


def board(book: Book, now: datetime) -> Board:
    """One statement; an index over pair and moment finds the latest."""
    latest = Rate.objects.filter(as_of__lte=now).order_by("base", "quote", "-as_of", "-pk")
    rows = [pair_row(rate, now) for rate in latest.distinct("base", "quote")]
    newest: dict[str, PairRow] = {}
    for row in rows:
        if book.reporting_currency in (row.base, row.quote):
            other = row.quote if row.base == book.reporting_currency else row.base
            # Of one moment, the rate told into the reporting currency counts.
            into = row.quote == book.reporting_currency
            if other not in newest or (row.as_of, into) > (newest[other].as_of, not into):
                newest[other] = row
    used = [newest[other] for other in sorted(newest)]
    return Board(used, [row for row in rows if row not in used])


def history(base: str, quote: str) -> QuerySet[Rate]:
    return Rate.objects.filter(base=base, quote=quote)


def pair_row(rate: Rate, now: datetime) -> PairRow:
    return PairRow(
        base=rate.base,
        quote=rate.quote,
        rate=plain(rate.rate),
        inverse=significant(1 / rate.rate),
        source=rate.source,
        as_of=rate.as_of,
        is_stale=now - rate.as_of > STALE_AFTER,
        approval_id=rate.approval_id,
        href=f"/ledger/rates/{rate.base}/{rate.quote}/",
    )


def picture(base: str, quote: str) -> SafeString | None:
    """The latest moves of a pair; None while there is only one rate."""
    newest = list(history(base, quote).order_by("-as_of", "-pk")[:DRAWN_MAX])
    if len(newest) < 2:
        return None
    drawn = newest[::-1]
    return svg_series.trend(
        values=[int(rate.rate.scaleb(10)) for rate in drawn],
        words=[plain(rate.rate) for rate in drawn],
        ends=(f"{drawn[0].as_of:%Y-%m-%d}", f"{drawn[-1].as_of:%Y-%m-%d}"),
        title=f"{quote} per {base}",
    )


def asked(request: ApprovalRequest) -> list[AskedRate]:
    """The rates a request names, those far off first; one statement, none for other kinds."""
    if request.kind != rate_changes.KIND:
        return []
    named = [rate_changes.named(text) for text in request.facts["rates"]]
    tick = timedelta(microseconds=1)
    before = rates_for({(rate.base, rate.quote, rate.as_of - tick) for rate in named})
    shown = []
    for rate in named:
        last = before.get((rate.base, rate.quote, rate.as_of - tick))
        moved = change_of(rate.rate, last.rate) if last else None
        shown.append(
            AskedRate(
                rate=rate,
                shown=plain(rate.rate),
                before=significant(last.rate) if last else "",
                change=f"{moved:+}%" if moved is not None else "",
                is_far=moved is not None and abs(moved) > rate_changes.FAR_PERCENT,
            )
        )
    return sorted(shown, key=_far_first)


def change_of(rate: Decimal, before: Decimal) -> Decimal:
    return ((rate / before - 1) * 100).quantize(Decimal("0.1"))


def plain(rate: Decimal) -> str:
    """Without zeros at the end: 0.9212."""
    return f"{rate.normalize():f}"


def significant(rate: Decimal) -> str:
    """A computed rate, to 8 significant digits."""
    places = SIGNIFICANT - 1 - rate.adjusted()
    return plain(round(rate, max(places, 0)))


def lines_of(rows: Sequence[Rate], now: datetime) -> list[PairRow]:
    return [pair_row(rate, now) for rate in rows]


def _far_first(asked: AskedRate) -> bool:
    return not asked.is_far
