"""`migrate`: as the schema's owner, with views, guards and grants recreated around it.

Afterwards every book has the policy tables that the code knows: what is missing is seeded. In a
database that was restored from elsewhere nothing is seeded before it is rebased.
"""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError
from django.core.management.commands import migrate
from django.db import transaction

from payops.commands import company, restored, schema
from payops.commands.bootstrap import as_owner
from payops.core import clock


class Command(migrate.Command):
    def add_arguments(self, parser: Any) -> None:
        super().add_arguments(parser)
        parser.set_defaults(database="owner")

    def handle(self, *args: Any, **options: Any) -> None:
        schema.drop_views(options["database"])
        super().handle(*args, **options)
        schema.rebuild(options["database"])
        if options["app_label"]:
            return
        with as_owner():
            ahead = restored.ahead()
            if ahead is not None:
                raise CommandError(f"migrated, but {ahead.words}")
            with transaction.atomic(durable=True):
                company.complete_policies(now=clock.utc_now())
