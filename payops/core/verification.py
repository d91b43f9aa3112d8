"""One verification of the whole audit trail: the chain, what waits unsealed, the anchors.

Read only. Used by `verify_audit`, `check_invariants` (I11) and the audit explorer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from django.db import connection

from payops.core import anchors, audit
from payops.core.models import AuditSeal

SEALED_WITHIN = timedelta(seconds=60)
BREAKS_MAX = 20


@dataclass(frozen=True, slots=True)
class Verification:
    """`breaks` are in chain order, the first bad row first, at most BREAKS_MAX of them."""

    rows: int
    head_seq: int
    head_hash: str
    breaks: tuple[str, ...]
    unsealed: int
    unsealed_late: int
    anchors: int
    anchor_file: str

    @property
    def ok(self) -> bool:
        return not self.breaks

    @property
    def words(self) -> str:
        if not self.ok:
            return self.breaks[0]
        held = f"held against {self.anchors} anchors" if self.anchors else "no anchor written yet"
        waiting = f", {self.unsealed} newer rows wait for their seal" if self.unsealed else ""
        return f"{self.rows} audit rows are sealed without a gap, {held}{waiting}"


def verify(
    *, now: datetime, after_seq: int = 0, written_down: list[anchors.Anchor] | None = None
) -> Verification:
    """Walk the chain behind `after_seq` (0: all of it) and compare it with the anchors."""
    source = "given" if written_down is not None else str(anchors.file_of_database())
    known = anchors.read() if written_down is None else written_down
    start = AuditSeal.objects.filter(seq=after_seq).first() if after_seq else None
    counted = _Counted(audit.links_in_database(after_seq=after_seq))
    walk = audit.breaks(
        counted, after_seq=after_seq, after_hash=start.hash if start else audit.GENESIS
    )
    found = list(islice(walk, BREAKS_MAX))
    if len(found) == BREAKS_MAX:
        found[-1] = "further rows are not listed"
    found += anchors.compare(known)[:BREAKS_MAX]
    unsealed, late, first_late = _unsealed(now)
    if late:
        found.append(
            f"{late} audit rows older than {SEALED_WITHIN.seconds} s are not sealed,"
            f" the first is {first_late}"
        )
    head = AuditSeal.objects.order_by("-seq").first()
    return Verification(
        rows=counted.rows,
        head_seq=head.seq if head else 0,
        head_hash=head.hash if head else audit.GENESIS,
        breaks=tuple(found),
        unsealed=unsealed,
        unsealed_late=late,
        anchors=len(known),
        anchor_file=source,
    )


class _Counted:
    """Counts links while somebody else walks them."""

    def __init__(self, links: Iterable[audit.Link]) -> None:
        self._links = links
        self.rows = 0

    def __iter__(self) -> Iterator[audit.Link]:
        for link in self._links:
            self.rows += 1
            yield link


def _unsealed(now: datetime) -> tuple[int, int, str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), count(*) FILTER (WHERE a.created_at < %s),"
            " (array_agg(a.id::text ORDER BY a.created_at, a.id))[1]"
            " FROM core_auditevent a"
            " WHERE NOT EXISTS (SELECT 1 FROM core_auditseal s WHERE s.audit_id = a.id)",
            [now - SEALED_WITHIN],
        )
        waiting, late, first = cursor.fetchone()
    return waiting, late, first or ""
