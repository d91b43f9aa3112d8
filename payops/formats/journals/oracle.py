"""Oracle Fusion: journals for file-based data import into GL_INTERFACE, zipped (ERP-1).

From Oracle's documents of the table and of the import template: `GlInterface.csv` has no head line,
the columns stand in the template's order, STATUS is NEW, dates are YYYY/MM/DD, REFERENCE1 names the
batch, REFERENCE4 the journal and REFERENCE10 describes the line. Amounts are given in both
currencies and the conversion columns stay empty, so that no rate is applied a second time.
"""

from __future__ import annotations

import io
import zipfile
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
from payops.formats.journals.netsuite import lines_of

MEMBER = "GlInterface.csv"
SEGMENTS, OFFERED = 30, 6
# The same file twice has the same bytes.
MADE = (1980, 1, 1, 0, 0, 0)

HEAD = ("STATUS", "LEDGER_ID", "ACCOUNTING_DATE", "USER_JE_SOURCE_NAME", "USER_JE_CATEGORY_NAME")
COLUMNS = (
    *HEAD,
    "CURRENCY_CODE",
    "DATE_CREATED",
    "ACTUAL_FLAG",
    *(f"SEGMENT{number}" for number in range(1, SEGMENTS + 1)),
    "ENTERED_DR",
    "ENTERED_CR",
    "ACCOUNTED_DR",
    "ACCOUNTED_CR",
    *(f"REFERENCE{number}" for number in range(1, 11)),
    *(f"REFERENCE{number}" for number in range(21, 31)),
    "STAT_AMOUNT",
    "USER_CURRENCY_CONVERSION_TYPE",
    "CURRENCY_CONVERSION_DATE",
    "CURRENCY_CONVERSION_RATE",
    "GROUP_ID",
)


def _document(name: str, label: str, rule: Rule, **more: object) -> Field:
    return Field(name, label, rule, level=DOCUMENT, **more)  # type: ignore[arg-type]


FIELDS = (
    _document("STATUS", "Status", Rule(value="NEW"), required=True, fixed=True),
    _document(
        "LEDGER_ID",
        "Ledger id",
        Rule(value="300000000000001"),
        required=True,
        chars_max=18,
        legal="[0-9]{1,18}",
    ),
    _document(
        "ACCOUNTING_DATE", "Accounting date", Rule("document.date"), required=True, fixed=True
    ),
    _document(
        "USER_JE_SOURCE_NAME", "Journal source", Rule(value="PayOps"), required=True, chars_max=25
    ),
    _document(
        "USER_JE_CATEGORY_NAME",
        "Journal category",
        Rule(value="Payments"),
        required=True,
        chars_max=25,
    ),
    _document("DATE_CREATED", "Created", Rule("document.date"), required=True, fixed=True),
    _document("ACTUAL_FLAG", "Balance type", Rule(value="A"), required=True, fixed=True),
    _document("REFERENCE1", "Batch name", Rule("export.reference"), required=True, chars_max=100),
    _document("REFERENCE2", "Batch description", Rule("book.name"), chars_max=240, written=True),
    _document(
        "REFERENCE4",
        "Journal name",
        Rule("document.number"),
        required=True,
        chars_max=100,
        fixed=True,
    ),
    _document(
        "REFERENCE5", "Journal description", Rule("entry.description"), chars_max=240, written=True
    ),
    _document("REFERENCE6", "Journal reference", Rule("entry.id"), chars_max=100),
    Field("CURRENCY_CODE", "Currency", Rule("line.currency"), required=True, fixed=True),
    Field("SEGMENT1", "Segment 1", Rule(value="01"), chars_max=25),
    Field("SEGMENT2", "Segment 2 (account)", Rule("line.account"), required=True, chars_max=25),
    *(
        Field(f"SEGMENT{number}", f"Segment {number}", Rule(), chars_max=25)
        for number in range(3, OFFERED + 1)
    ),
    Field("ENTERED_DR", "Entered debit", Rule("line.debit"), fixed=True),
    Field("ENTERED_CR", "Entered credit", Rule("line.credit"), fixed=True),
    Field("ACCOUNTED_DR", "Accounted debit", Rule("line.reporting_debit"), fixed=True),
    Field("ACCOUNTED_CR", "Accounted credit", Rule("line.reporting_credit"), fixed=True),
    Field(
        "REFERENCE10", "Line description", Rule("line.account_name"), chars_max=240, written=True
    ),
    Field("REFERENCE21", "Reference column 1", Rule("line.party"), chars_max=240),
    Field("REFERENCE22", "Reference column 2", Rule("entry.event_class"), chars_max=240),
    Field("REFERENCE23", "Reference column 3", Rule("entry.subject_id"), chars_max=240),
)


def rows(document: Document) -> Iterator[list[str]]:
    head = {name: cell.value for name, cell in document.cells.items()}
    for row in document.rows:
        said = {**head, **{name: cell.value for name, cell in row.cells.items()}}
        yield [said.get(name, "") for name in COLUMNS]


def write(documents: Iterable[Document], mapping: MappingSet) -> Iterator[bytes]:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        info = zipfile.ZipInfo(MEMBER, MADE)
        info.compress_type = zipfile.ZIP_DEFLATED
        with archive.open(info, "w", force_zip64=True) as member:
            for document in documents:
                member.write(lines_of([rows(document)]).encode())
    yield packed.getvalue()


def fragment(document: Document, mapping: MappingSet) -> str:
    return lines_of([rows(document)])


TARGET = Target(
    key="oracle",
    code="OR",
    name="Oracle Fusion",
    extension="zip",
    media_type="application/zip",
    fields=FIELDS,
    settings=(
        *common_settings(unmapped="as is"),
        Setting(
            "date_format", "Dates", "YYYY/MM/DD", required=True, one_of=("YYYY/MM/DD",), help=""
        ),
    ),
    limits=Limits(
        source="docs.oracle.com, File-Based Data Import",
        words="one file at a time: import, then Import Journals for the source",
    ),
    write=write,
    fragment=fragment,
    inside=MEMBER,
    spreadsheet=True,
    reporting_balances=True,
)
