"""Exchange rates: what a file or a typed row would bring, and asking for it (LJ-10, F19).

`preview` says line by line what would become known and what cannot be taken; `propose` asks for
all of it, treasury decides, `rate_changes` makes it known. Nothing is visible before, and never a
part of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Context, Decimal

from approvals.models import ApprovalRequest
from ledger.reporting import RateKey, RateUsed, rates_for
from payops.core import clock, evidence
from payops.core.actors import Actor
from payops.core.models import Book, Evidence, Rate
from payops.flows import governance, rate_changes
from payops.flows.rate_changes import (
    FAR_PERCENT,
    RATES_MAX,
    WARNING_MAX,
    NamedRate,
    RatesRefused,
)
from payops.formats.rates import reader
from payops.formats.rates.reader import Reading, Reject

__all__ = ["Planned", "Preview", "RatesRefused", "preview", "propose", "typed"]

FILE_NAME = "rates.csv"


@dataclass(frozen=True, slots=True)
class Planned:
    """One rate that would become known, beside the last one known for its pair.

    `change` is in percent of that one, to one decimal; `is_known` rates are there already and
    are not asked for again.
    """

    line: int
    rate: NamedRate
    before: RateUsed | None
    change: Decimal | None
    is_known: bool

    @property
    def is_far(self) -> bool:
        return self.change is not None and abs(self.change) > FAR_PERCENT

    @property
    def shown(self) -> str:
        return f"{self.rate.rate.normalize():f}"

    @property
    def shown_before(self) -> str:
        """A rate told the other way round has no end; 8 digits are enough to compare."""
        return f"{Context(prec=8).plus(self.before.rate).normalize():f}" if self.before else ""

    @property
    def apart(self) -> str:
        change = self.change or Decimal(0)
        return f"{abs(change)}% {'above' if change > 0 else 'below'}"

    @property
    def change_words(self) -> str:
        return "" if self.change is None else f"{self.change:+}%"


@dataclass(frozen=True, slots=True)
class Preview:
    """What a file would bring. While anything is rejected, nothing of it can be asked for."""

    layout: str
    rows: tuple[Planned, ...]
    rejects: tuple[Reject, ...]

    @property
    def new(self) -> tuple[Planned, ...]:
        return tuple(row for row in self.rows if not row.is_known)

    @property
    def far(self) -> tuple[Planned, ...]:
        return tuple(row for row in self.new if row.is_far)

    @property
    def warning(self) -> str:
        told = [
            f"{row.rate.pair} {row.shown} is {row.apart} the last known {row.shown_before}"
            for row in self.far
        ]
        words = "; ".join(told)
        return words if len(words) <= WARNING_MAX else f"{words[: WARNING_MAX - 1]}…"


def preview(*, reading: Reading, now: datetime) -> Preview:
    """What the rows would change; rows from the future are rejected. Two statements."""
    rejects = list(reading.rejects)
    rows: list[tuple[int, NamedRate]] = []
    for row in reading.rows:
        if row.as_of > now:
            why = f"{row.as_of.isoformat()} has not come yet; a rate is known when it is"
            rejects.append(Reject(row.line, f"{row.base}/{row.quote} {row.rate:f}", why))
        else:
            rate = NamedRate(row.base, row.quote, row.rate, row.as_of, row.source)
            rows.append((row.line, rate))
    known = _known([rate for _, rate in rows])
    planned = _planned(sorted(rows, key=_moment_first), known)
    if len(planned) > RATES_MAX:
        why = f"{len(planned)} rates are more than {RATES_MAX} at a time; bring fewer days"
        rejects.append(Reject(0, "", why))
    ordered = sorted(planned, key=lambda each: each.line)
    return Preview(reading.layout, tuple(ordered), tuple(sorted(rejects, key=_line)))


def typed(*, base: str, quote: str, rate: str, as_of: str, source: str, time_zone: str) -> Reading:
    """One row typed by a person, checked like a line of a file."""
    cells = [base, quote, rate, as_of, source]
    line = ";".join('"' + cell.replace('"', "") + '"' for cell in cells)
    return reader.read(line, time_zone=time_zone, source=source)


def propose(
    *,
    book: Book,
    reading: Reading,
    content: str,
    filename: str,
    reason: str,
    actor: Actor,
    now: datetime,
) -> ApprovalRequest:
    """Ask for everything a file brings; `content` is kept beside the request when it was a file.

    Raises RatesRefused where a line is rejected or nothing is new, ChangeRefused.
    """
    told = preview(reading=reading, now=now)
    if told.rejects:
        first = told.rejects[0]
        place = f"line {first.line}: " if first.line else ""
        raise RatesRefused(
            f"{len(told.rejects)} of the lines cannot be taken, so none is asked for"
            f" ({place}{first.why}); correct them first"
        )
    if not told.new:
        raise RatesRefused(f"all {len(told.rows)} rates are known already; nothing is asked for")
    rates = [row.rate for row in told.new]
    texts = [rate.text for rate in rates]

    def keep(request: ApprovalRequest) -> None:
        if content:
            _attach(request, content=content, filename=filename, actor=actor, now=now)

    return governance.propose(
        kind=rate_changes.KIND,
        facts={
            "warning": told.warning,
            "filename": filename if content else "",
            "layout": told.layout if content else "",
            "rates": texts,
        },
        title=_title(rates, book),
        reason=reason,
        actor=actor,
        now=now,
        subject_id=f"rates:{hashlib.sha256('|'.join(sorted(texts)).encode()).hexdigest()[:24]}",
        book=book,
        also=keep,
        consequences=_consequences(rates, book),
    )


def _planned(rows: Sequence[tuple[int, NamedRate]], known: set[str]) -> list[Planned]:
    """In order of time, so that each rate stands beside the one before it, in the file too."""
    wanted: set[RateKey] = {(rate.base, rate.quote, rate.as_of) for _, rate in rows}
    stored = rates_for(wanted)
    latest: dict[str, RateUsed] = {}
    planned = []
    for line, rate in rows:
        before = stored.get((rate.base, rate.quote, rate.as_of))
        if rate.pair in latest and (before is None or before.as_of < latest[rate.pair].as_of):
            before = latest[rate.pair]
        latest[rate.pair] = RateUsed(rate.rate, rate.source, rate.as_of)
        planned.append(Planned(line, rate, before, _change(rate, before), rate.text in known))
    return planned


def _change(rate: NamedRate, before: RateUsed | None) -> Decimal | None:
    if before is None:
        return None
    return ((rate.rate / before.rate - 1) * 100).quantize(Decimal("0.1"))


def _known(rates: Sequence[NamedRate]) -> set[str]:
    """The texts of those that are stored exactly so; a differing one may be corrected."""
    if not rates:
        return set()
    found = Rate.objects.filter(
        base__in={rate.base for rate in rates},
        quote__in={rate.quote for rate in rates},
        as_of__in={rate.as_of for rate in rates},
    )
    return {NamedRate(row.base, row.quote, row.rate, row.as_of, row.source).text for row in found}


def _attach(
    request: ApprovalRequest, *, content: str, filename: str, actor: Actor, now: datetime
) -> None:
    """Once: whoever asks for the same again gets the same request."""
    raw = content.encode()
    sha256 = hashlib.sha256(raw).hexdigest()
    if Evidence.objects.filter(subject_id=request.public_id, sha256=sha256).exists():
        return
    evidence.attach(
        book=request.book,
        subject_id=request.public_id,
        filename=filename or FILE_NAME,
        content_type="text/csv",
        content=raw,
        actor=actor,
        now=now,
    )


def _title(rates: Sequence[NamedRate], book: Book) -> str:
    zone, first = book.time_zone, rates[0]
    days = sorted({f"{clock.business_day(rate.as_of, time_zone=zone)}" for rate in rates})
    span = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    if len(rates) == 1:
        return f"Exchange rate {first.pair} {first.rate.normalize():f} of {span}"
    sources = sorted({rate.source for rate in rates})
    return f"{len(rates)} exchange rates of {span} ({', '.join(sources)[:80]})"


def _consequences(rates: Sequence[NamedRate], book: Book) -> list[str]:
    since = min(rate.as_of for rate in rates).astimezone(clock.zone(book.time_zone))
    count = f"{len(rates)} rates are" if len(rates) > 1 else "the rate is"
    return [
        f"{count} known to every book: what is booked, tiered or revalued from now on uses"
        f" {'them' if len(rates) > 1 else 'it'} for moments from {since:%Y-%m-%d %H:%M} on, until"
        " a later rate",
        "entries that are booked keep their reporting amounts",
    ]


def _moment_first(row: tuple[int, NamedRate]) -> tuple[datetime, int]:
    return row[1].as_of, row[0]


def _line(reject: Reject) -> int:
    return reject.line
