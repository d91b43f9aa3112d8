"""What balances in other currencies are worth at the end of a period (LJ-10, D17).

Owns which accounts are revalued, the differences and the entries that book them. Cumulative: the
target of a balance is its amount at the period-end rate, whatever was posted before, and a balance
that has settled has the target nil, so nothing is stranded. Reads and computes; posting, locks and
runs are in `payops/flows/revaluation.py`. Never guesses a rate.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from django.db import connection

from ledger.accounts import BY_CODE, MONETARY
from ledger.balances import LINE_FIGURES, Scope
from ledger.checks import LEGS_MAX
from ledger.facts import Posting
from ledger.matrix_row import Leg
from ledger.models import AccountingPeriod, JournalEntry
from ledger.reporting import RateUsed, converted_minor, rates_for
from payops.core import clock
from payops.core.models import Book
from payops.core.money import MINOR_MAX, Money, MoneyError

EVENT_CLASS = "fx.revalued"
GAIN, LOSS = "4910", "5910"
# An entry takes these many balances beside its lines on the gain and the loss account.
BALANCES_MAX = LEGS_MAX - 2
STALE_AFTER = timedelta(days=3)
# Why an account is revalued, by kind; the ones that are not have a reason of their own.
REVALUED_REASONS = {
    "asset": "money, or a claim that will be settled in money of that currency",
    "liability": "will be paid in money of that currency",
}
NOT_REVALUED_REASONS = {
    "1900": "nil in reporting currency by itself: both legs of a conversion pass through it",
    "equity": "kept at the rate of its day; never settled",
    "revenue": "earned at the rate of its day",
    "expense": "incurred at the rate of its day",
    "memo": "off the balance sheet",
}
# Over the folded totals and the exact tail; `rows` is theirs.
BALANCES = """
SELECT a.code, t.party, t.currency, sum(t.debit_minor - t.credit_minor) AS amount,
  sum(t.reporting_debit_minor - t.reporting_credit_minor) AS carried
FROM ({rows}) AS t JOIN ledger_account a ON a.id = t.account_id
WHERE a.code = ANY(%(monetary)s) AND t.currency <> %(reporting)s
GROUP BY a.code, t.party, t.currency
HAVING sum(t.debit_minor) <> sum(t.credit_minor)
  OR sum(t.reporting_debit_minor) <> sum(t.reporting_credit_minor)
ORDER BY t.currency, a.code, t.party
"""


# What stood there before a moment: totals do not know it, so every line is read.
KNOWN_LINES = f"""
SELECT l.account_id, l.currency, l.party, {LINE_FIGURES} FROM ledger_journalline l
WHERE l.book_id = %(book)s AND l.posting_on <= %(to_on)s AND l.created_at < %(known_at)s
"""


class RevaluationRefused(ValueError):
    """The period cannot be revalued; the text names the period, the pair or the amount."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One balance, what it is carried at and what it is worth; a debit balance is positive."""

    account: str
    party: str
    currency: str
    amount_minor: int
    carried_minor: int
    target_minor: int

    @property
    def minor(self) -> int:
        """Positive: a gain, on assets and on liabilities alike."""
        return self.target_minor - self.carried_minor


@dataclass(frozen=True, slots=True)
class Plan:
    """What a revaluation of the period would post now: every balance, those that differ, the rates
    used."""

    period: AccountingPeriod
    reporting: str
    at: datetime
    rates: Mapping[str, RateUsed]
    balances: tuple[Difference, ...]
    differing: tuple[Difference, ...]
    gain_minor: int
    loss_minor: int

    @property
    def entries(self) -> int:
        return len(list(chunks(self.differing)))

    @property
    def stale(self) -> tuple[str, ...]:
        """Currencies whose rate is of another day than the period's last ones."""
        oldest = self.at - STALE_AFTER
        return tuple(c for c, rate in sorted(self.rates.items()) if rate.as_of < oldest)


def reason_of(account: str) -> str:
    """Why the account is revalued, or why not."""
    if account in MONETARY:
        return REVALUED_REASONS[BY_CODE[account].kind]
    return NOT_REVALUED_REASONS.get(account) or NOT_REVALUED_REASONS[BY_CODE[account].kind]


def end_of(period: AccountingPeriod, book: Book) -> datetime:
    """The last second of the period: the rates known then count."""
    following = clock.start_of_day(period.ends_on + timedelta(days=1), time_zone=book.time_zone)
    return following - timedelta(seconds=1)


def plan(*, book: Book, period: AccountingPeriod, known_at: datetime | None = None) -> Plan:
    """Two statements; `known_at` leaves out lines and rates that came at that moment or later.

    Raises RevaluationRefused where a rate is unknown or an amount too large.
    """
    reporting, at = book.reporting_currency, end_of(period, book)
    found = _balances(book, period, known_at)
    currencies = sorted({currency for _, _, currency, _, _ in found})
    known = rates_for({(currency, reporting, at) for currency in currencies}, known_at=known_at)
    rates = {base: used for (base, _, _), used in known.items()}
    needed = {currency for _, _, currency, amount, _ in found if amount}
    if unknown := sorted(needed - rates.keys()):
        pairs = ", ".join(f"{currency}/{reporting}" for currency in unknown)
        raise RevaluationRefused(
            f"no rate of {pairs} is known on {period.ends_on.isoformat()}; bring it in first"
        )
    balances = tuple(_difference(*row, reporting=reporting, rates=rates) for row in found)
    differing = tuple(each for each in balances if each.minor)
    planned = Plan(
        period=period,
        reporting=reporting,
        at=at,
        rates=rates,
        balances=balances,
        differing=differing,
        gain_minor=sum(each.minor for each in differing if each.minor > 0),
        loss_minor=-sum(each.minor for each in differing if each.minor < 0),
    )
    if max(planned.gain_minor, planned.loss_minor) > MINOR_MAX:
        raise RevaluationRefused(
            f"the differences of {period.code} exceed {Money(MINOR_MAX, reporting)} in sum"
        )
    return planned


def postings(planned: Plan, *, book: Book, subject_id: str) -> Iterator[Posting]:
    """One entry per currency, or more of at most LEGS_MAX lines; the movement names which."""
    for movement, rows in chunks(planned.differing):
        currency = rows[0].currency
        rate = planned.rates.get(currency)
        at = f" at {rate.words()}" if rate else ", all of it settled"
        yield Posting(
            book=book,
            event_class=EVENT_CLASS,
            subject_id=subject_id,
            movement_ref=movement,
            legs=legs(rows, reporting=planned.reporting),
            occurred_at=planned.at,
            description=f"Revaluation of {currency} for {planned.period.code}{at}"[:240],
            posting_on=planned.period.ends_on,
        )


def chunks(rows: Sequence[Difference]) -> Iterator[tuple[str, list[Difference]]]:
    """(movement, balances): "EUR", then "EUR-2" and so on; the rows are in order of currency."""
    for currency, group in groupby(rows, key=_currency):
        of_currency = list(group)
        for number, first in enumerate(range(0, len(of_currency), BALANCES_MAX), 1):
            movement = currency if number == 1 else f"{currency}-{number}"
            yield movement, of_currency[first : first + BALANCES_MAX]


def legs(rows: Sequence[Difference], *, reporting: str) -> tuple[Leg, ...]:
    """Nothing in the currency, the difference in reporting currency; against gain and loss."""
    lines = [
        Leg(row.account, 0, row.currency, row.party, reporting_minor=row.minor) for row in rows
    ]
    gain = sum(row.minor for row in rows if row.minor > 0)
    loss = sum(row.minor for row in rows if row.minor < 0)
    lines += [Leg(GAIN, 0, reporting, reporting_minor=-gain)] if gain else []
    lines += [Leg(LOSS, 0, reporting, reporting_minor=-loss)] if loss else []
    return tuple(lines)


def outstanding(*, book: Book, period: AccountingPeriod) -> str:
    """Why the period is not revalued yet, for the gates of the close; "" when it is."""
    try:
        differing = plan(book=book, period=period).differing
    except RevaluationRefused as refusal:
        return str(refusal)
    if not differing:
        return ""
    count = f"{len(differing)} balance{'' if len(differing) == 1 else 's'}"
    off = Money(sum(each.minor for each in differing), book.reporting_currency)
    return f"{count} in other currencies stand {off} beside the rates of {period.ends_on}"


def entries_of(run_public_id: str, *, book: Book) -> list[JournalEntry]:
    """The entries a run posted, in order."""
    found = JournalEntry.objects.filter(
        book=book, subject_id=run_public_id, event_class=EVENT_CLASS
    )
    return list(found.select_related("book").order_by("pk"))


def _balances(
    book: Book, period: AccountingPeriod, known_at: datetime | None
) -> list[tuple[str, str, str, int, int]]:
    scope = Scope(book, to_on=period.ends_on, per_party=True)
    values = {"monetary": sorted(MONETARY), "reporting": book.reporting_currency}
    rows = scope.rows() if known_at is None else KNOWN_LINES
    with connection.cursor() as cursor:
        cursor.execute(BALANCES.format(rows=rows), scope.values() | values | {"known_at": known_at})
        return [(*row[:3], int(row[3]), int(row[4])) for row in cursor.fetchall()]


def _difference(
    account: str,
    party: str,
    currency: str,
    amount_minor: int,
    carried_minor: int,
    *,
    reporting: str,
    rates: Mapping[str, RateUsed],
) -> Difference:
    target = 0
    try:
        if amount_minor:
            amount = Money(amount_minor, currency)
            target = converted_minor(amount, to=reporting, rate=rates[currency].rate)
    except MoneyError as error:
        of_party = f" of {party}" if party else ""
        raise RevaluationRefused(f"the balance of {account}{of_party}: {error}") from error
    return Difference(account, party, currency, amount_minor, carried_minor, target)


def _currency(row: Difference) -> str:
    return row.currency
