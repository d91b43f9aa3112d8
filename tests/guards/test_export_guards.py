"""ERP-6, I15 in the database: as the app role, an export cannot be bent after it was made."""

from __future__ import annotations

from datetime import date

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.utils import DatabaseError

from ledger.models import Export, ExportItem, JournalEntry
from payops.core import clock, ids, state
from tests.flows.exporting import made, meridian, posted
from tests.golden import month
from tests.people import actor

pytestmark = pytest.mark.django_db(transaction=True)


def attack(statement: str, *params: object) -> str:
    with pytest.raises(DatabaseError) as refused, connection.cursor() as cursor:
        cursor.execute(statement, list(params))
    return str(refused.value)


@pytest.mark.parametrize(
    "change",
    [
        "target = 'xero'",
        "reference = 'MER-NS-2026-03-0009'",
        "mode = 'summarised'",
        "from_on = '2026-01-01'",
        "to_on = '2026-04-30'",
        "entries = 0",
        "requested_by_id = (SELECT id FROM core_person ORDER BY id DESC LIMIT 1)",
    ],
)
def test_what_an_export_was_made_as_stays(change: str) -> None:
    posted(meridian(), 1)
    made()

    said = attack(f"UPDATE ledger_export SET {change}")

    assert "export MER-NS-2026-03-0001 keeps its target, days and entries" in said


def test_the_sums_change_with_a_new_attempt_alone() -> None:
    posted(meridian(), 1)
    made()

    said = attack("UPDATE ledger_export SET totals = '{}'")

    assert "the sums of export MER-NS-2026-03-0001 change with a new attempt alone" in said


def test_no_entry_is_added_to_an_export_later() -> None:
    scene = posted(meridian(), 2)
    batch = made(to_on=date(2026, 3, 4))
    late = JournalEntry.objects.filter(book=scene.book).order_by("-posting_on")[0]

    with pytest.raises(DatabaseError, match="are written all at once"):
        ExportItem.objects.create(
            book=batch.book, export=batch, target="netsuite", entry=late, document_no="x"
        )
    assert ExportItem.objects.count() == 1


def test_an_export_takes_entries_of_its_own_book_target_and_days() -> None:
    scene = posted(meridian(), 1)
    entry = JournalEntry.objects.get(book=scene.book)
    other = month.new_book()
    for book, target, day in (
        (other, "netsuite", date(2026, 3, 4)),
        (scene.book, "xero", date(2026, 3, 4)),
        (scene.book, "netsuite", date(2026, 3, 9)),
    ):
        with pytest.raises(DatabaseError, match="takes entries of its book, target and days"):
            _forged(book, target, day, entry)
    assert Export.objects.count() == ExportItem.objects.count() == 0


def test_an_entry_goes_to_a_target_once_whatever_the_batch_is_called() -> None:
    scene = posted(meridian(), 1)
    made()
    entry = JournalEntry.objects.get(book=scene.book)

    with pytest.raises(IntegrityError, match="exported_once"):
        _forged(scene.book, "netsuite", entry.posting_on, entry)


def _forged(book: object, target: str, day: date, entry: JournalEntry) -> None:
    """A batch written past the flow, as the app role could try."""
    who = actor("priya")
    export = Export(
        id=ids.uuid7(),
        book=book,
        target="netsuite",
        reference=f"X-{ids.uuid7().hex[:8]}",
        mode="detailed",
        from_on=day,
        to_on=day,
        entries=1,
        requested_by_id=who.human(),
    )
    with transaction.atomic():
        state.save(export, actor=who, now=clock.utc_now(), action="export.made")
        ExportItem.objects.create(
            book=export.book, export=export, target=target, entry=entry, document_no="x"
        )
