"""What the matrix screen shows: every event class by noun, in words, filtered by text.

Reads the tables of the ledger and the book's own policies; never the journal.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ledger import docs, policies
from ledger.accounts import BY_CODE, PARTY_WORDS
from ledger.matrix import MATRIX, MATRIX_VERSION, NOUNS, VERSIONS
from ledger.matrix_row import DR, MatrixRow, Pair
from payops.console.filters import Control, Filters, choices
from payops.console.formats import Fact, facts_of
from payops.core.models import Book

POLICY_WORDS = {
    policies.NONE: "not posted",
    policies.MEMO: "not posted; shown as a memo figure",
    policies.PENDING: "posted as a memo pair, 9100 / 9200",
    policies.NET: "net: only our fee is revenue",
    policies.GROSS: "gross: the whole sale is revenue",
    policies.RETURNED: "our fee is given back in proportion",
    policies.KEPT: "our fee is kept, the seller bears it",
}


@dataclass(frozen=True, slots=True)
class Side:
    """One line of the matrix in words: which account, which measure, kept per whom."""

    account: str
    name: str
    measure: str
    party: str

    @property
    def href(self) -> str:
        return f"/ledger/accounts/{self.account}/"


@dataclass(frozen=True, slots=True)
class Variant:
    """One way an event is posted; `applies`: the book's policies choose it."""

    name: str
    words: str
    debits: tuple[Side, ...]
    credits: tuple[Side, ...]
    applies: bool


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One event class with every column of the matrix."""

    row: MatrixRow
    variants: tuple[Variant, ...]
    facts: list[Fact]


@dataclass(frozen=True, slots=True)
class Group:
    """The classes of one noun."""

    noun: str
    anchor: str
    classes: tuple[ClassRow, ...]


@dataclass(frozen=True, slots=True)
class MatrixPage:
    """The matrix as it is applied now; `shown` of `total` classes match the filters."""

    version: int
    changes: tuple[tuple[int, str], ...]
    groups: tuple[Group, ...]
    policies: list[Fact]
    shown: int
    total: int


def controls() -> list[Control]:
    nouns = [(_anchor(noun), noun) for noun, _ in NOUNS]
    return [
        Control("q", "Find", placeholder="Account, word or class"),
        Control("noun", "About", "select", choices(nouns, any_label="Everything")),
    ]


def page(book: Book, wanted: Filters) -> MatrixPage:
    groups = tuple(_groups(book, wanted))
    return MatrixPage(
        version=MATRIX_VERSION,
        changes=tuple(sorted(VERSIONS.items(), reverse=True)),
        groups=groups,
        policies=[
            Fact("Authorisations", POLICY_WORDS[book.authorization_policy]),
            Fact("Sales", POLICY_WORDS[book.presentation]),
            Fact("Refunds", POLICY_WORDS[book.refund_fee_policy]),
        ],
        shown=sum(len(group.classes) for group in groups),
        total=len(MATRIX),
    )


def _groups(book: Book, wanted: Filters) -> Iterator[Group]:
    words = wanted["q"].casefold().split()
    exact = wanted["q"] if wanted["q"] in MATRIX else ""
    for noun, rows in NOUNS:
        if wanted["noun"] and wanted["noun"] != _anchor(noun):
            continue
        classes = tuple(
            _class_row(row, book)
            for row in rows
            if (row.event_class == exact if exact else _says(noun, row, words))
        )
        if classes:
            yield Group(noun, _anchor(noun), classes)


def _says(noun: str, row: MatrixRow, words: Sequence[str]) -> bool:
    """Whether the row has every word, in any column, variant, account code or account name."""
    if not words:
        return True
    pairs = (pair for variant in row.variants.values() for pair in variant)
    said = [
        noun,
        row.event_class,
        row.title,
        row.trigger,
        *row.variant_words.values(),
        *(f"{pair.account} {BY_CODE[pair.account].name} {pair.measure}" for pair in pairs),
        *(str(fact.value) for fact in _facts(row)),
    ]
    text = " ".join(said).casefold()
    return all(word in text for word in words)


def _policy_variant(row: MatrixRow, book: Book) -> str | None:
    """Which variant the book's policies choose; None where no policy decides."""
    if policies.PENDING in row.variants:
        return policies.authorization_variant(book)
    if policies.GROSS in row.variants:
        return policies.capture_variant(book)
    return None


def _class_row(row: MatrixRow, book: Book) -> ClassRow:
    chosen = _policy_variant(row, book)
    variants = tuple(
        Variant(
            name=name.replace("_", " "),
            words=row.variant_words[name],
            debits=tuple(_side(pair) for pair in pairs if pair.side == DR),
            credits=tuple(_side(pair) for pair in pairs if pair.side != DR),
            applies=name == chosen,
        )
        for name, pairs in row.variants.items()
    )
    return ClassRow(row, variants, _facts(row))


def _facts(row: MatrixRow) -> list[Fact]:
    return facts_of(
        Fact("Comes after", row.predecessor),
        Fact("Must be posted before", "; ".join(before.words for before in row.follows)),
        Fact("Must not be standing", ", ".join(row.excludes)),
        Fact("Trigger", row.trigger),
        Fact("References", ", ".join(row.references)),
        Fact("Checkpoint", row.checkpoint),
        Fact("Window", row.window),
        Fact("Matched by", row.match_anchor),
        Fact("When it is missed", row.exception_rule),
        Fact("Balance sheet", row.balance_sheet),
        Fact("Income statement", row.income_statement),
        Fact("Cash flow", row.cash_flow),
        Fact("Cash-flow tag", docs.tag_words(row)),
        Fact("Reversal", row.reversal_rule),
        Fact("Posted by", row.posted_by),
        Fact("Open accounts", ", ".join(row.open_accounts)),
    )


def _side(pair: Pair) -> Side:
    account = BY_CODE[pair.account]
    party = pair.role.replace("_", " ") or PARTY_WORDS[account.party_kind]
    return Side(account.code, account.name, pair.measure.replace("_", " "), party)


def _anchor(noun: str) -> str:
    return noun.casefold().replace(" ", "-")
