"""After a restore nothing starts until the stored transaction ids lie below the cluster's.

RB-8; the whole way is in tests/devstack/test_restore_drill.py.
"""

from __future__ import annotations

from datetime import date
from io import StringIO

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connections, transaction

from ledger import balances
from ledger.models import AccountTotal, JournalEntry, JournalLine
from payops.commands import restored
from payops.commands.bootstrap import as_owner
from payops.core import audit, clock, verification
from payops.core.actors import service
from payops.core.models import AuditEvent, AuditSeal, Book
from payops.monitoring import folds
from payops.monitoring.models import FoldMark
from tests.ledger.lines import Line, fold_all, off, tail, write
from tests.ledger.scene import make_book

pytestmark = pytest.mark.django_db(transaction=True)

ELSEWHERE = 4_000_000_000_000
DAY = date(2026, 3, 15)


def act(book: Book, action: str) -> AuditEvent:
    row = audit.event(
        book=book, actor=service("tests"), action=action, subject_id="x", now=clock.utc_now()
    )
    with transaction.atomic():
        audit.record([row])
    return AuditEvent.objects.get(action=action)


def come_from_elsewhere() -> None:
    """Every stored id as a busier cluster would have written it: nothing else differs."""
    moved = f"(xid::text::bigint + {ELSEWHERE})::text::xid8"
    with as_owner(), connections["default"].cursor() as cursor:
        for table in restored.REWRITTEN:
            cursor.execute(f"ALTER TABLE {table} ALTER COLUMN xid TYPE xid8 USING {moved}")
        cursor.execute(
            f"UPDATE ledger_balancecut SET cut = (cut::text::bigint + {ELSEWHERE})::text::xid8"
        )
        cursor.execute(
            f"UPDATE monitoring_foldmark SET xid = xid + {ELSEWHERE} WHERE name = 'audit'"
        )


def rebase(*arguments: str) -> str:
    out = StringIO()
    connections.close_all()
    call_command("rebase_after_restore", *arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def book() -> Book:
    """Folded lines, a tail, a sealed and an unsealed audit row; then moved to this cluster."""
    book = make_book()
    write(book, Line("2000", -90, party="be_a"), Line("4000", 90), on=DAY)
    act(book, "test.sealed")
    fold_all(book)
    audit.seal(now=clock.utc_now())
    with transaction.atomic():
        folds.fold(now=clock.utc_now())
    write(book, Line("2000", -7, party="be_b"), Line("4000", 7), on=DAY)
    act(book, "test.unsealed")
    come_from_elsewhere()
    return book


def test_without_it_what_is_posted_after_a_restore_would_be_missing(book: Book) -> None:
    """Why the start is refused: the cut lies ahead of every new line."""
    write(book, Line("2000", -1, party="be_a"), Line("4000", 1), on=DAY)

    assert balances.balance(book=book, account="4000", currency="EUR").amount_minor == 97
    assert off(book) != []


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_web_workers_and_migrate_refuse_to_start_and_say_what_to_run(book: Book) -> None:
    for start in (restored.refuse_start, lambda: call_command("migrate", verbosity=0)):
        with pytest.raises((SystemExit, CommandError)) as refused:
            start()

        words = str(refused.value)
        assert "it was restored from elsewhere" in words
        assert "Stop everything that uses it, then run `manage.py rebase_after_restore`" in words
        assert "docs/runbooks/restore.md" in words


def test_it_moves_the_ids_below_the_clusters_and_changes_no_balance(book: Book) -> None:
    hashes = list(AuditEvent.objects.order_by("id").values_list("id", "content_hash"))
    amounts = list(JournalLine.objects.order_by("id").values_list("id", "amount_minor"))
    before = AuditEvent.objects.count()

    said = rebase()

    assert "4 lines of 2 books were added up anew" in said
    assert set(JournalEntry.objects.values_list("xid", flat=True)) == {3}
    assert set(JournalLine.objects.values_list("xid", flat=True)) == {3}
    assert hashes == list(
        AuditEvent.objects.exclude(action="books.rebased")
        .order_by("id")
        .values_list("id", "content_hash")
    )
    assert amounts == list(JournalLine.objects.order_by("id").values_list("id", "amount_minor"))
    assert balances.balance(book=book, account="4000", currency="EUR").amount_minor == 97
    assert off(book) == []
    (row,) = AuditEvent.objects.filter(action="books.rebased")
    assert (row.service, row.evidence["lines"]) == ("rebase-after-restore", 4)
    assert AuditEvent.objects.count() == before + 1
    restored.refuse_start()


def test_afterwards_posting_folding_and_sealing_go_on(book: Book) -> None:
    sealed = AuditSeal.objects.count()
    rebase()

    write(book, Line("2000", -1, party="be_a"), Line("4000", 1), on=DAY)
    late = act(book, "test.later")
    fold_all(book)

    assert balances.balance(book=book, account="4000", currency="EUR").amount_minor == 98
    assert (tail(book), off(book)) == (0, [])
    audit.seal(now=clock.utc_now())
    order = list(AuditSeal.objects.order_by("seq").values_list("audit_id", flat=True))
    assert len(order) == AuditEvent.objects.count() > sealed
    assert order[-1] == late.pk
    assert verification.verify(now=clock.utc_now()).ok


def test_what_monitoring_had_counted_is_not_counted_again(book: Book) -> None:
    rebase()

    sealed = AuditEvent.objects.get(action="test.sealed")
    unsealed = AuditEvent.objects.get(action="test.unsealed")
    assert (sealed.xid, unsealed.xid) == (restored.DONE, restored.WAITING)
    assert FoldMark.objects.get(name="audit").xid == restored.WAITING


def test_it_needs_the_database_for_itself(book: Book) -> None:
    told = connections["default"].settings_dict
    with psycopg.connect(
        dbname=told["NAME"],
        user=told["USER"],
        password=told["PASSWORD"],
        host=told["HOST"],
        port=told["PORT"],
    ) as other:
        with pytest.raises(CommandError) as refused:
            rebase()
        pid = other.info.backend_pid

    assert str(refused.value) == (
        f"1 other sessions use this database: {told['USER']} (process {pid}). Stop web, workers"
        " and scheduler, close open psql sessions, and run it again"
    )
    assert restored.DONE not in set(JournalLine.objects.values_list("xid", flat=True))


def test_a_second_run_changes_nothing(book: Book) -> None:
    rebase()
    before = list(AuditEvent.objects.order_by("id").values_list("id", "xid"))

    assert rebase() == "Nothing to do: nothing stored lies ahead of this cluster.\n"

    assert list(AuditEvent.objects.order_by("id").values_list("id", "xid")) == before


def test_the_journal_is_append_only_again_afterwards(book: Book) -> None:
    rebase()

    with pytest.raises(Exception, match="permission denied"), transaction.atomic():
        JournalLine.objects.update(amount_minor=1)
    with as_owner(), pytest.raises(Exception, match="append-only"), transaction.atomic():
        JournalLine.objects.update(amount_minor=1)


def test_a_dump_with_a_line_missing_is_refused_as_a_whole(book: Book) -> None:
    with as_owner(), connections["default"].cursor() as cursor:
        cursor.execute("ALTER TABLE ledger_journalline DISABLE TRIGGER USER")
        cursor.execute("DELETE FROM ledger_journalline WHERE position = 1 AND amount_minor = 7")
        cursor.execute("ALTER TABLE ledger_journalline ENABLE TRIGGER USER")

    with pytest.raises(CommandError) as refused:
        rebase()

    assert "so nothing was changed; the dump is damaged or incomplete" in str(refused.value)
    assert f"the lines of {DAY} are off by -7 EUR" in str(refused.value)
    assert restored.ahead() is not None
    assert not AuditEvent.objects.filter(action="books.rebased").exists()


def test_totals_alone_are_added_up_anew_beside_the_product() -> None:
    """What a break of I17 in the totals is answered with."""
    book = make_book()
    write(book, Line("2000", -90, party="be_a"), Line("4000", 90), on=DAY)
    fold_all(book)
    with as_owner():
        AccountTotal.objects.filter(book=book).update(credit_minor=1)
    assert off(book) != []

    assert "lines of 2 books were added up anew." in rebase("--totals")

    assert off(book) == []
