"""`seed_books`: payments and payouts in every lasting state, through the running stack."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from payops.devstack.seed.books import seed_books
from payops.devstack.seed.exports import seed_export
from payops.devstack.seed.journals import seed_journals
from payops.devstack.seed.parity import seed_parity
from payops.devstack.seed.refunds import seed_refunds


class Command(BaseCommand):
    help = "Seeds the demo company's payments, refunds, payouts; needs web, workers and simulator."

    def handle(self, *args: Any, **options: Any) -> None:
        seed_books(self.stdout.write)
        seed_refunds(self.stdout.write)
        seed_journals(self.stdout.write)
        seed_parity(self.stdout.write)
        seed_export(self.stdout.write)
