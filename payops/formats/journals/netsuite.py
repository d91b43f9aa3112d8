"""NetSuite: journal entries for the CSV Import Assistant, one row per line (ERP-1).

From its help pages on importing journal entries: columns are the field labels, rows of one
ExternalId are one entry, an entry has one currency and at least two lines that balance, amounts
have at most 10 digits before and 2 after the point, an ExternalId that is known is not imported
again. Dates are in the form the account prefers.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator

from payops.formats.journals.base import (
    DOCUMENT,
    Document,
    Field,
    Limits,
    MappingSet,
    Rule,
    Setting,
    Target,
)
from payops.formats.journals.mapping import common_settings

CHUNK_DOCUMENTS = 500


def _head(name: str, label: str, source: str, **more: object) -> Field:
    return Field(name, label, Rule(source), level=DOCUMENT, fixed=True, required=True, **more)  # type: ignore[arg-type]


FIELDS = (
    _head("ExternalId", "External id", "document.number", chars_max=100),
    _head("Date", "Date", "document.date"),
    Field("Subsidiary", "Subsidiary", Rule("book.name"), DOCUMENT, required=True, chars_max=200),
    _head("Currency", "Currency", "document.currency"),
    Field("Exchange Rate", "Exchange rate", Rule("document.rate"), DOCUMENT, fixed=True),
    Field("Memo", "Memo", Rule("entry.description"), DOCUMENT, chars_max=999, written=True),
    Field("Account", "Account", Rule("line.account"), required=True, chars_max=120),
    Field("Debit", "Debit", Rule("line.debit"), fixed=True),
    Field("Credit", "Credit", Rule("line.credit"), fixed=True),
    Field("Line Memo", "Line memo", Rule("entry.id"), chars_max=999, written=True),
    Field("Name", "Name (entity)", Rule("line.entity"), chars_max=120),
    Field("Class", "Class", Rule(), chars_max=120),
    Field("Department", "Department", Rule(), chars_max=120),
    Field("Location", "Location", Rule(), chars_max=120),
)


def rows(document: Document) -> Iterator[list[str]]:
    """The header fields stand on every row, so that a row is whole by itself."""
    head = {name: cell.value for name, cell in document.cells.items()}
    for row in document.rows:
        said = {**head, **{name: cell.value for name, cell in row.cells.items()}}
        yield [said[field.name] for field in FIELDS]


def lines_of(documents: Iterable[Iterable[list[str]]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    for document in documents:
        writer.writerows(document)
    return text.getvalue()


def write(documents: Iterable[Document], mapping: MappingSet) -> Iterator[bytes]:
    yield lines_of([[[field.name for field in FIELDS]]]).encode()
    waiting: list[Document] = []
    for document in documents:
        waiting.append(document)
        if len(waiting) == CHUNK_DOCUMENTS:
            yield lines_of(rows(each) for each in waiting).encode()
            waiting = []
    yield lines_of(rows(each) for each in waiting).encode()


def fragment(document: Document, mapping: MappingSet) -> str:
    return lines_of([rows(document)])


TARGET = Target(
    key="netsuite",
    code="NS",
    name="NetSuite",
    extension="csv",
    media_type="text/csv",
    fields=FIELDS,
    settings=(
        *common_settings(),
        Setting(
            "date_format",
            "Dates",
            "MM/DD/YYYY",
            required=True,
            one_of=("MM/DD/YYYY", "DD/MM/YYYY", "YYYY-MM-DD", "DD.MM.YYYY"),
            help="As the importing user prefers them.",
        ),
    ),
    limits=Limits(
        source="docs.oracle.com, NetSuite: Web Services and RESTlet Concurrency Governance",
        concurrent=15,
        words="15 at once on the standard tier, 10 more per SuiteCloud Plus licence; a request "
        "ends after 15 minutes; a CSV import takes 25,000 rows",
    ),
    write=write,
    fragment=fragment,
    per_currency=True,
    spreadsheet=True,
    decimals_max=2,
    digits_max=10,
    usual_account=lambda code, name, kind: f"{code} {name}",
)
