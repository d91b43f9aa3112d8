"""Whether a settlement file adds up: sums per batch, twins, limits, and the notes of reading.

Every event of a reader passes through `checked`, which adds findings, a `Batch` for each batch
and currency and the `Summary`. Nothing is left out; which finding keeps a file from being
imported is said in `base.REFUSING`. Serves RC-3, RC-10.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from payops.formats.files import FileRefused, OpenedFile, excerpt, is_formula
from payops.formats.settlement.base import (
    BATCHES_MAX,
    FINDINGS_PER_CODE_MAX,
    Batch,
    Event,
    Events,
    Finding,
    Line,
    LineKind,
    ReadOptions,
    Reject,
    Summary,
)
from payops.formats.settlement.values import said

# Lines compared with the ones before them; twice as many are remembered at most.
TWINS_COMPARED_MIN = 200_000
ZONES_SHOWN_MAX = 20
ACCOUNTS_SHOWN_MAX = 3
# The words in front of a text that a spreadsheet would run.
FORMULA_FIRST = frozenset("=+-@|%\t\r")


@dataclass(slots=True)
class Sums:
    """What has been read of one batch in one currency."""

    lines: int = 0
    net_minor: int = 0
    fee_minor: int = 0
    stated_minor: int = 0
    is_stated: bool = False
    carried_minor: int = 0
    payout_at: datetime | None = None
    kinds: dict[LineKind, list[int]] = field(default_factory=dict)

    def add(self, line: Line) -> None:
        self.lines += 1
        net, kind = line.net_minor, line.kind
        counted = self.kinds.get(kind)
        if counted is None:
            self.kinds[kind] = [1, net]
        else:
            counted[0] += 1
            counted[1] += net
        self.fee_minor += line.fee_minor
        if kind is LineKind.PAYOUT:
            self.stated_minor -= net
            self.is_stated = True
            self.payout_at = line.booked_at or line.occurred_at
        elif kind is LineKind.CARRY_OVER:
            self.carried_minor += net
        else:
            self.net_minor += net
            if line.settled_at is not None:
                self.payout_at = line.settled_at


class Twins:
    """Remembers what lines said; flat, so a twin further away than the window is not seen."""

    def __init__(self) -> None:
        self.newer: dict[int, int] = {}
        self.older: dict[int, int] = {}

    def of(self, line: Line) -> int:
        """The place of an earlier line that says the same, or 0."""
        key = hash(line.identity)
        place = self.newer.get(key) or self.older.get(key, 0)
        if not place:
            if len(self.newer) >= TWINS_COMPARED_MIN:
                self.older, self.newer = self.newer, {}
            self.newer[key] = line.line
        return place


class Findings:
    """Counts findings per code and stops showing them one by one when there are too many."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.refused = False

    def let(self, finding: Finding) -> bool:
        self.counts[finding.code] += 1
        self.refused |= finding.refuses
        return self.counts[finding.code] <= FINDINGS_PER_CODE_MAX

    def rest(self) -> Iterator[Finding]:
        for code, count in self.counts.items():
            if count > FINDINGS_PER_CODE_MAX:
                more = count - FINDINGS_PER_CODE_MAX
                yield Finding("findings.more", "file", f"{more:,} more findings of {code}")


def checked(
    events: Events, *, name: str, file: OpenedFile, options: ReadOptions, pays: bool
) -> Events:
    """`pays` says that the format tells its payouts, so that each batch must add up to them."""
    sums: dict[tuple[str, str, str], Sums] = {}
    zone = None
    twins, findings, zones = Twins(), Findings(), dict[str, None]()
    lines = rejects = formulas = 0
    for event in events:
        if type(event) is Line:
            lines += 1
            key = (event.batch, event.currency, event.account)
            found = sums.get(key)
            if found is None:
                if len(sums) >= BATCHES_MAX:
                    raise FileRefused(
                        f"line {event.line}: the file has more than {BATCHES_MAX:,} batches"
                    )
                found = sums[key] = Sums()
            found.add(event)
            at = event.occurred_at
            if at is not None and at.tzinfo is not zone and len(zones) < ZONES_SHOWN_MAX:
                zone = at.tzinfo
                zones[str(zone)] = None
            yield event
            if (place := twins.of(event)) and findings.let(twin := _twin(event, place)):
                yield twin
            first = event.merchant_ref[:1] or event.description[:1]
            if first in FORMULA_FIRST and first:
                formulas += is_formula(event.merchant_ref) or is_formula(event.description)
        elif isinstance(event, Finding):
            if findings.let(event):
                yield event
        elif isinstance(event, Reject):
            rejects += 1
            yield event
            if rejects > options.rejects_max:
                findings.let(too_many := _too_many(event, options))
                yield too_many
                break
        else:
            yield event
    yield from _let(findings, _notes(file, formulas))
    batches = [_batch(key, found, zones, pays=pays) for key, found in sums.items()]
    yield from batches
    yield from _let(findings, _accounts({key[2] for key in sums}, options))
    yield from _let(findings, _differences(batches, rejects=rejects, pays=pays))
    yield from findings.rest()
    yield Summary(
        format=name,
        lines=lines,
        rejects=rejects,
        batches=len(batches),
        sha256=file.sha256,
        bytes_read=file.bytes_read,
        time_zones=tuple(zones),
        is_refused=findings.refused,
    )


def _let(findings: Findings, found: Iterator[Finding]) -> Iterator[Event]:
    return (each for each in found if findings.let(each))


def _twin(line: Line, place: int) -> Finding:
    return Finding(
        "line.identical",
        f"line {line.line}",
        f"says the same as line {place}: {said(line.net_minor, line.currency)}; both are kept,"
        " look for a double payment",
        line.batch,
    )


def _too_many(event: Reject, options: ReadOptions) -> Finding:
    return Finding(
        "file.rejects",
        f"line {event.line}",
        f"more than {options.rejects_max:,} rows cannot be read; this is another kind of report,"
        " or its settings differ",
    )


def _notes(file: OpenedFile, formulas: int) -> Iterator[Finding]:
    for note in file.notes:
        yield Finding(note.code, "file", note.words)
    if formulas:
        words = f"{formulas:,} references begin like a formula; they are kept as text"
        yield Finding("text.formula", "file", words)


def _accounts(seen: set[str], options: ReadOptions) -> Iterator[Finding]:
    named = sorted(seen - {""})
    if options.account and named and options.account not in named:
        shown = ", ".join(excerpt(name) for name in named[:ACCOUNTS_SHOWN_MAX])
        words = f"the file is about {shown}, not about {excerpt(options.account)}"
        yield Finding("account.other", "file", words)
    elif len(named) > 1:
        words = f"the file is about {len(named)} accounts; each has batches of its own"
        yield Finding("account.several", "file", words)


def _batch(key: tuple[str, str, str], found: Sums, zones: dict[str, None], *, pays: bool) -> Batch:
    return Batch(
        reference=key[0],
        currency=key[1],
        account=key[2],
        lines=found.lines,
        net_minor=found.net_minor,
        fee_minor=found.fee_minor,
        stated_minor=found.stated_minor if pays and found.is_stated else None,
        carried_minor=found.carried_minor,
        payout_at=found.payout_at,
        time_zone=str(found.payout_at.tzinfo) if found.payout_at else next(iter(zones), ""),
        kinds=tuple((kind, count, net) for kind, (count, net) in found.kinds.items()),
    )


def _differences(batches: list[Batch], *, rejects: int, pays: bool) -> Iterator[Finding]:
    for batch in batches:
        place = f"batch {batch.reference}" if batch.reference else "file"
        why = f"; {rejects} rows of the file were rejected" if rejects else ""
        if not batch.reference:
            words = (
                f"{batch.lines:,} lines in {batch.currency} belong to no batch the file names;"
                " what was paid out of them is to be found by the bank line alone"
            )
            yield Finding("batch.unattributed", place, words)
        if not pays:
            continue
        if batch.difference_minor:
            told = said(batch.stated_minor or 0, batch.currency)
            came = said(batch.net_minor + batch.carried_minor, batch.currency)
            left = said(batch.difference_minor, batch.currency)
            words = f"the lines add up to {came}, the payout is {told}: {left} differ{why}"
            yield Finding("batch.difference", place, words, batch.reference)
        elif batch.stated_minor is None and batch.net_minor + batch.carried_minor:
            left = said(batch.net_minor + batch.carried_minor, batch.currency)
            if batch.carried_minor < 0 or any(k is LineKind.CARRY_OVER for k, _, _ in batch.kinds):
                words = f"lines and carry-overs leave {left} that went nowhere{why}"
                yield Finding("batch.difference", place, words, batch.reference)
            else:
                words = f"{left} are neither paid out nor carried over{why}"
                yield Finding("batch.unpaid", place, words, batch.reference)
