"""`seed_books`: payments and payouts in every lasting state, through the running stack."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from payops.devstack.seed.books import seed_books


class Command(BaseCommand):
    help = "Seeds the demo company's payments and payouts; needs web, workers and simulator."

    def handle(self, *args: Any, **options: Any) -> None:
        seed_books(self.stdout.write)
