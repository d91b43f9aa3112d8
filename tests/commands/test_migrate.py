"""An installation that is brought up to date can be asked for whatever is governed since (D5)."""

from __future__ import annotations

import pytest
from django.core.management import call_command

from approvals import policies
from approvals.models import PolicyVersion
from payops.commands import company
from payops.commands.bootstrap import as_owner
from payops.core import clock
from payops.core.models import Book

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_book_of_an_older_version_gets_the_tables_it_lacks_and_keeps_its_own() -> None:
    now = clock.utc_now()
    with as_owner():
        book = Book.objects.create(code="older", name="Older Ltd", created_at=now)
        company.complete_policies(now=now)
        names = set(PolicyVersion.objects.filter(book=book).values_list("name", flat=True))
        before = PolicyVersion.objects.count()
        company.complete_policies(now=now)

        assert PolicyVersion.objects.count() == before
    expected = {policies.PREFIX + kind for kind in policies.KIND_LABELS}
    expected |= {"lanes", "refund.policy"}
    assert names == expected
    for kind in ("allowlist_change", "account_settings", "webhook_secret"):
        assert policies.active(book=book, kind=kind, now=clock.utc_now()).version == 1


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_migrate_does_it() -> None:
    with as_owner():
        Book.objects.create(code="older", name="Older Ltd", created_at=clock.utc_now())

    call_command("migrate", verbosity=0)

    book = Book.objects.get(code="older")
    assert policies.active(book=book, kind="webhook_secret", now=clock.utc_now()).version == 1
