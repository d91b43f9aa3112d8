"""`drill`: kill everything at random under live traffic, then show that nothing was lost (SC-4).

`--soak` and `--provider-down` are its long forms; each runs on a stack of its own and ends with the
same verdict.
"""

from __future__ import annotations

import json
import secrets
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from payops.devstack.datadir import default_path, lock_holder
from payops.devstack.drill import outage, rehearsal, report, soak
from payops.devstack.drill.findings import Findings
from payops.devstack.drill.outage import OutageOrders
from payops.devstack.drill.rehearsal import Orders
from payops.devstack.drill.soak import SoakOrders
from payops.devstack.drill.throwaway import throwaway_stack
from payops.devstack.drill.traffic import PROVIDERS
from payops.devstack.errors import StackError

SEED_MAX = 10_000
# name -> (default, least, most)
BOUNDS = {
    "kills": (45, 1, 500),
    "seconds": (130, 1, 7_200),
    "minutes": (10, 0.5, 240),
    "rate": (150, 1, 2_000),
    "calls": (1_000, 1, 20_000),
}
PASSED_ON = ("kills", "seconds", "minutes", "rate", "calls", "provider", "outage")


class Command(BaseCommand):
    help = (
        "Kill web, workers, scheduler, broker, database and simulator at random under live "
        "traffic, wipe the broker, wait until everything has ended, and compare the provider's "
        "own log with the books. Exits 1 when anything was lost or doubled."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: Any) -> None:
        form = parser.add_mutually_exclusive_group()
        form.add_argument(
            "--soak",
            action="store_true",
            help="a steady rate of signed events with duplicates and poison; each process kind "
            "killed once",
        )
        form.add_argument(
            "--provider-down",
            action="store_true",
            help="one provider away while approved payouts wait for it",
        )
        parser.add_argument("--seed", type=int, help="the same seed kills in the same order")
        parser.add_argument("--kills", type=int, help="how many processes (45)")
        parser.add_argument("--seconds", type=float, help="time under fire (130)")
        parser.add_argument("--minutes", type=float, help="--soak, --provider-down: how long (10)")
        parser.add_argument("--rate", type=float, help="--soak: events a second (150)")
        parser.add_argument("--calls", type=int, help="--provider-down: how many wait (1000)")
        parser.add_argument(
            "--provider", default="stripe", choices=PROVIDERS, help="--provider-down: which"
        )
        parser.add_argument(
            "--outage",
            default="503",
            choices=("503", "hang"),
            help="--provider-down: how its calls end",
        )
        parser.add_argument(
            "--json", action="store_true", help="one JSON object instead of a table"
        )
        parser.add_argument(
            "--on-running",
            action="store_true",
            help="drill the stack that runs over PAYOPS_VAR; its books keep the drill's payments",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        for name, (default, least, most) in BOUNDS.items():
            options[name] = default if options[name] is None else options[name]
            if not least <= options[name] <= most:
                raise CommandError(f"--{name} is {options[name]:g}; it is from {least} to {most}")
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
        findings = self._run(directory, seed, options)
        if options["json"]:
            self.stdout.write(json.dumps(report.as_json(findings), indent=1))
        else:
            for line in report.lines(findings):
                self.stdout.write(line)
        return findings.ok

    def _run(self, directory: Path, seed: int, options: dict[str, Any]) -> Findings:
        if options["soak"]:
            return soak.run(
                SoakOrders(directory, seed, options["minutes"], options["rate"]), say=self._say
            )
        if options["provider_down"]:
            told = (options["provider"], options["outage"], options["minutes"], options["calls"])
            return outage.run(OutageOrders(directory, seed, *told), say=self._say)
        orders = Orders(directory, seed, options["kills"], options["seconds"])
        return rehearsal.run(orders, say=self._say)

    def _drill_own(self, seed: int, options: dict[str, Any]) -> bool:
        self._say(f"seed {seed}: starting a stack of its own")
        try:
            with throwaway_stack() as stack:
                code = stack.run(
                    *("drill", "--on-running", "--seed", str(seed)),
                    *(part for name in PASSED_ON for part in (f"--{name}", str(options[name]))),
                    *(["--soak"] if options["soak"] else []),
                    *(["--provider-down"] if options["provider_down"] else []),
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
