"""The lines of one account in one currency, oldest first, with the balance after each (LJ-20).

A page costs the same at the first and at the last of millions of lines: it is found by key, and the
balance before it is folded totals, the tail, and the lines of one day. One statement reads both, so
no line falls between them. Never writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from django.db import connection

from ledger.balances import TAIL, Scope
from ledger.models import JournalEntry
from payops.core import ids
from payops.core.money import Money

PAGE = 50
PAGE_MAX = 2000
SMALLEST, LARGEST = UUID(int=0), UUID(int=2**128 - 1)
END = "end"


@dataclass(frozen=True, slots=True)
class AccountLine:
    """One line and the balance it leaves, in the account's currency and in reporting currency."""

    line_id: UUID
    entry_id: UUID
    posting_on: date
    event_class: str
    description: str
    subject_id: str
    party: str
    cash_flow_tag: str
    amount_minor: int
    reporting_minor: int
    currency: str
    balance_minor: int
    reporting_balance_minor: int

    @property
    def entry_public_id(self) -> str:
        return ids.render(JournalEntry.PREFIX, self.entry_id)

    @property
    def cursor(self) -> str:
        return f"{self.posting_on.isoformat()}~{self.line_id.hex}"

    @property
    def debit(self) -> Money | None:
        return Money(self.amount_minor, self.currency) if self.amount_minor > 0 else None

    @property
    def credit(self) -> Money | None:
        return Money(-self.amount_minor, self.currency) if self.amount_minor < 0 else None


@dataclass(frozen=True, slots=True)
class LinesPage:
    """`after` and `before` are cursors for the neighbouring pages, "" where there is none."""

    rows: list[AccountLine]
    after: str = ""
    before: str = ""

    @property
    def shown(self) -> int:
        return len(self.rows)

    @property
    def brought_forward_minor(self) -> int:
        """The balance before the first line shown."""
        return self.rows[0].balance_minor - self.rows[0].amount_minor if self.rows else 0


def page(*, scope: Scope, after: str = "", before: str = "", size: int = PAGE) -> LinesPage:
    """One page of the scope's account, currency, party and days.

    Without a cursor the latest page; `before=END` is the same, `after=""` with `before=""` too.
    UnknownCursor for a cursor that is none.
    """
    assert scope.account and scope.currency, "lines of one account in one currency"
    size = max(1, min(size, PAGE_MAX))
    forwards = bool(after)
    cursor = after or before or END
    found = _read(scope, cursor, size + 1, forwards=forwards)
    more = len(found) > size
    rows = found[:size] if forwards else found[-size:]
    if not rows:
        return LinesPage([])
    is_last = not more if forwards else cursor == END
    is_first = False if forwards else not more
    return LinesPage(
        rows,
        after="" if is_last else rows[-1].cursor,
        before="" if is_first else rows[0].cursor,
    )


def every_line(*, scope: Scope) -> Iterator[AccountLine]:
    """All lines of the scope, oldest first, page by page."""
    cursor = f"{date.min.isoformat()}~{SMALLEST.hex}"
    while cursor:
        found = page(scope=scope, after=cursor, size=PAGE_MAX)
        yield from found.rows
        cursor = found.after


class UnknownCursor(ValueError):
    """The text is not a place among an account's lines."""


# ---- the statement -------------------------------------------------------------------------

# Days on which the party has lines, as far as the page can reach: it has no index of its own.
PARTY_DAYS = f"""
 AND l.posting_on IN (
  SELECT d.starts_on FROM (
    SELECT t.starts_on, sum(t.lines) OVER (ORDER BY t.starts_on %(direction)s) - t.lines AS passed
    FROM ledger_partytotal t, account a
    WHERE t.book_id = %(book)s AND t.account_id = a.id AND t.currency = %(currency)s
      AND t.party = %(party)s AND t.grain = 'day' AND t.starts_on %(beyond)s %(place_on)s) AS d
  WHERE d.passed <= %(limit)s
  UNION SELECT %(place_on)s::date
  UNION SELECT l.posting_on FROM {TAIL}, account a
    WHERE l.account_id = a.id AND l.currency = %(currency)s AND l.party = %(party)s)"""
# The totals up to the day before the page, the tail before that day, and that day up to the page.
BEFORE = f"""
 SELECT sum(t.debit_minor - t.credit_minor) AS amount,
   sum(t.reporting_debit_minor - t.reporting_credit_minor) AS reporting
 FROM %(totals)s t, account a, start s
 WHERE t.book_id = %(book)s AND t.account_id = a.id AND t.currency = %(currency)s %(of_total)s
   AND t.grain = 'month' AND t.starts_on < date_trunc('month', s.posting_on)::date
 UNION ALL
 SELECT sum(t.debit_minor - t.credit_minor),
   sum(t.reporting_debit_minor - t.reporting_credit_minor)
 FROM %(totals)s t, account a, start s
 WHERE t.book_id = %(book)s AND t.account_id = a.id AND t.currency = %(currency)s %(of_total)s
   AND t.grain = 'day' AND t.starts_on >= date_trunc('month', s.posting_on)::date
   AND t.starts_on < s.posting_on
 UNION ALL
 SELECT sum(l.amount_minor), sum(l.reporting_minor)
 FROM {TAIL}, account a, start s
 WHERE l.account_id = a.id AND l.currency = %(currency)s %(of_line)s
   AND l.posting_on < s.posting_on
 UNION ALL
 SELECT sum(l.amount_minor), sum(l.reporting_minor)
 FROM ledger_journalline l, account a, start s
 WHERE l.book_id = %(book)s AND l.account_id = a.id AND l.currency = %(currency)s %(of_line)s
   AND l.posting_on = s.posting_on AND l.id < s.id"""
STATEMENT = f"""
WITH account AS MATERIALIZED (
 SELECT id FROM ledger_account WHERE book_id = %(book)s AND code = %(account)s),
page AS MATERIALIZED (
 SELECT l.id, l.entry_id, l.posting_on, l.party, l.cash_flow_tag, l.amount_minor,
   l.reporting_minor
 FROM ledger_journalline l
 WHERE l.book_id = %(book)s AND l.account_id = (SELECT id FROM account)
   AND l.currency = %(currency)s %(of_line)s %(days)s
   AND l.posting_on %(beyond)s= %(place_on)s
   AND (l.posting_on, l.id) %(beyond)s (%(place_on)s, %(place_id)s)%(party_days)s
 ORDER BY l.posting_on %(direction)s, l.id %(direction)s LIMIT %(limit)s),
start AS MATERIALIZED (SELECT posting_on, id FROM page ORDER BY posting_on, id LIMIT 1),
earlier AS MATERIALIZED (
 SELECT coalesce(sum(amount), 0) AS amount, coalesce(sum(reporting), 0) AS reporting
 FROM ({BEFORE}) AS parts)
SELECT p.id, e.id, p.posting_on, e.event_class, e.description, e.subject_id, p.party,
 p.cash_flow_tag, p.amount_minor, p.reporting_minor, %(currency)s,
 b.amount + sum(p.amount_minor) OVER w, b.reporting + sum(p.reporting_minor) OVER w
FROM page p JOIN ledger_journalentry e ON e.id = p.entry_id CROSS JOIN earlier b
WINDOW w AS (ORDER BY p.posting_on, p.id) ORDER BY p.posting_on, p.id"""


def _read(scope: Scope, cursor: str, limit: int, *, forwards: bool) -> list[AccountLine]:
    place_on, place_id = _place(cursor)
    words = {
        "of_line": "AND l.party = %(party)s" if scope.party else "",
        "of_total": "AND t.party = %(party)s" if scope.party else "",
        "totals": "ledger_partytotal" if scope.party else "ledger_accounttotal",
        "days": scope.days(),
        "direction": "ASC" if forwards else "DESC",
        "beyond": ">" if forwards else "<",
    }
    words["party_days"] = _filled(PARTY_DAYS, words) if scope.party else ""
    values = scope.values() | {"place_on": place_on, "place_id": place_id, "limit": limit}
    with connection.cursor() as reading:
        reading.execute(_filled(STATEMENT, words), values)
        return [_line(row) for row in reading.fetchall()]


def _filled(statement: str, words: dict[str, str]) -> str:
    """Puts in the parts of the statement that are not values; all of them are named above."""
    for name, text in words.items():
        statement = statement.replace(f"%({name})s", text)
    return statement


def _line(row: tuple[Any, ...]) -> AccountLine:
    return AccountLine(*row[:11], *(int(each) for each in row[11:]))


def _place(cursor: str) -> tuple[date, UUID]:
    if cursor == END:
        return date.max, LARGEST
    day, _, key = cursor.partition("~")
    try:
        return date.fromisoformat(day), UUID(hex=key)
    except ValueError as error:
        raise UnknownCursor(f"{cursor[:60]!r} is not a place among lines") from error
