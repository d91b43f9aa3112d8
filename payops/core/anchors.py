"""Anchors: heads of the audit chain kept where the database's owner does not write (I11, AU-9).

Whoever owns the database can rewrite the whole chain without a broken link. What they cannot do is
change what was written down elsewhere: once an hour the head (seq, hash) goes to a file outside
the data directory and, when mail is configured, to a mailbox. Never read by the product itself;
`verify_audit` holds the chain against it.

One file per database, named by database and cluster, so that neither a second stack nor a reset
one mixes its heads with ours. A restored cluster starts a new file: give the old one to
`verify_audit --anchors`.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from django.conf import settings
from django.db import connection

from payops.core.models import AuditSeal

DIRECTORY_VARIABLE = "PAYOPS_ANCHOR_DIR"
SLOT = "%Y-%m-%dT%H"
ANCHORS_MAX = 200_000
Tell = Callable[[str, str], None]


class AnchorsUnreadable(ValueError):
    """The file of anchors holds a line that is none; the text names file and line."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """One head as it was written down at a moment."""

    at: datetime
    seq: int
    hash: str

    def line(self) -> str:
        at = self.at.astimezone(UTC).isoformat(timespec="seconds")
        return json.dumps({"at": at, "seq": self.seq, "hash": self.hash})


def directory() -> Path:
    """PAYOPS_ANCHOR_DIR, else a sibling of the data directory (`var` has `var-anchors`)."""
    named = os.environ.get(DIRECTORY_VARIABLE, "")
    return Path(named) if named else settings.VAR.with_name(f"{settings.VAR.name}-anchors")


def file_of_database() -> Path:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_database(), (SELECT system_identifier FROM pg_control_system())"
        )
        name, cluster = cursor.fetchone()
    safe = "".join(char if char.isalnum() or char in "-_" else "-" for char in name)
    return directory() / f"{safe}-{cluster}.jsonl"


def anchor_due(now: datetime, *, tell: Tell | None = None) -> Anchor | None:
    """Write the head down once per hour; None when it is done already or nothing is sealed.

    `tell(subject, text)` carries the line out of the house (mail); it is called after the line is
    on disk, so a mail that fails loses nothing.
    """
    head = AuditSeal.objects.order_by("-seq").first()
    if head is None:
        return None
    anchor = Anchor(at=now, seq=head.seq, hash=head.hash)
    path = file_of_database()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(handle, "a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        written = parse(file, name=str(path))
        if written and written[-1].at.strftime(SLOT) == now.astimezone(UTC).strftime(SLOT):
            return None
        file.write(anchor.line() + "\n")
        file.flush()
        os.fsync(file.fileno())
    if tell is not None:
        tell(f"Audit chain: seal {anchor.seq} at {anchor.at:%Y-%m-%d %H:%M} UTC", anchor.line())
    return anchor


def read(path: Path | None = None) -> list[Anchor]:
    """Anchors of this database, or of a named file; none when there is no file yet."""
    source = path or file_of_database()
    if not source.exists():
        return []
    with source.open(encoding="utf-8") as file:
        return parse(file, name=str(source))


def parse(lines: Iterable[str], *, name: str) -> list[Anchor]:
    anchors = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        if number > ANCHORS_MAX:
            raise AnchorsUnreadable(f"{name} has more than {ANCHORS_MAX} lines")
        try:
            said = json.loads(line)
            at = datetime.fromisoformat(said["at"]).astimezone(UTC)
            anchors.append(Anchor(at=at, seq=int(said["seq"]), hash=str(said["hash"])))
        except (ValueError, KeyError, TypeError) as error:
            raise AnchorsUnreadable(f"{name}, line {number} is not an anchor") from error
    return anchors


def compare(anchors: Iterable[Anchor]) -> list[str]:
    """What the stored chain says differently from what was written down; empty when nothing."""
    listed = list(anchors)
    hashes = dict(
        AuditSeal.objects.filter(seq__in={a.seq for a in listed}).values_list("seq", "hash")
    )
    return [words for a in listed if (words := _difference(a, hashes.get(a.seq)))]


def _difference(anchor: Anchor, stored: str | None) -> str:
    when = f"{anchor.at:%Y-%m-%d %H:%M} UTC"
    if stored is None:
        return f"seal {anchor.seq} is gone; it was anchored at {when}"
    if stored != anchor.hash:
        return f"seal {anchor.seq} has another hash than was anchored at {when}"
    return ""
