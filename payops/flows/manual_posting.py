"""From an approved manual journal to its entry, once, and back on its day (D6, D12, LJ-17).

Owns the posting, the hourly second look at what could not be posted, and the day a journal takes
itself back. What is posted are the lines that were approved, never those of the journal's own row.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

from django.db import transaction

from approvals.models import ApprovalRequest
from ledger import manual, posting
from ledger.errors import AlreadyReversed, LateApprovalNeeded, LedgerError
from ledger.facts import Posting, Refs, refs_of
from ledger.manual import Line
from ledger.models import JournalEntry, ManualJournal
from ledger.reversing import mirror_of
from payops.core import clock, ids, locks, schedule, state
from payops.core.actors import Actor, service
from payops.core.models import Book
from payops.flows import late_postings
from payops.flows.governed import ChangeRefused

ACTOR = service("manual-journals")
EVERY_S = 3600
ROUND_MAX = 200
State = ManualJournal.State


def post_now(*, journal_id: str, actor: Actor, now: datetime) -> ManualJournal:
    """Try an approved journal again; posted already is no change. Raises ChangeRefused."""
    with transaction.atomic(durable=True):
        journal = locked(journal_id)
        if journal.state == State.POSTED:
            return journal
        if journal.state != State.APPROVED:
            raise ChangeRefused(
                f"{journal.public_id} is {journal.state}; only an approved journal is posted"
            )
        post_approved(journal, _approval(journal), actor=actor, now=now)
        return journal


def give_up(*, journal_id: str, reason: str, actor: Actor, now: datetime) -> ManualJournal:
    """Withdraw an approved journal that could not be posted. Raises ChangeRefused."""
    if not reason.strip():
        raise ChangeRefused("say why the approved journal is not posted after all")
    with transaction.atomic(durable=True):
        journal = locked(journal_id)
        if journal.state != State.APPROVED:
            raise ChangeRefused(
                f"{journal.public_id} is {journal.state}; only an approved journal that waits"
                " for its posting is given up"
            )
        journal.withdraw()
        words = reason.strip()
        state.save(journal, actor=actor, now=now, action="manual_journal.given_up", reason=words)
        return journal


def keep_up(now: datetime) -> int:
    """Once an hour: post what waits for an open month, take back what is due; answers how many."""
    with schedule.slot("manual-journals", now, every_s=EVERY_S) as mine:
        wanted = mine
    if not wanted:
        return 0
    done = 0
    waiting = ManualJournal.objects.filter(state=State.APPROVED).order_by("created_at")
    for journal in waiting[:ROUND_MAX]:
        done += post_now(journal_id=journal.public_id, actor=ACTOR, now=now).state == State.POSTED
    for journal in _due(now):
        done += take_back(journal_id=journal.public_id, actor=ACTOR, now=now)
    return done


def take_back(*, journal_id: str, actor: Actor, now: datetime) -> bool:
    """Post the reversal a journal was approved with, once its day has come; True when it stands.

    The day is that of the approval; a locked month follows the book's policy for late events.
    """
    with transaction.atomic(durable=True):
        journal = locked(journal_id)
        if journal.state != State.POSTED or journal.reversal_entry_id or not _is_due(journal, now):
            return bool(journal.reversal_entry_id)
        entry = JournalEntry.get(journal.entry_id)
        back_on = journal.auto_reverse_on
        assert back_on is not None, "a due journal names its day"
        at = clock.start_of_day(back_on, time_zone=journal.book.time_zone)
        try:
            with transaction.atomic():
                outcome = posting.reverse(
                    entry,
                    reason=f"taken back on {back_on} as approved with {journal.approval_id}",
                    actor=actor,
                    now=now,
                    occurred_at=at,
                )
        except AlreadyReversed as error:
            earlier = JournalEntry.objects.filter(reverses=entry).first()
            if earlier is None:
                _not_done(journal, error, actor, now)
                return False
            journal.reversal_entry_id, journal.last_error = earlier.public_id, ""
        except LedgerError as error:
            if isinstance(error, LateApprovalNeeded):
                late_postings.note([error], now=now)
            _not_done(journal, error, actor, now)
            return False
        else:
            journal.reversal_entry_id, journal.last_error = outcome.entry_public_id, ""
        state.save(
            journal,
            actor=actor,
            now=now,
            action="manual_journal.taken_back",
            reason=f"its day, {back_on}, has come",
            evidence={"entry": journal.reversal_entry_id},
        )
        return True


def post_approved(
    journal: ManualJournal, approval: ApprovalRequest, *, actor: Actor, now: datetime
) -> None:
    """Post the approved content; why it cannot be is kept on the journal, which stays approved."""
    facts = approval.facts
    try:
        with transaction.atomic():
            outcome = _posted(journal.book, approval, actor=actor, now=now)
    except LedgerError as error:
        _not_done(journal, error, actor, now)
        return
    journal.post(entry_id=outcome.entry_public_id)
    told = {"entry": outcome.entry_public_id, "fingerprint": facts["fingerprint"]}
    state.save(
        journal,
        actor=actor,
        now=now,
        action="manual_journal.posted",
        reason="posted as it was approved",
        evidence=told,
    )


def _posted(
    book: Book, approval: ApprovalRequest, *, actor: Actor, now: datetime
) -> posting.Outcome:
    facts, day = approval.facts, date.fromisoformat(approval.facts["posting_on"])
    if facts["reverses"]:
        entry = JournalEntry.get(facts["reverses"])
        earlier = JournalEntry.objects.filter(reverses=entry).first()
        if earlier is not None:
            raise AlreadyReversed(
                f"{entry.public_id} was taken back by {earlier.public_id} meanwhile"
            )
        return posting.reverse(
            entry,
            reason=facts["description"],
            actor=actor,
            now=now,
            occurred_at=moment_of(book, day, now),
            posting_on=day,
            refs=replace(refs_of(entry), approval_id=approval.public_id),
        )
    refs = Refs(
        approval_id=approval.public_id,
        settlement_batch_id=facts["batch"],
        case_id=facts["batch"] if is_case(facts["batch"]) else "",
    )
    wanted = replace(
        posting_of(book, facts),
        occurred_at=moment_of(book, day, now),
        refs=refs,
        reason=approval.reason,
    )
    return posting.post(wanted, actor=actor, now=now)


def posting_of(book: Book, facts: dict[str, Any]) -> Posting:
    """The posting of the facts, without the moment; its fingerprint is what is approved."""
    day = date.fromisoformat(facts["posting_on"])
    reverses = JournalEntry.get(facts["reverses"]) if facts["reverses"] else None
    legs = (
        mirror_of(reverses)
        if reverses
        else manual.legs_of(lines_of(facts), cash_flow_tag=facts["cash_flow_tag"])
    )
    return Posting(
        book=book,
        event_class=facts["event_class"],
        subject_id=facts["journal"],
        movement_ref="",
        legs=legs,
        occurred_at=clock.start_of_day(day, time_zone=book.time_zone),
        description=facts["description"],
        posting_on=day,
        reverses=reverses,
    )


def _not_done(journal: ManualJournal, error: LedgerError, actor: Actor, now: datetime) -> None:
    size = ManualJournal._meta.get_field("last_error").max_length
    words = error.words[:size]
    if journal.last_error == words:
        return
    journal.last_error = words
    state.save(journal, actor=actor, now=now, action="manual_journal.not_posted", reason=words)


def moment_of(book: Book, day: date, now: datetime) -> datetime:
    """When a hand-made entry happened: at the end of its day, never after now."""
    following = clock.start_of_day(day + timedelta(days=1), time_zone=book.time_zone)
    return min(now, following - timedelta(seconds=1))


def _due(now: datetime) -> list[ManualJournal]:
    rows = ManualJournal.objects.filter(
        state=State.POSTED, reversal_entry_id="", auto_reverse_on__isnull=False
    ).select_related("book")
    ordered = rows.order_by("auto_reverse_on", "pk")[:ROUND_MAX]
    return [journal for journal in ordered if _is_due(journal, now)]


def _is_due(journal: ManualJournal, now: datetime) -> bool:
    today = clock.business_day(now, time_zone=journal.book.time_zone)
    return journal.auto_reverse_on is not None and journal.auto_reverse_on <= today


def locked(journal_id: str) -> ManualJournal:
    """The journal, held against a second hand until the transaction ends."""
    key = ids.parse(journal_id, ManualJournal.PREFIX)[1]
    locks.name(f"manual-journal:{key}")
    return ManualJournal.objects.select_related("book", "requested_by").get(pk=key)


def _approval(journal: ManualJournal) -> ApprovalRequest:
    found = ApprovalRequest.objects.select_related("book").get(
        pk=ids.parse(journal.approval_id, ApprovalRequest.PREFIX)[1]
    )
    if found.state != ApprovalRequest.State.APPROVED or found.executed_at is None:
        raise ChangeRefused(f"{journal.approval_id} is {found.state}; nothing may be posted by it")
    return found


def lines_of(facts: dict[str, Any]) -> tuple[Line, ...]:
    return tuple(Line(**line) for line in facts["lines"])


def is_case(text: str) -> bool:
    """Whether the batch that a journal names is a case."""
    return text.startswith("cs_") and len(text) == 35
