"""`replay`: recompute a period's entries from their sources and compare; non-zero on a difference.

Runs as the schema's owner, because it needs a scratch schema; nothing of it stays.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from payops.commands.bootstrap import as_owner
from payops.core.models import Book
from payops.flows.replay.run import PeriodUnknown, replay


class Command(BaseCommand):
    help = "Recompute every entry of a period from receipts, answers and decisions, and compare."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--book", required=True, help="the book's code")
        parser.add_argument("--period", required=True, help="such as 2026-03")
        parser.add_argument("--json", action="store_true", help="one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        book = Book.objects.filter(code=options["book"]).first()
        if book is None:
            codes = ", ".join(Book.objects.order_by("code").values_list("code", flat=True))
            raise CommandError(f"there is no book {options['book']}; there are {codes}")
        started_s = time.monotonic()
        try:
            with as_owner():
                proof = replay(book=book, period_code=options["period"])
        except PeriodUnknown as error:
            raise CommandError(str(error)) from error
        spent_s = time.monotonic() - started_s
        if options["json"]:
            self.stdout.write(json.dumps({**asdict(proof), "seconds": round(spent_s, 3)}, indent=1))
        else:
            self._tell(proof, spent_s)
        if not proof.holds:
            sys.exit(1)

    def _tell(self, proof: Any, spent_s: float) -> None:
        counts = Counter(difference.kind for difference in proof.differences)
        words = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
        self.stdout.write(
            f"{proof.entries} entries in the period, {proof.recomputed} postings recomputed in"
            f" {spent_s:.1f} s: {words or 'no difference'}"
        )
        for difference in proof.differences:
            self.stdout.write(f"  {difference.kind:<12} {difference.words}")
