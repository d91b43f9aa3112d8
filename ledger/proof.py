"""Proves a period's entries: what its sources say must stand there, compared with what does.

Takes recomputed postings, gives each the day and the reporting amounts it had to get at the moment
it was known, puts them into tables of a scratch schema and lets the database compare: zero
differences, or each one named. Reads the journal only to compare; the scratch schema is gone
afterwards. Runs as the schema's owner. Serves AU-3, LJ-20 and I4.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Protocol

from django.db import connection, transaction

from ledger import late
from ledger.cash_flow import CASH_ACCOUNTS
from ledger.errors import LedgerError
from ledger.facts import Posting
from ledger.matrix import MATRIX
from ledger.models import AccountingPeriod
from ledger.reporting import rates_for, reporting_amounts
from payops.core import bulk
from payops.core.models import Book

BATCH = 2000
LISTED_MAX = 500
COMPARED = ("fingerprint", "posting_on", "occurred_at", "event_id", "case_id", "approval_id")
TABLES = """
CREATE SCHEMA replay;
SET LOCAL search_path = replay, public;
CREATE TABLE recomputed_entry (place bigserial, key text, source text, event_class text,
  fingerprint text, posting_on date, occurred_at timestamptz, event_id text, case_id text,
  approval_id text);
CREATE TABLE recomputed_line (key text, source text, account text, party text, currency text,
  amount_minor bigint, reporting_minor bigint, cash_flow_tag text);
"""
# A movement told twice in the same words is one entry, of whoever told it first.
FIRST_TELLERS = """
CREATE INDEX ON recomputed_entry (key, place);
CREATE INDEX ON recomputed_line (key);
DELETE FROM recomputed_entry x USING recomputed_entry f
  WHERE f.key = x.key AND f.place < x.place AND f.fingerprint = x.fingerprint;
DELETE FROM recomputed_line l WHERE NOT EXISTS
  (SELECT 1 FROM recomputed_entry x WHERE x.key = l.key AND x.source = l.source);
ANALYZE recomputed_entry;
ANALYZE recomputed_line;
"""
ENTRY_COLUMNS = ("key", "source", "event_class", *COMPARED)
LINE_COLUMNS = (
    "key",
    "source",
    "account",
    "party",
    "currency",
    "amount_minor",
    "reporting_minor",
    "cash_flow_tag",
)


class Recomputed(Protocol):
    """A posting as its source says it must be, and since when the product knew."""

    @property
    def posting(self) -> Posting: ...
    @property
    def source(self) -> str: ...
    @property
    def known_at(self) -> datetime: ...


@dataclass(frozen=True, slots=True)
class Difference:
    """`kind`: missing, unexplained, entry, lines, twice or unplaced; `words` has both sides."""

    kind: str
    key: str
    words: str


@dataclass(slots=True)
class Proof:
    """How many entries the period has, how many were recomputed, and every difference."""

    entries: int = 0
    recomputed: int = 0
    differences: list[Difference] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return not self.differences


def prove(*, period: AccountingPeriod, postings: Iterable[Recomputed]) -> Proof:
    """Compare one period; every difference is named, at most LISTED_MAX of each kind."""
    proof = Proof()
    with _scratch():
        clockwork = Clockwork(period.book)
        for batch in _batches(postings):
            proof.recomputed += len(batch)
            proof.differences.extend(_write(batch, clockwork))
        with connection.cursor() as cursor:
            cursor.execute(FIRST_TELLERS)
        proof.entries = _count(period)
        for compare in (_twice, _missing, _unexplained, _entries, _lines):
            proof.differences.extend(compare(period))
    return proof


class Clockwork:
    """The periods and rates of a book as they were at a moment."""

    def __init__(self, book: Book) -> None:
        self.book = book
        history = AccountingPeriod.history.filter(book_id=book.pk).order_by("history_id")
        self._changes = [(row.history_date, row) for row in history]
        self._moments = [moment for moment, _ in self._changes]
        self._known: dict[int, list[AccountingPeriod]] = {}
        self._rates: dict[tuple[str, datetime, datetime], Decimal | None] = {}

    def periods_at(self, moment: datetime) -> list[AccountingPeriod]:
        count = bisect_right(self._moments, moment)
        if count not in self._known:
            latest = {row.id: row for _, row in self._changes[:count]}
            self._known[count] = sorted(
                (
                    AccountingPeriod(
                        pk=row.id,
                        book=self.book,
                        code=row.code,
                        starts_on=row.starts_on,
                        ends_on=row.ends_on,
                        state=row.state,
                    )
                    for row in latest.values()
                ),
                key=lambda period: period.starts_on,
            )
        return self._known[count]

    def day(self, posting: Posting, known_at: datetime) -> date:
        """Raises LedgerError when the posting had no day then."""
        if posting.posting_on is not None:
            return posting.posting_on
        return late.place_posting(
            posting,
            key=posting.key,
            fingerprint=posting.fingerprint,
            periods_known=self.periods_at(known_at),
            now=known_at,
        ).posting_on

    def amounts(self, posting: Posting, known_at: datetime) -> list[int]:
        if posting.reverses is not None or MATRIX[posting.event_class].reporting_given:
            return [leg.reporting_minor or 0 for leg in posting.legs]
        reporting = self.book.reporting_currency
        rates: dict[str, Decimal] = {}
        for currency in {leg.currency for leg in posting.legs} - {reporting}:
            rate = self._rate(currency, posting.occurred_at, known_at)
            if rate is None:
                raise LedgerError(
                    f"no rate from {currency} to {reporting} was known at {known_at.isoformat()}",
                    key=posting.key,
                )
            rates[currency] = rate
        return reporting_amounts(posting.legs, reporting=reporting, rates=rates)

    def _rate(self, currency: str, at: datetime, known_at: datetime) -> Decimal | None:
        key = (currency, at, known_at)
        if key not in self._rates:
            wanted = (currency, self.book.reporting_currency, at)
            used = rates_for([wanted], known_at=known_at).get(wanted)
            self._rates[key] = used.rate if used else None
        return self._rates[key]


@contextmanager
def _scratch() -> Iterator[None]:
    """Tables of their own, in a transaction that is rolled back whatever happens."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(TABLES)
        yield
        transaction.set_rollback(True)


def _batches(postings: Iterable[Recomputed]) -> Iterator[list[Recomputed]]:
    batch: list[Recomputed] = []
    for item in postings:
        batch.append(item)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _write(batch: list[Recomputed], clockwork: Clockwork) -> list[Difference]:
    entries: list[tuple[Any, ...]] = []
    lines: list[tuple[Any, ...]] = []
    unplaced = []
    for item in batch:
        posting, key = item.posting, item.posting.key
        try:
            day = clockwork.day(posting, item.known_at)
            amounts = clockwork.amounts(posting, item.known_at)
        except LedgerError as error:
            unplaced.append(Difference("unplaced", key, f"{item.source}: {error.words}"))
            continue
        refs = posting.refs
        told = (refs.event_id, refs.case_id, refs.approval_id)
        entries.append(
            (
                key,
                item.source,
                posting.event_class,
                posting.fingerprint,
                day,
                posting.occurred_at,
                *told,
            )
        )
        row = MATRIX[posting.event_class]
        for leg, reporting in zip(posting.legs, amounts, strict=True):
            tag = leg.cash_flow_tag or row.cash_flow_tag
            tag = tag if leg.account in CASH_ACCOUNTS else ""
            own = (leg.account, leg.party, leg.currency, leg.amount_minor, reporting, tag)
            lines.append((key, item.source, *own))
    bulk.copy("recomputed_entry", ENTRY_COLUMNS, entries)
    bulk.copy("recomputed_line", LINE_COLUMNS, lines)
    return unplaced


def _count(period: AccountingPeriod) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM ledger_journalentry WHERE period_id = %s", [period.pk])
        return int(cursor.fetchone()[0])


IN_PERIOD = "(e.period_id = %(period)s OR x.posting_on BETWEEN %(first)s AND %(last)s)"
JOINED = """
FROM recomputed_entry x JOIN ledger_postingkey k ON k.book_id = %(book)s AND k.key = x.key
JOIN ledger_journalentry e ON e.id = k.entry_id
"""


def _twice(period: AccountingPeriod) -> Iterator[Difference]:
    rows = _select(
        period,
        "SELECT key, string_agg(DISTINCT source, ', ' ORDER BY source), count(*)"
        " FROM recomputed_entry GROUP BY key HAVING count(DISTINCT fingerprint) > 1",
    )
    for key, sources, count in rows:
        yield Difference("twice", key, f"{count} sources tell it differently: {sources}")


def _missing(period: AccountingPeriod) -> Iterator[Difference]:
    rows = _select(
        period,
        "SELECT DISTINCT x.key, x.source, x.event_class, x.posting_on FROM recomputed_entry x"
        " LEFT JOIN ledger_postingkey k ON k.book_id = %(book)s AND k.key = x.key"
        " WHERE k.entry_id IS NULL AND x.posting_on BETWEEN %(first)s AND %(last)s",
    )
    for key, source, event_class, day in rows:
        words = f"{source} says {event_class} on {day}; the journal has no such entry"
        yield Difference("missing", key, words)


def _unexplained(period: AccountingPeriod) -> Iterator[Difference]:
    rows = _select(
        period,
        "SELECT e.idempotency_key, payops_public_id('je', e.id), e.event_class, e.posting_on"
        " FROM ledger_journalentry e WHERE e.period_id = %(period)s"
        " AND NOT EXISTS (SELECT 1 FROM recomputed_entry x WHERE x.key = e.idempotency_key)",
    )
    for key, entry, event_class, day in rows:
        words = f"{entry} ({event_class}, {day}) has no source that says so"
        yield Difference("unexplained", key, words)


def _entries(period: AccountingPeriod) -> Iterator[Difference]:
    differs = " OR ".join(f"x.{name} IS DISTINCT FROM e.{name}" for name in COMPARED)
    pairs = ", ".join(f"x.{name}::text, e.{name}::text" for name in COMPARED)
    rows = _select(
        period,
        f"SELECT DISTINCT x.key, payops_public_id('je', e.id), x.source, {pairs} {JOINED}"
        f" WHERE {IN_PERIOD} AND ({differs})",
    )
    for key, entry, source, *values in rows:
        told = [
            f"{name} is {values[2 * i + 1] or 'empty'}, {source} says {values[2 * i] or 'empty'}"
            for i, name in enumerate(COMPARED)
            if values[2 * i] != values[2 * i + 1]
        ]
        yield Difference("entry", key, f"{entry}: {'; '.join(told)}")


def _lines(period: AccountingPeriod) -> Iterator[Difference]:
    rows = _select(
        period,
        f"""
        WITH pair AS MATERIALIZED (SELECT DISTINCT x.key, e.id {JOINED} WHERE {IN_PERIOD}),
        said AS (SELECT p.id, l.account, l.party, l.currency, l.cash_flow_tag AS tag,
            sum(l.amount_minor) AS amount, sum(l.reporting_minor) AS reporting
          FROM pair p JOIN recomputed_line l ON l.key = p.key GROUP BY 1, 2, 3, 4, 5),
        stands AS (SELECT p.id, a.code AS account, l.party, l.currency, l.cash_flow_tag AS tag,
            sum(l.amount_minor) AS amount, sum(l.reporting_minor) AS reporting
          FROM pair p JOIN ledger_journalline l ON l.entry_id = p.id
          JOIN ledger_account a ON a.id = l.account_id GROUP BY 1, 2, 3, 4, 5)
        SELECT payops_public_id('je', coalesce(s.id, t.id)), coalesce(s.account, t.account),
          coalesce(s.party, t.party), coalesce(s.currency, t.currency), s.amount, t.amount,
          s.reporting, t.reporting, s.tag, t.tag
        FROM said s FULL JOIN stands t USING (id, account, party, currency, tag)
        WHERE (s.amount, s.reporting) IS DISTINCT FROM (t.amount, t.reporting)
        """,
    )
    for entry, account, party, currency, *amounts in rows:
        said, stands, said_reporting, stands_reporting, *_ = amounts
        words = (
            f"{entry}: {account} {party} has {stands or 0} {currency} minor units"
            f" ({stands_reporting or 0} in reporting currency), its source says {said or 0}"
            f" ({said_reporting or 0})"
        )
        yield Difference("lines", entry, words)


def _select(period: AccountingPeriod, statement: str) -> list[tuple[Any, ...]]:
    values: dict[str, Any] = {
        "book": period.book_id,
        "period": period.pk,
        "first": period.starts_on,
        "last": period.ends_on,
        "most": LISTED_MAX,
    }
    with connection.cursor() as cursor:
        cursor.execute(f"{statement} ORDER BY 1 LIMIT %(most)s", values)
        return list(cursor.fetchall())
