"""What the ledger screens show: balances, the journal by its filters, one entry, the matrix."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import groupby

from django.db.models import Prefetch, Q, QuerySet

from ledger.accounts import BY_CODE, PARTY_WORDS
from ledger.facts import REF_NAMES
from ledger.matrix import MATRIX, MATRIX_VERSION
from ledger.matrix_row import MatrixRow, Pair
from ledger.models import Account, JournalEntry, JournalLine
from ledger.selectors import TrialRow, trial_balance
from payops.console.exports import Columns
from payops.console.filters import Control, Filters, choices
from payops.console.formats import Fact, facts_of, id_fact
from payops.console.reads.payouts import key_of
from payops.core.models import Book
from payops.core.money import Money

KINDS = {
    "asset": "Assets",
    "liability": "Liabilities",
    "equity": "Equity",
    "revenue": "Revenue",
    "expense": "Expenses",
    "memo": "Memo",
}
CSV: Columns = (
    ("entry", "entry.public_id"),
    ("posting_on", "entry.posting_on"),
    ("occurred_at", "entry.occurred_at"),
    ("event_class", "entry.event_class"),
    ("matrix_version", "entry.matrix_version"),
    ("subject_id", "entry.subject_id"),
    ("description", "entry.description"),
    ("line", "line.position"),
    ("account", "line.account.code"),
    ("account_name", "line.account.name"),
    ("party", "line.party"),
    ("debit", "debit"),
    ("credit", "credit"),
    ("currency", "line.currency"),
    ("reporting_minor", "line.reporting_minor"),
    ("reverses", lambda row: f"je_{row.entry.reverses_id.hex}" if row.entry.reverses_id else ""),
    ("idempotency_key", "entry.idempotency_key"),
    *((name, f"entry.{name}") for name in REF_NAMES),
)
REF_LABELS = {
    "payment_id": "Payment",
    "payout_id": "Payout",
    "provider_transaction_id": "Provider's transaction",
    "psp_reference": "Provider's reference",
    "merchant_reference": "Merchant reference",
    "settlement_batch_id": "Settlement batch",
    "event_id": "Event",
    "provider_event_id": "Provider's event id",
    "case_id": "Case",
    "approval_id": "Approval",
    "api_request_id": "Provider's request id",
    "request_idempotency_key": "Request's idempotency key",
    "trace_id": "Trace",
}


@dataclass(frozen=True, slots=True)
class AccountRow:
    """One account and currency: its balance over all parties, and each party's."""

    code: str
    name: str
    currency: str
    debit_minor: int
    credit_minor: int
    reporting_minor: int
    parties: tuple[TrialRow, ...]


@dataclass(frozen=True, slots=True)
class KindRows:
    """Accounts of one kind."""

    label: str
    rows: tuple[AccountRow, ...]


@dataclass(frozen=True, slots=True)
class TrialBalance:
    """`off` lists what does not sum to nil; it is empty while the ledger is sound (I17)."""

    kinds: tuple[KindRows, ...]
    totals: tuple[AccountRow, ...]
    off: tuple[Money, ...]

    @property
    def empty(self) -> bool:
        return not self.kinds


def trial(book: Book, as_of: date | None) -> TrialBalance:
    found = trial_balance(book=book, as_of=as_of)
    kinds = []
    for kind, label in KINDS.items():
        of_kind = [row for row in found if row.kind == kind]
        grouped = groupby(sorted(of_kind, key=_place), key=_place)
        accounts = tuple(_account_row(list(rows)) for _, rows in grouped)
        if accounts:
            kinds.append(KindRows(label, accounts))
    totals = _totals([row for group in kinds for row in group.rows])
    off = [
        Money(t.debit_minor - t.credit_minor, t.currency)
        for t in totals
        if t.debit_minor != t.credit_minor
    ]
    reporting = sum(row.reporting_minor for row in found)
    if reporting:
        off.append(Money(reporting, book.reporting_currency))
    return TrialBalance(tuple(kinds), totals, tuple(off))


def _place(row: TrialRow) -> tuple[str, str]:
    return row.account, row.currency


def _account_row(rows: list[TrialRow]) -> AccountRow:
    balance = sum(row.balance_minor for row in rows)
    first = rows[0]
    return AccountRow(
        code=first.account,
        name=first.name,
        currency=first.currency,
        debit_minor=max(balance, 0),
        credit_minor=max(-balance, 0),
        reporting_minor=sum(row.reporting_minor for row in rows),
        parties=tuple(row for row in rows if row.party and row.balance_minor),
    )


def _totals(rows: list[AccountRow]) -> tuple[AccountRow, ...]:
    return tuple(
        AccountRow(
            code="",
            name="Total",
            currency=currency,
            debit_minor=sum(row.debit_minor for row in rows if row.currency == currency),
            credit_minor=sum(row.credit_minor for row in rows if row.currency == currency),
            reporting_minor=sum(row.reporting_minor for row in rows if row.currency == currency),
            parties=(),
        )
        for currency in sorted({row.currency for row in rows})
    )


# ---- journal -------------------------------------------------------------------------------


def controls(book: Book) -> list[Control]:
    accounts = Account.objects.filter(book=book).order_by("code").values_list("code", "name")
    classes = [(name, name) for name in MATRIX]
    return [
        Control("account", "Account", "select", choices([(c, f"{c} {n}") for c, n in accounts])),
        Control("event_class", "Event class", "select", choices(classes)),
        Control("party", "Party", placeholder="Seller or account"),
        Control("from", "From", "date"),
        Control("to", "To", "date"),
        Control("q", "Reference", placeholder="Any id, whole"),
    ]


def listed(book: Book, wanted: Filters) -> QuerySet[JournalEntry]:
    lines = JournalLine.objects.select_related("account").order_by("position")
    rows = JournalEntry.objects.filter(book=book).prefetch_related(Prefetch("lines", lines))
    by_line = Q()
    if wanted["account"]:
        by_line &= Q(account__code=wanted["account"])
    if wanted["party"]:
        by_line &= Q(party=wanted["party"])
    if by_line:
        found = JournalLine.objects.filter(by_line, book=book)
        rows = rows.filter(pk__in=found.values("entry_id"))
    if wanted["event_class"]:
        rows = rows.filter(event_class=wanted["event_class"])
    if wanted.day("from"):
        rows = rows.filter(posting_on__gte=wanted.day("from"))
    if wanted.day("to"):
        rows = rows.filter(posting_on__lte=wanted.day("to"))
    return rows.filter(_named(wanted["q"])) if wanted["q"] else rows


def _named(text: str) -> Q:
    """The entry itself, or any of the ids it carries."""
    key = key_of("je", text)
    if key is not None:
        return Q(pk=key)
    carried = Q(subject_id=text) | Q(idempotency_key=text) | Q(movement_ref=text)
    for name in REF_NAMES:
        carried |= Q(**{name: text})
    return carried


def csv_lines(entries: QuerySet[JournalEntry], chunk: int) -> Iterator[LineRow]:
    for entry in entries.order_by("-posting_on", "-pk").iterator(chunk_size=chunk):
        for line in entry.lines.all():
            yield _line_row(entry, line)


# ---- one entry -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LineRow:
    """One line; exactly one of debit and credit is set."""

    entry: JournalEntry
    line: JournalLine
    debit: Money | None
    credit: Money | None


@dataclass(frozen=True, slots=True)
class EntryPage:
    """One entry with its lines, every trace key, and both ends of a reversal."""

    entry: JournalEntry
    lines: list[LineRow]
    reversed_by: JournalEntry | None
    keys: list[Fact]
    facts: list[Fact]
    title: str


def entry_query() -> QuerySet[JournalEntry]:
    lines = JournalLine.objects.select_related("account").order_by("position")
    rows = JournalEntry.objects.select_related("book", "period", "reverses", "reversed_by")
    return rows.prefetch_related(Prefetch("lines", lines))


def entry_page(entry: JournalEntry) -> EntryPage:
    row = MATRIX.get(entry.event_class)
    return EntryPage(
        entry=entry,
        lines=[_line_row(entry, line) for line in entry.lines.all()],
        reversed_by=getattr(entry, "reversed_by", None),
        keys=facts_of(
            id_fact("Subject", entry.subject_id),
            id_fact("Movement", entry.movement_ref),
            *(id_fact(label, getattr(entry, name)) for name, label in REF_LABELS.items()),
        ),
        facts=facts_of(
            id_fact("Entry", entry.public_id),
            Fact("Posting key", entry.idempotency_key, "id"),
            Fact("Fingerprint", entry.fingerprint, "id"),
            Fact("Matrix version", entry.matrix_version),
            Fact("Template", entry.template),
            Fact("Posted by", entry.posted_by),
            Fact("Recorded", entry.created_at, "when"),
        ),
        title=row.title if row else entry.event_class,
    )


def _line_row(entry: JournalEntry, line: JournalLine) -> LineRow:
    amount = Money(abs(line.amount_minor), line.currency)
    if line.amount_minor > 0:
        return LineRow(entry, line, amount, None)
    return LineRow(entry, line, None, amount)


# ---- matrix --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Side:
    """One line of the matrix in words: which account, which measure, kept per whom."""

    account: str
    name: str
    measure: str
    party: str


@dataclass(frozen=True, slots=True)
class Variant:
    """One way an event is posted."""

    words: str
    debits: tuple[Side, ...]
    credits: tuple[Side, ...]


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One event class with every column of the matrix."""

    row: MatrixRow
    variants: tuple[Variant, ...]
    facts: list[Fact]


@dataclass(frozen=True, slots=True)
class MatrixPage:
    """The whole matrix as it is applied now."""

    version: int
    classes: tuple[ClassRow, ...]


def matrix_page() -> MatrixPage:
    return MatrixPage(MATRIX_VERSION, tuple(_class_row(row) for row in MATRIX.values()))


def _class_row(row: MatrixRow) -> ClassRow:
    variants = tuple(
        Variant(
            words=row.variant_words.get(name, name),
            debits=tuple(_side(pair) for pair in pairs if pair.side == "debit"),
            credits=tuple(_side(pair) for pair in pairs if pair.side == "credit"),
        )
        for name, pairs in row.variants.items()
    )
    before = "; ".join(before.words for before in row.follows)
    return ClassRow(
        row,
        variants,
        facts_of(
            Fact("Comes after", row.predecessor),
            Fact("Must be posted before", before),
            Fact("References", ", ".join(row.references)),
            Fact("Checkpoint", row.checkpoint),
            Fact("Window", row.window),
            Fact("Matched by", row.match_anchor),
            Fact("Exception", row.exception_rule),
            Fact("Balance sheet", row.balance_sheet),
            Fact("Income statement", row.income_statement),
            Fact("Cash flow", row.cash_flow),
            Fact("Cash flow tag", row.cash_flow_tag),
            Fact("Reversal", row.reversal_rule),
            Fact("Posted by", row.posted_by),
        ),
    )


def _side(pair: Pair) -> Side:
    account = BY_CODE[pair.account]
    party = PARTY_WORDS.get(account.party_kind, account.party_kind)
    return Side(account.code, account.name, pair.measure.replace("_", " "), party)
