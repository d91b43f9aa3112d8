"""What holds the references of leaf tables that have no constraint of their own (ADR 0007)."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, connection, connections, transaction

from ledger.models import Account, JournalEntry, JournalLine
from payops.core import ids
from payops.core.models import Book, ProviderAccount
from payops.webhooks.models import Delivery
from tests.builders import post_stripe
from tests.guards.test_ledger_guards import Attack

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner"])
NOBODY = uuid.UUID("01900000-0000-7000-8000-00000000dead")
LASTING = (Book, ProviderAccount, Account)
NAMED = [(model, alias) for model in LASTING for alias in ("default", "owner")]


@pytest.mark.parametrize(("model", "alias"), NAMED)
def test_a_book_or_an_account_is_never_deleted_by_anybody(model: Any, alias: str) -> None:
    table, before = model._meta.db_table, model.objects.count()

    with (
        pytest.raises(DatabaseError, match=r"never deleted|permission denied"),
        transaction.atomic(using=alias),
        connections[alias].cursor() as cursor,
    ):
        cursor.execute(f'DELETE FROM "{table}"')

    assert model.objects.count() == before > 0


@pytest.mark.parametrize("model", LASTING)
def test_the_app_role_has_no_right_to_delete_them(model: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT has_table_privilege(current_user, %s, 'DELETE')", [model._meta.db_table]
        )

        assert cursor.fetchone() == (False,)


@pytest.mark.parametrize("change", [{"book_id": NOBODY}, {"period_id": NOBODY}])
def test_an_entry_names_a_period_and_its_book_or_is_refused(change: dict[str, Any]) -> None:
    attack, first = Attack(), ids.uuid7()
    more = {"book_id": NOBODY} if "book_id" in change else {}

    with pytest.raises(DatabaseError), transaction.atomic():
        entry = attack.insert_entry(first_line=first, **change)
        attack.insert_lines(entry, 100, -100, first=first, **more)

    assert JournalEntry.objects.filter(book=attack.scene.book).count() == 1
    assert not JournalEntry.objects.filter(book_id=NOBODY).exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"book_id": NOBODY}, "are not dated 2026-03-18 in its book"),
        ({"entry_id": NOBODY}, f"lines name entry {NOBODY}, which does not exist"),
        ({"account_id": NOBODY}, f"is posted to {NOBODY}, which is no account of its book"),
    ],
)
def test_a_line_names_an_entry_its_book_and_an_account_of_it_or_is_refused(
    change: dict[str, Any], words: str
) -> None:
    attack, first = Attack(), ids.uuid7()
    before = JournalLine.objects.count()

    with pytest.raises(DatabaseError, match=words), transaction.atomic():
        entry = attack.insert_entry(first_line=first)
        attack.insert_lines(entry, 100, -100, first=first, **change)

    assert JournalLine.objects.count() == before


def test_a_receipt_names_an_account_that_is_there_so_its_event_does_too() -> None:
    """The edge writes both in one statement: a restored database refuses a stale copy (WH-14)."""
    post_stripe(
        {
            "id": "evt_leaf",
            "object": "event",
            "type": "customer.created",
            "created": 1767225600,
            "livemode": False,
            "data": {"object": {"id": "cus_1", "object": "customer"}},
        }
    )
    seen = Delivery.objects.get(provider_event_id="evt_leaf")
    columns = [f.column for f in Delivery._meta.concrete_fields]
    taken = ", ".join(
        {"id": "gen_random_uuid()", "account_id": "%s"}.get(column, column) for column in columns
    )

    with (
        pytest.raises(DatabaseError) as refused,
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(
            f"INSERT INTO webhooks_delivery ({', '.join(columns)})"
            f" SELECT {taken} FROM webhooks_delivery WHERE id = %s",
            [NOBODY, seen.pk],
        )

    assert isinstance(refused.value.__cause__, psycopg.errors.ForeignKeyViolation)
    assert Delivery.objects.filter(provider_event_id="evt_leaf").count() == 1
