"""`demo_day`: the scripted day of payments on a running stack."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from payops.devstack.seed.day import play_day

PAUSE_S = 3.0


class Command(BaseCommand):
    help = "Plays the scripted day on a running, seeded stack."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--pause", type=float, default=PAUSE_S, help="seconds between scenes")

    def handle(self, *args: Any, **options: Any) -> None:
        play_day(say=self._say, pause_s=options["pause"])

    def _say(self, words: str) -> None:
        self.stdout.write(words)
        self.stdout.flush()
