"""`rebase_after_restore`: bring a database that was restored into another cluster in order (RB-8).

It acts as the schema's owner, alone on the database; docs/runbooks/restore.md has the whole way.
"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connections, transaction

from payops.commands import restored
from payops.commands.bootstrap import as_owner
from payops.core import actors, clock


class Command(BaseCommand):
    help = (
        "After a dump was restored into a fresh cluster: moves the stored transaction ids below "
        "the cluster's, adds up every balance anew and holds it against its lines. Needs the "
        "database for itself; running it again changes nothing."
    )

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument(
            "--totals",
            action="store_true",
            help="only add up every balance anew; may run beside the product",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        connections["owner"].close()
        with as_owner():
            if options["totals"]:
                self._add_up()
            else:
                self._rebase()

    def _rebase(self) -> None:
        actor = actors.service("rebase-after-restore", channel="command")
        try:
            with transaction.atomic(durable=True):
                told = restored.rebase(actor=actor, now=clock.utc_now())
        except restored.NotRebased as refusal:
            raise CommandError(str(refusal)) from refusal
        if told is None:
            self.stdout.write("Nothing to do: nothing stored lies ahead of this cluster.")
            return
        self.stdout.write(
            f"The stored transaction ids went up to {told.ahead.stored}, this cluster's next one is"
            f" {told.ahead.following}; all of them now lie below it."
        )
        self.stdout.write(
            f"{told.lines} lines of {told.books} books were added up anew; every balance is the sum"
            " of its lines."
        )
        self.stdout.write("Next: manage.py migrate, check_invariants, verify_audit; then start.")

    def _add_up(self) -> None:
        with transaction.atomic(durable=True):
            books, lines = restored.add_up(now=clock.utc_now())
        self.stdout.write(f"{lines} lines of {books} books were added up anew.")
