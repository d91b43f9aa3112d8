"""One batch of journals for the demo company's ERP, so that there is something to look at."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from ledger.exporting import DETAILED
from ledger.models import Export
from payops.core import clock
from payops.core.models import Book
from payops.devstack.seed import acts
from payops.flows import export
from payops.flows.export import ExportAsk, ExportRefused

TARGET = "netsuite"
LOOKED_BACK = timedelta(days=45)


def seed_export(say: Callable[[str], None]) -> None:
    """Everything posted so far goes to NetSuite's file; running it again changes nothing."""
    book = Book.objects.get(code="meridian")
    if Export.objects.filter(book=book).exists():
        return
    now = clock.utc_now()
    today = clock.business_day(now, time_zone=book.time_zone)
    ask = ExportAsk(book, TARGET, today - LOOKED_BACK, today, DETAILED)
    try:
        made = export.start(ask=ask, actor=acts.actor_of("priya"), now=now)
    except ExportRefused as refusal:
        say(f"no export: {refusal}")
        return
    say(f"{made.entries} entries exported as {made.reference}")
