"""What the parity screens show: packs, one pack with its differences, a file before it is kept.

Explained and unexplained differences stand apart (F13). Reads only. Serves RP-2, RP-3.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.urls import reverse

from ledger import parity
from ledger.models import AccountingPeriod, ReferencePack
from ledger.parity_figures import STATEMENT_KINDS
from ledger.parity_parts import KIND_WORDS, Difference
from payops.console.exports import Columns
from payops.console.filters import Control, Filters, choices
from payops.console.reads.case_file import Document, documents_of
from payops.console.sums import decimal_text
from payops.core.models import Book
from payops.formats.reference_pack import ENTRIES, REPORTING

STATE_WORDS = {
    ReferencePack.State.COMPARED: ("Compared", "info"),
    ReferencePack.State.AWAITING_APPROVAL: ("Verdict asked for", "warn"),
    ReferencePack.State.ACCEPTED: ("Accepted", "good"),
    ReferencePack.State.REJECTED: ("Rejected", "bad"),
}
CSV: Columns = (
    ("no", "difference.name"),
    ("kind", "difference.kind"),
    ("pack_line", "difference.row"),
    ("statement", "difference.statement"),
    ("place", "difference.place"),
    ("party", "difference.party"),
    ("in_the_pack", "expected"),
    ("in_the_books", "found"),
    ("currency", "difference.money"),
    ("explained_by", "explained_by"),
    ("words", "difference.words"),
    ("entries", lambda row: " ".join(row.difference.entries)),
)


@dataclass(frozen=True, slots=True)
class Shown:
    """One difference; `href` leads to the statement it is in."""

    difference: Difference
    kind: str
    statement: str
    href: str
    explained_by: str

    @property
    def expected(self) -> str:
        return self._text(self.difference.expected_minor)

    @property
    def found(self) -> str:
        return self._text(self.difference.found_minor)

    def _text(self, minor: int | None) -> str:
        if minor is None or not self.difference.money:
            return ""
        return decimal_text(minor, self.difference.money)


@dataclass(frozen=True, slots=True)
class Count:
    """How many differences of a kind there are."""

    words: str
    count: int


@dataclass(frozen=True, slots=True)
class Differences:
    """What a comparison found: what must be named in the reason, and what follows from it."""

    unexplained: list[Shown]
    explained: list[Shown]
    counts: list[Count]

    @property
    def total(self) -> int:
        return len(self.unexplained) + len(self.explained)


@dataclass(frozen=True, slots=True)
class PackPage:
    pack: ReferencePack
    word: str
    tone: str
    found: Differences
    documents: list[Document]
    may_compare: bool


@dataclass(frozen=True, slots=True)
class PackRowShown:
    """One pack in the list."""

    pack: ReferencePack
    word: str
    tone: str
    differences: int
    unexplained: int


def packs(book: Book) -> QuerySet[ReferencePack]:
    return ReferencePack.objects.filter(book=book).select_related(
        "book", "period", "uploaded_by", "evidence"
    )


def controls(book: Book) -> list[Control]:
    states = [(state, words) for state, (words, _) in STATE_WORDS.items()]
    return [
        Control("period", "Period", "select", choices([(c, c) for c in _codes(book)])),
        Control("state", "State", "select", choices(states)),
    ]


def listed(book: Book, wanted: Filters) -> QuerySet[ReferencePack]:
    rows = packs(book)
    if wanted["period"]:
        rows = rows.filter(period__code=wanted["period"])
    return rows.filter(state=wanted["state"]) if wanted["state"] else rows


def row(pack: ReferencePack) -> PackRowShown:
    found = parity.of_json(pack.differences)
    word, tone = STATE_WORDS[ReferencePack.State(pack.state)]
    return PackRowShown(pack, word, tone, len(found), len(parity.unexplained(found)))


def page(pack: ReferencePack, *, may_compare: bool) -> PackPage:
    word, tone = STATE_WORDS[ReferencePack.State(pack.state)]
    return PackPage(
        pack=pack,
        word=word,
        tone=tone,
        found=differences(parity.of_json(pack.differences), pack.period),
        documents=documents_of(pack.public_id),
        may_compare=may_compare and pack.state == ReferencePack.State.COMPARED,
    )


def differences(found: list[Difference], period: AccountingPeriod) -> Differences:
    shown = [_shown(each, period) for each in found]
    kinds = {kind: sum(each.kind == kind for each in found) for kind in KIND_WORDS}
    return Differences(
        unexplained=[each for each in shown if not each.difference.is_explained],
        explained=[each for each in shown if each.difference.is_explained],
        counts=[Count(KIND_WORDS[kind], count) for kind, count in kinds.items() if count],
    )


def periods(book: Book) -> list[AccountingPeriod]:
    return list(AccountingPeriod.objects.filter(book=book).order_by("-starts_on")[:60])


def _codes(book: Book) -> list[str]:
    return [period.code for period in periods(book)]


def _shown(each: Difference, period: AccountingPeriod) -> Shown:
    href = ""
    if each.statement in STATEMENT_KINDS:
        base = reverse("statement", args=[STATEMENT_KINDS[each.statement]])
        href = f"{base}?{urlencode({'period': period.code})}"
        if each.money and each.money != REPORTING and each.money != period.book.reporting_currency:
            href = f"{base}?{urlencode({'period': period.code, 'currency': each.money})}"
    return Shown(
        difference=each,
        kind=KIND_WORDS.get(each.kind, each.kind),
        statement=(
            "Entries"
            if each.statement == ENTRIES
            else each.statement.replace("_", " ").capitalize()
        ),
        href=href,
        explained_by=", ".join(f"D{no}" for no in each.explained_by),
    )
