"""Keyset paging walks every row once, both ways, whatever the cursor text is."""

from __future__ import annotations

import pytest

from payops.console.paging import keyset
from payops.core.actors import service
from payops.core.audit import event, record
from payops.core.clock import utc_now
from payops.core.models import AuditEvent, Book

ACTOR = service("paging-test")


@pytest.fixture
def rows(db):
    book, now = Book.objects.get(code="meridian"), utc_now()
    record(
        event(book=book, actor=ACTOR, action="paged", subject_id=f"n{i:02d}", now=now)
        for i in range(23)
    )
    return AuditEvent.objects.filter(action="paged")


@pytest.mark.parametrize("order", ["-created_at", "created_at", "-pk", "pk"])
def test_pages_hold_every_row_once_even_when_all_have_one_time(rows, order):
    seen, query = [], {}
    while True:
        page = keyset(rows, query=query, order=order, size=5)
        seen += [row.subject_id for row in page.rows]
        if not page.after:
            break
        query = {"after": page.after}

    wanted = [f"n{i:02d}" for i in range(23)]
    assert seen == (wanted if not order.startswith("-") else wanted[::-1])


def test_the_way_back_shows_the_same_pages(rows):
    first = keyset(rows, query={}, order="-pk", size=10)
    second = keyset(rows, query={"after": first.after}, order="-pk", size=10)
    back = keyset(rows, query={"before": second.before}, order="-pk", size=10)

    assert [row.pk for row in back.rows] == [row.pk for row in first.rows]
    assert back.before == ""
    assert back.after == first.after
    assert first.before == ""


@pytest.mark.parametrize(
    "cursor", ["", "x", "W10", "WyJhIiwiYiJd", "bm90IGpzb24", "ÿ", "A" * 5000, "WzEsMl0", "bnVsbA"]
)
def test_unreadable_cursor_starts_at_the_first_page(rows, cursor):
    page = keyset(rows, query={"after": cursor}, order="-created_at", size=5)

    assert [row.subject_id for row in page.rows] == ["n22", "n21", "n20", "n19", "n18"]


def test_empty_list_is_one_empty_page(db):
    page = keyset(AuditEvent.objects.filter(action="never"), query={}, order="-pk")

    assert (page.rows, page.after, page.before, page.shown) == ([], "", "", 0)
