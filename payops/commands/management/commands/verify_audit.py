"""`verify_audit`: name the first bad row of the audit trail; exits 1 on any break (I11, F36)."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from payops.commands import verify_pack
from payops.core import anchors, clock, verification


class Command(BaseCommand):
    help = "Verify the audit chain, its seals and its anchors; exits 1 and names what is wrong."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON object")
        parser.add_argument("--export", type=Path, help="verify this export; needs no database")
        parser.add_argument(
            "--anchors", type=Path, help="hold the chain against this file of heads"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        given = self._anchors(options["anchors"])
        if options["export"] is not None:
            told = self._of_export(options["export"], given)
        else:
            told = self._of_database(given)
        self._tell(told, as_json=options["json"])
        if not told["ok"]:
            sys.exit(1)

    def _anchors(self, path: Path | None) -> list[anchors.Anchor] | None:
        if path is None:
            return None
        if not path.is_file():
            raise CommandError(f"there is no file of anchors at {path}")
        return anchors.read(path)

    def _of_database(self, given: list[anchors.Anchor] | None) -> dict[str, Any]:
        report = verification.verify(now=clock.utc_now(), written_down=given)
        return {
            "ok": report.ok,
            "words": report.words,
            "rows": report.rows,
            "head": {"seq": report.head_seq, "hash": report.head_hash},
            "unsealed": report.unsealed,
            "unsealed_late": report.unsealed_late,
            "anchors": report.anchors,
            "anchor_file": report.anchor_file,
            "breaks": list(report.breaks),
        }

    def _of_export(self, path: Path, given: list[anchors.Anchor] | None) -> dict[str, Any]:
        own = [(anchor.seq, anchor.hash) for anchor in given] if given is not None else None
        try:
            report = verify_pack.verify(path, own)
        except (verify_pack.Unreadable, OSError) as error:
            raise CommandError(f"{path} cannot be verified: {error}") from error
        rows = report.counts.get("audit rows", 0)
        return {
            "ok": not report.problems,
            "words": report.problems[0] if report.problems else f"{rows} audit rows fit",
            "rows": rows,
            "breaks": report.problems,
        }

    def _tell(self, told: dict[str, Any], *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps(told, indent=1))
            return
        self.stdout.write(("ok: " if told["ok"] else "BROKEN: ") + told["words"])
        for words in told["breaks"][1:]:
            self.stdout.write(f"  - {words}")
        if told["ok"] and told.get("anchors") == 0:
            self.stdout.write(
                f"  no anchors at {told['anchor_file']}: a chain rewritten as a whole"
            )
            self.stdout.write("  cannot be told from the true one without them")
