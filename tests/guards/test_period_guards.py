"""Periods and late days move through others' decision alone (I12, D5, D12), whoever writes them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.db import transaction

from ledger.models import AccountingPeriod, LatePlacement
from payops.commands.bootstrap import as_owner
from payops.core.models import Book
from tests.guards.approval_attacks import refused, run
from tests.ledger.scene import make_book
from tests.periods import granted, lock, opened, reopen, requested

pytestmark = pytest.mark.django_db(transaction=True)
TABLE = "ledger_accountingperiod"
LOCK = "a period is locked and reopened only through its granted approval"
LATE = "a late posting gets its day only through its granted approval"
NOW = datetime(2026, 3, 18, 10, 0, tzinfo=UTC)


def february(book: Book | None = None, *, state: str = "CLOSING") -> AccountingPeriod:
    period = opened(book or make_book(), date(2026, 2, 1), now=NOW)
    if state != "OPEN":
        run(f"UPDATE {TABLE} SET state = 'CLOSING' WHERE id = %s", period.pk)
    if state == "LOCKED":
        lock(period.book, "2026-02")
    return AccountingPeriod.objects.get(pk=period.pk)


def to_locked(period: AccountingPeriod, approval_id: str) -> None:
    run(
        f"UPDATE {TABLE} SET state = 'LOCKED', locked_at = now(), approval_id = %s WHERE id = %s",
        approval_id,
        period.pk,
    )


def to_open(period: AccountingPeriod, approval_id: str) -> None:
    run(
        f"UPDATE {TABLE} SET state = 'OPEN', locked_at = NULL, approval_id = %s WHERE id = %s",
        approval_id,
        period.pk,
    )


def about(period: AccountingPeriod) -> dict[str, Any]:
    return {"period": period.public_id}


def test_a_lock_needs_its_own_granted_approval() -> None:
    """Not none, a made-up one, a pending one, one of another kind, period or book."""
    period, other = february(), february()
    next_month = opened(period.book, date(2026, 3, 1), now=NOW)
    pending = requested(period.book, "period_lock", about(period))
    wrong = [
        "",
        "ap_" + "0" * 32,
        pending.public_id,
        granted(period.book, "period_reopen", about(period)).public_id,
        granted(period.book, "period_lock", about(next_month), subject_id="x").public_id,
        granted(other.book, "period_lock", about(period)).public_id,
        granted(period.book, "period_lock", {"period": "pe_" + "0" * 32}, subject_id="y").public_id,
    ]

    for approval_id in wrong:
        with refused(LOCK):
            to_locked(period, approval_id)

    to_locked(period, granted(period.book, "period_lock", about(period), subject_id="z").public_id)
    period.refresh_from_db()
    assert period.state == "LOCKED"


def test_an_approval_that_nobody_executes_locks_nothing() -> None:
    period = february()
    approval = granted(period.book, "period_lock", about(period))
    with as_owner():
        run("ALTER TABLE approvals_approvalrequest DISABLE TRIGGER USER")
        run("UPDATE approvals_approvalrequest SET executed_at = NULL WHERE id = %s", approval.pk)
        run("ALTER TABLE approvals_approvalrequest ENABLE TRIGGER USER")

    with refused(LOCK):
        to_locked(period, approval.public_id)


def test_a_reopening_needs_its_own_and_an_approval_serves_once() -> None:
    period = february(state="LOCKED")
    first_lock = period.approval_id

    for approval_id in (
        "",
        first_lock,
        granted(period.book, "period_lock", about(period)).public_id,
    ):
        with refused(LOCK):
            to_open(period, approval_id)

    reopen(period.book, "2026-02")
    period.refresh_from_db()
    first_reopening = period.approval_id
    assert (period.state, period.locked_at) == ("OPEN", None)
    run(f"UPDATE {TABLE} SET state = 'CLOSING' WHERE id = %s", period.pk)
    with refused(LOCK):
        to_locked(period, first_lock)
    lock(period.book, "2026-02")
    with refused(LOCK):
        to_open(period, first_reopening)


def test_months_are_locked_in_order_and_reopened_against_it() -> None:
    book = make_book()
    earlier = february(book)
    later = opened(book, date(2026, 3, 1), now=NOW)
    run(f"UPDATE {TABLE} SET state = 'CLOSING' WHERE id = %s", later.pk)
    approval = granted(book, "period_lock", about(later), subject_id="early").public_id

    with refused("2026-03 cannot be locked before 2026-02 is"):
        to_locked(later, approval)

    lock(book, "2026-02")
    to_locked(later, approval)
    with refused("2026-02 cannot be reopened while 2026-03 is locked"):
        to_open(earlier, granted(book, "period_reopen", about(earlier)).public_id)


@pytest.mark.parametrize(
    "change",
    [
        "starts_on = '2026-01-01'",
        "ends_on = '2026-03-31'",
        "code = '2026-13'",
        "created_at = now()",
        "book_id = (SELECT id FROM core_book WHERE is_system)",
    ],
)
def test_a_period_keeps_its_book_name_and_days(change: str) -> None:
    period = february()

    with refused("a period keeps its book, name and days"):
        run(f"UPDATE {TABLE} SET {change} WHERE id = %s", period.pk)


@pytest.mark.parametrize("change", ["locked_at = NULL", "locked_at = now()", "approval_id = 'x'"])
def test_the_trace_of_a_lock_is_not_rewritten(change: str) -> None:
    period = february(state="LOCKED")

    with refused(LOCK):
        run(f"UPDATE {TABLE} SET {change} WHERE id = %s", period.pk)


def test_a_lock_says_when_and_a_reopened_month_no_longer_does() -> None:
    period = february()
    approval = granted(period.book, "period_lock", about(period)).public_id

    with refused(LOCK):
        run(
            f"UPDATE {TABLE} SET state = 'LOCKED', approval_id = %s WHERE id = %s",
            approval,
            period.pk,
        )


def test_periods_never_overlap_and_begin_open() -> None:
    period = february()
    columns = "(id, created_at, book_id, code, starts_on, ends_on, state, locked_at, approval_id)"

    def insert(starts: str, ends: str, **change: Any) -> None:
        values = {"state": "OPEN", "locked_at": None, "approval_id": "", **change}
        run(
            f"INSERT INTO {TABLE} {columns} VALUES"
            " (gen_random_uuid(), now(), %s, %s, %s, %s, %s, %s, %s)",
            period.book_id,
            "new",
            starts,
            ends,
            *values.values(),
        )

    for starts, ends in (
        ("2026-02-28", "2026-03-31"),
        ("2026-01-01", "2026-02-01"),
        ("2026-02-10", "2026-02-11"),
        ("2025-01-01", "2027-01-01"),
    ):
        with refused("the period new would overlap 2026-02"):
            insert(starts, ends)
    with refused("may not go from nothing to LOCKED"):
        insert("2026-03-01", "2026-03-31", state="LOCKED")
    with refused("a period begins open and without an approval"):
        insert("2026-03-01", "2026-03-31", approval_id="ap_" + "0" * 32)
    with refused("never deleted|permission denied"):
        run(f"DELETE FROM {TABLE} WHERE id = %s", period.pk)
    insert("2026-03-01", "2026-03-31")
    assert AccountingPeriod.objects.filter(book=period.book).count() == 2


def late(book: Book, approval_id: str, **change: Any) -> None:
    values = {**NAMED, "occurred_on": date(2026, 2, 27), "posting_on": date(2026, 3, 2), **change}
    LatePlacement.objects.create(book=book, approval_id=approval_id, **values)


NAMED = {
    "key": "t:payment.captured:pa_1:mv_1",
    "fingerprint": "f" * 64,
    "event_class": "payment.captured",
    "subject_id": "pa_1",
}
TOLD = {**NAMED, "occurred_on": "2026-02-27", "posting_on": "2026-03-02"}


def test_a_late_posting_gets_exactly_the_day_that_was_granted() -> None:
    """D12: whoever names another key, amount, day or book writes nothing."""
    book, other = make_book(), make_book()
    approval = granted(book, "late_posting", {"postings": [TOLD]}).public_id
    pending = requested(book, "late_posting", {"postings": [TOLD]}, subject_id="p").public_id
    wrong_kind = granted(book, "period_lock", {"postings": [TOLD]}).public_id

    for change in (
        {"key": "t:payment.captured:pa_2:mv_1"},
        {"fingerprint": "0" * 64},
        {"event_class": "fee.charged"},
        {"subject_id": "pa_2"},
        {"occurred_on": date(2026, 2, 26)},
        {"posting_on": date(2026, 3, 3)},
    ):
        with refused(LATE):
            late(book, approval, **change)
    for approval_id in ("", pending, wrong_kind, "ap_" + "0" * 32):
        with refused(LATE):
            late(book, approval_id)
    with refused(LATE):
        late(other, approval)
    assert LatePlacement.objects.count() == 0

    late(book, approval)
    with refused("late_placement_once"):
        late(book, approval)
    with refused("append-only|permission denied"):
        run("UPDATE ledger_lateplacement SET posting_on = '2026-03-03'")
    with refused("append-only|permission denied"):
        run("DELETE FROM ledger_lateplacement")


def test_what_waits_is_neither_changed_nor_removed() -> None:
    for statement in (
        "UPDATE ledger_waitingposting SET amount_minor = 1",
        "DELETE FROM ledger_waitingposting",
    ):
        with refused("append-only|permission denied"):
            run(statement)


def test_the_owner_is_exempt_as_everywhere() -> None:
    period = february()

    with as_owner(), transaction.atomic():
        to_locked(period, "")

    period.refresh_from_db()
    assert period.state == "LOCKED"
