"""What the ledger screens show: balances, the journal by its filters, one entry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from django.db.models import F, Prefetch, Q, QuerySet
from django.db.models.functions import TruncDate

from ledger import manual
from ledger.facts import REF_NAMES
from ledger.matrix import MATRIX
from ledger.models import Account, AccountingPeriod, JournalEntry, JournalLine
from ledger.rows.corrections import REVERSAL
from payops.console.exports import Columns
from payops.console.filters import Control, Filters, amount_within, choices
from payops.console.formats import Fact, facts_of, id_fact
from payops.console.reads.payouts import key_of
from payops.core import clock
from payops.core.models import ApiKey, AuditEvent, Book
from payops.core.money import Money

PERIODS_MAX = 60
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
    "refund_id": "Refund",
    "dispute_id": "Dispute",
    "bank_line_id": "Bank line",
    "provider_transaction_id": "Provider's transaction",
    "psp_reference": "Provider's reference",
    "merchant_reference": "Merchant reference",
    "settlement_batch_id": "Settlement batch",
    "event_id": "Event",
    "provider_event_id": "Provider's event id",
    "case_id": "Case",
    "approval_id": "Approval",
    "api_request_id": "Request id",
    "request_idempotency_key": "Request's idempotency key",
    "trace_id": "Trace",
}


# ---- journal -------------------------------------------------------------------------------


SORTS = {"reversal": "Reversals", "reversed": "Taken back", "late": "Late"}
SOURCES = {"hand": "People, approved", "api": "Internal systems", "product": "PayOps"}
BY_HAND = (*manual.CLASS_BY_KEY, REVERSAL)


def controls(book: Book) -> list[Control]:
    accounts = Account.objects.filter(book=book).order_by("code").values_list("code", "name")
    classes = [(name, name) for name in MATRIX]
    months = AccountingPeriod.objects.filter(book=book).order_by("-starts_on")
    codes = [(code, code) for code in months.values_list("code", flat=True)[:PERIODS_MAX]]
    return [
        Control("period", "Period", "select", choices(codes)),
        Control("account", "Account", "select", choices([(c, f"{c} {n}") for c, n in accounts])),
        Control("event_class", "Event class", "select", choices(classes)),
        Control("party", "Party", placeholder="Seller or account"),
        Control("from", "From", "date"),
        Control("to", "To", "date"),
        Control("currency", "Currency", placeholder="EUR"),
        Control("min", "Line amount from", "amount", placeholder="0.00"),
        Control("max", "Line amount to", "amount"),
        Control("sort", "Which", "select", choices(list(SORTS.items()))),
        Control("made", "Made by", "select", choices(list(SOURCES.items()))),
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
    if wanted["currency"]:
        by_line &= Q(currency=wanted["currency"].upper())
    least, most = wanted.amount("min"), wanted.amount("max")
    if least is not None or most is not None:
        by_line &= Q(amount_minor__gt=0) & amount_within("amount_minor", least, most)
    if by_line:
        found = JournalLine.objects.filter(by_line, book=book)
        rows = rows.filter(pk__in=found.values("entry_id"))
    if wanted["event_class"]:
        rows = rows.filter(event_class=wanted["event_class"])
    if wanted["period"]:
        rows = rows.filter(period__code=wanted["period"])
    if wanted["sort"]:
        rows = _sorted_out(rows, book, wanted["sort"])
    if wanted["made"]:
        rows = rows.filter(_made_by(book, wanted["made"]))
    if wanted.day("from"):
        rows = rows.filter(posting_on__gte=wanted.day("from"))
    if wanted.day("to"):
        rows = rows.filter(posting_on__lte=wanted.day("to"))
    return rows.filter(_named(wanted["q"])) if wanted["q"] else rows


def _sorted_out(rows: QuerySet[JournalEntry], book: Book, sort: str) -> QuerySet[JournalEntry]:
    if sort == "reversal":
        return rows.filter(reverses__isnull=False)
    if sort == "reversed":
        return rows.filter(reversed_by__isnull=False)
    happened = TruncDate("occurred_at", tzinfo=clock.zone(book.time_zone))
    return rows.annotate(happened_on=happened).filter(posting_on__gt=F("happened_on"))


def _made_by(book: Book, source: str) -> Q:
    """Hand-made entries name the approval of their journal; systems post under their own name."""
    by_hand = Q(event_class__in=BY_HAND) & ~Q(approval_id="")
    if source == "hand":
        return by_hand
    systems = Q(posted_by__in=ApiKey.objects.filter(book=book).values("system"))
    return systems if source == "api" else ~systems & ~by_hand


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
    """One entry with its lines, every trace key, and both ends of a reversal.

    `rates` are those its foreign amounts were converted at; `why_not` is why no person takes it
    back, "" when one may ask for it.
    """

    entry: JournalEntry
    lines: list[LineRow]
    reversed_by: JournalEntry | None
    keys: list[Fact]
    facts: list[Fact]
    title: str
    happened_on: date
    late: bool
    rates: list[Fact]
    why_not: str


def entry_query() -> QuerySet[JournalEntry]:
    lines = JournalLine.objects.select_related("account").order_by("position")
    rows = JournalEntry.objects.select_related("book", "period", "reverses", "reversed_by")
    return rows.prefetch_related(Prefetch("lines", lines))


def entry_page(entry: JournalEntry) -> EntryPage:
    row = MATRIX.get(entry.event_class)
    happened_on = clock.business_day(entry.occurred_at, time_zone=entry.book.time_zone)
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
            Fact(
                "Matrix version",
                entry.matrix_version,
                "link",
                f"/ledger/matrix/?q={entry.event_class}",
            ),
            Fact("Template", entry.template),
            Fact("Posted by", entry.posted_by),
            Fact("Recorded", entry.created_at, "when"),
        ),
        title=row.title if row else entry.event_class,
        happened_on=happened_on,
        late=entry.posting_on > happened_on,
        rates=_rates(entry),
        why_not=why_not_reversed(entry),
    )


def why_not_reversed(entry: JournalEntry) -> str:
    """Why no person may ask that it is taken back; "" when one may (LJ-8)."""
    if getattr(entry, "reversed_by", None) is not None:
        return "it was taken back already; an entry is taken back once"
    return manual.why_not_reversed(entry.event_class)


def _rates(entry: JournalEntry) -> list[Fact]:
    """The audit row of the posting keeps every rate it used, with source and time (LJ-10)."""
    told = AuditEvent.objects.filter(subject_id=entry.public_id, action="ledger.posted").first()
    rates = told.evidence.get("rates", {}) if told is not None else {}
    return [Fact(f"From {currency}", words) for currency, words in sorted(rates.items())]


def _line_row(entry: JournalEntry, line: JournalLine) -> LineRow:
    amount = Money(abs(line.amount_minor), line.currency)
    if line.amount_minor > 0:
        return LineRow(entry, line, amount, None)
    return LineRow(entry, line, None, amount)
