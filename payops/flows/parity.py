"""Statement parity: a reference pack is read, kept, compared, and a verdict asked for (RP-2, RP-3).

The file is kept as evidence as it came. Every difference that no other one explains is named in the
reason of the request, or nothing is asked for: nobody signs for what was not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from approvals.models import ApprovalRequest
from ledger import parity
from ledger.models import AccountingPeriod, ReferencePack
from ledger.parity_parts import Difference, PackMisfit
from payops.core import evidence, ids, locks, state
from payops.core.actors import Actor
from payops.core.models import Book, Person
from payops.flows import governance, parity_verdict
from payops.flows.governed import ChangeRefused
from payops.formats import reference_pack
from payops.formats.reference_pack import PackRow

TITLE_MAX = 120
NAMED_MAX = 12


class PackRefused(ValueError):
    """The file is not taken; `problems` are sentences, each with its line."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__(" ".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Looked:
    """A file as it reads and compares now; nothing of it is kept yet."""

    rows: tuple[PackRow, ...]
    differences: tuple[Difference, ...]


def look(*, book: Book, period: AccountingPeriod, content: bytes) -> Looked:
    """Read and compare without keeping anything. Raises PackRefused."""
    reading = reference_pack.read(
        content, reporting_currency=book.reporting_currency, period=period.code
    )
    if reading.problems:
        raise PackRefused(reading.problems)
    try:
        found = parity.compare(book=book, period=period, rows=reading.rows)
    except PackMisfit as misfit:
        raise PackRefused(misfit.problems) from misfit
    return Looked(reading.rows, tuple(found))


def upload(
    *,
    book: Book,
    period: AccountingPeriod,
    title: str,
    filename: str,
    content: bytes,
    actor: Actor,
    now: datetime,
) -> ReferencePack:
    """Keep the file and what comparing it found. Raises PackRefused, ChangeRefused."""
    title = title.strip()
    if not 1 <= len(title) <= TITLE_MAX:
        raise ChangeRefused(f"a title has 1 to {TITLE_MAX} characters, this one {len(title)}")
    if period.book_id != book.pk:
        raise ChangeRefused(f"the period {period.code} belongs to another book")
    looked = look(book=book, period=period, content=content)
    key = ids.uuid7()
    with transaction.atomic(durable=True):
        kept = evidence.attach(
            book=book,
            subject_id=ids.render(ReferencePack.PREFIX, key),
            filename=filename,
            content_type="text/csv",
            content=content,
            actor=actor,
            now=now,
        )
        pack = ReferencePack(
            id=key,
            book=book,
            period=period,
            title=title,
            filename=kept.filename,
            evidence=kept,
            rows=parity.to_json(looked.rows),
            differences=parity.to_json(looked.differences),
            compared_at=now,
            uploaded_by=Person.objects.get(pk=actor.human()),
            created_at=now,
        )
        state.save(pack, actor=actor, now=now, action="parity.uploaded", evidence=_seen(pack))
    return pack


def compare_again(*, pack_id: str, actor: Actor, now: datetime) -> ReferencePack:
    """The same rows beside the books as they are now. Raises ChangeRefused, PackRefused."""
    key = ids.parse(pack_id, ReferencePack.PREFIX)[1]
    with transaction.atomic(durable=True):
        pack = locks.row(ReferencePack, key)
        if pack.state != ReferencePack.State.COMPARED:
            raise ChangeRefused(
                f"the pack {pack.title} is {pack.state}; its differences stay as they were when"
                " the verdict was asked for"
            )
        rows = [PackRow(**row) for row in pack.rows]
        try:
            found = parity.compare(book=pack.book, period=pack.period, rows=rows)
        except PackMisfit as misfit:
            raise PackRefused(misfit.problems) from misfit
        pack.differences, pack.compared_at = parity.to_json(found), now
        state.save(pack, actor=actor, now=now, action="parity.compared", evidence=_seen(pack))
    return pack


def ask(*, pack: ReferencePack, reason: str, actor: Actor, now: datetime) -> ApprovalRequest:
    """Ask for the verdict. Raises ChangeRefused, with the differences the reason leaves out."""
    left = unnamed(parity.of_json(pack.differences), reason)
    if left:
        names = ", ".join(each.name for each in left[:NAMED_MAX])
        more = f" and {len(left) - NAMED_MAX} more" if len(left) > NAMED_MAX else ""
        raise ChangeRefused(
            f"The reason does not name {names}{more}. Say of every unexplained difference, by its"
            " number, why the figures may stand or what will be done."
        )
    facts = parity_verdict.facts_of(pack)
    return governance.propose(
        kind=parity_verdict.KIND,
        facts=facts,
        title=f"Accept the statements of {pack.period.code} against {pack.title}"[:200],
        reason=reason,
        actor=actor,
        now=now,
        subject_id=pack.public_id,
        book=pack.book,
        also=lambda request: _asked(pack, request, actor, now),
        consequences=_consequences(pack),
    )


def unnamed(differences: Sequence[Difference], reason: str) -> list[Difference]:
    """Unexplained differences that a reason leaves out; "D3" names the third, "D3-D7" five."""
    named: set[int] = set()
    for first, last in re.findall(r"\bD(\d{1,5})(?:\s*(?:-|to)\s*D(\d{1,5}))?\b", reason):
        named |= set(range(int(first), int(last or first) + 1))
    return [each for each in parity.unexplained(differences) if each.no not in named]


def _asked(pack: ReferencePack, request: ApprovalRequest, actor: Actor, now: datetime) -> None:
    """In the transaction of the asking: the pack waits for exactly this request."""
    own = locks.row(ReferencePack, pack.pk)
    if own.state != ReferencePack.State.COMPARED:
        raise ChangeRefused(f"a verdict on {pack.title} is asked for already, {own.approval_id}")
    if parity.digest(own.differences) != request.facts["differences_hash"]:
        raise ChangeRefused(f"the pack {pack.title} was compared anew meanwhile; look again")
    own.ask(approval_id=request.public_id)
    state.save(own, actor=actor, now=now, action="parity.verdict_asked", evidence=_seen(own))


def _consequences(pack: ReferencePack) -> list[str]:
    notes = [
        f"approving records that the statements of {pack.period.code} agree with {pack.title} but"
        " for the differences named; no entry is posted or changed",
        "rejecting records that they do not; the pack is then closed and a new one is uploaded",
    ]
    if pack.period.state != AccountingPeriod.State.LOCKED:
        notes.append(
            f"{pack.period.code} is {pack.period.state}, not locked: entries may still be posted"
            " into it, and the verdict is about the figures as compared"
        )
    return notes


def _seen(pack: ReferencePack) -> dict[str, object]:
    return {
        "period": pack.period.code,
        "rows": len(pack.rows),
        "differences": len(pack.differences),
        "sha256": pack.evidence.sha256,
        "differences_hash": parity.digest(pack.differences),
    }
