"""`migrate`: as the schema's owner, with views, guards and grants recreated around it."""

from __future__ import annotations

from typing import Any

from django.core.management.commands import migrate

from payops.commands import schema


class Command(migrate.Command):
    def add_arguments(self, parser: Any) -> None:
        super().add_arguments(parser)
        parser.set_defaults(database="owner")

    def handle(self, *args: Any, **options: Any) -> None:
        schema.drop_views(options["database"])
        super().handle(*args, **options)
        schema.rebuild(options["database"])
