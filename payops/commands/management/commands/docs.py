"""`docs`: write the generated documents anew."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from payops.commands import generated_docs


class Command(BaseCommand):
    help = "Writes docs/states.md, docs/guards.md and docs/journal-matrix.md from the code."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        for path in generated_docs.write():
            self.stdout.write(path.name)
