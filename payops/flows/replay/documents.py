"""Replays what people and internal systems asked for: journals, revaluations, posted entries.

A hand-made journal is posted again from the facts that were approved, a revaluation is computed
again from what stood there before it, an entry of an internal system from what the system told.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime

from django.db.models import Q

from approvals.models import ApprovalRequest
from ledger import revaluation
from ledger.facts import Refs, refs_of
from ledger.models import JournalEntry, ManualJournal, RevaluationRun
from ledger.reversing import reversal_of
from payops.core import clock, ids
from payops.core.models import AuditEvent
from payops.flows import ledger_entry, manual_posting
from payops.flows.replay.scope import Expected, Scope, Source

CHUNK = 500
State = ManualJournal.State


def journals(scope: Scope) -> Iterator[Expected]:
    """Posted journals, and those taken back on the day they were approved with."""
    first, last = scope.period.starts_on, scope.period.ends_on
    found = ManualJournal.objects.filter(book=scope.book, state=State.POSTED).filter(
        Q(posting_on__range=(first, last)) | Q(auto_reverse_on__lte=last)
    )
    for journal in found.select_related("book").order_by("pk").iterator(CHUNK):
        approval = ApprovalRequest.get(journal.approval_id)
        posted_at = _became_posted_at(journal)
        yield _approved(scope, journal, approval, posted_at)
        if journal.reversal_entry_id and journal.auto_reverse_on is not None:
            yield from _taken_back(scope, journal, journal.auto_reverse_on)


def revaluations(scope: Scope) -> Iterator[Expected]:
    runs = RevaluationRun.objects.filter(period=scope.period).select_related("reverses")
    for run in runs.order_by("run_no"):
        if run.reverses is None:
            plan = revaluation.plan(book=scope.book, period=scope.period, known_at=run.created_at)
            for posting in revaluation.postings(plan, book=scope.book, subject_id=run.public_id):
                yield Expected(posting, run.public_id, run.created_at)
            continue
        for entry in revaluation.entries_of(run.reverses.public_id, book=scope.book):
            posting = reversal_of(
                entry,
                reason=run.public_id,
                occurred_at=revaluation.end_of(scope.period, scope.book),
                posting_on=scope.period.ends_on,
            )
            yield Expected(posting, run.public_id, run.created_at)


def told_entries(scope: Scope) -> Iterator[Expected]:
    """What internal systems told, as the audit trail keeps it word for word."""
    told = AuditEvent.objects.filter(book=scope.book, action=ledger_entry.TOLD)
    for row in told.order_by("pk").iterator(CHUNK):
        ask = ledger_entry.ask_of(scope.book, row.evidence["told"])
        posting = ledger_entry.posting_of(ask, now=row.created_at)
        yield Expected(posting, row.public_id, row.created_at)


def expected(scope: Scope) -> Iterator[Expected]:
    yield from journals(scope)
    yield from revaluations(scope)
    yield from told_entries(scope)


def _approved(
    scope: Scope, journal: ManualJournal, approval: ApprovalRequest, posted_at: datetime
) -> Expected:
    facts = approval.facts
    day = date.fromisoformat(facts["posting_on"])
    occurred_at = manual_posting.moment_of(scope.book, day, posted_at)
    if facts["reverses"]:
        entry = JournalEntry.get(facts["reverses"])
        posting = reversal_of(
            entry,
            reason=facts["description"],
            occurred_at=occurred_at,
            posting_on=day,
            refs=replace(refs_of(entry), approval_id=approval.public_id),
        )
    else:
        batch = facts["batch"]
        posting = replace(
            manual_posting.posting_of(scope.book, facts),
            occurred_at=occurred_at,
            refs=Refs(
                approval_id=approval.public_id,
                settlement_batch_id=batch,
                case_id=batch if manual_posting.is_case(batch) else "",
            ),
        )
    return Expected(posting, journal.public_id, posted_at)


def _taken_back(scope: Scope, journal: ManualJournal, back_on: date) -> Iterator[Expected]:
    entry = JournalEntry.objects.filter(
        pk=ids.parse(journal.entry_id, JournalEntry.PREFIX)[1]
    ).first()
    if entry is None:
        return
    history = ManualJournal.history.filter(id=journal.pk).exclude(reversal_entry_id="")
    posting = reversal_of(
        entry,
        reason=journal.public_id,
        occurred_at=clock.start_of_day(back_on, time_zone=scope.book.time_zone),
    )
    taken_at = history.order_by("history_id").first().history_date
    yield Expected(posting, journal.public_id, taken_at)


def _became_posted_at(journal: ManualJournal) -> datetime:
    history = ManualJournal.history.filter(id=journal.pk, state=State.POSTED)
    moment: datetime = history.order_by("history_id").first().history_date
    return moment


SOURCE = Source("documents", expected)
