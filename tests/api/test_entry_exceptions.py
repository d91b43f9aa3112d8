"""Entries the books rule out as they stand, and what time changes (LJ-18, D11, D12, D17a)."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import transaction

from ledger.models import AccountingPeriod, JournalEntry
from ledger.periods import ensure_open
from payops.cases.models import Case, CaseEntry
from payops.commands.bootstrap import as_owner
from payops.core import clock, locks, state
from payops.core.actors import service
from payops.core.models import Book, IdempotencyKey
from payops.flows import ledger_entry
from tests.api.calling import problem
from tests.api.entries import fee, nothing_posted, send
from tests.ledger.scene import lock_period

pytestmark = pytest.mark.django_db


@pytest.mark.django_db(transaction=True)
def test_an_impossible_predecessor_opens_one_case_and_leaves_the_key_free() -> None:
    """LJ-18: a fee given back that was never charged; told in order, the same key posts it."""
    back = fee(event_class="fee.refunded", movement_ref="back-1")

    answers = [send(back, key="R-1") for _ in range(3)]

    case = Case.objects.get()
    assert {(a.status_code, problem(a)) for a in answers} == {(409, "impossible-state")}
    assert {a.json()["case_id"] for a in answers} == {case.public_id}
    assert "needs fee.charged" in answers[0].json()["detail"]
    assert (case.rule, case.subject_id) == (ledger_entry.RULE, "INV-2026-117")
    assert (case.amount_minor, case.currency) == (120, "EUR")
    assert CaseEntry.objects.filter(case=case, kind="refused").count() == 1
    assert nothing_posted()
    assert not IdempotencyKey.objects.exists()

    assert send(fee(), key="F-1").status_code == 201
    assert send(back, key="R-1").status_code == 201
    assert JournalEntry.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_a_storm_of_impossible_events_is_one_systemic_case() -> None:
    """D11: the cap of the book holds for what systems tell, too."""
    with as_owner():
        Book.objects.filter(code="meridian").update(case_storm_cap=2)

    for number in range(4):
        send(fee(event_class="fee.refunded", subject_id=f"INV-{number}"))

    assert Case.objects.filter(rule=ledger_entry.RULE).count() == 2
    assert Case.objects.filter(rule="systemic").count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_locked_period_leaves_the_key_free_and_reopened_it_posts() -> None:
    """D12, D17a: the book blocks late events."""
    book = Book.objects.get(code="meridian")
    today = clock.business_day(clock.utc_now(), time_zone=book.time_zone)
    day = today.replace(day=1) - timedelta(days=1)
    with as_owner():
        Book.objects.filter(code="meridian").update(late_event_policy="block")
    with transaction.atomic():
        ensure_open(book=book, day=day, actor=service("close"), now=clock.utc_now())
    lock_period(book, clock.period_of(day), now=clock.utc_now())
    late = fee(occurred_at=f"{day}T12:00:00+00:00")

    refused = [send(late, key="F-1") for _ in range(2)]
    assert {(a.status_code, problem(a)) for a in refused} == {(409, "not-now")}
    assert "is closed in meridian" in refused[0].json()["detail"]
    assert nothing_posted()

    _reopen(day)
    answer = send(late, key="F-1")

    assert (answer.status_code, answer.json()["posting_on"]) == (201, day.isoformat())
    assert JournalEntry.objects.count() == 1


def _reopen(day: date) -> None:
    with as_owner(), transaction.atomic():
        period = AccountingPeriod.objects.get(code=clock.period_of(day))
        period = locks.row(AccountingPeriod, period.pk)
        period.reopen(approval_id="")
        state.save(period, actor=service("close"), now=clock.utc_now(), action="period.reopened")


def test_an_event_of_a_closed_month_keeps_its_own_moment() -> None:
    """D12: the day it is posted on is another column."""
    moment = datetime(2026, 1, 5, 23, 30, tzinfo=UTC)
    answer = send(fee(occurred_at=moment.isoformat()), key="F-1")

    assert answer.status_code == 201, answer.json()
    assert JournalEntry.objects.get().occurred_at == moment
