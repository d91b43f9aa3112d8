"""What the export screens show: batches, one batch with its files, one entry in its document.

Reads only; what goes along is decided by `ledger.exporting`. Serves ERP-3, ERP-6, AU-3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from django.db.models import Count, QuerySet

from approvals.models import PolicyVersion
from ledger.models import AccountingPeriod, Export, ExportFile, ExportItem, JournalEntry
from payops.console.filters import Control, Filters, choices
from payops.console.formats import Fact, facts_of
from payops.core.models import Book
from payops.flows import export_mapping
from payops.formats.journals.base import Target
from payops.formats.journals.numbers import decimal_text
from payops.formats.journals.registry import TARGETS

PERIODS_MAX = 36
WAITING_MAX = 100_000
MODE_WORDS = {"detailed": "Each entry", "summarised": "One a day"}


@dataclass(frozen=True, slots=True)
class TargetRow:
    """One target: by which mapping, and how many entries did not go to it yet."""

    target: Target
    version: PolicyVersion | None
    exports: int
    waiting: int
    waiting_since: date | None


@dataclass(frozen=True, slots=True)
class Sum:
    """Debits and credits of one currency; text, because a sum may be longer than one amount."""

    currency: str
    debit: str
    credit: str


@dataclass(frozen=True, slots=True)
class ExportRow:
    export: Export
    target: Target
    mode: str
    documents: int
    sums: list[Sum]


@dataclass(frozen=True, slots=True)
class ExportPage:
    """One batch; `attempt` is the number the next file would have."""

    row: ExportRow
    files: Sequence[ExportFile]
    facts: list[Fact]
    attempt: int
    next_version: int


def controls() -> list[Control]:
    targets = [(each.key, each.name) for each in TARGETS.values()]
    states = [(state.value, state.label) for state in Export.State]
    return [
        Control("target", "To", "select", choices(targets)),
        Control("state", "State", "select", choices(states)),
        Control("q", "Reference", placeholder="Begins with"),
    ]


def listed(book: Book, wanted: Filters) -> QuerySet[Export]:
    rows = Export.objects.filter(book=book).select_related("requested_by")
    for name in ("target", "state"):
        if wanted[name]:
            rows = rows.filter(**{name: wanted[name]})
    return rows.filter(reference__istartswith=wanted["q"]) if wanted["q"] else rows


def row_of(export: Export) -> ExportRow:
    totals = export.totals
    return ExportRow(
        export=export,
        target=TARGETS[export.target],
        mode=MODE_WORDS.get(export.mode, export.mode),
        documents=int(totals.get("documents", 0)),
        sums=sums_of(
            [(each, both["debit"], both["credit"]) for each, both in totals.get("sums", {}).items()]
        ),
    )


def sums_of(rows: Sequence[tuple[str, int, int]]) -> list[Sum]:
    return [
        Sum(currency, _grouped(debit, currency), _grouped(credit, currency))
        for currency, debit, credit in sorted(rows)
    ]


def _grouped(minor: int, currency: str) -> str:
    whole, point, decimals = decimal_text(minor, currency).partition(".")
    return f"{int(whole):,}{point}{decimals}"


def targets(book: Book, versions: dict[str, PolicyVersion]) -> list[TargetRow]:
    """Each target; what waits is counted only where something was exported before."""
    used = dict(
        Export.objects.filter(book=book).values_list("target").annotate(exports=Count("pk"))
    )
    return [_target_row(book, target, versions, used) for target in TARGETS.values()]


def _target_row(
    book: Book, target: Target, versions: dict[str, PolicyVersion], used: dict[str, int]
) -> TargetRow:
    waiting, since = 0, None
    if used.get(target.key):
        rows = waiting_for(book, target).order_by("posting_on")
        found = list(rows.values_list("posting_on", flat=True)[:WAITING_MAX])
        waiting, since = len(found), found[0] if found else None
    version = versions.get(export_mapping.name_of(target))
    return TargetRow(target, version, used.get(target.key, 0), waiting, since)


def waiting_for(book: Book, target: Target) -> QuerySet[JournalEntry]:
    gone = ExportItem.objects.filter(book=book, target=target.key).values("entry_id")
    return JournalEntry.objects.filter(book=book).exclude(pk__in=gone)


def ranges(book: Book) -> dict[str, tuple[date, date]]:
    rows = AccountingPeriod.objects.filter(book=book).order_by("-starts_on")[:PERIODS_MAX]
    return {row.code: (row.starts_on, row.ends_on) for row in rows}


def page_of(export: Export, *, next_version: int) -> ExportPage:
    files = list(
        ExportFile.objects.filter(export=export)
        .select_related("evidence__added_by")
        .order_by("-attempt")
    )
    row = row_of(export)
    totals = export.totals
    facts = facts_of(
        Fact("Amounts", "reporting currency" if totals.get("basis") != "entered" else "as entered"),
        Fact("Memo accounts", totals.get("memo", "")),
        Fact("Lines", totals.get("lines", "")),
        Fact("Made by", export.requested_by.name),
        Fact("Made", export.created_at, "when"),
    )
    return ExportPage(row, files, facts, len(files) + 1, next_version)


def items_of(export: Export) -> QuerySet[ExportItem]:
    return ExportItem.objects.filter(export=export).select_related("entry")


@dataclass(frozen=True, slots=True)
class EntryExport:
    """Where one entry went: the batch, the document, the latest file."""

    item: ExportItem
    target: Target
    file: ExportFile | None


def exports_of(entry: JournalEntry) -> list[EntryExport]:
    """For the page of the entry (AU-3: what was exported)."""
    items = ExportItem.objects.filter(entry=entry).select_related("export").order_by("target")
    found = list(items)
    files: dict[object, ExportFile] = {}
    for file in ExportFile.objects.filter(export__in=[i.export_id for i in found]).order_by(
        "attempt"
    ):
        files[file.export_id] = file
    return [EntryExport(i, TARGETS[i.target], files.get(i.export_id)) for i in found]
