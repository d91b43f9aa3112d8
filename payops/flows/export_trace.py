"""One entry followed field by field into the file of its export (ERP-3, AU-3).

Works the documents out again with the mapping the file was made with, and looks for them in the
file itself. Changes nothing.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from django.db import transaction

from ledger import exporting
from ledger.exporting import Chosen
from ledger.models import Export, ExportFile, ExportItem, JournalEntry
from payops.core import evidence
from payops.flows import export_mapping
from payops.flows.export_file import said_by
from payops.formats.journals.base import Cell, Document, Line, Target
from payops.formats.journals.filling import Filling
from payops.formats.journals.registry import target as target_named

# Larger files are not opened for a page.
COMPARED_BYTES_MAX = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Step:
    """One value: what it was here, the rule, what it is there."""

    place: str
    field: str
    label: str
    source: str
    given: str
    rule: str
    value: str


@dataclass(frozen=True, slots=True)
class TracedDocument:
    """One document with every value of it; `in_file` None: the file was not opened."""

    number: str
    steps: list[Step]
    fragment: str
    in_file: bool | None

    @property
    def left_empty(self) -> list[str]:
        """Fields that no rule fills."""
        return list(
            dict.fromkeys(each.label for each in self.steps if not (each.source or each.value))
        )


@dataclass(frozen=True, slots=True)
class Summed:
    """A line of the entry and the line of the summary it was added to; 0: it stays here."""

    line: Line
    row: int
    document: str


@dataclass(frozen=True, slots=True)
class EntryTrace:
    """`entries` went into the same documents: 1, unless the day was summarised."""

    target: Target
    file: ExportFile
    entries: int
    documents: list[TracedDocument]
    summed: list[Summed]


def traced(*, export: Export, item: ExportItem, entry: JournalEntry) -> EntryTrace:
    """The documents of one entry as the latest file of its export has them."""
    target = target_named(export.target)
    file = ExportFile.objects.select_related("evidence__data_key").filter(export=export)
    latest = file.order_by("-attempt")[0]
    mapping = export_mapping.at_version(export.book, target, latest.mapping_version)
    chosen = _together(export, item, entry)
    filling = Filling(target, mapping, said_by(export.reference, export.book))
    read = partial(exporting.journals, book=export.book, by_party=mapping.by_party)
    with transaction.atomic():
        documents = [
            document
            for journal in read(chosen, mode=export.mode)
            for document in filling.documents_of(journal)
        ]
        alone = [Chosen(entry.pk, entry.posting_on, item.document_no)]
        own = list(read(alone, mode=exporting.DETAILED))
    text = _text_of(latest, target)
    return EntryTrace(
        target=target,
        file=latest,
        entries=len(chosen),
        documents=[
            TracedDocument(
                number=document.number,
                steps=list(_steps(document)),
                fragment=(shown := target.fragment(document, mapping)),
                in_file=None if text is None else shown in text,
            )
            for document in documents
        ],
        summed=_summed(own[0].lines, documents, filling)
        if export.mode == exporting.SUMMARISED
        else [],
    )


def _together(export: Export, item: ExportItem, entry: JournalEntry) -> list[Chosen]:
    """The entries behind the same document: those of the day, where days were summed up."""
    if export.mode == exporting.DETAILED:
        return [Chosen(entry.pk, entry.posting_on, item.document_no)]
    return exporting.taken(export, document_no=item.document_no)


def _steps(document: Document) -> list[Step]:
    steps = [_step("Document", cell) for cell in document.cells.values()]
    for place, row in enumerate(document.rows, 1):
        steps += [_step(f"Line {place}", cell) for cell in row.cells.values()]
    return steps


def _step(place: str, cell: Cell) -> Step:
    field = cell.field
    return Step(place, field.name, field.label, cell.source, cell.given, cell.how, cell.value)


def _summed(lines: Sequence[Line], documents: Sequence[Document], filling: Filling) -> list[Summed]:
    """Which row of which document took each line of the entry."""
    answer = []
    for line in lines:
        found = [
            (place, document.number)
            for document in documents
            for place, row in enumerate(document.rows, 1)
            if _took(row.line, line, filling)
        ]
        place, number = found[0] if found else (0, "")
        answer.append(Summed(line, place, number))
    return answer


def _took(row: Line, line: Line, filling: Filling) -> bool:
    if (row.account, row.account_name) != (line.account, line.account_name):
        return False
    if filling.mapping.by_party and row.party != line.party:
        return False
    if filling.mapping.basis == "entered" and not line.reporting_only:
        return row.currency == line.currency and (row.amount_minor > 0) == (line.amount_minor > 0)
    return (row.reporting_minor > 0) == (line.reporting_minor > 0)


def _text_of(file: ExportFile, target: Target) -> str | None:
    if file.size_bytes > COMPARED_BYTES_MAX:
        return None
    content = evidence.content_of(file.evidence)
    if target.inside:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            content = archive.read(target.inside)
    return content.decode()
