"""A batch of journals to an ERP: made once, confirmed or rejected, made anew (ERP-1, 6, 7, 9)."""

from __future__ import annotations

import csv
import hashlib
import io
from datetime import date
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.utils import InternalError, ProgrammingError

from ledger.models import Export, ExportFile, ExportItem, JournalEntry, JournalLine
from payops.core import clock
from payops.core.models import AuditEvent, Evidence
from payops.flows import export, governance
from payops.flows.export import ExportRefused
from payops.formats.journals.numbers import minor_of
from tests.flows.exporting import ask, decided, file_of, granted, made, meridian, posted, rules_of
from tests.ledger.scene import capture, public_id, refused
from tests.people import actor
from tests.races import race

pytestmark = pytest.mark.django_db(transaction=True)


def rows_of(batch: Export, attempt: int = 1) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(file_of(batch, attempt).decode())))


def lock_erp(until: date) -> None:
    """Through the approval of the book's settings, as people do it."""
    approval = governance.propose(
        kind="book_settings",
        facts={"book": "meridian", "erp_locked_until": until.isoformat()},
        title="The ERP closed",
        reason="the ERP closed",
        actor=actor("marco"),
        now=clock.utc_now(),
        book=meridian(),
    )
    decided(approval)


def test_a_period_goes_out_once_with_a_reference_a_hash_and_each_entry_named() -> None:
    """ERP-1, ERP-6: three captures of 100.00, each 100 against 90 and 10."""
    posted(meridian())

    batch = made()

    assert (batch.reference, batch.state, batch.entries) == ("MER-NS-2026-03-0001", "READY", 3)
    assert batch.totals == {
        "basis": "entered",
        "memo": "leave out",
        "documents": 3,
        "lines": 9,
        "sums": {"EUR": {"debit": 30_000, "credit": 30_000}},
    }
    rows = rows_of(batch)
    assert [row["ExternalId"] for row in rows] == [
        f"MER-NS-2026-03-0001-{place}" for place in (1, 1, 1, 2, 2, 2, 3, 3, 3)
    ]
    assert [(row["Account"], row["Debit"], row["Credit"]) for row in rows[:3]] == [
        ("1100 PSP clearing", "100.00", ""),
        ("2000 Seller payable", "", "90.00"),
        ("4000 Platform fees (net of tax)", "", "10.00"),
    ]
    file = ExportFile.objects.get(export=batch)
    assert file.filename == "MER-NS-2026-03-0001.csv"
    assert file.sha256 == hashlib.sha256(file_of(batch)).hexdigest()
    assert b"ExternalId" not in bytes(Evidence.objects.get(pk=file.evidence_id).ciphertext)
    items = ExportItem.objects.filter(export=batch).order_by("entry__posting_on")
    assert [item.document_no for item in items] == [f"{batch.reference}-{n}" for n in (1, 2, 3)]


def test_what_the_file_says_is_what_the_ledger_says() -> None:
    """I15: read back and added up, per currency, to the minor unit."""
    book = meridian()
    posted(book, 2)
    posted(book, 2, currency="USD", gross=33_333)
    posted(book, 2, currency="JPY", gross=5_001)

    rows = rows_of(made())

    for side in ("Debit", "Credit"):
        sums: dict[str, int] = {}
        for row in rows:
            if row[side]:
                at = row["Currency"]
                sums[at] = sums.get(at, 0) + minor_of(row[side], at)
        assert sums == {"EUR": 20_000, "USD": 66_666, "JPY": 10_002}


def test_a_re_run_never_duplicates_and_takes_only_what_came_since() -> None:
    """ERP-6."""
    scene = posted(meridian())
    first = made()

    again = refused(ExportRefused, made)

    assert "no entry of 2026-03-01 to 2026-03-31 waits for NetSuite" in str(again)
    assert "MER-NS-2026-03-0001 (3)" in str(again)
    scene.post(capture(scene, public_id("pa")))
    second = made()
    assert (second.reference, second.entries) == ("MER-NS-2026-03-0002", 1)
    assert ExportItem.objects.filter(target="netsuite").count() == 4
    assert Export.objects.count() == 2 and first.entries == 3


def test_another_target_gets_every_entry_of_its_own() -> None:
    posted(meridian())
    made()

    assert made("xero").entries == 3
    assert made("quickbooks").entries == 3


def test_the_database_refuses_an_entry_that_went_to_the_target_before() -> None:
    """ERP-6, in the database: the unique key and the append-only guard."""
    posted(meridian(), 1)
    batch = made()
    item = ExportItem.objects.get(export=batch)
    again = ExportItem(
        book=batch.book, export=batch, target="netsuite", entry_id=item.entry_id, document_no="x"
    )

    refused(IntegrityError, again.save)
    for statement in (
        "UPDATE ledger_exportitem SET document_no = 'x'",
        "DELETE FROM ledger_exportitem",
        "UPDATE ledger_exportfile SET sha256 = ''",
        "DELETE FROM ledger_exportfile",
        "TRUNCATE ledger_exportitem",
    ):
        with pytest.raises((ProgrammingError, InternalError)), connection.cursor() as cursor:
            cursor.execute(statement)
    assert ExportItem.objects.get().document_no == item.document_no


def test_sixteen_people_start_the_same_export_and_one_batch_is_made() -> None:
    """ERP-6: a race of 16."""
    posted(meridian())

    results = race(16, lambda _: made())

    batches = [each for each in results if isinstance(each, Export)]
    refusals = [each for each in results if isinstance(each, ExportRefused)]
    assert (len(batches), len(refusals)) == (1, 15), results
    assert Export.objects.count() == 1 and ExportItem.objects.count() == 3
    assert ExportFile.objects.count() == 1


def test_days_are_summed_up_per_account_and_currency() -> None:
    """ERP-1: two captures a day become one journal of three lines."""
    book = meridian()
    posted(book, 2)
    posted(book, 2)

    batch = made(mode="summarised")

    assert batch.entries == 4
    assert batch.totals["documents"] == 2
    rows = rows_of(batch)
    assert [(row["Account"][:4], row["Debit"], row["Credit"]) for row in rows[:3]] == [
        ("1100", "200.00", ""),
        ("2000", "", "180.00"),
        ("4000", "", "20.00"),
    ]
    assert rows[0]["Memo"] == "2 entries of 2026-03-04, summarised"
    assert {item.document_no for item in ExportItem.objects.all()} == {
        "MER-NS-2026-03-0001-1",
        "MER-NS-2026-03-0001-2",
    }


def test_numbers_at_quickbooks_stay_within_its_21_characters() -> None:
    posted(meridian(), 2)

    batch = made("quickbooks")

    assert batch.reference == "MER-QB-2026-03-0001"
    assert [item.document_no for item in ExportItem.objects.order_by("pk")] == [
        "QB26030001-1",
        "QB26030001-2",
    ]


def test_a_rejected_batch_is_made_anew_with_the_mended_mapping_and_posting_is_untouched() -> None:
    """ERP-7: attempt 2 under the same reference, the same numbers, the new mapping."""
    posted(meridian())
    batch = made()
    entries = list(JournalEntry.objects.order_by("pk").values_list("pk", "fingerprint", "xid"))
    lines = JournalLine.objects.count()
    told: dict[str, Any] = {"actor": actor("priya"), "now": clock.utc_now()}

    export.reject(export_id=batch.public_id, words="Invalid account 1100 PSP clearing", **told)
    granted("netsuite", rules_of("netsuite", accounts={"1100": "11000 Stripe clearing"}))
    again = export.rebuild(export_id=batch.public_id, actor=actor("priya"), now=clock.utc_now())

    assert (again.reference, again.state, again.erp_words) == (batch.reference, "READY", "")
    files = list(ExportFile.objects.filter(export=batch).order_by("attempt"))
    assert [(f.attempt, f.mapping_version, f.filename) for f in files] == [
        (1, 0, "MER-NS-2026-03-0001.csv"),
        (2, 1, "MER-NS-2026-03-0001-2.csv"),
    ]
    was, becomes = rows_of(batch, 1), rows_of(batch, 2)
    assert [row["ExternalId"] for row in was] == [row["ExternalId"] for row in becomes]
    assert becomes[0]["Account"] == "11000 Stripe clearing"
    assert entries == list(
        JournalEntry.objects.order_by("pk").values_list("pk", "fingerprint", "xid")
    )
    assert JournalLine.objects.count() == lines
    assert ExportItem.objects.count() == 3
    done = export.confirm(export_id=batch.public_id, words="Job 4711: 3 of 3", **told)
    assert (done.state, done.erp_words) == ("IMPORTED", "Job 4711: 3 of 3")


def test_only_what_can_happen_next_happens() -> None:
    posted(meridian(), 1)
    batch = made()
    told: dict[str, Any] = {"actor": actor("priya"), "now": clock.utc_now()}
    key = batch.public_id

    assert "only a rejected one" in str(
        refused(ExportRefused, lambda: export.rebuild(export_id=key, **told))
    )
    refused(ExportRefused, lambda: export.confirm(export_id=key, words=" ", **told))
    export.confirm(export_id=key, words="done", **told)
    for act in (export.confirm, export.reject):
        assert "IMPORTED" in str(
            refused(ExportRefused, lambda act=act: act(export_id=key, words="again", **told))
        )
    assert Export.objects.get().erp_words == "done"


def test_days_the_erp_has_locked_are_refused_and_listed() -> None:
    """ERP-9: nothing of the range leaves, and the rest goes when it is chosen alone."""
    posted(meridian(), 3)
    lock_erp(date(2026, 3, 5))

    refusal = refused(ExportRefused, made)

    assert refusal.count == 2
    assert [(p.field, p.value) for p in refusal.problems] == [
        ("Date", "2026-03-04"),
        ("Date", "2026-03-05"),
    ]
    assert refusal.problems[0].wrong == "NetSuite takes nothing dated up to 2026-03-05"
    assert "its lock moved" in refusal.problems[0].to_do
    assert Export.objects.count() == ExportItem.objects.count() == 0
    assert made(from_on=date(2026, 3, 6)).entries == 1


def test_a_rejected_batch_is_not_made_anew_into_a_locked_erp_period() -> None:
    """ERP-9."""
    posted(meridian(), 1)
    batch = made()
    told: dict[str, Any] = {"actor": actor("priya"), "now": clock.utc_now()}
    export.reject(export_id=batch.public_id, words="period closed", **told)
    lock_erp(date(2026, 3, 31))

    refusal = refused(ExportRefused, lambda: export.rebuild(export_id=batch.public_id, **told))

    assert refusal.count == 1 and Export.objects.get().state == "REJECTED"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"from_on": date(2026, 4, 1)}, "2026-04-01 to 2026-03-31 is no range"),
        ({"to_on": date(2028, 1, 1)}, "no range of 1 to 400 days"),
        ({"mode": "both"}, "neither detailed nor summarised"),
    ],
)
def test_what_cannot_be_chosen_is_refused(changes: dict[str, Any], words: str) -> None:
    assert words in str(refused(ExportRefused, lambda: made(**changes)))


def test_too_many_entries_are_refused_before_a_file_is_begun(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    posted(meridian(), 3)
    monkeypatch.setattr("ledger.exporting.ENTRIES_MAX", 2)

    assert "more than 2 entries" in str(refused(ExportRefused, made))
    monkeypatch.setattr("payops.flows.export_file.FILE_BYTES_MAX", 100)
    monkeypatch.setattr("ledger.exporting.ENTRIES_MAX", 10)
    assert "choose fewer days or summarise" in str(refused(ExportRefused, made))
    assert Export.objects.count() == ExportItem.objects.count() == 0


def test_every_step_has_its_audit_row_and_a_refusal_has_one_too() -> None:
    """AU-3: what was exported, by whom, as which file."""
    posted(meridian(), 1)
    batch = made()
    refused(ExportRefused, made)
    file = ExportFile.objects.select_related("evidence__data_key", "export__book").get()
    told: dict[str, Any] = {"actor": actor("priya"), "now": clock.utc_now()}

    content = export.download(file=file, **told)
    export.reject(export_id=batch.public_id, words="no", **told)

    assert hashlib.sha256(content).hexdigest() == file.sha256
    rows = AuditEvent.objects.filter(subject_id=batch.public_id).order_by("pk")
    assert [(row.action, row.from_state, row.to_state) for row in rows] == [
        ("export.made", "", "READY"),
        ("export.downloaded", "", ""),
        ("export.rejected", "READY", "REJECTED"),
    ]
    assert rows[0].evidence["sha256"] == file.sha256
    assert (
        AuditEvent.objects.filter(action="export.refused", subject_id="erp.netsuite").count() == 1
    )


def test_nothing_is_kept_when_the_file_fails_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    posted(meridian(), 1)

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr("payops.flows.export.keep", broken)
    with pytest.raises(RuntimeError):
        made()

    assert Export.objects.count() == ExportItem.objects.count() == Evidence.objects.count() == 0
    assert transaction.get_connection().in_atomic_block is False


def test_a_look_keeps_nothing() -> None:
    posted(meridian(), 3)

    seen = export.look(ask=ask(), now=clock.utc_now())

    assert (seen.entries, seen.documents, seen.lines, seen.problem_count) == (3, 3, 9, 0)
    assert seen.sums == [("EUR", 30_000, 30_000)]
    assert seen.samples[0].startswith("MER-NS-2026-03-0001-1,03/04/2026,")
    assert Export.objects.count() == ExportItem.objects.count() == 0
