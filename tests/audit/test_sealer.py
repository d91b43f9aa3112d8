"""Sealing as the running product does it: as the app role, by many at once, never forking."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection, transaction

from payops.core import audit, clock, verification
from payops.core.actors import service
from payops.core.models import AuditSeal, Book
from tests.audit.sealing import seal_everything
from tests.races import race


def _write(rows: int) -> None:
    book = Book.objects.get(code="system")
    with transaction.atomic():
        audit.record(
            audit.event(
                book=book,
                actor=service("tests"),
                action="tested",
                subject_id=f"row-{number}",
                now=clock.utc_now() - timedelta(minutes=5),
            )
            for number in range(rows)
        )


@pytest.mark.django_db(transaction=True)
def test_sixteen_writers_and_sealers_make_one_chain() -> None:
    seal_everything()
    before = AuditSeal.objects.count()

    def act(i: int) -> None:
        for _ in range(5):
            _write(3)
            audit.seal(now=clock.utc_now())

    assert race(16, act) == [None] * 16
    seal_everything()

    report = verification.verify(now=clock.utc_now())
    assert report.breaks == ()
    assert (report.rows, report.unsealed) == (before + 16 * 5 * 3, 0)


@pytest.mark.django_db(transaction=True)
def test_a_row_of_a_transaction_that_is_not_over_waits_for_its_seal() -> None:
    seal_everything()
    with transaction.atomic():
        _write(1)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT xid < pg_snapshot_xmin(pg_current_snapshot())"
                " FROM core_auditevent ORDER BY id DESC LIMIT 1"
            )
            assert cursor.fetchone() == (False,)
        assert verification.verify(now=clock.utc_now()).unsealed == 1

    assert seal_everything() == 1
    assert verification.verify(now=clock.utc_now()).ok
