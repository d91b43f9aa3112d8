"""`seal_audit`: seal what waits now, and write the head down when the hour has none yet."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from payops.core import anchors, audit, clock
from payops.flows import anchor_mail


class Command(BaseCommand):
    help = "Seal waiting audit rows and anchor the head (once per hour) outside the database."

    def handle(self, *args: Any, **options: Any) -> None:
        sealed = audit.seal(now=clock.utc_now())
        self.stdout.write(f"{sealed} audit rows sealed")
        anchor = anchor_mail.anchor_and_mail(clock.utc_now())
        if anchor is not None:
            self.stdout.write(f"head {anchor.seq} anchored in {anchors.file_of_database()}")
