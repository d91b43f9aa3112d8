"""The replay proof of the running month, or of every month, as the schema's owner."""

from __future__ import annotations

from datetime import datetime

from ledger.models import AccountingPeriod
from ledger.proof import Proof
from payops.commands.bootstrap import as_owner
from payops.core import clock
from payops.core.models import Book
from payops.flows.replay.run import replay


def replayed(*, at: datetime | None = None) -> Proof:
    book = Book.objects.get(code="meridian")
    day = clock.business_day(at or clock.utc_now(), time_zone=book.time_zone)
    with as_owner():
        return replay(book=book, period_code=clock.period_of(day))


def replayed_months() -> list[Proof]:
    """One proof for every month that was opened."""
    periods = AccountingPeriod.objects.filter(book__code="meridian").order_by("code")
    codes = list(periods.values_list("code", flat=True))
    book = Book.objects.get(code="meridian")
    with as_owner():
        return [replay(book=book, period_code=code) for code in codes]


def named(proof: Proof) -> list[str]:
    """Every difference as "kind: words"; empty when the proof holds."""
    return [f"{difference.kind}: {difference.words}" for difference in proof.differences]
