"""Which entries go to an ERP, and how they read on the way: one by one or summed up per day.

Owns the choice (an entry goes to a target once), the numbers of documents, and the sums that an
export must have. Never changes an entry. Serves ERP-1, ERP-6, ERP-9 and I15.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import Count, Exists, OuterRef, QuerySet

from ledger.models import Export, ExportItem, JournalEntry
from payops.core import bulk, ids, locks
from payops.core.models import Book
from payops.formats.journals.base import ENTERED, Journal, Line, MappingSet, Target
from payops.formats.journals.registry import document_number

ENTRIES_MAX = 100_000
# Few enough that the lines of so many entries are looked up, never a whole table read.
ENTRIES_AT_ONCE = 500
DETAILED, SUMMARISED = "detailed", "summarised"
LISTED_MAX = 50
SERIAL = re.compile(r"-(\d{4,})$")


@dataclass(frozen=True, slots=True)
class Scope:
    """The entries of a book in a range of posting days, seen from one target."""

    book: Book
    target: Target
    from_on: date
    to_on: date

    def entries(self) -> QuerySet[JournalEntry]:
        return JournalEntry.objects.filter(
            book=self.book, posting_on__gte=self.from_on, posting_on__lte=self.to_on
        )

    def waiting(self) -> QuerySet[JournalEntry]:
        """Those that did not go to the target yet."""
        gone = ExportItem.objects.filter(
            book=self.book, target=self.target.key, entry_id=OuterRef("pk")
        )
        return self.entries().filter(~Exists(gone))


class Chosen(NamedTuple):
    """One entry of an export and the number of the document it goes into."""

    entry_key: UUID
    posting_on: date
    number: str


def hold(book: Book, target: Target) -> None:
    """One export of a book to a target at a time, until the transaction ends."""
    locks.name(f"export:{book.pk}:{target.key}")


def waiting_keys(scope: Scope, limit: int, *, gone_too: bool = False) -> list[tuple[UUID, date]]:
    """Entries to export in their order; one more than `limit` when there are more."""
    found = scope.entries() if gone_too else scope.waiting()
    rows = found.order_by("posting_on", "pk")
    return list(rows.values_list("pk", "posting_on")[: limit + 1])


def last_day(book: Book) -> date | None:
    """The latest posting day there is."""
    days = JournalEntry.objects.filter(book=book).order_by("-posting_on")
    return days.values_list("posting_on", flat=True).first()


def gone_already(scope: Scope) -> list[tuple[str, int]]:
    """(reference, entries) of the exports that have entries of the range."""
    items = ExportItem.objects.filter(
        book=scope.book, target=scope.target.key, entry__in=scope.entries()
    )
    rows = items.values("export__reference").annotate(entries=Count("pk"))
    return [
        (row["export__reference"], row["entries"]) for row in rows.order_by("export__reference")
    ]


def numbered(
    keys: Sequence[tuple[UUID, date]], *, target: Target, reference: str, mode: str
) -> list[Chosen]:
    """Each entry with its document: one of its own, or that of its day."""
    chosen: list[Chosen] = []
    place, day = 0, None
    for key, posting_on in keys:
        if mode == DETAILED or posting_on != day:
            place, day = place + 1, posting_on
        number = document_number(target, reference=reference, place=place)
        chosen.append(Chosen(key, posting_on, number))
    return chosen


def taken(export: Export, *, document_no: str = "") -> list[Chosen]:
    """The entries of an export as they were numbered when it was made, or those of one document."""
    items = ExportItem.objects.filter(export=export)
    if document_no:
        items = items.filter(document_no=document_no)
    rows = items.order_by("entry__posting_on", "entry_id")
    return [
        Chosen(*row) for row in rows.values_list("entry_id", "entry__posting_on", "document_no")
    ]


def next_reference(*, book: Book, target: Target, prefix: str, day: date) -> str:
    """Such as MER-NS-2026-03-0001; unique per book, counted under `hold`."""
    begin = f"{prefix}-{target.code}-{day:%Y-%m}-"
    known = Export.objects.filter(book=book, reference__startswith=begin)
    numbers = [SERIAL.search(each) for each in known.values_list("reference", flat=True)]
    last = max((int(found.group(1)) for found in numbers if found), default=0)
    return f"{begin}{last + 1:04d}"


def take(export: Export, chosen: Sequence[Chosen]) -> None:
    """Write who goes along; the database refuses an entry that went to the target before."""
    columns = ("book_id", "export_id", "target", "entry_id", "document_no")
    rows = [
        (export.book_id, export.pk, export.target, each.entry_key, each.number) for each in chosen
    ]
    bulk.copy(ExportItem._meta.db_table, columns, rows)


# ---- how they read ------------------------------------------------------------------------------

TEXTS = (
    ("entry.description", "e.description"),
    ("entry.event_class", "e.event_class"),
    ("entry.subject_id", "e.subject_id"),
    ("entry.period", "p.code"),
    ("entry.occurred_on", "(e.occurred_at AT TIME ZONE %(zone)s)::date::text"),
    ("entry.merchant_reference", "e.merchant_reference"),
    ("entry.psp_reference", "e.psp_reference"),
    ("entry.case_id", "e.case_id"),
    ("entry.approval_id", "e.approval_id"),
)
# What moves the reporting currency alone stands in the currency that it revalues.
REVALUED = """CASE WHEN l.amount_minor = 0 AND l.currency = %(home)s THEN coalesce(
  (SELECT min(r.currency) FROM ledger_journalline r WHERE r.entry_id = l.entry_id
    AND r.amount_minor = 0 AND r.currency <> %(home)s), l.currency) ELSE l.currency END"""
LINE = ("a.code", "a.name", "a.kind", "l.party", REVALUED, "l.amount_minor", "l.reporting_minor")
DETAILED_SQL = f"""
SELECT c.place, e.id, e.posting_on, {", ".join(column for _, column in TEXTS)}, {", ".join(LINE)}
FROM unnest(%(keys)s::uuid[]) WITH ORDINALITY AS c(id, place)
JOIN ledger_journalentry e ON e.id = c.id
JOIN ledger_accountingperiod p ON p.id = e.period_id
JOIN ledger_journalline l ON l.entry_id = e.id
JOIN ledger_account a ON a.id = l.account_id
ORDER BY c.place, l.position"""
SUMMARISED_SQL = f"""
SELECT e.posting_on, a.code, a.name, a.kind, CASE WHEN %(party)s THEN l.party ELSE '' END,
  {REVALUED}, sum(l.amount_minor), sum(l.reporting_minor)
FROM unnest(%(keys)s::uuid[]) AS c(id)
JOIN ledger_journalentry e ON e.id = c.id
JOIN ledger_journalline l ON l.entry_id = e.id
JOIN ledger_account a ON a.id = l.account_id
GROUP BY e.posting_on, a.code, a.name, a.kind, 5, 6, sign(l.amount_minor),
  CASE WHEN l.amount_minor = 0 THEN sign(l.reporting_minor) ELSE 0 END
ORDER BY e.posting_on, 6, a.code, 5, sign(l.amount_minor) DESC, 8 DESC"""
SUMS_SQL = """
SELECT l.currency, sum(greatest(l.amount_minor, 0)), sum(greatest(-l.amount_minor, 0)),
  sum(greatest(l.reporting_minor, 0)), sum(greatest(-l.reporting_minor, 0)),
  coalesce(sum(greatest(l.reporting_minor, 0)) FILTER (WHERE l.amount_minor = 0), 0),
  coalesce(sum(greatest(-l.reporting_minor, 0)) FILTER (WHERE l.amount_minor = 0), 0)
FROM unnest(%(keys)s::uuid[]) AS c(id)
JOIN ledger_journalline l ON l.entry_id = c.id
JOIN ledger_account a ON a.id = l.account_id
WHERE a.kind <> 'memo' OR %(memo)s GROUP BY l.currency"""


def journals(
    chosen: Sequence[Chosen], *, book: Book, mode: str, by_party: bool
) -> Iterator[Journal]:
    """The entries as they are handed on, in their order and in bounded memory."""
    if mode == SUMMARISED:
        yield from _summaries(chosen, book, by_party)
    else:
        yield from _details(chosen, book)


def _details(chosen: Sequence[Chosen], book: Book) -> Iterator[Journal]:
    for start in range(0, len(chosen), ENTRIES_AT_ONCE):
        yield from _some_details(chosen[start : start + ENTRIES_AT_ONCE], book)


def _some_details(chosen: Sequence[Chosen], book: Book) -> Iterator[Journal]:
    values = {"keys": _keys(chosen), "zone": book.time_zone, "home": book.reporting_currency}
    texts = [name for name, _ in TEXTS]
    first_line = 3 + len(texts)
    for place, group in groupby(_rows(DETAILED_SQL, values), key=itemgetter(0)):
        rows = list(group)
        _, key, posting_on, *rest = rows[0]
        entry_id = ids.render(JournalEntry.PREFIX, key)
        yield Journal(
            number=chosen[place - 1].number,
            posting_on=posting_on,
            reporting_currency=book.reporting_currency,
            lines=tuple(Line(*row[first_line:]) for row in rows),
            said={"entry.id": entry_id, **dict(zip(texts, rest, strict=False))},
            entry_id=entry_id,
        )


def _summaries(chosen: Sequence[Chosen], book: Book, by_party: bool) -> Iterator[Journal]:
    numbers = {each.posting_on: each.number for each in chosen}
    counts = Counter(each.posting_on for each in chosen)
    values = {"keys": _keys(chosen), "party": by_party, "home": book.reporting_currency}
    for day, rows in groupby(_rows(SUMMARISED_SQL, values), key=itemgetter(0)):
        entries = "1 entry" if counts[day] == 1 else f"{counts[day]} entries"
        yield Journal(
            number=numbers[day],
            posting_on=day,
            reporting_currency=book.reporting_currency,
            lines=tuple(_summed(row) for row in rows),
            said={
                "entry.description": f"{entries} of {day}, summarised",
                "entry.period": f"{day:%Y-%m}",
                "entry.occurred_on": str(day),
            },
        )


def _summed(row: tuple[Any, ...]) -> Line:
    _, code, name, kind, party, currency, amount, reporting = row
    return Line(code, name, kind, party, currency, int(amount), int(reporting))


def sums_of(
    chosen: Sequence[Chosen], *, book: Book, target: Target, mapping: MappingSet
) -> dict[tuple[str, str], int]:
    """(currency, side) → what the documents must add up to, asked of the ledger itself (I15)."""
    values = {"keys": _keys(chosen), "memo": mapping.keeps_memo}
    return expected(
        _rows(SUMS_SQL, values),
        reporting=book.reporting_currency,
        basis=mapping.basis,
        splits=target.per_currency,
    )


def expected(
    rows: Sequence[Sequence[Any]], *, reporting: str, basis: str, splits: bool
) -> dict[tuple[str, str], int]:
    """Rows are (currency, debit, credit, reporting ones, those of reporting-only lines)."""
    sums: Counter[tuple[str, str]] = Counter()
    for currency, debit, credit, in_debit, in_credit, only_debit, only_credit in rows:
        if basis != ENTERED:
            sums[reporting, "debit"] += int(in_debit)
            sums[reporting, "credit"] += int(in_credit)
            continue
        sums[currency, "debit"] += int(debit)
        sums[currency, "credit"] += int(credit)
        if splits:
            # Such lines have a document of their own in that currency.
            sums[reporting, "debit"] += int(only_debit)
            sums[reporting, "credit"] += int(only_credit)
    return {place: minor for place, minor in sums.items() if minor}


def _keys(chosen: Sequence[Chosen]) -> str:
    return bulk.array(each.entry_key for each in chosen)


def _rows(statement: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall()
