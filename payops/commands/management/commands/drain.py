"""`drain`: run every lane until nothing is ready."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from payops.core import audit, clock
from payops.core.lanes import LANES
from payops.flows import tasks

LANE_BUDGET_S = 300.0


class Command(BaseCommand):
    help = "Runs every lane until nothing is ready, then seals the audit."

    def handle(self, *args: Any, **options: Any) -> None:
        while True:
            claimed = sum(tasks.drain(lane, budget_s=LANE_BUDGET_S).claimed for lane in LANES)
            if not claimed:
                break
        audit.seal(now=clock.utc_now())
        self.stdout.write(f"{tasks.ready_rows()} rows ready")
