"""How a book is kept changes through others' decision alone (D5, D12), whoever writes it."""

from __future__ import annotations

from typing import Any

import pytest

from payops.commands.bootstrap import as_owner
from payops.core.models import Book
from tests.guards.approval_attacks import refused, run
from tests.periods import granted, requested

pytestmark = pytest.mark.django_db(transaction=True)
WORDS = "book settings change only through their granted approval"
GOVERNED: dict[str, Any] = {
    "late_event_policy": "block",
    "late_approval_above_minor": 1,
    "authorization_policy": "memo",
    "presentation": "gross",
    "refund_fee_policy": "kept",
    "fiscal_year_start_month": 7,
    "penny_cap_minor": 5,
    "erp_locked_until": "2026-01-31",
    "protective_hold": False,
    "hold_rollback_allowed": False,
    "typed_confirmation_above_minor": 1,
    "bank_detail_cooldown_hours": 0,
    "case_storm_cap": 1,
    "case_storm_window_s": 1,
}
FIXED: dict[str, Any] = {
    "reporting_currency": "USD",
    "time_zone": "UTC",
    "code": "other",
    "name": "Other Ltd",
    "is_system": True,
}


def meridian() -> Book:
    return Book.objects.get(is_system=False)


def write(approval_id: str = "", **columns: Any) -> None:
    named = {**columns, **({"approval_id": approval_id} if approval_id else {})}
    sets = ", ".join(f"{name} = %s" for name in named)
    run(f"UPDATE core_book SET {sets} WHERE NOT is_system", *named.values())


def grant(subject_id: str = "test", **facts: Any) -> str:
    told = {"book": "meridian", **facts}
    return granted(meridian(), "book_settings", told, subject_id=subject_id).public_id


@pytest.mark.parametrize(("column", "value"), [*GOVERNED.items(), *FIXED.items()])
def test_no_column_changes_without_an_approval(column: str, value: Any) -> None:
    with refused(WORDS):
        write(**{column: value})
    with refused(WORDS):
        write("ap_" + "0" * 32, **{column: value})


@pytest.mark.parametrize(("column", "value"), GOVERNED.items())
def test_a_granted_column_changes_to_the_granted_value_once(column: str, value: Any) -> None:
    approval = grant(**{column: value})
    before = getattr(meridian(), column)

    with refused(WORDS):
        write(approval, **{column: value, "penny_cap_minor": 77})
    write(approval, **{column: value})

    after = getattr(meridian(), column)
    assert after != before
    assert str(after) == str(value)
    with refused(WORDS):
        write(approval, **{column: before})


@pytest.mark.parametrize(("column", "value"), FIXED.items())
def test_what_figures_are_counted_in_never_changes(column: str, value: Any) -> None:
    """Not even with an approval that names it."""
    approval = grant(**{column: value})

    with refused(WORDS):
        write(approval, **{column: value})


def test_another_kind_a_pending_one_and_another_book_s_do_not_serve() -> None:
    facts = {"book": "meridian", "penny_cap_minor": 5}
    system = Book.objects.get(is_system=True)
    wrong = [
        requested(meridian(), "book_settings", facts).public_id,
        granted(meridian(), "period_lock", facts).public_id,
        granted(system, "book_settings", facts).public_id,
        grant("other", book="other", penny_cap_minor=5),
    ]

    for approval_id in wrong:
        with refused(WORDS):
            write(approval_id, penny_cap_minor=5)
    assert meridian().penny_cap_minor == 100


def test_an_approval_used_once_stays_used_after_another() -> None:
    first = grant("a", penny_cap_minor=5)
    book = meridian()
    book.penny_cap_minor, book.approval_id = 5, first
    book.save()
    book.penny_cap_minor, book.approval_id = 6, grant("b", penny_cap_minor=6)
    book.save()

    with refused(WORDS):
        write(first, penny_cap_minor=5)
    assert meridian().penny_cap_minor == 6


def test_the_owner_is_exempt_and_books_are_never_deleted() -> None:
    with as_owner():
        Book.objects.filter(is_system=False).update(penny_cap_minor=9)
    assert meridian().penny_cap_minor == 9

    with refused("never deleted|permission denied"):
        run("DELETE FROM core_book WHERE NOT is_system")
