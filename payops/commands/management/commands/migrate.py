"""`migrate`: as the schema's owner, with views, guards and grants recreated around it.

Afterwards every book has the policy tables that the code knows: what is missing is seeded.
"""

from __future__ import annotations

from typing import Any

from django.core.management.commands import migrate
from django.db import transaction

from payops.commands import company, schema
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
        if not options["app_label"]:
            with as_owner(), transaction.atomic(durable=True):
                company.complete_policies(now=clock.utc_now())
