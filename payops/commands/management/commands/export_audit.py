"""`export_audit`: the sealed audit trail as JSON lines that `verify_pack.py` verifies offline."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, TextIO

from django.core.management.base import BaseCommand, CommandError

from payops.commands.verify_pack import EXPORT_FORMAT
from payops.core import audit, clock
from payops.core.models import AuditSeal


class Command(BaseCommand):
    help = "Write the sealed audit trail to a file; the file is verified without this server."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--out", type=Path, required=True, help="file to create")
        parser.add_argument("--after-seq", type=int, default=0, help="leave out what came before")

    def handle(self, *args: Any, **options: Any) -> None:
        path, after_seq = options["out"], options["after_seq"]
        start = AuditSeal.objects.filter(seq=after_seq).first()
        if after_seq and start is None:
            raise CommandError(f"there is no seal {after_seq}")
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError as error:
            raise CommandError(f"{path} exists already; an export overwrites nothing") from error
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            rows = export(file, after_seq=after_seq, after_hash=start.hash if start else "")
        self.stdout.write(f"{rows} audit rows written to {path}")


def export(file: TextIO, *, after_seq: int = 0, after_hash: str = "") -> int:
    """Write header, links with their rows, and the head; answers how many rows."""
    head = {
        "format": EXPORT_FORMAT,
        "made_at": clock.utc_now().isoformat(timespec="seconds"),
        "after_seq": after_seq,
        "after_hash": after_hash or audit.GENESIS,
    }
    _line(file, head)
    rows, seq, digest = 0, after_seq, head["after_hash"]
    for seq, audit_id, content, previous, digest, row in audit.links_in_database(
        after_seq=after_seq
    ):
        rows += 1
        link = {"seq": seq, "audit_id": audit_id, "content_hash": content}
        _line(file, link | {"previous_hash": previous, "hash": digest, "row": row})
    _line(file, {"head": {"seq": seq, "hash": digest}})
    return rows


def _line(file: TextIO, value: dict[str, Any]) -> None:
    file.write(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n")
