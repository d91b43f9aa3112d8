"""Parity of entries: what finance expects of single entries and event classes (RP-3, CL-8).

Each finding says what is wrong with which entry, and by how much it moves the figures of the
period, so that `ledger/parity.py` can tell explained differences from unexplained ones.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from django.db.models import Count, Q

from ledger.models import AccountingPeriod, JournalEntry, JournalLine
from ledger.parity_parts import (
    AMOUNT,
    CLASSIFICATION,
    MISSING,
    PLACEMENT,
    REVERSAL,
    UNEXPECTED,
    Effect,
    Finding,
)
from payops.core import ids
from payops.core.models import Book
from payops.core.money import Money
from payops.formats.reference_pack import REPORTING, PackRow

FOUND_MAX = 50


def findings(*, book: Book, period: AccountingPeriod, rows: Sequence[PackRow]) -> list[Finding]:
    """Of every row about entries, in the order of the pack; classes nobody listed last."""
    found: list[Finding] = []
    by_reference = _entries_of(book, {row.reference for row in rows if row.reference})
    for row in rows:
        if row.reference:
            entries = by_reference.get(row.reference, [])
            found += _of_entry(book, period, row, entries)
    classes = [row for row in rows if row.event_class and not row.reference]
    return found + (_of_classes(book, period, classes) if classes else [])


# ---- single entries ------------------------------------------------------------------------


def _of_entry(
    book: Book, period: AccountingPeriod, row: PackRow, entries: list[JournalEntry]
) -> list[Finding]:
    named = f"{row.event_class} of {row.reference}" if row.event_class else row.reference
    own = [e for e in entries if not row.event_class or e.event_class == row.event_class]
    own = [e for e in own if e.reverses_id is None] or own
    if not own:
        effects = _expected_alone(book, period, row)
        words = f"{named} is expected in {row.period}; the journal has no such entry"
        found_none = Finding(MISSING, row.row, words, named, effects=effects)
        return [_with_amounts(found_none, row, 0)]
    placed = [entry for entry in own if entry.period.code == row.period]
    if not placed:
        return [_misplaced(period, row, named, own[0])]
    found: list[Finding] = []
    if row.amount_minor is not None:
        found += _misclassified(book, row, named, placed)
    if row.reversals is not None:
        found += [f for entry in placed for f in _reversed(period, row, named, entry)]
    return found


def _misplaced(period: AccountingPeriod, row: PackRow, named: str, entry: JournalEntry) -> Finding:
    words = (
        f"{named} is expected in {row.period} and stands in {entry.period.code}, posted on"
        f" {entry.posting_on}, happened {entry.occurred_at:%Y-%m-%d}"
    )
    here, expected_here = entry.period.code == period.code, row.period == period.code
    stands, expected = entry.period.code <= period.code, row.period <= period.code
    effects = tuple(
        _effect(line, int(here) - int(expected_here), int(stands) - int(expected))
        for line in entry.lines.all()
    )
    flat = tuple(each for sides in effects for each in sides)
    return Finding(PLACEMENT, row.row, words, named, entries=(entry.public_id,), effects=flat)


def _misclassified(
    book: Book, row: PackRow, named: str, placed: Sequence[JournalEntry]
) -> list[Finding]:
    """The amount stands on another account than expected, or is another amount."""
    assert row.amount_minor is not None
    on: dict[str, int] = defaultdict(int)
    for entry in placed:
        for line in entry.lines.all():
            if row.currency in (REPORTING, line.currency):
                own = line.reporting_minor if row.currency == REPORTING else line.amount_minor
                on[line.account.code] += own
    found = on.get(row.account, 0)
    if found == row.amount_minor:
        return []
    money = book.reporting_currency if row.currency == REPORTING else row.currency
    off = Money(row.amount_minor - found, money)
    public_ids = tuple(entry.public_id for entry in placed)
    same = [code for code, minor in on.items() if minor == off.minor and code != row.account]
    if not same:
        words = f"{named} has {Money(found, money)} on {row.account}, out by {-off}"
        other = Finding(AMOUNT, row.row, words, named, entries=public_ids)
        return [_with_amounts(other, row, found)]
    words = f"{off} of {named} are expected on {row.account} and stand on {same[0]}"
    effects = tuple(
        Effect(code, "", row.currency, minor, minor, True, True)
        for code, minor in ((row.account, -off.minor), (same[0], off.minor))
    )
    elsewhere = Finding(CLASSIFICATION, row.row, words, named, entries=public_ids, effects=effects)
    return [_with_amounts(elsewhere, row, found)]


def _reversed(
    period: AccountingPeriod, row: PackRow, named: str, entry: JournalEntry
) -> list[Finding]:
    reversal = getattr(entry, "reversed_by", None)
    if bool(row.reversals) == (reversal is not None):
        return []
    if reversal is None:
        words = f"{named} is expected to be reversed and stands"
        sign, in_flow, in_stock = 1, True, True
        public_ids: tuple[str, ...] = (entry.public_id,)
    else:
        words = f"{named} is expected to stand and was reversed on {reversal.posting_on}"
        sign = -1
        in_flow = reversal.posting_on <= period.ends_on
        in_flow = in_flow and reversal.posting_on >= period.starts_on
        in_stock = reversal.posting_on <= period.ends_on
        public_ids = (entry.public_id, reversal.public_id)
    effects = [_effect(line, sign * in_flow, sign * in_stock) for line in entry.lines.all()]
    flat = tuple(each for sides in effects for each in sides)
    return [Finding(REVERSAL, row.row, words, named, entries=public_ids, effects=flat)]


def _effect(line: JournalLine, flow: int, stock: int) -> list[Effect]:
    """The line counted `flow` times in the period, `stock` times in the balances at its end."""
    code, tag = line.account.code, line.cash_flow_tag
    amount, reporting = line.amount_minor, line.reporting_minor
    money = line.currency
    if flow == stock:
        own = Effect(code, tag, money, flow * amount, flow * reporting, True, True)
        return [own] if flow else []
    return [
        Effect(code, tag, money, times * amount, times * reporting, in_flow, not in_flow)
        for times, in_flow in ((flow, True), (stock, False))
        if times
    ]


def _expected_alone(book: Book, period: AccountingPeriod, row: PackRow) -> tuple[Effect, ...]:
    """What an entry nobody posted would have put on the account the pack names."""
    if row.amount_minor is None or row.period > period.code:
        return ()
    own = row.amount_minor
    here = row.period == period.code
    return (Effect(row.account, "", row.currency, -own, -own, here, True),)


def _with_amounts(finding: Finding, row: PackRow, found: int) -> Finding:
    if row.amount_minor is None:
        return finding
    return replace(
        finding, currency=row.currency, expected_minor=row.amount_minor, found_minor=found
    )


def _entries_of(book: Book, references: set[str]) -> dict[str, list[JournalEntry]]:
    """By what the pack calls them: entry, subject, movement, posting key, merchant or PSP id."""
    if not references:
        return {}
    keys = {}
    for text in references:
        if text.startswith(f"{JournalEntry.PREFIX}_"):
            try:
                keys[ids.parse(text, JournalEntry.PREFIX)[1]] = text
            except ids.UnknownId:
                continue
    columns = (
        *("subject_id", "movement_ref", "idempotency_key"),
        *("merchant_reference", "psp_reference", "provider_transaction_id"),
    )
    wanted = Q(pk__in=list(keys))
    for column in columns:
        wanted |= Q(**{f"{column}__in": sorted(references)})
    entries = (
        JournalEntry.objects.filter(wanted, book=book)
        .select_related("period", "reversed_by")
        .prefetch_related("lines__account")
        .order_by("id")[: FOUND_MAX * max(1, len(references))]
    )
    found: dict[str, list[JournalEntry]] = defaultdict(list)
    for entry in entries:
        names = {keys.get(entry.pk, ""), *(getattr(entry, column) for column in columns)}
        for name in names & references:
            found[name].append(entry)
    return found


# ---- event classes -------------------------------------------------------------------------


def _of_classes(book: Book, period: AccountingPeriod, rows: Iterable[PackRow]) -> list[Finding]:
    counted = (
        JournalEntry.objects.filter(book=book, period=period)
        .values("event_class")
        .annotate(entries=Count("id"), reversed=Count("reversed_by"))
        .order_by("event_class")
    )
    posted = {each["event_class"]: (each["entries"], each["reversed"]) for each in counted}
    found: list[Finding] = []
    for row in rows:
        count, reversals = posted.pop(row.event_class, (0, 0))
        if row.count is not None and row.count != count:
            kind = MISSING if count < row.count else UNEXPECTED
            words = (
                f"{row.count} entries of {row.event_class} are expected in {period.code},"
                f" {count} are posted"
            )
            found.append(Finding(kind, row.row, words, row.event_class))
        if row.reversals is not None and row.reversals != reversals:
            words = (
                f"{row.reversals} entries of {row.event_class} in {period.code} are expected to be"
                f" reversed, {reversals} are"
            )
            found.append(Finding(REVERSAL, row.row, words, row.event_class))
    for event_class, (count, _) in posted.items():
        words = f"{count} entries of {event_class} are posted in {period.code}, none is listed"
        found.append(Finding(UNEXPECTED, 0, words, event_class))
    return found
