"""A book that reports in dollars and holds euros: what happens to them, and their revaluation."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction

from ledger import revaluation
from ledger.facts import Posting
from ledger.fx import Conversion, Held, conversion_legs
from ledger.matrix_row import Leg
from ledger.models import AccountingPeriod, JournalLine, RevaluationRun
from payops.core import clock, locks, state
from payops.core.models import Book
from payops.core.money import Money
from payops.flows import revaluation as flow
from tests.ledger.scene import BANK, LEDGER, PSP, Scene, make_book, public_id
from tests.people import actor
from tests.rates import known_rate

MARCH, APRIL = (datetime(2026, month, 10, 12, 0, tzinfo=UTC) for month in (3, 4))
# The people hold their roles at the moment of the run, whenever that is.
CLOSE = clock.utc_now()


@dataclass
class Story:
    """A book that reports in USD and holds euros."""

    book: Book = field(default_factory=lambda: make_book(reporting_currency="USD"))

    @property
    def scene(self) -> Scene:
        return Scene(self.book)

    def receive(self, minor: int = 9_016, *, at: datetime = MARCH, rate: str = "1.0870") -> None:
        """Check (f): USD 100.00 settled as euros, 2.00 of it kept by the provider."""
        self.convert(
            sold=Held("1100", Money(10_000, "USD"), PSP),
            bought=Held("1100", Money(minor, "EUR"), PSP),
            at=at,
            rate=rate,
            markup=Money(200, "USD"),
        )

    def settle(self, minor: int = 9_016, *, at: datetime = APRIL, rate: str = "1.0900") -> None:
        """The euros are paid out: carried at that day's rate, as any event is."""
        known_rate("EUR", "USD", rate, as_of=at)
        self.post("settlement.closed", [("1150", PSP, minor), ("1100", PSP, -minor)], at=at)
        self.post("settlement.received", [("1000", BANK, minor), ("1150", PSP, -minor)], at=at)

    def convert(
        self,
        *,
        sold: Held,
        bought: Held,
        at: datetime,
        rate: str,
        markup: Money | None = None,
        carried: int | None = None,
    ) -> None:
        legs = conversion_legs(
            Conversion((sold,), (bought,), markup),
            reporting="USD",
            rates={"EUR": Decimal(rate)},
            sold_carried_minor=carried,
        )
        self.send("fx.converted", legs, at)

    def post(self, event_class: str, lines: list[tuple[str, str, int]], *, at: datetime) -> None:
        self.send(event_class, tuple(Leg(a, m, "EUR", p) for a, p, m in lines), at)

    def send(self, event_class: str, legs: tuple[Leg, ...], at: datetime) -> None:
        self.scene.post(
            Posting(
                book=self.book,
                event_class=event_class,
                subject_id=public_id("sb"),
                movement_ref="mv_1",
                legs=legs,
                occurred_at=at,
                description=event_class,
            ),
            now=at,
        )

    def closing(self, code: str) -> AccountingPeriod:
        with transaction.atomic():
            found = AccountingPeriod.objects.get(book=self.book, code=code)
            period = locks.row(AccountingPeriod, found.pk)
            if period.state == AccountingPeriod.State.OPEN:
                period.begin_closing()
                state.save(period, actor=LEDGER, now=CLOSE, action="period.closing")
        return period

    def revalue(self, code: str = "2026-03", rate: str = "1.0950") -> flow.Ran:
        period = self.closing(code)
        if rate:
            at = revaluation.end_of(period, self.book)
            known_rate("EUR", "USD", rate, as_of=at)
        return flow.run(book=self.book, period_id=period.pk, actor=actor("marco"), now=CLOSE)

    def reverse(self, run_id: UUID) -> RevaluationRun:
        return flow.reverse(
            book=self.book,
            run_id=run_id,
            reason="the rate was wrong",
            actor=actor("marco"),
            now=CLOSE,
        )

    def reported(self, *accounts: str) -> int:
        """What the accounts stand at in reporting currency."""
        rows = JournalLine.objects.filter(book=self.book)
        if accounts:
            rows = rows.filter(account__code__in=accounts)
        return sum(rows.values_list("reporting_minor", flat=True))

    @property
    def result(self) -> int:
        """Gains less losses from rates, realised or not."""
        return -self.reported("4900", "4910", "5900", "5910")
