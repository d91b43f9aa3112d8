"""`check_invariants`: recompute I1 to I18 from what is stored; exits non-zero on any break."""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand

from payops.commands.invariants import witness
from payops.commands.invariants.base import BOUND_IDLE, Finding, Moment
from payops.commands.invariants.table import INVARIANTS, KEYS, as_json, check_all
from payops.core import clock


class Command(BaseCommand):
    help = "Recompute the invariants I1 to I18 from what is stored; exits non-zero on any break."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON object")
        parser.add_argument("--only", nargs="+", choices=KEYS, default=[], metavar="I1")
        parser.add_argument(
            "--bound-s",
            type=int,
            default=BOUND_IDLE.seconds,
            help="how old unfinished work may be (60 idle, 300 after a fault)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        asked_at = clock.utc_now()
        moved, note = witness.movements()
        moment = Moment(
            now=clock.utc_now(),
            bound=timedelta(seconds=options["bound_s"]),
            movements=moved,
            movements_at=asked_at,
            movements_note=note,
        )
        findings = check_all(moment, only=options["only"])
        if options["json"]:
            self.stdout.write(json.dumps(as_json(findings), indent=1))
        else:
            self._tell(findings)
        if any(finding.breaks for finding in findings.values()):
            sys.exit(1)

    def _tell(self, findings: dict[str, Finding]) -> None:
        for invariant in INVARIANTS:
            finding = findings.get(invariant.key)
            if finding is None:
                continue
            mark = "BROKEN" if finding.breaks else "absent" if finding.absent else "ok"
            more = f" ({finding.note})" if finding.note else ""
            self.stdout.write(
                f"{invariant.key:>4} {mark:<6} {invariant.words}: {finding.checked} checked{more}"
            )
            for words in finding.breaks:
                self.stdout.write(f"       - {words}")
