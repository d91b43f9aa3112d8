"""The database's own rules for the journal, attacked from SQL as the app role (LJ-2, I5, I12)."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import DatabaseError, connection, transaction

from ledger.models import Account, AccountingPeriod, JournalEntry, JournalLine, PostingKey
from payops.core import ids
from tests.ledger.scene import NOW, Scene, capture, lock_period, make_book, public_id

pytestmark = pytest.mark.django_db(transaction=True)
DAY = date(2026, 3, 18)
TABLES = ("ledger_journalentry", "ledger_journalline", "ledger_postingkey")


class Attack:
    """Hand-written INSERTs beside one entry that was posted properly."""

    def __init__(self) -> None:
        self.scene = Scene(make_book())
        outcome = self.scene.post(capture(self.scene, public_id("pa")))[0]
        self.entry = JournalEntry.get(outcome.entry_public_id)
        codes = Account.objects.filter(book=self.scene.book, code__in=("1100", "2000"))
        self.debit, self.credit = (account.pk for account in codes.order_by("code"))

    def insert_entry(self, *, first_line: UUID, day: date = DAY, **changes: Any) -> UUID:
        values: dict[str, Any] = {
            f.attname: getattr(self.entry, f.attname)
            for f in JournalEntry._meta.concrete_fields
            if f.name != "xid"
        }
        values.update(id=ids.uuid7(), first_line_id=first_line, posting_on=day, **changes)
        _insert("ledger_journalentry", values)
        return values["id"]

    def insert_lines(
        self, entry: UUID, *amounts: int, first: UUID | None = None, day: date = DAY, **more: Any
    ) -> None:
        """One statement; positive amounts are debits. `reporting` overrides the reporting ones."""
        reporting = more.pop("reporting", amounts)
        rows = [
            {
                "id": first if first and position == 0 else ids.uuid7(),
                "created_at": NOW,
                "book_id": self.scene.book.pk,
                "entry_id": entry,
                "position": position,
                "account_id": self.debit if amount > 0 else self.credit,
                "party": "x",
                "amount_minor": amount,
                "currency": "EUR",
                "reporting_minor": converted,
                "posting_on": day,
                **more,
            }
            for position, (amount, converted) in enumerate(zip(amounts, reporting, strict=True))
        ]
        _insert("ledger_journalline", *rows)

    def entry_and_lines(self, *amounts: int, day: date = DAY, **more: Any) -> None:
        first = ids.uuid7()
        with transaction.atomic():
            entry = self.insert_entry(first_line=first, day=day, **more.pop("entry", {}))
            self.insert_lines(entry, *amounts, first=first, day=day, **more)

    def unharmed(self) -> bool:
        entries = JournalEntry.objects.filter(book=self.scene.book).count()
        lines = JournalLine.objects.filter(book=self.scene.book).count()
        return (entries, lines) == (1, 3)


def _insert(table: str, *rows: dict[str, Any]) -> None:
    columns = list(rows[0])
    casts = ["%s::text::xid8" if column == "xid" else "%s" for column in columns]
    marks = "(" + ", ".join(casts) + ")"
    names = ", ".join(f'"{column}"' for column in columns)
    statement = f'INSERT INTO "{table}" ({names}) VALUES ' + ", ".join([marks] * len(rows))
    with connection.cursor() as cursor:
        cursor.execute(statement, [row[column] for row in rows for column in columns])


def test_the_same_statements_pass_when_they_are_an_entry() -> None:
    """The attacks below fail for their own reason: this one, unspoilt, is accepted."""
    attack = Attack()

    attack.entry_and_lines(500, -500)

    assert JournalEntry.objects.filter(book=attack.scene.book).count() == 2


@pytest.mark.parametrize(
    ("amounts", "more", "words"),
    [
        ((500, -499), {}, "out of balance by 1 EUR"),
        ((500, -500), {"reporting": (500, -499)}, "off by 1 in reporting currency"),
        ((0,), {}, "line_not_nil"),
        ((500,), {}, "out of balance by 500 EUR"),
        ((0,), {"reporting": (5,)}, "has 1 lines, off by 5 in reporting currency"),
        ((500, -500, 0), {}, "line_not_nil"),
    ],
)
def test_lines_that_do_not_balance_or_stand_alone_are_refused(
    amounts: tuple[int, ...], more: dict[str, Any], words: str
) -> None:
    attack = Attack()

    with pytest.raises(DatabaseError, match=words):
        attack.entry_and_lines(*amounts, **more)

    assert attack.unharmed()


def test_two_halves_that_balance_only_together_are_refused() -> None:
    """One statement per half: each statement must balance by itself."""
    attack = Attack()
    first = ids.uuid7()

    with pytest.raises(DatabaseError, match="out of balance"), transaction.atomic():
        entry = attack.insert_entry(first_line=first)
        attack.insert_lines(entry, 500, first=first)
        attack.insert_lines(entry, -500)

    assert attack.unharmed()


def test_balanced_lines_cannot_be_appended_in_another_transaction() -> None:
    attack = Attack()

    written = f"entry {attack.entry.pk} was written in transaction {attack.entry.xid}, no line is"
    with pytest.raises(DatabaseError, match=written):
        attack.insert_lines(attack.entry.pk, 500, -500)
    forged = f"lines of entry {attack.entry.pk} say transaction {attack.entry.xid}, they are"
    with pytest.raises(DatabaseError, match=forged):
        attack.insert_lines(attack.entry.pk, 500, -500, xid=attack.entry.xid)

    assert attack.unharmed()


def test_balanced_lines_cannot_be_appended_in_the_same_transaction_either() -> None:
    """An entry is sealed by the statement that writes its first line."""
    attack, first = Attack(), ids.uuid7()

    with (
        pytest.raises(DatabaseError, match=r"lines are added to entry .* without its first one"),
        transaction.atomic(),
    ):
        entry = attack.insert_entry(first_line=first)
        attack.insert_lines(entry, 500, -500, first=first)
        attack.insert_lines(entry, 500, -500)

    assert attack.unharmed()


def test_a_made_up_transaction_id_is_refused() -> None:
    attack = Attack()

    with pytest.raises(DatabaseError, match=r"entry .* says transaction 1, it is written in"):
        attack.entry_and_lines(500, -500, entry={"xid": 1})
    with pytest.raises(DatabaseError, match=r"lines of entry .* say transaction 1, they are"):
        attack.entry_and_lines(500, -500, xid=1)

    assert attack.unharmed()


def test_a_copy_with_a_forged_transaction_id_is_refused() -> None:
    """COPY fires no rules, but it fires the same triggers."""
    attack, first = Attack(), ids.uuid7()
    columns = "id, created_at, book_id, entry_id, position, account_id, party, amount_minor"
    columns += ", currency, reporting_minor, posting_on, xid"

    def copied(entry: UUID, xid: int) -> None:
        rows = ""
        for line, account, amount in ((first, attack.debit, 7), (ids.uuid7(), attack.credit, -7)):
            values = (line, NOW, attack.scene.book.pk, entry, 0, account, "x", amount, "EUR")
            rows += "\t".join(str(value) for value in (*values, amount, DAY, xid)) + "\n"
        with (
            connection.wrap_database_errors,
            connection.cursor() as cursor,
            cursor.copy(f"COPY ledger_journalline ({columns}) FROM STDIN") as stream,
        ):
            stream.write(rows)

    words = "say transaction 1, they are written in"
    with pytest.raises(DatabaseError, match=words), transaction.atomic():
        copied(attack.insert_entry(first_line=first), 1)
    with pytest.raises(DatabaseError, match=f"say transaction {attack.entry.xid}, they are"):
        copied(attack.entry.pk, attack.entry.xid)

    assert attack.unharmed()


def test_lines_carry_the_day_of_their_entry() -> None:
    attack = Attack()
    first = ids.uuid7()

    with pytest.raises(DatabaseError, match="not dated 2026-03-18"), transaction.atomic():
        entry = attack.insert_entry(first_line=first)
        attack.insert_lines(entry, 500, -500, first=first, day=DAY - timedelta(days=1))

    assert attack.unharmed()


def test_an_entry_without_lines_does_not_commit() -> None:
    attack = Attack()

    with pytest.raises(DatabaseError, match="entry_has_lines"), transaction.atomic():
        attack.insert_entry(first_line=ids.uuid7())

    assert attack.unharmed()


def test_an_entry_without_lines_cannot_name_the_line_of_another() -> None:
    attack = Attack()
    lines = list(attack.entry.lines.order_by("position").values_list("id", flat=True))

    for stolen in lines:
        with pytest.raises(DatabaseError, match="entry_has_lines"), transaction.atomic():
            attack.insert_entry(first_line=stolen)

    assert attack.unharmed()


def test_lines_are_on_accounts_of_their_own_book() -> None:
    attack, other = Attack(), Attack()

    with pytest.raises(DatabaseError, match="which is no account of its book"):
        attack.entry_and_lines(500, -500, account_id=other.debit)

    assert attack.unharmed()


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("SET session_replication_role = replica", "permission denied to set parameter"),
        ("ALTER TABLE ledger_journalline DISABLE TRIGGER ALL", "must be owner of table"),
        ("ALTER TABLE ledger_journalentry DISABLE TRIGGER USER", "must be owner of table"),
        ("DROP TRIGGER payops_lines_balance ON ledger_journalline", "must be owner of"),
        ("ALTER TABLE ledger_journalentry DROP CONSTRAINT entry_has_lines", "must be owner of"),
        (
            "CREATE OR REPLACE FUNCTION payops_lines_balance() RETURNS trigger LANGUAGE plpgsql"
            " AS 'BEGIN RETURN NULL; END'",
            "permission denied for schema public|must be owner of function",
        ),
    ],
)
def test_the_app_role_cannot_switch_the_guards_off(statement: str, words: str) -> None:
    with pytest.raises(DatabaseError, match=words), connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(
    "statement",
    ["UPDATE {} SET created_at = now()", "DELETE FROM {}", "TRUNCATE {} CASCADE"],
)
def test_the_app_role_neither_edits_nor_deletes_nor_truncates(table: str, statement: str) -> None:
    attack = Attack()
    words = f"permission denied for table {table}"

    with pytest.raises(DatabaseError, match=words), connection.cursor() as cursor:
        cursor.execute(statement.format(f'"{table}"'))

    assert attack.unharmed()
    assert PostingKey.objects.filter(book=attack.scene.book).count() == 1


def test_nothing_is_dated_into_a_locked_period_or_outside_its_own() -> None:
    """I12."""
    attack = Attack()
    with pytest.raises(DatabaseError, match="2026-04-01 cannot be posted into period 2026-03"):
        attack.entry_and_lines(500, -500, day=date(2026, 4, 1))
    lock_period(attack.scene.book, "2026-03")

    with pytest.raises(DatabaseError, match=r"period 2026-03 \(LOCKED\)"):
        attack.entry_and_lines(500, -500)

    assert attack.unharmed()


def test_an_entry_stays_in_the_periods_of_its_book() -> None:
    attack, other = Attack(), Attack()
    foreign = AccountingPeriod.objects.get(book=other.scene.book)

    with pytest.raises(DatabaseError, match="cannot be posted into period"):
        attack.entry_and_lines(500, -500, entry={"period_id": foreign.pk})

    assert attack.unharmed()


def test_an_entry_is_reversed_once_and_a_key_is_answered_once() -> None:
    attack = Attack()
    reversing = {"reverses_id": attack.entry.pk}
    attack.entry_and_lines(500, -500, entry=reversing)

    with pytest.raises(DatabaseError, match="ledger_journalentry_reverses_id_key"):
        attack.entry_and_lines(500, -500, entry=reversing)
    key = PostingKey.objects.get(book=attack.scene.book)
    values = {
        "book_id": key.book_id,
        "key": key.key,
        "fingerprint": "f" * 64,
        "entry_id": ids.uuid7(),
        "created_at": NOW,
    }
    with pytest.raises(DatabaseError, match="posting_key_once"):
        _insert("ledger_postingkey", values)
    with pytest.raises(DatabaseError, match="posting_key_answered"):
        _insert("ledger_postingkey", {**values, "key": "free", "entry_id": None})
