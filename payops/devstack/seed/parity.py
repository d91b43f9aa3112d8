"""One reference pack for the demo company: figures as signed, one of them on another line."""

from __future__ import annotations

from collections.abc import Callable

from ledger import statements
from ledger.models import AccountingPeriod, ReferencePack
from ledger.statement_parts import LINE, Span
from payops.console.sums import decimal_text
from payops.core import clock
from payops.core.models import Book
from payops.devstack.seed import acts
from payops.flows import parity
from payops.formats.reference_pack import COLUMNS

TITLE = "Signed figures of the month"
MOVED_MINOR = 12_000


def seed_parity(say: Callable[[str], None]) -> None:
    """The income statement as it stands, with part of the PSP fees expected on bank fees."""
    book = Book.objects.get(code="meridian")
    if ReferencePack.objects.filter(book=book, title=TITLE).exists():
        return
    now = clock.utc_now()
    today = clock.business_day(now, time_zone=book.time_zone)
    period = AccountingPeriod.objects.get(book=book, starts_on__lte=today, ends_on__gte=today)
    pack = parity.upload(
        book=book,
        period=period,
        title=TITLE,
        filename=f"signed-{period.code}.csv",
        content=_figures(book, period).encode(),
        actor=acts.actor_of("priya"),
        now=now,
    )
    say(f"a reference pack of {period.code} with {len(pack.differences)} difference")


def _figures(book: Book, period: AccountingPeriod) -> str:
    made = statements.statement(
        kind=statements.INCOME_STATEMENT,
        book=book,
        span=Span(period.starts_on, period.ends_on),
        compare=statements.NONE,
    )
    figures = {row.words: row.figures[0].minor for row in made.rows if row.kind == LINE}
    figures["PSP fees"] = figures.get("PSP fees", 0) + MOVED_MINOR
    figures["Bank fees"] = figures.get("Bank fees", 0) - MOVED_MINOR
    rows = [",".join(COLUMNS)]
    for words, minor in figures.items():
        amount = decimal_text(minor, book.reporting_currency)
        rows.append(f'income_statement,"{words}",,,reporting,{amount}' + "," * 5)
    return "\n".join(rows) + "\n"
