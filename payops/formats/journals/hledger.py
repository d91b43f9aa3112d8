"""hledger: a journal file that `hledger check` accepts in strict mode (ERP-1).

From hledger's manual: an account name ends at two blanks, a description at a semicolon, a code
stands in brackets, tags are `name:value` in comments and end at a comma. Every account and
commodity is declared at the end, where all of them are known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from payops.core.money import exponent_of
from payops.formats.journals.base import (
    DOCUMENT,
    Document,
    Field,
    Limits,
    MappingSet,
    Rule,
    Target,
)
from payops.formats.journals.mapping import common_settings

ROOTS = {
    "asset": "assets",
    "liability": "liabilities",
    "equity": "equity",
    "revenue": "revenues",
    "expense": "expenses",
    "memo": "equity:memo",
}
# Words and colons; one blank at a time, because two end an account.
ACCOUNT = r"[\w./@+&'()-]+(?:[ :][\w./@+&'()-]+)*"
FIELDS = (
    Field("date", "Date", Rule("document.date"), DOCUMENT, required=True, fixed=True),
    Field("code", "Code", Rule("document.number"), DOCUMENT, required=True, fixed=True),
    Field(
        "description",
        "Description",
        Rule("entry.description"),
        DOCUMENT,
        chars_max=400,
        written=True,
        forbidden=";",
    ),
    Field("entry", "Tag entry", Rule("entry.id"), DOCUMENT, written=True, forbidden=",;:"),
    Field("event", "Tag event", Rule("entry.event_class"), DOCUMENT, written=True, forbidden=",;:"),
    Field(
        "subject", "Tag subject", Rule("entry.subject_id"), DOCUMENT, written=True, forbidden=",;:"
    ),
    Field("account", "Account", Rule("line.account"), required=True, chars_max=200, legal=ACCOUNT),
    Field("party", "Sub-account", Rule("line.entity"), chars_max=120, legal=ACCOUNT),
    Field("amount", "Amount", Rule("line.signed"), required=True, fixed=True),
    Field("commodity", "Commodity", Rule("line.currency"), required=True, fixed=True),
)
TAGS = ("entry", "event", "subject")


def usual_account(code: str, name: str, kind: str) -> str:
    words = " ".join("".join(c if c.isalnum() or c in "-" else " " for c in name).split())
    return f"{ROOTS[kind]}:{code} {words}"


def account_of(row: dict[str, str]) -> str:
    return f"{row['account']}:{row['party']}" if row["party"] else row["account"]


def write(documents: Iterable[Document], mapping: MappingSet) -> Iterator[bytes]:
    accounts: dict[str, None] = {}
    commodities: dict[str, None] = {}
    yield b"decimal-mark .\n"
    for document in documents:
        for row in document.rows:
            said = {name: cell.value for name, cell in row.cells.items()}
            accounts[account_of(said)] = None
            commodities[said["commodity"]] = None
        yield f"\n{fragment(document, mapping)}".encode()
    yield "".join(
        ["\n"]
        + [f"account {name}\n" for name in sorted(accounts)]
        + [f"commodity 1000.{'0' * exponent_of(each)} {each}\n" for each in sorted(commodities)]
    ).encode()


def fragment(document: Document, mapping: MappingSet) -> str:
    tags = ", ".join(f"{name}:{document.of(name)}" for name in TAGS if document.of(name))
    head = f"{document.of('date')} * ({document.of('code')}) {document.of('description')}".rstrip()
    lines = [f"{head}  ; {tags}" if tags else head]
    for row in document.rows:
        said = {name: cell.value for name, cell in row.cells.items()}
        lines.append(f"    {account_of(said)}  {said['amount']} {said['commodity']}")
    return "\n".join(lines) + "\n"


TARGET = Target(
    key="hledger",
    code="HL",
    name="hledger",
    extension="journal",
    media_type="text/plain",
    fields=FIELDS,
    settings=common_settings(memo="keep", unmapped="as is"),
    limits=Limits(source="a file; no interface", words="none"),
    write=write,
    fragment=fragment,
    account_words="words with a colon between levels and one blank at a time",
    usual_account=usual_account,
)
