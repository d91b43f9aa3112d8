"""Xero: manual journals of the accounting interface as JSON (ERP-1).

From Xero's documents: a manual journal has no currency and is kept in the organisation's own, a
debit is a positive LineAmount and a credit a negative one, Narration is needed, lines sum to nil.
The file is the body of a POST to `ManualJournals`; the narration begins with the document number,
because a manual journal has no number of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from payops.formats.journals.base import (
    DOCUMENT,
    REPORTING,
    Document,
    Field,
    Limits,
    MappingSet,
    Rule,
    Setting,
    Target,
)
from payops.formats.journals.mapping import common_settings
from payops.formats.journals.numbers import Number, json_list, json_text

FIELDS = (
    Field(
        "Number", "Document number", Rule("document.number"), DOCUMENT, required=True, fixed=True
    ),
    Field(
        "Narration",
        "Narration",
        Rule("entry.description", default="Journal"),
        DOCUMENT,
        required=True,
        chars_max=4000,
        written=True,
    ),
    Field("Date", "Date", Rule("document.date"), DOCUMENT, required=True, fixed=True),
    Field(
        "Status",
        "Status",
        Rule(value="POSTED"),
        DOCUMENT,
        required=True,
        one_of=("DRAFT", "POSTED"),
    ),
    Field(
        "LineAmountTypes",
        "Tax in the amounts",
        Rule(value="NoTax"),
        DOCUMENT,
        required=True,
        one_of=("NoTax", "Exclusive", "Inclusive"),
    ),
    Field("LineAmount", "Amount", Rule("line.signed"), required=True, fixed=True),
    Field("AccountCode", "Account code", Rule("line.account"), required=True, chars_max=10),
    Field("Description", "Line description", Rule("entry.id"), chars_max=4000, written=True),
    Field("TaxType", "Tax type", Rule(value="NONE"), required=True, chars_max=50),
    Field("TrackingName", "Tracking category", Rule(), chars_max=100),
    Field("TrackingOption", "Tracking option", Rule("line.entity"), chars_max=100),
)


def body(document: Document) -> dict[str, Any]:
    return {
        "Narration": f"{document.of('Number')} {document.of('Narration')}",
        "Date": document.of("Date"),
        "Status": document.of("Status"),
        "LineAmountTypes": document.of("LineAmountTypes"),
        "JournalLines": [_line(row) for row in document.rows],
    }


def _line(row: Any) -> dict[str, Any]:
    said: dict[str, Any] = {
        "LineAmount": Number(row.of("LineAmount")),
        "AccountCode": row.of("AccountCode"),
        "TaxType": row.of("TaxType"),
    }
    if row.of("Description"):
        said["Description"] = row.of("Description")
    if row.of("TrackingName") and row.of("TrackingOption"):
        said["Tracking"] = [{"Name": row.of("TrackingName"), "Option": row.of("TrackingOption")}]
    return said


def write(documents: Iterable[Document], mapping: MappingSet) -> Iterator[bytes]:
    return json_list("ManualJournals", (fragment(document, mapping) for document in documents))


def fragment(document: Document, mapping: MappingSet) -> str:
    return json_text(body(document))


def _settings() -> tuple[Setting, ...]:
    """Its own currency is the only one it has."""
    return tuple(
        Setting(**{**_as_facts(each), "default": REPORTING}) if each.name == "amounts" else each
        for each in common_settings()
    )


def _as_facts(setting: Setting) -> dict[str, Any]:
    return {name: getattr(setting, name) for name in Setting.__dataclass_fields__}


TARGET = Target(
    key="xero",
    code="XE",
    name="Xero",
    extension="json",
    media_type="application/json",
    fields=FIELDS,
    settings=_settings(),
    limits=Limits(
        source="developer.xero.com, API limits",
        requests_per_minute=60,
        concurrent=5,
        words="per organisation, and 5,000 a day; an Idempotency-Key makes a repeat harmless",
    ),
    write=write,
    fragment=fragment,
    bases=(REPORTING,),
    decimals_max=2,
    digits_max=13,
)
