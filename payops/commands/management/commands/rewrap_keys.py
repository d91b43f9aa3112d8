"""`rewrap_keys`: bring every data key under the newest master key, in batches (SE-2)."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction

from payops.core import actors, clock, rewrapping

ROUNDS_MAX = 1_000_000


class Command(BaseCommand):
    help = (
        "Re-wraps every data key under the newest master key of PAYOPS_MASTER_KEYS. Runs beside "
        "the product, may be stopped and run again; afterwards older master keys can be removed."
    )

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--batch", type=int, default=rewrapping.BATCH, help="keys at a time")
        parser.add_argument("--json", action="store_true", help="one JSON object at the end")

    def handle(self, *args: Any, **options: Any) -> None:
        actor = actors.service("rewrap-keys", channel="command")
        start, size = rewrapping.left(), min(max(options["batch"], 1), 5000)
        done = 0
        for _ in range(ROUNDS_MAX):
            with transaction.atomic(durable=True):
                count = rewrapping.rewrap_batch(actor=actor, now=clock.utc_now(), size=size)
            if not count:
                break
            done += count
            if not options["json"]:
                self.stdout.write(f"{done} of {start.live} keys under version {start.newest}")
        end = rewrapping.left()
        told = {"rewrapped": done, "left": end.live, "erased": end.erased, "version": end.newest}
        if options["json"]:
            self.stdout.write(json.dumps(told))
            return
        self.stdout.write(
            f"{done} keys re-wrapped under version {end.newest}, {end.live} left, "
            f"{end.erased} erased ones untouched."
        )
        if not end.live:
            self.stdout.write(
                "Older master keys can be removed from PAYOPS_MASTER_KEYS once every process "
                "runs with the new one; keep them with the backups they belong to."
            )
        else:
            self.stdout.write("Rows were held by others; run it again.")
