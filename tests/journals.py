"""Asking for hand-made journals and deciding about them, as finance does."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from approvals.models import ApprovalRequest
from ledger import manual
from ledger.manual import HandMade, Line
from ledger.models import JournalEntry, ManualJournal
from payops.core import clock, ids
from payops.core.models import Book
from payops.flows import manual_journal, manual_journal_ask
from payops.flows.manual_journal_ask import Document, JournalAsk
from tests.builders import approval_of, decide, drain
from tests.people import actor

LETTER = Document("letter.pdf", "application/pdf", b"%PDF-1.4 the auditor's letter")
# An accrual of PSP fees: debit 5000, credit 2450.
ACCRUAL = (Line("5000", 12_000, "EUR"), Line("2450", -12_000, "EUR"))


def meridian() -> Book:
    return Book.objects.get(code="meridian")


def today() -> date:
    return clock.business_day(clock.utc_now(), time_zone=meridian().time_zone)


def hand_made(**changes: Any) -> HandMade:
    said = {"event_class": manual.ADJUSTMENT, "lines": ACCRUAL, "posting_on": today()} | changes
    return HandMade(**said)


def ask(
    journal: HandMade | None = None,
    *,
    by: str = "priya",
    documents: tuple[Document, ...] = (LETTER,),
    description: str = "PSP fees of the month, not charged yet",
    reverses: str = "",
    now: datetime | None = None,
    **changes: Any,
) -> ManualJournal:
    wanted = JournalAsk(
        book=meridian(),
        journal=journal or hand_made(**changes),
        description=description,
        documents=documents,
        key=ids.uuid7(),
        reverses=reverses,
    )
    at = now or clock.utc_now()
    return manual_journal_ask.ask(wanted, reason="month end", actor=actor(by), now=at)


def ask_reversal(entry: JournalEntry, *, on: date | None = None, by: str = "priya") -> Any:
    journal = manual_journal.reversal_of(entry, posting_on=on or today())
    return ask(journal, by=by, reverses=entry.public_id, description="posted twice")


def approval(journal: ManualJournal) -> ApprovalRequest:
    return approval_of(journal.approval_id)


def grant(journal: ManualJournal, *, by: str = "marco") -> ManualJournal:
    decide(approval(journal), by)
    drain()
    return reload(journal)


def posted(**changes: Any) -> tuple[ManualJournal, JournalEntry]:
    journal = grant(ask(**changes))
    return journal, JournalEntry.get(journal.entry_id)


def reload(journal: ManualJournal) -> ManualJournal:
    return ManualJournal.objects.get(pk=journal.pk)
