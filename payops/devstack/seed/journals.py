"""Hand-made journals of the demo company: one posted, one waiting for a decision, one rejected."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

from approvals import services as approvals
from approvals.models import ApprovalRequest
from ledger.manual import HandMade, Line
from ledger.models import ManualJournal
from payops.core import clock, ids
from payops.core.models import Book, User
from payops.devstack.seed import acts
from payops.flows import manual_journal_ask
from payops.flows.manual_journal_ask import Document, JournalAsk

MEMO = b"Month-end memo: fees of captured payments that the PSP has not charged yet.\n"
ACCRUAL = "PSP fees of the month, not charged yet"
PENNY = "Penny difference on the settlement of the week"
PENDING = "Returned settlement fee, claimed from the bank"


def seed_journals(say: Callable[[str], None]) -> None:
    """Asked for by the analyst, decided by the finance manager; again: nothing changes."""
    book = Book.objects.get(code="meridian")
    if ManualJournal.objects.filter(book=book, description=PENDING).exists():
        say("the manual journals are there already")
        return
    today = clock.business_day(clock.utc_now(), time_zone=book.time_zone)
    following = (today.replace(day=28) + timedelta(days=4)).replace(day=1)
    accrual = _ask(
        book,
        ACCRUAL,
        HandMade(
            "adjustment.manual",
            (Line("5000", 41_250, "EUR"), Line("2450", -41_250, "EUR")),
            today,
            auto_reverse_on=following,
        ),
    )
    acts.approve(accrual.approval_id)
    penny = _ask(book, PENNY, _penny(today))
    _reject(penny)
    _ask(
        book,
        PENDING,
        HandMade(
            "adjustment.manual",
            (Line("1910", 1_250, "EUR", "the bank's fee desk"), Line("5250", -1_250, "EUR")),
            today,
            batch="statement 2026-117",
        ),
    )
    say("3 manual journals asked for")


def _penny(today: date) -> HandMade:
    lines = (Line("5950", 2, "EUR"), Line("1100", -2, "EUR", "stripe/demo"))
    return HandMade("write_off", lines, today, batch="batch of the week")


def _ask(book: Book, description: str, journal: HandMade) -> ManualJournal:
    wanted = JournalAsk(
        book=book,
        journal=journal,
        description=description,
        documents=(Document("memo.txt", "text/plain", MEMO),),
        key=ids.uuid7(),
    )
    return manual_journal_ask.ask(
        wanted,
        reason="month end, see the memo",
        actor=acts.actor_of("priya"),
        now=clock.utc_now(),
    )


def _reject(journal: ManualJournal) -> None:
    now = clock.utc_now()
    request = ApprovalRequest.objects.get(pk=ids.parse(journal.approval_id, "ap")[1])
    approvals.decide(
        request_id=request.pk,
        user=User.objects.get(username="marco"),
        verdict="reject",
        reason="the PSP corrects it with the next settlement",
        evidence=[],
        content_hash=request.content_hash,
        stepped_up_at=now,
        now=now,
    )
