"""beancount: a file that `bean-check` accepts (ERP-1).

From beancount's syntax: an account is one of five roots and parts of letters, digits and dashes
that begin with a capital or a digit; texts stand in double quotes; every account is opened on or
before its first day. The order of directives does not matter, so they stand at the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date

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
    "asset": "Assets",
    "liability": "Liabilities",
    "equity": "Equity",
    "revenue": "Income",
    "expense": "Expenses",
    "memo": "Equity:Memo",
}
PART = "[A-Z0-9][A-Za-z0-9-]*"
FIELDS = (
    Field("date", "Date", Rule("document.date"), DOCUMENT, required=True, fixed=True),
    Field(
        "narration",
        "Narration",
        Rule("entry.description"),
        DOCUMENT,
        chars_max=400,
        written=True,
    ),
    Field("number", "number", Rule("document.number"), DOCUMENT, required=True, fixed=True),
    Field("entry", "entry", Rule("entry.id"), DOCUMENT, written=True),
    Field("event", "event", Rule("entry.event_class"), DOCUMENT, written=True),
    Field("subject", "subject", Rule("entry.subject_id"), DOCUMENT, written=True),
    Field(
        "account",
        "Account",
        Rule("line.account"),
        required=True,
        chars_max=200,
        legal=f"(?:Assets|Liabilities|Equity|Income|Expenses)(?::{PART})+",
    ),
    Field("party", "Sub-account", Rule("line.entity"), chars_max=120, legal=PART),
    Field("amount", "Amount", Rule("line.signed"), required=True, fixed=True),
    Field("commodity", "Commodity", Rule("line.currency"), required=True, fixed=True),
)
NOTES = ("number", "entry", "event", "subject")


def part_of(text: str) -> str:
    """One part of an account's name; that two texts do not come out the same is checked."""
    made = "".join(each if each.isascii() and each.isalnum() else "-" for each in text)
    made = made[:1].upper() + made[1:]
    return made if made[:1].isalnum() else f"P{made}"


def usual_account(code: str, name: str, kind: str) -> str:
    words = "".join(c if c.isascii() and c.isalnum() else " " for c in name).split()
    return f"{ROOTS[kind]}:{code}-{'-'.join(words)}"


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def account_of(said: dict[str, str]) -> str:
    return f"{said['account']}:{said['party']}" if said["party"] else said["account"]


def write(documents: Iterable[Document], mapping: MappingSet) -> Iterator[bytes]:
    opened: dict[str, date] = {}
    for document in documents:
        day = document.journal.posting_on
        for row in document.rows:
            account = account_of({name: cell.value for name, cell in row.cells.items()})
            opened[account] = min(day, opened.get(account, day))
        yield (fragment(document, mapping) + "\n").encode()
    yield "".join(f"{opened[name]} open {name}\n" for name in sorted(opened)).encode()


def fragment(document: Document, mapping: MappingSet) -> str:
    lines = [f"{document.of('date')} * {quoted(document.of('narration'))}"]
    lines += [f"  {name}: {quoted(document.of(name))}" for name in NOTES if document.of(name)]
    for row in document.rows:
        said = {name: cell.value for name, cell in row.cells.items()}
        lines.append(f"  {account_of(said)}  {said['amount']} {said['commodity']}")
    return "\n".join(lines) + "\n"


TARGET = Target(
    key="beancount",
    code="BC",
    name="beancount",
    extension="beancount",
    media_type="text/plain",
    fields=FIELDS,
    settings=common_settings(memo="keep", unmapped="as is"),
    limits=Limits(source="a file; no interface", words="none"),
    write=write,
    fragment=fragment,
    account_words="a root such as Assets, then parts of letters, digits and dashes that begin "
    "with a capital or a digit, such as Assets:1000-Cash",
    usual_account=usual_account,
    usual_party=part_of,
)
