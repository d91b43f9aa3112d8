"""`drill`: kill everything at random under live traffic, then show that nothing was lost (SC-4)."""

from __future__ import annotations

import json
import secrets
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from payops.devstack.datadir import default_path, lock_holder
from payops.devstack.drill import rehearsal, report
from payops.devstack.drill.rehearsal import Orders
from payops.devstack.drill.throwaway import throwaway_stack
from payops.devstack.errors import StackError

SEED_MAX = 10_000
KILLS_MAX = 500
SECONDS_MAX = 7_200


class Command(BaseCommand):
    help = (
        "Kill web, workers, scheduler, broker, database and simulator at random under live "
        "traffic, wipe the broker, wait until everything has ended, and compare the provider's "
        "own log with the books. Exits 1 when anything was lost or doubled."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--seed", type=int, help="the same seed kills in the same order")
        parser.add_argument("--kills", type=int, default=15, help="how many processes (15)")
        parser.add_argument("--seconds", type=float, default=60, help="time under fire (60)")
        parser.add_argument(
            "--json", action="store_true", help="one JSON object instead of a table"
        )
        parser.add_argument(
            "--on-running",
            action="store_true",
            help="drill the stack that runs over PAYOPS_VAR; its books keep the drill's payments",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not 1 <= options["kills"] <= KILLS_MAX or not 1 <= options["seconds"] <= SECONDS_MAX:
            raise CommandError(f"--kills 1 to {KILLS_MAX}, --seconds 1 to {SECONDS_MAX}")
        seed = secrets.randbelow(SEED_MAX) if options["seed"] is None else options["seed"]
        if options["on_running"]:
            ok = self._drill_running(seed, options)
        else:
            ok = self._drill_own(seed, options)
        if not ok:
            sys.exit(1)

    def _drill_running(self, seed: int, options: dict[str, Any]) -> bool:
        directory = default_path()
        if lock_holder(path=directory) is None:
            raise CommandError(f"no stack is running over {directory}")
        orders = Orders(
            directory=directory, seed=seed, kills=options["kills"], seconds=options["seconds"]
        )
        findings = rehearsal.run(orders, say=self._say)
        if options["json"]:
            self.stdout.write(json.dumps(report.as_json(findings), indent=1))
        else:
            for line in report.lines(findings):
                self.stdout.write(line)
        return findings.ok

    def _drill_own(self, seed: int, options: dict[str, Any]) -> bool:
        self._say(f"seed {seed}: starting a stack of its own")
        try:
            with throwaway_stack() as stack:
                code = stack.run(
                    *("drill", "--on-running", "--seed", str(seed)),
                    *("--kills", str(options["kills"]), "--seconds", str(options["seconds"])),
                    *(["--json"] if options["json"] else []),
                )
                stack.keep = code != 0
        except StackError as error:
            raise CommandError(str(error)) from error
        if stack.keep:
            self._say(f"logs and data of the drilled stack are kept in {stack.home}")
        return code == 0

    def _say(self, words: str) -> None:
        """Progress, apart from the result."""
        self.stderr.write(f"[drill] {words}")
