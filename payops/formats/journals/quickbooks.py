"""QuickBooks Online: JournalEntry objects of the accounting interface as JSON (ERP-1).

From Intuit's documents: DocNumber has at most 21 characters, a line carries its side as
PostingType, CurrencyRef and ExchangeRate (home units per unit) hold for the whole entry, a party is
an Entity of a type. Each element is the body of one POST to `journalentry`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from payops.formats.journals.base import DOCUMENT, Document, Field, Limits, MappingSet, Rule, Target
from payops.formats.journals.mapping import common_settings
from payops.formats.journals.numbers import Number, json_list, json_text

DOC_NUMBER_MAX = 21
FIELDS = (
    Field(
        "DocNumber",
        "Document number",
        Rule("document.number"),
        DOCUMENT,
        required=True,
        chars_max=DOC_NUMBER_MAX,
        fixed=True,
    ),
    Field("TxnDate", "Date", Rule("document.date"), DOCUMENT, required=True, fixed=True),
    Field(
        "CurrencyRef", "Currency", Rule("document.currency"), DOCUMENT, required=True, fixed=True
    ),
    Field("ExchangeRate", "Exchange rate", Rule("document.rate"), DOCUMENT, fixed=True),
    Field(
        "PrivateNote",
        "Private note",
        Rule("entry.description"),
        DOCUMENT,
        chars_max=4000,
        written=True,
    ),
    Field("Description", "Line description", Rule("entry.id"), chars_max=4000, written=True),
    Field("Amount", "Amount", Rule("line.amount"), required=True, fixed=True),
    Field("PostingType", "Side", Rule("line.side"), required=True, fixed=True),
    Field("AccountRef", "Account", Rule("line.account"), required=True, chars_max=100),
    Field("AccountName", "Account name", Rule("line.account_name"), chars_max=100, written=True),
    Field("EntityRef", "Party (entity)", Rule("line.entity"), chars_max=100),
    Field(
        "EntityType",
        "Kind of party",
        Rule(value="Vendor"),
        one_of=("Customer", "Vendor", "Employee"),
    ),
    Field("ClassRef", "Class", Rule(), chars_max=100),
    Field("DepartmentRef", "Department", Rule(), chars_max=100),
)


def body(document: Document) -> dict[str, Any]:
    """One JournalEntry; empty fields are left out, as the interface wants it."""
    head: dict[str, Any] = {
        "DocNumber": document.of("DocNumber"),
        "TxnDate": document.of("TxnDate"),
        "CurrencyRef": {"value": document.of("CurrencyRef")},
    }
    if document.of("ExchangeRate"):
        head["ExchangeRate"] = Number(document.of("ExchangeRate"))
    if document.of("PrivateNote"):
        head["PrivateNote"] = document.of("PrivateNote")
    return {**head, "Line": [_line(row) for row in document.rows]}


def _line(row: Any) -> dict[str, Any]:
    account = {"value": row.of("AccountRef")}
    if row.of("AccountName"):
        account["name"] = row.of("AccountName")
    detail: dict[str, Any] = {"PostingType": row.of("PostingType"), "AccountRef": account}
    if row.of("EntityRef"):
        detail["Entity"] = {
            "Type": row.of("EntityType"),
            "EntityRef": {"value": row.of("EntityRef")},
        }
    for name in ("ClassRef", "DepartmentRef"):
        if row.of(name):
            detail[name] = {"value": row.of(name)}
    said = {"Description": row.of("Description")} if row.of("Description") else {}
    return {
        **said,
        "Amount": Number(row.of("Amount")),
        "DetailType": "JournalEntryLineDetail",
        "JournalEntryLineDetail": detail,
    }


def write(documents: Iterable[Document], mapping: MappingSet) -> Iterator[bytes]:
    return json_list("JournalEntry", (fragment(document, mapping) for document in documents))


def fragment(document: Document, mapping: MappingSet) -> str:
    return json_text(body(document))


TARGET = Target(
    key="quickbooks",
    code="QB",
    name="QuickBooks Online",
    extension="json",
    media_type="application/json",
    fields=FIELDS,
    settings=common_settings(),
    limits=Limits(
        source="developer.intuit.com, API call limits and throttles",
        requests_per_minute=500,
        requests_per_second=10,
        concurrent=10,
        batches_per_minute=40,
        documents_per_batch=30,
        words="per company (realm); a 429 is waited out for 60 seconds",
    ),
    write=write,
    fragment=fragment,
    per_currency=True,
    decimals_max=5,
    digits_max=10,
    number_max=DOC_NUMBER_MAX,
)
